/* kv_operator.c — replication, saving, modules, stopping: what clients and tools ask of any Redis, answered
 * by a cache that has one copy, keeps nothing on disk while it runs, and loads no code. */
#include "base/number.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_call.h"

/* ---- replication ------------------------------------------------------------------------------- */

void kv_role(const struct kv_call *call)
{
    reply_aggregate(call->reply, OUTCOME_array, 3);
    reply_value(call->reply, BYTES("master"));
    reply_integer(call->reply, 0);
    reply_aggregate(call->reply, OUTCOME_array, 0);
}

void kv_replicaof(const struct kv_call *call)
{
    int64_t port;

    if (kv_argument_is(call, 1, BYTES("no")) && kv_argument_is(call, 2, BYTES("one")))
        reply_kind(call->reply, OUTCOME_ok); /* it is nobody's */
    else if (!int64_parse(call->arguments[2], &port) || port < 0 || port > 65535)
        kv_error(call, "ERR Invalid master port");
    else
        kv_error(call, "ERR this cache does not replicate: each server has values of its own");
}

void kv_slaveof(const struct kv_call *call) { kv_replicaof(call); }

void kv_failover(const struct kv_call *call)
{
    if (call->argument_count == 1)
        kv_error(call, "ERR FAILOVER requires connected replicas.");
    else if (call->argument_count == 2 && kv_argument_is(call, 1, BYTES("abort")))
        kv_error(call, "ERR No failover in progress.");
    else
        kv_syntax_error(call);
}

/* ---- saving ------------------------------------------------------------------------------------ */

/* When it started: nothing has been saved since. */
void kv_lastsave(const struct kv_call *call)
{
    struct kv_facts facts = {0};

    if (call->kv->read_facts != NULL)
        call->kv->read_facts(call->kv->facts_context, &facts);
    reply_integer(call->reply, facts.started_wall_ms / 1000);
}

static void say_not_saved(const struct kv_call *call)
{
    kv_error(call, "ERR values are not saved while the server runs, only at a clean stop: see --persist");
}

void kv_save(const struct kv_call *call) { say_not_saved(call); }
void kv_bgsave(const struct kv_call *call) { say_not_saved(call); }
void kv_bgrewriteaof(const struct kv_call *call) { say_not_saved(call); }

/* ---- modules ----------------------------------------------------------------------------------- */

static void module_list(const struct kv_call *call) { reply_aggregate(call->reply, OUTCOME_array, 0); }

static void module_load(const struct kv_call *call)
{
    kv_error(call, "ERR modules are not supported: this server loads no code");
}

static void module_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST",
        "    Return a list of loaded modules.",
        "HELP",
        "    Prints this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_module(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"list", 2, module_list},   {"load", -3, module_load}, {"loadex", -3, module_load},
        {"unload", 3, module_load}, {"help", 2, module_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}

/* ---- stopping ---------------------------------------------------------------------------------- */

/* As a SIGTERM: what is in hand is finished, and values are saved if --persist says so. There is no answer
 * but the end of the connection. */
void kv_shutdown(const struct kv_call *call)
{
    bool is_saving = false, is_not_saving = false, is_aborting = false;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("save")))
            is_saving = true;
        else if (kv_argument_is(call, i, BYTES("nosave")))
            is_not_saving = true;
        else if (kv_argument_is(call, i, BYTES("abort")))
            is_aborting = true;
        else if (!kv_argument_is(call, i, BYTES("now")) && !kv_argument_is(call, i, BYTES("force"))) {
            kv_syntax_error(call);
            return;
        }
    }
    if ((is_saving && is_not_saving) || (is_aborting && call->argument_count > 2))
        kv_syntax_error(call);
    else if (is_aborting)
        kv_error(call, "ERR No shutdown in progress.");
    else if (call->kv->stop == NULL)
        kv_error(call, "ERR this server cannot be stopped by a client");
    else {
        call->kv->stop(call->kv->facts_context);
        call->session->closing = true;
    }
}
