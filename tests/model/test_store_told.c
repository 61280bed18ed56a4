/* links: nuthatch-store */
/* What a caller was told stays so until somebody changes it, whatever the store does meanwhile: an expiry
 * that one thread sets while others write the value again and keep it, and a version, while segments are
 * emptied and what is alive in them is moved. */
#include "threads.h"

enum { RUN_MS = 700, KEYS = 4, LARGE_BYTES = 200000, PIECE_BYTES = 20000 };

struct telling {
    bool is_flooded; /* keys may be evicted */
    bool is_large;
    _Atomic uint64_t told, kept;
};

static nh_key key_for(const uint64_t *number) { return (nh_key){number, sizeof *number, 0}; }

/* Sets the expiry of its key, and looks. Nobody else sets it to anything but what it was. */
static void *run_toucher(void *context)
{
    struct member *member = context;
    struct telling *telling = member->team->shared;
    nh_store *store = member->team->store;
    uint64_t number = member->number;
    nh_key key = key_for(&number);

    while (!is_over(member)) {
        int64_t ttl_ms = 1000 + (int64_t)draw(member, 5000000);
        nh_result result = nh_touch(store, now_of(member), key, ttl_ms);
        nh_value value;

        MUST(result == NH_OK || result == NH_MISSING || (result == NH_FULL && telling->is_flooded));
        if (result != NH_OK)
            continue;
        for (unsigned i = (unsigned)draw(member, 300); i > 0; i--)
            atomic_thread_fence(memory_order_seq_cst);
        if (nh_borrow(store, now_of(member), key, &value) != NH_OK)
            continue;
        /* Evicted and put again, it has none. */
        MUST(value.expires_at_ms == now_of(member) + ttl_ms ||
             (telling->is_flooded && value.expires_at_ms == 0));
        nh_release(store, &value);
        atomic_fetch_add(&telling->told, 1);
    }
    return NULL;
}

/* Writes all keys again and again, and keeps their expiry. */
static void *run_keeper(void *context)
{
    struct member *member = context;
    struct telling *telling = member->team->shared;
    nh_put_options keep = {.size = sizeof keep, .keep_ttl = 1};
    nh_store *store = member->team->store;
    char bytes[PIECE_BYTES] = {0};

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS / 2);
        nh_key key = key_for(&number);
        nh_result result = NH_MISSING;
        size_t size = 1 + draw(member, telling->is_large ? PIECE_BYTES : 300);
        uint64_t grown_bytes = 0;
        nh_value value;

        if (nh_borrow(store, now_of(member), key, &value) == NH_OK) {
            grown_bytes = value.size;
            nh_release(store, &value);
        }
        if (grown_bytes < (telling->is_large ? LARGE_BYTES : 2000))
            result = nh_append(store, now_of(member), key, (nh_bytes){bytes, size}, NULL);
        if (result != NH_OK)
            result = nh_put(store, now_of(member), key, (nh_bytes){bytes, size}, &keep, NULL);
        MUST(result == NH_OK || result == NH_FULL);
        atomic_fetch_add(&telling->kept, result == NH_OK);
    }
    return NULL;
}

static void *run_flood(void *context)
{
    struct member *member = context;
    char bytes[1000] = {0};

    while (!is_over(member)) {
        uint64_t number = KEYS + draw(member, 100000);
        nh_put(member->team->store, now_of(member), key_for(&number), (nh_bytes){bytes, draw(member, 1000)},
               NULL, NULL);
        nh_get(member->team->store, now_of(member), key_for(&number), NULL, 0, NULL);
    }
    return NULL;
}

static void run(void *(*teller)(void *), void *(*other)(void *), struct telling *telling)
{
    void *(*const starts[])(void *) = {teller, teller, other, other, run_flood};
    struct team team = {.store = make_store(telling->is_flooded ? 2 << 20 : 64 << 20), .shared = telling};

    team_run(&team, RUN_MS, starts, telling->is_flooded ? COUNT_OF(starts) : COUNT_OF(starts) - 1);
    printf("%llu told\n", (unsigned long long)telling->told);
    EXPECT(telling->told > 0);
    if (telling->is_flooded)
        EXPECT(stats_of(team.store).moved > 0);
    team_end(&team);
}

TEST(an_expiry_stays_while_others_write_and_keep_it)
{
    run(run_toucher, run_keeper, &(struct telling){.is_flooded = false});
}

TEST(an_expiry_stays_while_the_value_grows_large)
{
    run(run_toucher, run_keeper, &(struct telling){.is_large = true});
}

TEST(an_expiry_stays_while_segments_are_emptied)
{
    run(run_toucher, run_keeper, &(struct telling){.is_flooded = true});
}

/* The only one to write its key: the version it was told must be the key's when it comes back. */
static void *run_comparer(void *context)
{
    struct member *member = context;
    struct telling *telling = member->team->shared;
    nh_store *store = member->team->store;
    uint64_t number = member->number;
    nh_key key = key_for(&number);

    while (!is_over(member)) {
        nh_result result;
        nh_value value;

        if (nh_borrow(store, now_of(member), key, &value) != NH_OK) {
            MUST(nh_put(store, now_of(member), key, (nh_bytes){"first", 5}, NULL, NULL) == NH_OK);
            continue;
        }
        nh_release(store, &value);
        for (unsigned i = (unsigned)draw(member, 3000); i > 0; i--)
            atomic_thread_fence(memory_order_seq_cst);
        result = nh_cas(store, now_of(member), key, (nh_bytes){"next", 4}, NULL, value.version, NULL);
        MUST(result == NH_OK || result == NH_MISSING);
        atomic_fetch_add(&telling->told, result == NH_OK);
    }
    return NULL;
}

TEST(a_version_stays_while_what_has_it_is_moved)
{
    run(run_comparer, run_flood, &(struct telling){.is_flooded = true});
}

RUN_TESTS(TEST_ROW(an_expiry_stays_while_others_write_and_keep_it),
          TEST_ROW(an_expiry_stays_while_the_value_grows_large),
          TEST_ROW(an_expiry_stays_while_segments_are_emptied),
          TEST_ROW(a_version_stays_while_what_has_it_is_moved))
