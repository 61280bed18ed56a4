/* kv_nh.h — what NH.SET is told beside key and value, for who has its keys here and who has them elsewhere.
 */
#pragma once
#include "engine/kv/kv_call.h"

enum kv_nh_condition { KV_NH_ALWAYS, KV_NH_IF_MISSING, KV_NH_IF_THERE, KV_NH_IF_VERSION };

struct kv_nh_set_options {
    nh_put_options put; /* its tags are below: it must not be copied */
    nh_bytes tags[NH_TAGS_MAX];
    enum kv_nh_condition condition;
    uint64_t version; /* of IF_VERSION */
};

/* Reads the words from argument `index` on into `options`, zeroed but for put.size. False if an error was
 * said. */
bool kv_nh_read_set_options(const struct kv_call *call, uint32_t index, struct kv_nh_set_options *options);
