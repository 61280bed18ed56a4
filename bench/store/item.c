#include "store/item.h"
#include "load.h"

nh_store *store_open(uint64_t memory_bytes, bool huge_pages)
{
    return store_open_with(&(nh_options){.memory_bytes = memory_bytes, .huge_pages = huge_pages});
}

nh_store *store_open_with(const nh_options *wanted)
{
    nh_options options = *wanted;
    nh_store *store;
    nh_result result;

    options.size = sizeof options;
    options.hash_seed = 42;
    result = nh_create(&options, &store);
    if (result != NH_OK)
        stop("no store: %s", nh_result_text(result));
    return store;
}

void item_put(nh_store *store, int64_t now_ms, uint32_t id, uint32_t value_bytes, int64_t ttl_ms)
{
    static _Thread_local char value[ITEM_BYTES_MAX];
    nh_put_options options = {.size = sizeof options, .ttl_ms = ttl_ms};
    char key[KEY_BYTES];
    nh_result result;

    key_write(key, id);
    value_mark(value, id);
    result = nh_put(store, now_ms, key_of(key), (nh_bytes){value, value_bytes}, &options, NULL);
    if (result != NH_OK)
        stop("put refused: %s", nh_result_text(result));
}

bool item_get(nh_store *store, int64_t now_ms, uint32_t id)
{
    char key[KEY_BYTES], value[ITEM_BYTES_MAX];
    size_t value_bytes;
    nh_result result;

    key_write(key, id);
    result = nh_get(store, now_ms, key_of(key), value, sizeof value, &value_bytes);
    if (result == NH_MISSING)
        return false;
    if (result != NH_OK)
        stop("get refused: %s", nh_result_text(result));
    if (value_bytes < sizeof id || value_owner(value) != id)
        stop("the store answered with another value");
    return true;
}

nh_stats stats_of(nh_store *store)
{
    nh_stats stats = {.size = sizeof stats};

    if (nh_stats_read(store, &stats) != NH_OK)
        stop("no statistics");
    return stats;
}
