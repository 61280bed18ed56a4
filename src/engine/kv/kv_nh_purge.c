/* kv_nh_purge.c — NH.PURGE: values dropped, or made stale (SOFT), by tag, by the beginning of their key, or
 * by key. */
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_purge.h"

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

/* Counts the key if it was there. False, with an error said, if there is no room to make it stale. */
static bool purge_key(const struct kv_call *call, nh_key key, bool is_soft, int64_t *count)
{
    nh_result result = is_soft ? nh_make_stale(call->kv->store, call->now.mono_ms, key)
                               : nh_delete(call->kv->store, call->now.mono_ms, key);

    if (result == NH_OK) {
        *count += 1;
        kv_changed(call, key, is_soft ? KV_EVENT_set : KV_EVENT_del);
    } else if (result == NH_FULL) {
        kv_refused(call, result);
        return false;
    }
    return true;
}

static void purge_keys(const struct kv_call *call, bool is_soft)
{
    int64_t count = 0;

    for (uint32_t i = 2; i < call->argument_count - is_soft; i++)
        if (!purge_key(call, kv_key(call, i), is_soft, &count))
            return;
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

/* False if an error was said. */
static bool purge_collected(const struct kv_call *call, struct bytes keys, bool is_soft, int64_t *count)
{
    size_t size;

    while (keys.size > 0) {
        memcpy(&size, keys.data, sizeof size);
        keys = bytes_after(keys, sizeof size);
        if (!purge_key(call, (nh_key){keys.data, size, kv_space(call)}, is_soft, count))
            return false;
        keys = bytes_after(keys, size);
    }
    return true;
}

/* Batch by batch, for nothing may be written while the walk lends. */
static void purge_prefix(const struct kv_call *call, bool is_soft)
{
    struct buffer keys = {0};
    uint64_t position = 0;
    int64_t count = 0;
    bool goes_on;

    do {
        nh_result result;
        buffer_clear(&keys);
        result = collect(call, call->arguments[2], &position, &keys);
        if (result != NH_OK)
            kv_refused(call, result);
        goes_on = result == NH_OK && purge_collected(call, buffer_bytes(&keys), is_soft, &count);
    } while (goes_on && position != 0);
    buffer_fini(&keys);
    if (goes_on)
        reply_integer(call->reply, count);
}

void kv_nh_purge(const struct kv_call *call)
{
    uint32_t last = call->argument_count - 1;
    bool is_soft = kv_purge_is_soft(call->arguments, call->argument_count);

    if (kv_argument_is(call, 1, BYTES("tag"))) {
        purge_tags(call, is_soft);
    } else if (kv_argument_is(call, 1, BYTES("key"))) {
        purge_keys(call, is_soft);
    } else if (kv_argument_is(call, 1, BYTES("prefix")) && last - is_soft == 2 &&
               call->arguments[2].size > 0) {
        purge_prefix(call, is_soft);
    } else {
        kv_syntax_error(call);
    }
}
