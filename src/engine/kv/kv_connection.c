/* kv_connection.c — commands about the connection itself. */
#include "base/number.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_clients.h"
#include "engine/kv/kv_database.h"
#include "engine/kv/kv_session.h"
#include "engine/kv/kv_version.h"

static void say_text(const struct kv_call *call, struct bytes text)
{
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = text});
}

void kv_ping(const struct kv_call *call)
{
    if (call->argument_count > 2)
        kv_arity_error(call, "ping");
    else if (UNLIKELY(call->session->subscriber != NULL) && kv_ping_subscriber(call))
        return;
    else if (call->argument_count == 2)
        reply_value(call->reply, call->arguments[1]);
    else
        say_text(call, BYTES("PONG"));
}

void kv_echo(const struct kv_call *call) { reply_value(call->reply, call->arguments[1]); }

void kv_quit(const struct kv_call *call)
{
    call->session->closing = true;
    reply_kind(call->reply, OUTCOME_ok);
}

void kv_reset(const struct kv_call *call)
{
    struct session *session = call->session;

    kv_session_reset(call->kv, session);
    session->database = 0;
    session->resp_version = 2;
    session->silence = SILENCE_NONE;
    session->is_never_evicted = session->is_unnoticed = false;
    session->name[0] = '\0';
    kv_greet(call->kv, session);
    say_text(call, BYTES("RESET"));
}

void kv_select(const struct kv_call *call)
{
    if (kv_read_database(call, 1, &call->session->database))
        reply_kind(call->reply, OUTCOME_ok);
}

/* ---- who are you --------------------------------------------------------------------------------------
 */

bool kv_set_name(const struct kv_call *call, struct bytes name)
{
    if (kv_copy_name(call->session->name, name))
        return true;
    if (name.size > SESSION_NAME_BYTES_MAX)
        kv_error(call, "ERR Client names cannot be longer than %d bytes.", (int)SESSION_NAME_BYTES_MAX);
    else
        kv_error(call, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

static void say_hello(const struct kv_call *call)
{
    struct reply *reply = call->reply;

    reply_aggregate(reply, OUTCOME_map, 7);
    reply_value(reply, BYTES("server"));
    reply_value(reply, BYTES("redis"));
    reply_value(reply, BYTES("version"));
    reply_value(reply, BYTES(KV_REDIS_VERSION));
    reply_value(reply, BYTES("proto"));
    reply_integer(reply, call->session->resp_version);
    reply_value(reply, BYTES("id"));
    reply_integer(reply, (int64_t)call->session->id);
    reply_value(reply, BYTES("mode"));
    reply_value(reply, BYTES("standalone"));
    reply_value(reply, BYTES("role"));
    reply_value(reply, BYTES("master"));
    reply_value(reply, BYTES("modules"));
    reply_aggregate(reply, OUTCOME_array, 0);
}

/* The name is set and the user become in the order in which they were asked for, as Redis does it. */
static bool take_hello_options(const struct kv_call *call)
{
    for (uint32_t i = 2; i < call->argument_count; i++) {
        uint32_t left = call->argument_count - 1 - i;
        if (left >= 2 && kv_argument_is(call, i, BYTES("auth"))) {
            if (!kv_authenticate(call, call->arguments[i + 1], call->arguments[i + 2]))
                return false;
            i += 2;
        } else if (left >= 1 && kv_argument_is(call, i, BYTES("setname"))) {
            if (!kv_set_name(call, call->arguments[++i]))
                return false;
        } else {
            size_t size = call->arguments[i].size;
            kv_error(call, "ERR Syntax error in HELLO option '%.*s'", (int)(size < 128 ? size : 128),
                     call->arguments[i].data);
            return false;
        }
    }
    return true;
}

void kv_hello(const struct kv_call *call)
{
    int64_t version = call->session->resp_version;

    if (call->argument_count > 1) {
        if (!int64_parse(call->arguments[1], &version)) {
            kv_error(call, "ERR Protocol version is not an integer or out of range");
            return;
        }
        if (version != 2 && version != 3) {
            kv_error(call, "NOPROTO unsupported protocol version");
            return;
        }
    }
    if (!take_hello_options(call))
        return;
    if (call->session->is_stranger) {
        kv_error(call, "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                       "HELLO AUTH <user> <pass> option can be used to authenticate the client and select "
                       "the RESP protocol version at the same time");
        return;
    }
    call->session->resp_version = (uint8_t)version;
    say_hello(call);
}
