/* valkey_answer.c — what comes back of a call, and what next: it is the answer, or another server is to be
 * asked, or the same one again; or the connection is gone. */
#include "base/compiler.h"
#include "client/valkey/valkey_parts.h"
#include <stdlib.h>

enum { WAIT_MS_MIN = 10, WAIT_MS_MAX = 250, RECONNECT_INTERVAL_MS = 1000 };

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
    call_finish(call, OK, BYTES(""), &reply);
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
    gate = call_gate(call);
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
            call_finish(call, OK, BYTES(""), last);
            return;
        }
        place = &call->replies[call->asked[call->asked_count - 1]];
        if (place->nodes == NULL) {
            *place = *last;
            call->borrowed = place;
        }
        call_finish(call, OK, BYTES(""), call->replies);
        return;
    }
    if (call->is_transaction) {
        for (uint32_t i = 0; i < call->command_count; i++) {
            call_drop_reply(call, i);
            call->again[i] = (uint8_t)i;
        }
        call->again_count = call->command_count;
    } else {
        call->may_have_run |= call->again_count < call->command_count;
    }
    if (call->is_overtaken && (call->flags & VALKEY_RUNS_SCRIPT) != 0)
        call_finish(call, OK, BYTES(""), last);
    else if (call->is_overtaken)
        call_end(call, ERR_UNREACHABLE, text_bytes(&call->text));
    else if (follow(call, &redirection))
        ask_again(call);
    else
        call_end(call, call->err, text_bytes(&call->text));
}

void call_replied(struct link_request *request, const struct resp_reply *reply)
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
void call_failed(struct link_request *request, enum err why, bool was_sent)
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
                 why == ERR_SYNTAX ? BYTES("it cannot be read, or is larger than tier-reply-max")
                                   : BYTES("the connection was lost before its reply came"));
        return;
    }
    valkey_text_set(&call->text, BYTES("the connection was lost before its reply came"));
    /* What has been answered stays; the rest, redirected or not heard of, is asked anew. */
    if (call->is_transaction || call->replies == NULL) {
        for (uint32_t i = 0; i < call->command_count; i++) {
            call_drop_reply(call, i);
            call->again[i] = (uint8_t)i;
        }
        call->again_count = call->command_count;
    } else {
        for (uint32_t i = call->heard_count; i < call->asked_count; i++)
            call->again[call->again_count++] = call->asked[i];
    }
    ask_again(call);
}
