/* change.c — what makes a new value, or a new expiry, of what is there. */
#include "base/number.h"
#include "store/write.h"

/* Writes the key's record again, with its value and its version, as `plan` has it by now; with the chain
 * locked. NH_GROWING: a copy is wanted, of `*bytes`. */
static nh_result rewrite_locked(struct write *write, struct record_plan *plan, size_t *bytes)
{
    struct bytes value;

    plan->traits |= RECORD_VERSION;
    record_plan_traits(plan, write->now_ms);
    if (write->tail == NULL || record_plan_bytes(plan) > *bytes) {
        *bytes = record_plan_bytes(plan);
        return NH_GROWING;
    }
    value = bytes_of(record_value(write->old, record_traits(write->old)), plan->value_bytes);
    return write_link(write, write_inline(write, plan, value, (struct bytes){NULL, 0}), true) ? NH_OK
                                                                                              : NH_GROWING;
}

/* ---- expiry ---- */

/* With the chain locked and the key there: gives the record another expiry, where it is or as a copy with
 * the same version. NH_GROWING: a copy is wanted, of `*bytes`. */
static nh_result touch_locked(struct write *write, int64_t expires_at_ms, size_t *bytes)
{
    nh_store *store = write->store;
    struct segment *segment = record_segment(&store->arena, write->old);
    uint64_t slot = place_slot(write->place);
    uint32_t hashes[NH_TAGS_MAX];
    struct record_plan plan;

    if (record_touch(write->old, segment, write->now_ms, expires_at_ms)) {
        if (slot_uses(slot) < SLOT_USES_MAX)
            found_use(&(struct found){.at = &write->place.bucket->slots[write->place.slot], .slot = slot});
        return NH_OK;
    }
    plan = record_plan_of(&store->arena, write->old, hashes);
    plan.expires_at_ms = expires_at_ms;
    return rewrite_locked(write, &plan, bytes);
}

/* Whether a record that expires at `before_ms` (0: never) may be made to expire at `after_ms`. */
static bool may_touch(uint32_t conditions, int64_t before_ms, int64_t after_ms)
{
    bool is_later = before_ms != 0 && (after_ms == 0 || after_ms > before_ms);
    bool is_earlier = after_ms != 0 && (before_ms == 0 || after_ms < before_ms);

    return !((conditions & NH_TOUCH_IF_NEVER && before_ms != 0) ||
             (conditions & NH_TOUCH_IF_SOME && before_ms == 0) ||
             (conditions & NH_TOUCH_IF_LATER && !is_later) ||
             (conditions & NH_TOUCH_IF_EARLIER && !is_earlier));
}

/* `value` may be null. */
static nh_result touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms, uint32_t conditions,
                       nh_value *value)
{
    int64_t expires_at_ms = ttl_ms != 0 ? moment_after(now_ms, ttl_ms) : 0;
    nh_result result = key_check(store, key);
    struct write write;
    size_t bytes = 0;

    if (result != NH_OK)
        return result;
    write_begin(&write, store, now_ms, key);
    write.keeps_lease = true;
    do {
        if (write.head != NULL) {
            write_unlock(&write);
            result = write_room(&write, expires_at_ms, bytes);
            if (result != NH_OK)
                break;
        }
        write_lock(&write);
        if (!write.is_there)
            result = NH_MISSING;
        else if (conditions != 0 &&
                 !may_touch(conditions,
                            record_expires_at_ms(write.old, record_traits(write.old),
                                                 record_segment(&store->arena, write.old)),
                            expires_at_ms))
            result = NH_CHANGED;
        else if (ttl_ms >= 0)
            result = touch_locked(&write, expires_at_ms, &bytes);
    } while (result == NH_GROWING);
    if (result == NH_OK && value != NULL) {
        write.place = index_place(&store->index, write.head, write.hash, key);
        write.old = record_at(&store->arena, slot_location(place_slot(write.place)));
        result = write_lend_old(&write, value);
    }
    if (result == NH_OK && ttl_ms < 0) {
        write_unlink(&write);
        lease_end(&store->leases, write.hash);
    }
    write_end(&write);
    return write_refused(store, result);
}

nh_result nh_touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms)
{
    return touch(store, now_ms, key, ttl_ms, 0, NULL);
}

nh_result nh_touch_if(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms, uint32_t conditions)
{
    if (conditions > (NH_TOUCH_IF_NEVER | NH_TOUCH_IF_SOME | NH_TOUCH_IF_LATER | NH_TOUCH_IF_EARLIER))
        return NH_INVALID;
    return touch(store, now_ms, key, ttl_ms, conditions, NULL);
}

nh_result nh_get_and_touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms, nh_value *value)
{
    nh_result result;

    if (value == NULL)
        return NH_INVALID;
    result = touch(store, now_ms, key, ttl_ms, 0, value);
    if (result == NH_OK || result == NH_MISSING)
        read_counts(store, key, result == NH_OK ? value->size : 0, result == NH_OK,
                    result == NH_OK && value->traits & NH_VALUE_STALE);
    return result;
}

/* Makes the room for a copy of the old record. */
static nh_result room_for_copy(struct write *write, size_t bytes)
{
    int64_t expires_at_ms = record_expires_at_ms(write->old, record_traits(write->old),
                                                 record_segment(&write->store->arena, write->old));

    write_unlock(write);
    return write_room(write, expires_at_ms, bytes);
}

/* The same, or for the first value of a key. */
static nh_result make_room(struct write *write, size_t bytes)
{
    if (write->is_there)
        return room_for_copy(write, bytes);
    write_unlock(write);
    return write_room(write, 0, bytes);
}

/* Has `change` done with the chain locked, as often as it says NH_GROWING: it wants room for `*bytes`. */
static nh_result change_with_room(struct write *write,
                                  nh_result (*change)(struct write *write, uint32_t note, size_t *bytes),
                                  uint32_t note)
{
    nh_result result = NH_OK;
    size_t bytes = 0;

    do {
        if (write->head != NULL) {
            result = room_for_copy(write, bytes);
            if (result != NH_OK)
                break;
        }
        write_lock(write);
        result = change(write, note, &bytes);
    } while (result == NH_GROWING);
    write_end(write);
    return write_refused(write->store, result);
}

/* ---- soft expiry ---- */

/* No reader's clock is so far behind, and no shift of the clock at a restart wraps it. */
#define LONG_PAST_MS (INT64_MIN / 2)

/* A negative entry becomes stale, too, though the key is missing. As touch_locked; NH_MISSING. */
static nh_result make_stale_locked(struct write *write, uint32_t unused, size_t *bytes)
{
    nh_result result = NH_OK;
    uint32_t hashes[NH_TAGS_MAX];
    struct record_plan plan;

    (void)unused;
    if (write->old != NULL && write->old_fate == FATE_ALIVE &&
        record_stale_at_ms(write->old, record_traits(write->old)) != LONG_PAST_MS) {
        if (record_traits(write->old) & RECORD_LARGE) {
            record_set_stale(write->old, LONG_PAST_MS);
        } else {
            plan = record_plan_of(&write->store->arena, write->old, hashes);
            plan.stale_at_ms = LONG_PAST_MS;
            result = rewrite_locked(write, &plan, bytes);
        }
    }
    if (result != NH_OK)
        return result;
    lease_end(&write->store->leases, write->hash);
    return write->is_there ? NH_OK : NH_MISSING;
}

nh_result nh_make_stale(nh_store *store, int64_t now_ms, nh_key key)
{
    nh_result result = key_check(store, key);
    struct write write;

    if (result != NH_OK)
        return result;
    write_begin(&write, store, now_ms, key);
    return change_with_room(&write, make_stale_locked, 0);
}

/* ---- a note ---- */

/* As touch_locked; NH_EXISTS, NH_MISSING. */
static nh_result annotate_locked(struct write *write, uint32_t note, size_t *bytes)
{
    nh_store *store = write->store;
    uint32_t traits, hashes[NH_TAGS_MAX], none = 0;
    struct record_plan plan;

    if (!write->is_there)
        return NH_MISSING;
    traits = record_traits(write->old);
    if (traits & RECORD_NOTE)
        return __atomic_compare_exchange_n(record_note(write->old, traits), &none, note, false,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)
                   ? NH_OK
                   : NH_EXISTS;
    plan = record_plan_of(&store->arena, write->old, hashes);
    plan.note = note;
    return rewrite_locked(write, &plan, bytes);
}

nh_result nh_annotate(nh_store *store, int64_t now_ms, nh_key key, uint32_t note)
{
    nh_result result = key_check(store, key);
    struct write write;

    if (result != NH_OK || note == 0)
        return result != NH_OK ? result : NH_INVALID;
    write_begin(&write, store, now_ms, key);
    write.keeps_lease = true;
    return change_with_room(&write, annotate_locked, note);
}

/* ---- another value, with all else as it was ---- */

/* With the chain locked: writes `first` and then `second` as the value of the key, with what else the old
 * record says, if there is one. NH_GROWING: wants room for `*bytes`. */
static nh_result replace_locked(struct write *write, struct bytes first, struct bytes second, size_t *bytes,
                                uint64_t *version)
{
    nh_store *store = write->store;
    uint32_t hashes[NH_TAGS_MAX];
    struct record_plan plan = {.key = write->key, .birth = tags_now(&store->tags)};
    struct record *record;

    if (write->is_there)
        plan = record_plan_of(&store->arena, write->old, hashes);
    plan.traits = 0;
    plan.value_bytes = first.size + second.size;
    record_plan_traits(&plan, write->now_ms);
    if (write->tail == NULL || record_plan_bytes(&plan) > *bytes) {
        *bytes = record_plan_bytes(&plan);
        return NH_GROWING;
    }
    record = write_inline(write, &plan, first, second);
    if (!write_link(write, record, version != NULL))
        return NH_GROWING;
    if (version != NULL)
        *version = record_version(&store->arena, record);
    return NH_OK;
}

/* The sum of the old value's number and `delta`, as text and as bits. */
static nh_result add(const struct write *write, int64_t delta, int32_t mode, char text[NUMBER_TEXT_BYTES],
                     size_t *text_bytes, int64_t *sum)
{
    struct bytes digits = BYTES("0");
    uint64_t number = 0;

    if (write->is_there) {
        if (record_traits(write->old) & RECORD_LARGE)
            return NH_TYPE;
        digits =
            bytes_of(record_value(write->old, record_traits(write->old)), record_value_bytes(write->old));
    }
    if (mode == NH_INCREMENT_SIGNED) {
        int64_t before;
        if (!int64_parse(digits, &before))
            return NH_TYPE;
        if (__builtin_add_overflow(before, delta, sum))
            return NH_RANGE;
        *text_bytes = int64_format(text, *sum);
        return NH_OK;
    }
    if (!write->is_there)
        return NH_MISSING;
    if (digits.size > NUMBER_TEXT_BYTES || !digits_parse(digits, UINT64_MAX, &number))
        return NH_TYPE;
    if (mode == NH_INCREMENT_UNSIGNED)
        number += (uint64_t)delta;
    else
        number = number > (uint64_t)delta ? number - (uint64_t)delta : 0;
    *text_bytes = uint64_format(text, number);
    *sum = (int64_t)number;
    return NH_OK;
}

nh_result nh_increment(nh_store *store, int64_t now_ms, nh_key key, int64_t delta, int32_t mode,
                       int64_t *sum)
{
    nh_result result = key_check(store, key);
    char text[NUMBER_TEXT_BYTES];
    size_t text_bytes = 0, bytes = 0;
    struct write write;
    int64_t total = 0;

    if (result != NH_OK)
        return result;
    if (mode < NH_INCREMENT_SIGNED || mode > NH_DECREMENT_UNSIGNED)
        return NH_INVALID;
    write_begin(&write, store, now_ms, key);
    do {
        if (write.head != NULL) {
            result = make_room(&write, bytes);
            if (result != NH_OK)
                break;
        }
        write_lock(&write);
        result = add(&write, delta, mode, text, &text_bytes, &total);
        if (result == NH_OK && text_bytes > store->value_bytes_max)
            result = NH_TOO_LARGE;
        if (result == NH_OK)
            result =
                replace_locked(&write, bytes_of(text, text_bytes), (struct bytes){NULL, 0}, &bytes, NULL);
    } while (result == NH_GROWING);
    write_end(&write);
    if (result == NH_OK && sum != NULL)
        *sum = total;
    return write_refused(store, result);
}

/* ---- more of a value ---- */

/* One that shares a segment before and after. NH_GROWING: it is, or becomes, too large for that. */
static nh_result extend_inline(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, bool is_prepend,
                               uint64_t *version)
{
    struct bytes added = bytes_of(more.data, more.size);
    struct write write;
    nh_result result = NH_OK;
    size_t bytes = 0;

    write_begin(&write, store, now_ms, key);
    do {
        struct bytes value = {NULL, 0};
        if (write.head != NULL) {
            result = bytes <= store->inline_bytes_max ? make_room(&write, bytes) : NH_TYPE;
            if (result != NH_OK)
                break;
        }
        write_lock(&write);
        if (!write.is_there) {
            result = NH_MISSING;
        } else if (record_traits(write.old) & RECORD_LARGE) {
            result = NH_TYPE;
        } else {
            value =
                bytes_of(record_value(write.old, record_traits(write.old)), record_value_bytes(write.old));
            if (value.size + added.size > store->value_bytes_max)
                result = NH_TOO_LARGE;
            else
                result = replace_locked(&write, is_prepend ? added : value, is_prepend ? value : added,
                                        &bytes, version);
        }
    } while (result == NH_GROWING);
    write_end(&write);
    return result == NH_TYPE ? NH_GROWING : result;
}

static bool append_value(nh_store *store, int64_t now_ms, uint32_t first, const nh_value *value)
{
    nh_bytes piece;

    for (uint64_t at = 0; at < value->size && nh_value_piece(store, value, at, &piece) == NH_OK;
         at += piece.size)
        if (!large_append(store, now_ms, first, piece))
            return false;
    return true;
}

/* A large value of what is lent and what is added, not linked yet. SEGMENT_NONE: no room. */
static uint32_t extended_copy(nh_store *store, int64_t now_ms, struct record_plan *plan,
                              const nh_value *value, nh_bytes more, bool is_prepend)
{
    uint32_t first = large_create(store, now_ms, plan);

    if (first == SEGMENT_NONE)
        return SEGMENT_NONE;
    if ((is_prepend && !large_append(store, now_ms, first, more)) ||
        !append_value(store, now_ms, first, value) ||
        (!is_prepend && !large_append(store, now_ms, first, more))) {
        evictor_queue_large(store, first); /* nothing points at it */
        return SEGMENT_NONE;
    }
    atomic_store_explicit(&large_at(&store->arena, first)->state, LARGE_COMPLETE, memory_order_release);
    return first;
}

/* Links a large record with the expiries that the old one has by now. */
static bool link_with_expiry_of_old(struct write *write, struct record *record, bool is_observed)
{
    struct arena *arena = &write->store->arena;
    int64_t expires_at_ms =
        record_expires_at_ms(write->old, record_traits(write->old), record_segment(arena, write->old));

    record_touch(record, record_segment(arena, record), write->now_ms, expires_at_ms);
    record_set_stale(record, record_stale_at_ms(write->old, record_traits(write->old)));
    return write_link(write, record, is_observed);
}

/* Links a copy if the key is still at `expected`: NH_OK, or NH_CHANGED to begin anew. */
static nh_result link_if_unchanged(nh_store *store, int64_t now_ms, nh_key key, uint64_t expected,
                                   uint32_t first, uint64_t *version)
{
    struct record *record = large_record(&store->arena, first);
    struct write write;
    nh_result result;

    write_begin(&write, store, now_ms, key);
    do {
        result = write_lock_with_index_room(&write);
        if (result != NH_OK)
            break;
        if (!write.is_there || record_version(&store->arena, write.old) != expected)
            result = NH_CHANGED;
        else if (!link_with_expiry_of_old(&write, record, version != NULL))
            result = NH_GROWING;
        else if (version != NULL)
            *version = record_version(&store->arena, record);
    } while (result == NH_GROWING);
    write_end(&write);
    return result;
}

/* One that needs segments of its own. NH_CHANGED: somebody else wrote meanwhile. */
static nh_result extend_large(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, bool is_prepend,
                              uint64_t *version)
{
    uint32_t hashes[NH_TAGS_MAX], first;
    struct record_plan plan;
    nh_result result;
    nh_value value;

    result = borrow_with_plan(store, now_ms, key, &value, &plan, hashes);
    if (result != NH_OK)
        return result;
    if (value.traits & NH_VALUE_GROWING || value.size + more.size > store->value_bytes_max) {
        nh_release(store, &value);
        return value.traits & NH_VALUE_GROWING ? NH_GROWING : NH_TOO_LARGE;
    }
    plan.traits = 0;
    plan.key = key;
    first = extended_copy(store, now_ms, &plan, &value, more, is_prepend);
    nh_release(store, &value);
    if (first == SEGMENT_NONE)
        return NH_FULL;
    result = link_if_unchanged(store, now_ms, key, value.version, first, version);
    evictor_queue_large(store, first); /* frees it if it was not linked */
    return result;
}

static nh_result extend(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, bool is_prepend,
                        uint64_t *version)
{
    nh_result result = key_check(store, key);

    if (result != NH_OK)
        return result;
    if (more.data == NULL && more.size > 0)
        return NH_INVALID;
    if (more.size > store->value_bytes_max)
        return write_refused(store, NH_TOO_LARGE);
    do {
        result = extend_inline(store, now_ms, key, more, is_prepend, version);
        if (result == NH_GROWING)
            result = extend_large(store, now_ms, key, more, is_prepend, version);
    } while (result == NH_CHANGED);
    return write_refused(store, result);
}

nh_result nh_append(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, uint64_t *version)
{
    return extend(store, now_ms, key, more, false, version);
}

nh_result nh_prepend(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, uint64_t *version)
{
    return extend(store, now_ms, key, more, true, version);
}
