/* test_split.c — commands of several keys in parts, and their answers put together.
 * links: nuthatch-valkey */
#include "client/valkey/split.h"
#include "valkey_world.h"

/* What came of a split: written as a server's reply would be, in words. */
struct result {
    struct split_call *split;
    int done_count;
    enum err err;
    bool may_have_run;
    char text[4096];
};

static size_t write_node(char *text, size_t room, const struct resp_node *node)
{
    switch (node->type) {
    case RESP_NULL: return (size_t)snprintf(text, room, "null ");
    case RESP_INTEGER: return (size_t)snprintf(text, room, ":%lld ", (long long)node->integer);
    case RESP_ERROR: return (size_t)snprintf(text, room, "-%.*s ", BYTES_PRINTF(node->bytes));
    default: return (size_t)snprintf(text, room, "%.*s ", BYTES_PRINTF(node->bytes));
    }
}

static void split_done(void *owner, const struct valkey_answer *answer)
{
    struct result *outcome = owner;
    const struct resp_node *node;
    size_t size = 0;

    outcome->done_count++;
    outcome->err = answer->err;
    outcome->may_have_run = answer->may_have_run;
    if (answer->err != OK) {
        snprintf(outcome->text, sizeof outcome->text, "%.*s", BYTES_PRINTF(answer->text));
        return;
    }
    node = answer->replies[0].nodes;
    if (node->type != RESP_ARRAY) {
        write_node(outcome->text, sizeof outcome->text, node);
        return;
    }
    EXPECT_EQ(node->span, node->integer + 1);
    EXPECT_EQ(answer->replies[0].node_count, node->span);
    for (int64_t i = 1; i <= node->integer; i++)
        size += write_node(outcome->text + size, sizeof outcome->text - size, &node[i]);
}

/* Splits what is written in words. */
static enum err split(struct result *outcome, const char *text)
{
    struct bytes arguments[1200];
    uint32_t count = 0;
    char words[16384], *rest = words, *word;

    *outcome = (struct result){.split = NULL};
    snprintf(words, sizeof words, "%s", text);
    while ((word = strsep(&rest, " ")) != NULL)
        arguments[count++] = bytes_of_text(word);
    return split_ask(world.valkey, arguments, count, 0, 0, split_done, outcome, &outcome->split);
}

static void expect(const char *text, const char *wanted)
{
    struct result outcome;

    EXPECT_EQ(split(&outcome, text), OK);
    EXPECT_EQ(outcome.done_count, 0);
    run_ms(30);
    EXPECT_EQ(outcome.done_count, 1);
    EXPECT_EQ(outcome.err, OK);
    if (strcmp(outcome.text, wanted) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", text, outcome.text, wanted);
}

/* MSET, MGET, DEL and EXISTS of keys of one slot, as these servers do not know them. */
static const char *run_several(struct node *node, const struct bytes *arguments, uint32_t count)
{
    static char text[65536];
    bool is_mset = bytes_equal(arguments[0], BYTES("MSET")),
         is_mget = bytes_equal(arguments[0], BYTES("MGET"));
    bool is_del = bytes_equal(arguments[0], BYTES("DEL")),
         is_exists = bytes_equal(arguments[0], BYTES("EXISTS"));
    size_t size = 0;
    int found_count = 0;

    if (!is_mset && !is_mget && !is_del && !is_exists)
        return NULL;
    if (is_mget)
        size += (size_t)snprintf(text, sizeof text, "*%u\r\n", count - 1);
    for (uint32_t i = 1; i < count; i += is_mset ? 2 : 1) {
        struct key *key = key_of(arguments[i]);
        EXPECT_EQ(valkey_slot(arguments[i]), valkey_slot(arguments[1]));
        EXPECT_EQ(world.owner[valkey_slot(arguments[i])], number_of(node));
        found_count += key->size > 0;
        if (is_mset) {
            memcpy(key->value, arguments[i + 1].data, arguments[i + 1].size);
            key->size = arguments[i + 1].size;
        }
        if (is_mget && key->size == 0)
            size += (size_t)snprintf(text + size, sizeof text - size, "$-1\r\n");
        else if (is_mget)
            size += (size_t)snprintf(text + size, sizeof text - size, "$%zu\r\n%.*s\r\n", key->size,
                                     (int)key->size, key->value);
        if (is_del)
            key->size = 0;
    }
    if (is_mset)
        return "+OK\r\n";
    if (!is_mget)
        snprintf(text, sizeof text, ":%d\r\n", found_count);
    return text;
}

static void open_several(void)
{
    world_open(3);
    for (int i = 0; i < 3; i++)
        world.nodes[i].script = run_several;
}

TEST(replies_are_put_together_in_the_order_of_the_keys)
{
    open_several();
    expect("MSET a 1 b 2 c 3 {a}x 4 a 5", "OK ");
    expect("MGET c nothing {a}x b a a", "3 null 4 2 5 5 "); /* of two values for a key the later has won */
    expect("EXISTS a b nothing a", ":3 ");
    expect("DEL a c nothing", ":2 ");
    expect("MGET a b", "null 2 ");
    world_end();
}

TEST(only_what_can_be_put_together_is_split)
{
    struct result outcome;
    static const char *const possible[] = {"MGET", "del", "Unlink", "EXISTS", "TOUCH", "MSET"};
    static const char *const impossible[] = {"MSETNX", "PFCOUNT", "SINTER", "GET", "", "MGETX", "SUNION"};

    open_several();
    for (size_t i = 0; i < COUNT_OF(possible); i++)
        EXPECT(split_is_possible(bytes_of_text(possible[i])));
    for (size_t i = 0; i < COUNT_OF(impossible); i++)
        EXPECT(!split_is_possible(bytes_of_text(impossible[i])));
    EXPECT_EQ(split(&outcome, "MGET"), ERR_SYNTAX);
    EXPECT_EQ(split(&outcome, "MSET a"), ERR_SYNTAX);
    EXPECT_EQ(split(&outcome, "MSET a 1 b"), ERR_SYNTAX);
    EXPECT_EQ(split(&outcome, "SINTER a b"), ERR_SYNTAX);
    world_end();
}

TEST(a_part_that_fails_has_errors_in_the_places_of_its_keys)
{
    struct result outcome;
    int lost;

    open_several();
    lost = world.owner[valkey_slot(BYTES("b"))];
    expect("MSET a 1 b 2 c 3", "OK ");
    world.nodes[lost].is_frozen = true;
    EXPECT(world.owner[valkey_slot(BYTES("a"))] != lost);
    EXPECT_EQ(split(&outcome, "MGET a b"), OK);
    run_ms(1100);
    EXPECT_EQ(outcome.err, OK);
    EXPECT_EQ(strcmp(outcome.text, "1 -no reply within the time allowed "), 0);
    EXPECT_EQ(split(&outcome, "DEL a b"), OK);
    run_ms(1100);
    EXPECT_EQ(outcome.err, ERR_TIMEOUT);
    EXPECT(outcome.may_have_run);
    world_end();
}

static const char *refuse(struct node *node, const struct bytes *arguments, uint32_t count)
{
    (void)node;
    (void)count;
    if (bytes_equal(arguments[0], BYTES("MSET")))
        return "-OOM command not allowed\r\n";
    return bytes_equal(arguments[0], BYTES("MGET"))
               ? "*9\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n"
           : bytes_equal(arguments[0], BYTES("DEL")) ? ":1000\r\n"
                                                     : NULL;
}

TEST(what_a_server_says_instead_of_an_answer_is_told)
{
    struct result outcome;

    open_several();
    for (int i = 0; i < 3; i++)
        world.nodes[i].script = refuse;
    expect("MSET a 1 b 2", "-OOM command not allowed ");
    EXPECT_EQ(source_to(world.owner[valkey_slot(BYTES("a"))])->reconnect_count, 0);
    expect("MGET a b", "-ERR the tier's answer to MGET is none -ERR the tier's answer to MGET is none ");
    EXPECT_EQ(split(&outcome, "DEL a b"), OK);
    run_ms(10);
    EXPECT_EQ(outcome.err, ERR_SYNTAX);
    EXPECT_EQ(source_to(world.owner[valkey_slot(BYTES("a"))])->reconnect_count, 2);
    world_end();
}

static const char *say_verbatim(struct node *node, const struct bytes *arguments, uint32_t count)
{
    (void)node;
    (void)count;
    return bytes_equal(arguments[0], BYTES("MGET")) ? "*1\r\n=7\r\ntxt:abc\r\n" : NULL;
}

TEST(what_mget_does_not_say_of_a_key_is_no_value)
{
    open_several();
    for (int i = 0; i < 3; i++)
        world.nodes[i].script = say_verbatim;
    expect("MGET a", "-ERR the tier's answer to MGET is none ");
    EXPECT_EQ(source_to(world.owner[valkey_slot(BYTES("a"))])->reconnect_count, 1);
    world_end();
}

TEST(more_parts_than_may_be_under_way_follow_each_other)
{
    enum { KEY_COUNT = 1000 };
    char text[16384] = "EXISTS";
    size_t size = strlen(text);
    struct result outcome;
    uint32_t begun = 0;

    open_several();
    for (int i = 0; i < 3; i++)
        world.nodes[i].is_frozen = true;
    for (int i = 0; i < KEY_COUNT; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, " {%d}", i);
    world.key_count = 0;
    EXPECT_EQ(split(&outcome, text), OK);
    for (struct list *at = world.valkey->calls.next; at != &world.valkey->calls; at = at->next)
        begun++;
    EXPECT_EQ(begun, 256);
    split_give_up(outcome.split);
    EXPECT(list_is_empty(&world.valkey->calls));
    run_ms(20);
    EXPECT_EQ(outcome.done_count, 0);
    world_end();
}

static const char *count_one(struct node *node, const struct bytes *arguments, uint32_t count)
{
    static char text[16];
    (void)node;
    if (!bytes_equal(arguments[0], BYTES("EXISTS")))
        return NULL;
    snprintf(text, sizeof text, ":%u\r\n", count - 1);
    return text;
}

TEST(a_thousand_parts_give_one_sum)
{
    enum { KEY_COUNT = 1000 };
    char text[16384] = "EXISTS";
    size_t size = strlen(text);
    struct result outcome;

    open_several();
    for (int i = 0; i < 3; i++)
        world.nodes[i].script = count_one;
    for (int i = 0; i < KEY_COUNT; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, " {%d}", i);
    EXPECT_EQ(split(&outcome, text), OK);
    run_ms(600);
    EXPECT_EQ(strcmp(outcome.text, ":1000 "), 0);
    world_end();
}

RUN_TESTS(TEST_ROW(replies_are_put_together_in_the_order_of_the_keys),
          TEST_ROW(only_what_can_be_put_together_is_split),
          TEST_ROW(a_part_that_fails_has_errors_in_the_places_of_its_keys),
          TEST_ROW(what_a_server_says_instead_of_an_answer_is_told),
          TEST_ROW(what_mget_does_not_say_of_a_key_is_no_value),
          TEST_ROW(more_parts_than_may_be_under_way_follow_each_other),
          TEST_ROW(a_thousand_parts_give_one_sum))
