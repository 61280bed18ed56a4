/* kv_watch.h — keys that a session watches until its transaction (WATCH).
 *
 * The hub's table finds who watches a key that has changed; beside that a watched key is looked up again at
 * EXEC, as eviction and expiry change a key and tell nobody. */
#pragma once
#include "engine/kv/kv_call.h"

struct kv_watch;       /* what one session watches: session->watch */
struct kv_watch_table; /* who watches what: hub->watches */

/* Null without memory. */
struct kv_watch_table *kv_watch_table_create(void);
void kv_watch_table_destroy(struct kv_watch_table *table);

/* `key` has changed. By any worker, inside the gate. */
void kv_watch_touch(struct kv_hub *hub, nh_key key);

/* Whether all that the call's session watches is as it was; alone. */
bool kv_watch_holds(const struct kv_call *call);

/* The session watches nothing any more. On its worker's thread. */
void kv_watch_end(struct kv_hub *hub, struct session *session);
