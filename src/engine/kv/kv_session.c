/* kv_session.c — what the families keep for a session, and how it is given back. */
#include "engine/kv/kv.h"

void kv_session_reset(struct kv *kv, struct session *session) { kv_unsubscribe_from_all(kv, session); }

void kv_session_end(struct kv *kv, struct session *session)
{
    kv_session_reset(kv, session);
    kv_publisher_ends(session);
}
