/* valkey_call.c — one call: to which server, what came back, what next.
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

enum { WAIT_MS_MIN = 10, WAIT_MS_MAX = 250, RECONNECT_INTERVAL_MS = 1000 };

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
static void replied(struct link_request *request, const struct resp_reply *reply);
static void failed(struct link_request *request, enum err why, bool was_sent);

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
        .request = {.replied = replied, .failed = failed},
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

static void drop_reply(struct call *call, uint32_t index)
{
    if (call->replies == NULL || call->replies[index].nodes == NULL)
        return;
    free((void *)(uintptr_t)call->replies[index].nodes);
    call->replies[index] = (struct resp_reply){0};
}

void call_destroy(struct call *call)
{
    for (uint32_t i = 0; i < call->command_count; i++)
        drop_reply(call, i);
    timer_cancel(call->valkey->loop, &call->deadline);
    list_remove(&call->in_calls);
    list_remove(&call->in_place);
    free(call);
}

/* ---- its places ------------------------------------------------------------------------------------- */

static struct gate *gate_of(const struct call *call)
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
    if (call->place == CALL_WAITING)
        call->valkey->waiting_count--;
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

/* Ends it with `replies`, or with an error. */
static void finish(struct call *call, enum err err, struct bytes text, const struct resp_reply *replies)
{
    struct valkey *valkey = call->valkey;
    struct gate *gate = gate_of(call);
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

void call_end(struct call *call, enum err err, struct bytes text) { finish(call, err, text, NULL); }

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

/* ---- what came back ---------------------------------------------------------------------------------- */

/* A copy, in one piece of memory that begins with its nodes. */
static bool keep_reply(struct call *call, uint32_t index, const struct resp_reply *reply)
{
    size_t nodes_bytes = reply->node_count * sizeof *reply->nodes;
    struct resp_node *nodes = malloc(nodes_bytes + reply->raw.size);
    char *raw;

    if (nodes == NULL)
        return false;
    raw = (char *)nodes + nodes_bytes;
    memcpy(nodes, reply->nodes, nodes_bytes);
    if (reply->raw.size > 0)
        memcpy(raw, reply->raw.data, reply->raw.size);
    for (uint32_t i = 0; i < reply->node_count; i++)
        if (nodes[i].bytes.data != NULL) /* an empty one, too: what is said of it may look before it */
            nodes[i].bytes.data = raw + (nodes[i].bytes.data - reply->raw.data);
    call->replies[index] =
        (struct resp_reply){.nodes = nodes, .node_count = reply->node_count, .raw = {raw, reply->raw.size}};
    return true;
}

static void count_redirection(struct valkey *valkey, enum redirection_kind kind)
{
    switch (kind) {
    case REDIRECTION_NONE:
    case REDIRECTION_UNREADABLE: return;
    case REDIRECTION_MOVED: valkey_count(valkey, METRIC_tier_moved); return;
    case REDIRECTION_ASK: valkey_count(valkey, METRIC_tier_ask); return;
    case REDIRECTION_TRYAGAIN: valkey_count(valkey, METRIC_tier_tryagain); return;
    case REDIRECTION_CLUSTERDOWN: valkey_count(valkey, METRIC_tier_clusterdown); return;
    case REDIRECTION_LOADING: valkey_count(valkey, METRIC_tier_loading); return;
    case REDIRECTION_MASTERDOWN:
    case REDIRECTION_READONLY: valkey_count(valkey, METRIC_tier_demoted); return;
    }
    UNREACHABLE();
}

/* Whether an error that has the form of a redirection is the command's answer all the same: always where
 * there is no cluster, if it names a server; and of a script, whose words are anybody's, unless what it
 * says can be looked into without believing it. */
static bool is_answer(const struct call *call, const struct redirection *redirection, struct bytes text)
{
    struct valkey *valkey = call->valkey;
    bool is_moved = redirection->kind == REDIRECTION_MOVED, is_ask = redirection->kind == REDIRECTION_ASK;
    const struct server *named;

    if (redirection->kind == REDIRECTION_NONE)
        return true;
    if (!valkey->is_cluster && (is_moved || is_ask || redirection->kind == REDIRECTION_UNREADABLE))
        return true;
    if ((call->flags & VALKEY_RUNS_SCRIPT) == 0)
        return false;
    if (redirection->kind == REDIRECTION_UNREADABLE || redirection->kind == REDIRECTION_TRYAGAIN)
        return true;
    if (!is_moved && !is_ask) {
        refresh_want(valkey);
        return call->server->primary == MAP_NOBODY; /* of a copy: its primary is asked, once */
    }
    if (call->target != VALKEY_SLOT || redirection->slot != call->slot || call->command_count > 1 ||
        text.size > sizeof call->text.data)
        return true;
    if (is_moved)
        return false;
    named = server_known(valkey, &redirection->address);
    return call->with_asking || named == NULL || named->is_refused;
}

bool call_has_moved(const struct call *call)
{
    const struct server *server = server_of_slot(call->valkey, call->slot);
    return server != NULL && server->number != call->asked_number;
}

bool call_knows_map(const struct call *call)
{
    return call->valkey->round_count > call->doubted_round && !call->valkey->is_refreshing;
}

void call_end_as_told(struct call *call)
{
    struct resp_node node = {.type = RESP_ERROR, .span = 1, .bytes = text_bytes(&call->text)};
    struct resp_reply reply = {.nodes = &node, .node_count = 1};

    call->was_asked_aside = true; /* nothing of it is kept, wherever it was from */
    call->source = NULL;          /* which may be gone by now */
    finish(call, OK, BYTES(""), &reply);
}

/* The server says that it is itself whom it sends us to: something between us is not what it was. */
static void meet_again(struct call *call, struct server *server)
{
    int64_t now_ms = valkey_now_ms(call->valkey);

    if (server->source == NULL || now_ms - server->reconnected_ms < RECONNECT_INTERVAL_MS)
        return;
    server->reconnected_ms = now_ms;
    source_reconnect(server->source);
}

static void wait_a_while(struct call *call)
{
    int64_t ms = WAIT_MS_MIN;

    for (uint32_t i = 0; i < call->wait_count && ms < WAIT_MS_MAX; i++)
        ms *= 2;
    call->wait_count++;
    call->not_before_ms =
        valkey_now_ms(call->valkey) + valkey_jittered_ms(call->valkey, ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX);
}

/* Does what `redirection` says. False: the call cannot go on, for which call->err and text say why. */
static bool follow(struct call *call, const struct redirection *redirection)
{
    struct valkey *valkey = call->valkey;
    bool names_server = redirection->kind == REDIRECTION_MOVED || redirection->kind == REDIRECTION_ASK;
    struct server *server;

    if (!names_server) {
        if (redirection->kind != REDIRECTION_TRYAGAIN)
            refresh_want(valkey);
        wait_a_while(call);
        return true;
    }
    if (++call->redirection_count > valkey->options->redirections_max) {
        call->err = ERR_LOOP;
        return false;
    }
    if (call->target != VALKEY_SLOT) { /* a key of its that nobody had looked at */
        call->target = VALKEY_SLOT;
        call->slot = redirection->slot;
    } else if (call->slot != redirection->slot) {
        call->err = ERR_SYNTAX;
        return false;
    }
    if (redirection->kind == REDIRECTION_MOVED)
        refresh_want(valkey);
    if (redirection->kind == REDIRECTION_MOVED && (call->flags & VALKEY_RUNS_SCRIPT) != 0) {
        call->is_doubted = call->may_have_run = true;
        call->doubted_round = valkey->round_count;
        return true;
    }
    if (redirection->address.host[0] == '\0') { /* the map may know more than "?" */
        refresh_want(valkey);
        wait_a_while(call);
        return true;
    }
    server = server_at(valkey, &redirection->address);
    if (server == NULL) {
        call->err = ERR_UNREACHABLE;
        valkey_text_set(&call->text, BYTES("the tier has more servers than this node connects to"));
        return false;
    }
    if (redirection->kind == REDIRECTION_ASK) {
        call->ask_server = server;
        server->call_count++;
        server_want(server, true);
        return true;
    }
    if (server == call->server && !call->with_asking)
        meet_again(call, server);
    servers_move_slot(valkey, redirection->slot, server);
    if (server->is_refused) {
        call->err = ERR_UNREACHABLE;
        valkey_text_set(&call->text, text_bytes(&server->why));
        return false;
    }
    return true;
}

/* Has it wait to be asked again, or ends it. */
static void ask_again(struct call *call)
{
    struct gate *gate;

    call->is_redirected = true;
    if (!gate_hold(call)) {
        call_end(call, ERR_FULL, text_bytes(&call->text));
        return;
    }
    gate = gate_of(call);
    if (gate != NULL)
        gate_kick(gate);
    else
        loose_kick(call->valkey);
}

/* All replies of this asking are there, `last` among them. */
static void conclude(struct call *call, const struct resp_reply *last)
{
    struct redirection redirection = call->redirection;

    /* A transaction of which a command was refused has not run; one that has run has no such command. */
    if (call->again_count > 0 && call->is_transaction && last->nodes->type != RESP_ERROR)
        call->again_count = 0;
    if (call->again_count == 0) {
        struct resp_reply *place;
        if (call->replies == NULL) {
            finish(call, OK, BYTES(""), last);
            return;
        }
        place = &call->replies[call->asked[call->asked_count - 1]];
        if (place->nodes == NULL) {
            *place = *last;
            call->borrowed = place;
        }
        finish(call, OK, BYTES(""), call->replies);
        return;
    }
    if (call->is_transaction) {
        for (uint32_t i = 0; i < call->command_count; i++) {
            drop_reply(call, i);
            call->again[i] = (uint8_t)i;
        }
        call->again_count = call->command_count;
    } else {
        call->may_have_run |= call->again_count < call->command_count;
    }
    if (call->is_overtaken && (call->flags & VALKEY_RUNS_SCRIPT) != 0)
        finish(call, OK, BYTES(""), last);
    else if (call->is_overtaken)
        call_end(call, ERR_UNREACHABLE, text_bytes(&call->text));
    else if (follow(call, &redirection))
        ask_again(call);
    else
        call_end(call, call->err, text_bytes(&call->text));
}

static void replied(struct link_request *request, const struct resp_reply *reply)
{
    struct call *call = CONTAINER_OF(request, struct call, request);
    bool is_last = request->left_count == 0;
    uint32_t command = call->asked[call->heard_count];
    struct redirection redirection = {.kind = REDIRECTION_NONE};

    /* With ASKING before each command, or before a transaction, an odd number is left after its reply. */
    if (call->with_asking) {
        uint32_t left = call->asked_count - call->heard_count;
        bool is_of_asking =
            call->is_transaction ? request->left_count == left : request->left_count == 2 * left - 1;
        if (is_of_asking)
            return;
    }
    call->heard_count++;
    if (reply->nodes->type == RESP_ERROR)
        redirection = redirection_read(reply->nodes->bytes, call->server->address.host);
    if (redirection.kind != REDIRECTION_NONE && is_answer(call, &redirection, reply->nodes->bytes))
        redirection.kind = REDIRECTION_NONE;
    if (redirection.kind == REDIRECTION_UNREADABLE) {
        source_forget(call->source, request);
        call->may_have_run |= call->command_count > 1;
        call_end(call, ERR_SYNTAX, reply->nodes->bytes);
        return;
    }
    if (redirection.kind != REDIRECTION_NONE) {
        if (call->again_count == 0) {
            call->redirection = redirection;
            valkey_text_set(&call->text, reply->nodes->bytes);
        }
        call->again[call->again_count++] = (uint8_t)command;
        count_redirection(call->valkey, redirection.kind);
    }
    /* Of a transaction the redirected ones, too: a server that has run it in spite of them may lie. */
    if ((redirection.kind == REDIRECTION_NONE ? !is_last || call->again_count > 0
                                              : !is_last && call->is_transaction) &&
        call->replies != NULL && !keep_reply(call, command, reply)) {
        source_forget(call->source, request);
        call->may_have_run = true;
        call_end(call, ERR_NO_MEMORY, BYTES("no memory for a reply"));
        return;
    }
    if (is_last)
        conclude(call, reply);
}

/* Its connection is gone. Asked again is what was not sent, and what says that it may be. */
static void failed(struct link_request *request, enum err why, bool was_sent)
{
    struct call *call = CONTAINER_OF(request, struct call, request);
    struct valkey *valkey = call->valkey;

    valkey_count(valkey, METRIC_tier_lost);
    if (was_sent)
        call->may_have_run = true;
    refresh_want(valkey);
    if ((was_sent && (call->flags & VALKEY_MAY_REPEAT) == 0) || why == ERR_NO_MEMORY || why == ERR_SYNTAX ||
        ++call->loss_count > valkey->options->redirections_max || call->is_overtaken) {
        call_end(call, why == ERR_NO_MEMORY || why == ERR_SYNTAX ? why : ERR_UNREACHABLE,
                 BYTES("the connection was lost before its reply came"));
        return;
    }
    valkey_text_set(&call->text, BYTES("the connection was lost before its reply came"));
    /* What has been answered stays; the rest, redirected or not heard of, is asked anew. */
    if (call->is_transaction || call->replies == NULL) {
        for (uint32_t i = 0; i < call->command_count; i++) {
            drop_reply(call, i);
            call->again[i] = (uint8_t)i;
        }
        call->again_count = call->command_count;
    } else {
        for (uint32_t i = call->heard_count; i < call->asked_count; i++)
            call->again[call->again_count++] = call->asked[i];
    }
    ask_again(call);
}
