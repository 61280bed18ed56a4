#include "cache_key.h"
#include "vary.h"

bool cache_key_init(struct cache_key *key, struct bytes base_url, const struct http_request *request)
{
    size_t path_end = base_url.size + request->path.size;
    size_t size = path_end + (request->has_query ? 1 + request->query.size : 0);

    if (size > CACHE_KEY_PRIMARY_MAX)
        return false;
    memcpy(key->text, base_url.data, base_url.size);
    memcpy(key->text + base_url.size, request->path.data, request->path.size);
    if (request->has_query) {
        key->text[path_end] = '?';
        if (request->query.size > 0)
            memcpy(key->text + path_end + 1, request->query.data, request->query.size);
    }
    key->primary_size = key->size = size;
    return true;
}

bool cache_key_vary(struct cache_key *key, uint64_t generation, struct bytes names,
                    const struct http_fields *fields)
{
    size_t at = key->primary_size, size;

    key->text[at++] = '\n';
    memcpy(key->text + at, &generation, sizeof generation);
    at += sizeof generation;
    if (!vary_values(names, fields, key->text + at, sizeof key->text - at, &size)) {
        key->size = key->primary_size;
        return false;
    }
    key->size = at + size;
    return true;
}

static void add_sign(struct cache_key *key, char sign)
{
    key->text[key->primary_size] = '\n';
    key->text[key->primary_size + 1] = sign;
    key->size = key->primary_size + 2;
}

void cache_key_mark(struct cache_key *key) { add_sign(key, '!'); }

void cache_key_part(struct cache_key *key) { add_sign(key, '%'); }

void cache_key_place(struct cache_key *key, struct bytes primary, uint64_t number)
{
    memcpy(key->text, primary.data, primary.size);
    key->primary_size = primary.size;
    add_sign(key, '#');
    memcpy(key->text + key->size, &number, sizeof number);
    key->size += sizeof number;
}
