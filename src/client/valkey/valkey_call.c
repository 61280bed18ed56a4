/* valkey_call.c — one call: to which server, and how it ends; what comes back of it is valkey_answer.c's.
 *
 *                 sent                      replies, none a redirection
 *   valkey_ask ─────────► under way ─────────────────────────────────────► ended ─► done()
 *       │                   │   ▲                                            ▲
 *       │ nobody is         │   │ the gate lets it go                        │ deadline, too many
 *       │ connected to      ▼   │                                            │ redirections, nobody
 *       └───────────────► waiting ───────────────────────────────────────────┘ left to ask             */
#include "base/compiler.h"
#include "client/valkey/valkey_parts.h"
#include <stdlib.h>

#define ASKING_COMMAND "*1\r\n$6\r\nASKING\r\n"

void valkey_text_set(struct text *text, struct bytes bytes)
{
    text->size = bytes.size < sizeof text->data ? bytes.size : sizeof text->data;
    if (text->size > 0)
        memcpy(text->data, bytes.data, text->size);
}

void valkey_text_set_failure(struct text *text, const struct link_address *address, enum err why,
                             struct bytes said)
{
    bool is_more = said.size > 0 && !bytes_equal(said, bytes_of_text(err_text(why)));
    int size = snprintf(text->data, sizeof text->data, "%s port %u: %s%s%.*s", address->host, address->port,
                        err_text(why), is_more ? ": " : "",
                        is_more ? (int)(said.size < sizeof text->data ? said.size : sizeof text->data) : 0,
                        is_more ? said.data : "");

    text->size = size < (int)sizeof text->data ? (size_t)size : sizeof text->data - 1;
}

int64_t valkey_jittered_ms(struct valkey *valkey, int64_t ms)
{
    return ms + (int64_t)random_below(&valkey->dice, (uint64_t)ms / 2 + 1);
}

/* ---- made and freed --------------------------------------------------------------------------------- */

static void deadline_passed(struct timer *timer);

enum err call_create(struct valkey *valkey, struct valkey_call *outer, const struct valkey_order *order,
                     struct call **result)
{
    struct buffer *rendered = &valkey->scratch;
    uint32_t command_at[VALKEY_COMMANDS_MAX + 1] = {0};
    size_t replies_bytes = order->command_count > 1 ? order->command_count * sizeof(struct resp_reply) : 0;
    struct call *call;

    buffer_clear(rendered);
    for (uint32_t i = 0; i < order->command_count; i++) {
        resp_render_command(rendered, order->commands[i].arguments, order->commands[i].argument_count);
        if (rendered->size > UINT32_MAX)
            return ERR_TOO_LARGE;
        command_at[i + 1] = (uint32_t)rendered->size;
    }
    call = rendered->failed ? NULL : malloc(sizeof *call + replies_bytes + rendered->size);
    if (call == NULL)
        return ERR_NO_MEMORY;
    *call = (struct call){
        .request = {.replied = call_replied, .failed = call_failed},
        .valkey = valkey,
        .place = CALL_ENDED, /* nowhere yet */
        .outer = outer,
        .sequence = ++valkey->last_sequence,
        .asked_ms = valkey_now_ms(valkey),
        .target = order->target,
        .slot = order->slot,
        .node = order->node,
        .flags = order->flags,
        .is_transaction =
            order->command_count > 1 && bytes_equal_nocase(order->commands[0].arguments[0], BYTES("MULTI")),
        .command_count = order->command_count,
    };
    memcpy(call->command_at, command_at, sizeof command_at);
    if (replies_bytes > 0) {
        call->replies = (struct resp_reply *)(void *)(call + 1);
        memset(call->replies, 0, replies_bytes);
    }
    call->bytes = (char *)(call + 1) + replies_bytes;
    memcpy(call->bytes, rendered->data, rendered->size);
    for (uint32_t i = 0; i < order->command_count; i++)
        call->again[i] = (uint8_t)i;
    call->again_count = order->command_count;
    list_init(&call->in_place);
    list_append(&valkey->calls, &call->in_calls);
    timer_init(&call->deadline, deadline_passed);
    timer_set(valkey->loop, &call->deadline,
              order->deadline_ms != 0 ? order->deadline_ms
                                      : call->asked_ms + valkey->options->call_timeout_ms);
    *result = call;
    return OK;
}

void call_drop_reply(struct call *call, uint32_t index)
{
    if (call->replies == NULL || call->replies[index].nodes == NULL)
        return;
    free((void *)(uintptr_t)call->replies[index].nodes);
    call->replies[index] = (struct resp_reply){0};
}

void call_destroy(struct call *call)
{
    for (uint32_t i = 0; i < call->command_count; i++)
        call_drop_reply(call, i);
    timer_cancel(call->valkey->loop, &call->deadline);
    list_remove(&call->in_calls);
    list_remove(&call->in_place);
    free(call);
}

/* ---- its places ------------------------------------------------------------------------------------- */

struct gate *call_gate(const struct call *call)
{
    return call->target == VALKEY_SLOT ? call->valkey->gates[call->slot] : NULL;
}

static void forget_ask(struct call *call)
{
    if (call->ask_server != NULL)
        call->ask_server->call_count--;
    call->ask_server = NULL;
}

void call_leave_place(struct call *call)
{
    list_remove(&call->in_place);
    if (call->place == CALL_WAITING) {
        call->valkey->waiting_count--;
        call->valkey->waiting_bytes -= call_bytes(call);
    }
    if (call->place == CALL_UNDER_WAY) {
        if (call->is_counted)
            call->valkey->under_way[call->slot]--;
        call->server->call_count--;
        call->server->used_ms = valkey_now_ms(call->valkey);
    }
    call->place = CALL_ENDED;
}

/* ---- asking ----------------------------------------------------------------------------------------- */

struct server *call_server(struct call *call)
{
    struct valkey *valkey = call->valkey;
    struct server *server;

    if (call->ask_server != NULL)
        return call->ask_server;
    if (call->target == VALKEY_NODE)
        return servers_primary(valkey, call->node);
    if (call->target == VALKEY_ANY)
        return servers_any(valkey);
    server = server_of_slot(valkey, call->slot);
    if (server == NULL || !valkey->options->reads_from_replicas ||
        (call->flags & VALKEY_REPLICA_WILL_DO) == 0 || call->is_redirected)
        return server;
    for (uint16_t i = 0; i < server->replica_count;
         i++) { /* in turn; what went wrong goes to the primary */
        struct server *replica =
            valkey->servers[server->replicas[server->next_replica++ % server->replica_count]];
        if (replica != NULL && replica->source != NULL && source_is_open(replica->source))
            return replica;
    }
    return server;
}

bool call_is_hopeless(const struct call *call, const struct server *server, struct bytes *why)
{
    const struct valkey *valkey = call->valkey;

    if (server == NULL) {
        if (valkey->has_map ? valkey->refreshed_ms <= call->asked_ms : !valkey->has_failed_to_learn)
            return false;
        *why = !valkey->has_map              ? text_bytes(&valkey->why)
               : call->target == VALKEY_SLOT ? BYTES("CLUSTERDOWN Hash slot not served")
                                             : BYTES("no such server in the tier");
        return true;
    }
    if (server_is_open(server))
        return false;
    *why = server->why.size > 0 ? text_bytes(&server->why) : BYTES("the server is not connected to");
    return server->source == NULL || source_is_left_alone(server->source);
}

/* What is to be asked, as it goes out. */
static struct bytes render(struct call *call, uint32_t *reply_count)
{
    struct buffer *output = &call->valkey->scratch;
    bool is_whole = call->again_count == call->command_count;

    *reply_count = call->again_count;
    if (is_whole && call->ask_server == NULL)
        return bytes_of(call->bytes, call->command_at[call->command_count]);
    buffer_clear(output);
    for (uint32_t i = 0; i < call->again_count; i++) {
        uint32_t command = call->again[i];
        /* ASKING holds for one command, and through a whole transaction if it stands before MULTI. */
        if (call->ask_server != NULL && (i == 0 || !call->is_transaction)) {
            buffer_append_literal(output, ASKING_COMMAND);
            *reply_count += 1;
        }
        buffer_append(output, bytes_of(call->bytes + call->command_at[command],
                                       call->command_at[command + 1] - call->command_at[command]));
    }
    return buffer_bytes(output);
}

enum err call_send(struct call *call, struct server *server)
{
    uint32_t reply_count;
    bool with_asking = call->ask_server != NULL;
    struct bytes bytes = render(call, &reply_count);
    enum err err;

    if (server->source == NULL)
        return ERR_CANCELLED;
    if (call->valkey->scratch.failed)
        return ERR_NO_MEMORY;
    err = source_send(server->source, &call->request, bytes, reply_count,
                      (call->flags & VALKEY_UNTRACKED) != 0 && reply_count == 1);
    if (err != OK)
        return err;
    call_leave_place(call);
    forget_ask(call);
    call->place = CALL_UNDER_WAY;
    call->is_counted = call->target == VALKEY_SLOT;
    if (call->is_counted)
        call->valkey->under_way[call->slot]++;
    call->server = server;
    server->call_count++;
    call->is_mixed |= call->source != NULL && call->again_count < call->command_count;
    call->source = server->source;
    call->is_doubted = false;
    if (!with_asking)
        call->asked_number = server->number;
    call->generation = source_generation(server->source);
    call->with_asking = with_asking;
    call->was_asked_aside = with_asking || (call->was_asked_aside && call->is_mixed);
    call->asked_count = call->again_count;
    memcpy(call->asked, call->again, sizeof call->asked);
    call->heard_count = call->again_count = 0;
    call->redirection = (struct redirection){.kind = REDIRECTION_NONE};
    return OK;
}

/* ---- ending ----------------------------------------------------------------------------------------- */

static void tell(struct call *call, enum err err, struct bytes text, const struct resp_reply *replies)
{
    struct valkey_answer answer = {.err = err, .text = text, .replies = replies};
    struct valkey_call *outer = call->outer;

    if (err == OK) {
        answer.speaker = call->source;
        bool may_be_kept = !call->was_asked_aside && !call->is_mixed && source_is_open(call->source) &&
                           source_is_tracked(call->source) &&
                           source_generation(call->source) == call->generation;
        answer.source = may_be_kept ? call->source : NULL;
        answer.generation = call->generation;
        answer.sent_ms = call->request.sent_ms;
    } else {
        answer.may_have_run = call->may_have_run;
    }
    outer->inner = NULL;
    outer->done(outer, &answer);
}

static void count_end(struct valkey *valkey, enum err err)
{
    if (err == ERR_TIMEOUT)
        valkey_count(valkey, METRIC_tier_timeouts);
    else if (err == ERR_FULL)
        valkey_count(valkey, METRIC_tier_refused);
    else if (err == ERR_UNREACHABLE)
        valkey_count(valkey, METRIC_tier_unreachable);
}

void call_finish(struct call *call, enum err err, struct bytes text, const struct resp_reply *replies)
{
    struct valkey *valkey = call->valkey;
    struct gate *gate = call_gate(call);
    uint16_t slot = call->slot;
    struct text kept; /* `text` may be the call's */

    valkey_text_set(&kept, text);
    call_leave_place(call);
    forget_ask(call);
    if (gate != NULL && err == OK)
        gate_note_run(gate, call);
    count_end(valkey, err);
    timer_cancel(valkey->loop, &call->deadline);
    tell(call, err, text_bytes(&kept), replies);
    if (call->borrowed != NULL)
        *call->borrowed = (struct resp_reply){0};
    call_destroy(call);
    if (gate != NULL && valkey->gates[slot] != NULL)
        gate_kick(valkey->gates[slot]);
}

void call_end(struct call *call, enum err err, struct bytes text) { call_finish(call, err, text, NULL); }

void call_end_later(struct call *call, enum err err, struct bytes text)
{
    struct valkey *valkey = call->valkey;

    valkey_text_set(&call->text, text);
    call->err = err;
    call_leave_place(call);
    forget_ask(call);
    timer_cancel(valkey->loop, &call->deadline);
    list_append(&valkey->ended, &call->in_place);
    count_end(valkey, err);
    valkey_post_end(valkey);
}

static void deadline_passed(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, deadline);

    /* Its reply may lie there, unread, if this process stood still: that is looked at first. */
    if (call->place == CALL_UNDER_WAY && !call->is_late) {
        call->is_late = true;
        timer_set(call->valkey->loop, timer, valkey_now_ms(call->valkey));
        return;
    }
    if (call->place == CALL_WAITING && call->is_doubted) {
        call_end_as_told(call);
        return;
    }
    if (call->place == CALL_UNDER_WAY) {
        source_forget(call->source, &call->request);
        call->may_have_run = true;
    }
    call_end(call, ERR_TIMEOUT,
             call->text.size > 0 ? text_bytes(&call->text) : BYTES("no reply within the time allowed"));
}
