/* kv_clients.h — the sessions of all workers: CLIENT LIST, INFO, KILL. */
#pragma once
#include "engine/kv/kv_call.h"

void kv_clients_enter(struct kv *kv, struct session *session);
void kv_clients_leave(struct kv *kv, struct session *session);

/* Has `visit` called for the sessions of this worker, on its thread. It may cut one, and must not end it.
 */
void kv_clients_of_worker(struct kv *kv,
                          void (*visit)(struct kv *kv, struct session *session, const void *context),
                          const void *context);

/* All sessions, by their in_clients and the oldest first, at rest until kv_clients_release: goes alone. */
struct list *kv_clients_hold(struct kv *kv);
void kv_clients_release(struct kv *kv);

/* Has `tell` called on every worker's thread for those of its sessions that `concerns` holds for; it is
 * asked there. Without memory for the letter a worker is not told: false. */
bool kv_clients_tell(struct kv *kv, bool (*concerns)(const struct session *session),
                     void (*tell)(struct session *session));

void kv_client_list(const struct kv_call *call);
void kv_client_info(const struct kv_call *call);
void kv_client_kill(const struct kv_call *call);
void kv_client_pause(const struct kv_call *call);
void kv_client_unpause(const struct kv_call *call);

/* CLIENT SETNAME and HELLO's; false if an error was said. */
bool kv_set_name(const struct kv_call *call, struct bytes name);
