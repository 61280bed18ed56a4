/* write.c — all that changes one key.
 *
 *     begin ──► find, judge ──► link ──► end        link: pay for the new entry with what the old one
 *                   ▲             │ no room               frees and what this shard can evict
 *                   └── gather ◄──┘                gather: once, leave the shard and make room all over
 *
 * A large entry gathers first, and is copied with no shard's lock held. */
#include "base/number.h"
#include "store/store.h"
#include <stdlib.h>

enum {
    LARGE_BYTES = 64 << 10,
    GATHER_SLACK_BYTES = 8 << 10,    /* for the index, and for what malloc adds */
    GATHER_QUANTUM_BYTES = 16 << 10, /* no shard gives less than this, if it has it, in one round */
};

enum condition { IF_ANY, IF_MISSING, IF_THERE, IF_VERSION };

struct write {
    nh_store *store;
    struct shard *shard;
    int64_t now_ms;
    nh_key key;
    uint64_t hash;
    struct grave grave;
    bool has_gathered;      /* and holds the store's room_lock */
    uint64_t allowance;     /* bytes gathered and not spent */
    struct entry *kept_old; /* pinned, so that gathering does not evict what must survive an error */
};

static void write_begin(struct write *write)
{
    write->hash = store_hash(write->store, write->key);
    write->shard = store_shard(write->store, write->hash);
    lock_acquire(&write->shard->lock);
}

static void write_end(struct write *write)
{
    if (write->kept_old != NULL)
        shard_unpin(write->shard, write->kept_old, &write->grave);
    lock_release(&write->shard->lock);
    if (write->has_gathered) {
        pool_return(write->store, write->allowance);
        lock_release(&write->store->room_lock);
    }
    grave_empty(&write->grave);
}

static struct place write_find(struct write *write)
{
    return shard_find(write->shard, write->now_ms, write->hash, write->key, &write->grave);
}

/* Goes round the shards, each giving a little, until `bytes` are ours or a whole round gave nothing. */
static void collect(struct write *write, uint64_t bytes)
{
    nh_store *store = write->store;
    uint64_t quantum = bytes / store->shard_count;
    uint32_t barren_count = 0;

    if (quantum < GATHER_QUANTUM_BYTES)
        quantum = GATHER_QUANTUM_BYTES;
    while (write->allowance < bytes && barren_count < store->shard_count) {
        uint32_t hand = atomic_fetch_add_explicit(&store->room_hand, 1, memory_order_relaxed);
        struct shard *shard = &store->shards[hand & (store->shard_count - 1)];
        uint64_t wanted = bytes - write->allowance;
        uint64_t gained = 0;
        struct grave grave = {0};

        gained = pool_draw_up_to(store, wanted);
        wanted = wanted - gained < quantum ? wanted - gained : quantum;
        if (wanted > 0) {
            lock_acquire(&shard->lock);
            gained += shard_yield(shard, write->now_ms, wanted, &grave);
            lock_release(&shard->lock);
            grave_empty(&grave);
        }
        write->allowance += gained;
        barren_count = gained > 0 ? 0 : barren_count + 1;
    }
}

/* Makes room for `bytes` beyond what `old`, which may be null, will free. Lets go of the shard meanwhile:
 * the caller must look again. False if this write has gathered before or there is no such room. */
static bool write_gather(struct write *write, struct entry *old, uint64_t bytes)
{
    if (write->has_gathered)
        return false;
    if (old != NULL) {
        uint64_t freed = old->references == 1 ? entry_charge(old) : 0;
        bytes = bytes > freed ? bytes - freed : 0;
        shard_pin(write->shard, old);
        write->kept_old = old;
    }
    lock_release(&write->shard->lock);
    grave_empty(&write->grave);
    lock_acquire(&write->store->room_lock);
    write->has_gathered = true;
    collect(write, bytes + GATHER_SLACK_BYTES);
    lock_acquire(&write->shard->lock);
    return write->allowance >= bytes;
}

static bool write_pay(struct write *write, uint64_t bytes)
{
    uint64_t gathered = bytes < write->allowance ? bytes : write->allowance;

    if (!shard_reserve(write->shard, write->now_ms, bytes - gathered, &write->grave))
        return false;
    write->allowance -= gathered;
    write->shard->used_bytes += gathered;
    return true;
}

/* Hands the rest of what was gathered to the shard, so that the index may grow from it. */
static void write_lend_allowance(struct write *write)
{
    write->shard->credit_bytes += write->allowance;
    write->allowance = 0;
}

/* Puts `entry` where `place` says, or as a new key. NH_OK: the entry is the table's. NH_FULL: nothing
 * has changed. */
static nh_result write_link(struct write *write, struct place place, struct entry *entry)
{
    struct shard *shard = write->shard;
    struct entry *old = place_entry(place);
    uint64_t charge = entry_charge(entry);
    uint64_t freed = 0;
    bool is_paid;

    if (old != NULL && old == write->kept_old) {
        shard_unpin(shard, old, &write->grave);
        write->kept_old = NULL;
    }
    if (old != NULL) {
        freed = old->references == 1 ? entry_charge(old) : 0;
        old->references++; /* so that paying does not evict it */
    }
    is_paid = write_pay(write, charge > freed ? charge - freed : 0);
    if (old != NULL)
        old->references--;
    if (!is_paid)
        return NH_FULL;
    if (old != NULL) {
        if (freed > charge)
            shard_refund(shard, freed - charge);
        shard_replace(shard, place, entry, &write->grave);
    } else {
        write_lend_allowance(write);
        if (!shard_insert(shard, write->now_ms, write->hash, entry, &write->grave)) {
            shard_refund(shard, charge);
            return NH_FULL;
        }
    }
    shard->counts.puts++;
    return NH_OK;
}

/* `now_ms` and a time to live as a moment; never 0, which would mean none, and never wrapped. */
static int64_t moment_after(int64_t now_ms, int64_t ttl_ms)
{
    int64_t at_ms;
    if (__builtin_add_overflow(now_ms, ttl_ms, &at_ms))
        at_ms = ttl_ms > 0 ? INT64_MAX : INT64_MIN;
    return at_ms != 0 ? at_ms : -1; /* a moment early rather than never */
}

static nh_result put_judge(const struct entry *old, enum condition condition, uint64_t expected_version)
{
    switch (condition) {
    case IF_ANY: return NH_OK;
    case IF_MISSING: return old == NULL ? NH_OK : NH_EXISTS;
    case IF_THERE: return old != NULL ? NH_OK : NH_MISSING;
    case IF_VERSION:
        if (old == NULL)
            return NH_MISSING;
        return old->version == expected_version ? NH_OK : NH_CHANGED;
    }
    UNREACHABLE();
}

static nh_result put_plan(const nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                          const nh_put_options *options, uint64_t tag_marks[NH_TAGS_MAX],
                          struct entry_plan *plan)
{
    nh_result result = key_check(store, key);

    if (result != NH_OK)
        return result;
    if ((value.data == NULL && value.size > 0) || options->tag_count > NH_TAGS_MAX ||
        (options->tags == NULL && options->tag_count > 0))
        return NH_INVALID;
    if (value.size > store->value_bytes_max)
        return NH_TOO_LARGE;
    for (size_t i = 0; i < options->tag_count; i++) {
        nh_bytes tag = options->tags[i];
        if (tag.data == NULL && tag.size > 0)
            return NH_INVALID;
        tag_marks[i] = store_tag_mark(store, bytes_of(tag.data, tag.size));
    }
    *plan = (struct entry_plan){
        .key = key,
        .value = bytes_of(value.data, value.size),
        .expires_at_ms = options->ttl_ms != 0 ? moment_after(now_ms, options->ttl_ms) : 0,
        .stale_at_ms = options->soft_ttl_ms != 0 ? moment_after(now_ms, options->soft_ttl_ms) : 0,
        .has_soft = options->soft_ttl_ms != 0 || options->keep_ttl != 0,
        .flags = options->flags,
        .tag_count = (uint8_t)options->tag_count,
        .tag_marks = tag_marks,
    };
    return NH_OK;
}

/* The new entry, with no shard's lock held while a large value is copied. Null: no memory. */
static struct entry *put_copy(struct write *write, struct entry_plan *plan, bool is_large)
{
    struct entry *entry;

    plan->shard = write->shard->number;
    if (is_large)
        lock_release(&write->shard->lock);
    entry = entry_create(plan);
    if (is_large)
        lock_acquire(&write->shard->lock);
    return entry;
}

struct put {
    enum condition condition;
    uint64_t expected_version;
    uint64_t *version; /* may be null */
    nh_value *before;  /* null if what was there is not wanted */
    bool had_before;
};

static nh_result put(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                     const nh_put_options *given, struct put *put)
{
    struct write write = {.store = store, .now_ms = now_ms, .key = key};
    uint64_t tag_marks[NH_TAGS_MAX];
    struct entry *entry = NULL, *old;
    struct entry_plan plan;
    nh_put_options options;
    nh_result result;
    size_t plan_bytes;
    bool is_large;

    if (store == NULL || options_copy(&options, sizeof options, given) != NH_OK)
        return NH_INVALID;
    result = put_plan(store, now_ms, key, value, &options, tag_marks, &plan);
    if (result != NH_OK)
        goto refused;
    plan_bytes = entry_plan_bytes(&plan);
    is_large = plan_bytes >= LARGE_BYTES;
    write_begin(&write);
    for (;;) {
        struct place place = write_find(&write);
        old = place_entry(place);
        result = put_judge(old, put->condition, put->expected_version);
        if (result != NH_OK)
            break;
        put->had_before = old != NULL;
        if (options.ttl_ms < 0 && !(options.keep_ttl && old != NULL)) {
            if (old != NULL && put->before != NULL)
                lend(write.shard, old, put->before);
            if (old != NULL)
                shard_unlink(write.shard, place, LEAVING_DELETED, &write.grave);
            if (put->version != NULL)
                *put->version = ++write.shard->version;
            break;
        }
        if (entry == NULL) {
            if (is_large && !write_gather(&write, old, plan_bytes)) {
                result = NH_FULL;
                break;
            }
            entry = put_copy(&write, &plan, is_large);
            if (entry == NULL) {
                result = NH_NO_MEMORY;
                break;
            }
            if (is_large)
                continue; /* the key may be another by now */
        }
        if (options.keep_ttl && old != NULL) {
            entry->expires_at_ms = old->expires_at_ms;
            entry_set_stale_at_ms(entry, entry_stale_at_ms(old));
        } else if (options.keep_ttl) {
            entry->expires_at_ms = plan.expires_at_ms;
            entry_set_stale_at_ms(entry, plan.stale_at_ms);
        }
        if (put->before != NULL && old != NULL)
            lend(write.shard, old, put->before);
        result = write_link(&write, place, entry);
        if (result == NH_OK) {
            if (put->version != NULL)
                *put->version = entry->version;
            entry = NULL;
            break;
        }
        if (put->before != NULL && old != NULL)
            shard_unpin(write.shard, old, &write.grave);
        if (!write_gather(&write, old, entry_charge(entry)))
            break;
    }
    write_end(&write);
    free(entry);
refused:
    if (result == NH_FULL || result == NH_NO_MEMORY || result == NH_TOO_LARGE)
        atomic_fetch_add_explicit(&store->rejected, 1, memory_order_relaxed);
    return result;
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
               &(struct put){IF_VERSION, .expected_version = expected_version, .version = version});
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
    struct write write = {.store = store, .now_ms = now_ms, .key = key};
    nh_result result = key_check(store, key);
    struct place place;

    if (result != NH_OK)
        return result;
    write_begin(&write);
    place = write_find(&write);
    if (place.bucket != NULL)
        shard_unlink(write.shard, place, LEAVING_DELETED, &write.grave);
    write_end(&write);
    return place.bucket != NULL ? NH_OK : NH_MISSING;
}

nh_result nh_touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms)
{
    struct write write = {.store = store, .now_ms = now_ms, .key = key};
    nh_result result = key_check(store, key);
    struct place place;

    if (result != NH_OK)
        return result;
    write_begin(&write);
    place = write_find(&write);
    if (place.bucket != NULL && ttl_ms < 0) {
        shard_unlink(write.shard, place, LEAVING_DELETED, &write.grave);
    } else if (place.bucket != NULL) {
        place_entry(place)->expires_at_ms = ttl_ms != 0 ? moment_after(now_ms, ttl_ms) : 0;
        place_use(place);
    }
    write_end(&write);
    return place.bucket != NULL ? NH_OK : NH_MISSING;
}

/* The sum of `old`'s number and `delta`, as text and as bits. */
static nh_result add(const struct entry *old, int64_t delta, int32_t mode, char text[NUMBER_TEXT_BYTES],
                     size_t *text_bytes, int64_t *sum)
{
    struct bytes digits = old != NULL ? bytes_of(entry_value(old), old->value_bytes) : BYTES("0");
    uint64_t number = 0;

    if (mode == NH_INCREMENT_SIGNED) {
        int64_t before;
        if (!int64_parse(digits, &before))
            return NH_TYPE;
        if (__builtin_add_overflow(before, delta, sum))
            return NH_RANGE;
        *text_bytes = int64_format(text, *sum);
        return NH_OK;
    }
    if (old == NULL)
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

/* A copy of `old`, or a first entry of `key`, with another value and room for any number. */
static struct entry *with_number(const struct write *write, const struct entry *old, struct bytes text)
{
    uint64_t tag_marks[NH_TAGS_MAX];
    struct entry_plan plan = {
        .key = write->key,
        .value = text,
        .value_capacity = NUMBER_TEXT_BYTES,
        .shard = write->shard->number,
        .tag_marks = tag_marks,
    };

    if (old != NULL) {
        plan.expires_at_ms = old->expires_at_ms;
        plan.stale_at_ms = entry_stale_at_ms(old);
        plan.has_soft = (old->extras & ENTRY_SOFT) != 0;
        plan.flags = old->flags;
        plan.tag_count = (uint8_t)entry_tag_count(old);
        for (unsigned i = 0; i < plan.tag_count; i++)
            tag_marks[i] = entry_tag_mark(old, i);
    }
    return entry_create(&plan);
}

nh_result nh_increment(nh_store *store, int64_t now_ms, nh_key key, int64_t delta, int32_t mode,
                       int64_t *sum)
{
    struct write write = {.store = store, .now_ms = now_ms, .key = key};
    nh_result result = key_check(store, key);
    char text[NUMBER_TEXT_BYTES];
    size_t text_bytes = 0;
    int64_t total = 0;

    if (result != NH_OK)
        return result;
    if (mode < NH_INCREMENT_SIGNED || mode > NH_DECREMENT_UNSIGNED)
        return NH_INVALID;
    write_begin(&write);
    for (;;) {
        struct place place = write_find(&write);
        struct entry *old = place_entry(place), *entry;
        uint64_t charge;

        result = add(old, delta, mode, text, &text_bytes, &total);
        if (result == NH_OK && text_bytes > store->value_bytes_max)
            result = NH_TOO_LARGE;
        if (result != NH_OK)
            break;
        if (old != NULL && old->references == 1 && entry_rewrite(old, bytes_of(text, text_bytes))) {
            old->version = ++write.shard->version;
            place_use(place);
            write.shard->counts.puts++;
            break;
        }
        entry = with_number(&write, old, bytes_of(text, text_bytes));
        if (entry == NULL) {
            result = NH_NO_MEMORY;
            break;
        }
        result = write_link(&write, place, entry);
        if (result == NH_OK)
            break;
        charge = entry_charge(entry);
        free(entry);
        if (!write_gather(&write, old, charge))
            break;
    }
    write_end(&write);
    if (result == NH_FULL || result == NH_NO_MEMORY)
        atomic_fetch_add_explicit(&store->rejected, 1, memory_order_relaxed);
    if (result == NH_OK && sum != NULL)
        *sum = total;
    return result;
}
