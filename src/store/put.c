/* put.c — a whole value for a key, on some condition; and none. */
#include "store/put.h"

enum condition { IF_ANY, IF_MISSING, IF_THERE, IF_VERSION, IF_LEASE };

struct put {
    enum condition condition;
    uint64_t expected; /* the version, or the lease */
    uint64_t *version; /* may be null */
    nh_value *before;  /* null if what was there is not wanted */
    bool had_before;
    bool left_nothing; /* the time to live was over at once */
    bool is_restored;
    enum queue queue; /* of a restored record, as are its uses */
    unsigned uses;
};

/* What is put may have been computed from what was purged since its making began, though it is put after.
 */
static bool was_purged_since(const nh_store *store, const struct record_plan *plan,
                             const struct record *old, uint64_t purge_number)
{
    uint32_t traits = old != NULL ? record_traits(old) : 0;
    struct purged purged = {false, false};

    for (uint32_t i = 0; i < plan->tag_count; i++)
        if (tag_is_dropped(&store->tags, plan->tag_hashes[i], purge_number) ||
            tag_is_staled(&store->tags, plan->tag_hashes[i], purge_number))
            return true;
    if (traits & RECORD_TAGS)
        purged = record_purged(&store->tags, old, traits, purge_number);
    return purged.is_dropped || purged.is_staled;
}

nh_result put_plan(const nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                   const nh_put_options *options, uint32_t *tag_hashes, struct record_plan *plan)
{
    nh_result result = key_check(store, key);

    if (result != NH_OK)
        return result;
    if ((value.data == NULL && value.size > 0) || options->tag_count > NH_TAGS_MAX ||
        (options->tags == NULL && options->tag_count > 0) ||
        options->as_of_purge > tags_now(&store->tags) + 1)
        return NH_INVALID;
    if (value.size > store->value_bytes_max)
        return NH_TOO_LARGE;
    for (size_t i = 0; i < options->tag_count; i++) {
        nh_bytes tag = options->tags[i];
        if (tag.data == NULL && tag.size > 0)
            return NH_INVALID;
        tag_hashes[i] = tag_hash(&store->tags, bytes_of(tag.data, tag.size));
    }
    *plan = (struct record_plan){
        .key = key,
        .value_bytes = value.size,
        .traits = (options->negative ? RECORD_NEGATIVE : 0) | (options->version != 0 ? RECORD_VERSION : 0),
        .flags = options->flags,
        .cost_ms = options->cost_ms,
        .note = options->note,
        .version = options->version,
        .expires_at_ms = options->ttl_ms != 0 ? moment_after(now_ms, options->ttl_ms) : 0,
        .stale_at_ms = options->soft_ttl_ms != 0 ? moment_after(now_ms, options->soft_ttl_ms) : 0,
        .birth = options->as_of_purge != 0 ? options->as_of_purge - 1 : tags_now(&store->tags),
        .tag_count = (uint32_t)options->tag_count,
        .tag_hashes = tag_hashes,
        .has_stale_field = options->keep_ttl != 0,
    };
    record_plan_traits(plan, now_ms);
    return options->as_of_purge != 0 && was_purged_since(store, plan, NULL, plan->birth) ? NH_CHANGED
                                                                                         : NH_OK;
}

static nh_result judge(const struct write *write, const struct put *put, struct record_plan *plan)
{
    nh_store *store = write->store;

    switch (put->condition) {
    case IF_ANY: return NH_OK;
    case IF_MISSING: return write->is_there ? NH_EXISTS : NH_OK;
    case IF_THERE: return write->is_there ? NH_OK : NH_MISSING;
    case IF_VERSION:
        if (!write->is_there)
            return NH_MISSING;
        return record_version(&store->arena, write->old) == put->expected ? NH_OK : NH_CHANGED;
    case IF_LEASE: {
        uint64_t purge_number;
        if (!lease_holds(&store->leases, write->hash, write->now_ms, put->expected, &purge_number))
            return NH_CHANGED;
        if (was_purged_since(store, plan, write->old, purge_number)) {
            lease_end(&store->leases, write->hash);
            return NH_CHANGED;
        }
        plan->birth = purge_number;
        return NH_OK;
    }
    }
    UNREACHABLE();
}

/* The old record's expiry for the new one. */
static void keep_ttl(const struct write *write, struct record_plan *plan)
{
    const struct record *old = write->old;
    uint32_t traits = record_traits(old);

    plan->expires_at_ms = record_expires_at_ms(old, traits, record_segment(&write->store->arena, old));
    plan->stale_at_ms = record_stale_at_ms(old, traits);
    record_plan_traits(plan, write->now_ms);
}

/* A large value, outside of any lock. SEGMENT_NONE: no room. */
static uint32_t write_large(nh_store *store, int64_t now_ms, struct record_plan *plan, nh_bytes value)
{
    uint32_t first = large_create(store, now_ms, plan);

    if (first == SEGMENT_NONE)
        return SEGMENT_NONE;
    if (!large_append(store, now_ms, first, value)) {
        evictor_queue_large(store, first); /* nothing points at it */
        return SEGMENT_NONE;
    }
    atomic_store_explicit(&large_at(&store->arena, first)->state, LARGE_COMPLETE, memory_order_release);
    return first;
}

/* Writes what may have changed since the large record was made: nobody sees it yet. */
static void rewrite_large(nh_store *store, uint32_t first, const struct record_plan *plan)
{
    record_write(plan, large_record(&store->arena, first), &store->arena.segments[first]);
}

static bool link_new(struct write *write, const struct record_plan *plan, nh_bytes value, uint32_t first,
                     uint64_t *version)
{
    struct record *record;

    if (first != SEGMENT_NONE) {
        rewrite_large(write->store, first, plan);
        record = large_record(&write->store->arena, first);
    } else {
        record = write_inline(write, plan, bytes_of(value.data, value.size), (struct bytes){NULL, 0});
    }
    if (!write_link(write, record, version != NULL))
        return false;
    if (version != NULL)
        *version = record_version(&write->store->arena, record);
    return true;
}

/* A version that no record has. */
static uint64_t version_of_nothing(nh_store *store)
{
    uint64_t version;

    lock_acquire(&store->evictor.lock);
    version = record_version_first(++store->evictor.sequence);
    lock_release(&store->evictor.lock);
    return version;
}

/* With the chain locked: what put wants done, if its condition holds. NH_GROWING: more room is wanted, for
 * `*bytes`. */
static nh_result put_locked(struct write *write, struct put *put, const nh_put_options *options,
                            struct record_plan *plan, nh_bytes value, uint32_t first, size_t *bytes)
{
    bool keeps = options->keep_ttl && write->is_there;
    nh_result result = judge(write, put, plan);

    if (result != NH_OK)
        return result;
    if (keeps)
        keep_ttl(write, plan);
    if (first == SEGMENT_NONE && record_plan_bytes(plan) > *bytes) {
        *bytes = record_plan_bytes(plan);
        return NH_GROWING;
    }
    put->had_before = write->is_there;
    if (put->before != NULL && write->is_there) {
        result = write_lend_old(write, put->before);
        if (result != NH_OK)
            return result;
    }
    if (options->ttl_ms < 0 && !keeps) {
        if (write->old != NULL)
            write_unlink(write);
        lease_end(&write->store->leases, write->hash);
        put->left_nothing = true;
        return NH_OK;
    }
    if (link_new(write, plan, value, first, put->version))
        return NH_OK;
    if (put->before != NULL && write->is_there)
        nh_release(write->store, put->before);
    return NH_GROWING;
}

/* One try with a large value that is written, or none (SEGMENT_NONE). NH_ABORTED: its space was cleared
 * since it was begun, so it would be as dead as the rest. */
static nh_result put_once(nh_store *store, int64_t now_ms, struct record_plan *plan,
                          const nh_put_options *options, nh_bytes value, struct put *put, uint32_t first)
{
    const int64_t expires_at_ms = plan->expires_at_ms, stale_at_ms = plan->stale_at_ms;
    size_t bytes = record_plan_bytes(plan);
    struct write write;
    nh_result result;

    write_begin(&write, store, now_ms, plan->key);
    if (put->is_restored) {
        write.queue = put->queue == QUEUE_MAIN ? QUEUE_MAIN : QUEUE_SMALL;
        write.uses = put->uses;
    }
    do {
        if (write.head != NULL)
            write_unlock(&write);
        result = first == SEGMENT_NONE ? write_room(&write, plan->expires_at_ms, bytes)
                                       : write_index_room(&write);
        if (result != NH_OK)
            break;
        /* What the last try took from a record that may be gone by now is forgotten. */
        plan->expires_at_ms = expires_at_ms;
        plan->stale_at_ms = stale_at_ms;
        record_plan_traits(plan, now_ms);
        write_lock(&write);
        if (first != SEGMENT_NONE &&
            is_cleared(store, large_record(&store->arena, first), &store->arena.segments[first]))
            result = NH_ABORTED;
        else
            result = put_locked(&write, put, options, plan, value, first, &bytes);
    } while (result == NH_GROWING);
    write_end(&write);
    return result;
}

static nh_result put_on_condition(nh_store *store, int64_t now_ms, struct record_plan *plan,
                                  const nh_put_options *options, nh_bytes value, struct put *put)
{
    bool is_large = record_plan_bytes(plan) > store->inline_bytes_max;
    uint32_t first = SEGMENT_NONE;
    nh_result result;

    do {
        if (is_large) {
            first = write_large(store, now_ms, plan, value);
            if (first == SEGMENT_NONE)
                return write_refused(store, NH_FULL);
        }
        result = put_once(store, now_ms, plan, options, value, put, first);
        if (is_large) /* freed if it was not linked, or is no longer */
            evictor_queue_large(store, first);
    } while (result == NH_ABORTED);
    if (put->left_nothing && put->version != NULL)
        *put->version = version_of_nothing(store);
    return write_refused(store, result);
}

nh_result put_planned(nh_store *store, int64_t now_ms, struct record_plan *plan,
                      const nh_put_options *options, nh_bytes value, uint64_t *version)
{
    return put_on_condition(store, now_ms, plan, options, value,
                            &(struct put){.condition = IF_ANY, .version = version});
}

nh_result put_restored(nh_store *store, int64_t now_ms, struct record_plan *plan, nh_bytes value,
                       enum queue queue, unsigned uses)
{
    struct put put = {.condition = IF_ANY, .is_restored = true, .queue = queue, .uses = uses};
    nh_put_options none = {.size = sizeof none};

    return put_on_condition(store, now_ms, plan, &none, value, &put);
}

static nh_result put(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                     const nh_put_options *given, struct put *put)
{
    uint32_t tag_hashes[NH_TAGS_MAX];
    struct record_plan plan;
    nh_put_options options;
    nh_result result;

    if (store == NULL || options_copy(&options, sizeof options, given) != NH_OK)
        return NH_INVALID;
    result = put_plan(store, now_ms, key, value, &options, tag_hashes, &plan);
    if (result != NH_OK)
        return write_refused(store, result);
    return put_on_condition(store, now_ms, &plan, &options, value, put);
}

nh_result nh_put(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value, const nh_put_options *options,
                 uint64_t *version)
{
    return put(store, now_ms, key, value, options, &(struct put){.condition = IF_ANY, .version = version});
}

nh_result nh_add(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value, const nh_put_options *options,
                 uint64_t *version)
{
    return put(store, now_ms, key, value, options,
               &(struct put){.condition = IF_MISSING, .version = version});
}

nh_result nh_replace(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                     const nh_put_options *options, uint64_t *version)
{
    return put(store, now_ms, key, value, options,
               &(struct put){.condition = IF_THERE, .version = version});
}

nh_result nh_cas(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value, const nh_put_options *options,
                 uint64_t expected_version, uint64_t *version)
{
    return put(store, now_ms, key, value, options,
               &(struct put){IF_VERSION, .expected = expected_version, .version = version});
}

nh_result nh_cas_value(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                       uint64_t expected_version, uint64_t *version)
{
    nh_put_options options = {.size = sizeof options, .keep_ttl = 1};
    uint32_t hashes[NH_TAGS_MAX];
    nh_result result = key_check(store, key);
    struct record_plan plan;
    nh_value before;

    if (result != NH_OK)
        return result;
    if (value.data == NULL && value.size > 0)
        return NH_INVALID;
    if (value.size > store->value_bytes_max)
        return write_refused(store, NH_TOO_LARGE);
    result = borrow_with_plan(store, now_ms, key, &before, &plan, hashes);
    if (result != NH_OK)
        return result;
    nh_release(store, &before);
    /* Of another version the plan may be wrong; but then the condition will not hold. */
    plan.key = key;
    plan.value_bytes = value.size;
    plan.traits = 0;
    plan.has_stale_field = true;
    record_plan_traits(&plan, now_ms);
    return put_on_condition(store, now_ms, &plan, &options, value,
                            &(struct put){IF_VERSION, .expected = expected_version, .version = version});
}

nh_result nh_fill(nh_store *store, int64_t now_ms, nh_key key, uint64_t lease, nh_bytes value,
                  const nh_put_options *options, uint64_t *version)
{
    nh_result result = put(store, now_ms, key, value, options,
                           &(struct put){IF_LEASE, .expected = lease, .version = version});
    if (result == NH_CHANGED)
        count_up(&store->fills_refused, 1);
    return result;
}

nh_result nh_exchange(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                      const nh_put_options *options, nh_value *before, int32_t *had_before)
{
    struct put exchange = {.condition = IF_ANY, .before = before};
    nh_result result;

    if (before == NULL || had_before == NULL)
        return NH_INVALID;
    result = put(store, now_ms, key, value, options, &exchange);
    *had_before = result == NH_OK && exchange.had_before;
    return result;
}

nh_result nh_delete(nh_store *store, int64_t now_ms, nh_key key)
{
    nh_result result = key_check(store, key);
    struct write write;

    if (result != NH_OK)
        return result;
    write_begin(&write, store, now_ms, key);
    write_lock(&write);
    result = write.is_there ? NH_OK : NH_MISSING;
    if (write.old != NULL)
        write_unlink(&write);
    lease_end(&store->leases, write.hash);
    write_end(&write);
    return result;
}
