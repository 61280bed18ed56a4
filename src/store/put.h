/* put.h — what nh_put's family and writers share: a record from a caller's options. */
#pragma once
#include "store/write.h"

/* A caller's options, checked, as a record's plan; `tag_hashes` has room for NH_TAGS_MAX. NH_OK;
 * NH_INVALID, NH_TOO_LARGE; NH_CHANGED if a tag was purged since options->as_of_purge. */
nh_result put_plan(const nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                   const nh_put_options *options, uint32_t *tag_hashes, struct record_plan *plan);

/* Puts a value by a plan, whatever was there; `options` are those that the plan was made of. As nh_put. */
nh_result put_planned(nh_store *store, int64_t now_ms, struct record_plan *plan,
                      const nh_put_options *options, nh_bytes value, uint64_t *version);

/* The same for a record of an earlier life: as a new key, to the queue that it was in, with its uses. */
nh_result put_restored(nh_store *store, int64_t now_ms, struct record_plan *plan, nh_bytes value,
                       enum queue queue, unsigned uses);
