#include "json_change.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

static json_t *load(struct bytes text)
{
    return json_loadb(text.data != NULL ? text.data : "", text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                      NULL);
}

static bool digest_of(struct bytes bytes, unsigned char digest[STATE_DIGEST_BYTES])
{
    return EVP_Digest(bytes.data != NULL ? bytes.data : "", bytes.size, digest, NULL, EVP_sha256(), NULL) ==
           1;
}

bool state_digest(struct bytes text, unsigned char digest[STATE_DIGEST_BYTES], bool *is_json)
{
    json_t *value = load(text);
    char *normal;
    bool is_good;

    *is_json = value != NULL;
    if (value == NULL)
        return digest_of(text, digest);
    /* 17 digits tell any two numbers apart that differ as a double. */
    normal = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    json_decref(value);
    if (normal == NULL)
        return digest_of(text, digest);
    is_good = digest_of(bytes_of_text(normal), digest);
    free(normal);
    return is_good;
}

/* Whether it would come out of a patch as it is: a null in an object would take its member away. */
static bool survives(json_t *value)
{
    const char *name;
    json_t *member;

    if (!json_is_object(value))
        return true;
    json_object_foreach(value, name, member)
    {
        if (json_is_null(member) || !survives(member))
            return false;
    }
    return true;
}

/* The patch from one to the other, or null. */
static json_t *patch_of(json_t *before, json_t *after)
{
    json_t *patch, *value, *old;
    const char *name;

    if (!json_is_object(before) || !json_is_object(after))
        return survives(after) ? json_incref(after) : NULL;
    patch = json_object();
    json_object_foreach(before, name, value)
    {
        if (json_object_get(after, name) == NULL && json_object_set_new(patch, name, json_null()) != 0)
            goto fail;
    }
    json_object_foreach(after, name, value)
    {
        old = json_object_get(before, name);
        if (old != NULL && json_equal(old, value))
            continue;
        if (json_is_null(value))
            goto fail;
        value = json_is_object(value) && json_is_object(old) ? patch_of(old, value)
                : survives(value)                            ? json_incref(value)
                                                             : NULL;
        if (value == NULL || json_object_set_new(patch, name, value) != 0)
            goto fail;
    }
    return patch;

fail:
    json_decref(patch);
    return NULL;
}

/* `value` with as few digits as tell its numbers from others: 17 say 0.1 as 0.10000000000000001. */
static char *shortest_text_of(const json_t *value)
{
    for (size_t digits = 15; digits < 17; digits++) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *again = text != NULL ? load(bytes_of_text(text)) : NULL;
        bool is_same = again != NULL && json_equal(value, again);
        json_decref(again);
        if (is_same)
            return text;
        free(text);
    }
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

bool merge_patch(struct bytes before, struct bytes after, struct buffer *patch)
{
    json_t *old = load(before), *new = load(after), *change = NULL;
    char *text = NULL;

    if (old != NULL && new != NULL)
        change = patch_of(old, new);
    if (change != NULL)
        text = shortest_text_of(change);
    if (text != NULL)
        buffer_append(patch, bytes_of_text(text));
    free(text);
    json_decref(change);
    json_decref(old);
    json_decref(new);
    return text != NULL && !patch->failed;
}
