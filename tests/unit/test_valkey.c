/* test_valkey.c — a client of a cluster: who is asked, what redirections do, what is told.
 * links: nuthatch-valkey */
#include "valkey_world.h"

static int owner_of(const char *key) { return world.owner[valkey_slot(bytes_of_text(key))]; }

/* Gives the slot of `key` to another server, as the end of a migration does. */
static void move_slot(const char *key, int to)
{
    uint16_t slot = valkey_slot(bytes_of_text(key));

    for (int i = 0; i < world.key_count; i++)
        if (valkey_slot(bytes_of_text(world.keys[i].name)) == slot)
            world.keys[i].at = to;
    world.owner[slot] = to;
    world.migrating_to[slot] = NOBODY;
    world.nodes[to].epoch = 100;
}

static int other_than(int node) { return node == 0 ? 1 : 0; }

TEST(a_call_goes_to_the_server_that_has_its_slot)
{
    struct asked asked[3];

    world_open(3);
    ask(&asked[0], "SET foo bar", 0);
    ask(&asked[1], "SET {other}x y", 0);
    ask(&asked[2], "GET foo", 0);
    run_ms(5);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(asked[i].err, OK);
    EXPECT_EQ(strcmp(asked[2].replies, "bar"), 0);
    EXPECT(asked[2].may_be_kept);
    EXPECT_EQ(counted(METRIC_tier_moved), 0);
    EXPECT_EQ(valkey_primary_count(world.valkey), 3);
    EXPECT(valkey_is_cluster(world.valkey));
    world_end();
}

TEST(several_commands_have_their_replies_in_order)
{
    struct asked asked;

    world_open(3);
    ask(&asked, "SET foo one;GET foo;APPEND foo two", 0);
    run_ms(5);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(strcmp(asked.replies, "OK one OK"), 0);
    world_end();
}

TEST(calls_before_the_map_is_known_wait_for_it_in_order)
{
    struct asked asked[4];

    world_begin(3);
    world_connect();
    for (int i = 0; i < 4; i++)
        ask(&asked[i], i < 3 ? "APPEND foo x" : "GET foo", 0);
    run_ms(30);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(asked[i].order, asked[0].order + i);
    EXPECT_EQ(strcmp(asked[3].replies, "xxx"), 0);
    world_end();
}

TEST(a_moved_slot_is_asked_at_its_new_server_and_the_owner_told_before)
{
    struct asked asked;
    uint16_t slot = valkey_slot(BYTES("foo"));
    int to;

    world_open(3);
    to = other_than(owner_of("foo"));
    move_slot("foo", to);
    ask(&asked, "SET foo bar", 0);
    run_ms(10);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(key_of(BYTES("foo"))->at, to);
    EXPECT_EQ(counted(METRIC_tier_moved), 1);
    EXPECT_EQ(world.moved_count, 1);
    EXPECT_EQ(world.last_moved, slot);
    EXPECT(asked.may_be_kept); /* all of it is from the new one */
    ask(&asked, "GET foo", 0);
    run_ms(500);
    EXPECT_EQ(counted(METRIC_tier_moved), 1);
    EXPECT(counted(METRIC_tier_map_refreshes) >= 2); /* a redirection has the whole map learnt anew */
    EXPECT_EQ(world.moved_count, 1);
    world_end();
}

TEST(a_stale_server_does_not_undo_what_a_redirection_has_taught)
{
    struct asked asked;
    int from, to;

    world_open(3);
    from = owner_of("foo");
    to = other_than(from);
    for (int i = 0; i < 3; i++) {
        world.nodes[i].is_stale = true; /* as behind as each other, for a while */
        memcpy(world.nodes[i].stale_owner, world.owner, sizeof world.owner);
        for (int k = 0; k < 3; k++)
            world.nodes[i].stale_epoch[k] = world.nodes[k].epoch;
    }
    move_slot("foo", to);
    ask(&asked, "SET foo bar", 0);
    run_ms(150); /* one round */
    EXPECT_EQ(counted(METRIC_tier_map_refreshes), 2);
    EXPECT_EQ(world.valkey->map.owner[valkey_slot(BYTES("foo"))] ==
                  server_at(world.valkey, &source_to(to)->connection.address)->number,
              true);
    ask(&asked, "GET foo", 0);
    run_ms(5);
    EXPECT_EQ(counted(METRIC_tier_moved), 1);
    world_end();
}

TEST(a_slot_that_is_moving_is_asked_with_asking_and_what_is_read_so_is_not_kept)
{
    struct asked asked[3];
    uint16_t slot = valkey_slot(BYTES("{foo}a"));
    int from, to;

    world_open(3);
    from = world.owner[slot];
    to = other_than(from);
    ask(&asked[0], "SET {foo}stays here", 0);
    run_ms(3);
    world.migrating_to[slot] = to;
    ask(&asked[0], "SET {foo}a 1", 0);
    ask(&asked[1], "GET {foo}a;GET {foo}stays;GET {foo}a", 0);
    ask(&asked[2], "GET {foo}stays", 0);
    run_ms(20);
    EXPECT_EQ(asked[0].err, OK);
    EXPECT_EQ(key_of(BYTES("{foo}a"))->at, to);
    EXPECT_EQ(strcmp(asked[1].replies, "1 here 1"), 0); /* each from where its key is */
    EXPECT(!asked[1].may_be_kept);
    EXPECT_EQ(strcmp(asked[2].replies, "here"), 0);
    EXPECT_EQ(world.moved_count, 0); /* the map is as it was */
    ask(&asked[2], "GET {foo}stays", 0);
    run_ms(5);
    EXPECT(asked[2].may_be_kept);
    world_end();
}

TEST(a_later_call_of_a_key_waits_for_one_that_was_sent_aside)
{
    struct asked aside, between, later;
    uint16_t slot = valkey_slot(BYTES("{foo}a"));
    int from, to;

    world_open(3);
    from = world.owner[slot];
    to = other_than(from);
    ask(&aside, "SET {foo}stays here", 0);
    run_ms(3);
    world.migrating_to[slot] = to;
    key_of(BYTES("{foo}a"))->at = to;
    ask(&aside, "APPEND {foo}a 1", 0);
    ask(&between, "GET {foo}stays", 0);
    run_ms(1); /* the first is sent aside, and goes when the second is back */
    ask(&later, "APPEND {foo}a 2", 0);
    world.nodes[to].is_frozen = true;
    key_of(BYTES("{foo}a"))->at = from; /* the slot was moved, came back and begins to move again */
    run_ms(5);
    EXPECT(between.is_done);
    EXPECT(!aside.is_done);
    EXPECT(!later.is_done);
    world.nodes[to].is_frozen = false;
    run_ms(20);
    EXPECT_EQ(aside.err, OK);
    EXPECT_EQ(later.err, OK);
    EXPECT_EQ(memcmp(key_of(BYTES("{foo}a"))->value, "12", 2), 0);
    world_end();
}

TEST(some_keys_here_and_some_there_are_waited_for)
{
    struct asked asked, other;
    uint16_t slot = valkey_slot(BYTES("{foo}a"));
    int from, to;

    world_open(3);
    from = world.owner[slot];
    to = other_than(from);
    ask(&asked, "MAPPEND {foo}a {foo}b 1", 0);
    run_ms(3);
    world.migrating_to[slot] = to;
    key_of(BYTES("{foo}a"))->at = to;
    ask(&asked, "MAPPEND {foo}a {foo}b 2", 0);
    run_ms(30);
    EXPECT(!asked.is_done);
    EXPECT(counted(METRIC_tier_tryagain) >= 2);
    ask(&other, "GET {foo}b", 0);
    run_ms(5);
    EXPECT(!other.is_done); /* behind it, as it was asked after it */
    key_of(BYTES("{foo}b"))->at = to;
    run_ms(300);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(strcmp(other.replies, "12"), 0);
    EXPECT(asked.order < other.order);
    world_end();
}

TEST(a_cluster_that_is_down_or_loading_is_waited_for_until_the_deadline)
{
    struct asked asked, late;
    int node;

    world_open(3);
    node = owner_of("foo");
    world.nodes[node].is_down_for_cluster = true;
    ask(&asked, "SET foo bar", 0);
    run_ms(200);
    EXPECT(!asked.is_done);
    world.nodes[node].is_down_for_cluster = false;
    world.nodes[node].is_loading = true;
    run_ms(200);
    world.nodes[node].is_loading = false;
    run_ms(400);
    EXPECT_EQ(asked.err, OK);
    EXPECT(counted(METRIC_tier_clusterdown) >= 2 && counted(METRIC_tier_loading) >= 1);
    world.nodes[node].is_down_for_cluster = true;
    ask(&late, "SET foo late", 0);
    run_ms(1050);
    EXPECT_EQ(late.err, ERR_TIMEOUT);
    EXPECT(!late.may_have_run);
    EXPECT_EQ(strcmp(late.text, "CLUSTERDOWN The cluster is down"), 0);
    world_end();
}

static const char *send_away(struct node *node, const struct bytes *arguments, uint32_t count)
{
    static char text[64];
    (void)count;
    if (!bytes_equal(arguments[0], BYTES("GET")))
        return NULL;
    snprintf(text, sizeof text, "-MOVED %u 127.0.0.1:%u\r\n", valkey_slot(arguments[1]),
             BEGIN_PORT + 1 - number_of(node));
    return text;
}

TEST(servers_that_send_us_to_each_other_are_left_after_a_while)
{
    struct asked asked;

    world_open(2);
    world.nodes[0].script = world.nodes[1].script = send_away;
    ask(&asked, "GET foo", 0);
    run_ms(100);
    EXPECT_EQ(asked.err, ERR_LOOP);
    EXPECT_EQ(counted(METRIC_tier_moved), world.options.redirections_max + 1);
    EXPECT_EQ(strncmp(asked.text, "MOVED ", 6), 0);
    world_end();
}

static char scripted[128];
static const char *say_scripted(struct node *node, const struct bytes *arguments, uint32_t count)
{
    (void)node;
    (void)count;
    return bytes_equal(arguments[0], BYTES("GET")) ? scripted : NULL;
}

TEST(a_server_may_not_send_us_to_just_any_address)
{
    static const char *const places[] = {"169.254.169.254:80", "10.0.0.1:6379", "8.8.8.8:6379",
                                         "[fe80::1]:1"};

    world_open(3);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        struct asked asked;
        for (int asking = 0; asking < 2; asking++) {
            snprintf(scripted, sizeof scripted, "-%s %u %s\r\n", asking ? "ASK" : "MOVED",
                     valkey_slot(BYTES("foo")), places[i]);
            for (int k = 0; k < 3; k++)
                world.nodes[k].script = say_scripted;
            ask(&asked, "GET foo", 0);
            run_ms(400);
            EXPECT_EQ(asked.err, ERR_UNREACHABLE);
            EXPECT(strstr(asked.text, "may not be connected to") != NULL);
        }
        for (struct list *at = world.connections.next; at != &world.connections; at = at->next)
            EXPECT(CONTAINER_OF(at, struct connection, in_world)->node != NULL); /* nobody has been tried */
        run_ms(3000); /* what the map says wins in the end */
        for (int k = 0; k < 3; k++)
            world.nodes[k].script = NULL;
        ask(&asked, "GET foo", 0);
        run_ms(10);
        EXPECT_EQ(asked.err, OK);
    }
    world_end();
}

TEST(a_redirection_that_makes_no_sense_ends_the_call)
{
    struct asked asked;

    world_open(3);
    for (int k = 0; k < 3; k++)
        world.nodes[k].script = say_scripted;
    snprintf(scripted, sizeof scripted, "-MOVED 99999 nowhere\r\n");
    ask(&asked, "GET foo", 0);
    run_ms(10);
    EXPECT_EQ(asked.err, ERR_SYNTAX);
    snprintf(scripted, sizeof scripted, "-MOVED %u 127.0.0.1:7001\r\n", valkey_slot(BYTES("foo")) ^ 1U);
    ask(&asked, "GET foo", 0);
    run_ms(10);
    EXPECT_EQ(asked.err, ERR_SYNTAX);
    snprintf(scripted, sizeof scripted, "-WRONGTYPE other errors are answers\r\n");
    ask(&asked, "GET foo", 0);
    run_ms(10);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(strcmp(asked.replies, "WRONGTYPE other errors are answers"), 0);
    world_end();
}

TEST(a_server_that_sends_us_to_itself_is_connected_to_anew)
{
    struct asked asked;
    int node;

    world_open(3);
    node = owner_of("foo");
    snprintf(scripted, sizeof scripted, "-MOVED %u :%u\r\n", valkey_slot(BYTES("foo")), BEGIN_PORT + node);
    world.nodes[node].script = say_scripted;
    ask(&asked, "GET foo", 0);
    run_ms(50);
    EXPECT_EQ(asked.err, ERR_LOOP);
    EXPECT_EQ(source_to(node)->reconnect_count, 1); /* but not as often as it says so */
    EXPECT_EQ(world.moved_count, 0);
    world_end();
}

static int script_run_count;
static const char *run_script(struct node *node, const struct bytes *arguments, uint32_t count)
{
    (void)node;
    (void)count;
    if (!bytes_equal(arguments[0], BYTES("EVAL")))
        return NULL;
    script_run_count++;
    return scripted;
}

static bool is_only_connected_to_servers(void)
{
    for (struct list *at = world.connections.next; at != &world.connections; at = at->next)
        if (CONTAINER_OF(at, struct connection, in_world)->node == NULL)
            return false;
    return true;
}

TEST(what_a_script_says_is_not_obeyed)
{
    static const struct {
        const char *word;
        uint16_t slot_apart;
        const char *place;
    } rows[] = {{"MOVED", 0, "127.0.0.1:9999"},
                {"ASK", 0, "127.0.0.1:9999"},
                {"MOVED", 0, "127.0.0.1:7000"},
                {"MOVED", 0, "?:1"},
                {"ASK", 0, "?:1"},
                {"MOVED", 1, "127.0.0.1:9999"}};
    static const char *const texts[] = {"TRYAGAIN later", "LOADING it", "CLUSTERDOWN it is", "READONLY",
                                        "MASTERDOWN so",  "MOVED on",   "ASK 99999 nobody:1"};

    world_open(3);
    EXPECT(owner_of("foo") != 0);
    for (int k = 0; k < 3; k++)
        world.nodes[k].script = run_script;
    for (size_t i = 0; i < COUNT_OF(rows) + COUNT_OF(texts); i++) {
        struct asked asked;
        char text[64];
        if (i < COUNT_OF(rows))
            snprintf(text, sizeof text, "%s %u %s", rows[i].word,
                     valkey_slot(BYTES("foo")) ^ rows[i].slot_apart, rows[i].place);
        else
            snprintf(text, sizeof text, "%s", texts[i - COUNT_OF(rows)]);
        snprintf(scripted, sizeof scripted, "-%s\r\n", text);
        script_run_count = 0;
        ask(&asked, "EVAL foo", VALKEY_RUNS_SCRIPT);
        run_ms(1100);
        EXPECT_EQ(asked.err, OK);
        if (strcmp(asked.replies, text) != 0)
            fail_msg("\"%s\", not \"%s\"", asked.replies, text);
        EXPECT_EQ(script_run_count, 1);
        EXPECT_EQ(world.moved_count, 0);
        EXPECT(is_only_connected_to_servers());
    }
    world_end();
}

TEST(a_script_follows_its_keys_where_the_map_says_the_same)
{
    struct asked asked, other;
    uint16_t slot = valkey_slot(BYTES("{foo}a"));
    int from, to;

    world_open(3);
    from = owner_of("{foo}a");
    to = other_than(from);
    move_slot("{foo}a", to);
    ask(&asked, "EVAL {foo}a 1", VALKEY_RUNS_SCRIPT);
    ask(&other, "APPEND {foo}a 2", 0);
    run_ms(400);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(other.err, OK);
    EXPECT_EQ(strcmp(asked.replies, "OK"), 0);
    EXPECT_EQ(key_of(BYTES("{foo}a"))->at, to);
    EXPECT_EQ(memcmp(key_of(BYTES("{foo}a"))->value, "12", 2), 0); /* in their order */
    world.migrating_to[slot] = from;
    key_of(BYTES("{foo}a"))->at = from;
    ask(&asked, "EVAL {foo}a 3", VALKEY_RUNS_SCRIPT);
    run_ms(30);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(strcmp(asked.replies, "OK"), 0);
    EXPECT_EQ(counted(METRIC_tier_ask), 1);
    EXPECT_EQ(memcmp(key_of(BYTES("{foo}a"))->value, "123", 3), 0);
    world_end();
}

TEST(where_there_is_no_cluster_nobody_is_followed)
{
    static const char *const words[] = {"MOVED", "ASK"};

    world_begin(1);
    world.nodes[0].is_lone = true;
    world.nodes[0].script = say_scripted;
    world_connect();
    run_ms(30);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        struct asked asked;
        snprintf(scripted, sizeof scripted, "-%s %u 127.0.0.1:9999\r\n", words[i],
                 valkey_slot(BYTES("foo")));
        ask(&asked, "GET foo", 0);
        run_ms(10);
        EXPECT_EQ(asked.err, OK);
        EXPECT_EQ(strncmp(asked.replies, words[i], strlen(words[i])), 0);
        EXPECT(is_only_connected_to_servers());
        EXPECT_EQ(world.moved_count, 0);
    }
    world_end();
}

TEST(an_unknown_endpoint_is_asked_for_of_the_others)
{
    struct asked asked;
    int from, to;

    world_open(3);
    from = owner_of("foo");
    to = other_than(from);
    move_slot("foo", to);
    snprintf(scripted, sizeof scripted, "-MOVED %u ?:7001\r\n", valkey_slot(BYTES("foo")));
    world.nodes[from].script = say_scripted;
    ask(&asked, "GET foo", 0);
    run_ms(400);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(world.moved_count, 1);
    world_end();
}

TEST(a_lost_call_is_asked_again_only_if_it_may_be)
{
    struct asked once, often, unsent;
    int node;

    world_open(3);
    node = owner_of("foo");
    world.nodes[node].is_frozen = true;
    ask(&once, "APPEND foo x", 0);
    ask(&often, "GET foo", VALKEY_MAY_REPEAT);
    run_ms(2);
    source_lose(source_to(node), true);
    ask(&unsent, "APPEND foo y", 0);
    EXPECT_EQ(once.err, ERR_UNREACHABLE);
    EXPECT(once.may_have_run);
    EXPECT(!often.is_done);
    world.nodes[node].is_frozen = false;
    run_ms(40);
    EXPECT_EQ(often.err, OK);
    EXPECT_EQ(unsent.err, OK);
    EXPECT(often.order < unsent.order);
    world.nodes[node].is_frozen = true;
    ask(&once, "APPEND foo z", 0);
    source_lose(source_to(node), false); /* none of it had left */
    world.nodes[node].is_frozen = false;
    run_ms(40);
    EXPECT_EQ(once.err, OK);
    EXPECT_TEXT(bytes_of(key_of(BYTES("foo"))->value, key_of(BYTES("foo"))->size), BYTES("yz"));
    EXPECT_EQ(counted(METRIC_tier_lost), 3);
    world_end();
}

TEST(a_call_whose_deadline_passes_says_whether_it_may_have_run)
{
    struct asked sent, waiting;
    int node;

    world_open(3);
    node = owner_of("foo");
    world.nodes[node].is_frozen = true;
    ask(&sent, "APPEND foo x", 0);
    run_ms(1050);
    EXPECT_EQ(sent.err, ERR_TIMEOUT);
    EXPECT(sent.may_have_run);
    source_lose(source_to(node), true);
    ask(&waiting, "APPEND foo y", 0);
    run_ms(1050);
    EXPECT_EQ(waiting.err, ERR_TIMEOUT);
    EXPECT(!waiting.may_have_run);
    EXPECT_EQ(counted(METRIC_tier_timeouts), 2);
    world_end();
}

TEST(a_reply_that_has_come_while_this_process_stood_still_is_heard_before_the_deadline)
{
    struct asked asked;

    world_open(3);
    ask(&asked, "SET foo bar", 0);
    world.now_ms += 5000;
    turn(); /* timers that are due are met, before what has come is read */
    EXPECT(!asked.is_done);
    step();
    EXPECT(asked.is_done);
    EXPECT_EQ(asked.err, OK);
    world_end();
}

TEST(too_much_under_way_is_refused_at_once)
{
    enum { MORE_THAN_FITS = 8 };
    struct asked asked[MORE_THAN_FITS];
    int full_count = 0;

    world_begin(1);
    world.options.in_flight_max = 5;
    world_connect();
    run_ms(30);
    world.nodes[0].is_frozen = true;
    for (int i = 0; i < MORE_THAN_FITS; i++)
        ask(&asked[i], "SET foo bar", 0);
    run_ms(2);
    for (int i = 0; i < MORE_THAN_FITS; i++)
        full_count += asked[i].is_done && asked[i].err == ERR_FULL && !asked[i].may_have_run;
    EXPECT_EQ(full_count, 3);
    source_lose(source_to(0), false); /* who waits is counted as well */
    ask(&asked[5], "SET foo bar", 0);
    ask(&asked[6], "SET foo bar", 0);
    run_ms(2);
    EXPECT_EQ(asked[6].err, ERR_FULL);
    world.nodes[0].is_frozen = false;
    run_ms(50);
    EXPECT_EQ(asked[0].err, OK);
    world_end();
}

TEST(what_waits_for_a_server_is_bounded_in_bytes_too)
{
    struct asked asked[3];

    world_begin(1);
    world.options.queued_bytes_max = 20;
    world_connect();
    run_ms(30);
    world.nodes[0].is_frozen = true;
    source_lose(source_to(0), false);
    ask(&asked[0], "SET foo abcdefghijklmnopqrstuvwxyz", 0);
    ask(&asked[1], "SET foo bar", 0);
    run_ms(2);
    EXPECT(!asked[0].is_done); /* one may wait, however large it is */
    EXPECT(asked[1].is_done && asked[1].err == ERR_FULL && !asked[1].may_have_run);
    world.nodes[0].is_frozen = false;
    run_ms(50);
    EXPECT_EQ(asked[0].err, OK);
    source_lose(source_to(0), false);
    ask(&asked[2], "SET foo bar", 0); /* there is room again */
    run_ms(50);
    EXPECT_EQ(asked[2].err, OK);
    world_end();
}

TEST(calls_of_many_keys_are_compared_at_the_cost_of_the_keys_there_are)
{
    enum { CALLS = 40, KEYS = 500 };
    static struct asked asked[CALLS];
    static char names[KEYS][24];
    struct bytes arguments[KEYS + 1] = {BYTES("MGET")};
    const struct valkey_command command = {arguments, KEYS + 1};
    uint16_t slot = valkey_slot(BYTES("{k}"));
    const struct call *last;
    int overtaken_count = 0;

    world_begin(1);
    world_connect();
    run_ms(30);
    world.nodes[0].is_frozen = true;
    for (int i = 0; i < CALLS; i++) {
        for (int k = 0; k < KEYS; k++) {
            /* The last has a key of the first's. */
            snprintf(names[k], sizeof names[k], "{k}%d.%d", i == CALLS - 1 && k == 7 ? 0 : i, k);
            arguments[k + 1] = bytes_of_text(names[k]);
        }
        asked[i] = (struct asked){.call.done = asked_done};
        valkey_ask(world.valkey, &asked[i].call,
                   &(struct valkey_order){
                       .commands = &command, .command_count = 1, .target = VALKEY_SLOT, .slot = slot});
    }
    gate_guard(world.valkey, slot);
    last = CONTAINER_OF(world.valkey->calls.previous, struct call, in_calls);
    gate_note_run(world.valkey->gates[slot], last);
    for (struct list *node = world.valkey->calls.next; node != &world.valkey->calls; node = node->next)
        overtaken_count += CONTAINER_OF(node, struct call, in_calls)->is_overtaken;
    EXPECT_EQ(overtaken_count, 1);
    EXPECT(CONTAINER_OF(world.valkey->calls.next, struct call, in_calls)->is_overtaken);
    EXPECT(world.valkey->compared_count < 4 * CALLS * KEYS);
    world_end();
}

TEST(a_failover_is_followed)
{
    struct asked asked;
    int dead;

    world_begin(3);
    world.node_count = 4;
    dead = owner_of("foo");
    world.nodes[3].replica_of = dead;
    world_connect();
    run_ms(30);
    world.nodes[dead].is_up = false;
    ask(&asked, "SET foo bar", 0);
    run_ms(100); /* the breaker opens */
    EXPECT_EQ(asked.err, ERR_UNREACHABLE);
    ask(&asked, "SET foo bar", 0);
    run_ms(2);
    EXPECT_EQ(asked.err, ERR_UNREACHABLE); /* at once */
    EXPECT(strstr(asked.text, "127.0.0.1 port") != NULL);
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        if (world.owner[slot] == dead)
            world.owner[slot] = 3;
    world.nodes[3].replica_of = NOBODY;
    world.nodes[3].epoch = 9;
    run_ms(1700);
    ask(&asked, "SET foo bar", 0);
    run_ms(5);
    EXPECT_EQ(asked.err, OK);
    EXPECT(world.moved_count > 5000);
    EXPECT_EQ(world.went_count, 0);
    world_end();
}

TEST(a_failover_is_learnt_of_although_nothing_is_asked)
{
    int dead;

    world_begin(3);
    world.node_count = 4;
    dead = owner_of("foo");
    world.nodes[3].replica_of = dead;
    world_connect();
    run_ms(30);
    world.nodes[dead].is_up = false;
    run_ms(100);
    source_to(dead)->retry_ms = INT64_MAX; /* it is left alone */
    run_ms(5000);
    EXPECT_EQ(world.moved_count, 0);
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        if (world.owner[slot] == dead)
            world.owner[slot] = 3;
    world.nodes[3].replica_of = NOBODY;
    world.nodes[3].epoch = 9;
    run_ms(1700);
    EXPECT(world.moved_count > 5000);
    world_end();
}

TEST(a_tier_that_is_away_is_told_and_found_again)
{
    struct asked asked;

    world_begin(3);
    for (int i = 0; i < 3; i++)
        world.nodes[i].is_up = false;
    world_connect();
    ask(&asked, "SET foo bar", 0);
    run_ms(30);
    EXPECT_EQ(asked.err, ERR_UNREACHABLE); /* nobody to wait for */
    EXPECT_TEXT(bytes_of_text(asked.text), BYTES("127.0.0.1 port 7000: connection refused")); /* once */
    EXPECT_EQ(world.came_count, 0);
    for (int i = 0; i < 3; i++)
        world.nodes[i].is_up = true;
    run_ms(2000);
    EXPECT_EQ(world.came_count, 1);
    for (int i = 0; i < 3; i++)
        world.nodes[i].is_up = false;
    run_ms(200);
    EXPECT_EQ(world.went_count, 1);
    for (int i = 0; i < 3; i++)
        world.nodes[i].is_up = true;
    run_ms(2000);
    EXPECT_EQ(world.came_count, 2);
    ask(&asked, "SET foo bar", 0);
    run_ms(5);
    EXPECT_EQ(asked.err, OK);
    world_end();
}

TEST(a_single_server_has_every_slot_and_its_replica_leads_to_it)
{
    struct asked asked;

    world_begin(1);
    world.node_count = 2;
    world.nodes[0].is_lone = world.nodes[1].is_lone = true;
    world.nodes[0].replica_of = 1; /* the seed is the replica */
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        world.owner[slot] = 1;
    world_connect();
    run_ms(40);
    EXPECT_EQ(world.came_count, 1);
    EXPECT(!valkey_is_cluster(world.valkey));
    EXPECT_EQ(valkey_primary_count(world.valkey), 1);
    ask(&asked, "SET foo bar", 0);
    run_ms(5);
    EXPECT_EQ(asked.err, OK);
    /* they change their parts */
    world.nodes[1].replica_of = 0;
    world.nodes[0].replica_of = NOBODY;
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        world.owner[slot] = 0;
    ask(&asked, "SET foo bar", 0);
    run_ms(800);
    EXPECT_EQ(asked.err, OK);
    EXPECT_EQ(world.nodes[0].is_lone, true);
    EXPECT_EQ(key_of(BYTES("foo"))->at, 0);
    EXPECT(counted(METRIC_tier_demoted) >= 1);
    world_end();
}

TEST(a_cluster_that_knows_no_shards_is_asked_for_its_slots)
{
    struct asked asked;

    world_begin(3);
    for (int i = 0; i < 3; i++)
        world.nodes[i].knows_no_shards = true;
    world_connect();
    run_ms(40);
    EXPECT_EQ(world.came_count, 1);
    ask(&asked, "SET foo bar", 0);
    run_ms(5);
    EXPECT_EQ(asked.err, OK);
    world_end();
}

TEST(replicas_are_read_from_if_that_is_wanted)
{
    struct asked asked[4];
    uint32_t before[2];
    int primary;

    world_begin(3);
    primary = owner_of("foo");
    world.node_count = 5;
    world.nodes[3].replica_of = world.nodes[4].replica_of = primary;
    world.options.reads_from_replicas = true;
    world_connect();
    run_ms(60);
    before[0] = world.nodes[3].command_count;
    before[1] = world.nodes[4].command_count;
    for (int i = 0; i < 4; i++)
        ask(&asked[i], i < 2 ? "GET foo" : "SET foo bar", i < 2 ? VALKEY_REPLICA_WILL_DO : 0);
    run_ms(5);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(asked[i].err, OK);
    EXPECT_EQ(world.nodes[3].command_count, before[0] + 1);
    EXPECT_EQ(world.nodes[4].command_count, before[1] + 1);
    EXPECT_EQ(valkey_primary_count(world.valkey), 3);
    /* without one that is connected to, the primary is read from */
    world.nodes[3].is_up = world.nodes[4].is_up = false;
    run_ms(3);
    ask(&asked[0], "GET foo", VALKEY_REPLICA_WILL_DO);
    run_ms(5);
    EXPECT_EQ(strcmp(asked[0].replies, "bar"), 0);
    world_end();
}

TEST(each_server_has_a_canary_of_a_slot_of_its_own_also_after_that_has_moved)
{
    world_open(3);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            struct source *source = source_to(i);
            EXPECT_EQ(owner_of(source->canary_key), i);
            if (round == 0) { /* the canary's slot is given away, and the canary told so */
                char text[64];
                uint16_t slot = valkey_slot(bytes_of_text(source->canary_key));
                move_slot(source->canary_key, (i + 1) % 3);
                snprintf(text, sizeof text, "MOVED %u 127.0.0.1:%d", slot, BEGIN_PORT + (i + 1) % 3);
                source->callbacks->doubted(source->owner, source, bytes_of_text(text));
                EXPECT_EQ(world.last_moved, slot);
            }
        }
        run_ms(300);
    }
    world_end();
}

TEST(any_server_and_each_primary_can_be_asked)
{
    struct asked asked[4];

    world_open(3);
    for (uint16_t i = 0; i < 3; i++)
        ask_order(&asked[i], "PING", (struct valkey_order){.target = VALKEY_NODE, .node = i});
    ask_order(&asked[3], "PING", (struct valkey_order){.target = VALKEY_ANY});
    run_ms(5);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(asked[i].err, OK);
    ask_order(&asked[0], "PING", (struct valkey_order){.target = VALKEY_NODE, .node = 3});
    run_ms(400);
    EXPECT_EQ(asked[0].err, ERR_UNREACHABLE);
    /* a key that nobody had looked at */
    ask_order(&asked[0], "SET foo bar",
              (struct valkey_order){.target = VALKEY_NODE, .node = (uint16_t)other_than(owner_of("foo"))});
    run_ms(10);
    EXPECT_EQ(asked[0].err, OK);
    world_end();
}

static const char *run_what_was_refused(struct node *node, const struct bytes *arguments, uint32_t count)
{
    (void)node;
    (void)count;
    return bytes_equal(arguments[0], BYTES("MULTI"))  ? "+OK\r\n"
           : bytes_equal(arguments[0], BYTES("SET"))  ? "-MOVED 0 127.0.0.1:7000\r\n"
           : bytes_equal(arguments[0], BYTES("EXEC")) ? "*1\r\n+OK\r\n"
                                                      : NULL;
}

TEST(a_transaction_that_a_server_says_it_has_run_has_all_its_replies)
{
    struct asked asked;

    world_open(1);
    world.nodes[0].script = run_what_was_refused;
    ask(&asked, "MULTI;SET foo 1;EXEC", 0);
    run_ms(10);
    EXPECT_EQ(asked.err, OK);
    EXPECT_TEXT(bytes_of_text(asked.replies), BYTES("OK MOVED 0 127.0.0.1:7000 "));
    world_end();
}

TEST(what_is_given_up_is_not_told_and_holds_nobody)
{
    struct asked given_up[2], after;
    int node;

    world_open(3);
    node = owner_of("foo");
    world.nodes[node].is_down_for_cluster = true;
    ask(&given_up[0], "APPEND foo x", 0);
    ask(&given_up[1], "APPEND foo y", 0);
    ask(&after, "APPEND foo z", 0);
    run_ms(3);
    world.nodes[node].is_down_for_cluster = false;
    valkey_give_up(world.valkey, &given_up[0].call);
    valkey_give_up(world.valkey, &given_up[1].call);
    run_ms(100);
    EXPECT(!given_up[0].is_done && !given_up[1].is_done);
    EXPECT_EQ(after.err, OK);
    EXPECT_TEXT(bytes_of(key_of(BYTES("foo"))->value, key_of(BYTES("foo"))->size), BYTES("z"));
    world_end();
}

TEST(stopping_ends_every_call_once)
{
    struct asked asked[3];

    world_open(3);
    world.nodes[0].is_frozen = world.nodes[1].is_frozen = world.nodes[2].is_frozen = true;
    for (int i = 0; i < 3; i++)
        ask(&asked[i], i == 0 ? "SET foo bar" : i == 1 ? "SET x y" : "SET z z", 0);
    valkey_stop(world.valkey, on_stopped);
    for (int i = 0; i < 3; i++)
        EXPECT(!asked[i].is_done);
    run_ms(3);
    for (int i = 0; i < 3; i++)
        EXPECT(asked[i].is_done && asked[i].err == ERR_CANCELLED && asked[i].may_have_run);
    EXPECT_EQ(world.stopped_count, 1);
    valkey_destroy(world.valkey);
    loop_destroy(world.loop);
}

RUN_TESTS(TEST_ROW(a_call_goes_to_the_server_that_has_its_slot),
          TEST_ROW(several_commands_have_their_replies_in_order),
          TEST_ROW(calls_before_the_map_is_known_wait_for_it_in_order),
          TEST_ROW(a_moved_slot_is_asked_at_its_new_server_and_the_owner_told_before),
          TEST_ROW(a_stale_server_does_not_undo_what_a_redirection_has_taught),
          TEST_ROW(a_slot_that_is_moving_is_asked_with_asking_and_what_is_read_so_is_not_kept),
          TEST_ROW(a_later_call_of_a_key_waits_for_one_that_was_sent_aside),
          TEST_ROW(some_keys_here_and_some_there_are_waited_for),
          TEST_ROW(a_cluster_that_is_down_or_loading_is_waited_for_until_the_deadline),
          TEST_ROW(servers_that_send_us_to_each_other_are_left_after_a_while),
          TEST_ROW(a_server_may_not_send_us_to_just_any_address),
          TEST_ROW(a_redirection_that_makes_no_sense_ends_the_call),
          TEST_ROW(a_server_that_sends_us_to_itself_is_connected_to_anew),
          TEST_ROW(what_a_script_says_is_not_obeyed),
          TEST_ROW(a_script_follows_its_keys_where_the_map_says_the_same),
          TEST_ROW(where_there_is_no_cluster_nobody_is_followed),
          TEST_ROW(an_unknown_endpoint_is_asked_for_of_the_others),
          TEST_ROW(a_lost_call_is_asked_again_only_if_it_may_be),
          TEST_ROW(a_call_whose_deadline_passes_says_whether_it_may_have_run),
          TEST_ROW(a_reply_that_has_come_while_this_process_stood_still_is_heard_before_the_deadline),
          TEST_ROW(too_much_under_way_is_refused_at_once),
          TEST_ROW(what_waits_for_a_server_is_bounded_in_bytes_too),
          TEST_ROW(calls_of_many_keys_are_compared_at_the_cost_of_the_keys_there_are),
          TEST_ROW(a_failover_is_followed), TEST_ROW(a_failover_is_learnt_of_although_nothing_is_asked),
          TEST_ROW(a_tier_that_is_away_is_told_and_found_again),
          TEST_ROW(a_single_server_has_every_slot_and_its_replica_leads_to_it),
          TEST_ROW(a_cluster_that_knows_no_shards_is_asked_for_its_slots),
          TEST_ROW(replicas_are_read_from_if_that_is_wanted),
          TEST_ROW(each_server_has_a_canary_of_a_slot_of_its_own_also_after_that_has_moved),
          TEST_ROW(any_server_and_each_primary_can_be_asked),
          TEST_ROW(a_transaction_that_a_server_says_it_has_run_has_all_its_replies),
          TEST_ROW(what_is_given_up_is_not_told_and_holds_nobody), TEST_ROW(stopping_ends_every_call_once))
