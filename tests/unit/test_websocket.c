/* links: nuthatch-http nuthatch-message nuthatch-base */
/* WebSocket: the handshake, frames that may and that may not be, whole and byte by byte, and what is done
 * about clients that do not answer. */
#include "base/buffer.h"
#include "base/compiler.h"
#include "protocol/http/websocket.h"
#include "protocol/http/websocket_handshake.h"
#include "test.h"
#include <stdio.h>

/* ---- the handshake ------------------------------------------------------------------------------- */

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

struct asked {
    struct http_request request;
    struct http_field fields[6];
};

/* A request with `lines`, "Name: value" each and "\n" between. */
static void ask(struct asked *asked, const char *lines)
{
    struct bytes rest = bytes_of_text(lines);
    size_t count = 0;

    while (rest.size > 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct bytes line = end != NULL ? bytes_first(rest, (size_t)(end - rest.data)) : rest;
        const char *colon = memchr(line.data, ':', line.size);
        struct bytes name = bytes_first(line, (size_t)(colon - line.data));
        EXPECT(count < COUNT_OF(asked->fields));
        asked->fields[count++] =
            (struct http_field){http_header_find(name), name, bytes_trim(bytes_after(line, name.size + 1))};
        rest = bytes_after(rest, line.size + (end != NULL));
    }
    asked->request = (struct http_request){.method = HTTP_METHOD_GET,
                                           .method_name = BYTES("GET"),
                                           .path = BYTES("/"),
                                           .minor_version = 1,
                                           .fields = {asked->fields, count}};
}

static void expect_lines(const struct websocket_handshake *handshake, const char *wanted)
{
    struct buffer lines = {0};

    websocket_handshake_render(handshake, &lines);
    EXPECT_TEXT(buffer_bytes(&lines), bytes_of_text(wanted));
    buffer_fini(&lines);
}

#define ASKS "Connection: keep-alive, Upgrade\nUpgrade: h2c, WebSocket\n"

TEST(the_handshake_is_answered_as_the_rfc_shows_it)
{
    struct asked asked;
    struct websocket_handshake handshake;

    ask(&asked, ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY);
    handshake = websocket_handshake(&asked.request, NULL, 0);
    EXPECT_EQ(handshake.status, 101);
    expect_lines(&handshake, "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
}

TEST(of_the_subprotocols_that_are_offered_the_first_that_is_spoken_is_chosen)
{
    static const struct bytes spoken[] = {BYTES_INIT("two"), BYTES_INIT("three")};
    static const struct {
        const char *offered, *chosen;
    } cases[] = {
        {"one, three,two", "three"}, {"two", "two"}, {"Two", ""}, {"one", ""}, {"", ""},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer lines = {0};
        struct asked asked;
        buffer_append_format(&lines,
                             ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY
                                  "\nSec-WebSocket-Protocol: %s%c",
                             cases[i].offered, '\0');
        ask(&asked, lines.data);
        EXPECT_TEXT(websocket_handshake(&asked.request, spoken, COUNT_OF(spoken)).protocol,
                    bytes_of_text(cases[i].chosen));
        buffer_fini(&lines);
    }
}

TEST(a_handshake_that_is_not_one_is_refused_with_what_it_should_be)
{
    static const char needs[] =
        "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    static const struct {
        const char *lines;
        int status;
        const char *answer;
    } cases[] = {
        {"Host: a", 426, needs},
        {"Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY, 426, needs},
        {"Connection: Upgrade\nUpgrade: h2c\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY, 426,
         needs},
        {ASKS "Sec-WebSocket-Key: " KEY, 426, needs},
        {ASKS "Sec-WebSocket-Version: 8\nSec-WebSocket-Key: " KEY, 426, needs},
        {ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY, 426, needs},
        {ASKS "Sec-WebSocket-Version: 13", 400, ""},
        {ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: ", 400, ""},
        {ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", 400, ""},
        {ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25j_Q==", 400, ""},
        {ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=", 400, ""},
        {ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY "\nSec-WebSocket-Key: " KEY, 400, ""},
    };
    struct asked asked;
    struct websocket_handshake handshake;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask(&asked, cases[i].lines);
        handshake = websocket_handshake(&asked.request, NULL, 0);
        if (handshake.status != cases[i].status)
            fail_msg("%s: got %d", cases[i].lines, handshake.status);
        expect_lines(&handshake, cases[i].answer);
    }
    ask(&asked, ASKS "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY);
    asked.request.minor_version = 0;
    EXPECT_EQ(websocket_handshake(&asked.request, NULL, 0).status, 426);
    asked.request.minor_version = 1;
    asked.request.body_bytes = 1;
    EXPECT_EQ(websocket_handshake(&asked.request, NULL, 0).status, 400);
    asked.request.method = HTTP_METHOD_POST;
    handshake = websocket_handshake(&asked.request, NULL, 0);
    EXPECT_EQ(handshake.status, 405);
    expect_lines(&handshake, "Allow: GET\r\n");
    ask(&asked, "Accept: a");
    asked.request.scheme = BYTES("https"); /* HTTP/2 has no fields of a connection */
    handshake = websocket_handshake(&asked.request, NULL, 0);
    EXPECT_EQ(handshake.status, 426);
    expect_lines(&handshake, "Sec-WebSocket-Version: 13\r\n");
}

/* ---- frames -------------------------------------------------------------------------------------- */

enum {
    MESSAGE_BYTES_MAX = 1000,
    OUTPUT_BYTES_MAX = 2000,
    PING_MS = 30000,
    PONG_MS = 10000,
    CLOSE_MS = 5000
};

static const struct websocket_limits limits = {MESSAGE_BYTES_MAX, OUTPUT_BYTES_MAX, PING_MS, PONG_MS,
                                               CLOSE_MS};

struct world {
    struct websocket *websocket;
    struct buffer log; /* what came, and what was sent: "<text:a >text:b" */
    bool echoes, holds;
};

static void note(struct world *world, const char *what, struct bytes bytes)
{
    if (world->log.size > 0)
        buffer_append_byte(&world->log, ' ');
    buffer_append(&world->log, bytes_of_text(what));
    buffer_append(&world->log, bytes);
}

static void on_message(void *owner, enum websocket_kind kind, struct bytes bytes)
{
    struct world *world = owner;

    note(world, kind == WEBSOCKET_TEXT ? "<text:" : "<binary:", bytes);
    if (world->echoes)
        websocket_send(world->websocket, kind, bytes, 1);
    if (world->holds)
        websocket_hold(world->websocket);
}

static void on_closed(void *owner, int code, struct bytes reason)
{
    struct world *world = owner;
    struct buffer text = {0};

    buffer_append_format(&text, "%d:%.*s", code, BYTES_PRINTF(reason));
    note(world, "<close:", buffer_bytes(&text));
    buffer_fini(&text);
}

static const struct websocket_callbacks callbacks = {on_message, on_closed};

static void begin(struct world *world)
{
    *world = (struct world){.echoes = false};
    world->websocket = websocket_create(&limits, &callbacks, world, 1);
    EXPECT(world->websocket != NULL);
}

static void end(struct world *world)
{
    websocket_destroy(world->websocket);
    buffer_fini(&world->log);
}

/* Takes the output apart into the log; it is sent at `now_ms`. */
static void note_output_at(struct world *world, int64_t now_ms)
{
    struct bytes rest = websocket_output(world->websocket);
    size_t sent = rest.size;

    while (rest.size > 0) {
        uint8_t first = (uint8_t)rest.data[0];
        size_t size = (uint8_t)rest.data[1], head = 2;
        struct bytes payload;
        EXPECT(first & 0x80);
        EXPECT(size < 128); /* no mask */
        if (size >= 126) {
            size_t length_bytes = size == 126 ? 2 : 8;
            for (size = 0; length_bytes > 0; length_bytes--)
                size = size << 8 | (uint8_t)rest.data[head++];
        }
        EXPECT(size <= rest.size - head);
        payload = bytes_of(rest.data + head, size);
        switch (first & 0x7f) {
        case 1: note(world, ">text:", payload); break;
        case 2: note(world, ">binary:", payload); break;
        case 9: note(world, ">ping:", payload); break;
        case 10: note(world, ">pong:", payload); break;
        case 8: {
            char code[16] = ">close:";
            if (size > 0)
                snprintf(code, sizeof code,
                         ">close:%d:", (uint8_t)payload.data[0] << 8 | (uint8_t)payload.data[1]);
            note(world, code, size > 2 ? bytes_after(payload, 2) : (struct bytes){NULL, 0});
            break;
        }
        default: fail_msg("an opcode of %d", first & 0x7f);
        }
        rest = bytes_after(rest, head + size);
    }
    websocket_note_sent(world->websocket, sent, now_ms);
}

static void note_output(struct world *world) { note_output_at(world, 1); }

static void expect_log_at(struct world *world, int64_t now_ms, const char *wanted)
{
    note_output_at(world, now_ms);
    EXPECT_TEXT(buffer_bytes(&world->log), bytes_of_text(wanted));
    buffer_clear(&world->log);
}

static void expect_log(struct world *world, const char *wanted) { expect_log_at(world, 1, wanted); }

static void receive(struct world *world, struct bytes bytes, size_t step)
{
    for (size_t at = 0; at < bytes.size; at += step) {
        struct bytes rest = bytes_after(bytes, at);
        websocket_receive(world->websocket, bytes_first(rest, rest.size < step ? rest.size : step), 1);
        note_output(world);
    }
}

#define M "\0\0\0\0" /* the mask that changes nothing */

TEST(frames_are_taken_for_what_they_are_however_they_are_split)
{
    static const struct {
        struct bytes input;
        const char *log;
    } cases[] = {
        {BYTES_INIT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "<text:Hello"}, /* RFC 6455 §5.7 */
        {BYTES_INIT("\x82\x82" M "\xff\xfe"), "<binary:\xff\xfe"},
        {BYTES_INIT("\x81\x80" M), "<text:"},
        {BYTES_INIT("\x01\x83" M "Hel\x80\x82" M "lo\x81\x81" M "x"), "<text:Hello <text:x"},
        {BYTES_INIT("\x01\x80" M "\x00\x80" M "\x80\x81" M "a"), "<text:a"},
        {BYTES_INIT("\x01\x82" M "a\xc3\x80\x81" M "\xa4"),
         "<text:a\xc3\xa4"}, /* a character in two frames */
        {BYTES_INIT("\x89\x82" M "hi\x8a\x81" M "x"), ">pong:hi"},
        {BYTES_INIT("\x88\x80" M), "<close:1005: >close:"},
        {BYTES_INIT("\x88\x85" M "\x03\xe8"
                    "bye\x81\x81" M "a"),
         "<close:1000:bye >close:1000:"},
        {BYTES_INIT("\x88\x82" M "\x0f\xa0"), "<close:4000: >close:4000:"},
        {BYTES_INIT("\x81\xfe\x00\x7e" M
                    "00000000001111111111222222222233333333334444444444555555555566666666667777777777"
                    "8888888888999999999900000000001111111111222222"),
         "<text:"
         "0000000000111111111122222222223333333333444444444455555555556666666666777777777788888888889999999"
         "999"
         "00000000001111111111222222"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 1; step <= cases[i].input.size; step = step == 1   ? 3
                                                                  : step == 3 ? cases[i].input.size
                                                                              : step + 1) {
            struct world world;
            begin(&world);
            receive(&world, cases[i].input, step);
            expect_log(&world, cases[i].log);
            EXPECT(!websocket_is_lost(world.websocket));
            end(&world);
        }
}

TEST(frames_that_may_not_be_are_the_end_and_the_code_says_why)
{
    static const struct {
        struct bytes input;
        const char *log;
    } cases[] = {
        {BYTES_INIT("\x81\x01"
                    "aaaaa"),
         ">close:1002:a frame of a client is masked"},
        {BYTES_INIT("\xc1\x81" M "a"), ">close:1002:a reserved bit is set"},
        {BYTES_INIT("\xa1\x81" M "a"), ">close:1002:a reserved bit is set"},
        {BYTES_INIT("\x91\x81" M "a"), ">close:1002:a reserved bit is set"},
        {BYTES_INIT("\x83\x81" M "a"), ">close:1002:there is no such opcode"},
        {BYTES_INIT("\x8b\x80" M), ">close:1002:there is no such opcode"},
        {BYTES_INIT("\x80\x81" M "a"), ">close:1002:there is no message that goes on"},
        {BYTES_INIT("\x01\x81" M "a\x81\x81" M "b"), ">close:1002:a message begins within another"},
        {BYTES_INIT("\x09\x80" M), ">close:1002:a frame that is not well formed"}, /* a ping in parts */
        {BYTES_INIT("\x89\xfe\x00\x7e" M),
         ">close:1002:a frame that is not well formed"}, /* of 126 bytes */
        {BYTES_INIT("\x81\xfe\x00\x05" M "aaaaa"), ">close:1002:a frame that is not well formed"},
        {BYTES_INIT("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05" M "aaaaa"),
         ">close:1002:a frame that is not well formed"},
        {BYTES_INIT("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00" M "a"), /* 2^63 */
         ">close:1002:a frame that is not well formed"},
        {BYTES_INIT("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "a"),
         ">close:1009:a message that is too large"},
        {BYTES_INIT("\x82\xfe\x03\xe9" M "a"), ">close:1009:a message that is too large"},
        {BYTES_INIT("\x02\x81" M "a\x80\xfe\x03\xe8" M "a"), ">close:1009:a message that is too large"},
        {BYTES_INIT("\x81\x81" M "\xff"), ">close:1007:text that is no UTF-8"},
        {BYTES_INIT("\x81\x82" M "\xc0\x80"), ">close:1007:text that is no UTF-8"},
        {BYTES_INIT("\x81\x83" M "\xed\xa0\x80"), ">close:1007:text that is no UTF-8"}, /* a surrogate */
        {BYTES_INIT("\x01\xff\x00\x00\x00\x00\x00\x01\x00\x00" M "\xff"),
         ">close:1009:a message that is too large"},
        {BYTES_INIT("\x81\x82" M "a\xc3"), ">close:1007:text that ends within a character"},
        {BYTES_INIT("\x88\x81" M "a"), ">close:1002:a close with half a code"},
        {BYTES_INIT("\x88\x82" M "\x03\xed"),
         ">close:1002:a close with a code that may not be said"}, /* 1005 */
        {BYTES_INIT("\x88\x82" M "\x03\xee"), ">close:1002:a close with a code that may not be said"},
        {BYTES_INIT("\x88\x82" M "\x03\xe7"), ">close:1002:a close with a code that may not be said"},
        {BYTES_INIT("\x88\x82" M "\x0b\xb7"),
         ">close:1002:a close with a code that may not be said"}, /* 2999 */
        {BYTES_INIT("\x88\x82" M "\x13\x88"),
         ">close:1002:a close with a code that may not be said"}, /* 5000 */
        {BYTES_INIT("\x88\x83" M "\x03\xe8\xff"), ">close:1007:a close whose reason is no UTF-8"},
        {BYTES_INIT("GET / HTTP/1.1\r\n"), ">close:1002:a reserved bit is set"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 1; step < 3; step++) {
            struct world world;
            begin(&world);
            receive(&world, cases[i].input, step == 1 ? 1 : cases[i].input.size);
            expect_log(&world, cases[i].log);
            EXPECT(websocket_is_over(world.websocket));
            EXPECT(!websocket_is_lost(world.websocket)); /* the client may read why */
            receive(&world, BYTES("\x81\x81" M "a"), 100);
            expect_log(&world, "");
            end(&world);
        }
}

TEST(what_a_client_promises_takes_no_memory_and_a_message_of_the_limit_comes_whole)
{
    struct world world;
    char payload[MESSAGE_BYTES_MAX];

    begin(&world);
    memset(payload, 'a', sizeof payload);
    receive(&world, BYTES("\x82\xfe\x03\xe8" M), 100);
    for (size_t i = 0; i < sizeof payload; i += 100)
        receive(&world, bytes_of(payload + i, 100), 100);
    EXPECT_EQ(world.log.size, strlen("<binary:") + sizeof payload);
    EXPECT_EQ(websocket_output(world.websocket).size, 0);
    end(&world);
}

TEST(messages_are_sent_with_the_length_that_they_have)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 1000};
    static char payload[1000];

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)i;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct world world;
        begin(&world);
        EXPECT(websocket_send(world.websocket, WEBSOCKET_BINARY, bytes_of(payload, sizes[i]), 1));
        note_output(&world);
        EXPECT_EQ(world.log.size, strlen(">binary:") + sizes[i]);
        EXPECT(memcmp(world.log.data + strlen(">binary:"), payload, sizes[i]) == 0);
        end(&world);
    }
    {
        static const struct websocket_limits wide = {1, 1 << 20, 0, 0, 1};
        static char zeros[70000];
        struct websocket *websocket = websocket_create(&wide, &callbacks, NULL, 1);
        EXPECT(websocket_send(websocket, WEBSOCKET_TEXT, bytes_of(zeros, sizeof zeros), 1));
        EXPECT_TEXT(bytes_first(websocket_output(websocket), 10), BYTES("\x81\x7f\0\0\0\0\0\x01\x11\x70"));
        EXPECT_EQ(websocket_output(websocket).size, sizeof zeros + 10);
        EXPECT_EQ(websocket_due_ms(websocket), INT64_MAX); /* nobody is asked */
        websocket_destroy(websocket);
    }
}

TEST(what_is_framed_for_many_is_what_each_would_be_sent)
{
    static const size_t sizes[] = {0, 1, 125, 126, 1000, 65535, 65536};
    static char payload[65536];

    memset(payload, 'a', sizeof payload);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct world world;
        struct buffer framed = {0};
        begin(&world);
        EXPECT(websocket_send(world.websocket, WEBSOCKET_TEXT, bytes_of(payload, sizes[i]), 0));
        websocket_frame_append(&framed, WEBSOCKET_TEXT, bytes_of(payload, sizes[i]));
        EXPECT_TEXT(buffer_bytes(&framed), websocket_output(world.websocket));
        buffer_fini(&framed);
        end(&world);
    }
}

TEST(text_that_is_none_is_sent_as_what_replaces_it)
{
    struct world world;

    begin(&world);
    EXPECT(websocket_send(world.websocket, WEBSOCKET_TEXT,
                          BYTES("a\xff"
                                "b\xc3"
                                "c\xe2\x82"),
                          1));
    expect_log(&world, ">text:a\xef\xbf\xbd"
                       "b\xef\xbf\xbd"
                       "c\xef\xbf\xbd");
    end(&world);
}

TEST(a_close_of_ours_waits_for_the_clients_and_not_for_ever)
{
    struct world world;

    begin(&world);
    websocket_close(world.websocket, WEBSOCKET_GOING_AWAY, BYTES("stop"), 1000);
    websocket_close(world.websocket, WEBSOCKET_NORMAL, (struct bytes){NULL, 0},
                    1000); /* says nothing more */
    EXPECT(!websocket_send(world.websocket, WEBSOCKET_TEXT, BYTES("a"), 1000));
    expect_log_at(&world, 1000, ">close:1001:stop");
    EXPECT(!websocket_is_open(world.websocket));
    EXPECT(!websocket_is_over(world.websocket));
    receive(&world, BYTES("\x81\x81" M "a\x89\x80" M), 100); /* what was under way is of no interest */
    expect_log(&world, "");
    EXPECT_EQ(websocket_due_ms(world.websocket), 1000 + CLOSE_MS);
    receive(&world, BYTES("\x88\x82" M "\x03\xe9"), 100);
    expect_log(&world, "<close:1001:");
    EXPECT(websocket_is_over(world.websocket));
    EXPECT(!websocket_is_lost(world.websocket));
    end(&world);

    begin(&world);
    websocket_close(world.websocket, WEBSOCKET_NO_CODE, (struct bytes){NULL, 0}, 1000);
    expect_log_at(&world, 1000, ">close:");
    websocket_tick(world.websocket, 1000 + CLOSE_MS - 1);
    EXPECT(!websocket_is_over(world.websocket));
    websocket_tick(world.websocket, 1000 + CLOSE_MS);
    EXPECT(websocket_is_over(world.websocket));
    EXPECT(websocket_is_lost(world.websocket));
    end(&world);
}

TEST(a_reason_that_is_too_long_is_cut_between_characters)
{
    struct world world;
    char reason[124], wanted[200];

    memset(reason, 'a', sizeof reason);
    memcpy(reason + 122, "\xc3\xa4", 2);
    begin(&world);
    websocket_close(world.websocket, WEBSOCKET_NORMAL, bytes_of(reason, sizeof reason), 1);
    snprintf(wanted, sizeof wanted, ">close:1000:%.122s", reason);
    expect_log(&world, wanted);
    end(&world);

    begin(&world);
    websocket_close(world.websocket, WEBSOCKET_NORMAL, BYTES("a\xff"), 1);
    expect_log(&world, ">close:1000:a\xef\xbf\xbd");
    end(&world);
}

TEST(a_client_that_is_silent_is_asked_and_left_if_it_stays_so)
{
    struct world world;

    begin(&world);
    EXPECT_EQ(websocket_due_ms(world.websocket), 1 + PING_MS);
    websocket_tick(world.websocket, PING_MS);
    expect_log(&world, "");
    websocket_tick(world.websocket, 1 + PING_MS);
    expect_log_at(&world, 1 + PING_MS, ">ping:");
    EXPECT_EQ(websocket_due_ms(world.websocket), 1 + PING_MS + PONG_MS);
    websocket_receive(world.websocket, BYTES("\x8a\x80" M), 35000);
    EXPECT_EQ(websocket_due_ms(world.websocket), 35000 + PING_MS);
    websocket_tick(world.websocket, 65000);
    expect_log_at(&world, 65000, ">ping:");
    websocket_tick(world.websocket, 65000 + PONG_MS);
    EXPECT(websocket_is_lost(world.websocket));
    EXPECT_EQ(websocket_due_ms(world.websocket), INT64_MAX);
    end(&world);
}

TEST(who_reads_too_slowly_is_closed_and_what_waits_is_bounded)
{
    struct world world;
    char message[500];

    memset(message, 'a', sizeof message);
    begin(&world);
    for (size_t i = 0; i < 4; i++)
        EXPECT(websocket_send(world.websocket, WEBSOCKET_TEXT, bytes_of(message, sizeof message), 7));
    EXPECT(!websocket_was_too_slow(world.websocket));
    EXPECT(!websocket_send(world.websocket, WEBSOCKET_TEXT, bytes_of(message, sizeof message), 7));
    EXPECT(websocket_was_too_slow(world.websocket));
    EXPECT(websocket_output(world.websocket).size < OUTPUT_BYTES_MAX + sizeof message);
    websocket_note_sent(world.websocket, websocket_output(world.websocket).size, 70);
    EXPECT_EQ(websocket_due_ms(world.websocket), 70 + CLOSE_MS);
    end(&world);

    begin(&world); /* pongs are output, too */
    for (size_t i = 0; i < 1000; i++)
        websocket_receive(world.websocket, BYTES("\x89\x83" M "abc"), 1);
    EXPECT(websocket_output(world.websocket).size <= OUTPUT_BYTES_MAX + 100);
    EXPECT(websocket_was_too_slow(world.websocket));
    end(&world);
}

TEST(the_time_to_answer_begins_when_the_question_has_been_sent)
{
    static const char message[MESSAGE_BYTES_MAX];
    struct bytes text = bytes_of(message, sizeof message);
    const size_t frame_bytes = 4 + sizeof message, ping_bytes = 2, close_bytes = 4;
    struct world world;

    begin(&world);
    EXPECT(websocket_send(world.websocket, WEBSOCKET_BINARY, text, 1));
    websocket_tick(world.websocket, 1 + PING_MS);
    EXPECT(websocket_send(world.websocket, WEBSOCKET_BINARY, text, 1 + PING_MS));
    websocket_tick(world.websocket, 100000);
    EXPECT(websocket_is_open(world.websocket));
    websocket_note_sent(world.websocket, frame_bytes, 110000);
    EXPECT_EQ(websocket_due_ms(world.websocket), INT64_MAX);
    websocket_note_sent(world.websocket, ping_bytes, 120000);
    EXPECT_EQ(websocket_due_ms(world.websocket), 120000 + PONG_MS);
    websocket_note_sent(world.websocket, 1,
                        121000); /* of what is behind it, of which there may always be */
    EXPECT_EQ(websocket_due_ms(world.websocket), 120000 + PONG_MS);

    websocket_close(world.websocket, WEBSOCKET_NORMAL, (struct bytes){NULL, 0}, 122000);
    websocket_note_sent(world.websocket, frame_bytes - 1, 130000);
    websocket_tick(world.websocket, 140000);
    EXPECT(!websocket_is_over(world.websocket));
    websocket_note_sent(world.websocket, close_bytes, 140000);
    EXPECT_EQ(websocket_due_ms(world.websocket), 140000 + CLOSE_MS);
    websocket_tick(world.websocket, 140000 + CLOSE_MS);
    EXPECT(websocket_is_lost(world.websocket));
    end(&world);
}

TEST(last_words_have_the_time_that_it_takes_to_send_them)
{
    struct world world;

    begin(&world);
    websocket_receive(world.websocket, BYTES("\x83\x80" M), 50);
    EXPECT(websocket_is_over(world.websocket));
    EXPECT_EQ(websocket_due_ms(world.websocket), INT64_MAX);
    expect_log(&world, ">close:1002:there is no such opcode");
    end(&world);

    begin(&world);
    websocket_send(world.websocket, WEBSOCKET_TEXT, BYTES("a"), 1);
    websocket_tick(world.websocket, 1 + PING_MS);
    websocket_receive_end(world.websocket, 2 + PING_MS);
    EXPECT(websocket_is_over(world.websocket));
    websocket_tick(world.websocket, 100 * PING_MS);
    EXPECT(!websocket_is_lost(world.websocket));
    expect_log(&world, ">text:a >ping:");
    EXPECT_EQ(websocket_due_ms(world.websocket), INT64_MAX);
    end(&world);
}

TEST(output_that_leaves_in_pieces_is_what_was_said)
{
    struct world world;
    struct buffer sent = {0};
    char wanted[OUTPUT_BYTES_MAX];
    size_t wanted_bytes = 0;

    begin(&world);
    for (size_t i = 0; i < 120; i++) {
        struct bytes output;
        char byte = (char)('a' + i % 26);
        EXPECT(websocket_send(world.websocket, WEBSOCKET_BINARY, bytes_of(&byte, 1), 1));
        memcpy(wanted + wanted_bytes, (const char[]){(char)0x82, 1, byte}, 3);
        wanted_bytes += 3;
        output = bytes_first(websocket_output(world.websocket), i % 3 + 1);
        buffer_append(&sent, output);
        websocket_note_sent(world.websocket, output.size, 1);
    }
    EXPECT(websocket_output(world.websocket).size > 0);
    buffer_append(&sent, websocket_output(world.websocket));
    EXPECT_TEXT(buffer_bytes(&sent), bytes_of(wanted, wanted_bytes));
    buffer_fini(&sent);
    end(&world);
}

TEST(what_is_sent_from_inside_a_message_comes_in_order)
{
    struct world world;

    begin(&world);
    world.echoes = true;
    websocket_receive(world.websocket, BYTES("\x81\x81" M "a\x89\x81" M "p\x82\x81" M "b"), 1);
    expect_log(&world, "<text:a <binary:b >text:a >pong:p >binary:b");
    websocket_receive(world.websocket, BYTES("\x01\x81" M "a\x89\x80" M "\x80\x81" M "b"), 1);
    expect_log(&world, "<text:ab >pong: >text:ab"); /* a ping between two parts of a message */
    end(&world);
}

TEST(who_is_held_is_told_no_message_and_loses_none)
{
    static const char frames[] = "\x81\x81" M "a\x81\x81" M "b\x89\x80" M "\x81\x81" M "c";
    struct bytes input = bytes_of(frames, sizeof frames - 1);

    for (size_t split = 1; split < input.size; split++) {
        struct world world;
        begin(&world);
        world.holds = true;
        websocket_receive(world.websocket, bytes_first(input, split), 1);
        websocket_receive(world.websocket, bytes_after(input, split), 2);
        expect_log(&world, "<text:a");
        EXPECT_EQ(websocket_due_ms(world.websocket), INT64_MAX); /* nobody would hear a pong */
        websocket_go_on(world.websocket, 3);
        expect_log(&world, "<text:b");
        world.holds = false;
        websocket_go_on(world.websocket, 4);
        EXPECT(!websocket_is_held(world.websocket));
        expect_log(&world, "<text:c >pong:");
        EXPECT_EQ(websocket_due_ms(world.websocket), 4 + PING_MS);
        end(&world);
    }
}

RUN_TESTS(TEST_ROW(the_handshake_is_answered_as_the_rfc_shows_it),
          TEST_ROW(of_the_subprotocols_that_are_offered_the_first_that_is_spoken_is_chosen),
          TEST_ROW(a_handshake_that_is_not_one_is_refused_with_what_it_should_be),
          TEST_ROW(frames_are_taken_for_what_they_are_however_they_are_split),
          TEST_ROW(frames_that_may_not_be_are_the_end_and_the_code_says_why),
          TEST_ROW(what_a_client_promises_takes_no_memory_and_a_message_of_the_limit_comes_whole),
          TEST_ROW(messages_are_sent_with_the_length_that_they_have),
          TEST_ROW(what_is_framed_for_many_is_what_each_would_be_sent),
          TEST_ROW(text_that_is_none_is_sent_as_what_replaces_it),
          TEST_ROW(a_close_of_ours_waits_for_the_clients_and_not_for_ever),
          TEST_ROW(a_reason_that_is_too_long_is_cut_between_characters),
          TEST_ROW(a_client_that_is_silent_is_asked_and_left_if_it_stays_so),
          TEST_ROW(who_reads_too_slowly_is_closed_and_what_waits_is_bounded),
          TEST_ROW(the_time_to_answer_begins_when_the_question_has_been_sent),
          TEST_ROW(last_words_have_the_time_that_it_takes_to_send_them),
          TEST_ROW(output_that_leaves_in_pieces_is_what_was_said),
          TEST_ROW(what_is_sent_from_inside_a_message_comes_in_order),
          TEST_ROW(who_is_held_is_told_no_message_and_loses_none))
