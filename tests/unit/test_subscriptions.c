/* test_subscriptions.c — channels of a cluster: where they are subscribed to, what becomes of that when
 * servers and slots go, what a server may say.
 * links: nuthatch-valkey -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "client/valkey/subscriptions.h"
#include "no_memory.h"
#include "valkey_world.h"

/* ---- servers with channels ----------------------------------------------------------------------------
 */

enum { HELD_MAX = 4096 };

static bool is_of_whom_is_tested(void) { return servers_depth == 0; }

/* "s:name": what a connection is subscribed to. */
struct held {
    struct connection *connection;
    char kind;
    char name[40];
};

static struct held held[HELD_MAX];
static size_t held_count;
static struct bytes refused_channel; /* the server's user may not have it */
static size_t command_count;         /* of those of subscriptions */
static bool confirms_nothing;

static char kind_of_word(struct bytes word)
{
    return bytes_equal(word, BYTES("SUBSCRIBE")) || bytes_equal(word, BYTES("UNSUBSCRIBE")) ? 'c'
           : word.data[0] == 'P'                                                            ? 'p'
                                                                                            : 's';
}

static struct held *find_held(const struct connection *connection, char kind, struct bytes name)
{
    for (size_t i = 0; i < held_count; i++)
        if (held[i].connection == connection && held[i].kind == kind &&
            bytes_equal(bytes_of_text(held[i].name), name))
            return &held[i];
    return NULL;
}

static void push(struct connection *connection, const char *text)
{
    static const struct resp_reply_limits limits = {
        .reply_bytes_max = 1 << 20, .nodes_max = 100000, .depth_max = RESP_DEPTH_MAX};
    struct resp_reply_parser parser = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;

    servers_depth++;
    EXPECT_EQ(resp_reply_parse(&parser, &limits, bytes_of_text(text), &reply, &consumed, &error),
              PARSE_DONE);
    servers_depth--;
    connection->link_callbacks->pushed(connection->link_owner, &reply);
    resp_reply_parser_fini(&parser);
}

static void push_words(struct connection *connection, const char *first, const char *second,
                       const char *third, bool is_message)
{
    char text[512];

    snprintf(text, sizeof text, is_message ? ">3\r\n+%s\r\n+%s\r\n+%s\r\n" : ">3\r\n+%s\r\n+%s\r\n:%s\r\n",
             first, second, third);
    push(connection, text);
}

/* Null: it may. */
static const char *why_not(const struct connection *connection, char kind, const struct bytes *names,
                           uint32_t count)
{
    static char text[100];
    uint16_t slot = valkey_slot(names[0]);
    int owner = world.owner[slot];

    for (uint32_t i = 0; i < count; i++) {
        if (refused_channel.size > 0 && bytes_equal(names[i], refused_channel))
            return "NOPERM this user has no permissions to access one of the channels used as arguments";
        if (kind == 's' && valkey_slot(names[i]) != slot)
            return "CROSSSLOT Keys in request don't hash to the same slot";
    }
    if (kind != 's' || world.nodes[0].is_lone || owner == number_of(connection->node))
        return NULL;
    snprintf(text, sizeof text, "MOVED %u %s:%u", slot, world.nodes[owner].host, world.nodes[owner].port);
    return text;
}

static void run(struct connection *connection, struct link_request *request, const struct bytes *arguments,
                uint32_t count)
{
    bool is_end = bytes_start_with(arguments[0], BYTES("UN")) ||
                  bytes_start_with(bytes_after(arguments[0], 1), BYTES("UN"));
    char kind = kind_of_word(arguments[0]), word[16], name[64];
    const char *refusal = why_not(connection, kind, arguments + 1, count - 1);

    command_count++;
    if (refusal != NULL) {
        struct resp_node node = {.type = RESP_ERROR, .span = 1, .bytes = bytes_of_text(refusal)};
        struct resp_reply reply = {.nodes = &node, .node_count = 1};
        request->left_count = 1;
        request->replied(request, &reply);
        return;
    }
    for (size_t i = 0; i < arguments[0].size; i++)
        word[i] = byte_to_lower(arguments[0].data[i]);
    word[arguments[0].size] = '\0';
    for (uint32_t i = 1; i < count; i++) {
        struct held *at = find_held(connection, kind, arguments[i]);
        EXPECT(arguments[i].size < sizeof held->name);
        memcpy(name, arguments[i].data, arguments[i].size);
        name[arguments[i].size] = '\0';
        EXPECT(is_end ? at != NULL : at == NULL); /* nothing is said twice */
        if (is_end) {
            *at = held[--held_count];
        } else {
            EXPECT(held_count < HELD_MAX);
            held[held_count] = (struct held){.connection = connection, .kind = kind};
            strcpy(held[held_count++].name, name);
        }
        if (!confirms_nothing)
            push_words(connection, word, name, "1", false);
    }
}

static void deliver_fenced(struct connection *connection, struct sent *sent)
{
    struct bytes bytes = bytes_of(sent->bytes, sent->size);
    struct resp_node pong = {.type = RESP_SIMPLE, .span = 1, .bytes = BYTES("PONG")};
    struct resp_reply reply = {.nodes = &pong, .node_count = 1};

    while (bytes.size > 0) {
        struct bytes arguments[200] = {0};
        uint32_t count = take_command(&bytes, arguments, COUNT_OF(arguments));
        run(connection, sent->request, arguments, count);
    }
    sent->request->left_count = 0;
    sent->request->replied(sent->request, &reply);
}

static void forget_connection(struct connection *connection)
{
    for (size_t i = 0; i < held_count;)
        if (held[i].connection == connection)
            held[i] = held[--held_count];
        else
            i++;
}

/* ---- who subscribes -----------------------------------------------------------------------------------
 */

struct waiter {
    struct subscription_wait wait;
    int done_count;
    enum err err;
    char text[200];
};

static struct subscriptions *subscriptions;
static char heard_text[4096];

static void heard(void *owner, const struct subscription_message *message)
{
    size_t size = strlen(heard_text);

    (void)owner;
    snprintf(heard_text + size, sizeof heard_text - size, "%.*s/%.*s=%.*s ", BYTES_PRINTF(message->name),
             BYTES_PRINTF(message->channel), BYTES_PRINTF(message->text));
}

static void done(struct subscription_wait *wait, enum err err, struct bytes text)
{
    struct waiter *waiter = CONTAINER_OF(wait, struct waiter, wait);

    waiter->done_count++;
    waiter->err = err;
    snprintf(waiter->text, sizeof waiter->text, "%.*s", BYTES_PRINTF(text));
}

/* True if it is in force at once. */
static bool join(struct waiter *waiter, enum subscription_kind kind, const char *name)
{
    bool is_in_force;

    *waiter = (struct waiter){.wait.done = done};
    EXPECT_EQ(subscriptions_join(subscriptions, kind, bytes_of_text(name), &waiter->wait, &is_in_force),
              OK);
    return is_in_force;
}

static void leave(enum subscription_kind kind, const char *name)
{
    subscriptions_leave(subscriptions, kind, bytes_of_text(name));
}

static void begin(int primary_count)
{
    held_count = command_count = 0;
    refused_channel = (struct bytes){0};
    confirms_nothing = false;
    heard_text[0] = '\0';
    world_begin(primary_count);
    world.options.backoff_min_ms = 20;
    world.options.backoff_max_ms = 200;
    world.deliver_fenced = deliver_fenced;
    world.forget_connection = forget_connection;
    world_connect();
    run_ms(30);
    EXPECT_EQ(subscriptions_create(world.valkey, heard, NULL, &subscriptions), OK);
}

/* At how many connections, and at the node of the last of them. */
static int places(char kind, const char *name, int *node)
{
    int count = 0;

    for (size_t i = 0; i < held_count; i++)
        if (held[i].kind == kind && strcmp(held[i].name, name) == 0) {
            count++;
            if (node != NULL)
                *node = number_of(held[i].connection->node);
        }
    return count;
}

/* As a server does: to all that have it, at all nodes or one. */
static void publish(const char *channel, const char *text, int at_node)
{
    for (size_t i = 0; i < held_count; i++) {
        char bytes[200];
        if (at_node >= 0 && number_of(held[i].connection->node) != at_node)
            continue;
        if (held[i].kind == 'p' &&
            (strcmp(held[i].name, "*") == 0 || strncmp(held[i].name, channel, 3) == 0)) {
            snprintf(bytes, sizeof bytes, ">4\r\n+pmessage\r\n+%s\r\n+%s\r\n+%s\r\n", held[i].name, channel,
                     text);
            push(held[i].connection, bytes);
        } else if (strcmp(held[i].name, channel) == 0) {
            push_words(held[i].connection, held[i].kind == 's' ? "smessage" : "message", channel, text,
                       true);
        }
    }
}

static void expect_heard(const char *wanted)
{
    EXPECT_TEXT(bytes_of_text(heard_text), bytes_of_text(wanted));
    heard_text[0] = '\0';
}

static void lose_node(int node)
{
    world.nodes[node].is_up = false;
    run_ms(3);
}

/* ---- tests ----------------------------------------------------------------------------------------------
 */

TEST(a_channel_is_subscribed_to_once_however_many_want_it)
{
    struct waiter first, second, third;

    begin(3);
    EXPECT(!join(&first, SUBSCRIPTION_CHANNEL, "a"));
    EXPECT(!join(&second, SUBSCRIPTION_CHANNEL, "a"));
    run_ms(20);
    EXPECT_EQ(first.done_count + second.done_count, 2);
    EXPECT_EQ(first.err, OK);
    EXPECT(join(&third, SUBSCRIPTION_CHANNEL, "a"));
    EXPECT_EQ(places('c', "a", NULL), 1);
    EXPECT_EQ(command_count, 1);
    publish("a", "1", -1);
    expect_heard("a/a=1 ");
    leave(SUBSCRIPTION_CHANNEL, "a");
    leave(SUBSCRIPTION_CHANNEL, "a");
    run_ms(10);
    EXPECT_EQ(places('c', "a", NULL), 1);
    leave(SUBSCRIPTION_CHANNEL, "a");
    run_ms(10);
    EXPECT_EQ(places('c', "a", NULL), 0);
    EXPECT_EQ(subscriptions_count(subscriptions), 0);
    EXPECT_EQ(subscriptions_link_count(subscriptions), 1);
    run_ms(10500); /* and a while later nothing is connected to */
    EXPECT_EQ(subscriptions_link_count(subscriptions), 0);
    world_end();
}

TEST(who_leaves_and_comes_back_while_it_is_under_way_is_subscribed)
{
    struct waiter waiter;

    begin(3);
    for (int ms = 0; ms < 12; ms++) { /* at each stage of the way */
        (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
        run_ms(ms);
        subscriptions_give_up(subscriptions, &waiter.wait);
        leave(SUBSCRIPTION_CHANNEL, "a");
        run_ms(ms % 4);
        (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
        run_ms(20);
        EXPECT_EQ(places('c', "a", NULL), 1);
        publish("a", "1", -1);
        expect_heard("a/a=1 ");
        leave(SUBSCRIPTION_CHANNEL, "a");
        run_ms(20);
        EXPECT_EQ(places('c', "a", NULL), 0);
    }
    EXPECT_EQ(subscriptions_count(subscriptions), 0);
    world_end();
}

TEST(many_channels_go_out_in_batches)
{
    static struct waiter waiters[1000];
    char name[16];

    begin(3);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        (void)join(&waiters[i], SUBSCRIPTION_CHANNEL, name);
    }
    run_ms(40);
    for (int i = 0; i < 1000; i++)
        EXPECT(waiters[i].done_count == 1 && waiters[i].err == OK);
    EXPECT_EQ(command_count, 8);
    world_end();
}

TEST(a_hub_that_is_lost_is_replaced_and_what_was_in_force_is_counted)
{
    struct waiter waiter, other;
    int before, after;

    begin(3);
    (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
    (void)join(&other, SUBSCRIPTION_PATTERN, "b*");
    run_ms(20);
    EXPECT_EQ(places('c', "a", &before), 1);
    lose_node(before);
    run_ms(30);
    EXPECT_EQ(places('c', "a", &after), 1);
    EXPECT_EQ(places('p', "b*", NULL), 1);
    EXPECT(before != after);
    publish("a", "2", -1);
    expect_heard("a/a=2 ");
    EXPECT_EQ(counted(METRIC_tier_subscriptions_lost), 2);
    EXPECT_EQ(counted(METRIC_tier_subscribers_lost), 1);
    EXPECT_EQ(counted(METRIC_tier_subscribed), 4);
    world_end();
}

TEST(a_hub_that_has_lost_its_slots_is_left_as_it_may_be_cut_off)
{
    struct waiter waiter;
    int before, after;

    begin(3);
    (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
    run_ms(20);
    EXPECT_EQ(places('c', "a", &before), 1);
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        if (world.owner[slot] == before)
            world.owner[slot] = (before + 1) % 3;
    world.nodes[(before + 1) % 3].epoch = 100;
    run_ms(40000);
    EXPECT_EQ(places('c', "a", &after), 1);
    EXPECT(before != after);
    world_end();
}

TEST(a_server_that_answers_no_ping_is_lost)
{
    struct waiter waiter;
    int before, after;

    begin(3);
    (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
    run_ms(20);
    EXPECT_EQ(places('c', "a", &before), 1);
    world.nodes[before].is_frozen = true;
    run_ms(2500);
    EXPECT_EQ(places('c', "a", &after), 1);
    EXPECT(before != after);
    world_end();
}

TEST(with_nobody_there_who_waits_is_told_why_and_is_served_later)
{
    struct waiter waiter, later;

    begin(1);
    world.nodes[0].is_up = false;
    run_ms(5);
    (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
    run_ms(900);
    EXPECT_EQ(waiter.done_count, 0);
    run_ms(150);
    EXPECT_EQ(waiter.done_count, 1);
    EXPECT_EQ(waiter.err, ERR_UNREACHABLE);
    EXPECT(strstr(waiter.text, "127.0.0.1 port 7000") != NULL);
    (void)join(&later, SUBSCRIPTION_CHANNEL, "a");
    world.nodes[0].is_up = true;
    run_ms(500);
    EXPECT_EQ(later.done_count, 1);
    EXPECT_EQ(later.err, OK);
    EXPECT_EQ(waiter.done_count, 1);
    world_end();
}

TEST(a_refused_channel_is_told_and_the_others_of_its_batch_are_had)
{
    struct waiter a, b, c;

    begin(3);
    refused_channel = BYTES("b");
    (void)join(&a, SUBSCRIPTION_CHANNEL, "a");
    (void)join(&b, SUBSCRIPTION_CHANNEL, "b");
    (void)join(&c, SUBSCRIPTION_CHANNEL, "c");
    run_ms(30);
    EXPECT(a.done_count == 1 && a.err == OK);
    EXPECT(c.done_count == 1 && c.err == OK);
    EXPECT(b.done_count == 1 && b.err == ERR_FORBIDDEN);
    EXPECT(strstr(b.text, "NOPERM") != NULL);
    refused_channel = (struct bytes){0}; /* it is tried again, for who wants it still */
    run_ms(400);
    EXPECT_EQ(places('c', "b", NULL), 1);
    world_end();
}

static void done_and_leave_it(struct subscription_wait *wait, enum err err, struct bytes text)
{
    done(wait, err, text);
    leave(SUBSCRIPTION_CHANNEL, "secret");
}

TEST(who_leaves_what_was_refused_while_told_so_leaves_nothing_behind)
{
    struct waiter secret;
    size_t said_count;

    begin(3);
    refused_channel = BYTES("secret");
    (void)join(&secret, SUBSCRIPTION_CHANNEL, "secret");
    secret.wait.done = done_and_leave_it;
    run_ms(20);
    EXPECT(secret.done_count == 1 && secret.err == ERR_FORBIDDEN);
    EXPECT_EQ(subscriptions_count(subscriptions), 0);
    said_count = command_count;
    run_ms(2000);
    EXPECT_EQ(command_count, said_count); /* it is not asked for again */
    world_end();
}

/* ---- keyspace events
 * -------------------------------------------------------------------------------------- */

TEST(what_each_primary_tells_by_itself_is_subscribed_to_at_all_and_heard_once)
{
    struct waiter events, all;

    begin(3);
    (void)join(&events, SUBSCRIPTION_CHANNEL, "__keyevent@0__:set");
    (void)join(&all, SUBSCRIPTION_PATTERN, "*");
    run_ms(20);
    EXPECT(events.done_count == 1 && events.err == OK);
    EXPECT(all.done_count == 1 && all.err == OK);
    EXPECT_EQ(places('c', "__keyevent@0__:set", NULL), 3);
    EXPECT_EQ(places('p', "*", NULL), 3);
    for (int node = 0; node < 3; node++) {
        publish("__keyevent@0__:set", "k", node);
        expect_heard("__keyevent@0__:set/__keyevent@0__:set=k */__keyevent@0__:set=k ");
    }
    publish("news", "1", -1); /* reaches all servers */
    expect_heard("*/news=1 ");
    world_end();
}

TEST(a_new_primary_is_asked_for_its_events_and_one_that_is_none_any_more_is_not_believed)
{
    struct waiter events;

    begin(3);
    (void)join(&events, SUBSCRIPTION_CHANNEL, "__keyevent@0__:set");
    run_ms(20);
    world.node_count = 4;
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        if (world.owner[slot] == 1)
            world.owner[slot] = 3;
    world.nodes[3].epoch = 100;
    run_ms(40000);
    EXPECT_EQ(places('c', "__keyevent@0__:set", NULL), 3);
    publish("__keyevent@0__:set", "k", 3);
    expect_heard("__keyevent@0__:set/__keyevent@0__:set=k ");
    publish("__keyevent@0__:set", "k", 1);
    expect_heard("");
    world_end();
}

/* Who is told gives up what another waits for. */
struct leaver {
    struct waiter waiter, *other;
    const char *other_name;
};
static void done_and_leave(struct subscription_wait *wait, enum err err, struct bytes text)
{
    struct leaver *leaver = CONTAINER_OF(wait, struct leaver, waiter.wait);

    done(wait, err, text);
    subscriptions_give_up(subscriptions, &leaver->other->wait);
    leave(SUBSCRIPTION_SHARD, leaver->other_name);
}

/* Has it that nobody of the client's knows yet who has the slots of node 1. */
static void move_slots_of_node_1(int to)
{
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        if (world.owner[slot] == 1)
            world.owner[slot] = to;
    world.nodes[to].epoch = 100;
}

/* "0", "1", …: the first that has a slot of `node`. */
static void name_at(int node, char name[16])
{
    for (int i = 0;; i++) {
        snprintf(name, 16, "%d", i);
        if (world.owner[valkey_slot(bytes_of_text(name))] == node)
            return;
    }
}

TEST(who_is_told_that_a_server_need_not_be_heard_any_more_may_leave_another_channel)
{
    struct waiter shard;
    struct leaver events = {.other = &shard};
    char name[16];

    begin(3);
    name_at(1, name);
    events.other_name = name;
    world.nodes[1].is_frozen = true;
    (void)join(&events.waiter, SUBSCRIPTION_CHANNEL, "__keyevent@0__:set");
    events.waiter.wait.done = done_and_leave;
    (void)join(&shard, SUBSCRIPTION_SHARD, name);
    run_ms(20);
    EXPECT_EQ(events.waiter.done_count, 0); /* node 1 has not confirmed it */
    move_slots_of_node_1(0);
    refresh_want(world.valkey);
    for (int i = 0; i < 2000 && events.waiter.done_count == 0; i++)
        run_ms(1);
    EXPECT(events.waiter.done_count == 1 && events.waiter.err == OK);
    EXPECT_EQ(shard.done_count, 0);
    EXPECT_EQ(subscriptions_count(subscriptions), 1);
    world.nodes[1].is_frozen = false;
    world_end();
}

TEST(which_names_each_primary_tells_of_by_itself)
{
    static const struct {
        enum subscription_kind kind;
        const char *name;
        int places;
    } rows[] = {
        {SUBSCRIPTION_CHANNEL, "__keyspace@0__:k", 3},
        {SUBSCRIPTION_PATTERN, "__keyspace@0__:k", 3},
        {SUBSCRIPTION_PATTERN, "__key*__:*", 3},
        {SUBSCRIPTION_PATTERN, "*", 3},
        {SUBSCRIPTION_PATTERN, "?_keyspace*", 3},
        {SUBSCRIPTION_PATTERN, "[_]*", 3},
        {SUBSCRIPTION_PATTERN, "\\__*", 3},
        {SUBSCRIPTION_PATTERN, "__keyspaces*", 1},
        {SUBSCRIPTION_PATTERN, "__key", 1},
        {SUBSCRIPTION_PATTERN, "news*", 1},
        {SUBSCRIPTION_CHANNEL, "__key*", 1},
        {SUBSCRIPTION_CHANNEL, "", 1},
        {SUBSCRIPTION_PATTERN, "", 1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct waiter waiter;
        int count;
        begin(3);
        (void)join(&waiter, rows[i].kind, rows[i].name);
        run_ms(20);
        count = places(rows[i].kind == SUBSCRIPTION_CHANNEL ? 'c' : 'p', rows[i].name, NULL);
        if (count != rows[i].places)
            fail_msg("%s: at %d", rows[i].name, count);
        world_end();
    }
}

/* ---- shard channels
 * ----------------------------------------------------------------------------------------- */

TEST(a_shard_channel_is_at_its_slots_owner_and_follows_it)
{
    struct waiter waiter;
    uint16_t slot = valkey_slot(BYTES("s"));
    int owner = 0, to;

    begin(3);
    (void)join(&waiter, SUBSCRIPTION_SHARD, "s");
    run_ms(20);
    EXPECT_EQ(places('s', "s", &owner), 1);
    EXPECT_EQ(owner, world.owner[slot]);
    to = (owner + 1) % 3;
    world.owner[slot] = to;
    world.nodes[to].epoch = 100;
    for (size_t i = 0; i < held_count; i++)
        if (held[i].kind == 's') { /* the server says so by itself */
            struct connection *connection = held[i].connection;
            held[i] = held[--held_count];
            push_words(connection, "sunsubscribe", "s", "0", false);
            break;
        }
    run_ms(20);
    EXPECT_EQ(places('s', "s", &owner), 1);
    EXPECT_EQ(owner, to);
    publish("s", "1", -1);
    expect_heard("s/s=1 ");
    EXPECT_EQ(counted(METRIC_tier_subscriptions_lost), 1);
    world_end();
}

TEST(a_shard_channel_follows_its_slot_later_if_there_is_no_memory_to_do_it_now)
{
    enum { ATTEMPTS = 100 };
    bool has_failed_here = true;

    for (int after = 0; has_failed_here && after < ATTEMPTS; after++) {
        struct waiter mover, beside;
        char name[16], other_name[16];
        int at = -1;

        begin(3);
        name_at(1, name);
        name_at(2, other_name);
        (void)join(&mover, SUBSCRIPTION_SHARD, name);
        (void)join(&beside, SUBSCRIPTION_SHARD, other_name);
        run_ms(20);
        EXPECT_EQ(places('s', name, &at), 1);
        move_slots_of_node_1(2);
        for (size_t i = 0; i < held_count; i++)
            if (strcmp(held[i].name, name) == 0) {
                struct connection *connection = held[i].connection;
                held[i] = held[--held_count];
                push_words(connection, "sunsubscribe", name, "0", false);
                break;
            }
        successes_left = after;
        run_ms(10);
        has_failed_here = has_failed();
        run_ms(1000);
        EXPECT_EQ(places('s', name, &at), 1);
        EXPECT_EQ(at, 2);
        world_end();
    }
    EXPECT(!has_failed_here);
}

TEST(shard_channels_of_several_slots_are_asked_slot_by_slot)
{
    static struct waiter waiters[64];
    char name[16];

    begin(3);
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "{%d}%c", i / 2, "ab"[i % 2]);
        (void)join(&waiters[i], SUBSCRIPTION_SHARD, name);
    }
    run_ms(60);
    for (int i = 0; i < 64; i++)
        EXPECT(waiters[i].done_count == 1 && waiters[i].err == OK);
    EXPECT_EQ(command_count, 32);
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "{%d}%c", i / 2, "ab"[i % 2]);
        leave(SUBSCRIPTION_SHARD, name);
    }
    run_ms(60);
    EXPECT_EQ(held_count, 0);
    world_end();
}

TEST(a_single_server_has_all_kinds)
{
    struct waiter waiters[3];

    begin(1);
    world.nodes[0].is_lone = true;
    (void)join(&waiters[0], SUBSCRIPTION_CHANNEL, "a");
    (void)join(&waiters[1], SUBSCRIPTION_PATTERN, "*");
    (void)join(&waiters[2], SUBSCRIPTION_SHARD, "s");
    run_ms(30);
    EXPECT_EQ(held_count, 3);
    EXPECT_EQ(subscriptions_link_count(subscriptions), 1);
    world_end();
}

/* ---- what no server should do
 * ---------------------------------------------------------------------------------- */

TEST(a_push_of_another_form_ends_the_connection_and_one_of_nothing_that_is_known_is_nothing)
{
    static const struct {
        const char *says;
        uint64_t lost_count;
    } rows[] = {
        {">2\r\n+message\r\n+a\r\n", 1},
        {">3\r\n+message\r\n+a\r\n:1\r\n", 1},
        {">4\r\n+message\r\n+a\r\n+b\r\n+c\r\n", 1},
        {">3\r\n+message\r\n*1\r\n+a\r\n+x\r\n", 1},
        {">3\r\n+pmessage\r\n+a\r\n+x\r\n", 1},
        {">3\r\n+subscribe\r\n+a\r\n+x\r\n", 1},
        {">3\r\n+subscribe\r\n*0\r\n:1\r\n", 1},
        {">3\r\n+message\r\n+unknown\r\n+x\r\n", 0},
        {">3\r\n+smessage\r\n+a\r\n+x\r\n", 0},
        {">3\r\n+subscribe\r\n+unknown\r\n:1\r\n", 0},
        {">3\r\n+unsubscribe\r\n_\r\n:0\r\n", 0},
        {">2\r\n+invalidate\r\n_\r\n", 0},
        {">1\r\n+nonsense\r\n", 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct waiter waiter;
        begin(3);
        (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
        run_ms(20);
        push(held[0].connection, rows[i].says);
        run_ms(30);
        expect_heard("");
        if (counted(METRIC_tier_subscribers_lost) != rows[i].lost_count)
            fail_msg("%s", rows[i].says);
        publish("a", "1", -1);
        expect_heard("a/a=1 ");
        world_end();
    }
}

TEST(a_server_that_confirms_nothing_is_asked_with_patience)
{
    struct waiter waiter;

    begin(1);
    confirms_nothing = true;
    (void)join(&waiter, SUBSCRIPTION_CHANNEL, "a");
    run_ms(1100);
    EXPECT_EQ(waiter.done_count, 1);
    EXPECT_EQ(waiter.err, ERR_UNREACHABLE);
    EXPECT(command_count < 30);
    world_end();
}

TEST(there_are_bounds)
{
    struct waiter waiter = {.wait.done = done};
    char *name = malloc(SUBSCRIPTIONS_NAMES_BYTES_MAX + 1);
    bool is_in_force;

    begin(1);
    memset(name, 'x', SUBSCRIPTIONS_NAMES_BYTES_MAX + 1);
    EXPECT_EQ(subscriptions_join(subscriptions, SUBSCRIPTION_CHANNEL,
                                 bytes_of(name, SUBSCRIPTIONS_NAMES_BYTES_MAX + 1), &waiter.wait,
                                 &is_in_force),
              ERR_FULL);
    EXPECT_EQ(subscriptions_count(subscriptions), 0);
    free(name);
    world_end();
}

RUN_TESTS(TEST_ROW(a_channel_is_subscribed_to_once_however_many_want_it),
          TEST_ROW(who_leaves_and_comes_back_while_it_is_under_way_is_subscribed),
          TEST_ROW(many_channels_go_out_in_batches),
          TEST_ROW(a_hub_that_is_lost_is_replaced_and_what_was_in_force_is_counted),
          TEST_ROW(a_hub_that_has_lost_its_slots_is_left_as_it_may_be_cut_off),
          TEST_ROW(a_server_that_answers_no_ping_is_lost),
          TEST_ROW(with_nobody_there_who_waits_is_told_why_and_is_served_later),
          TEST_ROW(a_refused_channel_is_told_and_the_others_of_its_batch_are_had),
          TEST_ROW(who_leaves_what_was_refused_while_told_so_leaves_nothing_behind),
          TEST_ROW(what_each_primary_tells_by_itself_is_subscribed_to_at_all_and_heard_once),
          TEST_ROW(a_new_primary_is_asked_for_its_events_and_one_that_is_none_any_more_is_not_believed),
          TEST_ROW(who_is_told_that_a_server_need_not_be_heard_any_more_may_leave_another_channel),
          TEST_ROW(which_names_each_primary_tells_of_by_itself),
          TEST_ROW(a_shard_channel_is_at_its_slots_owner_and_follows_it),
          TEST_ROW(a_shard_channel_follows_its_slot_later_if_there_is_no_memory_to_do_it_now),
          TEST_ROW(shard_channels_of_several_slots_are_asked_slot_by_slot),
          TEST_ROW(a_single_server_has_all_kinds),
          TEST_ROW(a_push_of_another_form_ends_the_connection_and_one_of_nothing_that_is_known_is_nothing),
          TEST_ROW(a_server_that_confirms_nothing_is_asked_with_patience), TEST_ROW(there_are_bounds))
