/* clang-format off */
/* links: nuthatch-live nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* clang-format on */
/* Many resources that are watched on one WebSocket. */
#include "live_world.h"
#include "no_memory.h"

#define HANDSHAKE                                                                                          \
    "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"                                 \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: nuthatch.live.v1"

static struct watch_client *open_socket(struct hub *hub, size_t worker, const char *fields, size_t room)
{
    char text[256];

    snprintf(text, sizeof text, HANDSHAKE "%s%s", fields[0] != '\0' ? "\n" : "", fields);
    return ask_live(hub, worker, "/_live", text, room);
}

struct speech {
    struct watch_client *one;
    struct buffer bytes;
};

static void speak(void *argument)
{
    struct speech *speech = argument;
    struct exchange *x = &speech->one->client->x;

    x->engine->body(x, buffer_bytes(&speech->bytes));
}

/* The client says so, in one frame whose mask changes nothing. */
static void say_by(void (*speak_so)(void *), struct watch_client *one, unsigned char first,
                   const char *text)
{
    struct speech speech = {.one = one};
    size_t size = strlen(text);

    buffer_append_byte(&speech.bytes, (char)first);
    if (size < 126) {
        buffer_append_byte(&speech.bytes, (char)(0x80 | size));
    } else {
        buffer_append_byte(&speech.bytes, (char)(0x80 | 126));
        buffer_append_byte(&speech.bytes, (char)(size >> 8));
        buffer_append_byte(&speech.bytes, (char)(size & 0xff));
    }
    buffer_append(&speech.bytes, bytes_of("\0\0\0\0", 4));
    buffer_append(&speech.bytes, bytes_of_text(text));
    on_worker(one->client->runner, speak_so, &speech);
    buffer_fini(&speech.bytes);
}

static void say_as(struct watch_client *one, unsigned char first, const char *text)
{
    say_by(speak, one, first, text);
}

static void say(struct watch_client *one, const char *text) { say_as(one, 0x81, text); }

static void change(struct hub *hub, struct watch_client *witness, const char *state)
{
    char wanted[300];

    stub_set_state(&hub->world->stub, state);
    pass(hub, 12000);
    snprintf(wanted, sizeof wanted, "\"data\":%s}", state);
    expect_heard(witness, wanted);
}

TEST(many_resources_are_watched_on_one_socket)
{
    struct hub *hub = hub_create("{\"a\":1}");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX);

    EXPECT_EQ(one->client->status, 101);
    EXPECT(head_has(one->client, "Sec-WebSocket-Protocol: nuthatch.live.v1\r\n"));
    say(one, "{\"subscribe\":[\"/state\",\"/fresh\"]}");
    expect_heard(one, "{\"path\":\"/state\",\"id\":\"");
    expect_heard(one, "-1\",\"event\":\"message\",\"data\":{\"a\":1}}");
    expect_heard(one, "{\"path\":\"/fresh\",\"id\":\"");
    expect_heard(one, "\"event\":\"message\",\"data\":\"fresh\"}");
    change(hub, one, "{\"a\":2}");
    EXPECT_EQ(counted(hub, METRIC_live_watchers), 2);
    EXPECT_EQ(counted(hub, METRIC_live_sockets), 1);
    leave_watch(one);
    EXPECT_EQ(counted(hub, METRIC_live_watchers_gone), 2);
    EXPECT_EQ(counted(hub, METRIC_live_sockets_gone), 1);
    hub_destroy(hub);
}

TEST(of_what_is_unsubscribed_nothing_more_comes)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX),
                        *witness = open_socket(hub, 1, "", SIZE_MAX);

    say(one, "{\"subscribe\":[\"/state\"]}");
    say(witness, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "\"data\":1}");
    expect_heard(witness, "\"data\":1}");
    say(one, "{\"unsubscribe\":[\"/state\",\"/never\"]}");
    EXPECT_EQ(counted(hub, METRIC_live_watchers_gone), 1);
    change(hub, witness, "2");
    expect_not_heard(one, "\"data\":2}");
    forget(one);
    say(one, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "\"data\":2}");
    forget(one);
    say(one, "{\"subscribe\":[\"/state\"]}"); /* anew */
    expect_heard(one, "\"data\":2}");
    EXPECT_EQ(counted(hub, METRIC_live_watchers) - counted(hub, METRIC_live_watchers_gone), 2);
    leave_watch(one);
    leave_watch(witness);
    hub_destroy(hub);
}

TEST(who_says_what_came_last_gets_what_it_lacks)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX), *two;
    char text[200], id[64];
    const char *found;

    say(one, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "\"data\":1}");
    found = memmem(one->client->body.data, one->client->body.size, "\"id\":\"", 6);
    EXPECT(found != NULL);
    snprintf(id, sizeof id, "%.*s", (int)strcspn(found + 6, "\""), found + 6);
    change(hub, one, "2");
    change(hub, one, "3");
    two = open_socket(hub, 1, "", SIZE_MAX);
    snprintf(text, sizeof text, "{\"subscribe\":[\"/state\"],\"after\":{\"/state\":\"%s\"}}", id);
    say(two, text);
    expect_heard(two, "\"data\":3}");
    expect_heard(two, "\"data\":2}");
    expect_not_heard(two, "\"data\":1}");
    EXPECT_EQ(counted(hub, METRIC_live_resumed), 1);
    leave_watch(one);
    leave_watch(two);
    hub_destroy(hub);
}

TEST(patches_come_to_those_who_want_them)
{
    struct hub *hub = hub_create("{\"a\":1,\"rest\":\"is so long that a patch is worth it\"}");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX);

    say(one, "{\"subscribe\":[\"/state\"],\"patch\":true}");
    expect_heard(one, "\"event\":\"message\"");
    stub_set_state(&hub->world->stub, "{\"a\":2,\"rest\":\"is so long that a patch is worth it\"}");
    pass(hub, 12000);
    expect_heard(one, "\"event\":\"patch\",\"data\":{\"a\":2}}");
    leave_watch(one);
    hub_destroy(hub);
}

TEST(what_cannot_be_watched_is_said_of_its_path_and_others_go_on)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX);

    say(one, "{\"subscribe\":[\"/private\",\"/nothing\",\"state\",\"/a/../b\",\"/state\"]}");
    expect_heard(one, "{\"path\":\"/private\",\"event\":\"end\",\"data\":{");
    expect_heard(one, "one client's alone");
    expect_heard(one, "{\"path\":\"/nothing\",\"event\":\"end\",\"data\":{");
    expect_heard(one, "{\"path\":\"state\",\"event\":\"end\",\"data\":{");
    expect_heard(one, "{\"path\":\"/a/../b\",\"event\":\"end\",\"data\":{");
    expect_heard(one, "\"data\":1}");
    change(hub, one, "2");
    EXPECT(!one->client->has_ended);
    leave_watch(one);
    hub_destroy(hub);
}

TEST(a_message_that_is_wrong_is_answered_and_changes_nothing)
{
    static const struct {
        const char *said, *heard;
    } cases[] = {
        {"", "must be a JSON object"},
        {"[]", "must be a JSON object"},
        {"{}", "must have subscribe or unsubscribe"},
        {"{\"subscribe\":\"/state\"}", "subscribe must be an array"},
        {"{\"subscribe\":[1]}", "subscribe must be an array"},
        {"{\"unsubscribe\":{}}", "unsubscribe must be an array"},
        {"{\"subscribe\":[\"/state\"],\"patch\":1}", "patch must be"},
        {"{\"subscribe\":[\"/state\"],\"after\":[]}", "after must be"},
        {"{\"subscribe\":[\"/state\"],\"more\":1}", "and nothing else"},
    };
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        forget(one);
        say(one, cases[i].said);
        expect_heard(one, "{\"event\":\"problem\",\"data\":{");
        expect_heard(one, cases[i].heard);
    }
    EXPECT_EQ(counted(hub, METRIC_live_watchers), 0);
    say(one, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "\"data\":1}");
    leave_watch(one);
    hub_destroy(hub);
}

static void give_much_room(void *argument)
{
    struct watch_client *one = argument;

    one->client->room_bytes = SIZE_MAX;
    one->client->x.engine->writable(&one->client->x);
}

TEST(who_is_too_slow_gets_the_newest_state)
{
    struct hub *hub = hub_create("1");
    struct watch_client *slow = open_socket(hub, 0, "", 10), *witness = open_socket(hub, 0, "", SIZE_MAX);

    say(slow, "{\"subscribe\":[\"/state\"]}");
    say(witness, "{\"subscribe\":[\"/state\"]}");
    expect_heard(slow, "\"data\":1}");
    change(hub, witness, "2");
    change(hub, witness, "3");
    change(hub, witness, "4");
    expect_not_heard(slow, "\"data\":4}");
    on_worker(slow->client->runner, give_much_room, slow);
    expect_heard(slow, "\"data\":4}");
    expect_not_heard(slow, "\"data\":3}");
    EXPECT_EQ(counted(hub, METRIC_live_coalesced), 1);
    leave_watch(slow);
    leave_watch(witness);
    hub_destroy(hub);
}

static void give_some_room(void *argument)
{
    struct watch_client *one = argument;

    one->client->room_bytes = 2000; /* less than a client keeps of what it hears */
    one->client->x.engine->writable(&one->client->x);
}

/* Asks for so many that cannot be watched, and for one that can be. */
static void ask_for_many(struct watch_client *one, int count)
{
    enum { LETTERS = 25 };
    struct buffer text = {0};

    buffer_append_literal(&text, "{\"subscribe\":[");
    for (int i = 0; i < count; i++) {
        buffer_append_format(&text, "\"/a/../%03d", i);
        for (int j = 0; j < LETTERS; j++)
            buffer_append_literal(&text, "\xc3\xa9");
        buffer_append_literal(&text, "\",");
    }
    buffer_append_literal(&text, "\"/state\"]}");
    buffer_append_byte(&text, '\0');
    say(one, text.data);
    buffer_fini(&text);
}

/* What is said of all of them is more than may wait to be sent. */
TEST(who_reads_slowly_is_told_of_each_path_in_the_end)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", 20);

    ask_for_many(one, 330);
    ask_for_many(one, 999);
    EXPECT(!one->client->has_ended);
    one->wanted = "\"data\":1}";
    for (int i = 0; i < 200 && !has_wanted(one); i++) {
        forget(one);
        on_worker(one->client->runner, give_some_room, one);
    }
    EXPECT(has_wanted(one));
    EXPECT(one->client->received_bytes > (size_t)256 * 1024);
    EXPECT(!one->client->has_ended);
    leave_watch(one);
    hub_destroy(hub);
}

static bool was_aborted(void *argument) { return ((struct watch_client *)argument)->client->was_aborted; }

TEST(who_takes_nothing_for_long_is_cut)
{
    struct hub *hub = hub_create("1");
    struct watch_client *slow = open_socket(hub, 0, "", 10);

    say(slow, "{\"subscribe\":[\"/state\"]}");
    expect_heard(slow, "\"data\":1}");
    stub_set_state(&hub->world->stub, "2");
    for (int i = 0; i < 60 && !slow->client->was_aborted; i++) {
        pass(hub, 3000);
        if (i < 5 && !slow->client->was_aborted)
            say(slow, "{\"unsubscribe\":[]}"); /* that it talks is no matter */
    }
    wait_until_true(was_aborted, slow);
    EXPECT_EQ(counted(hub, METRIC_live_sockets_gone), 1);
    leave_watch(slow);
    hub_destroy(hub);
}

TEST(who_is_silent_is_asked_and_cut_if_it_stays_so)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX), *two = open_socket(hub, 0, "", SIZE_MAX);

    for (int i = 0; i < 35; i++)
        pass(hub, 1100);
    expect_heard(one, "\x89"); /* a ping */
    expect_heard(two, "\x89");
    EXPECT(!one->client->was_aborted);
    say_as(two, 0x8a, ""); /* a pong */
    for (int i = 0; i < 20; i++)
        pass(hub, 1100);
    EXPECT(one->client->was_aborted);
    EXPECT(!two->client->was_aborted);
    leave_watch(one);
    leave_watch(two);
    hub_destroy(hub);
}

TEST(a_socket_that_is_closed_is_closed_in_turn)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX), *two = open_socket(hub, 1, "", SIZE_MAX);

    say(one, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "\"data\":1}");
    say_as(one, 0x88, "\x03\xe8");
    expect_heard(one, "\x88\x02\x03\xe8");
    EXPECT(one->client->has_ended && !one->client->was_aborted);
    hub_stop(hub);
    expect_heard(two, "the server is stopping");
    EXPECT(two->client->has_ended && !two->client->was_aborted);
    leave_watch(one);
    leave_watch(two);
    hub_destroy(hub);
}

TEST(messages_are_text)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "", SIZE_MAX);

    say_as(one, 0x82, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "messages are text");
    leave_watch(one);
    hub_destroy(hub);
}

TEST(a_page_of_another_host_is_told_nothing)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = open_socket(hub, 0, "Origin: https://elsewhere.example", SIZE_MAX),
                        *own = open_socket(hub, 0, "Origin: https://client.example", SIZE_MAX);

    say(one, "{\"subscribe\":[\"/state\"]}");
    expect_heard(one, "{\"path\":\"/state\",\"event\":\"end\",\"data\":{");
    expect_heard(one, "cors-origins");
    say(own, "{\"subscribe\":[\"/state\"]}");
    expect_heard(own, "\"data\":1}");
    leave_watch(one);
    leave_watch(own);
    hub_destroy(hub);
}

TEST(a_handshake_that_is_none_is_refused)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one =
        ask_live(hub, 0, "/_live", "Connection: Upgrade\nUpgrade: websocket", SIZE_MAX);

    EXPECT_EQ(one->client->status, 426);
    EXPECT(head_has(one->client, "Sec-WebSocket-Version: 13\r\n"));
    leave_watch(one);
    one = open_socket(hub, 0, "Authorization: me", SIZE_MAX);
    EXPECT_EQ(one->client->status, 403);
    leave_watch(one);
    hub_destroy(hub);
}

/* ---- no memory ----------------------------------------------------------------------------------- */

static _Thread_local volatile bool is_in_need;

static bool is_of_whom_is_tested(void) { return is_in_need; }

static void begin_in_need(void *argument)
{
    is_in_need = true;
    begin_watch(argument);
    is_in_need = false;
}

static void speak_in_need(void *argument)
{
    is_in_need = true;
    speak(argument);
    is_in_need = false;
}

/* One who opens a WebSocket and subscribes while one allocation fails, the one behind `successes` others.
 * False if it did not come to that. */
static bool watch_in_need(struct hub *hub, int successes)
{
    struct watch_client *one = watch_client_create(hub, 0, "/_live", HANDSHAKE, SIZE_MAX);
    struct client *client = one->client;
    bool failed;

    successes_left = successes;
    on_worker(client->runner, begin_in_need, one);
    if (!client->has_ended)
        say_by(speak_in_need, one, 0x81,
               "{\"subscribe\":[\"/state\",\"/private\"],\"after\":{\"/state\":\"0000000000000001-1\"}}");
    failed = has_failed();
    if (!client->has_ended && !client->head.failed && !client->body.failed) {
        forget(one);
        say(one, "{\"subscribe\":[\"/state\"]}");
        expect_heard(one, "\"data\":1}");
    }
    leave_watch(one);
    return failed;
}

TEST(whatever_memory_is_missing_who_asks_again_is_answered_and_others_go_on)
{
    struct hub *hub = hub_create("1");
    struct watch_client *witness = open_socket(hub, 0, "", SIZE_MAX);
    int successes = 0;

    say(witness, "{\"subscribe\":[\"/state\"]}");
    expect_heard(witness, "\"data\":1}");
    while (watch_in_need(hub, successes))
        successes++;
    EXPECT(successes > 10);
    change(hub, witness, "2");
    leave_watch(witness);
    EXPECT_EQ(counted(hub, METRIC_live_watchers), counted(hub, METRIC_live_watchers_gone));
    EXPECT_EQ(counted(hub, METRIC_live_sockets), counted(hub, METRIC_live_sockets_gone));
    hub_destroy(hub);
}

RUN_TESTS(TEST_ROW(whatever_memory_is_missing_who_asks_again_is_answered_and_others_go_on),
          TEST_ROW(many_resources_are_watched_on_one_socket),
          TEST_ROW(of_what_is_unsubscribed_nothing_more_comes),
          TEST_ROW(who_says_what_came_last_gets_what_it_lacks),
          TEST_ROW(patches_come_to_those_who_want_them),
          TEST_ROW(what_cannot_be_watched_is_said_of_its_path_and_others_go_on),
          TEST_ROW(a_message_that_is_wrong_is_answered_and_changes_nothing),
          TEST_ROW(who_reads_slowly_is_told_of_each_path_in_the_end),
          TEST_ROW(who_is_too_slow_gets_the_newest_state), TEST_ROW(who_takes_nothing_for_long_is_cut),
          TEST_ROW(who_is_silent_is_asked_and_cut_if_it_stays_so),
          TEST_ROW(a_socket_that_is_closed_is_closed_in_turn), TEST_ROW(messages_are_text),
          TEST_ROW(a_page_of_another_host_is_told_nothing), TEST_ROW(a_handshake_that_is_none_is_refused))
