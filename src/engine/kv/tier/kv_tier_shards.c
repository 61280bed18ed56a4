/* kv_tier_shards.c — commands that are about the whole tier: every primary is asked, and what they say is
 * put together as the command's own description demands (reply_policy). */
#include "engine/kv/kv_transaction.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

struct all {
    struct kv_tier_request *request;
    enum server_reply_policy policy;
    uint32_t left_count, count;
    bool has_begun;
    enum err err; /* of the first that could not be asked */
    bool may_have_run;
    struct buffer error; /* the first error that a server said, or why it could not be asked */
    bool has_success, has_number;
    int64_t number;
    struct buffer whole;   /* of the first reply, as it came; of CONCATENATED: members of all */
    uint64_t member_count; /* of those */
    struct buffer numbers; /* of replies that are arrays of numbers: int64_t each */
    struct one {
        struct valkey_call call;
        struct all *all;
        bool is_under_way;
    } ones[];
};

static void all_free(struct all *all)
{
    buffer_fini(&all->error);
    buffer_fini(&all->whole);
    buffer_fini(&all->numbers);
    free(all);
}

static void cancel_all(struct kv_tier_request *request)
{
    struct all *all = request->part;

    for (uint32_t i = 0; i < all->count; i++)
        if (all->ones[i].is_under_way)
            valkey_give_up(request->tier->valkey, &all->ones[i].call);
    all_free(all);
}

/* ---- putting together ---------------------------------------------------------------------------------
 */

static int64_t put_together(enum server_reply_policy policy, int64_t a, int64_t b)
{
    switch (policy) {
    case REPLY_SUM: return __builtin_add_overflow(a, b, &a) ? INT64_MAX : a;
    case REPLY_MIN: return a < b ? a : b;
    case REPLY_MAX: return a > b ? a : b;
    case REPLY_AND: return a != 0 && b != 0;
    case REPLY_OR: return a != 0 || b != 0;
    case REPLY_FIRST:
    case REPLY_ALL_SUCCEEDED:
    case REPLY_ONE_SUCCEEDED:
    case REPLY_CONCATENATED:
    case REPLY_SPECIAL: return a;
    }
    UNREACHABLE();
}

static bool is_aggregate(const struct resp_node *node)
{
    return node->type == RESP_ARRAY || node->type == RESP_SET;
}

static void add_numbers(struct all *all, const struct resp_node *node)
{
    const struct resp_node *member = resp_first_member(node);
    bool is_first = all->numbers.size == 0;

    for (int64_t i = 0; i < node->integer; i++, member = resp_next(member)) {
        int64_t number = member->integer, *before;
        if (is_first) {
            buffer_append(&all->numbers, bytes_of((const char *)&number, sizeof number));
            continue;
        }
        if ((size_t)(i + 1) * sizeof number > all->numbers.size)
            return;
        before = (int64_t *)(void *)all->numbers.data + i;
        *before = put_together(all->policy, *before, number);
    }
}

static void add_members(struct all *all, const struct resp_reply *reply)
{
    const char *end = memchr(reply->raw.data, '\n', reply->raw.size);

    if (end == NULL)
        return;
    all->member_count += (uint64_t)reply->nodes->integer;
    buffer_append(&all->whole, bytes_after(reply->raw, (size_t)(end + 1 - reply->raw.data)));
}

/* Whether so many bytes more may be kept. */
static bool has_room(struct all *all, size_t bytes)
{
    if (all->whole.size + bytes <= kv_transaction_bytes_max(all->request->tier->kv))
        return true;
    if (all->err == OK)
        all->err = ERR_TOO_LARGE;
    return false;
}

static void add(struct all *all, const struct resp_reply *reply)
{
    const struct resp_node *node = reply->nodes;

    if (!has_room(all, reply->raw.size))
        return;
    if (node->type == RESP_ERROR) {
        if (all->error.size == 0)
            buffer_append(&all->error, node->bytes);
        return;
    }
    if (all->policy == REPLY_CONCATENATED && is_aggregate(node))
        add_members(all, reply);
    else if (node->type == RESP_INTEGER && all->has_number)
        all->number = put_together(all->policy, all->number, node->integer);
    else if (node->type == RESP_INTEGER)
        all->number = node->integer, all->has_number = true;
    else if ((all->policy == REPLY_AND || all->policy == REPLY_OR) && is_aggregate(node))
        add_numbers(all, node);
    else if (!all->has_success)
        buffer_append(&all->whole, reply->raw);
    all->has_success = true;
}

/* Says a reply that is kept as it came. */
static void say_raw(struct all *all, struct bytes raw, struct reply *reply)
{
    static const struct resp_reply_limits limits = {
        .reply_bytes_max = UINT64_C(1) << 40, .nodes_max = UINT32_MAX, .depth_max = RESP_DEPTH_MAX};
    struct resp_reply_parser parser = {0};
    struct resp_reply parsed;
    struct bytes error;
    size_t consumed;

    if (resp_reply_parse(&parser, &limits, raw, &parsed, &consumed, &error) == PARSE_DONE)
        (all->request->id == COMMAND_pubsub ? kv_tier_say_pubsub : kv_tier_say)(all->request, parsed.nodes,
                                                                                reply);
    else
        reply_error(reply, BYTES("ERR what the servers of the shared tier said cannot be put together"));
    resp_reply_parser_fini(&parser);
}

static void say_members(struct all *all, struct reply *reply)
{
    struct buffer raw = {0};

    buffer_append_format(&raw, "*%llu\r\n", (unsigned long long)all->member_count);
    buffer_append(&raw, buffer_bytes(&all->whole));
    if (raw.failed)
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
    else
        say_raw(all, buffer_bytes(&raw), reply);
    buffer_fini(&raw);
}

static void say_numbers(struct all *all, struct reply *reply)
{
    size_t count = all->numbers.size / sizeof(int64_t);

    reply_aggregate(reply, OUTCOME_array, count);
    for (size_t i = 0; i < count; i++)
        reply_integer(reply, ((const int64_t *)(const void *)all->numbers.data)[i]);
}

static void say_together(struct all *all, struct reply *reply)
{
    bool one_is_enough = all->policy == REPLY_ONE_SUCCEEDED && all->has_success;

    if (all->whole.failed || all->numbers.failed)
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
    else if (all->err == ERR_TOO_LARGE)
        reply_error(reply,
                    BYTES("ERR what the servers of the shared tier say is more than a connection may "
                          "buffer: ask for less at once"));
    else if (all->err != OK && !one_is_enough)
        kv_tier_say_failure(reply, all->err, all->may_have_run && all->request->writes,
                            buffer_bytes(&all->error));
    else if (all->error.size > 0 && !one_is_enough)
        reply_error(reply, buffer_bytes(&all->error));
    else if (all->policy == REPLY_CONCATENATED)
        say_members(all, reply);
    else if (all->has_number)
        reply_integer(reply, all->number);
    else if (all->numbers.size > 0)
        say_numbers(all, reply);
    else
        say_raw(all, buffer_bytes(&all->whole), reply);
}

static bool empties(enum command_id id) { return id == COMMAND_flushall || id == COMMAND_flushdb; }

static void end_if_all_have_said(struct all *all)
{
    struct kv_tier_request *request = all->request;
    struct reply *reply;

    if (all->left_count > 0 || !all->has_begun)
        return;
    if (empties(request->id))
        tier_forget_all(request->tier->tier);
    request->cancel = NULL;
    reply = kv_tier_request_reply(request);
    if (reply != NULL)
        say_together(all, reply);
    all_free(all);
    kv_tier_request_end(request);
}

static void one_said(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct one *one = CONTAINER_OF(call, struct one, call);
    struct all *all = one->all;

    one->is_under_way = false;
    if (answer->err == OK) {
        add(all, answer->replies);
    } else {
        all->may_have_run |= answer->may_have_run;
        if (all->err == OK) {
            all->err = answer->err;
            buffer_clear(&all->error);
            buffer_append(&all->error, answer->text);
        }
    }
    all->left_count--;
    end_if_all_have_said(all);
}

/* Each primary by a slot of its, so that a call that waits goes to who has taken over from it. */
static void ask_all(struct all *all, const struct kv_tier_primary *primaries)
{
    struct kv_tier_request *request = all->request;
    struct valkey_command command = {request->arguments, request->argument_count};

    for (uint32_t i = 0; i < all->count; i++) {
        struct one *one = &all->ones[i];
        one->all = all;
        one->is_under_way = true;
        one->call.done = one_said;
        valkey_ask(request->tier->valkey, &one->call,
                   &(struct valkey_order){.commands = &command,
                                          .command_count = 1,
                                          .target = VALKEY_SLOT,
                                          .slot = primaries[i].slot,
                                          .flags = request->writes ? 0 : VALKEY_MAY_REPEAT});
    }
    all->has_begun = true;
}

void kv_tier_send_to_all(struct kv_tier_request *request, enum server_reply_policy policy)
{
    struct kv_tier_primary *primaries = NULL;
    size_t count;
    struct all *all = NULL;
    enum err err = kv_tier_primaries(request->tier, false, &primaries, &count);

    if (err == OK && count == 0) {
        free(primaries);
        kv_tier_request_fail(
            request, "CLUSTERDOWN The shared tier cannot answer now (no server of it is known): try "
                     "again later");
        return;
    }
    if (err == OK)
        all = calloc(1, sizeof *all + count * sizeof *all->ones);
    if (all == NULL) {
        free(primaries);
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    if (empties(request->id))
        tier_forget_all(request->tier->tier);
    if (request->writes)
        kv_tier_note_written_everywhere(request->session);
    all->request = request;
    all->policy = policy;
    all->count = all->left_count = (uint32_t)count;
    request->part = all;
    request->cancel = cancel_all;
    ask_all(all, primaries);
    free(primaries);
    end_if_all_have_said(all);
}
