#include "search_alias.h"
#include "base/hash.h"
#include "engine/gateway/policy/no_vary_search.h"

enum {
    RULE_BYTES_MAX = 1024,
    SEAL_BYTES = sizeof(uint64_t),
    GENERATION_BYTES = sizeof(uint64_t),
    VALUE_BYTES_MAX = SEAL_BYTES + CACHE_KEY_PRIMARY_MAX
};

struct rule {
    uint64_t generation;
    struct search_variance variance; /* as `text` says */
    struct bytes text;
    int64_t expires_at_ms; /* 0: never */
};

/* ---- keys ---------------------------------------------------------------------------------------- */

/* The URL that a key is of, or below. */
static struct bytes url_of(struct bytes key)
{
    const char *end = memchr(key.data, '\n', key.size);

    return end != NULL ? bytes_first(key, (size_t)(end - key.data)) : key;
}

static struct bytes path_of(struct bytes url)
{
    const char *question = memchr(url.data, '?', url.size);

    return question != NULL ? bytes_first(url, (size_t)(question - url.data)) : url;
}

static struct bytes query_of(struct bytes url)
{
    size_t size = path_of(url).size;

    return bytes_after(url, size < url.size ? size + 1 : size);
}

static void begin_key(struct cache_key *key, struct bytes path, char sign)
{
    memcpy(key->text, path.data, path.size);
    key->text[path.size] = '\n';
    key->text[path.size + 1] = sign;
    key->primary_size = path.size;
    key->size = path.size + 2;
}

/* False if what counts of the query is too long. */
static bool make_alias_key(struct cache_key *key, const struct rule *rule, struct bytes url)
{
    size_t size;

    begin_key(key, path_of(url), '=');
    memcpy(key->text + key->size, &rule->generation, GENERATION_BYTES);
    key->size += GENERATION_BYTES;
    if (!search_canonical(&rule->variance, query_of(url), key->text + key->size,
                          sizeof key->text - key->size, &size))
        return false;
    key->size += size;
    return true;
}

/* ---- values: sealed, as all that the gateway keeps ------------------------------------------------ */

static uint64_t seal_of(const struct gateway *gateway, struct bytes key, struct bytes text)
{
    return hash_bytes(text, gateway->seed ^ hash_bytes(key, gateway->seed));
}

static void put(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                struct bytes text, int64_t ttl_ms)
{
    nh_put_options options = {.size = sizeof options, .ttl_ms = ttl_ms};
    uint64_t seal = seal_of(gateway, cache_key_bytes(key), text);
    struct buffer value = {0};

    buffer_append(&value, bytes_of(&seal, sizeof seal));
    buffer_append(&value, text);
    if (!value.failed)
        nh_put(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)),
               (nh_bytes){value.data, value.size}, &options, NULL);
    buffer_fini(&value);
}

/* `*text` lies in `value`. */
static bool get(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                char value[VALUE_BYTES_MAX], struct bytes *text, int64_t *expires_at_ms)
{
    nh_value stored;
    uint64_t seal;
    size_t size;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)), &stored) !=
        NH_OK)
        return false;
    size = stored.bytes.size;
    if (size > VALUE_BYTES_MAX || size != stored.size)
        size = 0;
    if (size > 0)
        memcpy(value, stored.bytes.data, size);
    *expires_at_ms = stored.expires_at_ms;
    nh_release(gateway->store, &stored);
    if (size <= SEAL_BYTES)
        return false;
    memcpy(&seal, value, sizeof seal);
    *text = bytes_of(value + SEAL_BYTES, size - SEAL_BYTES);
    return seal == seal_of(gateway, cache_key_bytes(key), *text);
}

/* The rule of the path of `url`; its text lies in `value`. */
static bool get_rule(struct gateway *gateway, int64_t now_mono_ms, struct bytes url,
                     char value[VALUE_BYTES_MAX], struct rule *rule)
{
    struct cache_key key;
    struct bytes text;

    begin_key(&key, path_of(url), '&');
    if (!get(gateway, now_mono_ms, &key, value, &text, &rule->expires_at_ms) ||
        text.size <= GENERATION_BYTES)
        return false;
    memcpy(&rule->generation, text.data, GENERATION_BYTES);
    rule->text = bytes_after(text, GENERATION_BYTES);
    return search_variance_of(rule->text, &rule->variance);
}

/* ---- looking ------------------------------------------------------------------------------------- */

bool search_alias_follow(struct gateway *gateway, int64_t now_mono_ms, struct cache_key *key)
{
    char value[VALUE_BYTES_MAX];
    struct bytes url = cache_key_primary(key), text;
    struct cache_key alias;
    struct rule rule;
    int64_t expires_at_ms;

    if (!get_rule(gateway, now_mono_ms, url, value, &rule) || !make_alias_key(&alias, &rule, url) ||
        !get(gateway, now_mono_ms, &alias, value, &text, &expires_at_ms) ||
        text.size > CACHE_KEY_PRIMARY_MAX || bytes_equal(text, url))
        return false;
    memcpy(key->text, text.data, text.size);
    key->primary_size = key->size = text.size;
    return true;
}

bool search_alias_holds(struct bytes fields, const struct cache_key *stored, const struct cache_key *wanted)
{
    char ours[CACHE_KEY_PRIMARY_MAX], theirs[CACHE_KEY_PRIMARY_MAX];
    struct bytes of_stored = cache_key_primary(stored), of_wanted = cache_key_primary(wanted);
    struct search_variance variance;
    struct buffer text = {0};
    size_t our_size, their_size;
    bool holds;

    search_field_join(&text, fields);
    holds = !text.failed && bytes_equal(path_of(of_stored), path_of(of_wanted)) &&
            search_variance_of(buffer_bytes(&text), &variance) &&
            search_canonical(&variance, query_of(of_stored), theirs, sizeof theirs, &their_size) &&
            search_canonical(&variance, query_of(of_wanted), ours, sizeof ours, &our_size) &&
            bytes_equal(bytes_of(ours, our_size), bytes_of(theirs, their_size));
    buffer_fini(&text);
    return holds;
}

/* ---- keeping ------------------------------------------------------------------------------------- */

/* The shard of the path of `key`, and the count of what was taken out of its paths. */
static struct fetch_shard *shard_of_path(struct gateway *gateway, struct bytes key, uint32_t **count)
{
    uint64_t hash = hash_bytes(path_of(url_of(key)), gateway->seed);
    struct fetch_shard *shard = &gateway->shards[hash % FETCH_SHARDS];

    *count = &shard->taken_out_counts[hash / FETCH_SHARDS % FENCES_PER_SHARD];
    return shard;
}

uint32_t search_alias_count(struct gateway *gateway, struct bytes key)
{
    uint32_t *taken_out_count, count;
    struct fetch_shard *shard = shard_of_path(gateway, key, &taken_out_count);

    pthread_mutex_lock(&shard->store_lock);
    count = *taken_out_count;
    pthread_mutex_unlock(&shard->store_lock);
    return count;
}

/* Puts the rule, of RULE_BYTES_MAX at most, by (2) with the generation and no less than the lifetime of the
 * one that says the same. */
static void put_rule(struct gateway *gateway, int64_t now_mono_ms, struct bytes url, struct rule *rule,
                     int64_t ttl_ms)
{
    char value[VALUE_BYTES_MAX], text[GENERATION_BYTES + RULE_BYTES_MAX];
    struct cache_key key;
    struct rule before;

    if (get_rule(gateway, now_mono_ms, url, value, &before) && bytes_equal(before.text, rule->text)) {
        rule->generation = before.generation;
        if (before.expires_at_ms == 0)
            ttl_ms = 0;
        else if (ttl_ms != 0 && before.expires_at_ms - now_mono_ms > ttl_ms)
            ttl_ms = before.expires_at_ms - now_mono_ms;
    } else {
        rule->generation = atomic_fetch_add(&gateway->generation, 1) + 1;
    }
    begin_key(&key, path_of(url), '&');
    memcpy(text, &rule->generation, GENERATION_BYTES);
    memcpy(text + GENERATION_BYTES, rule->text.data, rule->text.size);
    put(gateway, now_mono_ms, &key, bytes_of(text, GENERATION_BYTES + rule->text.size), ttl_ms);
}

void search_alias_put(struct gateway *gateway, int64_t now_mono_ms, struct bytes key, struct bytes fields,
                      uint32_t count, int64_t ttl_ms)
{
    uint32_t *taken_out_count;
    struct fetch_shard *shard = shard_of_path(gateway, key, &taken_out_count);
    struct bytes url = url_of(key);
    struct buffer text = {0};
    struct cache_key alias;
    struct rule rule;

    search_field_join(&text, fields);
    rule.text = buffer_bytes(&text);
    if (text.size > 0 && !text.failed && text.size <= RULE_BYTES_MAX &&
        search_variance_of(rule.text, &rule.variance)) {
        pthread_mutex_lock(&shard->store_lock);
        if (*taken_out_count == count) { /* (1) */
            put_rule(gateway, now_mono_ms, url, &rule, ttl_ms);
            if (make_alias_key(&alias, &rule, url))
                put(gateway, now_mono_ms, &alias, url, ttl_ms);
        }
        pthread_mutex_unlock(&shard->store_lock);
    }
    buffer_fini(&text);
}

bool search_alias_take_out(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                           struct cache_key *other)
{
    uint32_t *taken_out_count;
    struct fetch_shard *shard = shard_of_path(gateway, cache_key_primary(key), &taken_out_count);

    pthread_mutex_lock(&shard->store_lock);
    (*taken_out_count)++; /* (1) */
    pthread_mutex_unlock(&shard->store_lock);
    memcpy(other->text, key->text, key->primary_size);
    other->primary_size = other->size = key->primary_size;
    return search_alias_follow(gateway, now_mono_ms, other);
}
