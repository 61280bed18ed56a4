/* store_memory — resident memory for each item beyond its key and value, when all fit; or, with --full, of
 * a store that has been put more than it may hold, against its limit. Items have a lifetime, as they do in
 * a cache. */
#include "load.h"
#include "store/item.h"
#include "store/measure.h"

enum { NOW_MS = 1000, TTL_MS = 10 * 3600 * 1000 };

static void measure_per_item(uint32_t items, uint32_t value_bytes, uint64_t memory_bytes)
{
    uint64_t before_bytes = rss_bytes(), after_bytes,
             payload_bytes = (KEY_BYTES + value_bytes) * (uint64_t)items;
    nh_store *store = store_open(memory_bytes, false);
    nh_stats stats;

    for (uint32_t id = 0; id < items; id++)
        item_put(store, NOW_MS, id, value_bytes, TTL_MS);
    after_bytes = rss_bytes();
    stats = stats_of(store);
    if (stats.items != items)
        stop("of %u items %llu are there: the limit is too low", items, (unsigned long long)stats.items);
    result("{\"value_bytes\":%u,\"items\":%u,\"rss_bytes\":%llu,\"per_item\":%.2f,\"index_per_item\":%.2f}",
           value_bytes, items, (unsigned long long)after_bytes,
           ((double)(after_bytes - before_bytes) - (double)payload_bytes) / items,
           (double)stats.index_bytes / items);
    nh_destroy(store);
}

/* Puts three times what fits, of values that the replay has too, and reads some of them. */
static void measure_full(uint64_t memory_bytes)
{
    uint64_t before_bytes = rss_bytes(), most_bytes = 0, put_bytes = 0;
    nh_store *store = store_open(memory_bytes, false);
    nh_stats stats;

    for (uint32_t id = 0; put_bytes < 3 * memory_bytes; id++) {
        uint32_t value_bytes = value_bytes_of(id, 100, 400);
        item_put(store, NOW_MS, id, value_bytes, TTL_MS);
        put_bytes += KEY_BYTES + value_bytes;
        if (id > 1000)
            item_get(store, NOW_MS, id - (uint32_t)(mix64(id) % 1000));
        if (id % 65536 == 0 && rss_bytes() > most_bytes)
            most_bytes = rss_bytes();
    }
    if (rss_bytes() > most_bytes)
        most_bytes = rss_bytes();
    stats = stats_of(store);
    result("{\"limit_bytes\":%llu,\"most_rss_bytes\":%llu,\"of_limit\":%.4f,\"told_bytes\":%llu,\"items\":%"
           "llu}",
           (unsigned long long)memory_bytes, (unsigned long long)(most_bytes - before_bytes),
           (double)(most_bytes - before_bytes) / (double)memory_bytes,
           (unsigned long long)stats.memory_bytes, (unsigned long long)stats.items);
    nh_destroy(store);
}

int main(int argc, char **argv)
{
    int64_t items = 5000000, value_bytes = 100, memory_bytes = (int64_t)2 << 30, full = 0;
    const struct load_option options[] = {
        {"items", "how many (5000000)", &items, NULL},
        {"value-bytes", "of each value, 4 to 1024 (100)", &value_bytes, NULL},
        {"memory-bytes", "the store's limit (2 GiB)", &memory_bytes, NULL},
        {"full", "1: fill it beyond the limit (0)", &full, NULL},
    };

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (value_bytes < (int64_t)sizeof(uint32_t) || value_bytes > ITEM_BYTES_MAX)
        stop("a value of 4 to %d bytes", ITEM_BYTES_MAX);
    if (full != 0)
        measure_full((uint64_t)memory_bytes);
    else
        measure_per_item((uint32_t)items, (uint32_t)value_bytes, (uint64_t)memory_bytes);
    return 0;
}
