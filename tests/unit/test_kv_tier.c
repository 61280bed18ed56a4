/* clang-format off */
/* links: nuthatch-kv-tier nuthatch-kv nuthatch-tier nuthatch-resp nuthatch-server nuthatch-net nuthatch-base -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* clang-format on */
/* A cache in front of a tier: the order in which a client is told what it asked, and what becomes of what
 * is under way when the client goes, when the tier says nonsense, and when there is no memory. */
#include "kv_tier_world.h"
#include "no_memory.h"

static bool is_of_whom_is_tested(void) { return played_depth == 0; }

/* ---- order ----------------------------------------------------------------------------------------------
 */

/* Has `key` near, with `value`. */
static void make_near(struct cache_world *world, const char *key, const char *value)
{
    char words[64];

    snprintf(words, sizeof words, "get %s", key);
    sends(world, words);
    snprintf(words, sizeof words, "PTTL %s", key);
    tier_says(world, words, number_node(-1));
    snprintf(words, sizeof words, "GET %s", key);
    tier_says(world, words, text_node(value));
    buffer_clear(&world->output);
}

TEST(near_late_and_local_answers_come_in_the_order_of_the_commands)
{
    struct cache_world world;

    cache_begin(&world);
    make_near(&world, "near", "n");
    sends(&world, "get near");
    EXPECT_TOLD(&world, "$1\r\nn\r\n");
    sends(&world, "getdel far");
    sends(&world, "get near2");
    sends(&world, "echo local");
    sends(&world, "strlen near2");
    EXPECT_TOLD(&world, "");
    EXPECT_EQ(world.session.late_count, 3);
    tier_says(&world, "getdel far", text_node("f"));
    EXPECT_TOLD(&world, "$1\r\nf\r\n");
    tier_says(&world, "PTTL near2", number_node(-1));
    tier_says(&world, "GET near2", text_node("two"));
    EXPECT_TOLD(&world, "$3\r\ntwo\r\n$5\r\nlocal\r\n");
    tier_says(&world, "strlen near2", number_node(3));
    EXPECT_TOLD(&world, ":3\r\n");
    cache_end(&world);
}

TEST(a_read_behind_a_write_of_the_same_session_asks_the_tier_whatever_is_near)
{
    struct cache_world world;

    cache_begin(&world);
    make_near(&world, "other", "o");
    sends(&world, "incr k");
    sends(&world, "get other");
    EXPECT_TOLD(&world, "");
    tier_says(&world, "incr k", number_node(1));
    EXPECT_TOLD(&world, ":1\r\n");
    tier_says(&world, "PTTL other", number_node(-1));
    tier_says(&world, "GET other", text_node("p"));
    EXPECT_TOLD(&world, "$1\r\np\r\n");
    EXPECT_EQ(world.session.write_count, 0);
    cache_end(&world);
}

TEST(nothing_runs_behind_a_foreign_command_before_it_is_known_what_that_does)
{
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "blpop q 0");
    EXPECT(world.session.is_held);
    EXPECT_EQ(asked_count(world.tier, 0), 1); /* COMMAND alone */
    EXPECT(tier_tells_commands(&world));
    sends(&world, "blpop q 0");
    EXPECT(!world.session.is_held);
    EXPECT_EQ(asked_count(world.tier, 0), 0); /* it went over a connection of its own */
    EXPECT_EQ(world.late.alone_count, 1);
    link_opens(only_link());
    EXPECT_TEXT(buffer_bytes(&only_link()->bytes), BYTES("*3\r\n$5\r\nblpop\r\n$1\r\nq\r\n$1\r\n0\r\n"));
    link_says(only_link(), (struct resp_node[]){{.type = RESP_NULL_ARRAY}}, 1);
    EXPECT_TOLD(&world, "*-1\r\n");
    cache_end(&world);
}

TEST(a_null_of_resp3_is_the_one_that_the_command_has_in_resp2)
{
    static const struct {
        const char *line, *told;
        bool is_on_own;
    } cases[] = {
        {"blpop q 0", "*-1\r\n", true}, {"hget h f", "$-1\r\n", false},
        {"lpop l", "$-1\r\n", false},   {"lpop l 2", "*-1\r\n", false},
        {"getdel k", "$-1\r\n", false}, {"xreadgroup GROUP g c COUNT 1 STREAMS k >", "*-1\r\n", false},
    };
    const struct resp_node null = {.type = RESP_NULL, .span = 1};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cache_world world;
        cache_begin(&world);
        learn_commands(&world);
        sends(&world, cases[i].line);
        if (cases[i].is_on_own) {
            link_opens(only_link());
            link_says(only_link(), (struct resp_node[]){null}, 1);
        } else {
            tier_says(&world, cases[i].line, null);
        }
        EXPECT_TOLD(&world, cases[i].told);
        cache_end(&world);
    }
}

TEST(what_was_watched_and_has_changed_is_a_null_array_in_resp2)
{
    struct resp_node ok = {.type = RESP_SIMPLE, .bytes = BYTES("OK")},
                     queued = {.type = RESP_SIMPLE, .bytes = BYTES("QUEUED")}, null = {.type = RESP_NULL};
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "watch k");
    link_opens(only_link());
    link_says(only_link(), &ok, 1);
    buffer_clear(&world.output);
    sends(&world, "multi");
    sends(&world, "incr k");
    sends(&world, "exec");
    link_says(only_link(), &ok, 1);
    link_says(only_link(), &queued, 1);
    link_says(only_link(), &null, 1);
    EXPECT_TOLD(&world, "+OK\r\n+QUEUED\r\n*-1\r\n");
    cache_end(&world);
}

TEST(what_needs_a_connection_of_its_own_waits_for_what_is_under_way)
{
    static const char *const lines[] = {"blpop q 0", "watch k", "wait 1 0", "dbsize", "scan 0"};
    struct cache_world world;

    cache_begin(&world);
    learn_commands(&world);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        sends(&world, "incr k");
        sends(&world, lines[i]);
        EXPECT(world.session.is_held);
        EXPECT(list_is_empty(&links));
        EXPECT_EQ(asked_count(world.tier, 0), 1);
        tier_says(&world, "incr k", number_node(1));
        EXPECT_TOLD(&world, ":1\r\n");
    }
    cache_end(&world);
}

TEST(a_reader_of_streams_that_blocks_has_a_connection_of_its_own_whatever_its_group_is_called)
{
    struct cache_world world;

    cache_begin(&world);
    learn_commands(&world);
    sends(&world, "xreadgroup GROUP streams c BLOCK 0 STREAMS k >");
    EXPECT_EQ(asked_count(world.tier, 0), 0);
    link_opens(only_link());
    link_says(only_link(), (struct resp_node[]){{.type = RESP_NULL_ARRAY}}, 1);
    close_links();
    sends(&world, "xreadgroup GROUP streams c COUNT 1 STREAMS k >");
    EXPECT(list_is_empty(&links));
    EXPECT_EQ(asked_count(world.tier, 0), 1);
    cache_end(&world);
}

TEST(a_command_for_all_servers_goes_to_who_has_their_slots_should_another_take_over)
{
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "dbsize");
    for (uint16_t number = 0; number < 2; number++) {
        const struct asked *asked =
            CONTAINER_OF(client_of(world.tier, 0)->asked.next, struct asked, in_valkey);
        EXPECT_EQ(asked->target, VALKEY_SLOT);
        EXPECT_EQ(asked->slot, world_ranges[number].first);
        tier_says(&world, "dbsize", number_node(3));
    }
    EXPECT_TOLD(&world, ":6\r\n");
    cache_end(&world);
}

TEST(in_a_silence_late_answers_keep_their_places_and_say_nothing)
{
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "client reply skip");
    sends(&world, "incr a");
    sends(&world, "incr b");
    tier_says(&world, "incr a", error_node("ERR no"));
    tier_says(&world, "incr b", number_node(2));
    EXPECT_EQ(world.late.count, 0);
    buffer_clear(&world.output); /* this client renders whatever is said */
    cache_end(&world);
}

/* ---- who goes -------------------------------------------------------------------------------------------
 */

/* Commands that are under way in many ways. */
static const char *const all_kinds[] = {
    "get k",           "incr k",   "mget a b c", "del a b c d e", "mset a 1 b 2 c 3", "exists a b",
    "nh.get k fenced", "hget h f", "hset h f v", "eval s 1 k",    "sort l by x",      "publish c m",
    "dbsize",          "keys *",   "scan 0",     "randomkey",     "flushall",         "blpop q 0",
    "watch k",         "wait 1 0", "wait 1 100",
};

TEST(who_goes_while_answers_are_late_leaves_nothing_behind)
{
    for (size_t i = 0; i < COUNT_OF(all_kinds); i++)
        for (int has_opened = 0; has_opened < 2; has_opened++) {
            struct cache_world world;

            cache_begin(&world);
            learn_commands(&world);
            sends(&world, all_kinds[i]);
            EXPECT(world.late.count == 1);
            if (has_opened && !list_is_empty(&links))
                link_opens(only_link());
            client_goes(&world);
            EXPECT_EQ(asked_count(world.tier, 0), 0);
            cache_end(&world);
        }
}

static void sends_transaction(struct cache_world *world, int count)
{
    sends(world, "multi");
    for (int i = 0; i < count; i++)
        sends(world, "incr k");
    sends(world, "exec");
}

TEST(who_goes_during_exec_leaves_nothing_behind)
{
    for (int count = 1; count < 20; count += 18)
        for (int has_watched = 0; has_watched < 2; has_watched++) {
            struct cache_world world;

            cache_begin(&world);
            if (has_watched) {
                sends(&world, "watch k");
                link_opens(only_link());
                link_says(only_link(), (struct resp_node[]){{.type = RESP_SIMPLE, .bytes = BYTES("OK")}},
                          1);
            }
            sends_transaction(&world, count);
            EXPECT_EQ(world.late.count, 1);
            client_goes(&world);
            EXPECT_EQ(asked_count(world.tier, 0), 0);
            cache_end(&world);
        }
}

/* ---- transactions and connections of one's own ----------------------------------------------------------
 */

TEST(a_connection_that_is_lost_ends_what_was_asked_over_it)
{
    static const struct {
        const char *line, *told;
    } cases[] = {{"blpop q 0", "-TIERLOST"}, {"watch k", "-CLUSTERDOWN"}, {"wait 1 0", "-CLUSTERDOWN"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int has_opened = 0; has_opened < 2; has_opened++) {
            struct cache_world world;

            cache_begin(&world);
            learn_commands(&world);
            sends(&world, cases[i].line);
            if (has_opened)
                link_opens(only_link());
            link_ends(only_link(), ERR_CLOSED);
            EXPECT(bytes_start_with(buffer_bytes(&world.output),
                                    bytes_of_text(has_opened ? cases[i].told : "-CLUSTERDOWN")));
            EXPECT_EQ(world.late.count, 0);
            EXPECT(world.session.elsewhere == NULL);
            cache_end(&world);
        }
}

TEST(what_was_watched_over_a_connection_that_is_lost_may_have_changed)
{
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "watch k");
    link_opens(only_link());
    link_says(only_link(), (struct resp_node[]){{.type = RESP_SIMPLE, .bytes = BYTES("OK")}}, 1);
    link_ends(only_link(), ERR_CLOSED);
    buffer_clear(&world.output);
    sends_transaction(&world, 1);
    EXPECT_TOLD(&world, "+OK\r\n+QUEUED\r\n*-1\r\n");
    EXPECT(world.session.elsewhere == NULL);
    cache_end(&world);
}

TEST(who_blocks_or_watches_stays_connected_when_everything_is_flushed)
{
    static const char *const lines[] = {"blpop k 0", "watch k"};
    const unsigned number = valkey_slot(BYTES("k")) / (VALKEY_SLOT_COUNT / 2);

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct cache_world world;
        cache_begin(&world);
        learn_commands(&world);
        sends(&world, lines[i]);
        link_opens(only_link());
        flush(world.tier, 0, number, SOURCE_FLUSHED_ALL);
        for (int second = 0; second < 3; second++)
            pass(world.tier, 1001);
        EXPECT(!only_link()->is_closing);
        flush(world.tier, 0, number, SOURCE_LOST);
        open_source(world.tier, 0, number);
        pass(world.tier, 1001);
        EXPECT(only_link()->is_closing);
        close_links();
        buffer_clear(&world.output);
        cache_end(&world);
    }
}

TEST(exec_and_discard_without_multi_leave_what_is_watched)
{
    static const char *const lines[] = {"exec", "discard"};
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "watch k");
    link_opens(only_link());
    link_says(only_link(), (struct resp_node[]){{.type = RESP_SIMPLE, .bytes = BYTES("OK")}}, 1);
    buffer_clear(&world.output);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        sends(&world, lines[i]);
        EXPECT(bytes_start_with(buffer_bytes(&world.output), BYTES("-ERR")));
        EXPECT(world.session.elsewhere != NULL);
        buffer_clear(&world.output);
    }
    sends(&world, "multi");
    sends(&world, "discard");
    EXPECT_TOLD(&world, "+OK\r\n+OK\r\n");
    EXPECT(world.session.elsewhere == NULL);
    cache_end(&world);
}

TEST(a_long_transaction_follows_its_slot_and_a_watched_one_does_not)
{
    struct resp_node moved = error_node("MOVED 7629 10.0.0.9:1"),
                     queued = {.type = RESP_SIMPLE, .bytes = BYTES("QUEUED")},
                     ok = {.type = RESP_SIMPLE, .bytes = BYTES("OK")}, aborted = error_node("EXECABORT x");
    struct cache_world world;

    for (int has_watched = 0; has_watched < 2; has_watched++) {
        cache_begin(&world);
        if (has_watched) {
            sends(&world, "watch k");
            link_opens(only_link());
            link_says(only_link(), &ok, 1);
        }
        sends_transaction(&world, 8);
        if (!has_watched)
            link_opens(only_link());
        buffer_clear(&world.output);
        link_says(only_link(), &ok, 1);
        for (int i = 0; i < 8; i++)
            link_says(only_link(), i == 3 ? &moved : &queued, 1);
        link_says(only_link(), &aborted, 1);
        close_links();
        if (has_watched) {
            EXPECT_TOLD(&world, "*-1\r\n");
        } else {
            EXPECT_TOLD(&world, "");
            link_opens(only_link()); /* another */
            EXPECT(bytes_start_with(buffer_bytes(&only_link()->bytes), BYTES("*1\r\n$5\r\nMULTI\r\n")));
        }
        cache_end(&world);
    }
}

TEST(exec_says_what_was_wrong)
{
    struct resp_node ok = {.type = RESP_SIMPLE, .bytes = BYTES("OK")},
                     wrong = error_node("ERR wrong number"),
                     aborted = error_node("EXECABORT Transaction discarded because of previous errors.");
    struct resp_reply replies[3] = {{.nodes = &ok, .node_count = 1},
                                    {.nodes = &wrong, .node_count = 1},
                                    {.nodes = &aborted, .node_count = 1}};
    struct cache_world world;

    ok.span = wrong.span = aborted.span = 1;
    cache_begin(&world);
    sends_transaction(&world, 1);
    buffer_clear(&world.output);
    answer(world.tier, 0, "MULTI; incr k; EXEC", (struct valkey_answer){.replies = replies});
    EXPECT_TOLD(&world, "-EXECABORT Transaction discarded because of: ERR wrong number\r\n");
    cache_end(&world);
}

TEST(a_server_that_a_connection_of_its_own_should_lead_to_is_waited_for_as_long_as_calls_are)
{
    static const char *const lines[] = {"watch foo", "blpop foo 0"};

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct cache_world world;

        cache_begin(&world);
        learn_commands(&world);
        flush(world.tier, 0, 1, SOURCE_LOST);
        sends(&world, lines[i]);
        EXPECT(world.session.is_held);
        world.tier->now_ms += world.tier->server.call_timeout_ms - 1;
        sends(&world, lines[i]);
        EXPECT(world.session.is_held && list_is_empty(&links));
        open_source(world.tier, 0, 1);
        sends(&world, lines[i]);
        EXPECT(!world.session.is_held);
        link_ends(only_link(), ERR_REFUSED);
        buffer_clear(&world.output);

        flush(world.tier, 0, 1, SOURCE_LOST);
        links_are_refused = true;
        sends(&world, lines[i]);
        EXPECT(world.session.is_held);
        world.tier->now_ms += world.tier->server.call_timeout_ms;
        sends(&world, lines[i]);
        EXPECT(!world.session.is_held);
        EXPECT(bytes_start_with(buffer_bytes(&world.output), BYTES("-CLUSTERDOWN")));
        cache_end(&world);
    }
}

TEST(a_scan_begins_a_server_anew_that_another_has_taken_over)
{
    struct resp_node reply_nodes[] = {
        {.type = RESP_ARRAY, .integer = 2}, text_node("7"), {.type = RESP_ARRAY}};
    struct cache_world world;
    char cursor[32], line[64];

    cache_begin(&world);
    sends(&world, "scan 0");
    tier_says_many(&world, "scan 0", reply_nodes, 3);
    EXPECT_EQ(sscanf((const char *)world.output.data, "*2\r\n$%*d\r\n%31[0-9]", cursor), 1);
    buffer_clear(&world.output);
    snprintf(line, sizeof line, "scan %s", cursor);
    sends(&world, line);
    tier_says_many(&world, "scan 7", reply_nodes, 3);
    world_ranges[0].server = 2; /* in the same place, at another address */
    sends(&world, line);
    reply_nodes[1] = text_node("0");
    tier_says_many(&world, "scan 0", reply_nodes, 3);
    buffer_clear(&world.output);
    sends(&world, "scan 1");
    tier_says_many(&world, "scan 0", reply_nodes, 3);
    EXPECT_TOLD(&world, "*2\r\n$1\r\n0\r\n*0\r\n");
    sends(&world, "scan 2");
    EXPECT(bytes_start_with(buffer_bytes(&world.output), BYTES("-ERR invalid cursor")));
    cache_end(&world);
}

/* ---- WAIT -----------------------------------------------------------------------------------------------
 */

TEST(wait_asks_each_server_that_was_written_to_and_tells_the_smallest)
{
    struct cache_world world;

    cache_begin(&world);
    learn_commands(&world);
    sends(&world, "set foo 1"); /* slot 12182 */
    sends(&world, "set bar 1"); /* slot 5061 */
    sends(&world, "set foo 2");
    for (int i = 0; i < 3; i++)
        tier_says(&world,
                  i == 1   ? "set bar 1"
                  : i == 0 ? "set foo 1"
                           : "set foo 2",
                  (struct resp_node){.type = RESP_SIMPLE, .bytes = BYTES("OK")});
    buffer_clear(&world.output);
    sends(&world, "wait 2 500");
    for (int server = 0; server < 2; server++) {
        struct link *link = only_link();
        EXPECT((link->slot >= VALKEY_SLOT_COUNT / 2) == (server == 0));
        link_opens(link);
        EXPECT(memmem(link->bytes.data, link->bytes.size, "nh:wait:{", 9) != NULL);
        EXPECT(memmem(link->bytes.data, link->bytes.size, server == 0 ? "\r\n500\r\n" : "\r\n100\r\n", 7) !=
               NULL);
        link_says(link, (struct resp_node[]){{.type = RESP_SIMPLE, .bytes = BYTES("OK")}}, 1);
        world.tier->now_ms += 400;
        pass(world.tier, 0);
        link_says(link, (struct resp_node[]){number_node(server == 0 ? 2 : 1)}, 1);
        close_links();
    }
    EXPECT_TOLD(&world, ":1\r\n");
    cache_end(&world);
}

/* ---- nonsense -------------------------------------------------------------------------------------------
 */

/* Replies of every type, to whom they mean nothing. */
static struct resp_node nonsense[] = {
    {.type = RESP_SIMPLE, .bytes = BYTES_INIT("OK")},
    {.type = RESP_ERROR, .bytes = BYTES_INIT("")},
    {.type = RESP_INTEGER, .integer = INT64_MIN},
    {.type = RESP_BULK, .bytes = BYTES_INIT("")},
    {.type = RESP_NULL},
    {.type = RESP_NULL_ARRAY},
    {.type = RESP_BOOLEAN, .integer = 1},
    {.type = RESP_DOUBLE, .bytes = BYTES_INIT("nan")},
    {.type = RESP_ARRAY},
    {.type = RESP_MAP},
    {.type = RESP_SET},
};

/* Says `node` to whatever is asked, and to what comes of that, a few times. */
static void say_nonsense(struct cache_world *world, struct resp_node node)
{
    for (int i = 0; i < 12 && asked_count(world->tier, 0) > 0; i++) {
        struct valkey *valkey = client_of(world->tier, 0);
        struct asked *asked = CONTAINER_OF(valkey->asked.next, struct asked, in_valkey);
        char words[sizeof asked->words];
        struct resp_reply replies[VALKEY_COMMANDS_MAX];
        memcpy(words, asked->words, sizeof words);
        node.span = 1;
        for (int at = 0; at < VALKEY_COMMANDS_MAX; at++)
            replies[at] = (struct resp_reply){.nodes = &node, .node_count = 1, .raw = BYTES("*0\r\n")};
        answer(world->tier, 0, words, (struct valkey_answer){.replies = replies});
    }
    for (int i = 0; i < 60 && !list_is_empty(&links); i++) {
        struct link *link = CONTAINER_OF(links.next, struct link, in_world);
        if (link->is_closing)
            close_links();
        else if (!link->is_open)
            link_opens(link);
        else if (link->request != NULL)
            link_says(link, (struct resp_node[]){node}, 1);
    }
}

TEST(an_answer_that_cannot_be_taken_is_not_to_be_tried_again)
{
    struct cache_world world;

    cache_begin(&world);
    learn_commands(&world);
    sends(&world, "hgetall h");
    answer(
        world.tier, 0, "hgetall h",
        (struct valkey_answer){.err = ERR_SYNTAX, .may_have_run = true, .text = BYTES("it is too large")});
    EXPECT_TOLD(&world, "-ERR the shared tier's answer cannot be taken: it is too large\r\n");
    cache_end(&world);
}

TEST(wait_knows_of_what_commands_of_our_own_have_written)
{
    const struct resp_node ok = {.type = RESP_SIMPLE, .bytes = BYTES("OK")};
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "set bar 1"); /* of the first server */
    tier_says(&world, "set bar 1", ok);
    sends(&world, "nh.set foo 1"); /* of the second */
    tier_says(&world, "SET foo 1", ok);
    EXPECT_TOLD(&world, "+OK\r\n+OK\r\n");
    EXPECT_EQ(world.session.written_count, 2);
    cache_end(&world);
}

TEST(whatever_the_tier_says_each_command_is_answered_once)
{
    for (size_t i = 0; i < COUNT_OF(all_kinds); i++)
        for (size_t n = 0; n < COUNT_OF(nonsense); n++) {
            struct cache_world world;

            cache_begin(&world);
            learn_commands(&world);
            world.session.resp_version = (uint8_t)(2 + n % 2);
            sends(&world, all_kinds[i]);
            say_nonsense(&world, nonsense[n]);
            EXPECT_EQ(world.late.count, 0);
            EXPECT(world.output.size > 0);
            buffer_clear(&world.output);
            sends_transaction(&world, n % 2 == 0 ? 2 : 12);
            say_nonsense(&world, nonsense[n]);
            EXPECT_EQ(world.late.count, 0);
            EXPECT_EQ(world.session.write_count, 0);
            cache_end(&world);
        }
}

TEST(what_is_more_than_a_connection_may_buffer_is_not_put_together)
{
    struct resp_node keys[] = {{.type = RESP_ARRAY, .integer = 1}, text_node("k")},
                     value = text_node("0123456789");
    struct resp_reply all = {.nodes = keys, .node_count = 2, .raw = BYTES("*1\r\n$1\r\nk\r\n")};
    struct cache_world world;

    cache_begin(&world);
    world.kv.kept_bytes_max = 16;
    keys[0].span = 2, keys[1].span = 1;
    sends(&world, "keys *");
    answer(world.tier, 0, "keys *", (struct valkey_answer){.replies = &all});
    answer(world.tier, 0, "keys *", (struct valkey_answer){.replies = &all});
    EXPECT(bytes_start_with(buffer_bytes(&world.output), BYTES("-ERR what the servers")));
    buffer_clear(&world.output);
    sends(&world, "mget a b");
    for (int key = 0; key < 2; key++) {
        tier_says(&world, key == 0 ? "PTTL a" : "PTTL b", number_node(-1));
        tier_says(&world, key == 0 ? "GET a" : "GET b", value);
    }
    EXPECT(bytes_start_with(buffer_bytes(&world.output), BYTES("-ERR the values are more")));
    cache_end(&world);
}

TEST(a_list_of_commands_that_is_none_is_done_without)
{
    struct cache_world world;

    cache_begin(&world);
    sends(&world, "hget h f");
    tier_says(&world, "COMMAND",
              error_node("NOPERM this user has no permissions to run the 'command' command"));
    sends(&world, "hget h f");
    EXPECT_TOLD(&world, "-ERR 'hget' cannot be passed on: the shared tier does not tell what commands it "
                        "has. Permit its user "
                        "COMMAND (+command)\r\n");
    sends(&world, "incr k");
    tier_says(&world, "incr k", number_node(1));
    EXPECT_TOLD(&world, ":1\r\n");
    cache_end(&world);
}

/* ---- no memory ------------------------------------------------------------------------------------------
 */

TEST(without_memory_each_command_is_answered_once_and_nothing_is_left_behind)
{
    for (size_t i = 0; i < COUNT_OF(all_kinds) + 2; i++)
        for (int after = 0; after < 200; after++) {
            struct cache_world world;
            bool is_transaction = i >= COUNT_OF(all_kinds), failed;

            cache_begin(&world);
            learn_commands(&world);
            buffer_reserve(&world.output, 4096); /* the client's own never fails */
            successes_left = after;
            if (is_transaction)
                sends_transaction(&world, i == COUNT_OF(all_kinds) ? 2 : 12);
            else
                sends(&world, all_kinds[i]);
            failed = has_failed();
            for (int turn = 0; turn < 3; turn++) {
                pass(world.tier, 1);
                say_nonsense(&world, nonsense[2]);
            }
            if (world.late.count != 0)
                fail_msg("\"%s\" without its allocation %d is not answered",
                         is_transaction ? "exec" : all_kinds[i], after);
            EXPECT(world.output.size > 0);
            cache_end(&world);
            if (!failed)
                break;
            EXPECT(after < 199);
        }
}

RUN_TESTS(
    TEST_ROW(near_late_and_local_answers_come_in_the_order_of_the_commands),
    TEST_ROW(a_read_behind_a_write_of_the_same_session_asks_the_tier_whatever_is_near),
    TEST_ROW(nothing_runs_behind_a_foreign_command_before_it_is_known_what_that_does),
    TEST_ROW(a_null_of_resp3_is_the_one_that_the_command_has_in_resp2),
    TEST_ROW(what_was_watched_and_has_changed_is_a_null_array_in_resp2),
    TEST_ROW(what_needs_a_connection_of_its_own_waits_for_what_is_under_way),
    TEST_ROW(a_reader_of_streams_that_blocks_has_a_connection_of_its_own_whatever_its_group_is_called),
    TEST_ROW(a_command_for_all_servers_goes_to_who_has_their_slots_should_another_take_over),
    TEST_ROW(in_a_silence_late_answers_keep_their_places_and_say_nothing),
    TEST_ROW(who_goes_while_answers_are_late_leaves_nothing_behind),
    TEST_ROW(who_goes_during_exec_leaves_nothing_behind),
    TEST_ROW(a_connection_that_is_lost_ends_what_was_asked_over_it),
    TEST_ROW(what_was_watched_over_a_connection_that_is_lost_may_have_changed),
    TEST_ROW(who_blocks_or_watches_stays_connected_when_everything_is_flushed),
    TEST_ROW(exec_and_discard_without_multi_leave_what_is_watched),
    TEST_ROW(a_long_transaction_follows_its_slot_and_a_watched_one_does_not),
    TEST_ROW(exec_says_what_was_wrong),
    TEST_ROW(a_server_that_a_connection_of_its_own_should_lead_to_is_waited_for_as_long_as_calls_are),
    TEST_ROW(a_scan_begins_a_server_anew_that_another_has_taken_over),
    TEST_ROW(wait_asks_each_server_that_was_written_to_and_tells_the_smallest),
    TEST_ROW(an_answer_that_cannot_be_taken_is_not_to_be_tried_again),
    TEST_ROW(wait_knows_of_what_commands_of_our_own_have_written),
    TEST_ROW(whatever_the_tier_says_each_command_is_answered_once),
    TEST_ROW(what_is_more_than_a_connection_may_buffer_is_not_put_together),
    TEST_ROW(a_list_of_commands_that_is_none_is_done_without),
    TEST_ROW(without_memory_each_command_is_answered_once_and_nothing_is_left_behind))
