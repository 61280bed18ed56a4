/* kv_tier_shape.c — replies to some commands have another shape in RESP2 than in RESP3, beyond what types
 * tell. The tier is spoken to in one version for all sessions. */
#include "engine/kv/tier/kv_tier_state.h"

/* Members with their scores, fields with their values: pairs in RESP3, one behind the other in RESP2. */
static bool has_pairs(struct bytes name)
{
    static const struct bytes names[] = {
        BYTES_INIT("zrange"),  BYTES_INIT("zrevrange"),   BYTES_INIT("zrangebyscore"),
        BYTES_INIT("zinter"),  BYTES_INIT("zunion"),      BYTES_INIT("zrevrangebyscore"),
        BYTES_INIT("zdiff"),   BYTES_INIT("zrandmember"), BYTES_INIT("zpopmin"),
        BYTES_INIT("zpopmax"), BYTES_INIT("hrandfield"),
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal_nocase(name, names[i]))
            return true;
    return false;
}

/* Streams with their entries: a map in RESP3, pairs in RESP2. */
static bool has_streams(struct bytes name)
{
    return bytes_equal_nocase(name, BYTES("xread")) || bytes_equal_nocase(name, BYTES("xreadgroup"));
}

static bool is_array_of_pairs(const struct resp_node *node)
{
    const struct resp_node *member = resp_first_member(node);

    if (node->type != RESP_ARRAY || node->integer == 0)
        return false;
    for (int64_t i = 0; i < node->integer; i++, member = resp_next(member))
        if (member->type != RESP_ARRAY || member->integer != 2)
            return false;
    return true;
}

static void say_flat(const struct resp_node *node, struct reply *reply)
{
    const struct resp_node *pair = resp_first_member(node);

    reply_aggregate(reply, OUTCOME_array, 2 * (size_t)node->integer);
    for (int64_t i = 0; i < node->integer; i++, pair = resp_next(pair)) {
        const struct resp_node *first = resp_first_member(pair);
        resp_reply_say(first, reply);
        resp_reply_say(resp_next(first), reply);
    }
}

static void say_in_pairs(const struct resp_node *node, struct reply *reply)
{
    const struct resp_node *member = resp_first_member(node);

    reply_aggregate(reply, OUTCOME_array, (size_t)node->integer);
    for (int64_t i = 0; i < node->integer; i++) {
        reply_aggregate(reply, OUTCOME_array, 2);
        resp_reply_say(member, reply);
        member = resp_next(member);
        resp_reply_say(member, reply);
        member = resp_next(member);
    }
}

void kv_tier_say_as(uint8_t resp_version, struct bytes name, const struct resp_node *node,
                    struct reply *reply)
{
    if (resp_version == 2 && is_array_of_pairs(node) && has_pairs(name))
        say_flat(node, reply);
    else if (resp_version == 2 && node->type == RESP_MAP && has_streams(name))
        say_in_pairs(node, reply);
    else
        resp_reply_say(node, reply);
}

void kv_tier_say(const struct kv_tier_request *request, const struct resp_node *node, struct reply *reply)
{
    kv_tier_say_as(request->resp_version, request->arguments[0], node, reply);
}
