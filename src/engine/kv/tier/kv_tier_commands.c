/* kv_tier_commands.c — what commands the tier has: it is asked itself, once, and again now and then.
 *
 * Until it has said so, nobody knows whether a command that is not in our table blocks, where its keys are
 * and who may run it: sessions that need to know are held, so that their commands stay in order. */
#include "engine/kv/tier/kv_tier_state.h"

enum { ASKED_AGAIN_AFTER_MS = 5 * 60 * 1000, OFFERED_AGAIN_AFTER_MS = 20, FAILED_FOR_MS = 1000 };

static bool is_known(const struct kv_tier *tier)
{
    return tier->commands != NULL || tier->commands_are_refused;
}

static void asked(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct kv_tier *tier = CONTAINER_OF(call, struct kv_tier, commands_call);
    struct server_commands *commands = NULL;
    enum err err = answer->err;

    tier->commands_are_asked = false;
    if (err == OK)
        err = server_commands_create(answer->replies, &commands);
    if (err == OK) {
        server_commands_destroy(tier->commands);
        tier->commands = commands;
    }
    /* What the tier's user may not ask, or has another form, we do without: our own table is left. */
    tier->commands_are_refused = err == ERR_SYNTAX && answer->err == OK;
    if (err != OK && !tier->commands_are_refused)
        tier->commands_failed_ms = loop_now(tier->loop).mono_ms;
}

static void ask(struct kv_tier *tier)
{
    static const struct bytes words[] = {BYTES_INIT("COMMAND")};
    const struct valkey_command command = {words, 1};

    if (tier->commands_are_asked)
        return;
    tier->commands_are_asked = true;
    tier->commands_asked_ms = loop_now(tier->loop).mono_ms;
    tier->commands_call.done = asked;
    valkey_ask(
        tier->valkey, &tier->commands_call,
        &(struct valkey_order){
            .commands = &command, .command_count = 1, .target = VALKEY_ANY, .flags = VALKEY_MAY_REPEAT});
}

enum kv_pass kv_tier_await_commands(const struct kv_call *call)
{
    struct kv_tier *tier = kv_tier_of(call->kv);

    if (LIKELY(is_known(tier))) {
        if (UNLIKELY(call->now.mono_ms - tier->commands_asked_ms > ASKED_AGAIN_AFTER_MS))
            ask(tier); /* it may have been replaced by a newer version */
        return KV_PASS;
    }
    if (tier->commands_failed_ms != 0 && call->now.mono_ms - tier->commands_failed_ms < FAILED_FOR_MS) {
        kv_tier_say_failure(call->reply, ERR_UNREACHABLE, false, (struct bytes){NULL, 0});
        return KV_REFUSED;
    }
    ask(tier);
    call->session->is_held = true;
    call->session->held_until_ms = call->now.mono_ms + OFFERED_AGAIN_AFTER_MS;
    return KV_KEPT;
}
