/* kv_tier.c — whose business a command is: this server's, what is near, or the tier's. */
#include "engine/kv/tier/kv_tier.h"
#include "engine/kv/kv_care.h"
#include "engine/kv/kv_monitor.h"
#include "engine/kv/kv_transaction.h"
#include "engine/kv/tier/kv_tier_link.h"
#include "engine/kv/tier/kv_tier_memcached.h"
#include "engine/kv/tier/kv_tier_nh.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

/* ---- whose business --------------------------------------------------------------------------------- */

enum whose {
    OURS,      /* about the connection, or this server */
    IMMEDIATE, /* ours, and what a transaction may have: PING */
    READS,     /* may be near */
    PASSED,    /* about keys: the tier's */
    WHOLE,     /* about all keys: every server's */
    SESSION,   /* MULTI, WATCH … */
    MEMCACHED, /* about keys, in memcached's words */
    SUBSCRIBES,
    NH,      /* about keys, in words of our own */
    REFUSED, /* makes sense in one process only */
};

static enum whose whose_is(enum command_id id)
{
    switch (id) {
    case COMMAND_ping:
    case COMMAND_echo:
    case COMMAND_time: return IMMEDIATE;
    case COMMAND_get:
    case COMMAND_mget:
    case COMMAND_strlen:
    case COMMAND_getrange:
    case COMMAND_substr:
    case COMMAND_exists: return READS;
    case COMMAND_nh_get:
    case COMMAND_nh_set:
    case COMMAND_nh_delifeq:
    case COMMAND_nh_expireifeq:
    case COMMAND_nh_rate:
    case COMMAND_nh_purge: return NH;
    case COMMAND_keys:
    case COMMAND_scan:
    case COMMAND_dbsize:
    case COMMAND_randomkey:
    case COMMAND_flushall:
    case COMMAND_flushdb: return WHOLE;
    case COMMAND_exec:
    case COMMAND_watch:
    case COMMAND_unwatch:
    case COMMAND_discard:
    case COMMAND_multi:
    case COMMAND_quit:
    case COMMAND_reset: return SESSION;
    case COMMAND_subscribe:
    case COMMAND_psubscribe:
    case COMMAND_ssubscribe: return SUBSCRIBES;
    case COMMAND_select:
    case COMMAND_client:
    case COMMAND_sunsubscribe: return OURS;
    case COMMAND_swapdb:
    case COMMAND_move:
    case COMMAND_nh_fill:
    case COMMAND_nh_giveup: return REFUSED;
    case COMMAND_object:
    case COMMAND_memory:
    case COMMAND_command:
    case COMMAND_publish:
    case COMMAND_spublish:
    case COMMAND_pubsub:
    case COMMAND_wait:
    case COMMAND_UNKNOWN: return PASSED;
    default: return command_row(id)->first_key != 0 ? PASSED : OURS;
    }
}

static enum whose whose_is_of_memcached(enum command_id id)
{
    if (id == COMMAND_memcached_flush_all)
        return MEMCACHED;
    return id == COMMAND_UNKNOWN || command_row(id)->first_key == 0 ? OURS : MEMCACHED;
}

/* ---- what is ours but for a part --------------------------------------------------------------------- */

static const char *what_is_refused_of_ours(const struct kv_call *call)
{
    if (call->id == COMMAND_select && call->argument_count == 2 &&
        !bytes_equal(call->arguments[1], BYTES("0")))
        return "ERR only database 0 is possible with a shared tier";
    if (call->id == COMMAND_client && call->argument_count > 2 &&
        kv_argument_is(call, 1, BYTES("tracking")) && kv_argument_is(call, 2, BYTES("on")))
        return "ERR CLIENT TRACKING is not possible with a shared tier: let the client track what it reads "
               "there, or read again";
    return NULL;
}

static void refuse(const struct kv_call *call)
{
    char name[KV_FULL_NAME_BYTES];

    kv_full_name(call, name);
    if (call->id == COMMAND_swapdb || call->id == COMMAND_move)
        kv_error(call, "ERR '%s' is not possible with a shared tier: there is only database 0", name);
    else
        kv_error(call,
                 "ERR '%s' is not possible with a shared tier, only where all keys are in this process",
                 name);
}

/* ---- running ------------------------------------------------------------------------------------------
 */

static enum kv_pass may_run(const struct kv_call *call)
{
    unsigned guards = call->session->guards | call->kv->guards;

    call->kv->running = COMMAND_UNKNOWN;
    if (call->id != COMMAND_UNKNOWN &&
        !command_arity_fits(command_row(call->id)->arity, call->argument_count)) {
        kv_arity_error(call, command_row(call->id)->name);
        return KV_REFUSED;
    }
    return guards == 0 ? KV_PASS : kv_guards_ask(call, guards);
}

static void read(const struct kv_call *call)
{
    switch (call->id) {
    case COMMAND_get: kv_tier_get(call); return;
    case COMMAND_mget: kv_tier_mget(call); return;
    default:
        if (!kv_tier_read_near(call))
            kv_tier_pass(call);
        return;
    }
}

static void go_everywhere(struct kv_tier_request *request)
{
    switch (request->id) {
    case COMMAND_scan: kv_tier_send_scan(request); return;
    case COMMAND_randomkey: kv_tier_send_random_key(request); return;
    case COMMAND_dbsize: kv_tier_send_to_all(request, REPLY_SUM); return;
    case COMMAND_keys: kv_tier_send_to_all(request, REPLY_CONCATENATED); return;
    default: kv_tier_send_to_all(request, REPLY_ALL_SUCCEEDED); return;
    }
}

/* Other commands of the session are in no order with one that goes to every server: they wait. */
static void ask_everywhere(const struct kv_call *call)
{
    bool writes = (command_row(call->id)->flags & COMMAND_WRITE) != 0;
    struct kv_tier_request *request;

    if (kv_tier_hold(call))
        return;
    if (valkey_primary_count(kv_tier_of(call->kv)->valkey) == 0 && kv_tier_await_server(call, BYTES("")))
        return; /* it is not known yet who they are */
    request = kv_tier_request_create(call, LATE_ALONE, writes);
    if (request != NULL)
        go_everywhere(request);
}

void kv_tier_note_run(const struct kv_call *call)
{
    if (UNLIKELY(call->session->is_held)) /* it comes again */
        return;
    kv_count(&call->kv->counts.calls[call->id], 1);
    if (UNLIKELY(atomic_load_explicit(&call->kv->hub->care, memory_order_relaxed) & KV_CARE_SHOWN))
        kv_monitor_show(call);
}

static void execute(const struct kv_call *call, enum whose whose)
{
    call->kv->running = call->id;
    if (whose == READS)
        read(call);
    else if (whose == WHOLE)
        ask_everywhere(call);
    else if (whose == REFUSED)
        refuse(call);
    else if (whose == MEMCACHED)
        kv_tier_memcached(call);
    else if (whose == SUBSCRIBES)
        kv_tier_subscribe(call);
    else if (call->id == COMMAND_pubsub)
        kv_tier_pubsub(call);
    else if (whose == NH)
        kv_tier_nh(call);
    else
        kv_tier_pass(call);
    kv_tier_note_run(call);
}

/* What the tier runs between MULTI and EXEC is kept here until then. Null: it can be. */
static const char *what_is_refused_of_transactions(const struct kv_call *call, enum whose whose)
{
    const struct server_commands *commands = kv_tier_of(call->kv)->commands;

    if (whose == OURS || whose == WHOLE || whose == REFUSED || whose == SUBSCRIBES || whose == NH ||
        kv_tier_is_wait(call))
        return "it cannot be in a transaction with a shared tier";
    if (whose != PASSED || call->id == COMMAND_publish || call->id == COMMAND_spublish)
        return NULL;
    if (commands == NULL && (call->id == COMMAND_UNKNOWN || command_row(call->id)->first_key == 0))
        return "the shared tier does not tell what commands it has. Permit its user COMMAND (+command)";
    return kv_tier_refusal(
        call->arguments, call->argument_count,
        commands == NULL ? NULL : server_commands_find(commands, call->arguments, call->argument_count));
}

/* True if it has been dealt with. */
static bool keep_for_exec(const struct kv_call *call, enum whose whose)
{
    const char *refusal;
    char name[KV_FULL_NAME_BYTES];

    if (whose == PASSED && (call->id == COMMAND_UNKNOWN || command_row(call->id)->first_key == 0)) {
        enum kv_pass pass = kv_tier_await_commands(call); /* EXEC asks it where keys are */
        if (pass == KV_REFUSED)
            kv_note_refused(call);
        if (pass != KV_PASS)
            return true;
    }
    refusal = what_is_refused_of_transactions(call, whose);
    if (refusal == NULL) {
        call->session->keeps_blocking |= whose == PASSED && kv_tier_may_block(call);
        return false;
    }
    kv_full_name(call, name);
    kv_error(call, "ERR '%s': %s", name, refusal);
    kv_note_refused(call);
    return true;
}

static void run_guarded(const struct kv_call *call, void (*does)(const struct kv_call *call))
{
    enum kv_pass pass = may_run(call);

    if (pass == KV_REFUSED)
        kv_note_refused(call);
    if (pass != KV_PASS)
        return;
    call->kv->running = call->id;
    does(call);
    kv_tier_note_run(call);
}

static bool run_session_command(const struct kv_call *call)
{
    struct session *session = call->session;

    if (call->id == COMMAND_multi && session->transaction == NULL)
        session->keeps_blocking = false;
    if (call->id == COMMAND_watch && session->transaction == NULL) {
        run_guarded(call, kv_tier_watch);
        return true;
    }
    if (call->id == COMMAND_exec && session->transaction != NULL && call->argument_count == 1 &&
        !kv_transaction_is_spoiled(session)) {
        run_guarded(call, kv_tier_exec);
        return true;
    }
    /* Here these end what is kept here; what is watched there ends with the connection to it. */
    if ((call->id == COMMAND_unwatch) == (session->transaction == NULL) &&
        (call->id == COMMAND_discard || call->id == COMMAND_exec || call->id == COMMAND_unwatch))
        kv_tier_unwatch(session);
    return false;
}

static bool run(const struct kv_call *call)
{
    enum whose whose;
    enum kv_pass pass;
    const char *refusal;

    if (call->argument_count == 0)
        return false;
    whose = call->session->is_memcached ? whose_is_of_memcached(call->id) : whose_is(call->id);
    if (whose == SESSION && run_session_command(call))
        return true;
    if (call->session->transaction != NULL && whose != SESSION && keep_for_exec(call, whose))
        return true;
    refusal = what_is_refused_of_ours(call);
    if (UNLIKELY(refusal != NULL)) {
        reply_error(call->reply, bytes_of_text(refusal));
        return true;
    }
    if (whose == OURS || whose == IMMEDIATE || whose == SESSION)
        return false;
    /* A message must not come before answers to what was asked before. */
    if ((whose == SUBSCRIBES || call->id == COMMAND_pubsub) && kv_tier_hold(call))
        return true;
    pass = may_run(call);
    if (LIKELY(pass == KV_PASS))
        execute(call, whose);
    else if (pass == KV_REFUSED && !call->session->is_held)
        kv_note_refused(call);
    return true;
}

/* ---- begin and end --------------------------------------------------------------------------------------
 */

static void session_ends(struct kv *kv, struct session *session)
{
    (void)kv;
    kv_tier_unwatch(session);
}

static void add_info(const struct kv_call *call, struct buffer *text)
{
    struct kv_tier *tier = kv_tier_of(call->kv);

    buffer_append_format(text, "tier_mode:%s\r\n",
                         valkey_is_cluster(tier->valkey) ? "cluster" : "standalone");
    buffer_append_format(text, "tier_primaries:%zu\r\n", valkey_primary_count(tier->valkey));
    buffer_append_format(text, "tier_own_connections:%zu\r\n", tier->link_count);
    buffer_append_format(text, "tier_subscriptions:%zu\r\n", subscriptions_count(tier->subscriptions));
    buffer_append_format(text, "tier_subscription_connections:%zu\r\n",
                         subscriptions_link_count(tier->subscriptions));
}

static const struct kv_elsewhere elsewhere = {.run = run,
                                              .permits = kv_tier_permits,
                                              .session_ends = session_ends,
                                              .add_info = add_info,
                                              .topic_ends = kv_tier_topic_ends};

static void look(struct timer *timer) { kv_tier_links_look(CONTAINER_OF(timer, struct kv_tier, look)); }

enum err kv_tier_begin(struct kv *kv, struct tier_worker *worker, struct loop *loop)
{
    struct kv_tier *tier = calloc(1, sizeof *tier);

    if (tier == NULL)
        return ERR_NO_MEMORY;
    tier->kv = kv;
    tier->worker = worker;
    tier->tier = tier_of(worker);
    tier->valkey = tier_valkey(worker);
    tier->loop = loop;
    list_init(&tier->own_links);
    timer_init(&tier->look, look);
    if (kv_tier_subscribe_begin(tier) != OK) {
        free(tier);
        return ERR_NO_MEMORY;
    }
    kv->elsewhere = &elsewhere;
    kv->elsewhere_state = tier;
    return OK;
}

void kv_tier_end(struct kv *kv)
{
    struct kv_tier *tier = kv->elsewhere_state;

    if (tier == NULL)
        return;
    kv->elsewhere = NULL;
    kv->elsewhere_state = NULL;
    if (tier->commands_are_asked)
        valkey_give_up(tier->valkey, &tier->commands_call);
    timer_cancel(tier->loop, &tier->look);
    server_commands_destroy(tier->commands);
    free(tier);
}
