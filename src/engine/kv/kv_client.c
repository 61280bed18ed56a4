/* kv_client.c — CLIENT: what a connection says about itself, and asks about the others. */
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_clients.h"
#include "engine/kv/kv_tracking.h"

static void client_id(const struct kv_call *call)
{
    reply_integer(call->reply, (int64_t)call->session->id);
}

static void client_setname(const struct kv_call *call)
{
    if (kv_set_name(call, call->arguments[2]))
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

static bool is_on_or_off(const struct kv_call *call)
{
    if (kv_argument_is(call, 2, BYTES("on")) || kv_argument_is(call, 2, BYTES("off")))
        return true;
    kv_syntax_error(call);
    return false;
}

/* Connections are not evicted here; that one shall not be is told to who asks. */
static void client_no_evict(const struct kv_call *call)
{
    if (!is_on_or_off(call))
        return;
    call->session->is_never_evicted = kv_argument_is(call, 2, BYTES("on"));
    reply_kind(call->reply, OUTCOME_ok);
}

static void client_no_touch(const struct kv_call *call)
{
    if (!is_on_or_off(call))
        return;
    call->session->is_unnoticed = kv_argument_is(call, 2, BYTES("on"));
    reply_kind(call->reply, OUTCOME_ok);
}

/* No command of a cache waits, so there is never one to wake. */
static void client_unblock(const struct kv_call *call)
{
    int64_t id;

    if (call->argument_count > 4)
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                 BYTES_PRINTF(call->arguments[1]));
    else if (call->argument_count == 4 && !kv_argument_is(call, 3, BYTES("timeout")) &&
             !kv_argument_is(call, 3, BYTES("error")))
        kv_error(call, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    else if (!int64_parse(call->arguments[2], &id))
        kv_integer_error(call);
    else
        reply_integer(call->reply, 0);
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
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "    * ID <id> [<id> ...]",
        "      Return clients of these ids.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "NO-EVICT (ON|OFF)",
        "    Accepted; connections are not evicted.",
        "NO-TOUCH (ON|OFF)",
        "    Have reads of the current connection count as no uses of the keys.",
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
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client: there is never one.",
        "HELP",
        "    Print this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_client(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"setinfo", 4, client_setinfo},       {"setname", 3, client_setname},
        {"getname", 2, client_getname},       {"id", 2, client_id},
        {"info", 2, kv_client_info},          {"list", -2, kv_client_list},
        {"kill", -3, kv_client_kill},         {"pause", -3, kv_client_pause},
        {"unpause", 2, kv_client_unpause},    {"unblock", -3, client_unblock},
        {"no-evict", 3, client_no_evict},     {"no-touch", 3, client_no_touch},
        {"tracking", -3, kv_client_tracking}, {"trackinginfo", 2, kv_client_trackinginfo},
        {"caching", 3, kv_client_caching},    {"getredir", 2, kv_client_getredir},
        {"reply", 3, client_reply},           {"help", 2, client_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
