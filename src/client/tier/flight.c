#include "base/number.h"
#include "client/tier/tier_inner.h"
#include <stdio.h>
#include <stdlib.h>

enum { TTL_MISSING = -2 }; /* as PTTL says */

struct tier_flight {
    struct hash_node in_table;
    struct tier_worker *worker;
    struct list readers; /* of tier_read.in_flight */
    struct valkey_call ttl_call, value_call;
    struct timer early_timer; /* for readers whose deadline comes before the calls' */
    uint64_t hash;
    uint32_t head_bytes; /* 0: the whole value */
    uint16_t slot;
    bool is_tracked; /* else nothing of it may be kept, and PTTL is not asked */
    bool is_kept;    /* into the store */
    bool asks_whole; /* of a head: the whole value, to tell an empty one from none */
    bool in_the_air, ttl_is_out, ttl_has_come, ttl_is_known;
    bool is_poisoned;
    int64_t deadline_ms;
    uint64_t asked_us; /* round_trips_clock_us */
    /* As they were when it was asked. */
    uint32_t slot_epoch, own_writes;
    /* What PTTL has told, and who. */
    int64_t ttl_ms, ttl_sent_ms;
    const struct source *ttl_source;
    uint32_t ttl_generation;
    nh_key key; /* its bytes are below */
    char key_bytes[];
};

static struct tier_read *reader_of(struct list *node)
{
    return CONTAINER_OF(node, struct tier_read, in_flight);
}

static struct bytes key_of(const struct tier_flight *flight)
{
    return bytes_of(flight->key.data, flight->key.size);
}

static void count(struct tier_worker *worker, enum metric metric)
{
    counters_add(worker->counters, metric, 1);
}

/* ---- asking ---- */

/* The tier's present state, which what is found must be of if it is to be kept. */
static void ask(struct tier_flight *flight)
{
    struct tier_worker *worker = flight->worker;
    char last_byte[24];
    struct bytes key = key_of(flight);
    struct bytes ttl[] = {BYTES("PTTL"), key};
    struct bytes value[] = {BYTES("GET"), key, BYTES("0"), BYTES("")};
    struct valkey_command command = {.arguments = ttl, .argument_count = COUNT_OF(ttl)};
    struct valkey_order order = {
        .commands = &command,
        .command_count = 1,
        .target = VALKEY_SLOT,
        .slot = flight->slot,
        .flags = VALKEY_MAY_REPEAT,
        .deadline_ms = flight->deadline_ms,
    };

    flight->slot_epoch = marks_epoch(worker->tier->marks, flight->slot);
    flight->own_writes = own_writes_count(worker->tier->own_writes, flight->hash);
    flight->is_poisoned = flight->ttl_has_come = flight->ttl_is_known = false;
    flight->in_the_air = true;
    flight->asked_us = round_trips_clock_us();
    count(worker, METRIC_tier_reads);
    if (flight->is_tracked) {
        flight->ttl_is_out = true;
        valkey_ask(worker->valkey, &flight->ttl_call, &order);
    } else {
        order.flags |= VALKEY_UNTRACKED;
    }
    command = (struct valkey_command){.arguments = value, .argument_count = 2};
    if (flight->head_bytes > 0 && !flight->asks_whole) {
        snprintf(last_byte, sizeof last_byte, "%u", flight->head_bytes - 1);
        value[0] = BYTES("GETRANGE");
        value[3] = bytes_of_text(last_byte);
        command.argument_count = 4;
    }
    valkey_ask(worker->valkey, &flight->value_call, &order);
}

static void drop_calls(struct tier_flight *flight)
{
    if (flight->ttl_is_out)
        valkey_give_up(flight->worker->valkey, &flight->ttl_call);
    if (flight->in_the_air)
        valkey_give_up(flight->worker->valkey, &flight->value_call);
    flight->ttl_is_out = flight->in_the_air = false;
}

static void land(struct tier_flight *flight)
{
    drop_calls(flight);
    hash_table_remove(&flight->worker->flights.by_key, &flight->in_table);
    timer_cancel(flight->worker->loop, &flight->early_timer);
}

static void on_ttl(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct tier_flight *flight = CONTAINER_OF(call, struct tier_flight, ttl_call);

    flight->ttl_is_out = false;
    flight->ttl_has_come = true;
    flight->ttl_is_known = answer->err == OK && answer->replies[0].nodes[0].type == RESP_INTEGER &&
                           answer->replies[0].nodes[0].integer >= TTL_MISSING;
    if (!flight->ttl_is_known)
        return;
    flight->ttl_ms = answer->replies[0].nodes[0].integer;
    flight->ttl_sent_ms = answer->sent_ms;
    flight->ttl_source = answer->source;
    flight->ttl_generation = answer->generation;
}

/* ---- what was found ---- */

/* What a server says instead of a value. */
static struct tier_found refused(const struct resp_node *node)
{
    struct tier_found found = {.err = ERR_FORBIDDEN, .text = node->bytes};

    if (resp_is_error(node, BYTES("WRONGTYPE")))
        found.err = ERR_TYPE;
    return found;
}

static struct tier_found found_of(const struct tier_flight *flight, const struct valkey_answer *answer)
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

/* GETRANGE says of a missing key what it says of an empty value. */
static bool is_ambiguous(const struct tier_flight *flight, const struct tier_found *found)
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
        count(worker, METRIC_tier_unkept_short);
    else if (near_keep(&worker->tier->near, now_ms, flight->key, found->is_there ? &found->value : NULL,
                       found->mark, until_ms - now_ms))
        count(worker, METRIC_tier_kept);
    else
        count(worker, METRIC_tier_unkept_no_room);
}

/* In the order of the wire: nothing that came behind the reply has been looked at. */
static void mark_and_keep(struct tier_flight *flight, const struct valkey_answer *answer,
                          struct tier_found *found)
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
        count(worker, why_not);
    } else {
        found->mark = mark_make(source_index(answer->source), answer->generation, flight->slot_epoch);
        if (flight->is_kept && found->mark.slot_epoch != 0)
            keep(flight, found);
    }
    own_writes_unlock(tier->own_writes, flight->hash);
}

/* Through what a watch of this answer is told; zeroed if nothing would tell it. That a push came between
 * PTTL and GET is no harm here: the value is of after it, and was tracked then. */
static struct tier_mark watch_mark(const struct tier_flight *flight, const struct valkey_answer *answer)
{
    if (answer->source == NULL || (flight->is_poisoned && source_has_receiver(answer->source)))
        return (struct tier_mark){0};
    return mark_make(source_index(answer->source), answer->generation, flight->slot_epoch);
}

/* ---- telling it ---- */

/* Moves a reader to `list`, where it waits to be told: it is no flight's any more. */
static void take_reader(struct tier_read *read, struct list *list)
{
    read->flight = NULL;
    list_remove(&read->in_flight);
    list_append(list, &read->in_flight);
}

/* Readers that have waited as long as they wanted. */
static void take_late(struct tier_flight *flight, int64_t now_ms, struct list *late)
{
    for (struct list *node = flight->readers.next, *next; node != &flight->readers; node = next) {
        next = node->next;
        if (reader_of(node)->deadline_ms <= now_ms)
            take_reader(reader_of(node), late);
    }
}

static void tell(struct tier_worker *worker, struct list *readers, const struct tier_found *found)
{
    while (!list_is_empty(readers)) {
        struct tier_read *read = reader_of(readers->next);
        list_remove(&read->in_flight);
        if (found->err != OK)
            watch_end(worker, read);
        read->done(read, found);
    }
}

/* The latest deadline of those who wait, and the earliest. */
static int64_t latest_deadline_ms(const struct tier_flight *flight, int64_t *earliest_ms)
{
    int64_t latest_ms = 0;

    *earliest_ms = INT64_MAX;
    for (struct list *node = flight->readers.next; node != &flight->readers; node = node->next) {
        int64_t deadline_ms = reader_of(node)->deadline_ms;
        latest_ms = deadline_ms > latest_ms ? deadline_ms : latest_ms;
        *earliest_ms = deadline_ms < *earliest_ms ? deadline_ms : *earliest_ms;
    }
    return latest_ms;
}

static void set_early_timer(struct tier_flight *flight)
{
    int64_t earliest_ms;

    latest_deadline_ms(flight, &earliest_ms);
    if (earliest_ms < flight->deadline_ms)
        timer_set(flight->worker->loop, &flight->early_timer, earliest_ms);
}

static void on_early(struct timer *timer)
{
    struct tier_flight *flight = CONTAINER_OF(timer, struct tier_flight, early_timer);
    struct tier_worker *worker = flight->worker;
    struct tier_found found = {.err = ERR_TIMEOUT, .text = BYTES("the tier took too long")};
    struct list late;

    list_init(&late);
    take_late(flight, tier_now_ms(worker), &late);
    if (list_is_empty(&flight->readers)) {
        land(flight);
        free(flight);
    } else {
        set_early_timer(flight);
    }
    tell(worker, &late, &found);
}

/* The calls' time is over, but not that of all who joined later: asked anew for those. */
static bool ask_for_the_later(struct tier_flight *flight, const struct tier_found *found)
{
    struct tier_worker *worker = flight->worker;
    struct list late;
    int64_t earliest_ms;

    if (latest_deadline_ms(flight, &earliest_ms) <= tier_now_ms(worker))
        return false;
    list_init(&late);
    take_late(flight, tier_now_ms(worker), &late);
    flight->deadline_ms = latest_deadline_ms(flight, &earliest_ms);
    ask(flight);
    set_early_timer(flight);
    tell(worker, &late, found);
    return true;
}

static void on_value(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct tier_flight *flight = CONTAINER_OF(call, struct tier_flight, value_call);
    struct tier_worker *worker = flight->worker;
    struct tier_found found = found_of(flight, answer);
    struct list readers;

    flight->in_the_air = false;
    if (answer->err == OK && answer->source != NULL)
        facts_note_round_trip(worker, answer->source, round_trips_clock_us() - flight->asked_us);
    if (flight->ttl_is_out) { /* the two went different ways */
        drop_calls(flight);
        flight->ttl_is_known = false;
    }
    if (is_ambiguous(flight, &found)) {
        flight->asks_whole = true;
        ask(flight);
        return;
    }
    if (found.err == ERR_TIMEOUT && ask_for_the_later(flight, &found))
        return;
    land(flight);
    mark_and_keep(flight, answer, &found);
    if (flight->head_bytes > 0 && found.value.size > flight->head_bytes)
        found.value.size = flight->head_bytes;
    list_init(&readers);
    while (!list_is_empty(&flight->readers)) {
        struct tier_read *read = reader_of(flight->readers.next);
        take_reader(read, &readers);
        if (found.err == OK && read->watch != NULL)
            watch_begin(worker, read, watch_mark(flight, answer), found.expires_at_ms);
    }
    tell(worker, &readers, &found);
    free(flight);
}

/* ---- who asks ---- */

/* Ends `read` in a later turn, for want of memory. */
static void refuse(struct tier_worker *worker, struct tier_read *read)
{
    watch_end(worker, read);
    list_append(&worker->flights.refused, &read->in_flight);
    timer_set(worker->loop, &worker->flights.refusal_timer, tier_now_ms(worker));
}

static void on_refusal(struct timer *timer)
{
    struct flights *flights = CONTAINER_OF(timer, struct flights, refusal_timer);
    struct tier_worker *worker = CONTAINER_OF(flights, struct tier_worker, flights);
    struct tier_found found = {.err = ERR_NO_MEMORY, .text = BYTES("out of memory")};
    struct list refused;

    /* Those that are refused meanwhile are told in the next turn. */
    list_init(&refused);
    while (!list_is_empty(&flights->refused)) {
        struct list *node = flights->refused.next;
        list_remove(node);
        list_append(&refused, node);
    }
    tell(worker, &refused, &found);
}

void flights_init(struct flights *flights)
{
    *flights = (struct flights){0};
    list_init(&flights->refused);
    timer_init(&flights->refusal_timer, on_refusal);
}

void flights_stop(struct tier_worker *worker)
{
    on_refusal(&worker->flights.refusal_timer);
    timer_cancel(worker->loop, &worker->flights.refusal_timer);
}

static bool is_of(const struct tier_flight *flight, nh_key key, uint32_t head_bytes)
{
    return flight->key.space == key.space && flight->head_bytes == head_bytes &&
           bytes_equal(key_of(flight), bytes_of(key.data, key.size));
}

/* A flight that who reads now may wait for: nothing is known to have happened to the key since it was
 * asked. */
static struct tier_flight *to_join(struct tier_worker *worker, nh_key key, uint64_t hash,
                                   uint32_t head_bytes, bool must_track)
{
    const struct tier *tier = worker->tier;

    for (struct hash_node *node = hash_table_first(&worker->flights.by_key, hash); node != NULL;
         node = hash_table_next(node)) {
        struct tier_flight *flight = CONTAINER_OF(node, struct tier_flight, in_table);
        if (is_of(flight, key, head_bytes) && !flight->is_poisoned && (flight->is_tracked || !must_track) &&
            flight->own_writes == own_writes_count(tier->own_writes, hash) &&
            flight->slot_epoch == marks_epoch(tier->marks, flight->slot))
            return flight;
    }
    return NULL;
}

static struct tier_flight *take_off(struct tier_worker *worker, nh_key key, uint64_t hash,
                                    uint32_t head_bytes, bool must_track, int64_t deadline_ms)
{
    struct tier_flight *flight = malloc(sizeof *flight + key.size);

    if (flight == NULL)
        return NULL;
    *flight = (struct tier_flight){
        .worker = worker,
        .ttl_call = {.done = on_ttl},
        .value_call = {.done = on_value},
        .hash = hash,
        .head_bytes = head_bytes,
        .slot = valkey_slot(bytes_of(key.data, key.size)),
        .is_tracked = must_track || !hot_writers_has(&worker->hot, hash, tier_now_ms(worker)),
        .deadline_ms = deadline_ms,
        .key = {flight->key_bytes, key.size, key.space},
    };
    list_init(&flight->readers);
    timer_init(&flight->early_timer, on_early);
    if (key.size > 0)
        memcpy(flight->key_bytes, key.data, key.size);
    if (!hash_table_insert(&worker->flights.by_key, &flight->in_table, hash)) {
        free(flight);
        return NULL;
    }
    ask(flight);
    return flight;
}

void tier_read(struct tier_worker *worker, struct tier_read *read, nh_key key, unsigned flags,
               uint32_t head_bytes, int64_t deadline_ms)
{
    struct bytes key_bytes = bytes_of(key.data, key.size);
    uint64_t hash = own_writes_hash(worker->tier->own_writes, key_bytes);
    bool is_kept = (flags & (TIER_UNKEPT | TIER_HEAD)) == 0;
    bool must_track = !is_kept || (flags & TIER_WATCHED) != 0;
    struct tier_flight *flight = NULL;

    head_bytes = flags & TIER_HEAD ? head_bytes : 0;
    if (deadline_ms == 0)
        deadline_ms = tier_now_ms(worker) + worker->tier->options.server->call_timeout_ms;
    read->flight = NULL;
    read->watch = NULL;
    read->deadline_ms = deadline_ms;
    list_init(&read->in_flight);
    if (flags & TIER_WATCHED && !watch_prepare(read, key_bytes, hash)) {
        refuse(worker, read);
        return;
    }
    if ((flags & TIER_FENCED) == 0)
        flight = to_join(worker, key, hash, head_bytes, must_track);
    if (flight != NULL)
        count(worker, METRIC_tier_reads_joined);
    else
        flight = take_off(worker, key, hash, head_bytes, must_track, deadline_ms);
    if (flight == NULL) {
        refuse(worker, read);
        return;
    }
    flight->is_kept |= is_kept;
    read->flight = flight;
    list_append(&flight->readers, &read->in_flight);
    if (deadline_ms < flight->deadline_ms)
        set_early_timer(flight);
}

void tier_read_end(struct tier_worker *worker, struct tier_read *read)
{
    struct tier_flight *flight = read->flight;

    watch_end(worker, read);
    list_remove(&read->in_flight);
    read->flight = NULL;
    if (flight != NULL && list_is_empty(&flight->readers)) {
        land(flight);
        free(flight);
    }
}

void flights_poison(struct tier_worker *worker, struct source *source, struct bytes key, uint64_t hash)
{
    bool has_receiver = source_has_receiver(source);

    for (struct hash_node *node = hash_table_first(&worker->flights.by_key, hash); node != NULL;
         node = hash_table_next(node)) {
        struct tier_flight *flight = CONTAINER_OF(node, struct tier_flight, in_table);
        if ((has_receiver || flight->ttl_has_come) && bytes_equal(key_of(flight), key))
            flight->is_poisoned = true;
    }
}
