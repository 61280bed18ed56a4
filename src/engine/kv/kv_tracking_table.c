/* kv_tracking_table.c — who has read what: key -> sessions, for all workers, in stripes that have a lock
 * each.
 *
 * Its memory is bounded: beyond so many keys, or so many bytes for each of them on average, keys are taken
 * out in the order of their hashes, which is as good as random, and told as if they had changed. */
#include "base/hash.h"
#include "engine/kv/kv_key_table.h"
#include "engine/kv/kv_tracking.h"
#include <stdlib.h>

enum { STRIPES = 256, BYTES_PER_KEY = 512, READERS_MIN = 2, SWEPT_KEYS = 20000 };

struct stripe {
    alignas(64) pthread_mutex_t lock;
    struct hash_table keys; /* of struct interest */
    size_t cursor;          /* where the next one to leave is looked for */
    int64_t due_ms;         /* when the first may expire, or earlier */
};

struct kv_tracking_table {
    uint64_t seed;
    alignas(64) _Atomic uint64_t key_count;
    _Atomic uint64_t reader_count;
    _Atomic uint64_t bytes;
    _Atomic unsigned next_stripe; /* to take a key out of */
    _Atomic unsigned next_swept;
    struct stripe stripes[STRIPES];
};

struct interest {
    struct kv_key_node node;
    uint64_t *readers;     /* kv_reader, in order */
    int64_t expires_at_ms; /* of the values that were read, the first to; INT64_MAX: none does */
    uint32_t count, capacity;
    struct interest *next_expired; /* once it has been taken out for that */
    char key[];
};

struct kv_tracking_table *kv_tracking_table_create(void)
{
    struct kv_tracking_table *table = aligned_alloc(alignof(struct kv_tracking_table), sizeof *table);

    if (table == NULL)
        return NULL;
    *table = (struct kv_tracking_table){.seed = hash_seed_random()};
    for (size_t i = 0; i < STRIPES; i++)
        table->stripes[i].due_ms = INT64_MAX;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&table->stripes[i].lock, NULL);
    return table;
}

void kv_tracking_table_destroy(struct kv_tracking_table *table)
{
    if (table == NULL)
        return;
    kv_tracking_clear(table);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&table->stripes[i].lock);
    free(table);
}

static uint64_t bytes_of_interest(const struct interest *interest)
{
    return sizeof *interest + interest->node.key.size + interest->capacity * sizeof *interest->readers;
}

static void interest_free(struct interest *interest)
{
    free(interest->readers);
    free(interest);
}

/* Takes it out of its stripe, whose lock is held; the caller's from now on. */
static struct interest *take_out(struct kv_tracking_table *table, struct stripe *stripe,
                                 struct kv_key_node *node)
{
    struct interest *interest = CONTAINER_OF(node, struct interest, node);

    kv_key_table_remove(&stripe->keys, node);
    atomic_fetch_sub_explicit(&table->key_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&table->reader_count, interest->count, memory_order_relaxed);
    atomic_fetch_sub_explicit(&table->bytes, bytes_of_interest(interest), memory_order_relaxed);
    return interest;
}

static void tell_and_free(struct kv *kv, uint64_t writer_id, struct interest *interest)
{
    struct bytes key = bytes_of(interest->key, interest->node.key.size);
    kv_tracking_write(kv, writer_id, key, interest->readers, interest->count);
    interest_free(interest);
}

/* ---- remembering --------------------------------------------------------------------------------------
 */

static struct interest *find_or_make(struct kv_tracking_table *table, struct stripe *stripe, uint64_t hash,
                                     nh_key key)
{
    struct kv_key_node *node = kv_key_table_find(&stripe->keys, hash, key);
    struct interest *interest;

    if (node != NULL)
        return CONTAINER_OF(node, struct interest, node);
    interest = malloc(sizeof *interest + key.size);
    if (interest == NULL)
        return NULL;
    *interest = (struct interest){.node = {.hash = hash, .key = {interest->key, key.size, key.space}},
                                  .expires_at_ms = INT64_MAX};
    if (key.size > 0)
        memcpy(interest->key, key.data, key.size);
    if (!kv_key_table_put(&stripe->keys, &interest->node)) {
        free(interest);
        return NULL;
    }
    atomic_fetch_add_explicit(&table->key_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&table->bytes, bytes_of_interest(interest), memory_order_relaxed);
    return interest;
}

/* Adds `reader`, in its place. False without memory. */
static bool add_reader(struct kv_tracking_table *table, struct interest *interest, uint64_t reader)
{
    uint32_t low = 0, high = interest->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (interest->readers[middle] < reader)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < interest->count && interest->readers[low] == reader)
        return true;
    if (interest->count == interest->capacity) {
        uint32_t capacity = interest->capacity > 0 ? 2 * interest->capacity : READERS_MIN;
        uint64_t *readers = realloc(interest->readers, capacity * sizeof *readers);
        if (readers == NULL)
            return false;
        atomic_fetch_add_explicit(&table->bytes, (capacity - interest->capacity) * sizeof *readers,
                                  memory_order_relaxed);
        interest->readers = readers;
        interest->capacity = capacity;
    }
    memmove(interest->readers + low + 1, interest->readers + low,
            (interest->count - low) * sizeof *interest->readers);
    interest->readers[low] = reader;
    interest->count++;
    atomic_fetch_add_explicit(&table->reader_count, 1, memory_order_relaxed);
    return true;
}

static bool is_too_large(const struct kv_hub *hub)
{
    const struct kv_tracking_table *table = hub->tracking;
    uint64_t keys_max = atomic_load_explicit(&hub->tracking_keys_max, memory_order_relaxed);

    return atomic_load_explicit(&table->key_count, memory_order_relaxed) > keys_max ||
           atomic_load_explicit(&table->bytes, memory_order_relaxed) > keys_max * BYTES_PER_KEY;
}

/* Takes some key out, if there is one. */
static void drop_one(struct kv *kv)
{
    struct kv_tracking_table *table = kv->hub->tracking;
    struct interest *interest = NULL;

    for (size_t tries = 0; tries < STRIPES && interest == NULL; tries++) {
        unsigned number = atomic_fetch_add_explicit(&table->next_stripe, 1, memory_order_relaxed);
        struct stripe *stripe = &table->stripes[number % STRIPES];

        pthread_mutex_lock(&stripe->lock);
        if (stripe->keys.node_count > 0) {
            struct kv_key_node *node = kv_key_table_next(&stripe->keys, &stripe->cursor);
            if (node == NULL) /* the cursor was behind the last */
                node = kv_key_table_next(&stripe->keys, &stripe->cursor);
            interest = take_out(table, stripe, node);
        }
        pthread_mutex_unlock(&stripe->lock);
    }
    if (interest != NULL)
        tell_and_free(kv, 0, interest);
}

/* A value that is about to be read will expire: remembered, too, as nothing changes then. */
static void remember_expiry(const struct kv_call *call, struct stripe *stripe, uint64_t hash, nh_key key)
{
    struct kv_key_node *node;
    int64_t expires_at_ms;
    nh_value value;

    if (nh_peek(call->kv->store, call->now.mono_ms, key, &value) != NH_OK)
        return;
    expires_at_ms = value.expires_at_ms;
    nh_release(call->kv->store, &value);
    if (expires_at_ms == 0)
        return;
    key.space = 0;
    pthread_mutex_lock(&stripe->lock);
    node = kv_key_table_find(&stripe->keys, hash, key);
    if (node != NULL) { /* else it has been changed meanwhile, and told */
        struct interest *interest = CONTAINER_OF(node, struct interest, node);
        if (expires_at_ms < interest->expires_at_ms)
            interest->expires_at_ms = expires_at_ms;
        if (expires_at_ms < stripe->due_ms)
            stripe->due_ms = expires_at_ms;
    }
    pthread_mutex_unlock(&stripe->lock);
}

void kv_tracking_remember(const struct kv_call *call, nh_key key)
{
    struct kv_tracking_table *table = call->kv->hub->tracking;
    uint64_t hash = hash_bytes(bytes_of(key.data, key.size), table->seed);
    struct stripe *stripe = &table->stripes[hash % STRIPES];
    struct interest *interest;
    bool is_remembered;

    pthread_mutex_lock(&stripe->lock);
    interest = find_or_make(table, stripe, hash, (nh_key){key.data, key.size, 0});
    is_remembered =
        interest != NULL && add_reader(table, interest, kv_reader(call->kv->number, call->session->id));
    pthread_mutex_unlock(&stripe->lock);
    if (!is_remembered)
        kv_tracking_alarm(call->kv, call->kv->number);
    else
        remember_expiry(call, stripe, hash, key);
    while (UNLIKELY(is_too_large(call->kv->hub)))
        drop_one(call->kv);
}

/* ---- telling ------------------------------------------------------------------------------------------
 */

void kv_tracking_tell(const struct kv_call *call, nh_key key)
{
    struct kv_tracking_table *table = call->kv->hub->tracking;
    uint64_t hash = hash_bytes(bytes_of(key.data, key.size), table->seed);
    struct stripe *stripe = &table->stripes[hash % STRIPES];
    struct interest *interest = NULL;
    struct kv_key_node *node;

    key.space = 0;
    pthread_mutex_lock(&stripe->lock);
    node = kv_key_table_find(&stripe->keys, hash, key);
    if (node != NULL)
        interest = take_out(table, stripe, node);
    pthread_mutex_unlock(&stripe->lock);
    if (interest != NULL)
        tell_and_free(call->kv, call->session->id, interest);
}

/* Takes out of a stripe what has expired: a list by next_expired, the caller's. */
static struct interest *take_expired(struct kv_tracking_table *table, struct stripe *stripe, int64_t now_ms,
                                     size_t *seen_count)
{
    struct interest *expired = NULL;

    pthread_mutex_lock(&stripe->lock);
    if (now_ms >= stripe->due_ms) {
        stripe->due_ms = INT64_MAX;
        *seen_count += stripe->keys.node_count;
        for (size_t i = 0; i < stripe->keys.chain_count; i++) {
            for (struct hash_node *link = stripe->keys.chains[i]; link != NULL; link = link->next) {
                struct interest *interest = CONTAINER_OF(link, struct interest, node.in_table);
                if (interest->expires_at_ms <= now_ms) {
                    interest->next_expired = expired;
                    expired = interest;
                } else if (interest->expires_at_ms < stripe->due_ms) {
                    stripe->due_ms = interest->expires_at_ms;
                }
            }
        }
        /* Only now: the table may move its chains when something is taken out. */
        for (struct interest *interest = expired; interest != NULL; interest = interest->next_expired)
            take_out(table, stripe, &interest->node);
    }
    pthread_mutex_unlock(&stripe->lock);
    return expired;
}

void kv_tracking_sweep(struct kv *kv, int64_t now_ms)
{
    struct kv_tracking_table *table = kv->hub->tracking;
    size_t seen_count = 0;

    if (atomic_load_explicit(&table->key_count, memory_order_relaxed) == 0)
        return;
    for (size_t i = 0; i < STRIPES && seen_count < SWEPT_KEYS; i++) {
        unsigned number = atomic_fetch_add_explicit(&table->next_swept, 1, memory_order_relaxed);
        struct interest *expired =
            take_expired(table, &table->stripes[number % STRIPES], now_ms, &seen_count);
        for (struct interest *next; expired != NULL; expired = next) {
            next = expired->next_expired;
            tell_and_free(kv, 0, expired);
        }
    }
    kv_read_own_letters(kv);
}

void kv_tracking_tell_flush(const struct kv_call *call)
{
    kv_tracking_clear(call->kv->hub->tracking);
    kv_tracking_write_flush(call->kv);
}

void kv_tracking_clear(struct kv_tracking_table *table)
{
    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &table->stripes[i];
        struct kv_key_node *node;

        pthread_mutex_lock(&stripe->lock);
        stripe->cursor = 0;
        while (stripe->keys.node_count > 0)
            if ((node = kv_key_table_next(&stripe->keys, &stripe->cursor)) != NULL)
                interest_free(take_out(table, stripe, node));
        pthread_mutex_unlock(&stripe->lock);
    }
}

void kv_tracking_count(struct kv_hub *hub, uint64_t *keys, uint64_t *readers)
{
    *keys = atomic_load_explicit(&hub->tracking->key_count, memory_order_relaxed);
    *readers = atomic_load_explicit(&hub->tracking->reader_count, memory_order_relaxed);
}
