/* kv_connection.c — commands about the connection itself. */
#include "base/buffer.h"
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_tracking.h"
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
    session->space = 0;
    session->resp_version = 2;
    session->silence = SILENCE_NONE;
    session->name[0] = '\0';
    say_text(call, BYTES("RESET"));
}

void kv_select(const struct kv_call *call)
{
    int64_t space;

    if (!int64_parse(call->arguments[1], &space) || space < INT32_MIN || space > INT32_MAX) {
        kv_integer_error(call);
    } else if (space < 0 || space >= KV_SPACES) {
        kv_error(call, "ERR DB index is out of range");
    } else {
        call->session->space = (uint32_t)space;
        reply_kind(call->reply, OUTCOME_ok);
    }
}

/* ---- who are you --------------------------------------------------------------------------------------
 */

/* No password can be configured: like a Redis without one, the user "default" may come with any. */
static bool may_be(const struct kv_call *call, struct bytes user)
{
    if (bytes_equal(user, BYTES("default")))
        return true;
    kv_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

void kv_auth(const struct kv_call *call)
{
    if (call->argument_count > 3)
        kv_syntax_error(call);
    else if (call->argument_count == 2)
        kv_error(call, "ERR AUTH <password> called without any password configured for the default user. "
                       "Are you sure your configuration is correct?");
    else if (may_be(call, call->arguments[1]))
        reply_kind(call->reply, OUTCOME_ok);
}

static bool set_name(const struct kv_call *call, struct bytes name)
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

void kv_hello(const struct kv_call *call)
{
    int64_t version = call->session->resp_version;
    struct bytes name = {0};

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
    for (uint32_t i = 2; i < call->argument_count; i++) {
        uint32_t left = call->argument_count - 1 - i;
        if (left >= 2 && kv_argument_is(call, i, BYTES("auth"))) {
            if (!may_be(call, call->arguments[i + 1]))
                return;
            i += 2;
        } else if (left >= 1 && kv_argument_is(call, i, BYTES("setname"))) {
            name = call->arguments[++i];
            if (!set_name(call, name))
                return;
        } else {
            size_t size = call->arguments[i].size;
            kv_error(call, "ERR Syntax error in HELLO option '%.*s'", (int)(size < 128 ? size : 128),
                     call->arguments[i].data);
            return;
        }
    }
    call->session->resp_version = (uint8_t)version;
    say_hello(call);
}

/* ---- CLIENT -------------------------------------------------------------------------------------------
 */

static void client_id(const struct kv_call *call)
{
    reply_integer(call->reply, (int64_t)call->session->id);
}

static void client_setname(const struct kv_call *call)
{
    if (set_name(call, call->arguments[2]))
        reply_kind(call->reply, OUTCOME_ok);
}

static void client_getname(const struct kv_call *call)
{
    if (call->session->name[0] == '\0')
        reply_kind(call->reply, OUTCOME_nothing);
    else
        reply_value(call->reply, bytes_of_text(call->session->name));
}

static void client_setinfo(const struct kv_call *call)
{
    struct session *session = call->session;
    bool is_name = kv_argument_is(call, 2, BYTES("lib-name"));

    if (!is_name && !kv_argument_is(call, 2, BYTES("lib-ver"))) {
        size_t size = call->arguments[2].size;
        kv_error(call, "ERR Unrecognized option '%.*s'", (int)(size < 128 ? size : 128),
                 call->arguments[2].data);
    } else if (!kv_copy_name(is_name ? session->library_name : session->library_version,
                             call->arguments[3])) {
        kv_error(call, "ERR %s cannot contain spaces, newlines or special characters.",
                 is_name ? "lib-name" : "lib-ver");
    } else {
        reply_kind(call->reply, OUTCOME_ok);
    }
}

static void client_info(const struct kv_call *call)
{
    const struct session *session = call->session;
    struct buffer text = {0};

    /* Libraries insist on Redis's fields of memory, too; an idle connection holds none. */
    buffer_append_format(
        &text,
        "id=%llu addr=%s laddr=%s fd=0 name=%s age=%lld idle=0 flags=%c db=%u sub=%zu psub=%zu ssub=%zu "
        "multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 "
        "tot-mem=0 events=r cmd=client|info user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
        (unsigned long long)session->id, session->peer, session->local, session->name,
        (long long)(call->now.mono_ms - session->connected_at_ms) / 1000,
        session->subscriber != NULL ? 'P' : 'N', session->space,
        kv_subscription_count(session, KV_TOPIC_CHANNEL), kv_subscription_count(session, KV_TOPIC_PATTERN),
        kv_subscription_count(session, KV_TOPIC_SHARD), session->resp_version, session->library_name,
        session->library_version);
    if (text.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_verbatim, .bytes = buffer_bytes(&text)});
    buffer_fini(&text);
}

/* NO-EVICT and NO-TOUCH: accepted, as libraries send them; connections are not evicted here. */
static void client_on_off(const struct kv_call *call)
{
    if (kv_argument_is(call, 2, BYTES("on")) || kv_argument_is(call, 2, BYTES("off")))
        reply_kind(call->reply, OUTCOME_ok);
    else
        kv_syntax_error(call);
}

static void client_reply(const struct kv_call *call)
{
    if (kv_argument_is(call, 2, BYTES("on"))) {
        call->session->silence = SILENCE_NONE;
        reply_kind(call->reply, OUTCOME_ok);
    } else if (kv_argument_is(call, 2, BYTES("off"))) {
        call->session->silence = SILENCE_ALL;
    } else if (kv_argument_is(call, 2, BYTES("skip"))) {
        if (call->session->silence != SILENCE_ALL)
            call->session->silence = SILENCE_NEXT;
    } else {
        kv_syntax_error(call);
    }
}

static void client_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETNAME",
        "    Return the name of the current connection.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "NO-EVICT (ON|OFF)",
        "    Accepted; connections are not evicted.",
        "NO-TOUCH (ON|OFF)",
        "    Accepted; reading a key counts as a use.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Tell which client library this is.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "HELP",
        "    Print this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_client(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"setinfo", 4, client_setinfo},
        {"setname", 3, client_setname},
        {"getname", 2, client_getname},
        {"id", 2, client_id},
        {"info", 2, client_info},
        {"no-evict", 3, client_on_off},
        {"no-touch", 3, client_on_off},
        {"reply", 3, client_reply},
        {"help", 2, client_help},
        {"tracking", -3, kv_client_tracking},
        {"trackinginfo", 2, kv_client_trackinginfo},
        {"caching", 3, kv_client_caching},
        {"getredir", 2, kv_client_getredir},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
