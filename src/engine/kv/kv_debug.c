/* kv_debug.c — DEBUG SLEEP, which the tests of client libraries use. Only the connection that asks for it
 * sleeps: the command is held, as by CLIENT PAUSE, and answered when it is offered again. */
#include "base/number.h"
#include "engine/kv/kv_call.h"

enum { SLEEP_SECONDS_MAX = 3600 };

static void debug_sleep(const struct kv_call *call)
{
    struct session *session = call->session;
    uint64_t sleep_ms;

    if (!thousandths_parse(call->arguments[2], SLEEP_SECONDS_MAX * UINT64_C(1000), &sleep_ms)) {
        kv_error(call, "ERR DEBUG SLEEP wants seconds, up to %d and with at most 3 decimals",
                 (int)SLEEP_SECONDS_MAX);
        return;
    }
    if (kv_is_alone(call->kv)) {
        kv_error(call, "ERR DEBUG SLEEP cannot be in a transaction: it would hold up everybody");
        return;
    }
    if (session->wakes_at_ms == 0)
        session->wakes_at_ms = call->now.mono_ms + (int64_t)sleep_ms;
    if (call->now.mono_ms >= session->wakes_at_ms) {
        session->wakes_at_ms = 0;
        reply_kind(call->reply, OUTCOME_ok);
        return;
    }
    session->is_held = true;
    session->held_until_ms = session->wakes_at_ms;
}

static void debug_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "SLEEP <seconds>",
        "    Answer after so many seconds. Decimals allowed. Other connections do not wait.",
        "HELP",
        "    Print this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_debug(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {{"sleep", 3, debug_sleep}, {"help", 2, debug_help}};
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
