/* test_valkey_no_memory.c — each allocation of the client of the tier fails once: every call ends, once, in
 * a later turn, and all goes on. links: nuthatch-valkey -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "client/valkey/split.h"
#include "no_memory.h"
#include "valkey_world.h"

enum { ATTEMPTS_MAX = 400, CALLS = 9, SPLITS = 2 };

static bool is_of_whom_is_tested(void) { return servers_depth == 0; }

struct several {
    struct split_call *split;
    bool is_done;
    enum err err;
};

static void several_done(void *owner, const struct valkey_answer *answer)
{
    struct several *several = owner;

    EXPECT(!several->is_done);
    several->is_done = true;
    several->err = answer->err;
}

/* False: it could not begin, and is not told. */
static bool ask_several(struct several *several, const struct bytes *arguments, uint32_t count)
{
    enum err err;

    *several = (struct several){0};
    err = split_ask(world.valkey, arguments, count, 0, 0, several_done, several, &several->split);
    EXPECT(err == OK || err == ERR_NO_MEMORY);
    EXPECT(!several->is_done); /* not before who asked has the split */
    return err == OK;
}

/* Calls of every kind, while a slot moves key by key, one has moved and a server is busy. */
static void ask_all(struct asked *asked, struct several *several)
{
    static const struct bytes mget[] = {BYTES_INIT("MGET"), BYTES_INIT("a"), BYTES_INIT("b"),
                                        BYTES_INIT("c"),    BYTES_INIT("d"), BYTES_INIT("e")};
    uint16_t moving = valkey_slot(BYTES("moving")), moved = valkey_slot(BYTES("moved"));

    world.migrating_to[moving] = (world.owner[moving] + 1) % 3;
    world.owner[moved] = (world.owner[moved] + 1) % 3;
    ask(&asked[0], "APPEND moving x", 0);
    ask(&asked[1], "GET moving", VALKEY_MAY_REPEAT);
    ask(&asked[2], "SET moved 1;GET moved;GET moved", 0);
    ask(&asked[3], "MULTI;SET moved 2;EXEC", 0);
    ask(&asked[4], "MAPPEND {moving}1 {moving}2 x", 0);
    ask_order(&asked[5], "PING", (struct valkey_order){.target = VALKEY_ANY});
    ask_order(&asked[6], "PING", (struct valkey_order){.target = VALKEY_NODE, .node = 1});
    ask(&asked[7], "GET moved", VALKEY_RUNS_SCRIPT);
    if (!ask_several(&several[0], mget, COUNT_OF(mget)))
        several[0].is_done = true;
    run_ms(4);
    ask(&asked[8], "APPEND moving y", 0);
    if (!ask_several(&several[1], mget, 3))
        several[1].is_done = true;
    run_ms(30);
}

static const char *several_keys(struct node *node, const struct bytes *arguments, uint32_t count)
{
    static char text[64];

    (void)node;
    if (bytes_equal(arguments[0], BYTES("MULTI")))
        return "+OK\r\n";
    if (bytes_equal(arguments[0], BYTES("EXEC")))
        return "*1\r\n+OK\r\n";
    if (!bytes_equal(arguments[0], BYTES("MGET")))
        return NULL;
    EXPECT_EQ(count, 2); /* each of a slot of its own */
    snprintf(text, sizeof text, "*1\r\n$1\r\n%c\r\n", arguments[1].data[0]);
    return text;
}

static void begin(void)
{
    world_begin(3);
    world.options.call_timeout_ms = 150;
    for (int i = 0; i < 3; i++)
        world.nodes[i].script = several_keys;
}

TEST(an_allocation_that_fails_ends_a_call_at_most_and_never_before_it_has_begun)
{
    struct asked asked[CALLS], after;
    struct several several[SPLITS];
    unsigned failures = 0;

    for (int n = 0;; n++) {
        bool failed;
        EXPECT(n < ATTEMPTS_MAX);
        begin();
        world_connect();
        run_ms(30);
        successes_left = n;
        ask_all(asked, several);
        failed = has_failed();
        run_ms(200);
        for (int i = 0; i < CALLS; i++)
            EXPECT(asked[i].is_done);
        for (int i = 0; i < SPLITS; i++)
            EXPECT(several[i].is_done);
        ask(&after, "GET moving", 0);
        run_ms(20);
        EXPECT(after.is_done);
        EXPECT_EQ(after.err, OK);
        world_end();
        failures += failed;
        if (!failed)
            break;
    }
    EXPECT(failures > 20);
}

TEST(a_call_that_is_refused_may_be_given_up_before_it_is_told)
{
    struct asked refused;

    begin();
    world_connect();
    run_ms(30);
    successes_left = 0;
    ask(&refused, "GET a;GET a", 0);
    EXPECT(has_failed());
    valkey_give_up(world.valkey, &refused.call);
    run_ms(3);
    EXPECT(!refused.is_done);
    successes_left = 0;
    ask(&refused, "GET a;GET a", 0);
    EXPECT(has_failed());
    run_ms(3);
    EXPECT(refused.is_done);
    EXPECT_EQ(refused.err, ERR_NO_MEMORY);
    valkey_give_up(world.valkey, &refused.call); /* nothing is left to be given up */
    world_end();
}

TEST(a_client_begins_and_learns_all_the_same_or_is_not_made)
{
    static const struct valkey_callbacks callbacks = {.invalidated = on_invalidated,
                                                      .flushed = on_flushed,
                                                      .slot_moved = on_slot_moved,
                                                      .came = on_came,
                                                      .went = on_went};
    struct asked asked;
    unsigned failures = 0;

    for (int n = 0;; n++) {
        bool failed;
        enum err err;
        EXPECT(n < ATTEMPTS_MAX);
        begin();
        successes_left = n;
        err = valkey_create(&world.options, world.loop, &world.counters, world.states, 0, 64, &callbacks,
                            NULL, &world.valkey);
        if (err != OK) {
            EXPECT(has_failed());
            EXPECT_EQ(err, ERR_NO_MEMORY);
            loop_destroy(world.loop);
            failures++;
            continue;
        }
        run_ms(30);
        failed = has_failed();
        run_ms(1500);
        ask(&asked, "SET a 1", 0);
        run_ms(20);
        EXPECT(asked.is_done);
        EXPECT_EQ(asked.err, OK);
        world_end();
        failures += failed;
        if (!failed)
            break;
    }
    EXPECT(failures > 5);
}

RUN_TESTS(TEST_ROW(an_allocation_that_fails_ends_a_call_at_most_and_never_before_it_has_begun),
          TEST_ROW(a_call_that_is_refused_may_be_given_up_before_it_is_told),
          TEST_ROW(a_client_begins_and_learns_all_the_same_or_is_not_made))
