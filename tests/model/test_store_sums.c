/* links: nuthatch-store */
/* Steps that read and write at once, from several threads: nothing is lost and nothing counted twice. A
 * neighbour makes the index grow and segments be packed meanwhile. */
#include "threads.h"

enum { RUN_MS = 800, COUNTERS = 16, WORKERS = 4, SPACE = 9 };

struct ledger {
    uint64_t added[WORKERS][COUNTERS]; /* each thread writes its own row */
    uint64_t taken[WORKERS][COUNTERS];
    _Atomic int holders[COUNTERS];
};

static void *run_neighbour(void *context)
{
    struct member *member = context;
    nh_store *store = member->team->store;
    char bytes[300] = {0};

    for (uint64_t coming = 0; !is_over(member); coming++) {
        uint64_t going = coming - 20000;
        MUST(nh_put(store, 1, (nh_key){&coming, sizeof coming, 0},
                    (nh_bytes){bytes, draw(member, sizeof bytes)}, NULL, NULL) == NH_OK);
        if (coming >= 20000)
            nh_delete(store, 1, (nh_key){&going, sizeof going, 0});
        if (one_in(member, 100))
            nh_sweep(store, 1, 500);
    }
    return NULL;
}

static void *run_increments(void *context)
{
    struct member *member = context;
    struct ledger *ledger = member->team->shared;
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint32_t number = (uint32_t)draw(member, COUNTERS);
        int64_t delta = (int64_t)draw(member, 1000), sum;
        nh_key key = {&number, sizeof number, SPACE};
        nh_value value = {0};
        if (one_in(member, 4))
            nh_borrow(store, 1, key, &value); /* so that some increments must copy */
        MUST(nh_increment(store, 1, key, delta, NH_INCREMENT_SIGNED, &sum) == NH_OK);
        nh_release(store, &value);
        ledger->added[member->number][number] += (uint64_t)delta;
    }
    return NULL;
}

/* Adds 1 to a number by reading it and a compare-and-swap, again until nobody came between. */
static void *run_compare_and_swap(void *context)
{
    struct member *member = context;
    struct ledger *ledger = member->team->shared;
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint32_t number = (uint32_t)draw(member, COUNTERS);
        nh_key key = {&number, sizeof number, SPACE};
        uint64_t count = 0;
        nh_value value;
        nh_result result = nh_borrow(store, 1, key, &value);
        if (result == NH_OK) {
            memcpy(&count, value.bytes.data, sizeof count);
            count++;
            result = nh_cas(store, 1, key, (nh_bytes){&count, sizeof count}, NULL, value.version, NULL);
            nh_release(store, &value);
            MUST(result == NH_OK || result == NH_CHANGED);
        } else {
            count = 1;
            result = nh_add(store, 1, key, (nh_bytes){&count, sizeof count}, NULL, NULL);
            MUST(result == NH_OK || result == NH_EXISTS);
        }
        ledger->added[member->number][number] += result == NH_OK;
    }
    return NULL;
}

/* Puts a number of its own and takes what was there: each number put is taken once, or there at the end. */
static void *run_exchanges(void *context)
{
    struct member *member = context;
    struct ledger *ledger = member->team->shared;
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint32_t number = (uint32_t)draw(member, COUNTERS);
        uint64_t mine = draw(member, UINT32_MAX), before;
        nh_value value;
        int32_t had_before;
        MUST(nh_exchange(store, 1, (nh_key){&number, sizeof number, SPACE}, (nh_bytes){&mine, sizeof mine},
                         NULL, &value, &had_before) == NH_OK);
        ledger->added[member->number][number] += mine;
        if (!had_before)
            continue;
        MUST(value.bytes.size == sizeof before);
        memcpy(&before, value.bytes.data, sizeof before);
        nh_release(store, &value);
        ledger->taken[member->number][number] += before;
    }
    return NULL;
}

/* An add succeeds for one only, until he deletes. */
static void *run_locks(void *context)
{
    struct member *member = context;
    struct ledger *ledger = member->team->shared;
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint32_t number = (uint32_t)draw(member, COUNTERS);
        nh_key key = {&number, sizeof number, SPACE};
        nh_result result = nh_add(store, 1, key, (nh_bytes){"held", 4}, NULL, NULL);
        MUST(result == NH_OK || result == NH_EXISTS);
        if (result != NH_OK)
            continue;
        MUST(atomic_fetch_add(&ledger->holders[number], 1) == 0);
        ledger->added[member->number][number]++;
        MUST(nh_add(store, 1, key, (nh_bytes){"held", 4}, NULL, NULL) == NH_EXISTS);
        MUST(nh_touch(store, 1, key, 0) == NH_OK);
        MUST(atomic_fetch_sub(&ledger->holders[number], 1) == 1);
        MUST(nh_delete(store, 1, key) == NH_OK);
    }
    return NULL;
}

struct record {
    uint32_t worker;
    uint32_t count; /* of this worker's records on this key */
};

/* Records behind and before, up to some thousands; what is read meanwhile is whole records in order. */
static void *run_appends(void *context)
{
    struct member *member = context;
    struct ledger *ledger = member->team->shared;
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint32_t number = (uint32_t)draw(member, COUNTERS);
        nh_key key = {&number, sizeof number, SPACE};
        struct record record = {.worker = member->number,
                                .count = (uint32_t)ledger->added[member->number][number]};
        nh_bytes more = {&record, sizeof record};
        nh_value value;
        if (record.count >= 1500)
            continue;
        /* Even counters are appended to, odd ones prepended to. */
        MUST((number % 2 == 0 ? nh_append : nh_prepend)(store, 1, key, more, NULL) == NH_OK);
        ledger->added[member->number][number]++;
        if (one_in(member, 10) && nh_borrow(store, 1, key, &value) == NH_OK) {
            MUST(value.size % sizeof record == 0);
            nh_release(store, &value);
        }
    }
    return NULL;
}

static struct ledger *run(void *(*start)(void *), struct team *team)
{
    void *(*const starts[WORKERS + 1])(void *) = {start, start, start, start, run_neighbour};
    if (team->store == NULL)
        team->store = make_store(48 << 20);
    team->shared = calloc(1, sizeof(struct ledger));
    team_run(team, RUN_MS, starts, COUNT_OF(starts));
    EXPECT_EQ(stats_of(team->store).evicted, 0);
    EXPECT_EQ(stats_of(team->store).rejected, 0);
    return team->shared;
}

static uint64_t sum_of(uint64_t rows[WORKERS][COUNTERS], uint32_t number)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        sum += rows[i][number];
    return sum;
}

TEST(no_increment_is_lost)
{
    struct team team = {0};
    struct ledger *ledger = run(run_increments, &team);
    for (uint32_t number = 0; number < COUNTERS; number++) {
        int64_t sum = -1;
        EXPECT_EQ(nh_increment(team.store, 1, (nh_key){&number, sizeof number, SPACE}, 0,
                               NH_INCREMENT_SIGNED, &sum),
                  NH_OK);
        EXPECT_EQ(sum, sum_of(ledger->added, number));
    }
    free(ledger);
    team_end(&team);
}

TEST(no_compare_and_swap_succeeds_on_an_old_version)
{
    struct team team = {0};
    struct ledger *ledger = run(run_compare_and_swap, &team);
    for (uint32_t number = 0; number < COUNTERS; number++) {
        uint64_t count = 0;
        nh_get(team.store, 1, (nh_key){&number, sizeof number, SPACE}, &count, sizeof count, NULL);
        EXPECT_EQ(count, sum_of(ledger->added, number));
    }
    free(ledger);
    team_end(&team);
}

TEST(what_is_exchanged_is_taken_once)
{
    struct team team = {0};
    struct ledger *ledger = run(run_exchanges, &team);
    for (uint32_t number = 0; number < COUNTERS; number++) {
        uint64_t last = 0;
        nh_get(team.store, 1, (nh_key){&number, sizeof number, SPACE}, &last, sizeof last, NULL);
        EXPECT_EQ(sum_of(ledger->taken, number) + last, sum_of(ledger->added, number));
    }
    free(ledger);
    team_end(&team);
}

TEST(an_add_is_won_by_one)
{
    struct team team = {0};
    struct ledger *ledger = run(run_locks, &team);
    for (uint32_t number = 0; number < COUNTERS; number++)
        EXPECT(!is_there(team.store, 1, (nh_key){&number, sizeof number, SPACE}));
    free(ledger);
    team_end(&team);
}

TEST(no_append_is_lost_and_each_threads_are_in_order)
{
    struct team team = {.store = make_store(48 << 20)};
    struct ledger *ledger;
    size_t capacity = 1500 * WORKERS * sizeof(struct record), size;
    struct record *records = malloc(capacity);

    for (uint32_t number = 0; number < COUNTERS; number++)
        EXPECT_EQ(
            nh_put(team.store, 1, (nh_key){&number, sizeof number, SPACE}, (nh_bytes){NULL, 0}, NULL, NULL),
            NH_OK);
    ledger = run(run_appends, &team);
    for (uint32_t number = 0; number < COUNTERS; number++) {
        uint32_t counts[WORKERS] = {0};
        EXPECT_EQ(nh_get(team.store, 1, (nh_key){&number, sizeof number, SPACE}, records, capacity, &size),
                  NH_OK);
        EXPECT_EQ(size, sum_of(ledger->added, number) * sizeof *records);
        for (size_t i = 0; i < size / sizeof *records; i++) {
            struct record *record = &records[number % 2 == 0 ? i : size / sizeof *records - 1 - i];
            EXPECT(record->worker < WORKERS);
            EXPECT_EQ(record->count, counts[record->worker]);
            counts[record->worker]++;
        }
    }
    free(records);
    free(ledger);
    team_end(&team);
}

RUN_TESTS(TEST_ROW(no_increment_is_lost), TEST_ROW(no_compare_and_swap_succeeds_on_an_old_version),
          TEST_ROW(what_is_exchanged_is_taken_once), TEST_ROW(an_add_is_won_by_one),
          TEST_ROW(no_append_is_lost_and_each_threads_are_in_order))
