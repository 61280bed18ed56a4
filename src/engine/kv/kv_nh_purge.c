/* kv_nh_purge.c — NH.PURGE: values dropped by tag, by the beginning of their key, or by key. */
#include "engine/kv/kv_change.h"

static void purge_tags(const struct kv_call *call, bool is_soft)
{
    uint32_t count = call->argument_count - is_soft;

    for (uint32_t i = 2; i < count; i++) {
        if (call->arguments[i].size != 0)
            continue;
        kv_error(call, "ERR a tag must not be empty");
        return;
    }
    for (uint32_t i = 2; i < count; i++)
        nh_purge_tag(call->kv->store, kv_nh_bytes(call->arguments[i]),
                     is_soft ? NH_PURGE_SOFT : NH_PURGE_DROP);
    /* Nobody knows which keys those were: who keeps copies is told to drop them all. */
    for (uint32_t database = 0; database < KV_DATABASES; database++)
        kv_flushed(call, kv_space_of(call->kv, database));
    reply_kind(call->reply, OUTCOME_ok);
}

static bool delete_key(const struct kv_call *call, nh_key key)
{
    if (nh_delete(call->kv->store, call->now.mono_ms, key) != NH_OK)
        return false;
    kv_changed(call, key, KV_EVENT_del);
    return true;
}

static void purge_keys(const struct kv_call *call)
{
    int64_t count = 0;

    for (uint32_t i = 2; i < call->argument_count; i++)
        count += delete_key(call, kv_key(call, i));
    reply_integer(call->reply, count);
}

/* Collects keys of the session's database that begin with `prefix` from `*position` on: each its size, as a
 * size_t, and its bytes. `*position` becomes where to go on, or 0. */
static nh_result collect(const struct kv_call *call, struct bytes prefix, uint64_t *position,
                         struct buffer *keys)
{
    enum { BATCH_BYTES = 64 * 1024 };
    nh_cursor *cursor;
    nh_result result = nh_cursor_create(call->kv->store, *position, &cursor);
    nh_key key;
    nh_value value;

    if (result != NH_OK)
        return result;
    nh_cursor_narrow(cursor, kv_space(call), UINT64_MAX);
    *position = 0;
    while ((result = nh_cursor_next(cursor, call->now.mono_ms, &key, &value)) == NH_OK) {
        if (!bytes_start_with(bytes_of(key.data, key.size), prefix))
            continue;
        buffer_append(keys, bytes_of(&key.size, sizeof key.size));
        buffer_append(keys, bytes_of(key.data, key.size));
        *position = nh_cursor_position(cursor);
        if (keys->failed || (keys->size >= BATCH_BYTES && *position != 0))
            break;
    }
    if (result != NH_OK)
        *position = 0;
    nh_cursor_destroy(cursor);
    return keys->failed || result == NH_NO_MEMORY ? NH_NO_MEMORY : NH_OK;
}

static int64_t delete_keys(const struct kv_call *call, struct bytes keys)
{
    int64_t count = 0;
    size_t size;

    while (keys.size > 0) {
        memcpy(&size, keys.data, sizeof size);
        keys = bytes_after(keys, sizeof size);
        count += delete_key(call, (nh_key){keys.data, size, kv_space(call)});
        keys = bytes_after(keys, size);
    }
    return count;
}

/* Batch by batch, for nothing may be written while the walk lends. */
static void purge_prefix(const struct kv_call *call)
{
    struct buffer keys = {0};
    uint64_t position = 0;
    int64_t count = 0;
    nh_result result;

    do {
        buffer_clear(&keys);
        result = collect(call, call->arguments[2], &position, &keys);
        if (result == NH_OK)
            count += delete_keys(call, buffer_bytes(&keys));
    } while (result == NH_OK && position != 0);
    buffer_fini(&keys);
    if (result == NH_OK)
        reply_integer(call->reply, count);
    else
        kv_refused(call, result);
}

void kv_nh_purge(const struct kv_call *call)
{
    uint32_t last = call->argument_count - 1;
    bool is_soft = last > 2 && kv_argument_is(call, last, BYTES("soft"));

    if (is_soft && !kv_argument_is(call, 1, BYTES("tag"))) {
        kv_error(call, "ERR SOFT goes with TAG only"); /* rather than drop what was to be served */
    } else if (kv_argument_is(call, 1, BYTES("tag"))) {
        purge_tags(call, is_soft);
    } else if (kv_argument_is(call, 1, BYTES("key"))) {
        purge_keys(call);
    } else if (kv_argument_is(call, 1, BYTES("prefix")) && last == 2 && call->arguments[2].size > 0) {
        purge_prefix(call);
    } else {
        kv_syntax_error(call);
    }
}
