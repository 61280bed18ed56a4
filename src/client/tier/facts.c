#include "client/tier/facts.h"
#include "client/tier/tier_inner.h"
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 500, SERVERS_LOOKED_AT = 128 };

static struct source_facts *facts_of(struct facts *facts, uint32_t index)
{
    uint32_t i = index - facts->first_source;

    if (i >= facts->source_count)
        return NULL;
    if (facts->of[i] == NULL)
        facts->of[i] = calloc(1, sizeof *facts->of[i]);
    return facts->of[i];
}

/* How old the newest write is that the server's connection may not have told of. */
static int64_t age_ms(const struct tier_worker *worker, const struct source *source)
{
    const struct source_state *state = &worker->tier->marks->sources[source_index(source)];
    int64_t coherent_ms = atomic_load_explicit(&state->coherent_ms, memory_order_acquire);
    int64_t now_ms = tier_now_ms(worker);

    if (source_generation(source) == 0 || coherent_ms == 0)
        return INT64_MAX;
    return now_ms > coherent_ms ? now_ms - coherent_ms : 0;
}

/* A connection that is lost is told of by who loses it: here are those that are open and silent. */
static void look_at(struct tier_worker *worker, const struct valkey_server_facts *server)
{
    struct source_facts *facts =
        server->source != NULL ? facts_of(&worker->facts, source_index(server->source)) : NULL;
    int64_t now_age_ms;
    bool is_coherent;

    if (facts == NULL || source_generation(server->source) == 0)
        return;
    now_age_ms = age_ms(worker, server->source);
    is_coherent = now_age_ms <= worker->tier->options.max_staleness_ms;
    if (facts->was_coherent && !is_coherent && now_age_ms != INT64_MAX)
        log_write_limited(worker->tier->options.log, LOG_WARNING, LOG_KIND_ORIGIN,
                          "tier: %s port %u has confirmed nothing for %lld ms: what is near of it is not "
                          "given until it does",
                          server->address->host, server->address->port, (long long)now_age_ms);
    facts->was_coherent = is_coherent;
}

static void on_look(struct timer *timer)
{
    struct facts *facts = CONTAINER_OF(timer, struct facts, timer);
    struct tier_worker *worker = CONTAINER_OF(facts, struct tier_worker, facts);
    struct valkey_server_facts servers[SERVERS_LOOKED_AT];
    size_t count = valkey_servers(worker->valkey, servers, SERVERS_LOOKED_AT);

    for (uint32_t i = 0; i < facts->source_count; i++)
        marks_note_generation(worker->tier->marks, facts->first_source + i);
    for (size_t i = 0; i < count && i < SERVERS_LOOKED_AT; i++)
        look_at(worker, &servers[i]);
    timer_set(worker->loop, timer, tier_now_ms(worker) + LOOK_MS);
}

enum err facts_init(struct tier_worker *worker, uint32_t first_source, uint32_t source_count)
{
    worker->facts = (struct facts){
        .of = calloc(source_count, sizeof *worker->facts.of),
        .first_source = first_source,
        .source_count = source_count,
    };
    timer_init(&worker->facts.timer, on_look);
    if (worker->facts.of == NULL)
        return ERR_NO_MEMORY;
    timer_set(worker->loop, &worker->facts.timer, tier_now_ms(worker) + LOOK_MS);
    return OK;
}

void facts_stop(struct tier_worker *worker) { timer_cancel(worker->loop, &worker->facts.timer); }

void facts_fini(struct tier_worker *worker)
{
    for (uint32_t i = 0; i < worker->facts.source_count; i++)
        free(worker->facts.of[i]);
    free(worker->facts.of);
}

void facts_note_round_trip(struct tier_worker *worker, const struct source *source, uint64_t us)
{
    struct source_facts *facts = facts_of(&worker->facts, source_index(source));

    if (facts != NULL)
        round_trips_note(&facts->trips, us);
}

static void tell(struct tier_worker *worker, const struct valkey_server_facts *server,
                 struct tier_node_facts *node)
{
    const struct source *source = server->source;
    const struct source_facts *facts =
        source != NULL ? facts_of(&worker->facts, source_index(source)) : NULL;
    bool is_ipv6 = strchr(server->address->host, ':') != NULL;

    *node = (struct tier_node_facts){
        .is_primary = server->is_primary,
        .is_open = source != NULL && source_is_open(source),
        .is_left_alone = source != NULL && source_is_left_alone(source),
        .slot_count = server->slot_count,
        .coherence_age_ms = source != NULL ? age_ms(worker, source) : INT64_MAX,
        .in_flight = server->in_flight,
    };
    snprintf(node->address, sizeof node->address, "%s%s%s:%u", is_ipv6 ? "[" : "", server->address->host,
             is_ipv6 ? "]" : "", server->address->port);
    if (facts == NULL)
        return;
    node->round_trips = facts->trips.count;
    node->p50_us = round_trips_percentile_us(&facts->trips, 50);
    node->p99_us = round_trips_percentile_us(&facts->trips, 99);
    node->max_us = facts->trips.max_us;
}

/* Appends the range to the text; false, with an ellipsis, if there is no room. */
static bool append_range(char *slots, size_t capacity, const struct valkey_slot_range *range)
{
    static const char ellipsis[] = ",…";
    char text[16];
    size_t before = strlen(slots), size;

    if (range->first == range->last)
        snprintf(text, sizeof text, "%s%u", before > 0 ? "," : "", range->first);
    else
        snprintf(text, sizeof text, "%s%u-%u", before > 0 ? "," : "", range->first, range->last);
    size = strlen(text);
    if (before + size + sizeof ellipsis > capacity) {
        memcpy(slots + before, ellipsis, sizeof ellipsis);
        return false;
    }
    memcpy(slots + before, text, size + 1);
    return true;
}

static void name_slots(struct tier_node_facts *node, uint16_t server,
                       const struct valkey_slot_range *ranges, size_t range_count)
{
    for (size_t i = 0; i < range_count; i++)
        if (ranges[i].server == server && !append_range(node->slots, sizeof node->slots, &ranges[i]))
            return;
}

size_t tier_worker_facts(struct tier_worker *worker, struct tier_node_facts *facts, size_t capacity)
{
    size_t count = valkey_servers(worker->valkey, NULL, 0);
    struct valkey_server_facts *servers = calloc(count > 0 ? count : 1, sizeof *servers);
    size_t range_count = valkey_slot_ranges(worker->valkey, NULL, 0);
    struct valkey_slot_range *ranges = calloc(range_count > 0 ? range_count : 1, sizeof *ranges);

    if (servers != NULL && ranges != NULL) {
        count = valkey_servers(worker->valkey, servers, count);
        range_count = valkey_slot_ranges(worker->valkey, ranges, range_count);
        for (size_t i = 0; i < count && i < capacity; i++) {
            tell(worker, &servers[i], &facts[i]);
            name_slots(&facts[i], servers[i].number, ranges, range_count);
        }
    } else {
        count = 0;
    }
    free(servers);
    free(ranges);
    return count;
}
