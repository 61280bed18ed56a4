/* links: nuthatch-tier nuthatch-net nuthatch-base */
/* The near cache against two servers of a model: reads, writes by others and by ourselves, replies and
 * pushes late but in the order of the wire, lost connections, slots that move, flushes, silence. What is
 * near was so at most max_staleness ago, and never before a write that any of our clients has heard of; a
 * fenced read sees all that was written before it; who watches hears of every change. NH_SEED repeats a
 * run. */
#include "base/compiler.h"
#include "base/random_source.h"
#include "model/tier_servers.h"

enum { BOUND_MS = 1000, SPACE = 5, READERS_MAX = 24, KEEPERS_MAX = MODEL_KEYS };

/* ---- a worker's client of the tier, behind valkey.h and source.h ---- */

struct source {
    uint32_t index, generation;
    struct source_state *state;
};

struct valkey {
    struct model_worker *worker;
    struct loop *loop;
    const struct valkey_callbacks *callbacks;
    void *owner;
    struct source sources[MODEL_NODES];
    int node_of[MODEL_KEYS]; /* as far as this client knows */
};

struct reader {
    struct tier_read read;
    struct model_worker *worker;
    bool is_used, is_done, is_watched;
    unsigned flags;
    int key;
    uint32_t acknowledged, latest; /* when it began */
    uint32_t found_version;
    bool found_missing;
};

/* What an engine keeps itself, with its mark. */
struct keeper {
    bool is_kept, is_missing;
    uint32_t version;
    int64_t expires_at_ms;
    struct tier_mark mark;
};

struct model_worker {
    struct model *model;
    unsigned number;
    struct loop *loop;
    struct counters counters;
    struct tier_worker *tier;
    struct random_source random;
    struct valkey *client;
    struct reader readers[READERS_MAX];
    struct keeper keepers[KEEPERS_MAX];
    uint64_t near_values, near_nothings, kept_holds, fenced, told_changed;
};

struct model {
    struct servers servers;
    struct clock clock;
    nh_store *store;
    struct valkey_options options;
    struct tier *tier;
    struct tier_listener listener;
    struct model_worker workers[MODEL_WORKERS];
    _Atomic bool is_over;
};

static struct model *model_being_made; /* valkey_create is not told whose client it makes */
static unsigned worker_being_made;
static _Thread_local struct model_worker *worker_told;

static void lock(struct model *model) { pthread_mutex_lock(&model->servers.lock); }
static void unlock(struct model *model) { pthread_mutex_unlock(&model->servers.lock); }
static int64_t model_now(struct model *model) { return atomic_load(&model->servers.now_ms); }

uint32_t source_index(const struct source *source) { return source->index; }
uint32_t source_generation(const struct source *source) { return source->generation; }

static struct connection *connection_of(struct valkey *valkey, int node)
{
    return &valkey->worker->model->servers.connections[valkey->worker->number][node];
}

bool source_is_open(const struct source *source) { return source->generation != 0; }
bool source_is_left_alone(const struct source *source) { return source->generation == UINT32_MAX; }
size_t valkey_slot_ranges(const struct valkey *valkey, struct valkey_slot_range *ranges, size_t capacity)
{
    (void)valkey;
    (void)ranges;
    (void)capacity;
    return 0;
}

size_t valkey_servers(const struct valkey *valkey, struct valkey_server_facts *facts, size_t capacity)
{
    (void)valkey, (void)facts, (void)capacity;
    return 0;
}

bool source_has_receiver(const struct source *source) { return source->index % MODEL_NODES == 1; }
void source_reconnect(struct source *source) { fail_msg("what %u has said is no answer", source->index); }

static void open_connection(struct valkey *valkey, int node)
{
    struct source *source = &valkey->sources[node];
    struct connection *connection = connection_of(valkey, node);

    connection->is_open = true;
    memset(connection->has_read, 0, sizeof connection->has_read);
    source->generation = ++source->state->last_generation;
    atomic_store_explicit(&source->state->generation, source->generation, memory_order_release);
}

enum err valkey_create(const struct valkey_options *options, struct loop *loop, struct counters *counters,
                       struct source_state *states, uint32_t first_state, uint32_t end_state,
                       const struct valkey_callbacks *callbacks, void *owner, struct valkey **valkey)
{
    struct valkey *made = calloc(1, sizeof *made);

    (void)options, (void)counters, (void)end_state;
    MUST(made != NULL);
    made->worker = &model_being_made->workers[worker_being_made];
    made->loop = loop;
    made->callbacks = callbacks;
    made->owner = owner;
    for (uint32_t node = 0; node < MODEL_NODES; node++) {
        made->sources[node] =
            (struct source){.index = first_state + node, .state = &states[first_state + node]};
        open_connection(made, (int)node);
        connection_of(made, (int)node)->has_receiver = source_has_receiver(&made->sources[node]);
    }
    *valkey = made;
    return OK;
}

static void send_to(struct valkey *valkey, int node, struct message message)
{
    struct message *sent = malloc(sizeof *sent);

    MUST(sent != NULL);
    *sent = message;
    sent->sent_ms = model_now(valkey->worker->model);
    sent->generation = valkey->sources[node].generation;
    list_append(&connection_of(valkey, node)->requests, &sent->in_queue);
}

static int key_of_name(struct bytes name) { return name.data[1] - '0'; }

void valkey_ask(struct valkey *valkey, struct valkey_call *call, const struct valkey_order *order)
{
    int key = key_of_name(order->commands[0].arguments[1]);
    bool is_ttl = bytes_equal(order->commands[0].arguments[0], BYTES("PTTL"));

    lock(valkey->worker->model);
    send_to(valkey, valkey->node_of[key],
            (struct message){.wanted = is_ttl ? WANT_TTL : WANT_VALUE, .call = call, .key = key});
    unlock(valkey->worker->model);
}

static void forget_call(struct list *queue, struct valkey_call *call)
{
    for (struct list *node = queue->next; node != queue; node = node->next) {
        struct message *message = CONTAINER_OF(node, struct message, in_queue);
        if (message->call == call) {
            message->call = NULL;
            message->is_wanted_no_more = true;
        }
    }
}

void valkey_give_up(struct valkey *valkey, struct valkey_call *call)
{
    lock(valkey->worker->model);
    for (int node = 0; node < MODEL_NODES; node++) {
        forget_call(&connection_of(valkey, node)->requests, call);
        forget_call(&connection_of(valkey, node)->replies, call);
    }
    unlock(valkey->worker->model);
}

/* Takes what is on its way out of a connection. */
static void take_all(struct list *queue, struct list *taken)
{
    while (!list_is_empty(queue)) {
        struct list *node = queue->next;
        list_remove(node);
        list_append(taken, node);
    }
}

/* The connection is lost: first what came through it, then the calls that were under way. */
static void lose(struct valkey *valkey, int node, enum err why)
{
    struct connection *connection = connection_of(valkey, node);
    struct source *source = &valkey->sources[node];
    struct list lost;

    list_init(&lost);
    lock(valkey->worker->model);
    take_all(&connection->replies, &lost);
    take_all(&connection->requests, &lost);
    take_all(&connection->pushes, &lost);
    connection->is_open = false;
    unlock(valkey->worker->model);
    source->generation = 0;
    atomic_store_explicit(&source->state->generation, 0, memory_order_release);
    valkey->callbacks->flushed(valkey->owner, source, SOURCE_LOST);
    while (!list_is_empty(&lost)) {
        struct message *message = CONTAINER_OF(lost.next, struct message, in_queue);
        struct valkey_call *call = message->call;
        list_remove(&message->in_queue);
        free(message);
        /* One that is given up by another's end is in `lost`, not where forget_call looks. */
        for (struct list *next = lost.next; call != NULL && next != &lost; next = next->next)
            MUST(CONTAINER_OF(next, struct message, in_queue)->call != call);
        if (call != NULL)
            call->done(call, &(struct valkey_answer){.err = why});
    }
    if (why == ERR_CANCELLED)
        return;
    lock(valkey->worker->model);
    open_connection(valkey, node);
    unlock(valkey->worker->model);
}

void valkey_stop(struct valkey *valkey, void (*stopped)(void *owner))
{
    for (int node = 0; node < MODEL_NODES; node++)
        lose(valkey, node, ERR_CANCELLED);
    stopped(valkey->owner);
}

void valkey_destroy(struct valkey *valkey) { free(valkey); }

static void hear_reply(struct valkey *valkey, int node, const struct message *message)
{
    struct source *source = &valkey->sources[node];
    bool is_trusted = !message->by_ask && message->generation == source->generation;
    char text[32];
    struct resp_node value = {.type = RESP_NULL, .span = 1};
    struct resp_reply reply = {.nodes = &value, .node_count = 1};

    if (message->wanted == WANT_SET || message->wanted == WANT_DELETE) {
        struct model_key *key = &valkey->worker->model->servers.keys[message->key];
        tier_forget(valkey->worker->model->tier, bytes_of_text(key->name));
        lock(valkey->worker->model);
        if (message->version > key->acknowledged)
            key->acknowledged = message->version;
        unlock(valkey->worker->model);
        return;
    }
    if (message->call == NULL)
        return;
    snprintf(text, sizeof text, "%d:%u", message->key, message->version);
    if (message->wanted == WANT_TTL)
        value =
            (struct resp_node){.type = RESP_INTEGER, .span = 1, .integer = message->is_missing ? -2 : -1};
    else if (!message->is_missing)
        value = (struct resp_node){.type = RESP_BULK, .span = 1, .bytes = bytes_of_text(text)};
    /* What it found missing is told to the reader beside the reply. */
    for (int i = 0; message->wanted == WANT_VALUE && message->is_missing && i < READERS_MAX; i++)
        if (valkey->worker->readers[i].is_used && valkey->worker->readers[i].key == message->key &&
            !valkey->worker->readers[i].is_done)
            valkey->worker->readers[i].found_version = message->version;
    message->call->done(message->call, &(struct valkey_answer){
                                           .replies = &reply,
                                           .source = is_trusted ? source : NULL,
                                           .generation = source->generation,
                                           .sent_ms = message->sent_ms,
                                       });
}

static void hear(struct valkey *valkey, int node, const struct message *message)
{
    struct model *model = valkey->worker->model;
    struct source *source = &valkey->sources[node];

    switch (message->said) {
    case SAID_REPLY: hear_reply(valkey, node, message); break;
    case SAID_MOVED:
        if (valkey->node_of[message->key] == node) {
            valkey->node_of[message->key] = 1 - node;
            valkey->callbacks->slot_moved(valkey->owner, model->servers.keys[message->key].slot);
        }
        if (!message->is_wanted_no_more) {
            lock(model);
            send_to(valkey, 1 - node, *message);
            unlock(model);
        }
        break;
    case SAID_PUSH:
        worker_told = valkey->worker;
        valkey->callbacks->invalidated(valkey->owner, source,
                                       bytes_of_text(model->servers.keys[message->key].name));
        break;
    case SAID_FLUSH:
        source->generation = ++source->state->last_generation;
        atomic_store_explicit(&source->state->generation, source->generation, memory_order_release);
        valkey->callbacks->flushed(valkey->owner, source, SOURCE_FLUSHED_ALL);
        break;
    case SAID_CANARY:
        if (connection_of(valkey, node)->has_receiver) { /* a PING follows on the other connection */
            lock(model);
            say(connection_of(valkey, node), SAID_PONG, 0, *message, true);
            unlock(model);
            break;
        }
        /* fall through */
    case SAID_PONG:
        atomic_store_explicit(&source->state->coherent_ms, message->sent_ms, memory_order_release);
        break;
    }
}

/* One message from a connection reaches its client. */
static bool hear_one(struct valkey *valkey, int node, bool of_pushes)
{
    struct connection *connection = connection_of(valkey, node);
    struct list *queue = of_pushes ? &connection->pushes : &connection->replies;
    struct message *message = NULL;

    lock(valkey->worker->model);
    if (!list_is_empty(queue)) {
        message = CONTAINER_OF(queue->next, struct message, in_queue);
        list_remove(&message->in_queue);
    }
    unlock(valkey->worker->model);
    if (message == NULL)
        return false;
    hear(valkey, node, message);
    free(message);
    return true;
}

/* ---- what a worker's clients do ---- */

static uint64_t below(struct model_worker *worker, uint64_t bound)
{
    return random_below(&worker->random, bound);
}

static nh_key near_key(struct model *model, int key)
{
    return (nh_key){model->servers.keys[key].name, 2, SPACE};
}

static uint32_t version_in(struct bytes text, int key)
{
    int found_key;
    unsigned version;
    char copy[32] = {0};

    MUST(text.size < sizeof copy);
    memcpy(copy, text.data, text.size);
    MUST(sscanf(copy, "%d:%u", &found_key, &version) == 2 && found_key == key);
    return version;
}

/* What is given was so at most BOUND_MS ago, and not before what was acknowledged. */
static void check(struct model *model, int key, bool is_nothing, uint32_t version, uint32_t acknowledged,
                  int64_t now_ms)
{
    lock(model);
    if (is_nothing) {
        MUST(was_missing_since(&model->servers, key, acknowledged, now_ms - BOUND_MS));
    } else {
        MUST(was_so_since(&model->servers, key, version, now_ms - BOUND_MS));
        MUST(!model->servers.keys[key].versions[version].is_missing);
        MUST(version >= acknowledged);
    }
    unlock(model);
}

static uint32_t acknowledged_of(struct model *model, int key)
{
    uint32_t version;

    lock(model);
    version = model->servers.keys[key].acknowledged;
    unlock(model);
    return version;
}

static void do_peek(struct model_worker *worker)
{
    struct model *model = worker->model;
    int key = (int)below(worker, MODEL_KEYS);
    uint32_t acknowledged = acknowledged_of(model, key), version = 0;
    int64_t now_ms = model_now(model);
    bool lends = below(worker, 4) == 0;
    nh_value value;
    enum tier_near near = lends ? tier_borrow(worker->tier, now_ms, near_key(model, key), &value)
                                : tier_peek(worker->tier, now_ms, near_key(model, key), &value);

    if (near == TIER_NOT_NEAR)
        return;
    if (near == TIER_NEAR_VALUE) {
        version = version_in(bytes_of(value.bytes.data, value.bytes.size), key);
        nh_release(model->store, &value);
    }
    worker->near_values += near == TIER_NEAR_VALUE;
    worker->near_nothings += near == TIER_NEAR_NOTHING;
    check(model, key, near == TIER_NEAR_NOTHING, version, acknowledged, now_ms);
}

/* What the engine has kept itself, if its mark holds. */
static void do_look_at_kept(struct model_worker *worker)
{
    int key = (int)below(worker, MODEL_KEYS);
    const struct keeper *keeper = &worker->keepers[key];
    int64_t now_ms = model_now(worker->model);

    if (!keeper->is_kept || (keeper->expires_at_ms != 0 && now_ms >= keeper->expires_at_ms) ||
        !tier_mark_holds(worker->model->tier, keeper->mark, worker->model->servers.keys[key].slot, now_ms))
        return;
    worker->kept_holds++;
    check(worker->model, key, keeper->is_missing, keeper->version, 0, now_ms);
}

/* On the thread of the worker that was told, which alone has what it has kept. */
static void on_told(void *owner, struct bytes key)
{
    (void)owner;
    worker_told->keepers[key_of_name(key)].is_kept = false;
}

static void on_done(struct tier_read *read, const struct tier_found *found)
{
    struct reader *reader = CONTAINER_OF(read, struct reader, read);
    struct model_worker *worker = reader->worker;
    struct model *model = worker->model;
    struct model_key *key = &model->servers.keys[reader->key];

    MUST(reader->is_used && !reader->is_done);
    reader->is_done = true;
    reader->is_used = reader->is_watched && found->err == OK;
    if (found->err != OK)
        return;
    if (found->is_there)
        reader->found_version = version_in(found->value, reader->key);
    lock(model);
    MUST(reader->found_version <= key->latest);
    MUST(key->versions[reader->found_version].is_missing == !found->is_there);
    MUST(reader->found_version >= reader->acknowledged);
    if (reader->flags & TIER_FENCED)
        MUST(reader->found_version >= reader->latest);
    unlock(model);
    worker->fenced += (reader->flags & TIER_FENCED) != 0;
    if (reader->flags & TIER_UNKEPT && found->mark.slot_epoch != 0)
        worker->keepers[reader->key] = (struct keeper){
            .is_kept = true,
            .is_missing = !found->is_there,
            .version = reader->found_version,
            .expires_at_ms = found->expires_at_ms,
            .mark = found->mark,
        };
}

static void on_changed(struct tier_read *read)
{
    struct reader *reader = CONTAINER_OF(read, struct reader, read);

    MUST(reader->is_used && reader->is_done && reader->is_watched);
    reader->is_used = false;
    reader->worker->told_changed++;
}

static void do_read(struct model_worker *worker)
{
    struct model *model = worker->model;
    static const unsigned flags[] = {
        0, 0, 0, TIER_FENCED, TIER_UNKEPT, TIER_UNKEPT | TIER_WATCHED, TIER_WATCHED};
    struct reader *reader = &worker->readers[below(worker, READERS_MAX)];

    if (reader->is_used) {
        if (below(worker, 8) == 0) {
            tier_read_end(worker->tier, &reader->read);
            reader->is_used = false;
        }
        return;
    }
    *reader = (struct reader){
        .read = {.done = on_done, .changed = on_changed},
        .worker = worker,
        .is_used = true,
        .flags = flags[below(worker, COUNT_OF(flags))],
        .key = (int)below(worker, MODEL_KEYS),
    };
    reader->is_watched = (reader->flags & TIER_WATCHED) != 0;
    reader->acknowledged = acknowledged_of(model, reader->key);
    lock(model);
    reader->latest = model->servers.keys[reader->key].latest;
    unlock(model);
    tier_read(worker->tier, &reader->read, near_key(model, reader->key), reader->flags, 0, INT64_MAX / 2);
}

static void do_own_write(struct model_worker *worker)
{
    struct model *model = worker->model;
    int key = (int)below(worker, MODEL_KEYS);

    tier_forget(model->tier, bytes_of_text(model->servers.keys[key].name));
    lock(model);
    send_to(worker->client, worker->client->node_of[key],
            (struct message){.wanted = below(worker, 3) == 0 ? WANT_DELETE : WANT_SET, .key = key});
    unlock(model);
}

static void do_at_servers(struct model_worker *worker)
{
    struct model *model = worker->model;
    struct servers *servers = &model->servers;
    int key = (int)below(worker, MODEL_KEYS), node = (int)below(worker, MODEL_NODES);
    uint64_t dice = below(worker, 1000);

    lock(model);
    if (dice < 60)
        write_key(servers, key, dice < 20, NULL);
    else if (dice < 62 || (dice < 75 && servers->keys[key].is_migrating))
        migrate(servers, key);
    else if (dice == 75)
        flush_node(servers, node);
    else
        run_request(servers, (int)worker->number, node);
    unlock(model);
}

static void turn(struct model_worker *worker);

static void do_one(struct model_worker *worker)
{
    int node = (int)below(worker, MODEL_NODES);
    uint64_t dice = below(worker, 1000);

    if (dice < 250)
        do_peek(worker);
    else if (dice < 300)
        do_look_at_kept(worker);
    else if (dice < 370)
        do_read(worker);
    else if (dice < 380)
        do_own_write(worker);
    else if (dice < 660)
        do_at_servers(worker);
    else if (dice < 960)
        hear_one(worker->client, node, below(worker, 2) == 0);
    else if (dice < 985) {
        lock(worker->model);
        send_to(worker->client, node, (struct message){.wanted = WANT_CANARY});
        unlock(worker->model);
    } else if (dice < 986)
        lose(worker->client, node, ERR_UNREACHABLE);
    else if (dice < 988 && below(worker, 20) == 0)
        tier_forget_all(worker->model->tier);
    else if (dice < 994 && worker->number == 0)
        atomic_fetch_add(&worker->model->servers.now_ms, (int64_t)below(worker, 120));
    else
        turn(worker);
}

/* ---- a run ---- */

struct turn_end {
    struct task task;
    struct loop *loop;
};
static void end_turn(struct task *task) { loop_stop(CONTAINER_OF(task, struct turn_end, task)->loop); }
static void turn(struct model_worker *worker)
{
    struct turn_end end = {.task = {.run = end_turn}, .loop = worker->loop};

    loop_post(worker->loop, &end.task);
    loop_run(worker->loop);
}

static struct now read_clock(void *context)
{
    int64_t now_ms = model_now(context);
    return (struct now){.mono_ms = now_ms, .wall_ms = now_ms};
}

static struct model *model_make(uint64_t seed)
{
    struct model *model = calloc(1, sizeof *model);
    nh_options store_options = {.size = sizeof store_options, .memory_bytes = 4 << 20};
    struct tier_options options;

    MUST(model != NULL);
    pthread_mutex_init(&model->servers.lock, NULL);
    atomic_store(&model->servers.now_ms, 100000);
    for (int key = 0; key < MODEL_KEYS; key++) {
        struct model_key *made = &model->servers.keys[key];
        snprintf(made->name, sizeof made->name, "k%d", key);
        made->slot = valkey_slot(bytes_of_text(made->name));
        made->versions[0] = (struct version){.is_missing = true, .ended_ms = INT64_MAX};
    }
    for (int i = 0; i < MODEL_WORKERS * MODEL_NODES; i++) {
        struct connection *connection = &model->servers.connections[i / MODEL_NODES][i % MODEL_NODES];
        list_init(&connection->requests);
        list_init(&connection->replies);
        list_init(&connection->pushes);
    }
    model->clock = (struct clock){read_clock, model};
    EXPECT_EQ(nh_create(&store_options, &model->store), NH_OK);
    options = (struct tier_options){
        .server = &model->options,
        .store = model->store,
        .worker_count = MODEL_WORKERS,
        .max_staleness_ms = BOUND_MS,
        .near_ttl_max_ms = 20000,
        .null_ttl_ms = 20000, /* which the bound makes shorter */
    };
    EXPECT_EQ(tier_create(&options, &model->tier), OK);
    model->listener = (struct tier_listener){.invalidated = on_told};
    tier_listen(model->tier, &model->listener);
    model_being_made = model;
    for (unsigned i = 0; i < MODEL_WORKERS; i++) {
        struct model_worker *worker = &model->workers[i];
        struct loop_options loop_options = {.kind = LOOP_EPOLL, .clock = &model->clock};
        worker->model = model;
        worker->number = worker_being_made = i;
        worker->random = random_source_of(seed, 1, i);
        EXPECT_EQ(loop_create(&loop_options, &worker->loop), OK);
        EXPECT_EQ(tier_worker_create(model->tier, i, worker->loop, &worker->counters, &worker->tier), OK);
        worker->client = tier_valkey(worker->tier);
    }
    return model;
}

static uint64_t counted(const struct model *model, enum metric metric)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < MODEL_WORKERS; i++)
        sum += counters_read(&model->workers[i].counters, metric);
    return sum;
}

static void stopped(void *owner) { (void)owner; }

static void model_end(struct model *model)
{
    for (unsigned i = 0; i < MODEL_WORKERS; i++) {
        struct model_worker *worker = &model->workers[i];
        tier_worker_stop(worker->tier, stopped, NULL);
        tier_worker_destroy(worker->tier);
        turn(worker);
        loop_destroy(worker->loop);
        for (int reader = 0; reader < READERS_MAX; reader++)
            EXPECT(!worker->readers[reader].is_used); /* each has been told something */
    }
    tier_destroy(model->tier);
    nh_destroy(model->store);
    pthread_mutex_destroy(&model->servers.lock);
    free(model);
}

/* All that is on its way through one connection arrives, replies and pushes to that included. */
static void arrive(struct model_worker *worker, int node)
{
    bool goes_on = true;

    while (goes_on) {
        while (!list_is_empty(&connection_of(worker->client, node)->requests))
            run_request(&worker->model->servers, (int)worker->number, node);
        goes_on = hear_one(worker->client, node, true);
        goes_on |= hear_one(worker->client, node, false);
    }
}

/* Everything arrives, and the time that a missing key holds passes with servers that are heard all along:
 * then nobody watches what has changed. */
static void settle(struct model *model)
{
    for (int64_t passed_ms = 0; passed_ms < BOUND_MS + 200; passed_ms += 100) {
        for (unsigned i = 0; i < MODEL_WORKERS; i++)
            for (int node = 0; node < MODEL_NODES; node++) {
                send_to(model->workers[i].client, node, (struct message){.wanted = WANT_CANARY});
                arrive(&model->workers[i], node);
                arrive(&model->workers[i], 1 - node); /* what was sent on there */
            }
        atomic_fetch_add(&model->servers.now_ms, 100);
        for (unsigned i = 0; i < MODEL_WORKERS; i++)
            turn(&model->workers[i]);
    }
    for (unsigned i = 0; i < MODEL_WORKERS; i++)
        for (int number = 0; number < READERS_MAX; number++) {
            const struct reader *reader = &model->workers[i].readers[number];
            if (reader->is_used && reader->is_done)
                EXPECT_EQ(reader->found_version, model->servers.keys[reader->key].latest);
        }
}

TEST(what_is_near_is_as_it_was_within_the_bound_whatever_happens)
{
    enum { RUNS = 12, STEPS = 40000 };
    uint64_t seed = number_from_environment("NH_SEED", 4711);
    uint64_t values = 0, nothings = 0, held = 0, fenced = 0, changed = 0, metrics[METRIC_COUNT] = {0};
    static const enum metric each_happens[] = {
        METRIC_tier_kept,          METRIC_tier_unkept_poisoned, METRIC_tier_unkept_own_write,
        METRIC_tier_unkept_moved,  METRIC_tier_unkept_asked,    METRIC_tier_invalidations_useful,
        METRIC_tier_flushes_asked, METRIC_tier_flushes_lost,    METRIC_tier_slots_moved,
        METRIC_tier_reads_joined,  METRIC_tier_near_doubted,
    };

    printf("NH_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t run = 0; run < RUNS; run++) {
        struct model *model = model_make(seed + run);
        struct random_source random = random_source_of(seed + run, 2, 0);
        for (int step = 0; step < STEPS; step++)
            do_one(&model->workers[random_below(&random, MODEL_WORKERS)]);
        settle(model);
        for (unsigned i = 0; i < MODEL_WORKERS; i++) {
            values += model->workers[i].near_values;
            nothings += model->workers[i].near_nothings;
            held += model->workers[i].kept_holds;
            fenced += model->workers[i].fenced;
            changed += model->workers[i].told_changed;
        }
        for (size_t i = 0; i < COUNT_OF(each_happens); i++)
            metrics[each_happens[i]] += counted(model, each_happens[i]);
        model_end(model);
    }
    for (size_t i = 0; i < COUNT_OF(each_happens); i++)
        EXPECT(metrics[each_happens[i]] > 10);
    EXPECT(values > 1000 && nothings > 100 && held > 100 && fenced > 100 && changed > 100);
    printf("%llu near values, %llu known to be missing, %llu kept elsewhere\n", (unsigned long long)values,
           (unsigned long long)nothings, (unsigned long long)held);
}

static void *run_worker(void *argument)
{
    struct model_worker *worker = argument;

    while (!atomic_load_explicit(&worker->model->is_over, memory_order_relaxed))
        do_one(worker);
    return NULL;
}

TEST(the_same_holds_for_workers_on_threads_of_their_own)
{
    uint64_t seed = number_from_environment("NH_SEED", 4711);
    int64_t run_ms = (int64_t)number_from_environment("NH_RUN_MS", 500);
    struct model *model = model_make(seed + 1000);
    pthread_t threads[MODEL_WORKERS];

    for (unsigned i = 0; i < MODEL_WORKERS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, run_worker, &model->workers[i]), 0);
    nanosleep(&(struct timespec){.tv_sec = run_ms / 1000, .tv_nsec = run_ms % 1000 * 1000000}, NULL);
    atomic_store(&model->is_over, true);
    for (unsigned i = 0; i < MODEL_WORKERS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    settle(model);
    model_end(model);
}

RUN_TESTS(TEST_ROW(what_is_near_is_as_it_was_within_the_bound_whatever_happens),
          TEST_ROW(the_same_holds_for_workers_on_threads_of_their_own))
