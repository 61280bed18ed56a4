/* links: nuthatch-store */
/* Reading through from several threads at once. The truth is a number for each key that only rises; whoever
 * changes it tells the store so afterwards. From then on nobody may find a number from before, though fills
 * that were computed before are still on their way. */
#include "threads.h"

enum { RUN_MS = 900, KEYS = 64 };

/* How the store is told that a key's truth has changed. */
enum telling { BY_DELETE, BY_PUT, BY_TAG, BY_SOFT_TAG, BY_CLEAR, BY_TOUCH, BY_STALE, TELLINGS };

struct truth {
    _Atomic uint64_t numbers[KEYS];
    _Atomic uint64_t floors[KEYS]; /* told to the store, and the store has returned */
    _Atomic int holders[KEYS];     /* who has a lease on the key just now */
    bool is_calm; /* nothing but fills, and nothing evicted: then leases exclude each other */
    enum telling telling;
    _Atomic uint64_t fills, refused;
};

static nh_bytes tag_of(uint64_t number, char text[16])
{
    return (nh_bytes){text, (size_t)snprintf(text, 16, "tag%u", (unsigned)number)};
}

static nh_key key_for(const uint64_t *number, enum telling telling)
{
    return (nh_key){number, sizeof *number, telling == BY_CLEAR ? (uint32_t)*number : 0};
}

/* A raise of the truth, and what is to tell the store of it. One thread for each key. */
static void *run_changer(void *context)
{
    struct member *member = context;
    struct truth *truth = member->team->shared;
    nh_put_options brief = {.size = sizeof brief, .soft_ttl_ms = 1};
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS / 2) * 2 + member->number, raised;
        nh_key key = key_for(&number, truth->telling);
        int64_t now_ms = now_of(member);
        nh_result result = NH_OK;
        char text[16];

        raised = atomic_fetch_add(&truth->numbers[number], 1) + 1;
        switch (truth->telling) {
        case BY_DELETE: result = nh_delete(store, now_ms, key); break;
        case BY_PUT:
            result = nh_put(store, now_ms, key, (nh_bytes){&raised, sizeof raised}, &brief, NULL);
            break;
        case BY_TAG: result = nh_purge_tag(store, tag_of(number, text), NH_PURGE_DROP); break;
        case BY_SOFT_TAG: result = nh_purge_tag(store, tag_of(number, text), NH_PURGE_SOFT); break;
        case BY_CLEAR: nh_clear(store, key.space); break;
        case BY_TOUCH: /* of what is missing deletes nothing */
            result = nh_touch(store, now_ms, key, -1);
            if (result == NH_MISSING)
                result = nh_delete(store, now_ms, key);
            break;
        case BY_STALE: result = nh_make_stale(store, now_ms, key); break;
        case TELLINGS: break;
        }
        MUST(result == NH_OK || result == NH_MISSING);
        atomic_store(&truth->floors[number], raised);
        for (unsigned i = (unsigned)draw(member, 200); i > 0; i--)
            atomic_thread_fence(memory_order_seq_cst);
    }
    return NULL;
}

/* One who computes: he looks at the truth at some time after he was given the lease. */
static void fill(struct member *member, nh_key key, uint64_t number, uint64_t lease)
{
    struct truth *truth = member->team->shared;
    char text[16];
    nh_bytes tag = tag_of(number, text);
    nh_put_options options = {.size = sizeof options,
                              .tags = &tag,
                              .tag_count = truth->telling == BY_TAG || truth->telling == BY_SOFT_TAG,
                              .soft_ttl_ms = truth->is_calm || truth->telling == BY_TOUCH ? 1 : 0};
    uint64_t computed = atomic_load(&truth->numbers[number]);
    nh_result result;

    if (truth->is_calm)
        MUST(atomic_fetch_add(&truth->holders[number], 1) == 0);
    for (unsigned i = (unsigned)draw(member, 300); i > 0; i--)
        atomic_thread_fence(memory_order_seq_cst);
    if (truth->is_calm)
        MUST(atomic_fetch_sub(&truth->holders[number], 1) == 1);
    if (one_in(member, 10)) {
        result = nh_give_up(member->team->store, key, lease);
    } else {
        result = nh_fill(member->team->store, now_of(member), key, lease,
                         (nh_bytes){&computed, sizeof computed}, &options, NULL);
        atomic_fetch_add(&truth->fills, result == NH_OK);
        atomic_fetch_add(&truth->refused, result == NH_CHANGED);
    }
    MUST(result == NH_OK || (result == NH_CHANGED && !truth->is_calm));
}

static void *run_reader(void *context)
{
    struct member *member = context;
    struct truth *truth = member->team->shared;
    nh_fetch_options options = {.size = sizeof options, .lease_ms = 1000000};
    nh_store *store = member->team->store;

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS), found, lease = 0;
        nh_key key = key_for(&number, truth->telling);
        uint64_t floor = atomic_load(&truth->floors[number]);
        nh_fetch_state fetched;
        nh_value value;

        MUST(nh_fetch(store, now_of(member), key, &options, &fetched, &lease, &value) == NH_OK);
        if (fetched <= NH_FETCH_STALE_LEASE) {
            MUST(value.bytes.size == sizeof found);
            memcpy(&found, value.bytes.data, sizeof found);
            MUST(found >= floor || (fetched >= NH_FETCH_STALE &&
                                    (truth->telling == BY_SOFT_TAG || truth->telling == BY_STALE)));
            nh_release(store, &value);
        }
        if (fetched == NH_FETCH_STALE_LEASE || fetched == NH_FETCH_MISS_LEASE)
            fill(member, key, number, lease);
        if ((truth->is_calm || truth->telling == BY_PUT || truth->telling == BY_TOUCH) && one_in(member, 3))
            atomic_fetch_add(&member->team->now_ms, 1);
    }
    return NULL;
}

/* Others' values, so many that leases and values alike must make room. */
static void *run_flood(void *context)
{
    struct member *member = context;
    char bytes[1000] = {0};
    while (!is_over(member)) {
        uint64_t number = draw(member, 1000000);
        nh_result result =
            nh_put(member->team->store, now_of(member), (nh_key){&number, sizeof number, 1000},
                   (nh_bytes){bytes, draw(member, sizeof bytes)}, NULL, NULL);
        MUST(result == NH_OK);
    }
    return NULL;
}

/* Others' values until some had to leave: on a busy machine the flood may hardly get its turn. */
static void fill_up(nh_store *store)
{
    char bytes[1000] = {0};

    for (uint64_t number = 1000000; stats_of(store).evicted == 0; number++)
        MUST(nh_put(store, 1, (nh_key){&number, sizeof number, 1000}, (nh_bytes){bytes, sizeof bytes}, NULL,
                    NULL) == NH_OK);
}

static void run(enum telling telling, bool is_flooded)
{
    void *(*const starts[])(void *) = {run_changer, run_changer, run_reader,
                                       run_reader,  run_reader,  run_flood};
    struct truth *truth = calloc(1, sizeof *truth);
    struct team team = {.store = make_store(is_flooded ? 2 << 20 : 16 << 20), .shared = truth};

    truth->telling = telling;
    if (is_flooded)
        fill_up(team.store);
    team_run(&team, RUN_MS, starts, is_flooded ? COUNT_OF(starts) : COUNT_OF(starts) - 1);
    printf("%llu fills, %llu refused\n", (unsigned long long)truth->fills,
           (unsigned long long)truth->refused);
    EXPECT(truth->fills > 0);
    team_end(&team);
    free(truth);
}

TEST(after_a_delete_no_fill_brings_back_what_was_before) { run(BY_DELETE, false); }

TEST(after_a_put_no_fill_brings_back_what_was_before) { run(BY_PUT, false); }

TEST(after_a_purge_no_fill_brings_back_what_was_before) { run(BY_TAG, false); }

TEST(after_a_soft_purge_no_fill_makes_fresh_what_was_before) { run(BY_SOFT_TAG, false); }

TEST(after_a_clear_no_fill_brings_back_what_was_before) { run(BY_CLEAR, false); }

TEST(after_a_touch_that_deletes_no_fill_brings_back_what_was_before) { run(BY_TOUCH, false); }

TEST(after_a_value_was_made_stale_no_fill_makes_fresh_what_was_before)
{
    run(BY_STALE, false);
    run(BY_STALE, true);
}

TEST(nor_does_it_in_a_store_that_must_evict)
{
    run(BY_DELETE, true);
    run(BY_TAG, true);
}

TEST(no_two_threads_hold_a_lease_on_one_key)
{
    void *(*const starts[])(void *) = {run_reader, run_reader, run_reader, run_reader};
    struct truth *truth = calloc(1, sizeof *truth);
    struct team team = {.store = make_store(16 << 20), .shared = truth};

    truth->is_calm = true;
    team_run(&team, RUN_MS, starts, COUNT_OF(starts));
    EXPECT(truth->fills > 0);
    EXPECT_EQ(stats_of(team.store).evicted, 0);
    team_end(&team);
    free(truth);
}

RUN_TESTS(TEST_ROW(after_a_delete_no_fill_brings_back_what_was_before),
          TEST_ROW(after_a_put_no_fill_brings_back_what_was_before),
          TEST_ROW(after_a_purge_no_fill_brings_back_what_was_before),
          TEST_ROW(after_a_soft_purge_no_fill_makes_fresh_what_was_before),
          TEST_ROW(after_a_clear_no_fill_brings_back_what_was_before),
          TEST_ROW(after_a_touch_that_deletes_no_fill_brings_back_what_was_before),
          TEST_ROW(after_a_value_was_made_stale_no_fill_makes_fresh_what_was_before),
          TEST_ROW(nor_does_it_in_a_store_that_must_evict),
          TEST_ROW(no_two_threads_hold_a_lease_on_one_key))
