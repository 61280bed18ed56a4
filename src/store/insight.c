#include "nuthatch.h"
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
