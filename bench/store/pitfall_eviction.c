#include "store/pitfalls.h"

enum { VALUE_BYTES = 100, NOW_MS = 1000 };

/* ---- a few keys are written again and again -----------------------------------------------------------
 */

enum {
    HOT_KEYS = 1000,
    OTHER_KEYS = 100000,
    PUTS_EACH_READ = 10,
    SWEEP_EVERY_PUTS = 100000,
    SWEEP_ENTRIES = 2000
};

static uint64_t count_there(nh_store *store, uint32_t first, uint32_t count)
{
    uint64_t there = 0;
    for (uint32_t id = first; id < first + count; id++)
        there += item_get(store, NOW_MS, id);
    return there;
}

/* All fit twice: nothing need go, if the memory of what was overwritten is found. */
static void overwrite(const char *what, uint64_t puts, bool reads)
{
    nh_store *store = store_open(32 << 20, false);
    struct random random = random_seeded(1);
    struct timing timing;

    timing_init(&timing);
    for (uint32_t id = 0; id < HOT_KEYS + OTHER_KEYS; id++)
        item_put(store, NOW_MS, id, VALUE_BYTES, 0);
    for (uint64_t i = 0; i < puts; i++) {
        uint32_t id = (uint32_t)(random_next(&random) % HOT_KEYS);
        timing_begin(&timing);
        item_put(store, NOW_MS, id, VALUE_BYTES, 0);
        timing_end(&timing);
        if (reads && i % PUTS_EACH_READ == 0)
            item_get(store, NOW_MS, HOT_KEYS + (uint32_t)(random_next(&random) % OTHER_KEYS));
        if (i % SWEEP_EVERY_PUTS == 0)
            nh_sweep(store, NOW_MS, SWEEP_ENTRIES);
    }
    row(what, &timing, "%.2f %% of the others stay, %.2f %% of the overwritten",
        percent(count_there(store, HOT_KEYS, OTHER_KEYS), OTHER_KEYS),
        percent(count_there(store, 0, HOT_KEYS), HOT_KEYS));
    nh_destroy(store);
}

void pitfall_overwriting(uint64_t share_percent)
{
    uint64_t puts = 10000000 * share_percent / 100;

    overwrite("1,000 keys overwritten, 100,000 others never read: put", puts, false);
    overwrite("1,000 keys overwritten, 100,000 others read now and then: put", puts, true);
}

/* ---- everything has been read before it could be evicted -----------------------------------------------
 */

enum { ROUND_PUTS = 1000, READS_OF_EACH = 3 };

/* Puts new keys into a full store, and between two rounds reads all that is there `reads` times. */
static void put_into_hot(const char *what, uint64_t rounds, int reads)
{
    nh_store *store = store_open(8 << 20, false);
    uint32_t next = 0;
    uint64_t before_moved, before_evicted;
    struct timing timing;

    timing_init(&timing);
    while (stats_of(store).evicted == 0)
        for (int i = 0; i < ROUND_PUTS; i++)
            item_put(store, NOW_MS, next++, VALUE_BYTES, 0);
    before_moved = stats_of(store).moved;
    before_evicted = stats_of(store).evicted;
    for (uint64_t round = 0; round < rounds; round++) {
        uint32_t oldest =
            next > 2 * (uint32_t)stats_of(store).items ? next - 2 * (uint32_t)stats_of(store).items : 0;
        for (int i = 0; i < reads; i++)
            count_there(store, oldest, next - oldest);
        for (int i = 0; i < ROUND_PUTS; i++) {
            timing_begin(&timing);
            item_put(store, NOW_MS, next++, VALUE_BYTES, 0);
            timing_end(&timing);
        }
    }
    row(what, &timing, "%.2f moved and %.2f evicted for each put",
        (double)(stats_of(store).moved - before_moved) / (double)(rounds * ROUND_PUTS),
        (double)(stats_of(store).evicted - before_evicted) / (double)(rounds * ROUND_PUTS));
    nh_destroy(store);
}

void pitfall_all_hot(uint64_t share_percent)
{
    uint64_t rounds = 200 * share_percent / 100;

    put_into_hot("a full store, nothing read: put", rounds, 0);
    put_into_hot("a full store, everything read three times: put", rounds, READS_OF_EACH);
}
