/* tier_world.h — the near cache on a client of the tier that the test plays itself: it sees each command
 * asked and says, in what order it likes, what comes back: replies, pushes, losses. The clock is the
 * test's.
 *
 * Behind valkey.h and source.h, so these are not linked with what is below them. */
#pragma once
#include "base/compiler.h"
#include "client/tier/tier.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS_MAX = 2, SOURCES_OF_ONE = 4, TOKEN_MAX = 64, FOREVER_MS = 1 << 30 };

/* Above 0 while what is played here is at work: memory that is asked for then is not the near cache's. */
static volatile int played_depth;

struct source {
    uint32_t index, generation, connection;
    unsigned reconnect_count;
    bool has_receiver;
    struct source_state *state;
};

/* One call that was asked and has not ended. */
struct asked {
    struct valkey_call *call;
    char words[256]; /* its command, a space between words; of several "; " between them */
    unsigned flags;
    enum valkey_target target;
    uint16_t slot;
    int64_t deadline_ms, sent_ms;
    struct list in_valkey;
};

struct valkey {
    struct loop *loop;
    const struct valkey_callbacks *callbacks;
    void *owner;
    struct source sources[SOURCES_OF_ONE];
    struct list asked;
    bool has_stopped;
};

/* ---- what the near cache calls --------------------------------------------------------------------- */

uint32_t source_index(const struct source *source) { return source->index; }
uint32_t source_generation(const struct source *source) { return source->generation; }
uint32_t source_connection(const struct source *source) { return source->connection; }
bool source_has_receiver(const struct source *source) { return source->has_receiver; }
void source_reconnect(struct source *source) { source->reconnect_count++; }
bool source_is_open(const struct source *source) { return source->generation != 0; }
bool source_is_left_alone(const struct source *source) { return source->index % SOURCES_OF_ONE == 3; }

static const struct link_address addresses[SOURCES_OF_ONE] = {
    {.host = "10.0.0.1", .port = 6379}, {.host = "::1", .port = 7000}, {.host = "c"}, {.host = "d"}};

static struct valkey_slot_range world_ranges[2]; /* of the first two servers */
static size_t world_range_count;

size_t valkey_slot_ranges(const struct valkey *valkey, struct valkey_slot_range *ranges, size_t capacity)
{
    (void)valkey;
    for (size_t i = 0; i < world_range_count && i < capacity; i++)
        ranges[i] = world_ranges[i];
    return world_range_count;
}

size_t valkey_servers(const struct valkey *valkey, struct valkey_server_facts *facts, size_t capacity)
{
    for (size_t i = 0; i < SOURCES_OF_ONE && i < capacity; i++)
        facts[i] = (struct valkey_server_facts){.address = &addresses[i],
                                                .source = i != 2 ? &valkey->sources[i] : NULL,
                                                .is_primary = i < 2,
                                                .slot_count = i < 2 ? 8192 : 0,
                                                .in_flight = (uint32_t)i};
    return SOURCES_OF_ONE;
}

enum err valkey_create(const struct valkey_options *options, struct loop *loop, struct counters *counters,
                       struct source_state *states, uint32_t first_state, uint32_t end_state,
                       const struct valkey_callbacks *callbacks, void *owner, struct valkey **valkey)
{
    struct valkey *made = calloc(1, sizeof *made);

    (void)options, (void)counters;
    EXPECT(end_state - first_state >= SOURCES_OF_ONE);
    made->loop = loop;
    made->callbacks = callbacks;
    made->owner = owner;
    list_init(&made->asked);
    for (uint32_t i = 0; i < SOURCES_OF_ONE; i++)
        made->sources[i] = (struct source){.index = first_state + i, .state = &states[first_state + i]};
    *valkey = made;
    return OK;
}

void valkey_ask(struct valkey *valkey, struct valkey_call *call, const struct valkey_order *order)
{
    struct asked *asked;
    size_t size = 0;

    played_depth++;
    asked = calloc(1, sizeof *asked);
    played_depth--;

    for (uint32_t at = 0; at < order->command_count; at++)
        for (uint32_t i = 0; i < order->commands[at].argument_count && size < sizeof asked->words; i++)
            size += (size_t)snprintf(asked->words + size, sizeof asked->words - size, "%s%.*s",
                                     i > 0    ? " "
                                     : at > 0 ? "; "
                                              : "",
                                     BYTES_PRINTF(order->commands[at].arguments[i]));
    asked->call = call;
    asked->flags = order->flags;
    asked->target = order->target;
    asked->slot = order->slot;
    asked->deadline_ms = order->deadline_ms;
    asked->sent_ms = loop_now(valkey->loop).mono_ms;
    list_append(&valkey->asked, &asked->in_valkey);
}

void valkey_give_up(struct valkey *valkey, struct valkey_call *call)
{
    for (struct list *node = valkey->asked.next; node != &valkey->asked; node = node->next) {
        struct asked *asked = CONTAINER_OF(node, struct asked, in_valkey);
        if (asked->call == call) {
            list_remove(node);
            free(asked);
            return;
        }
    }
    fail_msg("%s", "given up, but not asked");
}

void valkey_stop(struct valkey *valkey, void (*stopped)(void *owner))
{
    while (!list_is_empty(&valkey->asked)) {
        struct asked *asked = CONTAINER_OF(valkey->asked.next, struct asked, in_valkey);
        struct valkey_call *call = asked->call;
        list_remove(&asked->in_valkey);
        free(asked);
        call->done(call, &(struct valkey_answer){.err = ERR_CANCELLED});
    }
    valkey->has_stopped = true;
    stopped(valkey->owner);
}

void valkey_destroy(struct valkey *valkey)
{
    while (!list_is_empty(&valkey->asked)) {
        struct asked *asked = CONTAINER_OF(valkey->asked.next, struct asked, in_valkey);
        list_remove(&asked->in_valkey);
        free(asked);
    }
    free(valkey);
}

/* ---- the world ------------------------------------------------------------------------------------- */

struct tier_world {
    int64_t now_ms;
    struct clock clock;
    nh_store *store;
    struct valkey_options server;
    struct log *log; /* null: none */
    struct tier *tier;
    unsigned worker_count;
    struct loop *loops[WORKERS_MAX];
    struct counters counters[WORKERS_MAX];
    struct tier_worker *workers[WORKERS_MAX];
};

static inline struct now tier_world_now(void *context)
{
    const struct tier_world *world = context;
    return (struct now){.mono_ms = world->now_ms, .wall_ms = world->now_ms};
}

static inline struct valkey *client_of(struct tier_world *world, unsigned worker)
{
    return tier_valkey(world->workers[worker]);
}

struct turn_end {
    struct task task;
    struct loop *loop;
};
static inline void end_turn(struct task *task)
{
    loop_stop(CONTAINER_OF(task, struct turn_end, task)->loop);
}

/* Lets `ms` pass, and each loop have a turn. */
static inline void pass(struct tier_world *world, int64_t ms)
{
    world->now_ms += ms;
    for (unsigned i = 0; i < world->worker_count; i++) {
        struct turn_end end = {.task = {.run = end_turn}, .loop = world->loops[i]};
        loop_post(world->loops[i], &end.task);
        loop_run(world->loops[i]);
    }
}

/* Opens the connection: another generation, coherent from now on. */
static inline void open_source(struct tier_world *world, unsigned worker, unsigned number)
{
    struct source *source = &client_of(world, worker)->sources[number];

    source->connection++;
    source->generation = ++source->state->last_generation;
    atomic_store(&source->state->generation, source->generation);
    atomic_store(&source->state->coherent_ms, world->now_ms);
}

/* A canary that was sent now has come back. */
static inline void sound(struct tier_world *world, unsigned worker, unsigned number)
{
    atomic_store(&client_of(world, worker)->sources[number].state->coherent_ms, world->now_ms);
}

static inline void flush(struct tier_world *world, unsigned worker, unsigned number, enum source_flush why)
{
    struct valkey *valkey = client_of(world, worker);
    struct source *source = &valkey->sources[number];

    source->generation = why == SOURCE_LOST ? 0 : ++source->state->last_generation;
    atomic_store(&source->state->generation, source->generation);
    valkey->callbacks->flushed(valkey->owner, source, why);
}

static inline void push(struct tier_world *world, unsigned worker, unsigned number, const char *key)
{
    struct valkey *valkey = client_of(world, worker);

    valkey->callbacks->invalidated(valkey->owner, &valkey->sources[number], bytes_of_text(key));
}

static inline struct tier_options tier_world_options(struct tier_world *world)
{
    return (struct tier_options){
        .server = &world->server,
        .store = world->store,
        .worker_count = world->worker_count,
        .max_staleness_ms = 1000,
        .near_ttl_max_ms = 60000,
        .null_ttl_ms = 500,
        .log = world->log,
    };
}

/* A world of so many workers, whose connections are all open and coherent. */
static inline struct tier_world *tier_world_make(unsigned worker_count,
                                                 void (*change)(struct tier_options *))
{
    struct tier_world *world = calloc(1, sizeof *world);
    nh_options store_options = {.size = sizeof store_options, .memory_bytes = 8 << 20};
    struct tier_options options;

    world->now_ms = 100000;
    world->clock = (struct clock){tier_world_now, world};
    world->worker_count = worker_count;
    world->server.call_timeout_ms = 2000;
    EXPECT_EQ(nh_create(&store_options, &world->store), NH_OK);
    options = tier_world_options(world);
    if (change != NULL)
        change(&options);
    EXPECT_EQ(tier_create(&options, &world->tier), OK);
    for (unsigned i = 0; i < worker_count; i++) {
        struct loop_options loop_options = {.kind = LOOP_EPOLL, .clock = &world->clock};
        EXPECT_EQ(loop_create(&loop_options, &world->loops[i]), OK);
        EXPECT_EQ(
            tier_worker_create(world->tier, i, world->loops[i], &world->counters[i], &world->workers[i]),
            OK);
        for (unsigned number = 0; number < SOURCES_OF_ONE; number++)
            open_source(world, i, number);
    }
    pass(world, 1);
    return world;
}

static inline void nothing_more(void *owner) { (void)owner; }

static inline void tier_world_end(struct tier_world *world)
{
    for (unsigned i = 0; i < world->worker_count; i++) {
        tier_worker_stop(world->workers[i], nothing_more, NULL);
        tier_worker_destroy(world->workers[i]);
        pass(world, 1);
    }
    for (unsigned i = 0; i < world->worker_count; i++)
        loop_destroy(world->loops[i]);
    tier_destroy(world->tier);
    nh_destroy(world->store);
    free(world);
}

static inline uint64_t counted(struct tier_world *world, enum metric metric)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < world->worker_count; i++)
        sum += counters_read(&world->counters[i], metric);
    return sum;
}

/* ---- what comes back ------------------------------------------------------------------------------- */

static inline size_t asked_count(struct tier_world *world, unsigned worker)
{
    size_t count = 0;
    struct list *all = &client_of(world, worker)->asked;
    for (struct list *node = all->next; node != all; node = node->next)
        count++;
    return count;
}

/* The oldest call must be `words`; it ends with `answer`, whose sent_ms is filled in. */
static inline void answer(struct tier_world *world, unsigned worker, const char *words,
                          struct valkey_answer answer)
{
    struct valkey *valkey = client_of(world, worker);
    struct asked *asked;
    struct valkey_call *call;

    EXPECT(!list_is_empty(&valkey->asked));
    asked = CONTAINER_OF(valkey->asked.next, struct asked, in_valkey);
    EXPECT_TEXT(bytes_of_text(asked->words), bytes_of_text(words));
    call = asked->call;
    answer.sent_ms = asked->sent_ms;
    list_remove(&asked->in_valkey);
    free(asked);
    call->done(call, &answer);
}

/* The source that has number `number` on a worker, or none. */
static inline struct source *source_number(struct tier_world *world, unsigned worker, int number)
{
    return number >= 0 ? &client_of(world, worker)->sources[number] : NULL;
}

/* The same, with one node as the reply, through source `number`; -1: it came by ASK. */
static inline void reply(struct tier_world *world, unsigned worker, int number, const char *words,
                         struct resp_node node)
{
    struct source *source = source_number(world, worker, number);
    struct resp_reply one = {.nodes = &node, .node_count = 1};

    node.span = 1;
    answer(world, worker, words,
           (struct valkey_answer){.replies = &one,
                                  .source = source,
                                  .generation = source != NULL ? source->generation : 0,
                                  .speaker = source_number(world, worker, number < 0 ? 1 : number)});
}

static inline struct resp_node text_node(const char *text)
{
    return (struct resp_node){.type = RESP_BULK, .bytes = bytes_of_text(text)};
}
static inline struct resp_node null_node(void) { return (struct resp_node){.type = RESP_NULL}; }
static inline struct resp_node number_node(int64_t number)
{
    return (struct resp_node){.type = RESP_INTEGER, .integer = number};
}
static inline struct resp_node error_node(const char *text)
{
    return (struct resp_node){.type = RESP_ERROR, .bytes = bytes_of_text(text)};
}

/* ---- a reader -------------------------------------------------------------------------------------- */

struct reader {
    struct tier_read read;
    bool is_done, has_changed;
    struct tier_found found;
    char value[64];
};

static inline void on_reader_done(struct tier_read *read, const struct tier_found *found)
{
    struct reader *reader = CONTAINER_OF(read, struct reader, read);

    EXPECT(!reader->is_done);
    reader->is_done = true;
    reader->found = *found;
    EXPECT(found->value.size < sizeof reader->value);
    if (found->value.size > 0)
        memcpy(reader->value, found->value.data, found->value.size);
    reader->found.value.data = reader->value;
}

static inline void on_reader_changed(struct tier_read *read)
{
    struct reader *reader = CONTAINER_OF(read, struct reader, read);

    EXPECT(reader->is_done && !reader->has_changed);
    reader->has_changed = true;
}

static inline nh_key near_key(const char *key) { return (nh_key){key, strlen(key), 3}; }

static inline void begin(struct tier_world *world, unsigned worker, struct reader *reader, const char *key,
                         unsigned flags)
{
    *reader = (struct reader){.read = {.done = on_reader_done, .changed = on_reader_changed}};
    tier_read(world->workers[worker], &reader->read, near_key(key), flags, flags & TIER_HEAD ? 3 : 0, 0);
    EXPECT(!reader->is_done);
}

#define EXPECT_FOUND(reader, text)                                                                         \
    do {                                                                                                   \
        EXPECT((reader).is_done);                                                                          \
        EXPECT_EQ((reader).found.err, OK);                                                                 \
        EXPECT((reader).found.is_there);                                                                   \
        EXPECT_TEXT((reader).found.value, bytes_of_text(text));                                            \
    } while (0)

/* Reads `key` on a worker, from beginning to end: the tier has `value` (null: it does not) without an
 * expiry. */
static inline void fetch(struct tier_world *world, unsigned worker, const char *key, const char *value)
{
    struct reader reader;
    char words[128];

    begin(world, worker, &reader, key, 0);
    snprintf(words, sizeof words, "PTTL %s", key);
    reply(world, worker, 0, words, number_node(value != NULL ? -1 : -2));
    snprintf(words, sizeof words, "GET %s", key);
    reply(world, worker, 0, words, value != NULL ? text_node(value) : null_node());
    EXPECT(reader.is_done && reader.found.err == OK && reader.found.is_there == (value != NULL));
}

/* What is near of `key`, on a worker: its text, "(nothing)" or "(not near)". */
static inline const char *near_text(struct tier_world *world, unsigned worker, const char *key)
{
    static char text[128];
    nh_value value;

    switch (tier_peek(world->workers[worker], world->now_ms, near_key(key), &value)) {
    case TIER_NEAR_NOTHING: return "(nothing)";
    case TIER_NOT_NEAR: return "(not near)";
    case TIER_NEAR_VALUE: break;
    }
    snprintf(text, sizeof text, "%.*s", (int)value.bytes.size, (const char *)value.bytes.data);
    nh_release(world->store, &value);
    return text;
}

#define EXPECT_NEAR(world, worker, key, wanted)                                                            \
    EXPECT_TEXT(bytes_of_text(near_text(world, worker, key)), bytes_of_text(wanted))
