/* kv_tier_transaction.c — MULTI … EXEC, sent as one when EXEC comes; WATCH, on a connection of its own.
 *
 * Commands are kept here until EXEC, as without a tier. All their keys must be of one slot. A transaction
 * goes the way of all commands if it is short and the session watches nothing; else on a connection of its
 * own, which WATCH has opened. If that is lost before EXEC, the answer is that of a key that has changed.
 */
#include "engine/kv/kv_transaction.h"
#include "engine/kv/tier/kv_tier_link.h"
#include <stdlib.h>

struct transaction {
    struct kv_tier *tier;
    const struct kv_call *exec; /* while it is collected */
    struct buffer bytes;        /* MULTI, the commands, EXEC, as they are sent */
    struct buffer written;      /* keys: a size_t and that many bytes each */
    struct buffer names;        /* of the commands: likewise */
    struct buffer commands;     /* struct valkey_command each, while the session keeps them */
    size_t count;
    int slot; /* -1: of no key */
    bool is_of_one_slot;
};

static void append_sized(struct buffer *buffer, struct bytes bytes)
{
    buffer_append(buffer, bytes_of((const char *)&bytes.size, sizeof bytes.size));
    buffer_append(buffer, bytes);
}

/* The next of those, and null bytes behind the last. */
static struct bytes next_sized(const struct buffer *buffer, size_t *at)
{
    struct bytes bytes = {NULL, 0};

    if (*at >= buffer->size)
        return bytes;
    memcpy(&bytes.size, buffer->data + *at, sizeof bytes.size);
    bytes.data = buffer->data + *at + sizeof bytes.size;
    *at += sizeof bytes.size + bytes.size;
    return bytes;
}

static void transaction_free(struct transaction *transaction)
{
    buffer_fini(&transaction->bytes);
    buffer_fini(&transaction->written);
    buffer_fini(&transaction->names);
    buffer_fini(&transaction->commands);
    free(transaction);
}

static void forget_written(const struct transaction *transaction)
{
    struct bytes key;

    for (size_t at = 0; (key = next_sized(&transaction->written, &at)).data != NULL;)
        tier_forget(transaction->tier->tier, key);
}

static void add_key(struct transaction *transaction, struct bytes key, bool is_written)
{
    int slot = valkey_slot(key);

    if (transaction->slot >= 0 && transaction->slot != slot)
        transaction->is_of_one_slot = false;
    transaction->slot = slot;
    if (is_written)
        append_sized(&transaction->written, key);
}

static void add(void *owner, enum command_id id, const struct bytes *arguments, uint32_t argument_count)
{
    struct transaction *transaction = owner;
    struct valkey_command command = {arguments, argument_count};
    struct kv_call call = *transaction->exec;
    uint32_t *keys = malloc(argument_count * sizeof *keys), count;
    bool writes;

    call.id = id;
    call.arguments = arguments;
    call.argument_count = argument_count;
    kv_tier_note_run(&call);
    transaction->count++;
    append_sized(&transaction->names, arguments[0]);
    resp_render_command(&transaction->bytes, arguments, argument_count);
    buffer_append(&transaction->commands, bytes_of((const char *)&command, sizeof command));
    if (keys == NULL) {
        transaction->bytes.failed = true;
        return;
    }
    count =
        kv_tier_keys_of(transaction->tier, id, arguments, argument_count, keys, argument_count, &writes);
    for (uint32_t i = 0; i < count && i < argument_count; i++)
        add_key(transaction, arguments[keys[i]], writes);
    free(keys);
}

static struct bytes word(const char *text) { return bytes_of_text(text); }

static struct transaction *collect(const struct kv_call *exec)
{
    struct transaction *transaction = calloc(1, sizeof *transaction);
    struct bytes multi = word("MULTI"), end = word("EXEC");

    if (transaction == NULL)
        return NULL;
    transaction->tier = kv_tier_of(exec->kv);
    transaction->exec = exec;
    transaction->slot = -1;
    transaction->is_of_one_slot = true;
    resp_render_command(&transaction->bytes, &multi, 1);
    kv_transaction_visit(exec->session, add, transaction);
    resp_render_command(&transaction->bytes, &end, 1);
    transaction->exec = NULL;
    if (!transaction->bytes.failed && !transaction->written.failed && !transaction->names.failed &&
        !transaction->commands.failed)
        return transaction;
    transaction_free(transaction);
    return NULL;
}

/* ---- the answer -----------------------------------------------------------------------------------------
 */

static void say_members(const struct kv_tier_request *request, const struct transaction *transaction,
                        const struct resp_node *node, struct reply *reply)
{
    const struct resp_node *member = resp_first_member(node);
    size_t at = 0;

    if (node->type == RESP_NULL) { /* what was watched has changed */
        reply_kind(reply, OUTCOME_nothing_array);
        return;
    }
    if (node->type != RESP_ARRAY) {
        resp_reply_say(node, reply);
        return;
    }
    reply_aggregate(reply, OUTCOME_array, (size_t)node->integer);
    for (int64_t i = 0; i < node->integer; i++, member = resp_next(member))
        kv_tier_say_as(request->resp_version, next_sized(&transaction->names, &at), member, reply);
}

/* The server has refused to run it; `first` is what it said to the first command that it would not have. */
static void say_refused(const struct resp_node *node, struct bytes first, struct reply *reply)
{
    struct buffer text = {0};

    if (first.size > 0 && resp_is_error(node, BYTES("EXECABORT"))) {
        buffer_append_literal(&text, "EXECABORT Transaction discarded because of: ");
        buffer_append(&text, first);
    } else {
        buffer_append(&text, first.size > 0 ? first : node->bytes);
    }
    reply_error(reply, text.failed ? node->bytes : buffer_bytes(&text));
    buffer_fini(&text);
}

/* `first`: of the errors before the last reply, `node`; empty if there was none. */
static void end(struct kv_tier_request *request, const struct resp_node *node, struct bytes first,
                const struct valkey_answer *failure)
{
    struct transaction *transaction = request->part;
    struct reply *reply;

    request->cancel = NULL;
    forget_written(transaction);
    reply = kv_tier_request_reply(request);
    if (reply != NULL && node != NULL && node->type == RESP_ERROR)
        say_refused(node, first, reply);
    else if (reply != NULL && node != NULL)
        say_members(request, transaction, node, reply);
    else if (reply != NULL && failure != NULL)
        kv_tier_say_failure(reply, failure->err, failure->may_have_run, failure->text);
    transaction_free(transaction);
    kv_tier_request_end(request);
}

/* ---- the way of all commands
 * ------------------------------------------------------------------------------ */

/* A call beside what the request's union has. */
struct order {
    struct valkey_call call;
    struct transaction *transaction;
    struct kv_tier_request *request;
};

static void cancel_order(struct kv_tier_request *request)
{
    struct order *order = request->part;

    valkey_give_up(request->tier->valkey, &order->call);
    transaction_free(order->transaction);
    free(order);
}

static void ordered(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct order *order = CONTAINER_OF(call, struct order, call);
    struct kv_tier_request *request = order->request;
    size_t last = order->transaction->count + 1;
    struct bytes first = {NULL, 0};

    for (size_t i = 0; answer->err == OK && first.size == 0 && i < last; i++)
        if (answer->replies[i].nodes->type == RESP_ERROR)
            first = answer->replies[i].nodes->bytes;
    request->part = order->transaction;
    free(order);
    end(request, answer->err == OK ? answer->replies[last].nodes : NULL, first, answer);
}

static void send_as_order(struct kv_tier_request *request, struct transaction *transaction)
{
    struct bytes multi = word("MULTI"), exec = word("EXEC");
    struct valkey_command commands[VALKEY_COMMANDS_MAX] = {{&multi, 1}};
    struct order *order = calloc(1, sizeof *order);

    if (order == NULL) {
        transaction_free(transaction);
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    memcpy(commands + 1, transaction->commands.data, transaction->commands.size);
    commands[transaction->count + 1] = (struct valkey_command){&exec, 1};
    order->transaction = transaction;
    order->request = request;
    order->call.done = ordered;
    request->part = order;
    request->cancel = cancel_order;
    forget_written(transaction);
    valkey_ask(request->tier->valkey, &order->call,
               &(struct valkey_order){.commands = commands,
                                      .command_count = (uint32_t)transaction->count + 2,
                                      .target = transaction->slot >= 0 ? VALKEY_SLOT : VALKEY_ANY,
                                      .slot = transaction->slot >= 0 ? (uint16_t)transaction->slot : 0});
}

/* ---- on a connection of its own
 * ----------------------------------------------------------------------------- */

struct own_exec {
    struct transaction *transaction;
    struct kv_tier_own *own;
    bool has_watched;
};

static void cancel_own(struct kv_tier_request *request)
{
    struct own_exec *part = request->part;

    kv_tier_own_close(part->own);
    forget_written(part->transaction);
    transaction_free(part->transaction);
    free(part);
}

static void own_replied(struct kv_tier_request *request, const struct resp_reply *reply);

static void ask_own(struct kv_tier_request *request)
{
    struct own_exec *part = request->part;

    request->cancel = cancel_own;
    forget_written(part->transaction);
    kv_tier_own_ask(part->own, request, buffer_bytes(&part->transaction->bytes),
                    (uint32_t)part->transaction->count + 2, own_replied);
}

/* Nothing of it has run, and the slot is elsewhere: it is asked there. Who has watched is told that what he
 * watched may have changed. */
static void ask_elsewhere(struct kv_tier_request *request)
{
    enum { ATTEMPTS_MAX = 5 };
    static const struct resp_node changed = {.type = RESP_NULL_ARRAY, .span = 1},
                                  moving = {.type = RESP_ERROR,
                                            .span = 1,
                                            .bytes = BYTES_INIT("TRYAGAIN The keys are moving to another "
                                                                "server of the shared tier")};
    struct own_exec *part = request->part;
    bool has_watched = part->has_watched;
    const char *why = NULL;

    if (!has_watched && ++request->attempt_count < ATTEMPTS_MAX) {
        part->own = kv_tier_own_open(request->tier, part->transaction->slot, &why);
        if (part->own != NULL) {
            ask_own(request);
            return;
        }
    }
    request->part = part->transaction;
    free(part);
    end(request, has_watched ? &changed : &moving, (struct bytes){NULL, 0}, NULL);
}

static void own_replied(struct kv_tier_request *request, const struct resp_reply *reply)
{
    struct own_exec *part = request->part;
    struct bytes first = kv_tier_own_error(part->own); /* its memory goes in a later turn */
    struct resp_node refused = {.type = RESP_ERROR, .span = 1, .bytes = first};
    bool is_redirected = reply->nodes->type == RESP_ERROR && first.size > 0 &&
                         valkey_note_redirection(request->tier->valkey, &refused);

    kv_tier_own_close(part->own);
    if (is_redirected) {
        ask_elsewhere(request);
        return;
    }
    request->part = part->transaction;
    free(part);
    end(request, reply->nodes, first, NULL);
}

/* Takes `own` over. */
static void send_on_own(struct kv_tier_request *request, struct transaction *transaction,
                        struct kv_tier_own *own, bool has_watched)
{
    struct own_exec *part = calloc(1, sizeof *part);

    if (part == NULL) {
        kv_tier_own_close(own);
        transaction_free(transaction);
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    *part = (struct own_exec){transaction, own, has_watched};
    request->part = part;
    ask_own(request);
}

/* ---- EXEC
 * ------------------------------------------------------------------------------------------------ */

static const char *what_is_wrong(const struct transaction *transaction, const struct kv_tier_own *own)
{
    bool is_cluster = valkey_is_cluster(transaction->tier->valkey);

    if (is_cluster && !transaction->is_of_one_slot)
        return "CROSSSLOT Keys in the transaction don't hash to the same slot";
    if (is_cluster && own != NULL && transaction->slot >= 0 && kv_tier_own_slot(own) != transaction->slot)
        return "CROSSSLOT Keys in the transaction don't hash to the slot of those that are watched";
    return NULL;
}

static struct kv_tier_own *take_own(struct session *session)
{
    struct kv_tier_own *own = session->elsewhere;

    session->elsewhere = NULL;
    return own;
}

/* Someone may have changed what was watched. */
static void answer_as_changed(const struct kv_call *call)
{
    reply_kind(call->reply, OUTCOME_nothing_array);
}

/* One that watches, or is longer than an order may be, or would block, should the server refuse its MULTI.
 */
static bool needs_own(const struct session *session)
{
    return session->elsewhere != NULL || session->keeps_blocking ||
           kv_transaction_length(session) + 2 > VALKEY_COMMANDS_MAX;
}

static void exec(const struct kv_call *call, struct transaction *transaction)
{
    struct session *session = call->session;
    struct kv_tier_own *own = session->elsewhere;
    const char *wrong = what_is_wrong(transaction, own);
    bool has_watched = own != NULL;
    bool is_short = !needs_own(session);
    struct kv_tier_request *request = NULL;

    if (wrong != NULL)
        kv_error(call, "%s", wrong);
    else if (own != NULL && kv_tier_own_is_lost(own))
        answer_as_changed(call);
    else if (own == NULL && transaction->count == 0)
        reply_aggregate(call->reply, OUTCOME_array, 0);
    else if (!is_short && own == NULL &&
             (own = kv_tier_own_open(transaction->tier, transaction->slot, &wrong)) == NULL)
        kv_error(call, "%s", wrong);
    else
        request = kv_tier_request_create(call, is_short ? 0 : LATE_ALONE, true);
    (void)take_own(session);
    if (request != NULL && transaction->slot >= 0)
        kv_tier_note_written(transaction->tier, session, (uint16_t)transaction->slot);
    if (request == NULL) {
        if (own != NULL)
            kv_tier_own_close(own);
        transaction_free(transaction);
    } else if (is_short) {
        send_as_order(request, transaction);
    } else {
        send_on_own(request, transaction, own, has_watched);
    }
}

void kv_tier_exec(const struct kv_call *call)
{
    struct transaction *transaction;

    if (needs_own(call->session) && kv_tier_hold(call))
        return;
    transaction = collect(call);
    if (transaction == NULL)
        kv_refused(call, NH_NO_MEMORY);
    else
        exec(call, transaction);
    if (transaction == NULL)
        kv_tier_unwatch(call->session);
    kv_transaction_end(call->kv->hub, call->session);
}

/* ---- WATCH
 * ------------------------------------------------------------------------------------------------ */

void kv_tier_unwatch(struct session *session)
{
    struct kv_tier_own *own = take_own(session);

    if (own != NULL)
        kv_tier_own_close(own);
}

static void stop_watching(struct kv_tier_request *request) { kv_tier_unwatch(request->session); }

static void watched(struct kv_tier_request *request, const struct resp_reply *reply)
{
    struct reply *to;
    bool is_redirected =
        reply->nodes->type == RESP_ERROR && valkey_note_redirection(request->tier->valkey, reply->nodes);

    if (reply->nodes->type == RESP_ERROR)
        kv_tier_unwatch(request->session);
    to = kv_tier_request_reply(request);
    if (to != NULL && is_redirected)
        reply_error(to, BYTES("TRYAGAIN The keys are moving to another server of the shared tier"));
    else if (to != NULL)
        resp_reply_say(reply->nodes, to);
    kv_tier_request_end(request);
}

static bool is_watched_slot(const struct kv_call *call, int slot)
{
    for (uint32_t i = 2; i < call->argument_count; i++)
        if (valkey_slot(call->arguments[i]) != slot)
            return false;
    return call->session->elsewhere == NULL || kv_tier_own_slot(call->session->elsewhere) == slot;
}

void kv_tier_watch(const struct kv_call *call)
{
    struct kv_tier *tier = kv_tier_of(call->kv);
    struct session *session = call->session;
    int slot = valkey_slot(call->arguments[1]);
    struct kv_tier_request *request;
    struct buffer bytes = {0};
    const char *why = NULL;

    if (kv_tier_hold(call))
        return;
    if (valkey_is_cluster(tier->valkey) && !is_watched_slot(call, slot)) {
        kv_error(call, "CROSSSLOT Keys in request don't hash to the same slot");
        return;
    }
    if (session->elsewhere == NULL && kv_tier_await_server(call, call->arguments[1]))
        return;
    if (session->elsewhere == NULL && (session->elsewhere = kv_tier_own_open(tier, slot, &why)) == NULL) {
        kv_error(call, "%s", why);
        return;
    }
    request = kv_tier_request_create(call, LATE_ALONE, false);
    resp_render_command(&bytes, call->arguments, call->argument_count);
    if (request == NULL || bytes.failed) {
        kv_tier_unwatch(session);
        if (request != NULL)
            kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
    } else {
        request->cancel = stop_watching;
        kv_tier_own_ask(session->elsewhere, request, buffer_bytes(&bytes), 1, watched);
    }
    buffer_fini(&bytes);
}
