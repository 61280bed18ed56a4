#include "nuthatch.h"
nh_result nh_save(nh_store *store, const char *path, int64_t now_ms, int64_t wall_ms)
{
    (void)store;
    (void)path;
    (void)now_ms;
    (void)wall_ms;
    return NH_IO;
}
nh_result nh_restore(nh_store *store, const char *path, int64_t now_ms, int64_t wall_ms, uint64_t *count)
{
    (void)store;
    (void)path;
    (void)now_ms;
    (void)wall_ms;
    (void)count;
    return NH_IO;
}
nh_result nh_curve_read(nh_store *store, uint32_t space, nh_curve_point *points, size_t *count)
{
    (void)store;
    (void)space;
    (void)points;
    (void)count;
    return NH_MISSING;
}
nh_result nh_hot_keys_read(nh_store *store, nh_hot_key *keys, size_t *count)
{
    (void)store;
    (void)keys;
    (void)count;
    return NH_MISSING;
}
