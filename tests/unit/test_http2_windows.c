/* links: nuthatch-http nuthatch-message nuthatch-base */
/* Clients that open their windows byte by byte, with a clock that only the test moves. */
#include "base/compiler.h"
#include "protocol/http/http2_session.h"
#include "test.h"

enum { WRITE_MS = 10000, RATE = 100, FIELDS_MAX = 20, ANSWER_BYTES = 1 << 20, STREAMS_MAX = 8 };

struct world {
    struct http2_session *session;
    struct buffer output;
    struct exchange *answered[STREAMS_MAX];
    size_t answered_count, gone_count, slow_count;
    size_t looked_bytes; /* of the output */
    int64_t now_ms;
    bool is_over;
};

/* ---- an engine whose answers are there at once, whatever the room ---------------------------------- */

static void begin(void *engine, struct exchange *x)
{
    static const char bytes[ANSWER_BYTES];
    struct world *world = engine;

    world->answered[world->answered_count++] = x;
    exchange_respond(x, &(struct http_response){.status = 200, .body_bytes = HTTP_BODY_UNKNOWN});
    exchange_send(x, bytes_of(bytes, x->request->path.size > 1 ? 5 : sizeof bytes));
}

static void body(struct exchange *x, struct bytes bytes) { (void)x, (void)bytes; }
static void nothing_of(struct exchange *x) { (void)x; }

static struct world *the_world; /* for an engine that is told of nothing else */
static void gone(struct exchange *x)
{
    (void)x;
    the_world->gone_count++;
}

static const struct exchange_engine engine = {begin, body, nothing_of, nothing_of, gone};

/* ---- an owner --------------------------------------------------------------------------------------- */

static struct now now(void *owner) { return (struct now){.mono_ms = ((struct world *)owner)->now_ms}; }
static const char *date(void *owner) { return owner != NULL ? "Thu, 01 Jan 2026 00:00:00 GMT" : NULL; }
static struct buffer *output(void *owner) { return &((struct world *)owner)->output; }
static size_t room(void *owner) { return owner != NULL ? 1 << 20 : 0; }
static void nothing(void *owner) { (void)owner; }
static void refused(void *owner, struct bytes why) { (void)owner, (void)why; }
static void too_slow(void *owner, const char *why)
{
    EXPECT(why != NULL);
    ((struct world *)owner)->slow_count++;
}
static void over(void *owner) { ((struct world *)owner)->is_over = true; }

static const struct http2_callbacks callbacks = {now,     date,    output,  room,     nothing,
                                                 nothing, nothing, refused, too_slow, over};

/* ---- a client --------------------------------------------------------------------------------------- */

enum { FRAME_HEADERS = 1, FRAME_RST_STREAM = 3, FRAME_SETTINGS = 4, FRAME_GOAWAY = 7, FRAME_WINDOW = 8 };

static void say(struct world *world, int kind, int flags, int stream, struct bytes payload)
{
    struct buffer frame = {0};

    buffer_append_byte(&frame, 0);
    buffer_append_byte(&frame, 0);
    buffer_append_byte(&frame, (char)payload.size);
    buffer_append_byte(&frame, (char)kind);
    buffer_append_byte(&frame, (char)flags);
    buffer_append(&frame, bytes_of((const char[]){0, 0, 0, (char)stream}, 4));
    buffer_append(&frame, payload);
    http2_session_receive(world->session, buffer_bytes(&frame));
    buffer_fini(&frame);
}

/* Asks for "/" or "/s", which is short. RFC 7541: ":method: GET" and ":scheme: http" are in the static
 * table,
 * ":path" and ":authority" are its names 4 and 1. */
static void ask(struct world *world, int stream, bool is_short)
{
    if (is_short)
        say(world, FRAME_HEADERS, 5, stream,
            BYTES("\x82\x86\x04\x02/s\x01\x01"
                  "a"));
    else
        say(world, FRAME_HEADERS, 5, stream,
            BYTES("\x82\x86\x84\x01\x01"
                  "a"));
}

static void open_window(struct world *world, int stream, int size)
{
    say(world, FRAME_WINDOW, 0, stream,
        bytes_of((const char[]){0, (char)(size >> 16), (char)(size >> 8), (char)size}, 4));
}

/* Frames of the kind since the last look. */
static size_t count_frames(struct world *world, int kind)
{
    size_t count = 0;
    struct bytes rest = bytes_after(buffer_bytes(&world->output), world->looked_bytes);

    while (rest.size >= 9) {
        const unsigned char *head = (const unsigned char *)rest.data;
        count += head[3] == kind;
        rest = bytes_after(rest, 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]));
    }
    world->looked_bytes = world->output.size;
    return count;
}

/* ---- the world -------------------------------------------------------------------------------------- */

static void world_begin(struct world *world, int stream_window, int64_t rate)
{
    static const struct http1_limits limits = {1024, 4096, FIELDS_MAX};
    static struct http_field fields[FIELDS_MAX];
    const char settings[] = {
        0, 4, 0, (char)(stream_window >> 16), (char)(stream_window >> 8), (char)stream_window};

    *world = (struct world){.now_ms = 1000};
    the_world = world;
    world->session = http2_session_create(&(struct http2_options){.callbacks = &callbacks,
                                                                  .owner = world,
                                                                  .engine = &engine,
                                                                  .engine_worker = world,
                                                                  .limits = &limits,
                                                                  .fields = fields,
                                                                  .idle_ms = 1000000,
                                                                  .head_ms = 1000000,
                                                                  .body_ms = 1000000,
                                                                  .write_ms = WRITE_MS,
                                                                  .answer_rate = rate});
    http2_session_receive(world->session, BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    say(world, FRAME_SETTINGS, 0, 0, bytes_of(settings, sizeof settings));
}

static void world_end(struct world *world)
{
    http2_session_destroy(world->session);
    buffer_fini(&world->output);
}

/* Each second, for so many, the window of `stream` opens by `size`. Returns after how many something was
 * too slow. */
static int drip(struct world *world, int stream, int size, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        if (world->slow_count > 0 || world->is_over)
            return i;
        world->now_ms += 1000;
        if (http2_session_due_ms(world->session) <= world->now_ms)
            http2_session_look_at_time(world->session);
        if (size > 0)
            open_window(world, stream, size);
    }
    return seconds;
}

TEST(a_stream_that_lets_its_answer_through_too_slowly_is_reset_and_the_connection_goes_on)
{
    static const struct {
        int bytes_a_second;
        bool is_slow;
    } cases[] = {{1, true}, {50, true}, {99, true}, {101, false}, {1000, false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        int seconds;

        world_begin(&world, 10, RATE);
        open_window(&world, 0, 0x7fffff); /* the connection's is no matter here */
        ask(&world, 1, false);
        seconds = drip(&world, 1, cases[i].bytes_a_second, 2000);
        EXPECT_EQ(seconds < 2000, cases[i].is_slow);
        EXPECT_EQ(world.slow_count, cases[i].is_slow);
        EXPECT_EQ(world.gone_count, cases[i].is_slow);
        EXPECT_EQ(count_frames(&world, FRAME_RST_STREAM), cases[i].is_slow);
        EXPECT(!world.is_over);
        ask(&world, 3, true);
        EXPECT_EQ(world.answered_count, 2);
        world_end(&world);
    }
}

TEST(a_connection_that_lets_its_answers_through_too_slowly_is_ended)
{
    struct world world;

    world_begin(&world, 1 << 20, RATE);
    ask(&world, 1, false);
    EXPECT(drip(&world, 0, 50, 2000) < 100);
    EXPECT(world.is_over);
    EXPECT_EQ(count_frames(&world, FRAME_GOAWAY), 1);
    EXPECT_EQ(world.gone_count, 1);
    world_end(&world);
}

TEST(who_has_nothing_to_take_is_not_too_slow)
{
    struct world world;

    world_begin(&world, 10, RATE);
    ask(&world, 1, true); /* five bytes, and its end never comes: such as an event stream */
    EXPECT_EQ(drip(&world, 1, 0, 5000), 5000);
    exchange_send(world.answered[0], BYTES("hello")); /* which shuts the window, with nothing behind it */
    EXPECT_EQ(drip(&world, 1, 0, 5000), 5000);
    exchange_send(world.answered[0], BYTES("hello")); /* which waits */
    EXPECT(drip(&world, 1, 0, 5000) <= WRITE_MS / 1000 + 1);
    world_end(&world);
}

TEST(without_a_rate_a_byte_now_and_then_will_do)
{
    struct world world;

    world_begin(&world, 10, 0);
    ask(&world, 1, false);
    EXPECT_EQ(drip(&world, 1, 1, 5000), 5000);
    EXPECT_EQ(world.gone_count, 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(a_stream_that_lets_its_answer_through_too_slowly_is_reset_and_the_connection_goes_on),
        TEST_ROW(a_connection_that_lets_its_answers_through_too_slowly_is_ended),
        TEST_ROW(who_has_nothing_to_take_is_not_too_slow),
        TEST_ROW(without_a_rate_a_byte_now_and_then_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
