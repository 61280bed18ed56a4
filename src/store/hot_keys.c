#include "store/hot_keys.h"
#include <assert.h>
#include <string.h>

static_assert(HOT_KEYS_COUNTERS < UINT16_MAX, "a counter's number + 1 fits in a chain");

/* ---- the heap --------------------------------------------------------------------------------------- */

static void heap_put(struct hot_keys *hot, size_t place, struct hot_heap_row row)
{
    hot->heap[place] = row;
    hot->places[row.counter] = (uint16_t)place;
}

/* Counts one more for what is at `place`, and moves it down to where it belongs then. */
static void heap_raise(struct hot_keys *hot, size_t place)
{
    struct hot_heap_row row = hot->heap[place];

    row.count++;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < HOT_KEYS_COUNTERS && hot->heap[child + 1].count < hot->heap[child].count)
            child++;
        if (child >= HOT_KEYS_COUNTERS || hot->heap[child].count >= row.count)
            break;
        heap_put(hot, place, hot->heap[child]);
        place = child;
    }
    heap_put(hot, place, row);
}

/* ---- chains ----------------------------------------------------------------------------------------- */

static uint16_t *chain_of(struct hot_keys *hot, uint64_t hash)
{
    return &hot->heads[(hash >> 32) % HOT_KEYS_COUNTERS];
}

/* The counter of the key, or null. */
static struct hot_counter *counter_find(struct hot_keys *hot, uint64_t hash, uint32_t space)
{
    for (uint16_t link = *chain_of(hot, hash); link != 0; link = hot->counters[link - 1].next)
        if (hot->counters[link - 1].hash == hash && hot->counters[link - 1].space == space)
            return &hot->counters[link - 1];
    return NULL;
}

static void chain_remove(struct hot_keys *hot, const struct hot_counter *counter)
{
    uint16_t *link = chain_of(hot, counter->hash);
    while (&hot->counters[*link - 1] != counter)
        link = &hot->counters[*link - 1].next;
    *link = counter->next;
}

static void chain_add(struct hot_keys *hot, struct hot_counter *counter)
{
    uint16_t *head = chain_of(hot, counter->hash);
    counter->next = *head;
    *head = (uint16_t)(counter - hot->counters + 1);
}

/* ---- counting --------------------------------------------------------------------------------------- */

static size_t kept_bytes(size_t key_bytes)
{
    return key_bytes < NH_HOT_KEY_BYTES_MAX ? key_bytes : NH_HOT_KEY_BYTES_MAX;
}

/* Gives the lowest counter to another key, which goes on from its count: (1). */
static void lowest_take(struct hot_keys *hot, uint64_t hash, nh_key key)
{
    struct hot_counter *counter = &hot->counters[hot->heap[0].counter];

    if (counter->is_used)
        chain_remove(hot, counter);
    counter->is_used = true;
    counter->hash = hash;
    counter->space = key.space;
    counter->key_bytes = (uint32_t)key.size;
    counter->over = hot->heap[0].count;
    memcpy(counter->key, key.data, kept_bytes(key.size));
    chain_add(hot, counter);
}

/* Halves what was counted. The order stays, and so does the heap. */
static void halve(struct hot_keys *hot)
{
    hot->samples = (hot->samples + hot->sample_count) / 2;
    hot->dropped =
        (hot->dropped + atomic_exchange_explicit(&hot->dropped_count, 0, memory_order_relaxed)) / 2;
    hot->sample_count = 0;
    for (size_t i = 0; i < HOT_KEYS_COUNTERS; i++) {
        hot->heap[i].count /= 2;
        hot->counters[i].over /= 2;
    }
}

void hot_keys_note(struct hot_keys *hot, uint64_t hash, nh_key key)
{
    if (!lock_try(&hot->lock)) {
        atomic_fetch_add_explicit(&hot->dropped_count, 1, memory_order_relaxed);
        return;
    }
    struct hot_counter *counter = counter_find(hot, hash, key.space);
    if (counter == NULL)
        lowest_take(hot, hash, key);
    heap_raise(hot, counter == NULL ? 0 : hot->places[counter - hot->counters]);
    if (++hot->sample_count == HOT_KEYS_HALVE_SAMPLES)
        halve(hot);
    lock_release(&hot->lock);
}

void hot_keys_init(struct hot_keys *hot)
{
    for (uint32_t i = 0; i < HOT_KEYS_COUNTERS; i++)
        heap_put(hot, i, (struct hot_heap_row){0, i});
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* How many reads a counted one stands for: those that were dropped are taken to be like the others. */
static double scale_of(struct hot_keys *hot)
{
    double samples = hot->samples + hot->sample_count;
    double dropped = hot->dropped + atomic_load_explicit(&hot->dropped_count, memory_order_relaxed);
    return samples == 0 ? HOT_KEYS_ONE_OF : HOT_KEYS_ONE_OF * (samples + dropped) / samples;
}

static void counter_tell(const struct hot_counter *counter, uint32_t count, double scale, nh_hot_key *key)
{
    *key = (nh_hot_key){.space = counter->space,
                        .key_bytes = counter->key_bytes,
                        .reads = (uint64_t)(count * scale),
                        .reads_over = (uint64_t)(counter->over * scale)};
    memcpy(key->key, counter->key, kept_bytes(counter->key_bytes));
}

void hot_keys_read(struct hot_keys *hot, nh_hot_key *keys, size_t *count)
{
    struct hot_heap_row rows[HOT_KEYS_COUNTERS];
    size_t row_count = 0;

    lock_acquire(&hot->lock);
    double scale = scale_of(hot);
    /* Sorted as they come: they are few, and at the heap's end they are in order already, nearly. */
    for (size_t i = HOT_KEYS_COUNTERS; i-- > 0;) {
        struct hot_heap_row row = hot->heap[i];
        size_t place = row_count;
        if (row.count == 0)
            continue;
        for (; place > 0 && rows[place - 1].count < row.count; place--)
            rows[place] = rows[place - 1];
        rows[place] = row;
        row_count++;
    }
    *count = *count < row_count ? *count : row_count;
    for (size_t i = 0; i < *count; i++)
        counter_tell(&hot->counters[rows[i].counter], rows[i].count, scale, &keys[i]);
    lock_release(&hot->lock);
}
