/* flight_found.c — what a read under way has found, and whether it may be kept. */
#include "client/tier/flight_parts.h"

/* What a server says instead of a value. */
static struct tier_found refused(const struct resp_node *node)
{
    struct tier_found found = {.err = ERR_FORBIDDEN, .text = node->bytes};

    if (resp_is_error(node, BYTES("WRONGTYPE")))
        found.err = ERR_TYPE;
    return found;
}

struct tier_found flight_found(const struct tier_flight *flight, const struct valkey_answer *answer)
{
    const struct resp_node *node;

    if (answer->err != OK)
        return (struct tier_found){.err = answer->err, .text = answer->text};
    node = answer->replies[0].nodes;
    switch (node->type) {
    case RESP_ERROR: return refused(node);
    case RESP_NULL:
    case RESP_NULL_ARRAY: return (struct tier_found){.err = OK};
    case RESP_BULK:
        if (flight->head_bytes > 0 && node->bytes.size == 0 && flight->ttl_is_known &&
            flight->ttl_ms == TTL_MISSING)
            return (struct tier_found){.err = OK}; /* it was missing when PTTL was run */
        return (struct tier_found){.err = OK, .is_there = true, .value = node->bytes};
    case RESP_SIMPLE:
    case RESP_INTEGER:
    case RESP_BOOLEAN:
    case RESP_DOUBLE:
    case RESP_BIG_NUMBER:
    case RESP_VERBATIM:
    case RESP_ARRAY:
    case RESP_MAP:
    case RESP_SET:
    case RESP_PUSH: break;
    }
    return (struct tier_found){.err = ERR_SYNTAX, .text = BYTES("the tier's reply is no string")};
}

bool flight_is_ambiguous(const struct tier_flight *flight, const struct tier_found *found)
{
    return flight->head_bytes > 0 && !flight->asks_whole && found->err == OK && found->is_there &&
           found->value.size == 0;
}

/* Whether what was found may be kept, and if not, what counts it. With the key's lock held nothing of that
 * changes but what its mark tells. */
static bool may_keep(const struct tier_flight *flight, const struct tier_found *found,
                     const struct valkey_answer *answer, enum metric *why_not)
{
    const struct tier *tier = flight->worker->tier;

    if (!flight->is_tracked)
        *why_not = METRIC_tier_unkept_hot;
    else if (answer->source == NULL || (flight->ttl_is_known && flight->ttl_source == NULL))
        *why_not = METRIC_tier_unkept_asked;
    else if (flight->is_poisoned || !flight->ttl_is_known ||
             found->is_there != (flight->ttl_ms != TTL_MISSING))
        *why_not = METRIC_tier_unkept_poisoned;
    else if (answer->source != flight->ttl_source || answer->generation != flight->ttl_generation ||
             answer->generation != source_generation(answer->source) ||
             flight->slot_epoch != marks_epoch(tier->marks, flight->slot))
        *why_not = METRIC_tier_unkept_moved;
    else if (flight->own_writes != own_writes_count(tier->own_writes, flight->hash))
        *why_not = METRIC_tier_unkept_own_write;
    else
        return true;
    return false;
}

/* What is missing holds for max_staleness_ms at most: a slot that moves takes its missing keys along
 * without a word (race G), and so the bound holds all the same. */
static int64_t null_ttl_ms(const struct tier_options *options)
{
    return options->null_ttl_ms < options->max_staleness_ms ? options->null_ttl_ms
                                                            : options->max_staleness_ms;
}

/* Counted from the moment of asking: when it was answered nobody knows. 0: never. */
static int64_t expires_at_ms(const struct tier_flight *flight, const struct tier_found *found,
                             const struct valkey_answer *answer)
{
    int64_t since_ms = flight->ttl_is_known ? flight->ttl_sent_ms : answer->sent_ms;

    if (!found->is_there)
        return since_ms + null_ttl_ms(&flight->worker->tier->options);
    return flight->ttl_is_known && flight->ttl_ms >= 0 ? since_ms + flight->ttl_ms : 0;
}

static int64_t near_until_ms(const struct tier_flight *flight, const struct tier_found *found)
{
    int64_t until_ms = flight->ttl_sent_ms + flight->worker->tier->options.near_ttl_max_ms;

    return found->expires_at_ms != 0 && found->expires_at_ms < until_ms ? found->expires_at_ms : until_ms;
}

static void keep(struct tier_flight *flight, const struct tier_found *found)
{
    struct tier_worker *worker = flight->worker;
    int64_t now_ms = tier_now_ms(worker), until_ms = near_until_ms(flight, found);

    if (until_ms <= now_ms)
        flight_count(worker, METRIC_tier_unkept_short);
    else if (near_keep(&worker->tier->near, now_ms, flight->key, found->is_there ? &found->value : NULL,
                       found->mark, until_ms - now_ms))
        flight_count(worker, METRIC_tier_kept);
    else
        flight_count(worker, METRIC_tier_unkept_no_room);
}

void flight_keep(struct tier_flight *flight, const struct valkey_answer *answer, struct tier_found *found)
{
    struct tier_worker *worker = flight->worker;
    struct tier *tier = worker->tier;
    enum metric why_not;

    if (found->err != OK)
        return;
    found->expires_at_ms = expires_at_ms(flight, found, answer);
    own_writes_lock(tier->own_writes, flight->hash);
    if (!may_keep(flight, found, answer, &why_not)) {
        if (flight->is_kept) /* what is near is not newer */
            nh_delete(tier->options.store, tier_now_ms(worker), flight->key);
        flight_count(worker, why_not);
    } else {
        found->mark = mark_make(source_index(answer->source), answer->generation, flight->slot_epoch);
        if (flight->is_kept && found->mark.slot_epoch != 0)
            keep(flight, found);
    }
    own_writes_unlock(tier->own_writes, flight->hash);
}

/* That a push came between PTTL and GET is no harm here: the value is of after it, and was tracked then. */
struct tier_mark flight_watch_mark(const struct tier_flight *flight, const struct valkey_answer *answer)
{
    if (answer->source == NULL || (flight->is_poisoned && source_has_receiver(answer->source)))
        return (struct tier_mark){0};
    return mark_make(source_index(answer->source), answer->generation, flight->slot_epoch);
}
