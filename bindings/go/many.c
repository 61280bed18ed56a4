// go:build cgo

// Many values in one crossing: batches and walks.
#include "gate.h"

enum { PREFETCHED = 64 }; /* as many as nh_prefetch looks at */

static nh_key key_of(const nhgo_operation *operation, const uint8_t *keys, uint32_t space)
{
    return (nh_key){.data = keys != NULL ? (const void *)(keys + operation->key_at) : "",
                    .size = operation->key_size,
                    .space = space};
}

/* False if there is no room for it. */
static int run_get(nhgo_gate *gate, int64_t now_ms, nh_key key, nhgo_operation *operation, uint8_t *room,
                   nhgo_done *done, uint64_t capacity)
{
    size_t size = 0;

    operation->result =
        nh_get(store_of(gate), now_ms, key, room + done->used, capacity - done->used, &size);
    if (operation->result != NH_OK)
        return 1;
    if (size > capacity - done->used) {
        done->want = size;
        return 0;
    }
    operation->value_at = done->used;
    operation->value_size = size;
    done->used += size;
    return 1;
}

static void run_set(nhgo_gate *gate, int64_t now_ms, nh_key key, nhgo_operation *operation,
                    const uint8_t *values)
{
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = operation->ttl_ms,
                              .soft_ttl_ms = operation->soft_ttl_ms,
                              .flags = operation->flags};
    nh_bytes value = {.data = values != NULL ? (const void *)(values + operation->value_at) : "",
                      .size = operation->value_size};

    operation->result = nh_put(store_of(gate), now_ms, key, value, &options, NULL);
}

static void prefetch(nhgo_gate *gate, const nhgo_operation *operations, uint64_t count, const uint8_t *keys,
                     uint32_t space)
{
    nh_key wanted[PREFETCHED];
    size_t wanted_count = 0;

    for (uint64_t i = 0; i < count && wanted_count < PREFETCHED; i++)
        wanted[wanted_count++] = key_of(&operations[i], keys, space);
    nh_prefetch(store_of(gate), wanted, wanted_count);
}

nhgo_done nhgo_batch(nhgo_gate *gate, int64_t now_ms, uint32_t space, nhgo_operation *operations,
                     uint64_t count, const uint8_t *keys, const uint8_t *values, uint8_t *room,
                     uint64_t used, uint64_t capacity)
{
    nhgo_done done = {.used = used, .result = NHGO_CLOSED};

    if (!gate_enter(gate))
        return done;
    now_ms = gate_now(now_ms);
    for (uint64_t i = 0; i < count; i++) {
        nhgo_operation *operation = &operations[i];
        nh_key key = key_of(operation, keys, space);
        if (i % PREFETCHED == 0)
            prefetch(gate, operation, count - i, keys, space);
        if (operation->is_done)
            continue;
        switch (operation->what) {
        case NHGO_BATCH_GET:
            if (!run_get(gate, now_ms, key, operation, room, &done, capacity))
                goto leave;
            break;
        case NHGO_BATCH_SET: run_set(gate, now_ms, key, operation, values); break;
        case NHGO_BATCH_DELETE: operation->result = nh_delete(store_of(gate), now_ms, key); break;
        }
        operation->is_done = 1;
    }

leave:
    done.result = NH_OK;
    gate_leave(gate);
    return done;
}

/* Copies a value that lies in one piece or in several. */
static int copy_value(nhgo_gate *gate, const nh_value *value, uint8_t *room, uint64_t capacity)
{
    uint64_t at = 0;

    if (value->size > capacity)
        return 0;
    while (at < value->size) {
        nh_bytes piece;
        uint64_t size;
        if (nh_value_piece(store_of(gate), value, at, &piece) != NH_OK)
            return 0;
        size = piece.size < value->size - at ? piece.size : value->size - at;
        memcpy(room + at, piece.data, size);
        at += size;
    }
    return 1;
}

struct page_room {
    nhgo_entry *entries;
    uint64_t entry_count_max, used, capacity;
    uint8_t *bytes;
};

/* NH_OK with the keys of one chain added to the page; NH_TOO_LARGE: they did
 * not fit. Nothing is lent when it returns NH_OK, for the walk was at the
 * chain's end. */
static nh_result add_chain(nhgo_gate *gate, nh_cursor *cursor, int64_t now_ms, struct page_room *room,
                           nhgo_page *page)
{
    nh_value value;
    nh_key key;
    nh_result result;

    while ((result = nh_cursor_next(cursor, now_ms, &key, &value)) == NH_OK) {
        nhgo_entry *entry = &room->entries[page->count];
        if ((value.traits & NH_VALUE_NEGATIVE) != 0)
            continue;
        if (page->count == room->entry_count_max || room->capacity - room->used < key.size)
            return NH_TOO_LARGE;
        *entry = (nhgo_entry){.at = room->used, .key_size = (uint32_t)key.size, .value_size = value.size};
        memcpy(room->bytes + room->used, key.data, key.size);
        room->used += key.size;
        entry->has_value =
            (uint32_t)copy_value(gate, &value, room->bytes + room->used, room->capacity - room->used);
        if (entry->has_value)
            room->used += value.size;
        page->count++;
    }
    return result == NH_MISSING ? NH_OK : result;
}

nhgo_page nhgo_walk(nhgo_gate *gate, int64_t now_ms, uint32_t space, uint64_t position, nhgo_entry *entries,
                    uint64_t entry_count_max, uint8_t *room, uint64_t capacity)
{
    struct page_room left = {
        .entries = entries, .entry_count_max = entry_count_max, .bytes = room, .capacity = capacity};
    nhgo_page page = {.position = position, .result = NHGO_CLOSED};
    nh_cursor *cursor;

    if (!gate_enter(gate))
        return page;
    page.result = nh_cursor_create(store_of(gate), position, &cursor);
    if (page.result != NH_OK)
        goto leave;
    do {
        uint64_t count = page.count;
        nh_cursor_narrow(cursor, space, page.position + 1);
        page.result = add_chain(gate, cursor, gate_now(now_ms), &left, &page);
        if (page.result == NH_TOO_LARGE && count > 0) { /* the next page begins with this chain */
            page.count = count;
            page.result = NH_OK;
            break;
        }
        page.position = nh_cursor_position(cursor);
    } while (page.result == NH_OK && page.position != 0 && left.used < left.capacity / 2);
    nh_cursor_destroy(cursor);

leave:
    gate_leave(gate);
    return page;
}
