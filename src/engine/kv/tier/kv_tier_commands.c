/* kv_tier_commands.c — what commands the tier has: it is asked itself, once, and again now and then.
 *
 * Until it has said so, requests wait here in their order. */
#include "engine/kv/tier/kv_tier_state.h"

enum { ASKED_AGAIN_AFTER_MS = 5 * 60 * 1000 };

/* All that wait go on, in their order; what they do may make others wait. */
static void let_go(struct kv_tier *tier)
{
    struct list *node = tier->waiting.next, *next;

    for (; node != &tier->waiting; node = next) {
        struct kv_tier_request *request = CONTAINER_OF(node, struct kv_tier_request, in_waiting);
        next = node->next;
        list_remove(node);
        request->go(request);
    }
}

static void fail_all(struct kv_tier *tier, const struct valkey_answer *answer)
{
    while (!list_is_empty(&tier->waiting)) {
        struct kv_tier_request *request =
            CONTAINER_OF(tier->waiting.next, struct kv_tier_request, in_waiting);
        struct reply *reply = kv_tier_request_reply(request);
        if (reply != NULL)
            kv_tier_say_failure(reply, answer->err, false, answer->text);
        kv_tier_request_end(request);
    }
}

static void asked(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct kv_tier *tier = CONTAINER_OF(call, struct kv_tier, commands_call);
    struct server_commands *commands = NULL;

    tier->commands_are_asked = false;
    if (answer->err != OK) {
        tier->commands_failed_ms = loop_now(tier->loop).mono_ms;
        if (tier->commands == NULL)
            fail_all(tier, answer);
        return;
    }
    /* What the tier's user may not ask, or has another form, we do without: our own table is left. */
    tier->commands_are_refused = server_commands_create(answer->replies, &commands) != OK;
    if (commands != NULL) {
        server_commands_destroy(tier->commands);
        tier->commands = commands;
    }
    let_go(tier);
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

void kv_tier_route(struct kv_tier_request *request, bool is_needed)
{
    struct kv_tier *tier = request->tier;
    bool is_known = tier->commands != NULL || tier->commands_are_refused;

    if (!list_is_empty(&tier->waiting) || (is_needed && !is_known)) {
        list_append(&tier->waiting, &request->in_waiting);
        ask(tier);
        return;
    }
    if (is_needed && loop_now(tier->loop).mono_ms - tier->commands_asked_ms > ASKED_AGAIN_AFTER_MS)
        ask(tier); /* it may have been replaced by a newer version */
    request->go(request);
}

enum kv_pass kv_tier_await_commands(const struct kv_call *call)
{
    enum { OFFERED_AGAIN_AFTER_MS = 20, FAILED_FOR_MS = 1000 };
    struct kv_tier *tier = kv_tier_of(call->kv);

    if (tier->commands != NULL || tier->commands_are_refused)
        return KV_PASS;
    if (tier->commands_failed_ms != 0 && call->now.mono_ms - tier->commands_failed_ms < FAILED_FOR_MS) {
        kv_tier_say_failure(call->reply, ERR_UNREACHABLE, false, (struct bytes){NULL, 0});
        return KV_REFUSED;
    }
    ask(tier);
    call->session->is_held = true;
    call->session->held_until_ms = call->now.mono_ms + OFFERED_AGAIN_AFTER_MS;
    return KV_KEPT;
}
