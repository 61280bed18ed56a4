/* kv_range.c — parts of strings, read, written over and added: Redis 7's answers. */
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

#define AT_THE_END UINT64_MAX

/* Writes `part` over the value from `offset` on, or behind it, and says how long it is then. */
static void write_part(const struct kv_call *call, struct bytes part, uint64_t offset, enum kv_event event)
{
    bool is_at_end = offset == AT_THE_END;
    uint64_t bytes_min = is_at_end ? 0 : offset + part.size, more_bytes = is_at_end ? part.size : 0;
    struct kv_edit edit;
    uint64_t bytes = 0;
    nh_result result;

    do {
        result = kv_edit_begin(call, kv_key(call, 1), bytes_min, more_bytes, &edit);
        if (result == NH_OK) {
            if (part.size > 0)
                memcpy(edit.data + (is_at_end ? edit.size_before : offset), part.data, part.size);
            bytes = edit.size;
            result = kv_edit_end(call, kv_key(call, 1), &edit);
        }
    } while (result == NH_CHANGED);
    if (result != NH_OK) {
        kv_edit_refused(call, result);
        return;
    }
    kv_changed(call, kv_key(call, 1), event);
    reply_integer(call->reply, (int64_t)bytes);
}

void kv_append(const struct kv_call *call)
{
    write_part(call, call->arguments[2], AT_THE_END, KV_EVENT_append);
}

void kv_setrange(const struct kv_call *call)
{
    struct bytes part = call->arguments[3];
    int64_t offset;

    if (!int64_parse(call->arguments[2], &offset))
        kv_integer_error(call);
    else if (offset < 0)
        kv_error(call, "ERR offset is out of range");
    else if (part.size == 0) /* changes nothing, not even its length */
        reply_size(call);
    else
        write_part(call, part, (uint64_t)offset, KV_EVENT_setrange);
}
