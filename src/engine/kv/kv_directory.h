/* kv_directory.h — which worker has the cache session of a given id. Any thread. */
#pragma once
#include "engine/kv/kv.h"

struct kv_directory; /* hub->directory */
struct kv_resident;  /* a session's entry: session->resident */

/* Null without memory. */
struct kv_directory *kv_directory_create(void);
void kv_directory_destroy(struct kv_directory *directory);

/* Without memory the session is not found by others, and that is all. */
void kv_directory_enter(struct kv *kv, struct session *session);
void kv_directory_leave(struct kv *kv, struct session *session);

/* Null if there is no such session. It may be touched only on `*worker`, and only until that has done what
 * it is at: elsewhere the pointer says no more than that there is one. */
struct session *kv_directory_find(struct kv_hub *hub, uint64_t id, unsigned *worker);
