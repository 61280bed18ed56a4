/* kv_tier_pubsub.c — PUBSUB where channels are the shared tier's: every primary is asked, and what they say
 * is put together: each channel once, numbers summed. */
#include "engine/kv/tier/kv_tier_link.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

static bool is_subcommand(const struct bytes *arguments, struct bytes word)
{
    return bytes_equal_nocase(arguments[1], word);
}

/* Null: its errors and its help are said here. */
static bool is_of_tier(const struct kv_call *call)
{
    if (call->argument_count < 2)
        return false;
    if (is_subcommand(call->arguments, BYTES("channels")) ||
        is_subcommand(call->arguments, BYTES("shardchannels")))
        return call->argument_count <= 3;
    if (is_subcommand(call->arguments, BYTES("numpat")))
        return call->argument_count == 2;
    return call->argument_count > 2 && (is_subcommand(call->arguments, BYTES("numsub")) ||
                                        is_subcommand(call->arguments, BYTES("shardnumsub")));
}

static void go(struct kv_tier_request *request)
{
    kv_tier_send_to_all(request, is_subcommand(request->arguments, BYTES("numpat")) ? REPLY_SUM
                                                                                    : REPLY_CONCATENATED);
}

void kv_tier_pubsub(const struct kv_call *call)
{
    struct kv_tier_request *request;

    if (!is_of_tier(call)) {
        kv_pubsub(call);
        return;
    }
    request = kv_tier_request_create(call, LATE_ALONE, false);
    if (request == NULL)
        return;
    go(request);
}

/* ---- what all have said ---------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    const struct bytes *first = a, *second = b;
    size_t size = first->size < second->size ? first->size : second->size;
    int order = size > 0 ? memcmp(first->data, second->data, size) : 0;

    return order != 0 ? order : (first->size > second->size) - (first->size < second->size);
}

static void say_names(const struct resp_node *node, struct reply *reply)
{
    size_t count = (size_t)node->integer, kept = 0;
    struct bytes *names = malloc((count + 1) * sizeof *names);
    const struct resp_node *member = resp_first_member(node);

    if (names == NULL) {
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
        return;
    }
    for (size_t i = 0; i < count; i++, member = resp_next(member))
        names[i] = member->type == RESP_BULK || member->type == RESP_SIMPLE ? member->bytes : BYTES("");
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !bytes_equal(names[i], names[kept - 1]))
            names[kept++] = names[i];
    reply_aggregate(reply, OUTCOME_array, kept);
    for (size_t i = 0; i < kept; i++)
        reply_value(reply, names[i]);
    free(names);
}

/* Channels with their numbers, from one server after the other, each in the order in which they were asked
 * for. */
static void say_numbers(const struct kv_tier_request *request, const struct resp_node *node,
                        struct reply *reply)
{
    uint32_t count = request->argument_count - 2;
    int64_t *numbers = calloc(count, sizeof *numbers);
    const struct resp_node *member = resp_first_member(node);

    if (numbers == NULL) {
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
        return;
    }
    for (int64_t i = 0; i < node->integer; i++, member = resp_next(member)) {
        int64_t *number = &numbers[i / 2 % count];
        if (i % 2 == 1 && member->type == RESP_INTEGER &&
            __builtin_add_overflow(*number, member->integer, number))
            *number = INT64_MAX;
    }
    reply_aggregate(reply, OUTCOME_array, 2 * (size_t)count);
    for (uint32_t i = 0; i < count; i++) {
        reply_value(reply, request->arguments[i + 2]);
        reply_integer(reply, numbers[i]);
    }
    free(numbers);
}

void kv_tier_say_pubsub(const struct kv_tier_request *request, const struct resp_node *node,
                        struct reply *reply)
{
    if (node->type != RESP_ARRAY)
        resp_reply_say(node, reply);
    else if (is_subcommand(request->arguments, BYTES("numsub")) ||
             is_subcommand(request->arguments, BYTES("shardnumsub")))
        say_numbers(request, node, reply);
    else
        say_names(node, reply);
}
