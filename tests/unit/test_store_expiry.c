/* links: nuthatch-store */
/* When values leave: to the millisecond, whatever the lifetime and the clock. */
#include "store_words.h"

#define YEAR_MS ((int64_t)365 * 24 * 3600 * 1000)

/* When something lives until, that is given `ttl_ms` at `now_ms`; 0 is no time but "never". */
static int64_t end_of(int64_t now_ms, int64_t ttl_ms)
{
    int64_t end_ms;
    return __builtin_add_overflow(now_ms, ttl_ms, &end_ms) ? INT64_MAX : end_ms;
}

/* The key's value is there until the millisecond before `end_ms` and not after. */
static void expect_end(nh_store *store, nh_key key, int64_t now_ms, int64_t end_ms)
{
    nh_value value;

    EXPECT_EQ(nh_borrow(store, now_ms, key, &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, end_ms);
    nh_release(store, &value);
    EXPECT(is_there(store, end_ms - 1, key));
    EXPECT(!is_there(store, end_ms, key));
}

static const int64_t moments_ms[] = {
    0,
    1,
    999,
    NOW,
    -1,
    -1000,
    -NOW,
    -YEAR_MS,
    INT32_MAX,
    UINT32_MAX,
    (int64_t)UINT32_MAX + 1,
    50 * YEAR_MS,
    1000 * YEAR_MS,
};
static const int64_t lifetimes_ms[] = {
    1,
    2,
    10,
    999,
    1000,
    1001,
    1023,
    1024,
    4000,
    16000,
    59999,
    60000,
    65535,
    65536,
    900000,
    3600000,
    4 * 3600000,
    24 * 3600000,
    16777215,
    16777216,
    7 * 24 * 3600000,
    2147483647,
    2147483648,
    4294967295, /* 49.7 days */
    4294967296,
    4294967297,
    90 * (int64_t)24 * 3600000,
    YEAR_MS,
    100 * YEAR_MS,
};

TEST(a_value_is_served_until_its_millisecond_comes_and_never_after)
{
    for (size_t m = 0; m < COUNT_OF(moments_ms); m++)
        for (size_t l = 0; l < COUNT_OF(lifetimes_ms); l++) {
            nh_store *store = make_store(1 << 20);
            int64_t now_ms = moments_ms[m], end_ms = end_of(now_ms, lifetimes_ms[l]);
            nh_put_options options = {.size = sizeof options, .ttl_ms = lifetimes_ms[l]};
            EXPECT_EQ(nh_put(store, now_ms, key_of("k"), value_of("v"), &options, NULL), NH_OK);
            EXPECT_EQ(nh_put(store, now_ms, key_of("other"), value_of("v"), NULL, NULL), NH_OK);
            if (end_ms != 0)
                expect_end(store, key_of("k"), now_ms, end_ms);
            expect_text(store, end_ms + YEAR_MS, key_of("other"), "v");
            nh_destroy(store);
        }
}

TEST(a_lifetime_that_ends_at_the_clocks_zero_ends)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options options = {.size = sizeof options, .ttl_ms = 10, .soft_ttl_ms = 10};
    nh_value value;

    EXPECT_EQ(nh_put(store, -10, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, -5, key_of("k"), &value), NH_OK);
    EXPECT(value.expires_at_ms != 0); /* that would say: never */
    EXPECT(value.stale_at_ms != 0);
    EXPECT_EQ(value.traits, 0);
    nh_release(store, &value);
    EXPECT(is_there(store, -2, key_of("k")));
    EXPECT(!is_there(store, 0, key_of("k")));
    nh_destroy(store);
}

TEST(a_lifetime_at_the_edge_of_all_numbers_does_not_wrap)
{
    static const struct {
        int64_t now_ms, ttl_ms;
    } cases[] = {
        {NOW, INT64_MAX},       {NOW, INT64_MAX - NOW}, {NOW, INT64_MAX - NOW - 1},  {0, INT64_MAX},
        {INT64_MAX - 10, 5},    {INT64_MAX - 10, 10},   {INT64_MAX - 10, INT64_MAX}, {INT64_MIN, 1000},
        {INT64_MIN, INT64_MAX}, {INT64_MIN + 1, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int is_touched = 0; is_touched < 2; is_touched++) {
            nh_store *store = make_store(1 << 20);
            nh_put_options options = {.size = sizeof options, .ttl_ms = is_touched ? 0 : cases[i].ttl_ms};
            EXPECT_EQ(nh_put(store, cases[i].now_ms, key_of("k"), value_of("v"), &options, NULL), NH_OK);
            if (is_touched)
                EXPECT_EQ(nh_touch(store, cases[i].now_ms, key_of("k"), cases[i].ttl_ms), NH_OK);
            expect_end(store, key_of("k"), cases[i].now_ms, end_of(cases[i].now_ms, cases[i].ttl_ms));
            nh_destroy(store);
        }
}

TEST(without_a_lifetime_a_value_stays_for_ever)
{
    nh_store *store = make_store(1 << 20);
    nh_value value;

    EXPECT_EQ(nh_put(store, INT64_MIN, key_of("k"), value_of("v"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, INT64_MAX, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, 0);
    EXPECT_EQ(value.stale_at_ms, 0);
    nh_release(store, &value);
    EXPECT_EQ(sweep_all(store, INT64_MAX), 0);
    expect_text(store, INT64_MAX, key_of("k"), "v");
    nh_destroy(store);
}

TEST(a_touch_changes_the_expiry_and_not_the_version)
{
    nh_store *store = make_store(1 << 20);
    uint64_t version;
    nh_value value;

    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 10), NH_MISSING);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), NULL, &version), NH_OK);
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 10), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, NOW + 10);
    EXPECT_EQ(value.version, version);
    nh_release(store, &value);
    EXPECT_EQ(nh_touch(store, NOW + 9, key_of("k"), 0), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 1000, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, 0);
    EXPECT_EQ(value.version, version);
    EXPECT_TEXT(lent(&value), BYTES("v"));
    nh_release(store, &value);
    EXPECT_EQ(nh_touch(store, NOW + 1000, key_of("k"), -1), NH_OK);
    expect_missing(store, NOW + 1000, key_of("k"));
    EXPECT_EQ(nh_count(store, 0), 0);
    EXPECT_EQ(nh_touch(store, NOW + 1000, key_of("k"), 10), NH_MISSING);
    nh_destroy(store);
}

TEST(a_touch_moves_any_lifetime_to_any_other_and_keeps_all_else)
{
    static const int64_t ttls_ms[] = {0,      1,       3,          999,        1000,   5000,
                                      100000, 3600000, 4294967295, 4294967296, YEAR_MS};
    for (size_t from = 0; from < COUNT_OF(ttls_ms); from++)
        for (size_t to = 0; to < COUNT_OF(ttls_ms); to++) {
            nh_store *store = make_store(1 << 20);
            nh_bytes tag = {"t", 1};
            nh_put_options options = {.size = sizeof options,
                                      .ttl_ms = ttls_ms[from],
                                      .soft_ttl_ms = YEAR_MS,
                                      .flags = 77,
                                      .tags = &tag,
                                      .tag_count = 1};
            uint64_t version;
            nh_value value;
            EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, &version), NH_OK);
            EXPECT_EQ(nh_touch(store, NOW, key_of("k"), ttls_ms[to]), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
            EXPECT_TEXT(lent(&value), BYTES("v"));
            EXPECT_EQ(value.flags, 77);
            EXPECT_EQ(value.stale_at_ms, NOW + YEAR_MS);
            EXPECT_EQ(value.version, version);
            nh_release(store, &value);
            if (ttls_ms[to] != 0)
                expect_end(store, key_of("k"), NOW, NOW + ttls_ms[to]);
            else
                expect_text(store, NOW + 10 * YEAR_MS, key_of("k"), "v");
            sweep_all(store, NOW + 10 * YEAR_MS);
            EXPECT_EQ(nh_count(store, 0), ttls_ms[to] == 0);
            nh_destroy(store);
        }
}

TEST(an_expired_key_is_missing_to_every_call)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    nh_fetch_state fetched;
    nh_value value;
    int32_t had_before;
    uint64_t version, lease;
    int64_t now_ms = NOW;

    for (int i = 0; i < 14; i++) {
        nh_get_request request = {.key = key_of("k")};
        EXPECT_EQ(nh_put(store, now_ms, key_of("k"), value_of("1"), &brief, &version), NH_OK);
        now_ms += 10;
        switch (i) {
        case 0:
            EXPECT_EQ(nh_replace(store, now_ms, key_of("k"), value_of("x"), NULL, NULL), NH_MISSING);
            break;
        case 1:
            EXPECT_EQ(nh_cas(store, now_ms, key_of("k"), value_of("x"), NULL, version, NULL), NH_MISSING);
            break;
        case 2: EXPECT_EQ(nh_delete(store, now_ms, key_of("k")), NH_MISSING); break;
        case 3: EXPECT_EQ(nh_touch(store, now_ms, key_of("k"), 10), NH_MISSING); break;
        case 4:
            EXPECT_EQ(nh_increment(store, now_ms, key_of("k"), 1, NH_INCREMENT_UNSIGNED, NULL), NH_MISSING);
            break;
        case 5:
            EXPECT_EQ(nh_exchange(store, now_ms, key_of("k"), value_of("x"), &brief, &value, &had_before),
                      NH_OK);
            EXPECT_EQ(had_before, 0);
            break;
        case 6: EXPECT_EQ(nh_append(store, now_ms, key_of("k"), value_of("x"), NULL), NH_MISSING); break;
        case 7: EXPECT_EQ(nh_prepend(store, now_ms, key_of("k"), value_of("x"), NULL), NH_MISSING); break;
        case 8: EXPECT_EQ(nh_peek(store, now_ms, key_of("k"), &value), NH_MISSING); break;
        case 9: EXPECT_EQ(nh_get_and_touch(store, now_ms, key_of("k"), 0, &value), NH_MISSING); break;
        case 10:
            EXPECT_EQ(nh_get_many(store, now_ms, &request, 1), NH_OK);
            EXPECT_EQ(request.result, NH_MISSING);
            break;
        case 11:
            EXPECT_EQ(nh_fetch(store, now_ms, key_of("k"), NULL, &fetched, &lease, &value), NH_OK);
            EXPECT_EQ(fetched, NH_FETCH_MISS_LEASE);
            break;
        case 12:
            EXPECT_EQ(nh_increment(store, now_ms, key_of("k"), 5, NH_INCREMENT_SIGNED, NULL), NH_OK);
            expect_text(store, now_ms, key_of("k"), "5");
            break;
        case 13:
            EXPECT_EQ(nh_add(store, now_ms, key_of("k"), value_of("x"), NULL, NULL), NH_OK);
            expect_text(store, now_ms, key_of("k"), "x");
            break;
        }
    }
    nh_destroy(store);
}

TEST(an_expired_value_passes_nothing_on_to_the_next)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10, .soft_ttl_ms = 5, .flags = 9};
    nh_put_options keeping = {.size = sizeof keeping, .keep_ttl = 1};
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), &brief, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW + 10, key_of("k"), value_of("2"), &keeping, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW + 10, key_of("n"), value_of("1"), &brief, NULL), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW + 20, key_of("n"), 1, NH_INCREMENT_SIGNED, NULL), NH_OK);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(nh_borrow(store, NOW + 1000, key_of(i ? "n" : "k"), &value), NH_OK);
        EXPECT_EQ(value.expires_at_ms, 0);
        EXPECT_EQ(value.stale_at_ms, 0);
        EXPECT_EQ(value.flags, 0);
        EXPECT_EQ(value.traits, 0);
        nh_release(store, &value);
    }
    nh_destroy(store);
}

TEST(a_negative_ttl_leaves_the_key_missing_but_heeds_the_condition)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options past = {.size = sizeof past, .ttl_ms = -1};
    nh_value before;
    int32_t had_before;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &past, NULL), NH_OK);
    expect_missing(store, NOW, key_of("k"));
    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("w"), &past, NULL), NH_EXISTS);
    expect_text(store, NOW, key_of("k"), "v");
    past.ttl_ms = INT64_MIN;
    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), value_of("w"), &past, &before, &had_before), NH_OK);
    EXPECT_EQ(had_before, 1);
    EXPECT_TEXT(lent(&before), BYTES("v"));
    expect_missing(store, NOW, key_of("k"));
    nh_release(store, &before);
    EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("w"), &past, NULL), NH_MISSING);
    EXPECT_EQ(nh_count(store, 0), 0);
    nh_destroy(store);
}

TEST(a_put_keeps_the_expiry_only_if_asked_to)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options timed = {.size = sizeof timed, .ttl_ms = 100, .soft_ttl_ms = 50};
    nh_put_options keeping = {.size = sizeof keeping, .ttl_ms = 7, .soft_ttl_ms = 3, .keep_ttl = 1};
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), &timed, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW + 20, key_of("k"), value_of("2"), &keeping, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 99, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, NOW + 100);
    EXPECT_EQ(value.stale_at_ms, NOW + 50);
    EXPECT_EQ(value.traits, NH_VALUE_STALE);
    nh_release(store, &value);
    EXPECT_EQ(nh_put(store, NOW + 99, key_of("k"), value_of("3"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 99, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, 0);
    EXPECT_EQ(value.stale_at_ms, 0);
    EXPECT_EQ(value.traits, 0);
    nh_release(store, &value);
    EXPECT_EQ(nh_put(store, NOW + 99, key_of("k"), value_of("4"), &keeping, NULL), NH_OK); /* keeps: none */
    expect_text(store, NOW + YEAR_MS, key_of("k"), "4");
    /* With nothing to keep, the options' own times hold. */
    EXPECT_EQ(nh_put(store, NOW + YEAR_MS, key_of("fresh"), value_of("1"), &keeping, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + YEAR_MS, key_of("fresh"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, NOW + YEAR_MS + 7);
    EXPECT_EQ(value.stale_at_ms, NOW + YEAR_MS + 3);
    nh_release(store, &value);
    nh_destroy(store);
}

TEST(a_stale_value_is_served_and_says_so_from_its_millisecond_on)
{
    for (size_t l = 0; l < COUNT_OF(lifetimes_ms); l++) {
        nh_store *store = make_store(1 << 20);
        int64_t stale_ms = NOW + lifetimes_ms[l];
        nh_put_options options = {
            .size = sizeof options, .soft_ttl_ms = lifetimes_ms[l], .flags = 0xdeadbeef};
        nh_value value;

        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
        for (int64_t now_ms = stale_ms - 1; now_ms <= stale_ms + 1; now_ms++) {
            EXPECT_EQ(nh_borrow(store, now_ms, key_of("k"), &value), NH_OK);
            EXPECT_EQ(value.stale_at_ms, stale_ms);
            EXPECT_EQ(value.flags, 0xdeadbeef);
            EXPECT_EQ(value.traits, now_ms < stale_ms ? 0 : NH_VALUE_STALE);
            nh_release(store, &value);
        }
        EXPECT_EQ(stats_of(store).stale_served, 2);
        nh_destroy(store);
    }
}

TEST(hard_and_soft_expiry_are_independent)
{
    static const struct {
        int64_t ttl_ms, soft_ttl_ms;
    } cases[] = {{10, 1000}, {1000, 10}, {10, 10}, {4294967296, 1}, {1, 4294967296}, {YEAR_MS, INT64_MAX}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_store *store = make_store(1 << 20);
        nh_put_options options = {
            .size = sizeof options, .ttl_ms = cases[i].ttl_ms, .soft_ttl_ms = cases[i].soft_ttl_ms};
        int64_t last_ms = NOW + cases[i].ttl_ms - 1;
        nh_value value;

        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
        EXPECT_EQ(nh_borrow(store, last_ms, key_of("k"), &value), NH_OK);
        EXPECT_EQ(value.stale_at_ms, end_of(NOW, cases[i].soft_ttl_ms));
        EXPECT_EQ(value.traits, value.stale_at_ms <= last_ms ? NH_VALUE_STALE : 0);
        nh_release(store, &value);
        expect_missing(store, last_ms + 1, key_of("k"));
        nh_destroy(store);
    }
}

TEST(a_sweep_frees_what_has_expired_within_its_budget)
{
    enum { BUDGET = 20, SMALLEST_ENTRY_BYTES = 8 };
    nh_store *store = make_store(4 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    size_t freed = 0, rounds = 0, segment_count_max = stats_of(store).segment_bytes / SMALLEST_ENTRY_BYTES;
    char text[32];

    for (unsigned n = 0; n < 5000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), n % 2 ? &brief : NULL, NULL),
                  NH_OK);
    EXPECT_EQ(nh_sweep(store, NOW + 9, SIZE_MAX), 0);
    EXPECT_EQ(nh_count(store, 0), 5000);
    for (; freed < 2500 && rounds < 10000; rounds++) {
        size_t now_freed = nh_sweep(store, NOW + 10, BUDGET);
        EXPECT(now_freed <= BUDGET + segment_count_max);
        freed += now_freed;
    }
    EXPECT_EQ(freed, 2500);
    EXPECT(rounds < 1000);
    EXPECT_EQ(nh_count(store, 0), 2500);
    EXPECT_EQ(stats_of(store).expired, 2500);
    EXPECT_EQ(stats_of(store).items, 2500);
    for (unsigned n = 0; n < 5000; n++)
        EXPECT_EQ(is_there(store, NOW + 10, key_number(text, n)), n % 2 == 0);
    nh_destroy(store);
}

TEST(a_sweep_gives_back_the_memory_of_what_has_expired)
{
    nh_store *store = make_store(16 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    char text[32], bytes[500] = {0};
    uint64_t before;

    EXPECT_EQ(put_text(store, "stays", "v"), NH_OK);
    before = stats_of(store).memory_bytes - stats_of(store).index_bytes;
    for (unsigned n = 0; n < 20000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, &brief, NULL),
                  NH_OK);
    EXPECT_EQ(stats_of(store).evicted, 0);
    EXPECT_EQ(sweep_all(store, NOW + 10), 20000);
    EXPECT(stats_of(store).memory_bytes - stats_of(store).index_bytes <=
           before + 8 * stats_of(store).segment_bytes);
    EXPECT_EQ(nh_count(store, 0), 1);
    expect_text(store, NOW + 10, key_of("stays"), "v");
    nh_destroy(store);
}

/* Values of all kinds of lifetime, and the clock moves through them with a sweep at each step. */
TEST(each_value_stays_until_its_own_millisecond_while_sweeps_go_on)
{
    enum { COUNT = 3000, STEP_MS = 7 };
    nh_store *store = make_store(8 << 20);
    int64_t *ends_ms = calloc(COUNT, sizeof *ends_ms);
    uint64_t random = 88172645463325252u;
    char text[32];

    for (unsigned n = 0; n < COUNT; n++) {
        nh_put_options options = {.size = sizeof options};
        random = random * 6364136223846793005u + 1442695040888963407u;
        options.ttl_ms = (int64_t)1 << (random >> 60 & 15);
        options.ttl_ms += (int64_t)(random >> 40) % options.ttl_ms;
        ends_ms[n] = NOW + options.ttl_ms;
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), &options, NULL), NH_OK);
    }
    for (int64_t now_ms = NOW; now_ms < NOW + 66000;
         now_ms += now_ms < NOW + 1000 ? STEP_MS : 100 * STEP_MS) {
        nh_sweep(store, now_ms, 100);
        for (unsigned n = 0; n < COUNT; n++)
            EXPECT_EQ(is_there(store, now_ms, key_number(text, n)), now_ms < ends_ms[n]);
    }
    sweep_all(store, NOW + 66000);
    EXPECT_EQ(nh_count(store, 0), 0);
    EXPECT_EQ(stats_of(store).expired, COUNT);
    EXPECT_EQ(stats_of(store).evicted, 0);
    free(ends_ms);
    nh_destroy(store);
}

TEST(what_has_expired_makes_room_before_what_is_alive)
{
    nh_store *store = make_store(4 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    char text[32], bytes[400] = {0};
    int64_t now_ms = NOW;
    unsigned there = 0;

    for (unsigned n = 0; n < 2000; n++) {
        EXPECT_EQ(
            nh_put(store, now_ms, key_number_in(1, text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
            NH_OK);
        nh_get(store, now_ms, key_number_in(1, text, n), NULL, 0, NULL);
    }
    for (unsigned n = 0; n < 40000; n++) {
        now_ms += n % 100 == 0;
        EXPECT_EQ(
            nh_put(store, now_ms, key_number_in(2, text, n), (nh_bytes){bytes, sizeof bytes}, &brief, NULL),
            NH_OK);
        if (n % 16 == 0)
            nh_sweep(store, now_ms, 64);
    }
    for (unsigned n = 0; n < 2000; n++)
        there += is_there(store, now_ms, key_number_in(1, text, n));
    EXPECT(there >= 1990);
    nh_destroy(store);
}

TEST(a_touch_on_a_condition_looks_at_the_expiry_that_is_there)
{
    static const struct {
        int64_t before_ttl_ms, ttl_ms;
        uint32_t conditions;
        nh_result result;
        int64_t after_ttl_ms; /* -1: gone */
    } cases[] = {
        {0, 10, 0, NH_OK, 10},
        {0, 10, NH_TOUCH_IF_NEVER, NH_OK, 10},
        {5, 10, NH_TOUCH_IF_NEVER, NH_CHANGED, 5},
        {0, 10, NH_TOUCH_IF_SOME, NH_CHANGED, 0},
        {5, 10, NH_TOUCH_IF_SOME, NH_OK, 10},
        {5, 0, NH_TOUCH_IF_SOME, NH_OK, 0},
        {0, 0, NH_TOUCH_IF_SOME, NH_CHANGED, 0},
        {5, 6, NH_TOUCH_IF_LATER, NH_OK, 6},
        {5, 5, NH_TOUCH_IF_LATER, NH_CHANGED, 5},
        {0, 6, NH_TOUCH_IF_LATER, NH_CHANGED, 0},
        {5, 0, NH_TOUCH_IF_LATER, NH_OK, 0},
        {5, 4, NH_TOUCH_IF_EARLIER, NH_OK, 4},
        {5, 5, NH_TOUCH_IF_EARLIER, NH_CHANGED, 5},
        {0, 6, NH_TOUCH_IF_EARLIER, NH_OK, 6},
        {5, 0, NH_TOUCH_IF_EARLIER, NH_CHANGED, 5},
        {0, 6, NH_TOUCH_IF_EARLIER | NH_TOUCH_IF_SOME, NH_CHANGED, 0},
        {5, -1, NH_TOUCH_IF_LATER, NH_CHANGED, 5},
        {5, -1, NH_TOUCH_IF_EARLIER, NH_OK, -1},
        {5, -1, NH_TOUCH_IF_NEVER, NH_CHANGED, 5},
    };
    nh_store *store = make_store(1 << 20);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_put_options put = {.size = sizeof put, .ttl_ms = cases[i].before_ttl_ms};
        nh_key key = key_of("k");
        nh_value value;

        EXPECT_EQ(nh_put(store, NOW, key, value_of("v"), &put, NULL), NH_OK);
        EXPECT_EQ(nh_touch_if(store, NOW, key, cases[i].ttl_ms, cases[i].conditions), cases[i].result);
        if (cases[i].after_ttl_ms < 0) {
            EXPECT(!is_there(store, NOW, key));
            continue;
        }
        EXPECT_EQ(nh_borrow(store, NOW, key, &value), NH_OK);
        EXPECT_EQ(value.expires_at_ms, cases[i].after_ttl_ms == 0 ? 0 : NOW + cases[i].after_ttl_ms);
        nh_release(store, &value);
    }
    EXPECT_EQ(nh_touch_if(store, NOW, key_of("none"), 1, NH_TOUCH_IF_NEVER), NH_MISSING);
    EXPECT_EQ(nh_touch_if(store, NOW, key_of("k"), 1, 16), NH_INVALID);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_value_is_served_until_its_millisecond_comes_and_never_after),
          TEST_ROW(a_lifetime_that_ends_at_the_clocks_zero_ends),
          TEST_ROW(a_lifetime_at_the_edge_of_all_numbers_does_not_wrap),
          TEST_ROW(without_a_lifetime_a_value_stays_for_ever),
          TEST_ROW(a_touch_changes_the_expiry_and_not_the_version),
          TEST_ROW(a_touch_moves_any_lifetime_to_any_other_and_keeps_all_else),
          TEST_ROW(an_expired_key_is_missing_to_every_call),
          TEST_ROW(an_expired_value_passes_nothing_on_to_the_next),
          TEST_ROW(a_negative_ttl_leaves_the_key_missing_but_heeds_the_condition),
          TEST_ROW(a_put_keeps_the_expiry_only_if_asked_to),
          TEST_ROW(a_stale_value_is_served_and_says_so_from_its_millisecond_on),
          TEST_ROW(hard_and_soft_expiry_are_independent),
          TEST_ROW(a_sweep_frees_what_has_expired_within_its_budget),
          TEST_ROW(a_sweep_gives_back_the_memory_of_what_has_expired),
          TEST_ROW(each_value_stays_until_its_own_millisecond_while_sweeps_go_on),
          TEST_ROW(what_has_expired_makes_room_before_what_is_alive),
          TEST_ROW(a_touch_on_a_condition_looks_at_the_expiry_that_is_there))
