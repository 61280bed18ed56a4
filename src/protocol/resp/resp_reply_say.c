/* resp_reply_say.c — replies to outcomes. */
#include "base/compiler.h"
#include "protocol/resp/resp_reply.h"

enum { FORMAT_BYTES = 4 }; /* "txt:" */

static void say_bytes(struct reply *reply, enum outcome_kind kind, struct bytes bytes)
{
    reply_say(reply, &(struct outcome){.kind = kind, .bytes = bytes});
}

static void say_node(const struct resp_node *node, struct reply *reply)
{
    struct bytes bytes = node->bytes;

    switch (node->type) {
    case RESP_SIMPLE: say_bytes(reply, OUTCOME_text, bytes); return;
    case RESP_ERROR: say_bytes(reply, OUTCOME_error, bytes); return;
    case RESP_INTEGER: reply_integer(reply, node->integer); return;
    case RESP_BULK: say_bytes(reply, OUTCOME_value, bytes); return;
    case RESP_NULL: reply_kind(reply, OUTCOME_nothing); return;
    case RESP_NULL_ARRAY: reply_kind(reply, OUTCOME_nothing_array); return;
    case RESP_BOOLEAN: reply_kind(reply, node->integer != 0 ? OUTCOME_yes : OUTCOME_no); return;
    case RESP_DOUBLE: say_bytes(reply, OUTCOME_number_text, bytes); return;
    case RESP_BIG_NUMBER: say_bytes(reply, OUTCOME_big_number, bytes); return;
    case RESP_VERBATIM:
        say_bytes(reply, OUTCOME_formatted, bytes_of(bytes.data - FORMAT_BYTES, FORMAT_BYTES + bytes.size));
        return;
    case RESP_ARRAY: reply_aggregate(reply, OUTCOME_array, (size_t)node->integer); return;
    case RESP_MAP: reply_aggregate(reply, OUTCOME_map, (size_t)node->integer); return;
    case RESP_SET: reply_aggregate(reply, OUTCOME_set, (size_t)node->integer); return;
    case RESP_PUSH: reply_aggregate(reply, OUTCOME_push, (size_t)node->integer); return;
    }
    UNREACHABLE();
}

void resp_reply_say(const struct resp_node *node, struct reply *reply)
{
    for (uint32_t i = 0; i < node->span; i++) /* the order of nodes is that of outcomes */
        say_node(node + i, reply);
}
