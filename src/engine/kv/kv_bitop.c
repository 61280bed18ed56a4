/* kv_bitop.c — BITOP: Redis 7's answers. */
#include "engine/kv/kv_change.h"

enum operation { AND, OR, XOR, NOT };

static bool read_operation(const struct kv_call *call, enum operation *operation)
{
    static const struct bytes names[] = {[AND] = BYTES_INIT("and"),
                                         [OR] = BYTES_INIT("or"),
                                         [XOR] = BYTES_INIT("xor"),
                                         [NOT] = BYTES_INIT("not")};

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (kv_argument_is(call, 1, names[i])) {
            *operation = (enum operation)i;
            return true;
        }
    return false;
}

static void apply(enum operation operation, unsigned char *to, const unsigned char *from, size_t size)
{
    switch (operation) {
    case AND:
        for (size_t i = 0; i < size; i++)
            to[i] &= from[i];
        return;
    case OR:
        for (size_t i = 0; i < size; i++)
            to[i] |= from[i];
        return;
    case XOR:
        for (size_t i = 0; i < size; i++)
            to[i] ^= from[i];
        return;
    case NOT: /* from[i] is the only one, and `to` is all zeros */
        for (size_t i = 0; i < size; i++)
            to[i] = (unsigned char)~from[i];
        return;
    }
}

/* Makes `result` at least `size` long, with zeros behind what is there. */
static void lengthen(struct buffer *result, size_t size)
{
    size_t more = size > result->size ? size - result->size : 0;
    char *end = more > 0 ? buffer_reserve(result, more) : NULL;

    if (end == NULL)
        return;
    memset(end, 0, more);
    buffer_commit(result, more);
}

/* Brings one more value into the result; one that is shorter counts as followed by zeros. */
static void combine(const struct kv_call *call, enum operation operation, const nh_value *value,
                    bool is_first, struct buffer *result)
{
    nh_bytes piece;

    lengthen(result, value->size);
    if (result->failed)
        return;
    for (uint64_t at = 0; at < value->size && nh_value_piece(call->kv->store, value, at, &piece) == NH_OK;
         at += piece.size)
        apply(is_first && operation != NOT ? OR : operation, (unsigned char *)result->data + at, piece.data,
              piece.size);
    if (operation == AND && !is_first && value->size < result->size)
        memset(result->data + value->size, 0, result->size - value->size);
}

/* With nothing in the result the destination goes, as no string is empty that nobody has set so. */
static void put_result(const struct kv_call *call, struct bytes result)
{
    nh_key key = kv_key(call, 2);
    nh_result put;

    if (result.size == 0) {
        if (nh_delete(call->kv->store, call->now.mono_ms, key) == NH_OK)
            kv_changed(call, key, KV_EVENT_del);
        reply_integer(call->reply, 0);
        return;
    }
    put = nh_put(call->kv->store, call->now.mono_ms, key, kv_nh_bytes(result), NULL, NULL);
    if (put != NH_OK) {
        kv_refused(call, put);
        return;
    }
    kv_changed(call, key, KV_EVENT_set);
    reply_integer(call->reply, (int64_t)result.size);
}

void kv_bitop(const struct kv_call *call)
{
    struct buffer result = {0};
    enum operation operation;
    nh_value value;

    if (!read_operation(call, &operation)) {
        kv_syntax_error(call);
        return;
    }
    if (operation == NOT && call->argument_count != 4) {
        kv_error(call, "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    for (uint32_t i = 3; i < call->argument_count && !result.failed; i++) {
        if (kv_peek(call, kv_key(call, i), &value) != NH_OK)
            value = (nh_value){.size = 0};
        combine(call, operation, &value, i == 3, &result);
        nh_release(call->kv->store, &value);
    }
    if (result.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        put_result(call, buffer_bytes(&result));
    buffer_fini(&result);
}
