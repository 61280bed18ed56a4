/* test_slot_map.c — what servers say of their cluster, and whom to believe.
 * links: nuthatch-valkey */
#include "base/compiler.h"
#include "client/valkey/slot_map.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- answers as servers write them ------------------------------------------------------------------- */

struct told {
    struct resp_reply_parser parser;
    struct resp_reply reply;
    struct map_answer answer;
    char *text;
};

static const struct link_address asked = {.host = "asked.example", .port = 7777};

/* Parses a reply whose lines are separated by blanks. */
static void parse(struct told *told, const char *words)
{
    static const struct resp_reply_limits limits = {
        .reply_bytes_max = 4 << 20, .nodes_max = 200000, .depth_max = RESP_DEPTH_MAX};
    struct buffer text = {0};
    struct bytes error;
    size_t consumed;

    *told = (struct told){0};
    for (; *words != '\0'; words++) {
        if (*words == ' ')
            buffer_append_literal(&text, "\r\n");
        else
            buffer_append_byte(&text, *words);
    }
    buffer_append_literal(&text, "\r\n");
    told->text = text.data;
    EXPECT_EQ(
        resp_reply_parse(&told->parser, &limits, buffer_bytes(&text), &told->reply, &consumed, &error),
        PARSE_DONE);
    EXPECT_EQ(consumed, text.size);
}

static void told_fini(struct told *told)
{
    map_answer_fini(&told->answer);
    resp_reply_parser_fini(&told->parser);
    free(told->text);
}

static const struct map_node *owner_in(const struct map_answer *answer, uint16_t slot)
{
    uint16_t number = answer->node_of_slot[slot];
    return number != MAP_NOBODY ? &answer->nodes[number] : NULL;
}

static const char *host_in(const struct map_answer *answer, uint16_t slot)
{
    const struct map_node *owner = owner_in(answer, slot);
    return owner != NULL ? owner->address.host : "nobody's";
}

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

/* Redis 7.0, RESP2; a replica behind the first. */
static const char shards_2[] =
    "*2 *4 $5 slots *4 :0 :99 :200 :16383 $5 nodes *2 "
    "*14 $2 id $40 " A " $4 port :7001 $2 ip $9 127.0.0.1 $8 endpoint $9 127.0.0.1 $4 role $6 master "
    "$18 replication-offset :252 $6 health $6 online "
    "*14 $2 id $40 " B " $4 port :7002 $2 ip $9 127.0.0.1 $8 endpoint $9 127.0.0.1 $4 role $7 replica "
    "$18 replication-offset :252 $6 health $4 fail "
    "*4 $5 slots *2 :100 :199 $5 nodes *1 "
    "*14 $2 id $40 " C " $4 port :7003 $2 ip $9 127.0.0.1 $8 endpoint $9 127.0.0.1 $4 role $6 master "
    "$18 replication-offset :252 $6 health $6 online";
/* The same in RESP3, with TLS ports, hostnames and names that nobody knows. */
static const char shards_3[] =
    "*2 %3 $5 slots *4 :0 :99 :200 :16383 $5 nodes *2 "
    "%8 $2 id $40 " A " $4 port :7001 $8 tls-port :8001 $2 ip $9 127.0.0.1 $8 endpoint $9 a.example "
    "$8 hostname $9 a.example $4 role $6 master $6 health $6 online "
    "%6 $2 id $40 " B " $4 port :7002 $2 ip $9 127.0.0.1 $8 endpoint $9 b.example $4 role $7 replica "
    "$6 health $4 fail "
    "$3 new *1 *1 $4 what "
    "%2 $5 slots *2 :100 :199 $5 nodes *1 "
    "%6 $2 id $40 " C " $8 tls-port :8003 $2 ip $9 127.0.0.1 $8 endpoint $9 c.example $4 role $6 master "
    "$6 health $6 online";

TEST(shards_are_read_in_both_protocols)
{
    for (int version = 2; version <= 3; version++) {
        struct told told;
        const struct map_answer *answer = &told.answer;
        parse(&told, version == 2 ? shards_2 : shards_3);
        EXPECT_EQ(map_answer_read_shards(&told.answer, told.reply.nodes, &asked, version == 3), OK);
        EXPECT(answer->is_cluster);
        EXPECT_EQ(answer->node_count, 3);
        for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
            EXPECT_EQ(answer->node_of_slot[slot], slot >= 100 && slot < 200 ? 2 : 0);
        EXPECT_EQ(answer->nodes[1].primary, 0);
        EXPECT(answer->nodes[1].is_failed && !answer->nodes[0].is_failed);
        EXPECT_EQ(answer->nodes[2].primary, 2);
        EXPECT_EQ(strcmp(answer->nodes[2].id, C), 0);
        EXPECT_EQ(strcmp(answer->nodes[0].address.host, version == 2 ? "127.0.0.1" : "a.example"), 0);
        EXPECT_EQ(answer->nodes[0].address.port, version == 2 ? 7001 : 8001);
        EXPECT_EQ(answer->nodes[1].address.port, 7002); /* no port for TLS was told */
        EXPECT_EQ(answer->nodes[2].address.port, version == 2 ? 7003 : 8003);
        told_fini(&told);
    }
}

TEST(an_endpoint_may_be_the_host_that_was_asked_or_unknown)
{
    static const struct {
        const char *endpoint, *ip, *host;
    } cases[] = {
        {"$-1", "$9 10.0.0.10", "asked.example"},
        {"_", "$9 10.0.0.10", "asked.example"},
        {"$0 ", "$9 10.0.0.10", "asked.example"},
        {"$1 ?", "$9 10.0.0.10", "10.0.0.10"},
        {"$1 ?", "$1 ?", ""},
        {"$3 ::1", "$3 ::1", "::1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct told told;
        char words[256];
        snprintf(words, sizeof words,
                 "*1 *4 $5 slots *2 :0 :1 $5 nodes *1 *8 $4 port :7001 $8 endpoint %s $2 ip %s $4 role "
                 "$6 master",
                 cases[i].endpoint, cases[i].ip);
        parse(&told, words);
        EXPECT_EQ(map_answer_read_shards(&told.answer, told.reply.nodes, &asked, false), OK);
        assert_string_equal(host_in(&told.answer, 1), cases[i].host);
        EXPECT(owner_in(&told.answer, 2) == NULL);
        told_fini(&told);
    }
}

TEST(of_two_primaries_of_a_shard_that_which_is_well_has_the_slots)
{
    struct told told;

    parse(&told, "*1 *4 $5 slots *2 :0 :1 $5 nodes *2 "
                 "*8 $4 port :7001 $8 endpoint $1 a $4 role $6 master $6 health $4 fail "
                 "*8 $4 port :7002 $8 endpoint $1 b $4 role $6 master $6 health $6 online");
    EXPECT_EQ(map_answer_read_shards(&told.answer, told.reply.nodes, &asked, false), OK);
    EXPECT_EQ(owner_in(&told.answer, 0)->address.port, 7002);
    told_fini(&told);
}

TEST(slots_are_read_and_nodes_that_come_again_are_the_same)
{
    struct told told;

    parse(&told, "*3 *4 :0 :5 *4 $9 127.0.0.1 :7001 $40 " A " *0 *4 $9 127.0.0.1 :7004 $40 " B " *0 "
                 "*3 :6 :9 *4 $-1 :7002 $40 " C " *2 $8 hostname $1 x "
                 "*3 :10 :16383 *3 $9 127.0.0.1 :7001 $40 " A);
    EXPECT_EQ(map_answer_read_slots(&told.answer, told.reply.nodes, &asked), OK);
    EXPECT_EQ(told.answer.node_count, 3);
    EXPECT_EQ(told.answer.node_of_slot[5], told.answer.node_of_slot[10]);
    assert_string_equal(host_in(&told.answer, 6), "asked.example");
    EXPECT_EQ(told.answer.nodes[1].primary, 0);
    told_fini(&told);
}

enum { CROWD_NODES = 3000, CROWD_LINES = 15000 };

TEST(an_answer_of_many_ranges_and_nodes_costs_what_it_is_long)
{
    struct told told;
    struct buffer words = {0};

    buffer_append_format(&words, "*%d", CROWD_LINES);
    for (int i = 0; i < CROWD_LINES; i++)
        buffer_append_format(&words, " *3 :%d :%d *3 $9 127.0.0.1 :%d $40 %040d", i, i, 1 + i % CROWD_NODES,
                             i % CROWD_NODES);
    buffer_append_byte(&words, '\0');
    parse(&told, words.data);
    EXPECT_EQ(map_answer_read_slots(&told.answer, told.reply.nodes, &asked), OK);
    EXPECT_EQ(told.answer.node_count, CROWD_NODES);
    EXPECT_EQ(owner_in(&told.answer, CROWD_NODES + 7)->address.port, 8);
    EXPECT(told.answer.look_count < 4 * CROWD_LINES);

    told.answer.look_count = 0;
    buffer_clear(&words);
    for (int i = 0; i < CROWD_LINES; i++)
        buffer_append_format(&words, "%040d a b c 0 0 %d connected\n", i, i + 1);
    map_answer_read_epochs(&told.answer, buffer_bytes(&words));
    EXPECT_EQ(told.answer.nodes[0].epoch, 1);
    EXPECT_EQ(told.answer.nodes[CROWD_NODES - 1].epoch, CROWD_NODES);
    EXPECT(told.answer.look_count < 4 * CROWD_LINES);
    buffer_fini(&words);
    told_fini(&told);
}

TEST(nodes_that_have_no_name_of_their_own_cost_no_more)
{
    struct told told;
    struct buffer words = {0};

    buffer_append_format(&words, "*2 *4 $5 slots *2 :0 :9 $5 nodes *%d", CROWD_NODES);
    for (int i = 0; i < CROWD_NODES; i++)
        buffer_append_literal(&words, " *4 $2 id $1 x $4 port :7001");
    buffer_append_literal(&words, " *4 $5 slots *0 $5 nodes *0");
    buffer_append_byte(&words, '\0');
    parse(&told, words.data);
    EXPECT_EQ(map_answer_read_shards(&told.answer, told.reply.nodes, &asked, false), OK);
    EXPECT_EQ(told.answer.node_count, CROWD_NODES);
    buffer_clear(&words);
    for (int i = 0; i < CROWD_LINES; i++)
        buffer_append_literal(&words, "x a b c 0 0 5 connected\n");
    map_answer_read_epochs(&told.answer, buffer_bytes(&words));
    EXPECT_EQ(told.answer.nodes[0].epoch, 5);
    EXPECT(told.answer.look_count < 4 * CROWD_LINES);
    buffer_fini(&words);
    told_fini(&told);
}

TEST(config_epochs_come_from_the_list_of_nodes)
{
    struct told told;

    parse(&told, shards_2);
    EXPECT_EQ(map_answer_read_shards(&told.answer, told.reply.nodes, &asked, false), OK);
    map_answer_read_epochs(
        &told.answer,
        BYTES(A " 127.0.0.1:7001@17001 myself,master - 0 1426238316232 7 connected 0-99 200-16383\n"
                "short line\n\n" B " 127.0.0.1:7002@17002,b.example slave " A
                " 0 1426238316232 99999999999 connected\n" C
                " 127.0.0.1:7003@17003 master - 0 0 x connected"));
    EXPECT_EQ(told.answer.nodes[0].epoch, 7);
    EXPECT_EQ(told.answer.nodes[1].epoch, UINT32_MAX);
    EXPECT_EQ(told.answer.nodes[2].epoch, 0);
    told_fini(&told);
}

TEST(a_primary_without_a_cluster_has_every_slot)
{
    struct told told;

    parse(&told, "*3 $6 master :3129659 *2 *3 $9 127.0.0.1 $4 9001 $7 3129242 *3 $0  $4 9002 $1 0");
    EXPECT_EQ(map_answer_read_role(&told.answer, told.reply.nodes, &asked), OK);
    EXPECT(!told.answer.is_cluster && !told.answer.is_replica);
    EXPECT_EQ(told.answer.node_count, 3);
    EXPECT_EQ(owner_in(&told.answer, 16383)->address.port, 7777);
    EXPECT_EQ(told.answer.nodes[1].address.port, 9001);
    EXPECT_EQ(told.answer.nodes[1].primary, 0);
    EXPECT_EQ(strcmp(told.answer.nodes[2].address.host, "asked.example"), 0);
    told_fini(&told);
    parse(&told, "*5 $5 slave $9 127.0.0.1 :9000 $9 connected :3167038");
    EXPECT_EQ(map_answer_read_role(&told.answer, told.reply.nodes, &asked), OK);
    EXPECT(told.answer.is_replica);
    EXPECT_EQ(told.answer.nodes[0].address.port, 9000);
    told_fini(&told);
    parse(&told, "*2 $8 sentinel *1 $8 mymaster");
    EXPECT_EQ(map_answer_read_role(&told.answer, told.reply.nodes, &asked), ERR_TYPE);
    told_fini(&told);
}

enum reader { SHARDS, SLOTS, ROLE };

TEST(what_makes_no_sense_is_refused_and_leaves_nothing)
{
    static const struct {
        enum reader reader;
        const char *words;
        enum err err;
    } cases[] = {
        {SHARDS, "+OK", ERR_SYNTAX},
        {SHARDS, "*1 :1", ERR_SYNTAX},
        {SHARDS, "*1 *2 $5 slots *0", ERR_SYNTAX},
        {SHARDS, "*1 *4 $5 slots *1 :0 $5 nodes *0", ERR_SYNTAX},
        {SHARDS, "*1 *4 $5 slots *2 $1 0 :1 $5 nodes *0", ERR_SYNTAX},
        {SHARDS, "*1 *4 $5 slots *2 :0 :16384 $5 nodes *0", ERR_RANGE},
        {SHARDS, "*1 *4 $5 slots *2 :-1 :5 $5 nodes *0", ERR_RANGE},
        {SHARDS, "*1 *4 $5 slots *2 :6 :5 $5 nodes *0", ERR_RANGE},
        {SHARDS, "*1 *4 $5 slots *0 $5 nodes *1 :7", ERR_SYNTAX},
        {SHARDS, "*1 *4 $5 slots *0 $5 nodes *1 *2 $4 port :65536", ERR_RANGE},
        {SHARDS, "*1 *4 $5 slots *0 $5 nodes *1 *2 $4 port $4 7001", ERR_SYNTAX},
        {SHARDS, "*1 *4 $5 slots *0 $5 nodes *1 *2 $8 endpoint $3 a/b", ERR_SYNTAX},
        {SHARDS, "*1 *4 $5 slots *0 $5 nodes *1 *2 $8 endpoint :5", ERR_SYNTAX},
        {SLOTS, "*1 *2 :0 :1", ERR_SYNTAX},
        {SLOTS, "*1 *3 :0 :1 *1 $1 a", ERR_SYNTAX},
        {SLOTS, "*1 *3 :0 :99999 *2 $1 a :1", ERR_RANGE},
        {SLOTS,
         "*5 *3 :0 :16383 *2 $1 a :1 *3 :0 :16383 *2 $1 a :1 *3 :0 :16383 *2 $1 a :1 "
         "*3 :0 :16383 *2 $1 a :1 *3 :0 :16383 *2 $1 a :1",
         ERR_RANGE},
        {ROLE, "*0", ERR_SYNTAX},
        {ROLE, "*3 $4 what :1 *0", ERR_SYNTAX},
        {ROLE, "*3 $6 master :1 :1", ERR_SYNTAX},
        {ROLE, "*3 $6 master :1 *1 *3 $1 a $5 99999 $1 0", ERR_RANGE},
        {ROLE, "*3 $5 slave $1 a $4 9000", ERR_SYNTAX},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct told told;
        enum err err;
        parse(&told, cases[i].words);
        err = cases[i].reader == SHARDS
                  ? map_answer_read_shards(&told.answer, told.reply.nodes, &asked, false)
              : cases[i].reader == SLOTS ? map_answer_read_slots(&told.answer, told.reply.nodes, &asked)
                                         : map_answer_read_role(&told.answer, told.reply.nodes, &asked);
        if (err != cases[i].err)
            fail_msg("%s: %s", cases[i].words, err_text(err));
        EXPECT(told.answer.nodes == NULL && told.answer.node_of_slot == NULL);
        told_fini(&told);
    }
}

/* ---- believing --------------------------------------------------------------------------------------- */

enum { SLOT = 77 };

/* An answer in which `owner`, of that epoch, has SLOT, and nobody anything else. */
static struct map_answer says(uint16_t owner, uint32_t epoch)
{
    struct map_answer answer = {.is_cluster = true, .node_count = 1};

    answer.nodes = calloc(1, sizeof *answer.nodes);
    answer.nodes[0].server = owner;
    answer.nodes[0].epoch = epoch;
    answer.node_of_slot = malloc(VALKEY_SLOT_COUNT * sizeof *answer.node_of_slot);
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        answer.node_of_slot[slot] = MAP_NOBODY;
    if (owner != MAP_NOBODY)
        answer.node_of_slot[SLOT] = 0;
    return answer;
}

static int change_count;
static void note_change(void *context, uint16_t slot, uint16_t before)
{
    (void)context;
    (void)before;
    EXPECT_EQ(slot, SLOT);
    change_count++;
}

/* Merges one or two claims, (owner, epoch) each, and returns the owner. */
static uint16_t merge(struct slot_map *map, uint16_t owner_1, uint32_t epoch_1, int owner_2,
                      uint32_t epoch_2)
{
    struct map_answer answers[2] = {says(owner_1, epoch_1), says((uint16_t)owner_2, epoch_2)};

    slot_map_merge(map, answers, owner_2 >= 0 ? 2 : 1, note_change, NULL);
    map_answer_fini(&answers[0]);
    map_answer_fini(&answers[1]);
    return map->owner[SLOT];
}

enum { ALONE = -1 };

static struct slot_map *map_with(uint16_t owner, uint32_t epoch)
{
    struct slot_map *map = malloc(sizeof *map);

    slot_map_init(map);
    change_count = 0;
    EXPECT_EQ(merge(map, owner, epoch, ALONE, 0), owner);
    EXPECT_EQ(change_count, 1);
    return map;
}

TEST(the_higher_epoch_is_believed_whoever_says_it)
{
    struct slot_map *map = map_with(1, 5);

    EXPECT_EQ(merge(map, 1, 5, 2, 6), 2);
    EXPECT_EQ(merge(map, 3, 7, 2, 6), 3);
    EXPECT_EQ(merge(map, 4, 8, ALONE, 0), 4);
    EXPECT_EQ(change_count, 4);
    free(map);
}

TEST(one_who_is_behind_is_not_believed_until_he_insists)
{
    struct slot_map *map = map_with(1, 5);

    EXPECT_EQ(merge(map, 2, 4, ALONE, 0), 1);
    EXPECT_EQ(merge(map, 2, 4, 1, 5), 1);
    EXPECT_EQ(merge(map, MAP_NOBODY, 0, ALONE, 0), 1);
    EXPECT_EQ(merge(map, 2, 4, ALONE, 0), 1);
    EXPECT_EQ(merge(map, 1, 5, ALONE, 0), 1); /* and what is confirmed begins anew */
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(merge(map, 2, 4, ALONE, 0), 1);
    EXPECT_EQ(merge(map, 2, 4, ALONE, 0), 2); /* a cluster that was made anew begins with low epochs */
    free(map);
}

TEST(two_who_say_the_same_twice_are_believed)
{
    struct slot_map *map = map_with(1, 5);

    EXPECT_EQ(merge(map, 2, 4, 2, 4), 1);
    EXPECT_EQ(merge(map, 2, 4, 2, 4), 2);
    EXPECT_EQ(merge(map, MAP_NOBODY, 0, MAP_NOBODY, 0), 2);
    EXPECT_EQ(merge(map, MAP_NOBODY, 0, MAP_NOBODY, 0), MAP_NOBODY);
    EXPECT_EQ(merge(map, 2, 4, ALONE, 0), 2);
    free(map);
}

TEST(what_a_redirection_has_taught_needs_more_than_the_same_epoch_to_be_undone)
{
    struct slot_map *map = map_with(1, 5);

    EXPECT(slot_map_move(map, SLOT, 2));
    EXPECT(!slot_map_move(map, SLOT, 2));
    EXPECT_EQ(merge(map, 1, 5, ALONE, 0), 2);
    EXPECT_EQ(merge(map, 1, 5, 2, 6), 2); /* confirmed */
    EXPECT_EQ(merge(map, 1, 5, ALONE, 0), 2);
    EXPECT(slot_map_move(map, SLOT, 3));
    EXPECT_EQ(merge(map, 1, 9, ALONE, 0), 1); /* news are news */
    free(map);
}

TEST(where_no_epochs_are_told_most_are_right_and_then_what_was_thought)
{
    struct slot_map *map = map_with(1, 0);

    EXPECT_EQ(merge(map, 2, 0, 1, 0), 1);
    EXPECT_EQ(merge(map, 2, 0, 2, 0), 2);
    EXPECT_EQ(merge(map, 1, 0, ALONE, 0), 1);
    free(map);
}

RUN_TESTS(TEST_ROW(shards_are_read_in_both_protocols),
          TEST_ROW(an_endpoint_may_be_the_host_that_was_asked_or_unknown),
          TEST_ROW(of_two_primaries_of_a_shard_that_which_is_well_has_the_slots),
          TEST_ROW(slots_are_read_and_nodes_that_come_again_are_the_same),
          TEST_ROW(an_answer_of_many_ranges_and_nodes_costs_what_it_is_long),
          TEST_ROW(nodes_that_have_no_name_of_their_own_cost_no_more),
          TEST_ROW(config_epochs_come_from_the_list_of_nodes),
          TEST_ROW(a_primary_without_a_cluster_has_every_slot),
          TEST_ROW(what_makes_no_sense_is_refused_and_leaves_nothing),
          TEST_ROW(the_higher_epoch_is_believed_whoever_says_it),
          TEST_ROW(one_who_is_behind_is_not_believed_until_he_insists),
          TEST_ROW(two_who_say_the_same_twice_are_believed),
          TEST_ROW(what_a_redirection_has_taught_needs_more_than_the_same_epoch_to_be_undone),
          TEST_ROW(where_no_epochs_are_told_most_are_right_and_then_what_was_thought))
