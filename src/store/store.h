/* store.h — what the files of the library's outer face share. */
#pragma once
#include "store/shard.h"

/* Copies a struct that begins with its own size into `to`, zeroed where it is shorter. A null `from` is
 * all zero. NH_OK; NH_INVALID for a size that cannot be, or a field that this version does not know. */
nh_result options_copy(void *to, size_t to_size, const void *from);

/* NH_OK; NH_INVALID; NH_TOO_LARGE. */
nh_result key_check(const nh_store *store, nh_key key);

/* Fills `*value` with a reference to `entry`, with the shard's lock held. */
void lend(struct shard *shard, struct entry *entry, nh_value *value);
