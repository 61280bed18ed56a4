/* kv_tier_scan.c — SCAN and RANDOMKEY: one server after the other.
 *
 * Of SCAN's cursor the lower bits are the server's number in the order of slots, which a replica that takes
 * over keeps, and a tag of its address; the others are that server's own cursor. A server that has another
 * tag than when the cursor was given is scanned from its beginning: its own order of keys is another. */
#include "base/number.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

enum { NUMBER_BITS = 10, TAG_BITS = 6, PLACE_BITS = NUMBER_BITS + TAG_BITS };

static const char nobody_known[] =
    "CLUSTERDOWN The shared tier cannot answer now (no server of it is known): try again later";

static const struct bytes slots_unserved = BYTES_INIT("some slots have no server");

/* ---- servers in the order of their slots ---------------------------------------------------------------
 */

static uint8_t tag_of(const struct link_address *address)
{
    uint32_t hash = 2166136261u ^ address->port;

    for (const char *at = address->host; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return (uint8_t)((hash ^ hash >> 16) & ((1u << TAG_BITS) - 1));
}

static uint8_t tag_of_server(const struct valkey_server_facts *facts, size_t count, uint16_t server)
{
    for (size_t i = 0; i < count; i++)
        if (facts[i].number == server)
            return tag_of(facts[i].address);
    return 0;
}

/* While a replica takes over there is nobody for some slots, and the others' numbers are not what they
 * were.
 */
static bool is_whole(const struct valkey_slot_range *ranges, size_t count)
{
    uint32_t next = 0;

    for (size_t i = 0; i < count && ranges[i].first == next; i++)
        next = (uint32_t)ranges[i].last + 1;
    return next == VALKEY_SLOT_COUNT;
}

static bool is_met(const struct valkey_slot_range *ranges, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (ranges[i].server == ranges[index].server)
            return true;
    return false;
}

enum err kv_tier_primaries(const struct kv_tier *tier, bool are_all, struct kv_tier_primary **primaries,
                           size_t *count)
{
    size_t range_count = valkey_slot_ranges(tier->valkey, NULL, 0);
    size_t server_count = valkey_servers(tier->valkey, NULL, 0);
    struct valkey_slot_range *ranges = malloc((range_count + 1) * sizeof *ranges);
    struct valkey_server_facts *facts = malloc((server_count + 1) * sizeof *facts);
    struct kv_tier_primary *found = calloc(range_count + 1, sizeof *found);
    enum err err = ranges == NULL || facts == NULL || found == NULL ? ERR_NO_MEMORY : OK;

    *count = 0;
    if (err == OK) {
        valkey_slot_ranges(tier->valkey, ranges, range_count);
        valkey_servers(tier->valkey, facts, server_count);
        if (are_all && !is_whole(ranges, range_count))
            err = ERR_UNREACHABLE;
        for (size_t i = 0; i < range_count; i++)
            if (!is_met(ranges, i))
                found[(*count)++] = (struct kv_tier_primary){
                    ranges[i].first, tag_of_server(facts, server_count, ranges[i].server)};
    }
    free(ranges);
    free(facts);
    if (err == OK)
        *primaries = found;
    else
        free(found);
    return err;
}

/* The primary of that number, zeroed if there is none, and how many there are. */
static enum err primary_at(const struct kv_tier *tier, uint64_t number, struct kv_tier_primary *primary,
                           size_t *count)
{
    const size_t most = (size_t)1 << NUMBER_BITS;
    struct kv_tier_primary *primaries;
    enum err err = kv_tier_primaries(tier, true, &primaries, count);

    if (err != OK)
        return err;
    if (*count > most)
        *count = most;
    *primary = number < *count ? primaries[number] : (struct kv_tier_primary){0};
    free(primaries);
    return OK;
}

/* ---- SCAN ----------------------------------------------------------------------------------------------
 */

static void cancel_call(struct kv_tier_request *request)
{
    valkey_give_up(request->tier->valkey, &request->call);
}

static uint64_t place_of(const struct kv_tier_request *request)
{
    uint64_t cursor = 0;

    (void)uint64_parse(request->arguments[1], &cursor);
    return cursor & ((1u << PLACE_BITS) - 1);
}

static uint64_t number_in(uint64_t place) { return place & ((1u << NUMBER_BITS) - 1); }

static void say_scanned(const struct kv_tier_request *request, const struct resp_node *node,
                        struct reply *reply)
{
    const struct resp_node *text = resp_first_member(node);
    uint64_t cursor = 0, number = number_in(place_of(request));
    struct kv_tier_primary primary = {0};
    size_t count = 0;
    enum err err;
    char digits[NUMBER_TEXT_BYTES];

    if (node->type != RESP_ARRAY || node->integer != 2 || !uint64_parse(text->bytes, &cursor) ||
        cursor >> (64 - PLACE_BITS) != 0) {
        if (node->type == RESP_ERROR)
            resp_reply_say(node, reply);
        else
            reply_error(reply, BYTES("ERR the shared tier's cursor is none that can be passed on"));
        return;
    }
    err = primary_at(request->tier, number, &primary, &count);
    if (err != OK) {
        kv_tier_say_failure(reply, err, false, slots_unserved);
        return;
    }
    if (cursor != 0)
        cursor = cursor << PLACE_BITS | request->scanned_tag << NUMBER_BITS | number;
    else if (number + 1 < count)
        cursor = number + 1; /* the next server, from its beginning */
    reply_aggregate(reply, OUTCOME_array, 2);
    reply_value(reply, bytes_of(digits, uint64_format(digits, cursor)));
    resp_reply_say(resp_next(text), reply);
}

static void scanned(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct kv_tier_request *request = CONTAINER_OF(call, struct kv_tier_request, call);
    struct reply *reply = kv_tier_request_reply(request);

    request->cancel = NULL;
    if (reply != NULL && answer->err != OK)
        kv_tier_say_failure(reply, answer->err, false, answer->text);
    else if (reply != NULL)
        say_scanned(request, answer->replies->nodes, reply);
    kv_tier_request_end(request);
}

void kv_tier_send_scan(struct kv_tier_request *request)
{
    struct valkey_command command = {request->arguments, request->argument_count};
    struct bytes cursor_text = request->arguments[1];
    struct kv_tier_primary primary = {0};
    char digits[NUMBER_TEXT_BYTES];
    uint64_t cursor, place = place_of(request);
    size_t count;
    enum err err;

    if (!uint64_parse(cursor_text, &cursor)) {
        kv_tier_request_fail(request, "ERR invalid cursor");
        return;
    }
    err = primary_at(request->tier, number_in(place), &primary, &count);
    if (err != OK) {
        kv_tier_request_answer(request, &(struct valkey_answer){.err = err, .text = slots_unserved});
        return;
    }
    if (number_in(place) >= count) {
        kv_tier_request_fail(request, "ERR invalid cursor: the shared tier has fewer servers than when the "
                                      "iteration began; begin anew");
        return;
    }
    request->scanned_tag = primary.tag;
    cursor >>= PLACE_BITS;
    if (place >> NUMBER_BITS != primary.tag)
        cursor = 0;
    request->arguments[1] = bytes_of(digits, uint64_format(digits, cursor));
    request->cancel = cancel_call;
    request->call.done = scanned;
    valkey_ask(request->tier->valkey, &request->call,
               &(struct valkey_order){.commands = &command,
                                      .command_count = 1,
                                      .target = VALKEY_SLOT,
                                      .slot = primary.slot,
                                      .flags = VALKEY_MAY_REPEAT});
    request->arguments[1] = cursor_text;
}

/* ---- RANDOMKEY -----------------------------------------------------------------------------------------
 */

static void random_key_said(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct kv_tier_request *request = CONTAINER_OF(call, struct kv_tier_request, call);

    if (answer->err == OK && answer->replies->nodes->type == RESP_NULL &&
        ++request->node_count < valkey_primary_count(request->tier->valkey)) {
        kv_tier_send_random_key(request); /* that one is empty */
        return;
    }
    kv_tier_request_answer(request, answer);
}

void kv_tier_send_random_key(struct kv_tier_request *request)
{
    struct valkey_command command = {request->arguments, request->argument_count};
    size_t count = valkey_primary_count(request->tier->valkey);
    uint64_t begin = (uint64_t)loop_now(request->tier->loop).mono_ms;

    if (count == 0) {
        kv_tier_request_fail(request, "%s", nobody_known);
        return;
    }
    if (request->node_count == 0)
        request->first_node = (uint16_t)(begin % count);
    request->cancel = cancel_call;
    request->call.done = random_key_said;
    valkey_ask(
        request->tier->valkey, &request->call,
        &(struct valkey_order){.commands = &command,
                               .command_count = 1,
                               .target = VALKEY_NODE,
                               .node = (uint16_t)((request->first_node + request->node_count) % count),
                               .flags = VALKEY_MAY_REPEAT});
}
