// go:build cgo

// One value at a time: read, lent, written.
#include "gate.h"

static nh_key key_of(const uint8_t *key, nhgo_key of)
{
    /* An empty slice may have no address. */
    return (nh_key){.data = key != NULL ? (const void *)key : "", .size = of.size, .space = of.space};
}

static nh_bytes bytes_of(const uint8_t *data, uint64_t size)
{
    return (nh_bytes){.data = data != NULL ? (const void *)data : "", .size = size};
}

nhgo_got nhgo_get(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, uint8_t *room,
                  uint64_t capacity)
{
    nhgo_got got = {.result = NHGO_CLOSED};
    size_t size = 0;

    if (!gate_enter(gate))
        return got;
    got.result = nh_get(store_of(gate), gate_now(now_ms), key_of(key, of), room, capacity, &size);
    got.size = size;
    gate_leave(gate);
    return got;
}

/* What is known of a lent value, and as much of it as there is room for. */
static void describe(nhgo_gate *gate, int64_t now_ms, const nh_value *value, nhgo_item *item, uint8_t *room,
                     uint64_t capacity)
{
    uint64_t at = 0;

    item->size = value->size;
    item->version = value->version;
    item->flags = value->flags;
    item->traits = value->traits;
    if (value->expires_at_ms != 0)
        item->ttl_ms = value->expires_at_ms > now_ms ? value->expires_at_ms - now_ms : 1;
    while (at < value->size && at < capacity) {
        nh_bytes piece;
        uint64_t count;
        if (nh_value_piece(store_of(gate), value, at, &piece) != NH_OK)
            return;
        count = piece.size < capacity - at ? piece.size : capacity - at;
        count = count < value->size - at ? count : value->size - at;
        memcpy(room + at, piece.data, count);
        at += count;
    }
}

nhgo_item nhgo_read(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, uint8_t *room,
                    uint64_t capacity)
{
    nhgo_item item = {.result = NHGO_CLOSED};
    nh_value value;

    if (!gate_enter(gate))
        return item;
    now_ms = gate_now(now_ms);
    item.result = nh_borrow(store_of(gate), now_ms, key_of(key, of), &value);
    if (item.result == NH_OK) {
        describe(gate, now_ms, &value, &item, room, capacity);
        nh_release(store_of(gate), &value);
    }
    gate_leave(gate);
    return item;
}

nhgo_item nhgo_fetch(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, int64_t lease_ms,
                     uint32_t early_percent, uint8_t *room, uint64_t capacity)
{
    nh_fetch_options options = {
        .size = sizeof options, .lease_ms = lease_ms, .early_percent = early_percent};
    nhgo_item item = {.result = NHGO_CLOSED};
    nh_value value;

    if (!gate_enter(gate))
        return item;
    now_ms = gate_now(now_ms);
    item.result =
        nh_fetch(store_of(gate), now_ms, key_of(key, of), &options, &item.state, &item.lease, &value);
    if (item.result == NH_OK && item.state <= NH_FETCH_STALE_LEASE) {
        describe(gate, now_ms, &value, &item, room, capacity);
        nh_release(store_of(gate), &value);
    }
    if (item.result == NH_OK &&
        (item.state == NH_FETCH_HIT || item.state == NH_FETCH_STALE || item.state == NH_FETCH_MISS_WAIT))
        item.lease = 0;
    gate_leave(gate);
    return item;
}

int32_t nhgo_lend(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, nhgo_loan *loan)
{
    nh_result result;

    if (!gate_enter(gate))
        return NHGO_CLOSED;
    result = nh_borrow(store_of(gate), gate_now(now_ms), key_of(key, of), &loan->value);
    if (result != NH_OK)
        gate_leave(gate);
    return result;
}

int32_t nhgo_copy_pieces(nhgo_gate *gate, nhgo_loan *loan, uint8_t *room)
{
    uint64_t at = 0;

    while (at < loan->value.size) {
        nh_bytes piece;
        nh_result result = nh_value_piece(store_of(gate), &loan->value, at, &piece);
        if (result != NH_OK)
            return result;
        if (piece.size > loan->value.size - at)
            piece.size = loan->value.size - at;
        memcpy(room + at, piece.data, piece.size);
        at += piece.size;
    }
    return NH_OK;
}

void nhgo_return(nhgo_gate *gate, nhgo_loan *loan)
{
    nh_release(store_of(gate), &loan->value);
    gate_leave(gate);
}

int32_t nhgo_put(nhgo_gate *gate, int64_t now_ms, int32_t how, const uint8_t *key, nhgo_key of,
                 const uint8_t *value, uint64_t value_size, nhgo_settings settings, const uint8_t *tag_text,
                 const uint32_t *tag_sizes, uint32_t tag_count, uint64_t number)
{
    nh_bytes tags[NH_TAGS_MAX], bytes = bytes_of(value, value_size);
    nh_put_options options = {
        .size = sizeof options,
        .ttl_ms = settings.ttl_ms,
        .soft_ttl_ms = settings.soft_ttl_ms,
        .flags = settings.flags,
        .keep_ttl = settings.keep_ttl,
        .tags = tags,
        .tag_count = tag_count,
        .cost_ms = settings.cost_ms,
        .negative = settings.negative,
    };
    nh_key name = key_of(key, of);
    nh_result result = NH_INVALID;
    nh_store *store = store_of(gate);

    if (tag_count > NH_TAGS_MAX)
        return NH_INVALID;
    for (uint32_t i = 0; i < tag_count; i++) {
        tags[i] = bytes_of(tag_text, tag_sizes[i]);
        if (tag_text != NULL)
            tag_text += tag_sizes[i];
    }
    if (!gate_enter(gate))
        return NHGO_CLOSED;
    now_ms = gate_now(now_ms);
    switch (how) {
    case NHGO_PUT: result = nh_put(store, now_ms, name, bytes, &options, NULL); break;
    case NHGO_ADD: result = nh_add(store, now_ms, name, bytes, &options, NULL); break;
    case NHGO_REPLACE: result = nh_replace(store, now_ms, name, bytes, &options, NULL); break;
    case NHGO_CAS: result = nh_cas(store, now_ms, name, bytes, &options, number, NULL); break;
    case NHGO_FILL: result = nh_fill(store, now_ms, name, number, bytes, &options, NULL); break;
    }
    gate_leave(gate);
    return result;
}

/* The calls that are one of the library's and no more. */
#define INSIDE(call)                                                                                       \
    nh_result result;                                                                                      \
    if (!gate_enter(gate))                                                                                 \
        return NHGO_CLOSED;                                                                                \
    result = (call);                                                                                       \
    gate_leave(gate);                                                                                      \
    return result

int32_t nhgo_give_up(nhgo_gate *gate, const uint8_t *key, nhgo_key of, uint64_t lease)
{
    INSIDE(nh_give_up(store_of(gate), key_of(key, of), lease));
}

int32_t nhgo_extend(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, const uint8_t *more,
                    uint64_t more_size, int32_t in_front)
{
    nh_bytes bytes = bytes_of(more, more_size);

    INSIDE(in_front ? nh_prepend(store_of(gate), gate_now(now_ms), key_of(key, of), bytes, NULL)
                    : nh_append(store_of(gate), gate_now(now_ms), key_of(key, of), bytes, NULL));
}

int32_t nhgo_delete(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of)
{
    INSIDE(nh_delete(store_of(gate), gate_now(now_ms), key_of(key, of)));
}

int32_t nhgo_touch(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, int64_t ttl_ms)
{
    INSIDE(nh_touch(store_of(gate), gate_now(now_ms), key_of(key, of), ttl_ms));
}

int32_t nhgo_make_stale(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of)
{
    INSIDE(nh_make_stale(store_of(gate), gate_now(now_ms), key_of(key, of)));
}

nhgo_sum nhgo_increment(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, int64_t delta)
{
    nhgo_sum sum = {.result = NHGO_CLOSED};

    if (!gate_enter(gate))
        return sum;
    sum.result = nh_increment(store_of(gate), gate_now(now_ms), key_of(key, of), delta, NH_INCREMENT_SIGNED,
                              &sum.sum);
    gate_leave(gate);
    return sum;
}

int32_t nhgo_purge_tag(nhgo_gate *gate, const uint8_t *tag, uint64_t size, int32_t how)
{
    INSIDE(nh_purge_tag(store_of(gate), bytes_of(tag, size), how));
}

int32_t nhgo_clear(nhgo_gate *gate, uint32_t space) { INSIDE((nh_clear(store_of(gate), space), NH_OK)); }

nhgo_sum nhgo_count(nhgo_gate *gate, uint32_t space)
{
    nhgo_sum count = {.result = NHGO_CLOSED};

    if (!gate_enter(gate))
        return count;
    count.sum = (int64_t)nh_count(store_of(gate), space);
    count.result = NH_OK;
    gate_leave(gate);
    return count;
}

int32_t nhgo_sweep(nhgo_gate *gate, int64_t now_ms, uint64_t budget_count)
{
    INSIDE((nh_sweep(store_of(gate), gate_now(now_ms), budget_count), NH_OK));
}

int32_t nhgo_stats(nhgo_gate *gate, nh_stats *stats)
{
    stats->size = sizeof *stats;
    INSIDE(nh_stats_read(store_of(gate), stats));
}
