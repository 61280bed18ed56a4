/* links: nuthatch-live nuthatch-gateway nuthatch-message nuthatch-base */
/* What a request says of watching; events as bytes; what is a change, and which patch says it. */
#include "engine/live/event.h"
#include "engine/live/frame.h"
#include "engine/live/json_change.h"
#include "engine/live/live_ask.h"
#include "engine/live/socket_ask.h"
#include "http_text.h"
#include "test.h"

static struct live_ask ask_of(const char *path, const char *fields)
{
    static struct http_text text;
    struct http_request request = {.method = HTTP_METHOD_GET, .path = bytes_of_text(path)};

    http_text_read(&text, fields);
    request.fields = text.fields;
    return live_ask_of(&request);
}

TEST(a_request_says_whether_and_how_it_watches)
{
    static const struct {
        const char *path, *fields;
        enum live_way way;
        bool wants_patches;
        int64_t wait_ms;
    } cases[] = {
        {"/a", "", LIVE_NOT, false, 0},
        {"/a", "Accept: */*", LIVE_NOT, false, 0},
        {"/a", "Accept: text/event-stream", LIVE_STREAM, false, 0},
        {"/a", "Accept: application/json, Text/Event-Stream;q=0.5", LIVE_STREAM, false, 0},
        {"/a", "Accept: text/event-stream;q=0", LIVE_NOT, false, 0},
        {"/a", "Accept: text/event-stream;q=0.000, text/event-stream", LIVE_STREAM, false, 0},
        {"/a", "Accept: text/event-streams", LIVE_NOT, false, 0},
        {"/a", "Accept: text/event-stream; patch=merge", LIVE_STREAM, true, 0},
        {"/_live/a", "", LIVE_STREAM, false, 0},
        {"/_live-patch/a", "Accept: text/event-stream", LIVE_STREAM, true, 0},
        {"/_live", "", LIVE_NOT, false, 0},
        {"/_lively/a", "", LIVE_NOT, false, 0},
        {"/_live", "Upgrade: websocket", LIVE_SOCKET, false, 0},
        {"/_live/", "Upgrade: websocket", LIVE_STREAM, false, 0},
        {"/a", "Upgrade: websocket", LIVE_NOT, false, 0},
        {"/a", "Prefer: wait=30", LIVE_NOT, false,
         30000}, /* it has nothing that there could be another of */
        {"/a", "Prefer: wait=30\nIf-None-Match: \"1\"", LIVE_WAIT, false, 30000},
        {"/a", "If-Modified-Since: x\nPrefer: respond-async; wait=7, wait=\"5\"", LIVE_WAIT, false, 5000},
        {"/a", "Prefer: WAIT = 5 ; foo\nIf-None-Match: *", LIVE_WAIT, false, 5000},
        {"/a", "Prefer: wait=99999999\nIf-None-Match: *", LIVE_WAIT, false, 300000},
        {"/a", "Prefer: wait=-1\nIf-None-Match: *", LIVE_NOT, false, 0},
        {"/a", "Prefer: wait\nIf-None-Match: *", LIVE_NOT, false, 0},
        {"/a", "Prefer: wait=9\nIf-None-Match: *\nAccept: text/event-stream", LIVE_STREAM, false, 9000},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct live_ask ask = ask_of(cases[i].path, cases[i].fields);
        if (ask.way != cases[i].way || ask.wants_patches != cases[i].wants_patches ||
            ask.wait_ms != cases[i].wait_ms)
            fail_msg("%s %s: way %d, wait %d", cases[i].path, cases[i].fields, ask.way, (int)ask.wait_ms);
    }
    EXPECT_EQ(ask_of("/_live/a/b", "").prefix_size, strlen("/_live"));
    EXPECT_EQ(ask_of("/_live-patch/a", "").prefix_size, strlen("/_live-patch"));
}

TEST(an_id_is_read_as_it_was_written_and_nothing_else_is_one)
{
    static const char *const others[] = {"",
                                         "1",
                                         "0123456789abcdef",
                                         "0123456789abcdef-",
                                         "0123456789ABCDEF-1",
                                         "0123456789abcdef-01",
                                         "0123456789abcdef-18446744073709551616",
                                         "0123456789abcdeg-1",
                                         "0123456789abcdef_1",
                                         "0123456789abcdef-1 "};
    struct event_id id = {0xfedcba9876543210, UINT64_MAX}, read;
    char text[EVENT_ID_TEXT_BYTES];
    size_t size = event_id_format(text, id);

    EXPECT_TEXT(bytes_of(text, size), BYTES("fedcba9876543210-18446744073709551615"));
    EXPECT(event_id_parse(bytes_of(text, size), &read) && read.epoch == id.epoch &&
           read.number == id.number);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        EXPECT(!event_id_parse(bytes_of_text(others[i]), &read));
}

static void expect_event(enum event_kind kind, const char *text, bool is_json, const char *wanted)
{
    struct event *event = event_create(kind, (struct event_id){1, 2}, bytes_of_text(text), is_json);

    EXPECT_TEXT(event_bytes(event), bytes_of_text(wanted));
    event_release(event);
}

TEST(an_event_is_one_whatever_lines_its_text_has)
{
    expect_event(EVENT_STATE, "{\r\n\"a\":\n1}\n", true, "id: 0000000000000001-2\ndata: {\"a\":1}\n\n");
    expect_event(EVENT_STATE, "one\ntwo\r\nthree\rfour\n", false,
                 "id: 0000000000000001-2\ndata: one\ndata: two\ndata: three\ndata: four\ndata: \n\n");
    expect_event(EVENT_STATE, "", false, "id: 0000000000000001-2\ndata: \n\n");
    expect_event(EVENT_PATCH, "{}", true, "event: patch\nid: 0000000000000001-2\ndata: {}\n\n");
    expect_event(EVENT_PROBLEM, "{}\n", true, "event: problem\ndata: {}\n\n");
}

TEST(a_loan_of_an_event_holds_it)
{
    struct event *event = event_create(EVENT_STATE, (struct event_id){1, 2}, BYTES("x"), false);
    struct loan *loan = event_loan(event);

    event_release(event);
    EXPECT_EQ(loan->size, strlen("id: 0000000000000001-2\ndata: x\n\n"));
    EXPECT_TEXT(loan->piece(loan, loan->size - 3), BYTES("x\n\n"));
    loan->release(loan);
}

/* ---- WebSockets ---------------------------------------------------------------------------------- */

/* `wanted`: the frame's payload, which is short. */
static void expect_frame(enum event_kind kind, const char *text, bool is_json, const char *path,
                         const char *wanted)
{
    struct event *event = event_create(kind, (struct event_id){1, 2}, bytes_of_text(text), is_json);
    struct event *frame = frame_create(event, bytes_of_text(path));
    size_t size = strlen(wanted), head_size = size < 126 ? 2 : 4;

    EXPECT_EQ(frame->size, head_size + size);
    EXPECT_EQ((unsigned char)frame->data[0], 0x81); /* a whole text */
    EXPECT_EQ((unsigned char)frame->data[1], size < 126 ? size : 126);
    EXPECT_TEXT(bytes_after(event_bytes(frame), head_size), bytes_of_text(wanted));
    event_release(frame);
    event_release(event);
}

TEST(a_frame_says_what_the_event_does)
{
    expect_frame(
        EVENT_STATE, "{\r\n\"a\":\n1}\n", true, "/a?b=c",
        "{\"path\":\"/a?b=c\",\"id\":\"0000000000000001-2\",\"event\":\"message\",\"data\":{\"a\":1}}");
    expect_frame(EVENT_PATCH, "null", true, "/",
                 "{\"path\":\"/\",\"id\":\"0000000000000001-2\",\"event\":\"patch\",\"data\":null}");
    expect_frame(EVENT_PROBLEM, "{}\n", true, "/a", "{\"path\":\"/a\",\"event\":\"problem\",\"data\":{}}");
    expect_frame(EVENT_STATE, "one\r\n\ttwo \"2\"\n\nfour\n", false, "/\"\\",
                 "{\"path\":\"/\\\"\\\\\",\"id\":\"0000000000000001-2\",\"event\":\"message\","
                 "\"data\":\"one\\n\\ttwo \\\"2\\\"\\n\\nfour\\n\"}");
    expect_frame(EVENT_STATE, "", false, "/",
                 "{\"path\":\"/\",\"id\":\"0000000000000001-2\",\"event\":\"message\",\"data\":\"\"}");
}

TEST(an_event_lets_its_frame_go_with_it)
{
    struct event *event = event_create(EVENT_STATE, (struct event_id){1, 2}, BYTES("1"), true);

    event->frame = frame_create(event, BYTES("/a"));
    event_hold(event);
    event_release(event);
    EXPECT(event->frame->size > 0);
    event_release(event); /* and nothing leaks */
}

static bool takes_paths(size_t count)
{
    struct buffer text = {0};
    struct socket_ask ask;
    bool takes;

    buffer_append_literal(&text, "{\"subscribe\":[\"/0\"");
    for (size_t i = 1; i < count; i++)
        buffer_append_format(&text, ",\"/%zu\"", i);
    buffer_append_literal(&text, "]}");
    takes = socket_ask_read(buffer_bytes(&text), &ask) == NULL;
    socket_ask_fini(&ask);
    buffer_fini(&text);
    return takes;
}

TEST(a_message_is_read_as_a_whole_or_not_at_all)
{
    static const char *const wrong[] = {"",
                                        "1",
                                        "{",
                                        "{}",
                                        "{\"subscribe\":1}",
                                        "{\"subscribe\":[\"/a\",2]}",
                                        "{\"unsubscribe\":\"/a\"}",
                                        "{\"subscribe\":[],\"subscribe\":[]}",
                                        "{\"subscribe\":[\"/a\\u0000\"]}",
                                        "{\"patch\":true}",
                                        "{\"subscribe\":[\"/a\"],\"patch\":\"yes\"}",
                                        "{\"subscribe\":[\"/a\"],\"after\":{\"/a\":1}}",
                                        "{\"Subscribe\":[]}",
                                        "{\"subscribe\":[]} 1"};
    struct socket_ask ask;
    struct event_id id;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (socket_ask_read(bytes_of_text(wrong[i]), &ask) == NULL)
            fail_msg("%s", wrong[i]);
        EXPECT(ask.subscribe == NULL && ask.unsubscribe == NULL && ask.after == NULL);
        socket_ask_fini(&ask);
    }
    EXPECT(!takes_paths(SOCKET_PATHS_MAX + 1));
    EXPECT(takes_paths(SOCKET_PATHS_MAX));
    EXPECT(socket_ask_read(BYTES("{\"subscribe\":[\"/a\",\"/b\"],\"unsubscribe\":[\"/c\"],\"patch\":true,"
                                 "\"after\":{\"/a\":\"00000000000000ff-7\",\"/b\":\"none\"}}"),
                           &ask) == NULL);
    EXPECT_EQ(json_array_size(ask.subscribe), 2);
    EXPECT_EQ(json_array_size(ask.unsubscribe), 1);
    EXPECT(ask.wants_patches);
    EXPECT(socket_ask_after(&ask, "/a", &id) && id.epoch == 255 && id.number == 7);
    EXPECT(!socket_ask_after(&ask, "/b", &id));
    EXPECT(!socket_ask_after(&ask, "/c", &id));
    socket_ask_fini(&ask);
}

/* ---- changes ------------------------------------------------------------------------------------- */

static bool is_same(const char *one, const char *other)
{
    unsigned char first[STATE_DIGEST_BYTES], second[STATE_DIGEST_BYTES];
    bool is_json;

    EXPECT(state_digest(bytes_of_text(one), first, &is_json));
    EXPECT(state_digest(bytes_of_text(other), second, &is_json));
    return memcmp(first, second, sizeof first) == 0;
}

TEST(json_is_the_same_if_its_values_are)
{
    EXPECT(is_same("{\"a\":1,\"b\":[1,2]}", " {\"b\": [ 1, 2 ],\n\"a\":1 }"));
    EXPECT(is_same("\"\\u0041\"", "\"A\""));
    EXPECT(is_same("1.50", "1.5"));
    EXPECT(!is_same("[1,2]", "[2,1]"));
    EXPECT(!is_same("{\"a\":1}", "{\"a\":\"1\"}"));
    EXPECT(!is_same("{\"a\":null}", "{}"));
    EXPECT(!is_same("0.1", "0.10000000000000002"));
    EXPECT(!is_same("9007199254740993", "9007199254740992"));
    EXPECT(!is_same("18446744073709551616", "18446744073709551617")); /* which 64 bits do not hold */
    EXPECT(!is_same("a b", "a  b"));
    EXPECT(!is_same("", " "));
}

TEST(a_merge_patch_says_what_has_changed)
{
    static const struct {
        const char *before, *after, *patch; /* null: there is none */
    } cases[] = {
        {"{\"a\":1}", "{\"a\":1}", "{}"},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}"},
        {"{\"a\":1,\"b\":2}", "{\"b\":2}", "{\"a\":null}"},
        {"{}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"},
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":3}}", "{\"a\":{\"c\":3}}"},
        {"{\"a\":[1,2]}", "{\"a\":[1,3]}", "{\"a\":[1,3]}"},
        {"{\"a\":[1]}", "{\"a\":[null]}", "{\"a\":[null]}"},
        {"{\"a\":1}", "{\"a\":null}", NULL},
        {"{\"a\":null}", "{\"a\":null}", "{}"},
        {"{}", "{\"a\":{\"b\":null}}", NULL},
        {"1", "{\"a\":1}", "{\"a\":1}"},
        {"1", "{\"a\":null}", NULL},
        {"{\"a\":1}", "[1]", "[1]"},
        {"{\"a\":1}", "nothing", NULL},
        {"{\"a\":0}", "{\"a\":0.1}", "{\"a\":0.1}"}, /* as few digits as say it */
        {"{\"a\":0}", "{\"a\":[10.50,1e300,-2.0]}", "{\"a\":[10.5,1e300,-2.0]}"},
        {"{\"a\":0}", "{\"a\":0.30000000000000004}", "{\"a\":0.30000000000000004}"},
        {"1.5", "{\"a\":12345678901234567}", "{\"a\":12345678901234567}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer patch = {0};
        bool is_there = merge_patch(bytes_of_text(cases[i].before), bytes_of_text(cases[i].after), &patch);
        EXPECT_EQ(is_there, cases[i].patch != NULL);
        if (is_there)
            EXPECT_TEXT(buffer_bytes(&patch), bytes_of_text(cases[i].patch));
        buffer_fini(&patch);
    }
}

RUN_TESTS(TEST_ROW(a_request_says_whether_and_how_it_watches),
          TEST_ROW(an_id_is_read_as_it_was_written_and_nothing_else_is_one),
          TEST_ROW(an_event_is_one_whatever_lines_its_text_has), TEST_ROW(a_loan_of_an_event_holds_it),
          TEST_ROW(a_frame_says_what_the_event_does), TEST_ROW(an_event_lets_its_frame_go_with_it),
          TEST_ROW(a_message_is_read_as_a_whole_or_not_at_all),
          TEST_ROW(json_is_the_same_if_its_values_are), TEST_ROW(a_merge_patch_says_what_has_changed))
