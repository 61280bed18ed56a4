/* links: nuthatch-kv nuthatch-resp nuthatch-store nuthatch-message nuthatch-base
 * Leases, conditions, tags and locks as a Redis client meets them, on a clock that the test moves. */
#include "kv_talk.h"
#include <pthread.h>

struct fixture {
    struct talk talk;
    nh_store *store;
    struct kv_hub *hub;
};

static void setup(struct fixture *fixture)
{
    nh_options options = {
        .size = sizeof options, .memory_bytes = 16 << 20, .hash_seed = 1, .insight_spaces = 2};

    EXPECT_EQ(nh_create(&options, &fixture->store), NH_OK);
    EXPECT_EQ(kv_hub_create(1, NULL, NULL, &fixture->hub), OK);
    talk_init(&fixture->talk, fixture->store, fixture->hub, 0);
}

static void teardown(struct fixture *fixture)
{
    nh_stats stats = {.size = sizeof stats};

    EXPECT_EQ(nh_stats_read(fixture->store, &stats), NH_OK);
    EXPECT_EQ(stats.pinned_bytes, 0);
    buffer_fini(&fixture->talk.output);
    nh_destroy(fixture->store);
    kv_hub_destroy(fixture->hub);
}

static void expect(struct talk *talk, const char *says, const char *wanted)
{
    EXPECT_TEXT(talk_ask(talk, says), bytes_of_text(wanted));
}

/* Asks NH.GET and expects a state and a value ("$-1" for none). True if there is a lease, copied to
 * `lease`. */
static bool get(struct talk *talk, const char *says, const char *state, const char *value, char lease[32])
{
    struct bytes field;

    talk_ask(talk, says);
    EXPECT_TEXT(talk_field(talk, "state"), bytes_of_text(state));
    EXPECT_TEXT(talk_field(talk, "value"), bytes_of_text(value));
    field = talk_field(talk, "lease");
    assert_true(field.size < 32);
    if (field.size > 0)
        memcpy(lease, field.data, field.size);
    lease[field.size] = '\0';
    return !bytes_equal(field, BYTES("$-1"));
}

static const char *with(const char *before, const char *lease, const char *after)
{
    static char line[256];
    snprintf(line, sizeof line, "%s %s %s", before, lease, after);
    return line;
}

TEST(one_of_those_who_miss_gets_the_lease_and_the_others_wait_until_it_is_filled)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32], other[32];

    setup(&fixture);
    EXPECT_EQ(get(talk, "nh.get k", "missing", "$-1", lease), false);
    EXPECT_EQ(get(talk, "nh.get k lease", "missing", "$-1", lease), true);
    EXPECT_EQ(get(talk, "nh.get k lease", "wait", "$-1", other), false);
    expect(talk, with("nh.fill k", lease, "v px 1000 flags 5"), "+OK\r\n");
    EXPECT_EQ(get(talk, "nh.get k lease", "hit", "v", other), false);
    EXPECT_EQ(talk_number(talk, "ttl_ms"), 1000);
    EXPECT_EQ(talk_number(talk, "soft_ttl_ms"), -1);
    EXPECT_EQ(talk_number(talk, "flags"), 5);
    expect(talk, with("nh.fill k", lease, "w"), "$-1\r\n");
    expect(talk, "get k", "$1\r\nv\r\n");
    teardown(&fixture);
}

TEST(a_lease_ends_with_its_time_with_giving_up_and_with_a_write)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char first[32], second[32];

    setup(&fixture);
    EXPECT_EQ(get(talk, "nh.get k lease 500", "missing", "$-1", first), true);
    talk_pass(talk, 499);
    EXPECT_EQ(get(talk, "nh.get k lease", "wait", "$-1", second), false);
    talk_pass(talk, 1);
    EXPECT_EQ(get(talk, "nh.get k lease", "missing", "$-1", second), true);
    expect(talk, with("nh.fill k", first, "late"), "$-1\r\n");
    expect(talk, with("nh.giveup k", first, ""), ":0\r\n");
    expect(talk, with("nh.giveup k", second, ""), ":1\r\n");
    EXPECT_EQ(get(talk, "nh.get k lease", "missing", "$-1", first), true);
    expect(talk, "set k newer", "+OK\r\n");
    expect(talk, with("nh.fill k", first, "older"), "$-1\r\n");
    expect(talk, "get k", "$5\r\nnewer\r\n");
    teardown(&fixture);
}

TEST(a_stale_value_is_served_while_one_computes_the_next)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32], other[32];

    setup(&fixture);
    expect(talk, "nh.set k old ex 60 softttl 1000", "+OK\r\n");
    talk_pass(talk, 999);
    EXPECT_EQ(get(talk, "nh.get k lease", "hit", "old", lease), false);
    EXPECT_EQ(talk_number(talk, "soft_ttl_ms"), 1);
    talk_pass(talk, 1);
    EXPECT_EQ(get(talk, "nh.get k", "stale", "old", lease), false);
    EXPECT_EQ(talk_number(talk, "soft_ttl_ms"), 0);
    EXPECT_EQ(talk_number(talk, "ttl_ms"), 59000);
    EXPECT_EQ(get(talk, "nh.get k lease", "stale", "old", lease), true);
    EXPECT_EQ(get(talk, "nh.get k lease", "stale", "old", other), false);
    expect(talk, with("nh.fill k", lease, "new softttl 1000"), "+OK\r\n");
    EXPECT_EQ(get(talk, "nh.get k lease", "hit", "new", other), false);
    teardown(&fixture);
}

TEST(early_asks_one_to_compute_before_the_value_is_stale)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32];
    int early_count = 0;

    setup(&fixture);
    expect(talk, "nh.set k v px 1000 cost 900", "+OK\r\n");
    talk_pass(talk, 999);
    for (int i = 0; i < 100; i++)
        early_count += get(talk, "nh.get k lease early 1000", "hit", "v", lease);
    EXPECT_EQ(early_count, 1);
    expect(talk, "nh.get k early 100",
           "-ERR EARLY needs LEASE: who is asked to compute early must be able to fill\r\n");
    teardown(&fixture);
}

TEST(a_negative_entry_is_a_hit_of_nh_get_and_no_key_to_others)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32];

    setup(&fixture);
    EXPECT_EQ(get(talk, "nh.get k lease", "missing", "$-1", lease), true);
    expect(talk, with("nh.fill k", lease, "'no such user' negative px 500"), "+OK\r\n");
    EXPECT_EQ(get(talk, "nh.get k lease", "hit", "no such user", lease), false);
    EXPECT_EQ(talk_number(talk, "negative"), 1);
    EXPECT_EQ(get(talk, "nh.get k", "missing", "$-1", lease), false);
    EXPECT_EQ(talk_number(talk, "negative"), 0);
    expect(talk, "exists k", ":0\r\n");
    talk_pass(talk, 500);
    EXPECT_EQ(get(talk, "nh.get k lease", "missing", "$-1", lease), true);
    teardown(&fixture);
}

TEST(conditions_of_nh_set)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32], line[64];

    setup(&fixture);
    expect(talk, "nh.set k 1 xx", "$-1\r\n");
    expect(talk, "nh.set k 1 nx", "+OK\r\n");
    expect(talk, "nh.set k 2 nx", "$-1\r\n");
    expect(talk, "nh.set k 2 xx", "+OK\r\n");
    get(talk, "nh.get k", "hit", "2", lease);
    snprintf(line, sizeof line, "nh.set k 3 ifversion %.*s", BYTES_PRINTF(talk_field(talk, "version")));
    expect(talk, line, "+OK\r\n");
    expect(talk, line, "$-1\r\n");
    expect(talk, "get k", "$1\r\n3\r\n");
    teardown(&fixture);
}

TEST(words_that_are_not_understood_change_nothing)
{
    static const struct {
        const char *says, *wanted;
    } lines[] = {
        {"nh.set k v nx xx", "-ERR syntax error\r\n"},
        {"nh.set k v nx ifversion 1", "-ERR syntax error\r\n"},
        {"nh.set k v px", "-ERR syntax error\r\n"},
        {"nh.set k v px 1 ex 1", "-ERR syntax error\r\n"},
        {"nh.set k v px 0", "-ERR invalid expire time in 'nh.set' command\r\n"},
        {"nh.set k v softttl -1", "-ERR invalid expire time in 'nh.set' command\r\n"},
        {"nh.set k v ex 9223372036854775807", "-ERR invalid expire time in 'nh.set' command\r\n"},
        {"nh.set k v ex x", "-ERR value is not an integer or out of range\r\n"},
        {"nh.set k v flags 4294967296", "-ERR value is not an integer or out of range\r\n"},
        {"nh.set k v cost -1", "-ERR value is not an integer or out of range\r\n"},
        {"nh.set k v tags 0", "-ERR a value has 1 to 128 tags, or none without TAGS\r\n"},
        {"nh.set k v tags 129 a", "-ERR a value has 1 to 128 tags, or none without TAGS\r\n"},
        {"nh.set k v tags 2 a", "-ERR syntax error\r\n"},
        {"nh.set k v keepttl", "-ERR syntax error\r\n"},
        {"nh.fill k 0 v", "-ERR not a lease: give back the one that NH.GET gave\r\n"},
        {"nh.fill k 1 v nx", "-ERR syntax error\r\n"},
        {"nh.fill k x v", "-ERR not a lease: give back the one that NH.GET gave\r\n"},
        {"nh.giveup k x", "-ERR not a lease: give back the one that NH.GET gave\r\n"},
        {"nh.get k lease 0", "-ERR a lease must last for 1 millisecond or more\r\n"},
        {"nh.get k lease x", "-ERR syntax error\r\n"},
        {"nh.get k early", "-ERR syntax error\r\n"},
        {"nh.get k lease early -1", "-ERR EARLY is a percentage, 0 to 100000\r\n"},
        {"nh.get k wait", "-ERR syntax error\r\n"},
        {"nh.purge", "-ERR wrong number of arguments for 'nh.purge' command\r\n"},
        {"nh.purge prefix a b", "-ERR syntax error\r\n"},
        {"nh.purge prefix ''", "-ERR syntax error\r\n"},
        {"nh.purge tag ''", "-ERR a tag must not be empty\r\n"},
        {"nh.purge all k", "-ERR syntax error\r\n"},
        {"nh.purge prefix a b soft", "-ERR syntax error\r\n"},
        {"nh.purge prefix '' soft", "-ERR syntax error\r\n"},
        {"nh.purge key k soft", ":0\r\n"},
        {"exists k", ":0\r\n"},
    };
    struct fixture fixture;

    setup(&fixture);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        expect(&fixture.talk, lines[i].says, lines[i].wanted);
    teardown(&fixture);
}

TEST(a_purge_takes_what_carries_the_tag_or_begins_so_or_is_named)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32];

    setup(&fixture);
    expect(talk, "nh.set a 1 tags 2 red big", "+OK\r\n");
    expect(talk, "nh.set b 2 tags 1 blue", "+OK\r\n");
    expect(talk, "nh.set c 3 tags 1 green", "+OK\r\n");
    expect(talk, "nh.purge tag big none", "+OK\r\n");
    expect(talk, "mget a b c", "*3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    expect(talk, "nh.purge tag blue soft", "+OK\r\n");
    EXPECT_EQ(get(talk, "nh.get b lease", "stale", "2", lease), true);
    expect(talk, "nh.purge key a b c", ":2\r\n");

    for (int i = 0; i < 3000; i++) {
        char line[64];
        snprintf(line, sizeof line, "set user:%d%040d x", i, i);
        expect(talk, line, "+OK\r\n");
    }
    expect(talk, "mset use 1 users 2 user 3", "+OK\r\n");
    expect(talk, "select 1", "+OK\r\n");
    expect(talk, "set user:1 elsewhere", "+OK\r\n");
    expect(talk, "select 0", "+OK\r\n");
    expect(talk, "nh.purge prefix user:", ":3000\r\n");
    expect(talk, "dbsize", ":3\r\n");
    expect(talk, "select 1", "+OK\r\n");
    expect(talk, "exists user:1", ":1\r\n");
    teardown(&fixture);
}

TEST(a_soft_purge_by_key_or_prefix_makes_stale_what_keeps_all_else)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32], version[32];

    setup(&fixture);
    expect(talk, "nh.set page:1 one px 5000 flags 7 tags 1 t", "+OK\r\n");
    expect(talk, "nh.set page:2 two", "+OK\r\n");
    expect(talk, "nh.set page:3 none negative", "+OK\r\n");
    expect(talk, "set other three", "+OK\r\n");
    get(talk, "nh.get page:1", "hit", "one", lease);
    snprintf(version, sizeof version, "%.*s", BYTES_PRINTF(talk_field(talk, "version")));
    expect(talk, "nh.purge prefix page: soft", ":2\r\n");
    expect(talk, "nh.purge prefix page: SOFT", ":2\r\n");
    expect(talk, "mget page:1 page:2 page:3", "*3\r\n$3\r\none\r\n$3\r\ntwo\r\n$-1\r\n");
    expect(talk, "pttl page:1", ":5000\r\n");
    EXPECT_EQ(get(talk, "nh.get page:1 lease", "stale", "one", lease), true);
    EXPECT_EQ(talk_number(talk, "flags"), 7);
    EXPECT_EQ(talk_number(talk, "soft_ttl_ms"), 0);
    EXPECT_TEXT(talk_field(talk, "version"), bytes_of_text(version));
    EXPECT_EQ(get(talk, "nh.get page:3 lease", "stale", "none", lease), true);
    get(talk, "nh.get other lease", "hit", "three", lease);

    /* What was computed before the purge does not make it fresh; what is computed after it does. */
    EXPECT_EQ(get(talk, "nh.get page:2 lease", "stale", "two", lease), true);
    expect(talk, "nh.purge key page:2 nothing soft", ":1\r\n");
    expect(talk, with("nh.fill page:2", lease, "old"), "$-1\r\n");
    EXPECT_EQ(get(talk, "nh.get page:2 lease", "stale", "two", lease), true);
    expect(talk, with("nh.fill page:2", lease, "new"), "+OK\r\n");
    get(talk, "nh.get page:2 lease", "hit", "new", lease);

    /* Its tags stay, and a last word that is no key of several may be the one key. */
    expect(talk, "nh.purge tag t", "+OK\r\n");
    expect(talk, "exists page:1", ":0\r\n");
    expect(talk, "set soft 1", "+OK\r\n");
    expect(talk, "nh.purge key soft", ":1\r\n");
    expect(talk, "exists soft", ":0\r\n");
    teardown(&fixture);
}

/* ---- locks ------------------------------------------------------------------------------------- */

TEST(a_lock_is_let_go_or_prolonged_only_by_who_holds_it)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char lease[32];

    setup(&fixture);
    expect(talk, "nh.delifeq lock me", ":0\r\n");
    expect(talk, "nh.expireifeq lock 1000 me", ":0\r\n");
    expect(talk, "nh.set lock me nx px 500 tags 1 t flags 9", "+OK\r\n");
    expect(talk, "nh.delifeq lock you", ":0\r\n");
    expect(talk, "nh.delifeq lock m", ":0\r\n");
    expect(talk, "nh.expireifeq lock 1000 you", ":0\r\n");
    expect(talk, "pttl lock", ":500\r\n");
    expect(talk, "nh.expireifeq lock 1000 me", ":1\r\n");
    expect(talk, "pttl lock", ":1000\r\n");
    get(talk, "nh.get lock", "hit", "me", lease);
    EXPECT_EQ(talk_number(talk, "flags"), 9);
    expect(talk, "nh.expireifeq lock 0 me", "-ERR invalid expire time in 'nh.expireifeq' command\r\n");
    expect(talk, "nh.expireifeq lock x me", "-ERR value is not an integer or out of range\r\n");
    expect(talk, "nh.delifeq lock me", ":1\r\n");
    expect(talk, "exists lock", ":0\r\n");
    expect(talk, "dbsize", ":0\r\n");
    expect(talk, "nh.set lock me tags 1 t", "+OK\r\n");
    expect(talk, "nh.expireifeq lock 1000 me", ":1\r\n");
    expect(talk, "nh.purge tag t", "+OK\r\n");
    expect(talk, "exists lock", ":0\r\n");
    teardown(&fixture);
}

enum { RACERS = 2, HITS = 4000, ROUNDS_MAX = 2000000 };

/* Writes "a" and at once "b", whose fate is looked at, while others do something to the key if it is "a".
 */
struct racer {
    struct talk talk;
    pthread_t thread;
    const char *says;
    _Atomic bool *is_over;
    _Atomic int *hit_count; /* how often there was an "a" */
};

static void *race(void *argument)
{
    struct racer *racer = argument;

    while (!atomic_load(racer->is_over))
        if (talk_ask(&racer->talk, racer->says).data[1] == '1')
            atomic_fetch_add(racer->hit_count, 1);
    return NULL;
}

/* How often "b" met with what was meant for "a"; `look` then answers other than `wanted`. */
static int count_mistaken(const char *says, const char *look, struct bytes wanted)
{
    struct racer racers[RACERS];
    struct talk writer;
    struct kv_hub *hub;
    nh_store *store;
    _Atomic bool is_over = false;
    _Atomic int hit_count = 0;
    int mistaken_count = 0;

    EXPECT_EQ(nh_create(NULL, &store), NH_OK);
    EXPECT_EQ(kv_hub_create(1 + RACERS, NULL, NULL, &hub), OK);
    talk_init(&writer, store, hub, RACERS);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.says = says, .is_over = &is_over, .hit_count = &hit_count};
        talk_init(&racers[i].talk, store, hub, i);
        EXPECT_EQ(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < ROUNDS_MAX && atomic_load(&hit_count) < HITS; i++) {
        talk_ask(&writer, "set k a");
        talk_ask(&writer, "set k b");
        mistaken_count += !bytes_equal(talk_ask(&writer, look), wanted);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        buffer_fini(&racers[i].talk.output);
    }
    buffer_fini(&writer.output);
    nh_destroy(store);
    kv_hub_destroy(hub);
    return mistaken_count;
}

TEST(what_is_meant_for_one_value_never_meets_the_next)
{
    EXPECT_EQ(count_mistaken("nh.delifeq k a", "get k", BYTES("$1\r\nb\r\n")), 0);
    EXPECT_EQ(count_mistaken("nh.expireifeq k 1000 a", "ttl k", BYTES(":-1\r\n")), 0);
}

/* ---- insight ----------------------------------------------------------------------------------- */

TEST(hot_keys_and_the_curve_are_told_by_a_server_that_keeps_insight)
{
    struct fixture fixture;
    struct talk *talk = &fixture.talk;
    char line[64];
    nh_options options = {.size = sizeof options, .memory_bytes = 8 << 20};
    nh_store *blind;

    setup(&fixture);
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof line, "set k%d 1", i % 2000);
        talk_ask(talk, line);
        snprintf(line, sizeof line, "get k%d", i % 2000);
        talk_ask(talk, line);
        expect(talk, "get hot", "$-1\r\n");
    }
    talk_ask(talk, "nh.hotkeys 1");
    EXPECT_EQ(talk->output.data[1], '1');
    EXPECT_TEXT(talk_field(talk, "key"), BYTES("hot"));
    EXPECT_EQ(talk_number(talk, "db"), 0);
    talk_ask(talk, "nh.mrc");
    EXPECT_EQ(talk->output.data[0], '*');
    EXPECT_EQ(talk->output.data[1] != '0', 1);
    expect(talk, "nh.mrc 16", "-ERR DB index is out of range\r\n");
    expect(talk, "nh.mrc 9", "*0\r\n");
    expect(talk, "nh.hotkeys 0", "-ERR value is not an integer or out of range\r\n");

    EXPECT_EQ(nh_create(&options, &blind), NH_OK);
    talk->kv.store = blind;
    expect(talk, "nh.hotkeys", "-ERR the server keeps no insight: start it with --insight\r\n");
    expect(talk, "nh.mrc", "-ERR the server keeps no insight: start it with --insight\r\n");
    nh_destroy(blind);
    teardown(&fixture);
}

RUN_TESTS(TEST_ROW(one_of_those_who_miss_gets_the_lease_and_the_others_wait_until_it_is_filled),
          TEST_ROW(a_lease_ends_with_its_time_with_giving_up_and_with_a_write),
          TEST_ROW(a_stale_value_is_served_while_one_computes_the_next),
          TEST_ROW(early_asks_one_to_compute_before_the_value_is_stale),
          TEST_ROW(a_negative_entry_is_a_hit_of_nh_get_and_no_key_to_others),
          TEST_ROW(conditions_of_nh_set), TEST_ROW(words_that_are_not_understood_change_nothing),
          TEST_ROW(a_soft_purge_by_key_or_prefix_makes_stale_what_keeps_all_else),
          TEST_ROW(a_purge_takes_what_carries_the_tag_or_begins_so_or_is_named),
          TEST_ROW(a_lock_is_let_go_or_prolonged_only_by_who_holds_it),
          TEST_ROW(what_is_meant_for_one_value_never_meets_the_next),
          TEST_ROW(hot_keys_and_the_curve_are_told_by_a_server_that_keeps_insight))
