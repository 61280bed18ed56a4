/* copy.c — from one key to another. */
#include "store/put.h"
#include <stdlib.h>

/* All of a lent value in one run of bytes: its own, or those of `*copy`, which the caller frees. Null data:
 * no memory. */
static nh_bytes whole(nh_store *store, const nh_value *value, char **copy)
{
    nh_bytes piece;

    *copy = NULL;
    if (value->bytes.size == value->size)
        return value->bytes;
    *copy = malloc(value->size);
    for (uint64_t at = 0;
         *copy != NULL && at < value->size && nh_value_piece(store, value, at, &piece) == NH_OK;
         at += piece.size)
        memcpy(*copy + at, piece.data, piece.size);
    return (nh_bytes){*copy, value->size};
}

nh_result nh_copy(nh_store *store, int64_t now_ms, nh_key from, nh_key to, uint64_t *version)
{
    static const nh_put_options none = {.size = sizeof none};
    uint32_t hashes[NH_TAGS_MAX];
    nh_result result = key_check(store, from);
    struct record_plan plan;
    nh_value value;
    nh_bytes bytes;
    char *copy;

    if (result == NH_OK)
        result = key_check(store, to);
    if (result == NH_OK)
        result = borrow_with_plan(store, now_ms, from, &value, &plan, hashes);
    if (result != NH_OK)
        return result;
    bytes = whole(store, &value, &copy);
    plan.key = to;
    plan.value_bytes = value.size;
    plan.traits = 0;
    record_plan_traits(&plan, now_ms);
    if (value.traits & NH_VALUE_GROWING)
        result = NH_GROWING;
    else if (bytes.data == NULL)
        result = NH_NO_MEMORY;
    else
        result = put_planned(store, now_ms, &plan, &none, bytes, version);
    nh_release(store, &value);
    free(copy);
    return result;
}
