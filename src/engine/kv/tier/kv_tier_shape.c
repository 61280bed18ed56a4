/* kv_tier_shape.c — replies to some commands have another shape in RESP2 than in RESP3, beyond what types
 * tell. The tier is spoken to in one version for all sessions.
 *
 * From RESP3 to RESP2 all of them are known. The other way, where the tier is spoken to in RESP2, those are
 * whose shape their name alone tells; what else there is (WITHSCORES, XINFO, modules) stays as it is. */
#include "engine/kv/tier/kv_tier_state.h"

static bool is_one_of(struct bytes name, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(name, names[i]))
            return true;
    return false;
}

/* Members with their scores, fields with their values: pairs in RESP3, one behind the other in RESP2. */
static bool has_pairs(struct bytes name)
{
    static const struct bytes names[] = {
        BYTES_INIT("zrange"),  BYTES_INIT("zrevrange"),   BYTES_INIT("zrangebyscore"),
        BYTES_INIT("zinter"),  BYTES_INIT("zunion"),      BYTES_INIT("zrevrangebyscore"),
        BYTES_INIT("zdiff"),   BYTES_INIT("zrandmember"), BYTES_INIT("zpopmin"),
        BYTES_INIT("zpopmax"), BYTES_INIT("hrandfield"),
    };

    return is_one_of(name, names, COUNT_OF(names));
}

/* Streams with their entries: a map in RESP3, pairs in RESP2. */
static bool has_streams(struct bytes name)
{
    return bytes_equal_nocase(name, BYTES("xread")) || bytes_equal_nocase(name, BYTES("xreadgroup"));
}

/* Who has nothing to give says so by the null of an array in RESP2. */
static bool gives_array(struct bytes name)
{
    static const struct bytes names[] = {
        BYTES_INIT("blpop"), BYTES_INIT("brpop"),     BYTES_INIT("blmpop"),   BYTES_INIT("lmpop"),
        BYTES_INIT("zmpop"), BYTES_INIT("bzpopmin"),  BYTES_INIT("bzpopmax"), BYTES_INIT("bzmpop"),
        BYTES_INIT("xread"), BYTES_INIT("xreadgroup")};

    return is_one_of(name, names, COUNT_OF(names));
}

/* LPOP and RPOP do only if they are told how many. */
static bool pops_several(const struct kv_tier_request *request)
{
    return request->argument_count > 2 && (bytes_equal_nocase(request->arguments[0], BYTES("lpop")) ||
                                           bytes_equal_nocase(request->arguments[0], BYTES("rpop")));
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

/* ---- from RESP2 to RESP3 --------------------------------------------------------------------------------
 */

static bool is_set(struct bytes name)
{
    static const struct bytes names[] = {BYTES_INIT("smembers"), BYTES_INIT("sinter"), BYTES_INIT("sunion"),
                                         BYTES_INIT("sdiff"), BYTES_INIT("spop")};
    return is_one_of(name, names, COUNT_OF(names));
}

/* One, or of ZMSCORE several. */
static bool is_score(struct bytes name)
{
    static const struct bytes names[] = {BYTES_INIT("zscore"), BYTES_INIT("zincrby"), BYTES_INIT("zmscore"),
                                         BYTES_INIT("zadd")};
    return is_one_of(name, names, COUNT_OF(names));
}

static void say_score(const struct resp_node *node, struct reply *reply)
{
    if (node->type == RESP_BULK)
        reply_say(reply, &(struct outcome){.kind = OUTCOME_number_text, .bytes = node->bytes});
    else
        resp_reply_say(node, reply);
}

static void say_members(const struct resp_node *node, struct reply *reply,
                        void (*say)(const struct resp_node *member, struct reply *reply))
{
    const struct resp_node *member = resp_first_member(node);

    for (int64_t i = 0; i < node->integer; i++, member = resp_next(member))
        say(member, reply);
}

static void say_pair(const struct resp_node *pair, struct reply *reply)
{
    say_members(pair, reply, resp_reply_say);
}

static void say_newer(struct bytes name, const struct resp_node *node, struct reply *reply)
{
    bool is_array = node->type == RESP_ARRAY;

    if (is_array && node->integer % 2 == 0 && bytes_equal_nocase(name, BYTES("hgetall"))) {
        reply_aggregate(reply, OUTCOME_map, (size_t)node->integer / 2);
        say_members(node, reply, resp_reply_say);
    } else if (has_streams(name) && is_array_of_pairs(node)) {
        reply_aggregate(reply, OUTCOME_map, (size_t)node->integer);
        say_members(node, reply, say_pair);
    } else if (is_array && is_set(name)) {
        reply_aggregate(reply, OUTCOME_set, (size_t)node->integer);
        say_members(node, reply, resp_reply_say);
    } else if (is_array && is_score(name)) {
        reply_aggregate(reply, OUTCOME_array, (size_t)node->integer);
        say_members(node, reply, say_score);
    } else if (is_score(name)) {
        say_score(node, reply);
    } else {
        resp_reply_say(node, reply);
    }
}

void kv_tier_say_as(uint8_t resp_version, struct bytes name, const struct resp_node *node,
                    struct reply *reply)
{
    if (resp_version == 2 && is_array_of_pairs(node) && has_pairs(name))
        say_flat(node, reply);
    else if (resp_version == 2 && node->type == RESP_NULL && gives_array(name))
        reply_kind(reply, OUTCOME_nothing_array);
    else if (resp_version == 2 && node->type == RESP_MAP && has_streams(name))
        say_in_pairs(node, reply);
    else if (resp_version == 3)
        say_newer(name, node, reply);
    else
        resp_reply_say(node, reply);
}

void kv_tier_say(const struct kv_tier_request *request, const struct resp_node *node, struct reply *reply)
{
    if (request->resp_version == 2 && node->type == RESP_NULL && pops_several(request))
        reply_kind(reply, OUTCOME_nothing_array);
    else
        kv_tier_say_as(request->resp_version, request->arguments[0], node, reply);
}
