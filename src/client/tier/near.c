#include "client/tier/near.h"

/* As marks_hold, of what lies in the store, in the order that (4) of marks.h wants. */
static bool holds(const struct marks *marks, const nh_value *value, uint16_t slot, int64_t now_ms)
{
    struct tier_mark mark = {
        .source = value->flags & ~NEAR_NOTHING,
        .slot_epoch = value->note != NULL ? __atomic_load_n(value->note, __ATOMIC_RELAXED) : 0,
    };

    return marks_hold(marks, mark, slot, now_ms);
}

static enum near_look seen(nh_store *store, nh_value *value)
{
    bool is_nothing = (value->flags & NEAR_NOTHING) != 0;

    if (is_nothing)
        nh_release(store, value);
    value->flags = 0; /* ours, and no one else's business */
    value->note = NULL;
    return is_nothing ? NEAR_LOOK_NOTHING : NEAR_LOOK_VALUE;
}

enum near_look near_peek(struct near_store *near, int64_t now_ms, nh_key key, nh_value *value)
{
    uint16_t slot = valkey_slot(bytes_of(key.data, key.size));
    uint32_t told = marks_told(near->marks, slot);

    if (nh_peek(near->store, now_ms, key, value) != NH_OK)
        return NEAR_LOOK_ABSENT;
    if (!holds(near->marks, value, slot, now_ms) || marks_told(near->marks, slot) != told) {
        nh_release(near->store, value);
        return NEAR_LOOK_DOUBTED;
    }
    return seen(near->store, value);
}

/* A value that was copied for its borrower has lost its note. It holds if what lies in the store has the
 * same bytes and holds. */
static enum near_look borrow_copied(struct near_store *near, int64_t now_ms, nh_key key, nh_value *value)
{
    nh_value original;
    enum near_look look = near_peek(near, now_ms, key, &original);

    if (look == NEAR_LOOK_VALUE && original.size == original.bytes.size &&
        bytes_equal(bytes_of(original.bytes.data, original.bytes.size),
                    bytes_of(value->bytes.data, value->bytes.size))) {
        nh_release(near->store, &original);
        value->flags = 0;
        return NEAR_LOOK_VALUE;
    }
    if (look == NEAR_LOOK_VALUE)
        nh_release(near->store, &original);
    nh_release(near->store, value);
    return look == NEAR_LOOK_VALUE ? NEAR_LOOK_DOUBTED : look;
}

enum near_look near_borrow(struct near_store *near, int64_t now_ms, nh_key key, nh_value *value)
{
    uint16_t slot = valkey_slot(bytes_of(key.data, key.size));
    uint32_t told = marks_told(near->marks, slot);

    if (nh_borrow(near->store, now_ms, key, value) != NH_OK)
        return NEAR_LOOK_ABSENT;
    if (value->note == NULL)
        return borrow_copied(near, now_ms, key, value);
    if (!holds(near->marks, value, slot, now_ms) || marks_told(near->marks, slot) != told) {
        nh_release(near->store, value);
        return NEAR_LOOK_DOUBTED;
    }
    return seen(near->store, value);
}

bool near_keep(struct near_store *near, int64_t now_ms, nh_key key, const struct bytes *value,
               struct tier_mark mark, int64_t ttl_ms)
{
    nh_bytes bytes = value != NULL ? (nh_bytes){value->data, value->size} : (nh_bytes){"", 0};
    nh_put_options options = {
        .size = sizeof options,
        .ttl_ms = ttl_ms,
        .flags = mark.source | (value == NULL ? NEAR_NOTHING : 0),
        .note = mark.slot_epoch,
    };
    _Atomic uint64_t *spaces = &near->spaces[key.space / 64 % (NH_SPACES / 64)];
    uint64_t bit = (uint64_t)1 << key.space % 64;

    if ((atomic_load_explicit(spaces, memory_order_relaxed) & bit) == 0)
        atomic_fetch_or(spaces, bit);
    if (nh_put(near->store, now_ms, key, bytes, &options, NULL) == NH_OK)
        return true;
    nh_delete(near->store, now_ms, key);
    return false;
}

bool near_drop(struct near_store *near, struct bytes key, uint16_t slot)
{
    bool was_there = false;

    for (uint32_t i = 0; i < NH_SPACES / 64; i++) {
        uint64_t bits = atomic_load(&near->spaces[i]);
        for (; bits != 0; bits &= bits - 1) {
            nh_key near_key = {key.data, key.size, i * 64 + (uint32_t)__builtin_ctzll(bits)};
            was_there |= nh_delete(near->store, 0 /* whether it has expired or not */, near_key) == NH_OK;
        }
    }
    marks_tell(near->marks, slot);
    return was_there;
}
