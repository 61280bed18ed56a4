/* links: nuthatch-store */
/* What a reader has seen, it does not see undone: each key has one thread that writes ever higher numbers
 * to it, and whoever reads must find at least the number that had been written when he began. */
#include "threads.h"

enum { RUN_MS = 1000, KEYS = 2000, WRITERS = 2, VALUE_BYTES_MAX = 3000 };

struct keys {
    bool may_evict;
    /* A put or delete of this number has returned: nobody may find a lower one from then on. */
    _Atomic uint64_t floors[KEYS];
    /* The key is there for certain: it has been put and is never deleted. */
    _Atomic bool is_there[KEYS];
    _Atomic uint64_t coming; /* keys that make the index grow */
    uint64_t coming_count;   /* of them that are there at once */
};

/* Whether a key that was put may be missing by now. */
static bool may_miss(struct member *member)
{
    nh_stats stats = {.size = sizeof stats};
    MUST(nh_stats_read(member->team->store, &stats) == NH_OK);
    return stats.evicted > 0;
}

static bool is_kept(uint64_t key) { return key % 4 == 1; }

static void *run_writer(void *context)
{
    struct member *member = context;
    struct keys *keys = member->team->shared;
    nh_store *store = member->team->store;
    char *bytes = malloc(40000);
    uint64_t sequence = 0;

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS / WRITERS) * WRITERS + member->number;
        size_t size =
            sizeof(struct stamp) + draw(member, one_in(member, 100) ? 39000 : VALUE_BYTES_MAX / 4);
        nh_key key = {&number, sizeof number, 0};
        nh_result result;
        int64_t now_ms = now_of(member);
        nh_bytes value;

        sequence++;
        value = stamp_make(bytes, size, number, sequence, 0);
        switch (draw(member, 8)) {
        case 0:
            if (is_kept(number))
                continue;
            result = nh_delete(store, now_ms, key);
            MUST(result == NH_OK || result == NH_MISSING);
            break;
        case 1: {
            nh_writer *writer;
            result = nh_writer_create(store, now_ms, key, NULL, &writer);
            if (result == NH_FULL)
                continue;
            MUST(result == NH_OK);
            result = nh_writer_append(writer, now_ms, value);
            if (result != NH_OK) {
                nh_writer_abort(writer);
                continue;
            }
            if (nh_writer_commit(writer, now_ms, NULL) != NH_OK)
                continue;
            atomic_store(&keys->is_there[number], is_kept(number));
            break;
        }
        default:
            result = nh_put(store, now_ms, key, value, NULL, NULL);
            if (result == NH_FULL)
                continue;
            MUST(result == NH_OK);
            atomic_store(&keys->is_there[number], is_kept(number));
            break;
        }
        atomic_store(&keys->floors[number], sequence);
    }
    free(bytes);
    return NULL;
}

/* One read, by a call of many; the number found, or 0. */
static uint64_t read_number(struct member *member, nh_key key, uint64_t number, char *bytes)
{
    nh_store *store = member->team->store;
    int64_t now_ms = now_of(member);
    nh_get_request request = {.key = key, .buffer = bytes, .capacity = 40000};
    uint64_t sequence;
    nh_result result = NH_OK;
    nh_value value;
    size_t size;

    switch (draw(member, 4)) {
    case 0: result = nh_borrow(store, now_ms, key, &value); break;
    case 1: result = nh_peek(store, now_ms, key, &value); break;
    case 2:
        result = nh_get(store, now_ms, key, bytes, 40000, &size);
        return result == NH_OK ? stamp_check(bytes, size, number).sequence : 0;
    case 3:
        MUST(nh_get_many(store, now_ms, &request, 1) == NH_OK);
        return request.result == NH_OK ? stamp_check(bytes, request.value_bytes, number).sequence : 0;
    }
    MUST(result == NH_OK || result == NH_MISSING || result == NH_FULL);
    if (result == NH_FULL)
        return UINT64_MAX;
    if (result != NH_OK)
        return 0;
    sequence = stamp_check_lent(store, &value, number).sequence;
    nh_release(store, &value);
    return sequence;
}

static void *run_reader(void *context)
{
    struct member *member = context;
    struct keys *keys = member->team->shared;
    uint64_t *seen = calloc(KEYS, sizeof *seen);
    char *bytes = malloc(40000);

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS);
        nh_key key = {&number, sizeof number, 0};
        bool was_there = atomic_load(&keys->is_there[number]);
        uint64_t floor = atomic_load(&keys->floors[number]);
        uint64_t sequence = read_number(member, key, number, bytes);
        if (sequence == 0) {
            MUST(!was_there || may_miss(member));
            continue;
        }
        MUST(sequence >= floor);
        MUST(sequence >= seen[number]);
        seen[number] = sequence == UINT64_MAX ? seen[number] : sequence;
    }
    free(seen);
    free(bytes);
    return NULL;
}

/* New keys all the time, so that the index grows; some go again, so that segments are packed. */
static void *run_growth(void *context)
{
    struct member *member = context;
    struct keys *keys = member->team->shared;
    char bytes[200] = {0};

    while (!is_over(member)) {
        uint64_t coming = atomic_fetch_add(&keys->coming, 1);
        int64_t now_ms = now_of(member);
        nh_result result = nh_put(member->team->store, now_ms, (nh_key){&coming, sizeof coming, 1},
                                  (nh_bytes){bytes, draw(member, sizeof bytes)}, NULL, NULL);
        MUST(result == NH_OK || (result == NH_FULL && keys->may_evict));
        if (coming > keys->coming_count) {
            uint64_t going = coming - keys->coming_count;
            if (!keys->may_evict || one_in(member, 2))
                nh_delete(member->team->store, now_ms, (nh_key){&going, sizeof going, 1});
        }
        if (one_in(member, 50))
            nh_sweep(member->team->store, now_ms, 200);
    }
    return NULL;
}

/* Walks again and again: every key that stays is seen in each. */
static void *run_walker(void *context)
{
    struct member *member = context;
    struct keys *keys = member->team->shared;
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        bool *was_there = calloc(KEYS, sizeof *was_there);
        uint64_t *floors = calloc(KEYS, sizeof *floors), position = 0;
        nh_result result = NH_OK;
        for (uint64_t number = 0; number < KEYS; number++) {
            was_there[number] = atomic_load(&keys->is_there[number]);
            floors[number] = atomic_load(&keys->floors[number]);
        }
        do {
            uint64_t before = position, number;
            nh_cursor *cursor;
            MUST(nh_cursor_create(store, position, &cursor) == NH_OK);
            for (unsigned i = 0; i < 1000 || nh_cursor_position(cursor) == before; i++) {
                nh_value value;
                nh_key key;
                result = nh_cursor_next(cursor, now_of(member), &key, &value);
                if (result != NH_OK)
                    break;
                if (key.space != 0)
                    continue;
                MUST(key.size == sizeof number);
                memcpy(&number, key.data, sizeof number);
                MUST(number < KEYS);
                MUST(stamp_check_lent(store, &value, number).sequence >= floors[number]);
                was_there[number] = false; /* accounted for */
            }
            MUST(result == NH_OK || result == NH_MISSING);
            position = nh_cursor_position(cursor);
            nh_cursor_destroy(cursor);
        } while (position != 0 && !is_over(member));
        for (uint64_t number = 0; position == 0 && number < KEYS; number++)
            MUST(!was_there[number] || may_miss(member));
        free(was_there);
        free(floors);
    }
    return NULL;
}

/* So that even a slow machine has something to evict. */
static void fill(nh_store *store)
{
    char bytes[500] = {0}, text[32];
    for (unsigned n = 0; stats_of(store).evicted == 0; n++)
        EXPECT_EQ(
            nh_put(store, 1000, key_number_in(2, text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
            NH_OK);
}

static void run(bool may_evict, uint64_t memory_bytes, uint64_t coming_count)
{
    void *(*const starts[])(void *) = {run_writer, run_writer, run_reader,
                                       run_reader, run_growth, run_walker};
    struct keys *keys = calloc(1, sizeof *keys);
    struct team team = {.store = make_store(memory_bytes), .shared = keys};

    keys->may_evict = may_evict;
    if (may_evict)
        fill(team.store);
    keys->coming_count = coming_count;
    team_run(&team, RUN_MS, starts, COUNT_OF(starts));
    EXPECT(may_evict || stats_of(team.store).evicted == 0);
    EXPECT(!may_evict || stats_of(team.store).evicted > 0);
    EXPECT_EQ(may_evict ? 0 : stats_of(team.store).rejected, 0);
    team_end(&team);
    free(keys);
}

TEST(nobody_finds_an_older_value_or_misses_one_that_stays_while_the_index_grows)
{
    run(false, 256 << 20, 300000);
}

TEST(nobody_finds_an_older_value_while_others_are_evicted) { run(true, 2 << 20, 20000); }

TEST(nobody_misses_what_stays_while_segments_are_packed) { run(false, 24 << 20, 10000); }

RUN_TESTS(TEST_ROW(nobody_finds_an_older_value_or_misses_one_that_stays_while_the_index_grows),
          TEST_ROW(nobody_finds_an_older_value_while_others_are_evicted),
          TEST_ROW(nobody_misses_what_stays_while_segments_are_packed))
