#include "store/pitfalls.h"
#include <stdlib.h>

enum { VALUE_BYTES = 100 };

/* ---- many lifetimes in a small store ------------------------------------------------------------------
 */

enum { CLASSES_KEYS = 200000 };

static const int64_t class_ttls_ms[] = {
    800, 3000, 12000, 45000, 180000, 700000, 3000000, 12000000, 72000000, 500000000, 2400000000, 0,
};
enum { CLASS_COUNT = sizeof class_ttls_ms / sizeof class_ttls_ms[0] };

/* Get, or else put, 200,000 keys by Zipf in 16 MiB, half of what they need; no time passes, so that nothing
 * expires: what one run misses more than the other is memory lost to open segments. */
static void run_classes(const char *what, uint64_t requests, bool many)
{
    nh_store *store = store_open(16 << 20, false);
    uint32_t *ids = zipf_ids(0.99, CLASSES_KEYS, 1, requests);
    uint64_t missed = 0;
    struct timing timing;

    timing_init(&timing);
    for (uint64_t i = 0; i < requests; i++) {
        uint32_t id = ids[i];
        if (item_get(store, 1000, id))
            continue;
        missed += i >= requests / 2;
        timing_begin(&timing);
        item_put(store, 1000, id, VALUE_BYTES,
                 class_ttls_ms[many ? mix64(id) % CLASS_COUNT : CLASS_COUNT - 1]);
        timing_end(&timing);
    }
    row(what, &timing, "%.2f %% missed, %llu items held", percent(missed, requests - requests / 2),
        (unsigned long long)stats_of(store).items);
    free(ids);
    nh_destroy(store);
}

void pitfall_classes(uint64_t share_percent)
{
    uint64_t requests = 3000000 * share_percent / 100;

    run_classes("16 MiB, one lifetime: put", requests, false);
    run_classes("16 MiB, twelve lifetimes of 0.8 s to 4 weeks and none: put", requests, true);
}

/* ---- lifetimes of all lengths among values of one size ------------------------------------------------
 */

enum { PUTS_EACH_MS = 7, LIFETIME_MAX_MS = 60000, SWEEP_EVERY_MS = 100, SWEEP_ENTRIES = 2000 };

static int64_t lifetime_ms(uint32_t id) { return 1 + (int64_t)(mix64(id) % LIFETIME_MAX_MS); }

/* New keys at a steady rate, with lifetimes of 1 ms to a minute: what is alive fills half of the store, so
 * nothing that is alive need go, if the memory of what is dead is found in time. */
void pitfall_lifetimes(uint64_t share_percent)
{
    nh_store *store = store_open(64 << 20, false);
    int64_t end_ms = 1000 + (int64_t)(3 * LIFETIME_MAX_MS * share_percent / 100);
    uint64_t alive = 0, there = 0;
    uint32_t id = 0;
    struct timing puts, sweeps;

    timing_init(&puts);
    timing_init(&sweeps);
    for (int64_t now_ms = 1000; now_ms < end_ms; now_ms++) {
        for (int i = 0; i < PUTS_EACH_MS; i++, id++) {
            timing_begin(&puts);
            item_put(store, now_ms, id, VALUE_BYTES, lifetime_ms(id));
            timing_end(&puts);
        }
        if (now_ms % SWEEP_EVERY_MS == 0) {
            timing_begin(&sweeps);
            nh_sweep(store, now_ms, SWEEP_ENTRIES);
            timing_end(&sweeps);
        }
    }
    for (uint32_t i = 0; i < id; i++) {
        bool is_alive = 1000 + i / PUTS_EACH_MS + lifetime_ms(i) > end_ms;
        bool is_there = item_get(store, end_ms, i);
        alive += is_alive;
        there += is_alive && is_there;
        if (!is_alive && is_there)
            stop("the store answered with what had expired");
    }
    row("lifetimes of 1 ms to 60 s, half of 64 MiB alive: put", &puts,
        "%.2f %% of what is alive is there, %llu evicted", percent(there, alive),
        (unsigned long long)stats_of(store).evicted);
    row("the same: sweep of 2,000, each 100 ms", &sweeps, "%llu freed as expired",
        (unsigned long long)stats_of(store).expired);
    nh_destroy(store);
}
