/* links: nuthatch-store m */
/* Reading through: who computes, who waits, and that what was computed from older data replaces nothing. */
#include "store_words.h"
#include <math.h>

enum { LEASE_MS = 10000 }; /* where no option says another */

/* A fetch that lends nothing on: what was lent is looked at and released. */
struct answer {
    nh_fetch_state fetched;
    uint64_t lease;
    uint32_t traits;
    char text[32];
};

static struct answer fetch_with(nh_store *store, int64_t now_ms, nh_key key,
                                const nh_fetch_options *options)
{
    struct answer answer = {.fetched = -1};
    nh_value value;

    EXPECT_EQ(nh_fetch(store, now_ms, key, options, &answer.fetched, &answer.lease, &value), NH_OK);
    if (answer.fetched <= NH_FETCH_STALE_LEASE) {
        EXPECT(value.bytes.size < sizeof answer.text);
        memcpy(answer.text, value.bytes.data, value.bytes.size);
        answer.traits = value.traits;
        EXPECT_EQ((value.traits & NH_VALUE_STALE) != 0, answer.fetched >= NH_FETCH_STALE);
        nh_release(store, &value);
    }
    if (answer.fetched == NH_FETCH_HIT_LEASE || answer.fetched == NH_FETCH_STALE_LEASE ||
        answer.fetched == NH_FETCH_MISS_LEASE)
        EXPECT(answer.lease != 0);
    return answer;
}

static struct answer fetch(nh_store *store, int64_t now_ms, nh_key key)
{
    return fetch_with(store, now_ms, key, NULL);
}

/* Fetches and expects a state; returns the lease. */
static uint64_t expect_fetched(nh_store *store, int64_t now_ms, nh_key key, nh_fetch_state wanted)
{
    struct answer answer = fetch(store, now_ms, key);
    EXPECT_EQ(answer.fetched, wanted);
    return answer.lease;
}

static nh_result fill_text(nh_store *store, int64_t now_ms, nh_key key, uint64_t lease, const char *text)
{
    return nh_fill(store, now_ms, key, lease, value_of(text), NULL, NULL);
}

/* Puts a value that is stale from NOW on, with the tag "old". */
static void put_stale(nh_store *store, nh_key key)
{
    nh_bytes tag = value_of("old");
    nh_put_options options = {.size = sizeof options, .soft_ttl_ms = 10, .tags = &tag, .tag_count = 1};
    EXPECT_EQ(nh_put(store, NOW - 10, key, value_of("7"), &options, NULL), NH_OK);
}

TEST(of_many_callers_that_miss_one_computes_and_the_others_wait)
{
    nh_store *store = make_store(1 << 20);
    uint64_t version = 0;
    nh_value value;
    uint64_t lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);

    for (int i = 0; i < 100; i++)
        expect_fetched(store, NOW + i, key_of("k"), NH_FETCH_MISS_WAIT);
    expect_fetched(store, NOW + 99, key_of("other"), NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_fill(store, NOW + 100, key_of("k"), lease, value_of("v"), NULL, &version), NH_OK);
    for (int i = 0; i < 10; i++)
        expect_fetched(store, NOW + 100, key_of("k"), NH_FETCH_HIT);
    EXPECT_EQ(nh_borrow(store, NOW + 100, key_of("k"), &value), NH_OK);
    EXPECT_TEXT(lent(&value), BYTES("v"));
    EXPECT_EQ(value.version, version);
    nh_release(store, &value);
    EXPECT_EQ(stats_of(store).leases, 2);
    EXPECT_EQ(stats_of(store).lease_waits, 100);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(a_stale_value_is_served_to_all_and_computed_by_one)
{
    nh_store *store = make_store(1 << 20);
    struct answer answer;
    uint64_t lease;

    put_stale(store, key_of("k"));
    expect_fetched(store, NOW - 1, key_of("k"), NH_FETCH_HIT);
    lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_STALE_LEASE);
    for (int i = 0; i < 10; i++) {
        answer = fetch(store, NOW, key_of("k"));
        EXPECT_EQ(answer.fetched, NH_FETCH_STALE);
        EXPECT_TEXT(bytes_of_text(answer.text), BYTES("7"));
    }
    expect_text(store, NOW, key_of("k"), "7");
    EXPECT_EQ(fill_text(store, NOW, key_of("k"), lease, "8"), NH_OK);
    answer = fetch(store, NOW, key_of("k"));
    EXPECT_EQ(answer.fetched, NH_FETCH_HIT);
    EXPECT_TEXT(bytes_of_text(answer.text), BYTES("8"));
    EXPECT_EQ(stats_of(store).lease_waits, 10);
    nh_destroy(store);
}

TEST(a_fill_puts_as_a_put_does)
{
    nh_store *store = make_store(4 << 20);
    nh_bytes tag = value_of("t");
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = 100,
                              .soft_ttl_ms = 50,
                              .flags = 42,
                              .tags = &tag,
                              .tag_count = 1};
    uint64_t size = 2 * stats_of(store).segment_bytes + 5, lease;
    char *bytes = malloc(size);
    nh_value value;

    lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_fill(store, NOW, key_of("k"), lease, value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 50, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.flags, 42);
    EXPECT_EQ(value.expires_at_ms, NOW + 100);
    EXPECT_EQ(value.stale_at_ms, NOW + 50);
    nh_release(store, &value);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NOW + 50, key_of("k"));
    /* a value in pieces */
    pattern_fill(bytes, size, 0, 3);
    lease = expect_fetched(store, NOW + 50, key_of("l"), NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_fill(store, NOW + 50, key_of("l"), lease, (nh_bytes){bytes, size}, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 50, key_of("l"), &value), NH_OK);
    expect_pattern(store, &value, size, 3);
    nh_release(store, &value);
    /* one that has expired before it came */
    lease = expect_fetched(store, NOW + 50, key_of("n"), NH_FETCH_MISS_LEASE);
    options.ttl_ms = -1;
    EXPECT_EQ(nh_fill(store, NOW + 50, key_of("n"), lease, value_of("v"), &options, NULL), NH_OK);
    expect_missing(store, NOW + 50, key_of("n"));
    expect_fetched(store, NOW + 50, key_of("n"), NH_FETCH_MISS_LEASE);
    free(bytes);
    nh_destroy(store);
}

TEST(a_lease_is_good_for_one_fill_of_its_own_key)
{
    nh_store *store = make_store(1 << 20);
    uint64_t lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
    uint64_t other = expect_fetched(store, NOW, key_in(1, "k"), NH_FETCH_MISS_LEASE);

    EXPECT(lease != other);
    EXPECT_EQ(fill_text(store, NOW, key_of("k"), lease + 1, "x"), NH_CHANGED);
    EXPECT_EQ(fill_text(store, NOW, key_of("k"), other, "x"), NH_CHANGED);
    EXPECT_EQ(fill_text(store, NOW, key_of("stranger"), lease, "x"), NH_CHANGED);
    EXPECT_EQ(fill_text(store, NOW, key_of("k"), UINT64_MAX, "x"), NH_CHANGED);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    EXPECT_EQ(fill_text(store, NOW, key_of("k"), lease, "v"), NH_OK);
    EXPECT_EQ(fill_text(store, NOW, key_of("k"), lease, "w"), NH_CHANGED);
    expect_text(store, NOW, key_of("k"), "v");
    EXPECT_EQ(stats_of(store).fills_refused, 5);
    EXPECT_EQ(fill_text(store, NOW, key_in(1, "k"), other, "u"), NH_OK);
    expect_text(store, NOW, key_in(1, "k"), "u");
    nh_destroy(store);
}

TEST(a_lease_that_was_given_up_is_the_next_callers)
{
    nh_store *store = make_store(1 << 20);
    uint64_t first, second;

    put_stale(store, key_of("stale"));
    for (int i = 0; i < 2; i++) {
        nh_key key = key_of(i == 0 ? "missing" : "stale");
        nh_fetch_state with_lease = i == 0 ? NH_FETCH_MISS_LEASE : NH_FETCH_STALE_LEASE;
        first = expect_fetched(store, NOW, key, with_lease);
        EXPECT_EQ(nh_give_up(store, key, first + 1), NH_CHANGED);
        EXPECT_EQ(nh_give_up(store, key_of("stranger"), first), NH_CHANGED);
        expect_fetched(store, NOW, key, i == 0 ? NH_FETCH_MISS_WAIT : NH_FETCH_STALE);
        EXPECT_EQ(nh_give_up(store, key, first), NH_OK);
        EXPECT_EQ(nh_give_up(store, key, first), NH_CHANGED);
        EXPECT_EQ(fill_text(store, NOW, key, first, "x"), NH_CHANGED);
        second = expect_fetched(store, NOW, key, with_lease);
        EXPECT(second != first);
        EXPECT_EQ(fill_text(store, NOW, key, first, "x"), NH_CHANGED);
        EXPECT_EQ(nh_give_up(store, key, first), NH_CHANGED);
        EXPECT_EQ(fill_text(store, NOW, key, second, "v"), NH_OK);
        EXPECT_EQ(nh_give_up(store, key, second), NH_CHANGED);
        expect_text(store, NOW, key, "v");
    }
    nh_destroy(store);
}

TEST(all_leases_can_be_ended_at_once)
{
    nh_store *store = make_store(1 << 20);
    struct answer first = fetch(store, NOW, key_of("a")), second = fetch(store, NOW, key_of("b"));

    nh_end_leases(store);
    EXPECT_EQ(fill_text(store, NOW, key_of("a"), first.lease, "late"), NH_CHANGED);
    EXPECT_EQ(nh_give_up(store, key_of("b"), second.lease), NH_CHANGED);
    first = fetch(store, NOW, key_of("a"));
    EXPECT_EQ(first.fetched, NH_FETCH_MISS_LEASE);
    EXPECT_EQ(fill_text(store, NOW, key_of("a"), first.lease, "anew"), NH_OK);
    expect_text(store, NOW, key_of("a"), "anew");
    nh_destroy(store);
}

TEST(a_lease_lasts_as_long_as_was_said)
{
    static const int64_t leases_ms[] = {0, 1, 50, 1000, 60000, 3600000};
    for (size_t i = 0; i < COUNT_OF(leases_ms); i++)
        for (int is_stale = 0; is_stale < 2; is_stale++) {
            nh_store *store = make_store(1 << 20);
            nh_fetch_options options = {.size = sizeof options, .lease_ms = leases_ms[i]};
            int64_t end_ms = NOW + (leases_ms[i] != 0 ? leases_ms[i] : LEASE_MS);
            nh_fetch_state with_lease = is_stale ? NH_FETCH_STALE_LEASE : NH_FETCH_MISS_LEASE;
            struct answer first, second;

            if (is_stale)
                put_stale(store, key_of("k"));
            first = fetch_with(store, NOW, key_of("k"), &options);
            EXPECT_EQ(first.fetched, with_lease);
            expect_fetched(store, end_ms - 1, key_of("k"), is_stale ? NH_FETCH_STALE : NH_FETCH_MISS_WAIT);
            second = fetch_with(store, end_ms, key_of("k"), &options);
            EXPECT_EQ(second.fetched, with_lease);
            EXPECT(second.lease != first.lease);
            EXPECT_EQ(fill_text(store, end_ms, key_of("k"), first.lease, "x"), NH_CHANGED);
            EXPECT_EQ(fill_text(store, end_ms, key_of("k"), second.lease, "v"), NH_OK);
            expect_text(store, end_ms, key_of("k"), "v");
            nh_destroy(store);
        }
}

TEST(a_fill_comes_in_time_until_the_last_millisecond_of_its_lease)
{
    for (int64_t late_ms = -1; late_ms < 2; late_ms++) {
        nh_store *store = make_store(1 << 20);
        uint64_t lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
        EXPECT_EQ(fill_text(store, NOW + LEASE_MS + late_ms, key_of("k"), lease, "v"),
                  late_ms < 0 ? NH_OK : NH_CHANGED);
        EXPECT_EQ(is_there(store, NOW + LEASE_MS + late_ms, key_of("k")), late_ms < 0);
        nh_destroy(store);
    }
}

/* What ends a lease. Each row is done to the key between fetch and fill; on a missing one, on a stale one.
 */
enum deed {
    PUT,
    PUT_EXPIRED,
    ADD,
    REPLACE,
    CAS,
    EXCHANGE,
    APPEND,
    PREPEND,
    INCREMENT,
    DELETE,
    TOUCH_AWAY,
    FETCH_TOUCH_AWAY,
    CLEAR_SPACE,
    CLEAR_ALL,
    PURGE_TAG,
    SOFT_PURGE_TAG,
    PURGE_TAG_OF_FILL,
    PUBLISH,
    COMMIT,
    DEED_COUNT
};

/* Does it and returns whether it can be done to such a key. */
static bool do_deed(nh_store *store, enum deed deed, bool is_stale)
{
    nh_key key = key_of("k");
    nh_bytes nine = value_of("9");
    nh_put_options past = {.size = sizeof past, .ttl_ms = -1};
    nh_writer *writer;
    int32_t had_before;
    nh_value value;

    switch (deed) {
    case PUT: EXPECT_EQ(nh_put(store, NOW, key, nine, NULL, NULL), NH_OK); return true;
    case PUT_EXPIRED: EXPECT_EQ(nh_put(store, NOW, key, nine, &past, NULL), NH_OK); return true;
    case ADD:
        if (is_stale)
            return false;
        EXPECT_EQ(nh_add(store, NOW, key, nine, NULL, NULL), NH_OK);
        return true;
    case REPLACE:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_replace(store, NOW, key, nine, NULL, NULL), NH_OK);
        return true;
    case CAS:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_borrow(store, NOW, key, &value), NH_OK);
        EXPECT_EQ(nh_cas(store, NOW, key, nine, NULL, value.version, NULL), NH_OK);
        nh_release(store, &value);
        return true;
    case EXCHANGE:
        EXPECT_EQ(nh_exchange(store, NOW, key, nine, NULL, &value, &had_before), NH_OK);
        EXPECT_EQ(had_before, is_stale);
        if (had_before)
            nh_release(store, &value);
        return true;
    case APPEND:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_append(store, NOW, key, nine, NULL), NH_OK);
        return true;
    case PREPEND:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_prepend(store, NOW, key, nine, NULL), NH_OK);
        return true;
    case INCREMENT:
        EXPECT_EQ(nh_increment(store, NOW, key, 2, NH_INCREMENT_SIGNED, NULL), NH_OK);
        return true;
    case DELETE: EXPECT_EQ(nh_delete(store, NOW, key), is_stale ? NH_OK : NH_MISSING); return true;
    case TOUCH_AWAY:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_touch(store, NOW, key, -1), NH_OK);
        return true;
    case FETCH_TOUCH_AWAY:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_get_and_touch(store, NOW, key, -1, &value), NH_OK);
        nh_release(store, &value);
        return true;
    case CLEAR_SPACE: nh_clear(store, 0); return true;
    case CLEAR_ALL: nh_clear(store, NH_SPACE_ALL); return true;
    case PURGE_TAG:
    case SOFT_PURGE_TAG:
        if (!is_stale)
            return false;
        EXPECT_EQ(nh_purge_tag(store, value_of("old"), deed == PURGE_TAG ? NH_PURGE_DROP : NH_PURGE_SOFT),
                  NH_OK);
        return true;
    case PURGE_TAG_OF_FILL:
        EXPECT_EQ(nh_purge_tag(store, value_of("new"), NH_PURGE_DROP), NH_OK);
        return true;
    case PUBLISH:
    case COMMIT:
        EXPECT_EQ(nh_writer_create(store, NOW, key, NULL, &writer), NH_OK);
        EXPECT_EQ(nh_writer_append(writer, NOW, nine), NH_OK);
        if (deed == PUBLISH)
            EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
        EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
        return true;
    case DEED_COUNT: break;
    }
    return false;
}

TEST(a_fill_is_refused_after_any_write_delete_or_purge_of_its_key)
{
    static const nh_bytes new_tag = {"new", 3};
    static const nh_put_options options = {.size = sizeof options, .tags = &new_tag, .tag_count = 1};
    unsigned done = 0;

    for (enum deed deed = 0; deed < DEED_COUNT; deed++)
        for (int is_stale = 0; is_stale < 2; is_stale++) {
            nh_store *store = make_store(4 << 20);
            char before[32] = "", after[32] = "";
            nh_result there_before, there_after;
            uint64_t lease;
            if (is_stale)
                put_stale(store, key_of("k"));
            lease = expect_fetched(store, NOW, key_of("k"),
                                   is_stale ? NH_FETCH_STALE_LEASE : NH_FETCH_MISS_LEASE);
            if (do_deed(store, deed, is_stale)) {
                nh_result result;
                done++;
                there_before = nh_get(store, NOW, key_of("k"), before, sizeof before, NULL);
                result = nh_fill(store, NOW, key_of("k"), lease, value_of("computed"), &options, NULL);
                if (result != NH_CHANGED)
                    fail_msg("deed %d on a %s key: the fill says %d", (int)deed,
                             is_stale ? "stale" : "missing", result);
                there_after = nh_get(store, NOW, key_of("k"), after, sizeof after, NULL);
                EXPECT_EQ(there_after, there_before);
                EXPECT_EQ(memcmp(before, after, sizeof before), 0);
                EXPECT_EQ(nh_give_up(store, key_of("k"), lease), NH_CHANGED);
                EXPECT_EQ(stats_of(store).fills_refused, 1);
            }
            nh_destroy(store);
        }
    EXPECT(done > 20);
}

TEST(what_is_missing_after_such_a_deed_is_computed_anew)
{
    static const enum deed deeds[] = {PUT_EXPIRED, DELETE, TOUCH_AWAY, CLEAR_SPACE, CLEAR_ALL, PURGE_TAG};
    for (size_t i = 0; i < COUNT_OF(deeds); i++) {
        nh_store *store = make_store(4 << 20);
        uint64_t old, lease;
        put_stale(store, key_of("k"));
        old = expect_fetched(store, NOW, key_of("k"), NH_FETCH_STALE_LEASE);
        EXPECT(do_deed(store, deeds[i], true));
        lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
        EXPECT_EQ(fill_text(store, NOW, key_of("k"), old, "old"), NH_CHANGED);
        expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_WAIT);
        EXPECT_EQ(fill_text(store, NOW, key_of("k"), lease, "new"), NH_OK);
        expect_text(store, NOW, key_of("k"), "new");
        nh_destroy(store);
    }
}

/* The purged value itself may be gone when the fill comes. */
TEST(a_fill_is_refused_after_a_purge_and_a_sweep)
{
    for (int how = NH_PURGE_DROP; how <= NH_PURGE_SOFT; how++) {
        nh_store *store = make_store(1 << 20);
        char text[32], bytes[500] = {0};
        uint64_t lease;

        put_stale(store, key_of("k"));
        lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_STALE_LEASE);
        EXPECT_EQ(nh_purge_tag(store, value_of("old"), how), NH_OK);
        sweep_all(store, NOW);
        for (unsigned n = 0; n < 10000; n++) { /* or it is evicted, as these are used more */
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                      NH_OK);
            for (int i = 0; i < 3; i++)
                nh_get(store, NOW, key_number(text, n), NULL, 0, NULL);
        }
        EXPECT(!is_there(store, NOW, key_of("k")));
        EXPECT_EQ(fill_text(store, NOW, key_of("k"), lease, "computed"), NH_CHANGED);
        nh_destroy(store);
    }
}

/* A soft purge of a tag that only the fill names: what was computed before it must not pass for fresh. */
TEST(what_was_computed_before_a_soft_purge_is_not_fresh)
{
    nh_store *store = make_store(4 << 20);
    nh_bytes tag = value_of("new");
    nh_put_options options = {.size = sizeof options, .tags = &tag, .tag_count = 1};
    uint64_t lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
    nh_result result;

    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK);
    result = nh_fill(store, NOW, key_of("k"), lease, value_of("computed"), &options, NULL);
    EXPECT(result == NH_CHANGED || result == NH_OK);
    if (result == NH_OK)
        expect_fetched(store, NOW, key_of("k"), NH_FETCH_STALE_LEASE);
    else
        expect_missing(store, NOW, key_of("k"));
    nh_destroy(store);
}

TEST(what_does_not_touch_the_key_ends_no_lease)
{
    for (int is_stale = 0; is_stale < 2; is_stale++) {
        nh_store *store = make_store(16 << 20);
        nh_key key = key_of("k");
        nh_value value;
        uint64_t lease;
        char text[32];

        if (is_stale)
            put_stale(store, key);
        lease = expect_fetched(store, NOW, key, is_stale ? NH_FETCH_STALE_LEASE : NH_FETCH_MISS_LEASE);
        EXPECT_EQ(nh_put(store, NOW, key_in(1, "k"), value_of("x"), NULL, NULL), NH_OK);
        EXPECT_EQ(nh_delete(store, NOW, key_in(1, "k")), NH_OK);
        nh_clear(store, 1);
        EXPECT_EQ(nh_purge_tag(store, value_of("nobody's"), NH_PURGE_DROP), NH_OK);
        for (unsigned n = 0; n < 30000; n++) /* the index grows */
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("x"), NULL, NULL), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key, &value), is_stale ? NH_OK : NH_MISSING);
        if (is_stale)
            nh_release(store, &value);
        EXPECT_EQ(nh_cas(store, NOW, key, value_of("x"), NULL, UINT64_MAX, NULL),
                  is_stale ? NH_CHANGED : NH_MISSING);
        if (is_stale)
            EXPECT_EQ(nh_add(store, NOW, key, value_of("x"), NULL, NULL), NH_EXISTS);
        else
            EXPECT_EQ(nh_replace(store, NOW, key, value_of("x"), NULL, NULL), NH_MISSING);
        EXPECT_EQ(nh_touch(store, NOW, key, 1000), is_stale ? NH_OK : NH_MISSING);
        EXPECT_EQ(nh_touch(store, NOW, key, 4294967296), is_stale ? NH_OK : NH_MISSING); /* wants a copy */
        sweep_all(store, NOW);
        expect_fetched(store, NOW, key, is_stale ? NH_FETCH_STALE : NH_FETCH_MISS_WAIT);
        EXPECT_EQ(fill_text(store, NOW, key, lease, "v"), NH_OK);
        expect_text(store, NOW, key, "v");
        nh_destroy(store);
    }
}

TEST(a_lease_outlasts_the_value_that_it_renews)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options options = {.size = sizeof options, .soft_ttl_ms = 10, .ttl_ms = 20};
    uint64_t lease;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("old"), &options, NULL), NH_OK);
    lease = expect_fetched(store, NOW + 10, key_of("k"), NH_FETCH_STALE_LEASE);
    expect_fetched(store, NOW + 19, key_of("k"), NH_FETCH_STALE);
    expect_fetched(store, NOW + 20, key_of("k"), NH_FETCH_MISS_WAIT);
    EXPECT_EQ(fill_text(store, NOW + 21, key_of("k"), lease, "new"), NH_OK);
    expect_text(store, NOW + 21, key_of("k"), "new");
    nh_destroy(store);
}

TEST(a_lease_is_no_value)
{
    nh_store *store = make_store(1 << 20);
    nh_cursor *cursor;
    nh_value value;
    nh_key key;

    expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_count(store, 0), 0);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    EXPECT_EQ(stats_of(store).items, 0);
    expect_missing(store, NOW, key_of("k"));
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 10), NH_MISSING);
    EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("v"), NULL, NULL), NH_MISSING);
    EXPECT_EQ(nh_append(store, NOW, key_of("k"), value_of("v"), NULL), NH_MISSING);
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("v"), NULL, 0, NULL), NH_MISSING);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_MISSING);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("v"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_count(store, 0), 1);
    nh_destroy(store);
}

/* There is a place for one for each 16 KiB of memory; they fill unevenly, and what finds none ends another.
 */
TEST(thousands_of_leases_may_be_out_at_once)
{
    enum { COUNT = 1000 };
    nh_store *store = make_store(64 << 20);
    unsigned accepted = 0;
    uint64_t *leases = calloc(COUNT, sizeof *leases);
    char text[32];

    for (unsigned n = 0; n < COUNT; n++)
        leases[n] = expect_fetched(store, NOW, key_number(text, n), NH_FETCH_MISS_LEASE);
    for (unsigned n = 0; n < COUNT; n++)
        if (fill_text(store, NOW, key_number(text, n), leases[n], "v") == NH_OK) {
            expect_text(store, NOW, key_number(text, n), "v");
            accepted++;
        }
    EXPECT(accepted >= COUNT * 97 / 100);
    EXPECT_EQ(nh_count(store, 0), accepted);
    EXPECT_EQ(stats_of(store).fills_refused, COUNT - accepted);
    free(leases);
    nh_destroy(store);
}

/* Nobody fills: the leases of a million keys that were asked for once must not pile up. */
TEST(leases_that_nobody_fills_take_no_memory_for_ever)
{
    nh_store *store = make_store(4 << 20);
    unsigned there = 0;
    char text[32];

    for (unsigned n = 0; n < 1000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number_in(1, text, n), value_of("v"), NULL, NULL), NH_OK);
    for (unsigned n = 0; n < 200000; n++) {
        expect_fetched(store, NOW + n, key_number(text, n), NH_FETCH_MISS_LEASE);
        if (n % 100 == 0) {
            nh_sweep(store, NOW + n, 200);
            for (unsigned k = 0; k < 1000; k += 10)
                nh_get(store, NOW + n, key_number_in(1, text, (k + n / 100) % 1000), NULL, 0, NULL);
        }
    }
    EXPECT(stats_of(store).memory_bytes <= 4 << 20);
    for (unsigned n = 0; n < 1000; n++)
        there += is_there(store, NOW + 200000, key_number_in(1, text, n));
    EXPECT(there > 900);
    nh_destroy(store);
}

TEST(a_negative_entry_is_missing_to_all_but_fetch_walks_and_counts)
{
    nh_put_options negative = {
        .size = sizeof negative, .ttl_ms = 1000, .soft_ttl_ms = 500, .flags = 3, .negative = 1};
    for (int call = 0; call < 12; call++) {
        nh_store *store = make_store(1 << 20);
        nh_get_request request = {.key = key_of("k")};
        struct answer answer;
        nh_value value;
        int32_t had_before;

        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("404"), &negative, NULL), NH_OK);
        EXPECT_EQ(nh_count(store, 0), 1);
        answer = fetch(store, NOW, key_of("k"));
        EXPECT_EQ(answer.fetched, NH_FETCH_HIT);
        EXPECT_EQ(answer.traits, NH_VALUE_NEGATIVE);
        EXPECT_TEXT(bytes_of_text(answer.text), BYTES("404"));
        switch (call) {
        case 0: EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_MISSING); break;
        case 1: EXPECT_EQ(nh_peek(store, NOW, key_of("k"), &value), NH_MISSING); break;
        case 2: EXPECT_EQ(nh_get(store, NOW, key_of("k"), NULL, 0, NULL), NH_MISSING); break;
        case 3:
            EXPECT_EQ(nh_get_many(store, NOW, &request, 1), NH_OK);
            EXPECT_EQ(request.result, NH_MISSING);
            break;
        case 4: EXPECT_EQ(nh_get_and_touch(store, NOW, key_of("k"), 5, &value), NH_MISSING); break;
        case 5: EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 5), NH_MISSING); break;
        case 6:
            EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("v"), NULL, NULL), NH_MISSING);
            break;
        case 7: EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("v"), NULL, 1, NULL), NH_MISSING); break;
        case 8: EXPECT_EQ(nh_append(store, NOW, key_of("k"), value_of("v"), NULL), NH_MISSING); break;
        case 9:
            EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, NH_INCREMENT_UNSIGNED, NULL), NH_MISSING);
            break;
        case 10:
            EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), value_of("v"), NULL, &value, &had_before),
                      NH_OK);
            EXPECT_EQ(had_before, 0);
            break;
        case 11: EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("v"), NULL, NULL), NH_OK); break;
        }
        if (call < 10) { /* it is still known to be missing */
            answer = fetch(store, NOW, key_of("k"));
            EXPECT_EQ(answer.fetched, NH_FETCH_HIT);
            EXPECT_EQ(answer.traits, NH_VALUE_NEGATIVE);
        } else { /* and now it is there */
            answer = fetch(store, NOW, key_of("k"));
            EXPECT_EQ(answer.fetched, NH_FETCH_HIT);
            EXPECT_EQ(answer.traits, 0);
            expect_text(store, NOW, key_of("k"), "v");
            EXPECT_EQ(nh_count(store, 0), 1);
        }
        nh_destroy(store);
    }
}

TEST(a_negative_entry_lives_by_the_rules_of_values)
{
    nh_store *store = make_store(1 << 20);
    nh_bytes tag = value_of("t");
    nh_put_options negative = {.size = sizeof negative,
                               .ttl_ms = 1000,
                               .soft_ttl_ms = 500,
                               .negative = 1,
                               .tags = &tag,
                               .tag_count = 1};
    uint64_t lease = expect_fetched(store, NOW, key_of("k"), NH_FETCH_MISS_LEASE);
    struct answer answer;

    EXPECT_EQ(nh_fill(store, NOW, key_of("k"), lease, value_of(""), &negative, NULL), NH_OK);
    expect_fetched(store, NOW + 499, key_of("k"), NH_FETCH_HIT);
    answer = fetch(store, NOW + 500, key_of("k"));
    EXPECT_EQ(answer.fetched, NH_FETCH_STALE_LEASE);
    EXPECT_EQ(answer.traits, NH_VALUE_NEGATIVE | NH_VALUE_STALE);
    expect_fetched(store, NOW + 500, key_of("k"), NH_FETCH_STALE);
    EXPECT_EQ(nh_fill(store, NOW + 500, key_of("k"), answer.lease, value_of("found"), NULL, NULL), NH_OK);
    expect_text(store, NOW + 500, key_of("k"), "found");
    /* A real value is replaced by the news that it is gone. */
    EXPECT_EQ(nh_put(store, NOW + 500, key_of("k"), value_of(""), &negative, NULL), NH_OK);
    expect_missing(store, NOW + 500, key_of("k"));
    EXPECT_EQ(nh_count(store, 0), 1);
    expect_fetched(store, NOW + 1499, key_of("k"), NH_FETCH_STALE_LEASE);
    expect_fetched(store, NOW + 1500, key_of("k"), NH_FETCH_MISS_WAIT);
    /* Purge and delete make forget. */
    EXPECT_EQ(nh_put(store, NOW + 1500, key_of("p"), value_of(""), &negative, NULL), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK);
    expect_fetched(store, NOW + 1500, key_of("p"), NH_FETCH_STALE_LEASE);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    expect_fetched(store, NOW + 1500, key_of("p"), NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_put(store, NOW + 1500, key_of("d"), value_of(""), &negative, NULL), NH_OK);
    EXPECT_EQ(nh_delete(store, NOW + 1500, key_of("d")), NH_MISSING);
    expect_fetched(store, NOW + 1500, key_of("d"), NH_FETCH_MISS_LEASE);
    nh_destroy(store);
}

/* ---- early refresh ------------------------------------------------------------------------------- */

/* How often, of `tries`, a fetch at `remaining_ms` before the end gets a lease. */
static double share_of_leases(nh_store *store, int64_t end_ms, int64_t remaining_ms, uint32_t early_percent,
                              unsigned tries)
{
    nh_fetch_options options = {.size = sizeof options, .early_percent = early_percent};
    unsigned leases = 0;

    for (unsigned i = 0; i < tries; i++) {
        struct answer answer = fetch_with(store, end_ms - remaining_ms, key_of("k"), &options);
        EXPECT(answer.fetched == NH_FETCH_HIT || answer.fetched == NH_FETCH_HIT_LEASE);
        EXPECT_EQ(answer.traits, 0);
        if (answer.fetched != NH_FETCH_HIT_LEASE)
            continue;
        leases++;
        EXPECT_EQ(fetch_with(store, end_ms - remaining_ms, key_of("k"), &options).fetched, NH_FETCH_HIT);
        EXPECT_EQ(nh_give_up(store, key_of("k"), answer.lease), NH_OK);
    }
    return (double)leases / tries;
}

TEST(without_beta_cost_or_end_nothing_is_refreshed_early)
{
    static const struct {
        int64_t ttl_ms, soft_ttl_ms;
        uint32_t cost_ms, early_percent;
    } cases[] = {{1000, 0, 1000000, 0}, {0, 1000, 1000000, 0}, {1000, 0, 0, 100}, {0, 0, 1000000, 100}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_store *store = make_store(1 << 20);
        nh_put_options options = {.size = sizeof options,
                                  .ttl_ms = cases[i].ttl_ms,
                                  .soft_ttl_ms = cases[i].soft_ttl_ms,
                                  .cost_ms = cases[i].cost_ms};
        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
        EXPECT(share_of_leases(store, NOW + 1000, 1, cases[i].early_percent, 500) < 1e-9);
        nh_destroy(store);
    }
}

TEST(the_nearer_the_end_and_the_dearer_the_value_the_likelier_is_an_early_refresh)
{
    enum { COST_MS = 1000, TRIES = 3000 };
    static const int64_t remaining_ms[] = {20000, 5000, 3000, 2000, 1000, 500, 100, 1};
    static const uint32_t early_percents[] = {50, 100, 200};

    for (int is_soft = 0; is_soft < 2; is_soft++)
        for (size_t p = 0; p < COUNT_OF(early_percents); p++) {
            nh_store *store = make_store(1 << 20);
            nh_put_options options = {.size = sizeof options,
                                      .ttl_ms = is_soft ? 1000000 : 60000,
                                      .soft_ttl_ms = is_soft ? 60000 : 0,
                                      .cost_ms = COST_MS};
            double before = 0;
            EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
            for (size_t r = 0; r < COUNT_OF(remaining_ms); r++) {
                /* XFetch: refreshed if cost × beta × -ln(random) reaches the end. */
                double wanted = exp(-(double)remaining_ms[r] / (COST_MS * early_percents[p] / 100.0));
                double share =
                    share_of_leases(store, NOW + 60000, remaining_ms[r], early_percents[p], TRIES);
                EXPECT(fabs(share - wanted) < 0.08);
                EXPECT(share > before - 0.05);
                before = share;
            }
            EXPECT(before > 0.9);
            nh_destroy(store);
        }
}

TEST(an_early_refresh_replaces_the_value_and_is_fenced_like_any_other)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options options = {.size = sizeof options, .ttl_ms = 10, .cost_ms = 1000000};
    nh_fetch_options early = {.size = sizeof early, .early_percent = 100};
    struct answer answer = {0};

    for (int round = 0; round < 2; round++) {
        int64_t now_ms = NOW + 1000 * round;
        EXPECT_EQ(nh_put(store, now_ms, key_of("k"), value_of("old"), &options, NULL), NH_OK);
        for (int i = 0; i < 100 && answer.fetched != NH_FETCH_HIT_LEASE; i++)
            answer = fetch_with(store, now_ms + 9, key_of("k"), &early);
        EXPECT_EQ(answer.fetched, NH_FETCH_HIT_LEASE);
        EXPECT_TEXT(bytes_of_text(answer.text), BYTES("old"));
        EXPECT_EQ(fetch(store, now_ms + 9, key_of("k")).fetched, NH_FETCH_HIT);
        if (round == 1)
            EXPECT_EQ(nh_delete(store, now_ms + 9, key_of("k")), NH_OK);
        EXPECT_EQ(fill_text(store, now_ms + 9, key_of("k"), answer.lease, "new"),
                  round == 0 ? NH_OK : NH_CHANGED);
        if (round == 0)
            expect_text(store, now_ms + 9, key_of("k"), "new");
        else
            expect_missing(store, now_ms + 9, key_of("k"));
        answer.fetched = -1;
    }
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(of_many_callers_that_miss_one_computes_and_the_others_wait),
          TEST_ROW(a_stale_value_is_served_to_all_and_computed_by_one), TEST_ROW(a_fill_puts_as_a_put_does),
          TEST_ROW(a_lease_is_good_for_one_fill_of_its_own_key),
          TEST_ROW(a_lease_that_was_given_up_is_the_next_callers),
          TEST_ROW(all_leases_can_be_ended_at_once), TEST_ROW(a_lease_lasts_as_long_as_was_said),
          TEST_ROW(a_fill_comes_in_time_until_the_last_millisecond_of_its_lease),
          TEST_ROW(a_fill_is_refused_after_any_write_delete_or_purge_of_its_key),
          TEST_ROW(what_is_missing_after_such_a_deed_is_computed_anew),
          TEST_ROW(a_fill_is_refused_after_a_purge_and_a_sweep),
          TEST_ROW(what_was_computed_before_a_soft_purge_is_not_fresh),
          TEST_ROW(what_does_not_touch_the_key_ends_no_lease),
          TEST_ROW(a_lease_outlasts_the_value_that_it_renews), TEST_ROW(a_lease_is_no_value),
          TEST_ROW(thousands_of_leases_may_be_out_at_once),
          TEST_ROW(leases_that_nobody_fills_take_no_memory_for_ever),
          TEST_ROW(a_negative_entry_is_missing_to_all_but_fetch_walks_and_counts),
          TEST_ROW(a_negative_entry_lives_by_the_rules_of_values),
          TEST_ROW(without_beta_cost_or_end_nothing_is_refreshed_early),
          TEST_ROW(the_nearer_the_end_and_the_dearer_the_value_the_likelier_is_an_early_refresh),
          TEST_ROW(an_early_refresh_replaces_the_value_and_is_fenced_like_any_other))
