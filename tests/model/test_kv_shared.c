/* links: nuthatch-kv nuthatch-store nuthatch-message nuthatch-base
 * Workers beside each other on one store: transactions are seen whole or not at all and lose no update, and
 * what a client has cached and not been told of is what the store has. */
#include "base/compiler.h"
#include "base/number.h"
#include "engine/kv/kv.h"
#include "test.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 4, ACCOUNTS = 6, EACH = 1000, ROUNDS = 1500, KEYS = 40, TURNS = 30, STEPS = 400 };

struct shared {
    nh_store *store;
    struct kv_hub *hub;
    pthread_barrier_t barrier;
    _Atomic int wrong_sum_count, done_count, undone_count, stale_count, told_count;
};

/* A worker with one client, whose cache it keeps. */
struct client {
    struct shared *shared;
    struct kv kv;
    struct counters counters;
    struct session session;
    struct reply reply, pushed;
    pthread_t thread;
    uint64_t random;
    bool is_broadcast;
    /* the answer to the last command */
    int64_t integers[ACCOUNTS + 1];
    size_t integer_count;
    enum outcome_kind first;
    size_t said_count;
    /* what was read and not been told of since; -1: nothing */
    int64_t cached[KEYS];
    int reading; /* the key that is being read; -1: none */
};

static uint64_t next_random(struct client *client)
{
    client->random = client->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return client->random >> 33;
}

static void hear(struct reply *reply, const struct outcome *outcome)
{
    struct client *client = CONTAINER_OF(reply, struct client, reply);

    if (client->said_count++ == 0)
        client->first = outcome->kind;
    if (outcome->kind == OUTCOME_value && client->integer_count < COUNT_OF(client->integers))
        int64_parse(outcome->bytes, &client->integers[client->integer_count++]);
    if (client->reading >= 0) /* what is told behind the answer is told of this value, too */
        client->cached[client->reading] = client->integer_count > 0 ? client->integers[0] : 0;
}

/* Of a push only its keys are of interest: "k" and a number. */
static void hear_push(struct reply *reply, const struct outcome *outcome)
{
    struct client *client = CONTAINER_OF(reply, struct client, pushed);
    int64_t key;

    if (outcome->kind == OUTCOME_nothing)
        for (size_t i = 0; i < KEYS; i++)
            client->cached[i] = -1;
    if (outcome->kind != OUTCOME_value || outcome->bytes.data[0] != 'k')
        return;
    EXPECT(int64_parse(bytes_after(outcome->bytes, 1), &key));
    client->cached[key] = -1;
    atomic_fetch_add(&client->shared->told_count, 1);
}

static struct reply *push_begin(struct session *session)
{
    return &CONTAINER_OF(session, struct client, session)->pushed;
}

static void push_end(struct session *session) { (void)session; }

/* Runs the command whose words `text` has, each behind one space. */
static void ask(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3);
static void ask(struct client *client, const char *format, ...)
{
    struct bytes words[2 * ACCOUNTS + 2];
    struct command command = {.arguments = words};
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *rest = text, *word; (word = strsep(&rest, " ")) != NULL;)
        words[command.argument_count++] = bytes_of_text(word);
    command.id = command_find(DIALECT_resp, words[0]);
    client->integer_count = client->said_count = 0;
    kv_run(&client->kv, (struct now){.mono_ms = 1000, .wall_ms = 1000}, &client->session, &command,
           &client->reply);
}

static void begin(struct client *client, struct shared *shared, unsigned number)
{
    *client = (struct client){
        .shared = shared,
        .kv = {.store = shared->store, .hub = shared->hub, .number = number},
        .session = {.id = number + 1, .resp_version = 3, .push_begin = push_begin, .push_end = push_end},
        .reply = {.say = hear},
        .pushed = {.say = hear_push},
        .random = number + 1,
        .reading = -1,
    };
    client->kv.counters = &client->counters;
    for (size_t i = 0; i < KEYS; i++)
        client->cached[i] = -1;
    kv_session_begin(&client->kv, &client->session);
}

static void play(struct shared *shared, struct client clients[WORKERS], void *(*run)(void *))
{
    for (unsigned i = 0; i < WORKERS; i++)
        EXPECT_EQ(pthread_create(&clients[i].thread, NULL, run, &clients[i]), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(clients[i].thread, NULL);
    (void)shared;
}

static void setup(struct shared *shared, struct client clients[WORKERS])
{
    nh_options options = {.size = sizeof options, .memory_bytes = 8 << 20, .hash_seed = 1};

    *shared = (struct shared){0};
    EXPECT_EQ(nh_create(&options, &shared->store), NH_OK);
    EXPECT_EQ(kv_hub_create(WORKERS, NULL, NULL, &shared->hub), OK);
    pthread_barrier_init(&shared->barrier, NULL, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++)
        begin(&clients[i], shared, i);
}

static void teardown(struct shared *shared, struct client clients[WORKERS])
{
    for (unsigned i = 0; i < WORKERS; i++)
        kv_session_end(&clients[i].kv, &clients[i].session);
    EXPECT_EQ(atomic_load(&shared->hub->listener_count), 0);
    kv_hub_destroy(shared->hub);
    nh_destroy(shared->store);
    pthread_barrier_destroy(&shared->barrier);
}

/* ---- transactions --------------------------------------------------------------------------------------
 */

static void look_at_all(struct client *client)
{
    int64_t sum = 0;

    ask(client, "MULTI");
    for (int i = 0; i < ACCOUNTS; i++)
        ask(client, "GET a%d", i);
    ask(client, "EXEC");
    for (size_t i = 0; i < client->integer_count; i++)
        sum += client->integers[i];
    if (sum != ACCOUNTS * EACH)
        atomic_fetch_add(&client->shared->wrong_sum_count, 1);
}

static void transfer(struct client *client)
{
    unsigned from = (unsigned)(next_random(client) % ACCOUNTS);
    unsigned to = (from + 1 + (unsigned)(next_random(client) % (ACCOUNTS - 1))) % ACCOUNTS;
    long long amount = (long long)(next_random(client) % 50), left, right;

    ask(client, "WATCH a%u a%u", from, to);
    ask(client, "GET a%u", from);
    left = client->integers[0];
    ask(client, "GET a%u", to);
    right = client->integers[0];
    kv_end(&client->kv); /* so that others come between */
    kv_begin(&client->kv);
    ask(client, "MULTI");
    ask(client, "SET a%u %lld", from, left - amount);
    ask(client, "SET a%u %lld", to, right + amount);
    ask(client, "EXEC");
    atomic_fetch_add(
        client->first == OUTCOME_array ? &client->shared->done_count : &client->shared->undone_count, 1);
}

static void *do_business(void *argument)
{
    struct client *client = argument;

    for (int round = 0; round < ROUNDS; round++) {
        kv_begin(&client->kv);
        if (round % 4 == 0)
            look_at_all(client);
        else
            transfer(client);
        kv_end(&client->kv);
    }
    return NULL;
}

TEST(what_is_moved_in_transactions_is_never_seen_half_moved)
{
    struct client clients[WORKERS];
    struct shared shared;

    setup(&shared, clients);
    kv_begin(&clients[0].kv);
    for (int i = 0; i < ACCOUNTS; i++)
        ask(&clients[0], "SET a%d %d", i, (int)EACH);
    kv_end(&clients[0].kv);
    play(&shared, clients, do_business);
    EXPECT_EQ(atomic_load(&shared.wrong_sum_count), 0);
    EXPECT(atomic_load(&shared.done_count) > 0);
    EXPECT_EQ(atomic_load(&shared.done_count) + atomic_load(&shared.undone_count),
              WORKERS * (ROUNDS - (ROUNDS + 3) / 4));
    teardown(&shared, clients);
}

static void *count_up(void *argument)
{
    struct client *client = argument;

    for (int round = 0; round < ROUNDS;) {
        long long before;

        kv_begin(&client->kv);
        ask(client, "WATCH n");
        ask(client, "GET n");
        before = client->integer_count > 0 ? client->integers[0] : 0;
        kv_end(&client->kv);
        kv_begin(&client->kv);
        ask(client, "MULTI");
        ask(client, "SET n %lld", before + 1);
        ask(client, "EXEC");
        round += client->first == OUTCOME_array;
        kv_end(&client->kv);
    }
    return NULL;
}

TEST(no_update_of_a_watched_key_is_lost)
{
    struct client clients[WORKERS];
    struct shared shared;

    setup(&shared, clients);
    play(&shared, clients, count_up);
    kv_begin(&clients[0].kv);
    ask(&clients[0], "GET n");
    EXPECT_EQ(clients[0].integers[0], WORKERS * ROUNDS);
    kv_end(&clients[0].kv);
    teardown(&shared, clients);
}

/* ---- client-side caching -------------------------------------------------------------------------------
 */

static void take_turn(struct client *client)
{
    for (int step = 0; step < STEPS; step++) {
        unsigned key = (unsigned)(next_random(client) % KEYS);

        kv_begin(&client->kv);
        switch (next_random(client) % 8) {
        case 0: ask(client, "INCR k%u", key); break;
        case 1: ask(client, "MSET k%u 7 k%u 9", key, (key + 1) % KEYS); break;
        case 2: ask(client, next_random(client) % 64 == 0 ? "FLUSHALL" : "DEL k%u", key); break;
        default:
            client->reading = (int)key;
            ask(client, "GET k%u", key);
            client->reading = -1;
        }
        kv_end(&client->kv);
        kv_end_turn(&client->kv);
        if (step % 5 == 0)
            kv_read_letters(&client->kv);
    }
}

static void compare(struct client *client)
{
    int64_t cached[KEYS];

    memcpy(cached, client->cached, sizeof cached);
    for (unsigned key = 0; key < KEYS; key++) {
        if (cached[key] == -1)
            continue;
        kv_begin(&client->kv);
        ask(client, "GET k%u", key);
        kv_end(&client->kv);
        if (cached[key] != (client->integer_count > 0 ? client->integers[0] : 0))
            atomic_fetch_add(&client->shared->stale_count, 1);
    }
}

static void *use_a_cache(void *argument)
{
    struct client *client = argument;

    kv_begin(&client->kv);
    ask(client, client->is_broadcast ? "CLIENT TRACKING ON BCAST PREFIX k" : "CLIENT TRACKING ON");
    kv_end(&client->kv);
    for (int turn = 0; turn < TURNS; turn++) {
        take_turn(client);
        pthread_barrier_wait(&client->shared->barrier);
        kv_read_letters(&client->kv); /* flushes are passed on by who reads of them */
        pthread_barrier_wait(&client->shared->barrier);
        kv_read_letters(&client->kv);
        compare(client);
        pthread_barrier_wait(&client->shared->barrier);
    }
    return NULL;
}

/* `keys_max`: of the table. */
static void cache_and_compare(uint64_t keys_max)
{
    struct client clients[WORKERS];
    struct shared shared;

    setup(&shared, clients);
    shared.hub->tracking_keys_max = keys_max;
    clients[WORKERS - 1].is_broadcast = true;
    play(&shared, clients, use_a_cache);
    EXPECT_EQ(atomic_load(&shared.stale_count), 0);
    EXPECT(atomic_load(&shared.told_count) > 0);
    teardown(&shared, clients);
}

TEST(who_caches_is_told_of_every_change) { cache_and_compare(1000); }

TEST(who_caches_is_told_of_what_the_table_has_no_room_for) { cache_and_compare(5); }

RUN_TESTS(TEST_ROW(what_is_moved_in_transactions_is_never_seen_half_moved),
          TEST_ROW(no_update_of_a_watched_key_is_lost), TEST_ROW(who_caches_is_told_of_every_change),
          TEST_ROW(who_caches_is_told_of_what_the_table_has_no_room_for))
