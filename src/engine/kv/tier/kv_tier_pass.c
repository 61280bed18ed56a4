/* kv_tier_pass.c — commands that go to the tier as they came: to which server, with what in mind. */
#include "engine/kv/tier/kv_tier_link.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

/* Of a command of ours whose keys the table tells, nothing has to be asked. */
static bool has_row_with_keys(enum command_id id)
{
    return id != COMMAND_UNKNOWN && command_row(id)->first_key != 0;
}

static const struct server_command *find(const struct kv_tier *tier, const struct bytes *arguments,
                                         uint32_t argument_count)
{
    return tier->commands == NULL ? NULL : server_commands_find(tier->commands, arguments, argument_count);
}

static bool may_write(enum command_id id, const struct server_command *command)
{
    if (id != COMMAND_UNKNOWN && command_row(id)->first_key != 0)
        return (command_row(id)->flags & COMMAND_WRITE) != 0;
    if (command == NULL) /* it is not known yet */
        return true;
    return (command->flags & SERVER_COMMAND_WRITES) != 0 ||
           ((command->flags & SERVER_COMMAND_SCRIPT) != 0 && (command->flags & SERVER_COMMAND_READS) == 0);
}

/* ---- where its keys are ----------------------------------------------------------------------------- */

uint32_t kv_tier_keys_of(const struct kv_tier *tier, enum command_id id, const struct bytes *arguments,
                         uint32_t argument_count, uint32_t *keys, size_t capacity, bool *writes)
{
    const struct server_command *command = find(tier, arguments, argument_count);
    uint32_t found = 0;
    int count;

    *writes = may_write(id, command);
    if (has_row_with_keys(id)) {
        const struct command_row *row = command_row(id);
        int64_t last = row->last_key < 0 ? row->last_key + (int64_t)argument_count : row->last_key;
        for (int64_t at = row->first_key; at <= last && at < (int64_t)argument_count; at += row->key_step) {
            if (found < capacity)
                keys[found] = (uint32_t)at;
            found++;
        }
        return found;
    }
    if (command == NULL)
        return 0;
    count = server_command_keys(tier->commands, command, arguments, argument_count, keys, capacity);
    return count < 0 ? 0 : (uint32_t)count;
}

/* ERR_UNSUPPORTED: the server has to be asked. */
static enum err find_keys(struct kv_tier_request *request, const struct server_command *command)
{
    const struct server_commands *commands = request->tier->commands;
    int count;

    if (request->has_asked_keys)
        return OK;
    if (has_row_with_keys(request->id)) {
        bool writes;
        request->keys = malloc((request->argument_count + 1) * sizeof *request->keys);
        if (request->keys == NULL)
            return ERR_NO_MEMORY;
        request->key_count =
            kv_tier_keys_of(request->tier, request->id, request->arguments, request->argument_count,
                            request->keys, request->argument_count, &writes);
        return OK;
    }
    count = server_command_keys(commands, command, request->arguments, request->argument_count, NULL, 0);
    if (count < 0)
        return ERR_UNSUPPORTED;
    request->keys = malloc(((size_t)count + 1) * sizeof *request->keys);
    if (request->keys == NULL)
        return ERR_NO_MEMORY;
    request->key_count = (uint32_t)count;
    (void)server_command_keys(commands, command, request->arguments, request->argument_count, request->keys,
                              (size_t)count);
    return OK;
}

bool kv_tier_find_keys(struct kv_tier_request *request)
{
    const struct server_command *command = find(request->tier, request->arguments, request->argument_count);

    if (request->keys != NULL)
        return true;
    if (command == NULL && !has_row_with_keys(request->id))
        return false;
    return find_keys(request, command) == OK;
}

/* The keys as the server has named them: indexes of arguments with those bytes. They come in the order of
 * the arguments, but for a few: one that is looked for from the first argument on costs a turn.
 * ERR_SYNTAX: it names others. */
static enum err take_named_keys(struct kv_tier_request *request, const struct resp_node *node)
{
    enum { TURNS_MAX = 64 };
    const struct resp_node *member = resp_first_member(node);
    uint32_t at = 1, turns = 0, count = request->argument_count;

    if (node->integer > count)
        return ERR_SYNTAX;
    request->keys = malloc((count + 1) * sizeof *request->keys);
    if (request->keys == NULL)
        return ERR_NO_MEMORY;
    request->key_count = 0;
    for (int64_t i = 0; i < node->integer; i++, member = resp_next(member)) {
        uint32_t begin = at;
        while (at < count && !bytes_equal(request->arguments[at], member->bytes))
            at++;
        if (at == count && begin > 1 && turns++ < TURNS_MAX)
            for (at = 1; at < begin && !bytes_equal(request->arguments[at], member->bytes);)
                at++;
        if (at == count || (at == begin && !bytes_equal(request->arguments[at], member->bytes)))
            return ERR_SYNTAX;
        request->keys[request->key_count++] = at++;
    }
    return OK;
}

static void got_keys(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct kv_tier_request *request = CONTAINER_OF(call, struct kv_tier_request, call);
    const struct resp_node *node = answer->err == OK ? answer->replies->nodes : NULL;
    struct reply *reply;
    enum err err = OK;

    request->cancel = NULL;
    if (node == NULL) {
        reply = kv_tier_request_reply(request);
        if (reply != NULL)
            kv_tier_say_failure(reply, answer->err, false, answer->text);
        kv_tier_request_end(request);
        return;
    }
    request->has_asked_keys = true;
    /* An error: the arguments are wrong, or there are no keys. Whichever server is asked will say so. */
    if (node->type == RESP_ARRAY || node->type == RESP_SET)
        err = take_named_keys(request, node);
    if (err == OK)
        kv_tier_send(request);
    else if (err == ERR_NO_MEMORY)
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
    else
        kv_tier_request_fail(request, "ERR the shared tier names keys that the command does not have");
}

static void cancel_call(struct kv_tier_request *request)
{
    valkey_give_up(request->tier->valkey, &request->call);
}

static void ask_keys(struct kv_tier_request *request)
{
    struct bytes *arguments = calloc((size_t)request->argument_count + 2, sizeof *arguments);
    struct valkey_command command = {arguments, request->argument_count + 2};

    if (arguments == NULL) {
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    arguments[0] = BYTES("COMMAND");
    arguments[1] = BYTES("GETKEYS");
    memcpy(arguments + 2, request->arguments, request->argument_count * sizeof *arguments);
    request->cancel = cancel_call;
    request->call.done = got_keys;
    valkey_ask(
        request->tier->valkey, &request->call,
        &(struct valkey_order){
            .commands = &command, .command_count = 1, .target = VALKEY_ANY, .flags = VALKEY_MAY_REPEAT});
    free(arguments);
}

/* ---- sending ---------------------------------------------------------------------------------------- */

static void answered(struct valkey_call *call, const struct valkey_answer *answer)
{
    kv_tier_request_answer(CONTAINER_OF(call, struct kv_tier_request, call), answer);
}

static void answered_in_parts(void *owner, const struct valkey_answer *answer)
{
    kv_tier_request_answer(owner, answer);
}

static void cancel_split(struct kv_tier_request *request) { split_give_up(request->split); }

bool kv_tier_is_of_one_slot(const struct kv_tier_request *request)
{
    for (uint32_t i = 1; i < request->key_count; i++)
        if (valkey_slot(request->arguments[request->keys[i]]) !=
            valkey_slot(request->arguments[request->keys[0]]))
            return false;
    return true;
}

static void send_in_parts(struct kv_tier_request *request, unsigned flags)
{
    if (!split_is_possible(request->arguments[0])) {
        kv_tier_request_fail(request, "CROSSSLOT Keys in request don't hash to the same slot");
        return;
    }
    kv_tier_request_forget(request);
    for (uint32_t i = 0; request->writes && i < request->key_count; i++)
        kv_tier_note_written(request->tier, request->session,
                             valkey_slot(request->arguments[request->keys[i]]));
    request->cancel = cancel_split;
    if (split_ask(request->tier->valkey, request->arguments, request->argument_count, flags, 0,
                  answered_in_parts, request, &request->split) != OK) {
        request->cancel = NULL;
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
    }
}

/* Any server tells all what is published. A session's messages go by one and the same, as long as that can
 * be reached, so that they come in the order in which they were published. */
static void choose_publisher(const struct kv_tier_request *request, struct valkey_order *order)
{
    uint16_t slot = (uint16_t)(request->session->id * 2654435761u % VALKEY_SLOT_COUNT);

    if (!valkey_can_reach(request->tier->valkey, slot))
        return;
    order->target = VALKEY_SLOT;
    order->slot = slot;
}

static void send_to_slot(struct kv_tier_request *request, unsigned flags)
{
    struct valkey_command command = {request->arguments, request->argument_count};
    struct valkey_order order = {
        .commands = &command, .command_count = 1, .target = VALKEY_ANY, .flags = flags};

    if (request->key_count > 0) {
        order.target = VALKEY_SLOT;
        order.slot = valkey_slot(request->arguments[request->keys[0]]);
        if (valkey_is_cluster(request->tier->valkey) && !kv_tier_is_of_one_slot(request)) {
            send_in_parts(request, flags);
            return;
        }
        if (request->writes)
            kv_tier_note_written(request->tier, request->session, order.slot);
    } else if (request->id == COMMAND_publish) {
        choose_publisher(request, &order);
    }
    kv_tier_request_forget(request);
    request->cancel = cancel_call;
    request->call.done = answered;
    valkey_ask(request->tier->valkey, &request->call, &order);
}

static unsigned flags_of(const struct kv_tier_request *request, const struct server_command *command)
{
    bool reads = has_row_with_keys(request->id)
                     ? (command_row(request->id)->flags & COMMAND_READONLY) != 0
                     : command != NULL && (command->flags & SERVER_COMMAND_READS) != 0;

    unsigned runs_script =
        !has_row_with_keys(request->id) && command != NULL && (command->flags & SERVER_COMMAND_SCRIPT) != 0
            ? (unsigned)VALKEY_RUNS_SCRIPT
            : 0u;

    if (!reads || request->writes)
        return runs_script;
    return runs_script | VALKEY_MAY_REPEAT | VALKEY_UNTRACKED |
           (request->is_fenced ? 0u : (unsigned)VALKEY_REPLICA_WILL_DO);
}

void kv_tier_send(struct kv_tier_request *request)
{
    const struct server_command *command = find(request->tier, request->arguments, request->argument_count);
    enum err err;

    if (command == NULL && !has_row_with_keys(request->id)) {
        /* Any server says best what is wrong with it; should one know it, nobody knows what it runs. */
        send_to_slot(request, VALKEY_RUNS_SCRIPT);
        return;
    }
    if (command != NULL && (command->flags & SERVER_COMMAND_EVERY_SHARD) &&
        !has_row_with_keys(request->id)) {
        kv_tier_send_to_all(request, (enum server_reply_policy)command->reply_policy);
        return;
    }
    err = find_keys(request, command);
    if (err == ERR_UNSUPPORTED)
        ask_keys(request);
    else if (err != OK)
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
    else
        send_to_slot(request, flags_of(request, command));
}

/* ---- from the session ------------------------------------------------------------------------------- */

bool kv_tier_may_block(const struct kv_call *call)
{
    const struct server_command *command =
        find(kv_tier_of(call->kv), call->arguments, call->argument_count);

    return command != NULL && (command->flags & SERVER_COMMAND_BLOCKS) != 0;
}

/* XREAD and XREADGROUP may block, and do only if they say so. One whose stream is called BLOCK is taken for
 * such a one: that costs a connection, where a mistake the other way would hold up all sessions. */
static bool blocks(const struct kv_call *call)
{
    if (!kv_tier_may_block(call))
        return false;
    if (!bytes_equal_nocase(call->arguments[0], BYTES("xread")) &&
        !bytes_equal_nocase(call->arguments[0], BYTES("xreadgroup")))
        return true;
    for (uint32_t i = 1; i < call->argument_count; i++)
        if (kv_argument_is(call, i, BYTES("block")))
            return true;
    return false;
}

/* Whether what follows could overtake it: the server has to be asked where its keys are, or it is sent in
 * more parts than are sent at once. */
static bool is_alone(const struct kv_call *call, const struct server_command *command)
{
    if (has_row_with_keys(call->id))
        return call->argument_count > SPLIT_PARTS_AT_ONCE && split_is_possible(call->arguments[0]) &&
               valkey_is_cluster(kv_tier_of(call->kv)->valkey);
    return command != NULL && (command->flags & SERVER_COMMAND_EVERY_SHARD) == 0 &&
           server_command_keys(kv_tier_of(call->kv)->commands, command, call->arguments,
                               call->argument_count, NULL, 0) < 0;
}

/* Whether it is not known yet if the tier is a cluster, where keys of several slots have to be split. */
static bool must_wait_for_map(const struct kv_call *call)
{
    return has_row_with_keys(call->id) &&
           command_row(call->id)->last_key != command_row(call->id)->first_key &&
           UNLIKELY(valkey_primary_count(kv_tier_of(call->kv)->valkey) == 0) &&
           kv_tier_await_server(call, call->arguments[command_row(call->id)->first_key]);
}

/* False: it was answered, or will be offered again. */
static bool may_pass(const struct kv_call *call, const struct server_command **command)
{
    const struct kv_tier *tier = kv_tier_of(call->kv);
    const char *refusal;

    *command = NULL;
    if (must_wait_for_map(call))
        return false;
    if (!has_row_with_keys(call->id)) {
        if (kv_tier_await_commands(call) != KV_PASS)
            return false;
        *command = find(tier, call->arguments, call->argument_count);
    }
    refusal = kv_tier_refusal(call->arguments, call->argument_count, *command);
    if (refusal != NULL) {
        kv_error(call, "ERR %s", refusal);
        return false;
    }
    if (tier->commands != NULL || has_row_with_keys(call->id))
        return true;
    kv_error(
        call,
        "ERR '%.*s' cannot be passed on: the shared tier does not tell what commands it has. Permit its "
        "user COMMAND (+command)",
        (int)(call->arguments[0].size < 128 ? call->arguments[0].size : 128), call->arguments[0].data);
    return false;
}

void kv_tier_pass(const struct kv_call *call)
{
    const struct server_command *command;
    struct kv_tier_request *request;

    if (!may_pass(call, &command))
        return;
    if (kv_tier_is_wait(call)) {
        kv_tier_wait(call);
        return;
    }
    if (!has_row_with_keys(call->id) && blocks(call)) {
        kv_tier_block(call);
        return;
    }
    request = kv_tier_request_create(call, is_alone(call, command) ? LATE_ALONE : 0,
                                     may_write(call->id, command));
    if (request == NULL)
        return;
    request->is_fenced = kv_tier_must_ask(call);
    kv_tier_send(request);
}
