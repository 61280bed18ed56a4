/* kv_pause.c — CLIENT PAUSE: for a while no command runs, or none that may write.
 *
 * A command that has to wait is not kept here: its session is held, and its connection offers it again when
 * the pause has passed or is called off. */
#include "base/number.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_clients.h"
#include "engine/kv/kv_guard.h"

static bool may_write(enum command_id id)
{
    if (id == COMMAND_UNKNOWN) /* one of another server's */
        return true;
    return (command_row(id)->flags & COMMAND_WRITE) != 0 || strcmp(command_row(id)->name, "exec") == 0 ||
           strcmp(command_row(id)->name, "publish") == 0 || strcmp(command_row(id)->name, "spublish") == 0;
}

enum kv_pass kv_guard_pause(const struct kv_call *call)
{
    struct kv_pause *pause = &call->kv->hub->admin->pause;
    int64_t end_ms = atomic_load_explicit(&pause->end_ms, memory_order_relaxed);

    if (call->now.mono_ms >= end_ms) {
        /* Between the two another worker may have begun a new pause: then the bit is set again below. */
        atomic_fetch_and_explicit(&call->kv->hub->guards, ~(uint32_t)KV_GUARD_pause, memory_order_seq_cst);
        if (call->now.mono_ms < atomic_load(&pause->end_ms))
            atomic_fetch_or(&call->kv->hub->guards, KV_GUARD_pause);
        return KV_PASS;
    }
    if (!atomic_load_explicit(&pause->is_of_all, memory_order_relaxed) && !may_write(call->id))
        return KV_PASS;
    call->session->is_held = true;
    call->session->held_until_ms = end_ms;
    return KV_KEPT;
}

/* A pause during a pause can only make it longer, and stricter. */
void kv_client_pause(const struct kv_call *call)
{
    struct kv_hub *hub = call->kv->hub;
    struct kv_pause *pause = &hub->admin->pause;
    bool is_of_all = true, is_on;
    int64_t duration_ms, end_ms;

    if (call->argument_count > 4) {
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                 BYTES_PRINTF(call->arguments[1]));
        return;
    }
    if (call->argument_count == 4) {
        is_of_all = kv_argument_is(call, 3, BYTES("all"));
        if (!is_of_all && !kv_argument_is(call, 3, BYTES("write"))) {
            kv_error(call, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    if (!int64_parse(call->arguments[2], &duration_ms)) {
        kv_error(call, "ERR timeout is not an integer or out of range");
        return;
    }
    if (duration_ms < 0) {
        kv_error(call, "ERR timeout is negative");
        return;
    }
    if (duration_ms > INT64_MAX - call->now.mono_ms) {
        kv_error(call, "ERR timeout is out of range");
        return;
    }
    kv_go_alone(call->kv); /* afterwards nobody is in the midst of a batch that does not know of it */
    end_ms = atomic_load(&pause->end_ms);
    is_on = end_ms > call->now.mono_ms;
    atomic_store(&pause->is_of_all, is_of_all || (is_on && atomic_load(&pause->is_of_all)));
    if (!is_on || call->now.mono_ms + duration_ms > end_ms)
        atomic_store(&pause->end_ms, call->now.mono_ms + duration_ms);
    atomic_fetch_or(&hub->guards, KV_GUARD_pause);
    call->kv->guards |= KV_GUARD_pause;
    kv_go_together(call->kv);
    reply_kind(call->reply, OUTCOME_ok);
}

static bool is_held(const struct session *session) { return session->is_held; }

static void go_on(struct session *session)
{
    if (session->go_on != NULL)
        session->go_on(session);
}

void kv_client_unpause(const struct kv_call *call)
{
    atomic_store(&call->kv->hub->admin->pause.end_ms, 0);
    atomic_fetch_and(&call->kv->hub->guards, ~(uint32_t)KV_GUARD_pause);
    kv_clients_tell(call->kv, is_held, go_on);
    reply_kind(call->reply, OUTCOME_ok);
}
