#include "store/pitfalls.h"

enum { VALUE_BYTES = 100, NOW_MS = 1000, ITEMS = 5000000, SWEEP_ENTRIES = 2000, IDLE_TICKS = 2000 };

static uint64_t memory_for(uint64_t items) { return (64 << 20) + items * 256; }

static nh_store *fill(uint64_t items, int64_t (*ttl_ms_of)(uint32_t), struct timing *timing)
{
    nh_store *store = store_open(memory_for(items), false);

    timing_init(timing);
    for (uint32_t id = 0; id < items; id++) {
        int64_t ttl_ms = ttl_ms_of != NULL ? ttl_ms_of(id) : 0;
        timing_begin(timing);
        item_put(store, NOW_MS, id, VALUE_BYTES, ttl_ms);
        timing_end(timing);
    }
    return store;
}

void pitfall_growth(uint64_t share_percent)
{
    uint64_t items = ITEMS * share_percent / 100;
    struct timing timing;
    nh_store *store = fill(items, NULL, &timing);
    nh_stats stats = stats_of(store);

    row("growing from 0 to 5 million: put", &timing, "%llu items", (unsigned long long)stats.items);
    nh_destroy(store);
}

void pitfall_clear(uint64_t share_percent)
{
    uint64_t items = ITEMS * share_percent / 100, left, ticks = 0, least_bytes = UINT64_MAX;
    double before_mib;
    struct timing clear, puts, sweeps;
    nh_store *store = fill(items, NULL, &puts);

    before_mib = (double)stats_of(store).memory_bytes / (1 << 20);
    timing_init(&clear);
    timing_begin(&clear);
    nh_clear(store, NH_SPACE_ALL);
    timing_end(&clear);
    left = nh_count(store, NH_SPACE_ALL);
    row("clearing 5 million", &clear, "%llu counted, %s", (unsigned long long)left,
        item_get(store, NOW_MS, 0) ? "yet one is there" : "none is there");

    timing_init(&puts);
    for (uint32_t id = 0; id < items / 10; id++) {
        timing_begin(&puts);
        item_put(store, NOW_MS, id, VALUE_BYTES, 0);
        timing_end(&puts);
    }
    row("after clearing: put", &puts, "%llu counted", (unsigned long long)nh_count(store, NH_SPACE_ALL));

    timing_init(&sweeps);
    for (uint64_t tick = 1; tick - ticks < IDLE_TICKS; tick++) {
        uint64_t now_bytes;
        timing_begin(&sweeps);
        nh_sweep(store, NOW_MS, SWEEP_ENTRIES);
        timing_end(&sweeps);
        now_bytes = stats_of(store).memory_bytes;
        if (now_bytes < least_bytes) {
            least_bytes = now_bytes;
            ticks = tick;
        }
    }
    row("after clearing: sweep of 2,000", &sweeps, "%.0f MiB in use after %llu ticks, before %.0f",
        (double)least_bytes / (1 << 20), (unsigned long long)ticks, before_mib);
    nh_destroy(store);
}

/* Every second item dies after a second, the others live for an hour. */
static int64_t short_or_long_ms(uint32_t id) { return id % 2 == 0 ? 1000 : 3600000; }

static int64_t one_second_ms(uint32_t id)
{
    (void)id;
    return 1000;
}

static void sweep_all(const char *what, uint64_t items, int64_t (*ttl_ms_of)(uint32_t), uint64_t expected)
{
    struct timing timing;
    nh_store *store = fill(items, ttl_ms_of, &timing);
    uint64_t freed = 0, ticks_idle = 0, begun_ns, took_ns;
    double before_mib = (double)stats_of(store).memory_bytes / (1 << 20);

    timing_init(&timing);
    begun_ns = now_ns();
    while (freed < expected && ticks_idle < IDLE_TICKS) {
        size_t now_freed;
        timing_begin(&timing);
        now_freed = nh_sweep(store, NOW_MS + 2000, SWEEP_ENTRIES);
        timing_end(&timing);
        freed += now_freed;
        ticks_idle = now_freed == 0 ? ticks_idle + 1 : 0;
    }
    took_ns = now_ns() - begun_ns;
    row(what, &timing, "%.1f %% of the expired freed, %.0f ns each; %.0f MiB in use, before %.0f",
        percent(freed, expected), freed == 0 ? 0 : (double)took_ns / (double)freed,
        (double)stats_of(store).memory_bytes / (1 << 20), before_mib);
    nh_destroy(store);
}

void pitfall_sweep(uint64_t share_percent)
{
    uint64_t items = ITEMS * share_percent / 100;
    struct timing timing;
    nh_store *store = fill(items, NULL, &timing);

    timing_init(&timing);
    for (int i = 0; i < IDLE_TICKS; i++) {
        timing_begin(&timing);
        nh_sweep(store, NOW_MS, SWEEP_ENTRIES);
        timing_end(&timing);
    }
    row("5 million alive: sweep of 2,000", &timing, "nothing to free");
    nh_destroy(store);

    sweep_all("5 million, all expired: sweep of 2,000", items, one_second_ms, items);
    sweep_all("5 million, every second one expired: sweep of 2,000", items, short_or_long_ms,
              (items + 1) / 2);
}
