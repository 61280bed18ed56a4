/* kv_tier.h — cache commands where the keys are in the shared tier: what is near is answered at once, all
 * else by the tier.
 *
 * Commands about keys, ours or not, are passed on as they came; those about the connection or this server
 * are answered here. Answers come in the order of the commands (message/late.h). */
#pragma once
#include "client/tier/tier.h"
#include "engine/kv/kv.h"

/* Has the commands of `kv` go to the tier from now on; before its first session, and on its thread or
 * before that runs. `loop` is the worker's. ERR_NO_MEMORY. */
enum err kv_tier_begin(struct kv *kv, struct tier_worker *worker, struct loop *loop);

/* After its last session, before the worker's part of the tier is destroyed. */
void kv_tier_end(struct kv *kv);
