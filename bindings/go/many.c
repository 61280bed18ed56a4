// go:build cgo

// Many values in one crossing: batches and walks.
#include "gate.h"

enum {
    WINDOW = 32,           /* operations that are looked at together; as many as nh_get_many does */
    SLOT_BYTES_MAX = 1024, /* a window of such values stays within the processor's first cache */
};

/* A batch under way. */
struct batch {
    nhgo_gate *gate;
    int64_t now_ms;
    uint32_t space;
    const uint8_t *keys, *values;
    uint8_t *room;
    uint64_t capacity;
    nhgo_done done;
};

static nh_key key_of(const struct batch *batch, const nhgo_operation *operation)
{
    return (nh_key){.data = batch->keys != NULL ? (const void *)(batch->keys + operation->key_at) : "",
                    .size = operation->key_size,
                    .space = batch->space};
}

/* The value is at the end of what is used of the room. */
static void take(struct batch *batch, nhgo_operation *operation, uint64_t size)
{
    operation->value_at = batch->done.used;
    operation->value_size = size;
    operation->is_done = 1;
    batch->done.used += size;
}

/* False if there is no room for it. */
static int run_get(struct batch *batch, nhgo_operation *operation)
{
    uint64_t capacity = batch->capacity - batch->done.used;
    size_t size = 0;

    operation->result = nh_get(store_of(batch->gate), batch->now_ms, key_of(batch, operation),
                               batch->room + batch->done.used, capacity, &size);
    if (operation->result == NH_OK && size > capacity) {
        batch->done.want = size;
        return 0;
    }
    take(batch, operation, operation->result == NH_OK ? size : 0);
    return 1;
}

static void run_set(struct batch *batch, nhgo_operation *operation)
{
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = operation->ttl_ms,
                              .soft_ttl_ms = operation->soft_ttl_ms,
                              .flags = operation->flags};
    nh_bytes value = {.data =
                          batch->values != NULL ? (const void *)(batch->values + operation->value_at) : "",
                      .size = operation->value_size};

    operation->result =
        nh_put(store_of(batch->gate), batch->now_ms, key_of(batch, operation), value, &options, NULL);
    operation->is_done = 1;
}

/* Operations of any kind, one after the other. False if there is no room for a value. */
static int run_each(struct batch *batch, nhgo_operation *operations, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        nhgo_operation *operation = &operations[i];
        if (operation->is_done)
            continue;
        switch (operation->what) {
        case NHGO_BATCH_GET:
            if (!run_get(batch, operation))
                return 0;
            break;
        case NHGO_BATCH_SET: run_set(batch, operation); break;
        case NHGO_BATCH_DELETE:
            operation->result = nh_delete(store_of(batch->gate), batch->now_ms, key_of(batch, operation));
            operation->is_done = 1;
            break;
        }
    }
    return 1;
}

static void prefetch(const struct batch *batch, const nhgo_operation *operations, uint64_t count)
{
    nh_key wanted[WINDOW];

    for (uint64_t i = 0; i < count; i++)
        wanted[i] = key_of(batch, &operations[i]);
    nh_prefetch(store_of(batch->gate), wanted, count);
}

/* A window of gets by nh_get_many, which wants to be told where each value goes before anybody knows how
 * large it is: to a slot. Then they are moved together, and those that were larger are got one by one.
 * False if there is no room. */
static int run_gets(struct batch *batch, nhgo_operation *operations, uint64_t count)
{
    nh_get_request requests[WINDOW];
    uint8_t *slots = batch->room + batch->done.used;
    uint64_t slot_bytes = batch->done.slot_bytes;
    int are_done = 1;

    if (batch->capacity - batch->done.used < count * slot_bytes) {
        batch->done.want = count * slot_bytes;
        return 0;
    }
    for (uint64_t i = 0; i < count; i++)
        requests[i] = (nh_get_request){
            .key = key_of(batch, &operations[i]), .buffer = slots + i * slot_bytes, .capacity = slot_bytes};
    nh_get_many(store_of(batch->gate), batch->now_ms, requests, count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size = requests[i].result == NH_OK ? requests[i].value_bytes : 0;
        if (size > slot_bytes) {
            are_done = 0;
            continue;
        }
        operations[i].result = requests[i].result;
        if (requests[i].buffer != batch->room + batch->done.used) /* never, once all are of one size */
            memmove(batch->room + batch->done.used, requests[i].buffer, size);
        take(batch, &operations[i], size);
    }
    return are_done || run_each(batch, operations, count);
}

/* How large the next values may be: what the window's largest is, and not much less than what was thought,
 * lest a few small ones have all that follow looked at twice. */
static uint64_t next_slot_bytes(uint64_t slot_bytes, const nhgo_operation *operations, uint64_t count)
{
    uint64_t largest = 0;

    for (uint64_t i = 0; i < count; i++)
        if (operations[i].what == NHGO_BATCH_GET && operations[i].value_size > largest)
            largest = operations[i].value_size;
    if (largest == 0)
        return slot_bytes;
    if (largest < slot_bytes)
        return slot_bytes - (slot_bytes - largest + 7) / 8;
    return largest < 2 * SLOT_BYTES_MAX ? largest : 2 * SLOT_BYTES_MAX;
}

static int are_gets(const nhgo_operation *operations, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (operations[i].what != NHGO_BATCH_GET || operations[i].is_done)
            return 0;
    return 1;
}

/* False if there is no room for a value. */
static int run_window(struct batch *batch, nhgo_operation *operations, uint64_t count)
{
    if (batch->done.slot_bytes <= SLOT_BYTES_MAX && are_gets(operations, count))
        return run_gets(batch, operations, count);
    prefetch(batch, operations, count);
    return run_each(batch, operations, count);
}

nhgo_done nhgo_batch(nhgo_gate *gate, int64_t now_ms, uint32_t space, nhgo_operation *operations,
                     uint64_t count, const uint8_t *keys, const uint8_t *values, uint8_t *room,
                     uint64_t used, uint64_t capacity, uint64_t slot_bytes)
{
    struct batch batch = {.gate = gate,
                          .space = space,
                          .keys = keys,
                          .values = values,
                          .room = room,
                          .capacity = capacity,
                          .done = {.used = used, .slot_bytes = slot_bytes, .result = NHGO_CLOSED}};
    uint64_t window;

    if (!gate_enter(gate))
        return batch.done;
    batch.now_ms = gate_now(now_ms);
    for (uint64_t i = 0; i < count; i += window) {
        window = 1;
        if (operations[i].is_done)
            continue;
        window = count - i < WINDOW ? count - i : WINDOW;
        if (!run_window(&batch, &operations[i], window))
            break;
        batch.done.slot_bytes = next_slot_bytes(batch.done.slot_bytes, &operations[i], window);
    }
    batch.done.result = NH_OK;
    gate_leave(gate);
    return batch.done;
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
