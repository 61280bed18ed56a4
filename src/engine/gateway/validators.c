#include "validators.h"

enum { KEY_SIGN_BYTES = 2 };

struct validators_key {
    char text[KEY_SIGN_BYTES + 2 * sizeof(uint64_t)];
};

/* No other body has its number, so that nothing has to be forgotten with the answer. */
static struct bytes write_key(struct validators_key *key, uint64_t body_number, uint64_t asker)
{
    memcpy(key->text, "\n&", KEY_SIGN_BYTES);
    memcpy(key->text + KEY_SIGN_BYTES, &body_number, sizeof body_number);
    memcpy(key->text + KEY_SIGN_BYTES + sizeof body_number, &asker, sizeof asker);
    return bytes_of(key->text, sizeof key->text);
}

static bool has_any(const struct stored_response *response)
{
    return response->etag.size > 0 || response->last_modified.size > 0;
}

void validators_find(struct gateway *gateway, int64_t now_mono_ms, const struct stored_response *response,
                     uint64_t asker, struct validators *validators)
{
    struct stored_validators stored;
    struct validators_key key;
    nh_value value;

    *validators = (struct validators){0};
    if (response->asker == asker || (response->flags & STORED_VALID_FOR_ALL) || !has_any(response)) {
        validators->etag = response->etag;
        validators->last_modified = response->last_modified;
        return;
    }
    if (nh_borrow(gateway->store, now_mono_ms,
                  gateway_key(gateway, write_key(&key, response->body_number, asker)), &value) != NH_OK)
        return;
    buffer_append(&validators->text, bytes_of_value(&value));
    nh_release(gateway->store, &value);
    if (!validators->text.failed &&
        stored_validators_decode(buffer_bytes(&validators->text), gateway->seed, &stored)) {
        validators->etag = stored.etag;
        validators->last_modified = stored.last_modified;
    }
}

void validators_fini(struct validators *validators) { buffer_fini(&validators->text); }

/* What `asker` was given for the body of `response` before somebody else asked. */
static void keep(struct gateway *gateway, int64_t now_mono_ms, const struct stored_response *response,
                 int64_t keep_ms)
{
    struct buffer value = {0};
    struct validators_key key;
    nh_put_options options = {.size = sizeof options, .ttl_ms = keep_ms};

    stored_validators_encode(&value, gateway->seed,
                             &(struct stored_validators){response->etag, response->last_modified});
    if (!value.failed) /* what there is no room for costs a whole answer, once */
        nh_put(gateway->store, now_mono_ms,
               gateway_key(gateway, write_key(&key, response->body_number, response->asker)),
               (nh_bytes){value.data, value.size}, &options, NULL);
    buffer_fini(&value);
}

static bool are_the_same(const struct stored_response *one, const struct stored_response *other)
{
    return has_any(one) && bytes_equal(one->etag, other->etag) &&
           (one->etag.size > 0 || bytes_equal(one->last_modified, other->last_modified));
}

void validators_carry(struct gateway *gateway, int64_t now_mono_ms, const nh_value *value,
                      const struct stored_response *before, struct bytes body, int64_t keep_ms,
                      struct stored_response *response)
{
    bool is_same_body;

    response->flags |= before->flags & STORED_VALID_FOR_ALL;
    if (before->asker == response->asker)
        return;
    if (are_the_same(before, response)) {
        response->flags |= STORED_VALID_FOR_ALL;
        return;
    }
    is_same_body =
        response->body_number == before->body_number || value_has_body(gateway, value, before, body);
    if (!is_same_body || !has_any(before))
        return;
    response->flags &= ~(unsigned)STORED_VALID_FOR_ALL;
    response->body_number = before->body_number;
    keep(gateway, now_mono_ms, before, keep_ms);
}
