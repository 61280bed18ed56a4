#include "base/number.h"
#include "client/tier/flight_parts.h"
#include <stdio.h>
#include <stdlib.h>

static struct tier_read *reader_of(struct list *node)
{
    return CONTAINER_OF(node, struct tier_read, in_flight);
}

/* ---- asking ---- */

/* The tier's present state, which what is found must be of if it is to be kept. */
static void ask(struct tier_flight *flight)
{
    struct tier_worker *worker = flight->worker;
    char last_byte[24];
    struct bytes key = flight_key(flight);
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
    flight_count(worker, METRIC_tier_reads);
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

/* Of a reply that no server gives: what comes behind it is not heard. */
static void drop_connection(const struct valkey_answer *answer)
{
    if (answer->err == OK && answer->speaker != NULL)
        source_reconnect(answer->speaker);
}

static void on_ttl(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct tier_flight *flight = CONTAINER_OF(call, struct tier_flight, ttl_call);

    flight->ttl_is_out = false;
    flight->ttl_has_come = true;
    flight->ttl_is_known = answer->err == OK && answer->replies[0].nodes[0].type == RESP_INTEGER &&
                           answer->replies[0].nodes[0].integer >= TTL_MISSING;
    if (!flight->ttl_is_known) {
        if (answer->err == OK && answer->replies[0].nodes[0].type != RESP_ERROR)
            drop_connection(answer);
        return;
    }
    flight->ttl_ms = answer->replies[0].nodes[0].integer;
    flight->ttl_sent_ms = answer->sent_ms;
    flight->ttl_source = answer->source;
    flight->ttl_generation = answer->generation;
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
    struct tier_found found = flight_found(flight, answer);
    struct list readers;

    flight->in_the_air = false;
    if (answer->err == OK && answer->source != NULL)
        facts_note_round_trip(worker, answer->source, round_trips_clock_us() - flight->asked_us);
    if (flight->ttl_is_out) { /* the two went different ways */
        drop_calls(flight);
        flight->ttl_is_known = false;
    }
    if (flight_is_ambiguous(flight, &found)) {
        flight->asks_whole = true;
        ask(flight);
        return;
    }
    if (found.err == ERR_TIMEOUT && ask_for_the_later(flight, &found))
        return;
    land(flight);
    flight_keep(flight, answer, &found);
    if (flight->head_bytes > 0 && found.value.size > flight->head_bytes)
        found.value.size = flight->head_bytes;
    list_init(&readers);
    while (!list_is_empty(&flight->readers)) {
        struct tier_read *read = reader_of(flight->readers.next);
        take_reader(read, &readers);
        if (found.err == OK && read->watch != NULL)
            watch_begin(worker, read, flight_watch_mark(flight, answer), found.expires_at_ms);
    }
    tell(worker, &readers, &found);
    free(flight);
    if (found.err == ERR_SYNTAX)
        drop_connection(answer);
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

static void forget_readers(struct tier_worker *worker, struct list *readers)
{
    while (!list_is_empty(readers)) {
        struct tier_read *read = reader_of(readers->next);
        watch_end(worker, read);
        list_remove(&read->in_flight);
        read->flight = NULL;
    }
}

void flights_fini(struct tier_worker *worker)
{
    struct hash_table *by_key = &worker->flights.by_key;

    for (size_t i = 0; i < by_key->chain_count;) {
        struct tier_flight *flight;
        if (by_key->chains[i] == NULL) {
            i++;
            continue;
        }
        flight = CONTAINER_OF(by_key->chains[i], struct tier_flight, in_table);
        forget_readers(worker, &flight->readers);
        timer_cancel(worker->loop, &flight->early_timer);
        hash_table_remove(by_key, &flight->in_table); /* the last takes the chains along */
        free(flight);
    }
    forget_readers(worker, &worker->flights.refused);
    timer_cancel(worker->loop, &worker->flights.refusal_timer);
}

static bool is_of(const struct tier_flight *flight, nh_key key, uint32_t head_bytes)
{
    return flight->key.space == key.space && flight->head_bytes == head_bytes &&
           bytes_equal(flight_key(flight), bytes_of(key.data, key.size));
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
        flight_count(worker, METRIC_tier_reads_joined);
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
        if ((has_receiver || flight->ttl_has_come) && bytes_equal(flight_key(flight), key))
            flight->is_poisoned = true;
    }
}
