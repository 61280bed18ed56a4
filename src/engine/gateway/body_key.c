#include "body_key.h"
#include <openssl/evp.h>

/* Each part with its size before it, so that no two requests say the same in different parts. */
static bool add_part(EVP_MD_CTX *context, struct bytes part)
{
    uint64_t size = part.size;

    return EVP_DigestUpdate(context, &size, sizeof size) == 1 &&
           (part.size == 0 || EVP_DigestUpdate(context, part.data, part.size) == 1);
}

static bool is_about_body(enum http_header header, struct bytes name)
{
    return header == HTTP_HEADER_CONTENT_TYPE || header == HTTP_HEADER_CONTENT_ENCODING ||
           bytes_equal_nocase(name, BYTES("Content-Language"));
}

bool body_digest(const struct http_request *request, struct bytes body,
                 unsigned char digest[BODY_DIGEST_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                   add_part(context, request->method_name);

    for (size_t i = 0; i < request->fields.count && is_good; i++) {
        const struct http_field *field = &request->fields.list[i];
        if (is_about_body(field->header, field->name))
            is_good = add_part(context, field->name) && add_part(context, field->value);
    }
    is_good = is_good && add_part(context, body) && EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

static bool has(struct bytes body, struct bytes word)
{
    return body.size > 0 && memmem(body.data, body.size, word.data, word.size) != NULL;
}

bool may_be_mutation(const struct http_request *request, struct bytes body)
{
    return http_fields_find(&request->fields, HTTP_HEADER_CONTENT_ENCODING) != NULL ||
           has(body, BYTES("mutation")) || has(body, BYTES("\\u"));
}

static void generation_key(struct cache_key *made, const struct cache_key *key)
{
    memcpy(made->text, key->text, key->primary_size);
    made->primary_size = key->primary_size;
    made->text[key->primary_size] = '\n';
    made->text[key->primary_size + 1] = '?';
    made->size = key->primary_size + 2;
}

static bool read_generation(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *place,
                            uint64_t *generation)
{
    struct stored_variants variants;
    nh_value value;
    bool is_there;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(place)), &value) !=
        NH_OK)
        return false;
    is_there = stored_variants_decode(bytes_of_value(&value), gateway->seed, &variants);
    if (is_there)
        *generation = variants.generation;
    nh_release(gateway->store, &value);
    return is_there;
}

/* What another has added meanwhile counts. If nothing can be kept each has a generation of his own. */
static uint64_t add_generation(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *place)
{
    struct stored_variants variants = {.generation = atomic_fetch_add(&gateway->generation, 1) + 1};
    uint64_t generation = variants.generation;
    struct buffer value = {0};

    stored_variants_encode(&value, gateway->seed, &variants);
    if (!value.failed && nh_add(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(place)),
                                (nh_bytes){value.data, value.size}, NULL, NULL) == NH_EXISTS)
        read_generation(gateway, now_mono_ms, place, &generation);
    buffer_fini(&value);
    return generation;
}

void body_key(struct gateway *gateway, int64_t now_mono_ms, struct cache_key *key,
              const unsigned char digest[BODY_DIGEST_BYTES])
{
    struct cache_key place;
    uint64_t generation;

    generation_key(&place, key);
    if (!read_generation(gateway, now_mono_ms, &place, &generation))
        generation = add_generation(gateway, now_mono_ms, &place);
    memcpy(key->text, place.text, place.size);
    memcpy(key->text + place.size, &generation, sizeof generation);
    memcpy(key->text + place.size + sizeof generation, digest, BODY_DIGEST_BYTES);
    key->primary_size = key->size = place.size + sizeof generation + BODY_DIGEST_BYTES;
}

void body_keys_forget(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    struct cache_key place;

    generation_key(&place, key);
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&place)));
}
