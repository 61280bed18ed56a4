/* kv_range.c — parts of strings: Redis 7's answers. */
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_edit.h"

/* Says the bytes from `first` on, `size` of them, which a lent value has, and releases it. */
static void reply_part(const struct kv_call *call, nh_value *value, uint64_t first, uint64_t size)
{
    struct buffer copy = {0};
    nh_bytes piece;

    if (value->bytes.size == value->size) {
        reply_value(call->reply, bytes_of((const char *)value->bytes.data + first, size));
    } else {
        for (uint64_t at = first;
             at < first + size && nh_value_piece(call->kv->store, value, at, &piece) == NH_OK;
             at += piece.size)
            buffer_append(&copy, bytes_of(piece.data,
                                          piece.size < first + size - at ? piece.size : first + size - at));
        if (copy.failed)
            kv_refused(call, NH_NO_MEMORY);
        else
            reply_value(call->reply, buffer_bytes(&copy));
        buffer_fini(&copy);
    }
    nh_release(call->kv->store, value);
}

void kv_getrange(const struct kv_call *call)
{
    int64_t first, last, bytes;
    nh_value value;

    if (!int64_parse(call->arguments[2], &first) || !int64_parse(call->arguments[3], &last)) {
        kv_integer_error(call);
        return;
    }
    if ((first < 0 && last < 0 && first > last) || kv_peek(call, kv_key(call, 1), &value) != NH_OK) {
        reply_value(call->reply, BYTES(""));
        return;
    }
    bytes = (int64_t)value.size;
    first = first >= 0 ? first : first + bytes > 0 ? first + bytes : 0;
    last = last >= 0 ? last : last + bytes > 0 ? last + bytes : 0;
    if (last >= bytes)
        last = bytes - 1;
    if (first > last)
        reply_part(call, &value, 0, 0);
    else
        reply_part(call, &value, (uint64_t)first, (uint64_t)(last - first + 1));
}

void kv_substr(const struct kv_call *call) { kv_getrange(call); }

/* Of a write that reads: a key that is missing was not asked for. */
static void reply_size(const struct kv_call *call)
{
    uint64_t bytes = 0;
    nh_value value;

    if (nh_peek(call->kv->store, call->now.mono_ms, kv_key(call, 1), &value) == NH_OK) {
        bytes = value.size;
        nh_release(call->kv->store, &value);
    }
    reply_integer(call->reply, (int64_t)bytes);
}

void kv_setrange(const struct kv_call *call)
{
    struct bytes part = call->arguments[3];
    struct kv_edit edit;
    uint64_t bytes = 0;
    nh_result result;
    int64_t offset;

    if (!int64_parse(call->arguments[2], &offset)) {
        kv_integer_error(call);
        return;
    }
    if (offset < 0) {
        kv_error(call, "ERR offset is out of range");
        return;
    }
    if (part.size == 0) { /* changes nothing, not even its length */
        reply_size(call);
        return;
    }
    do {
        result = kv_edit_begin(call, kv_key(call, 1), (uint64_t)offset + part.size, 0, &edit);
        if (result == NH_OK) {
            memcpy(edit.data + offset, part.data, part.size);
            bytes = edit.size;
            result = kv_edit_end(call, kv_key(call, 1), &edit);
        }
    } while (result == NH_CHANGED);
    if (result != NH_OK) {
        kv_edit_refused(call, result);
        return;
    }
    kv_changed(call, kv_key(call, 1), KV_EVENT_setrange);
    reply_integer(call->reply, (int64_t)bytes);
}
