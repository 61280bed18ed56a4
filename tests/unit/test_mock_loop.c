/* links: nuthatch-mock nuthatch-net nuthatch-message nuthatch-base */
/* The artificial delay on real loops and a real clock. */
#include "base/compiler.h"
#include "engine/mock/mock.h"
#include "test.h"

enum { LATENCY_MS = 60, EXCHANGES = 20 };

struct world {
    struct loop *loop;
    struct mock_worker *worker;
    struct task start;
    struct fake {
        struct exchange x;
        struct world *world;
        struct http_request request;
        int64_t took_ms;
        size_t sent_bytes;
    } fakes[EXCHANGES];
    size_t open_count;
};

static void on_read(struct exchange *x, bool wanted) { (void)x, (void)wanted; }
static void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

static void on_respond(struct exchange *x, const struct http_response *response)
{
    EXPECT_EQ(response->status, 200);
    (void)x;
}
static void on_send(struct exchange *x, struct bytes bytes)
{
    CONTAINER_OF(x, struct fake, x)->sent_bytes += bytes.size;
}
static size_t on_room(const struct exchange *x)
{
    (void)x;
    return 1 << 16;
}
static void on_end(struct exchange *x)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);

    fake->took_ms = clock_read(&clock_system).mono_ms - x->now.mono_ms;
    if (--fake->world->open_count == 0)
        loop_stop(fake->world->loop);
}
static void on_abort(struct exchange *x) { fail_msg("aborted %p", (void *)x); }

static const struct exchange_client fake_client = {on_read, on_inform, on_respond, on_send, on_room,
                                                   on_end,  on_abort,  NULL,       NULL};

/* Begins all exchanges in one turn; every second client leaves at once. */
static void on_start(struct task *task)
{
    struct world *world = CONTAINER_OF(task, struct world, start);

    world->open_count = EXCHANGES;
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct fake *fake = &world->fakes[i];
        fake->world = world;
        fake->request = (struct http_request){.method = HTTP_METHOD_GET, .path = BYTES("/birds/1")};
        fake->x =
            (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &fake->request};
        fake->x.now = loop_now(world->loop);
        mock_engine.begin(world->worker, &fake->x);
        if (i % 2 == 1) {
            mock_engine.gone(&fake->x);
            world->open_count--;
        }
    }
}

static void play(enum loop_kind kind)
{
    struct mock_options options = {.document = mock_sample_document(), .latency_ms = LATENCY_MS};
    struct world world = {.start.run = on_start};
    struct counters counters = {0};
    struct buffer message = {0};
    struct mock *mock;
    enum err err = loop_create(&(struct loop_options){kind, &clock_system, NULL}, &world.loop);

    if (err == ERR_UNSUPPORTED)
        skip();
    EXPECT_EQ(err, OK);
    EXPECT_EQ(mock_create(&options, &mock, &message), OK);
    EXPECT_EQ(mock_worker_create(mock, world.loop, &counters, &world.worker), OK);
    loop_post(world.loop, &world.start);
    loop_run(world.loop);
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct fake *fake = &world.fakes[i];
        EXPECT_EQ(fake->sent_bytes > 0, i % 2 == 0);
        if (i % 2 == 0)
            EXPECT(fake->took_ms >= LATENCY_MS && fake->took_ms < LATENCY_MS + 2000);
    }
    EXPECT_EQ(mock_request_count(mock, BYTES("/birds/1")), EXCHANGES / 2);
    mock_worker_destroy(world.worker);
    mock_destroy(mock);
    loop_destroy(world.loop);
    buffer_fini(&message);
}

TEST(on_io_uring_a_delayed_answer_comes_when_it_is_due_and_only_to_those_still_there) { play(LOOP_URING); }

TEST(on_epoll_a_delayed_answer_comes_when_it_is_due_and_only_to_those_still_there) { play(LOOP_EPOLL); }

RUN_TESTS(TEST_ROW(on_io_uring_a_delayed_answer_comes_when_it_is_due_and_only_to_those_still_there),
          TEST_ROW(on_epoll_a_delayed_answer_comes_when_it_is_due_and_only_to_those_still_there))
