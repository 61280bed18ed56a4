/* kv_session.c — what the families keep for a session: begun with it, and given back. */
#include "engine/kv/kv.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_clients.h"
#include "engine/kv/kv_directory.h"
#include "engine/kv/kv_monitor.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_transaction.h"

void kv_session_begin(struct kv *kv, struct session *session)
{
    kv_directory_enter(kv, session);
    kv_greet(kv, session);
    kv_clients_enter(kv, session); /* last: from now on others look at it */
}

void kv_session_reset(struct kv *kv, struct session *session)
{
    kv_transaction_end(kv->hub, session);
    kv_tracking_end(kv->hub, session);
    kv_monitor_end(kv, session);
    kv_unsubscribe_from_all(kv, session);
    if (kv->elsewhere != NULL)
        kv->elsewhere->session_ends(kv, session);
}

void kv_session_end(struct kv *kv, struct session *session)
{
    kv_clients_leave(kv, session); /* first: nobody looks at it any more */
    kv_session_reset(kv, session);
    kv_publisher_ends(session);
    kv_directory_leave(kv, session);
    kv_forget(session);
}

void kv_sweep(struct kv *kv, int64_t now_ms) { kv_tracking_sweep(kv, now_ms); }
