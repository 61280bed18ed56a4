/* kv_tier_memcached_meta.h — what the files of memcached's meta commands in front of the tier share. */
#pragma once
#include "engine/kv/kv_memcached_meta.h"
#include "engine/kv/tier/kv_tier_memcached.h"

/* mg and me. */
void kv_tier_memcached_mg(const struct kv_call *call);
void kv_tier_memcached_me(const struct kv_call *call);
/* ms, md and ma. */
void kv_tier_memcached_ms(const struct kv_call *call);
void kv_tier_memcached_md(const struct kv_call *call);
void kv_tier_memcached_ma(const struct kv_call *call);

/* False, and an error was said, if a flag asks for what the tier does not know. */
bool kv_tier_meta_is_possible(const struct kv_call *call, const struct meta *meta);

static inline struct bytes kv_tier_meta_key(const struct meta *meta)
{
    return bytes_of(meta->key.data, meta->key.size);
}
