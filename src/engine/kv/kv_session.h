/* kv_session.h — what is said of a session, and how it is ended. It begins and ends in kv.h. */
#pragma once
#include "base/buffer.h"
#include "engine/kv/kv_call.h"

/* Appends what CLIENT INFO says of the session of a call, without a line's end. */
void kv_session_describe(const struct kv_call *call, struct buffer *text);

/* Closes a connection from outside of its own commands. */
static inline void kv_session_cut(struct session *session)
{
    session->closing = true;
    if (session->cut != NULL)
        session->cut(session);
}
