/* mock_world.h — the mock with a client that keeps what it is told, and a clock that tests move. */
#pragma once
#include "engine/mock/collections/rest.h"
#include "engine/mock/mock.h"
#include "test.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* a request says only what it has */

/* ---- a clock and timers of our own: the delay passes when a test says so ----------------------- */

static _Thread_local struct timer *set_timer;

void timer_init(struct timer *timer, void (*fired)(struct timer *timer))
{
    *timer = (struct timer){.fired = fired};
}

void timer_set(struct loop *loop, struct timer *timer, int64_t due_ms)
{
    (void)loop;
    timer->due_ms = due_ms;
    set_timer = timer;
}

void timer_cancel(struct loop *loop, struct timer *timer)
{
    (void)loop;
    timer->due_ms = 0;
    if (set_timer == timer)
        set_timer = NULL;
}

/* Nobody here asks a loop for anything, but its file would come with the timers that these replace. */
void loop_post(struct loop *loop, struct task *task) { (void)loop, (void)task; }

struct now loop_now(const struct loop *loop)
{
    (void)loop;
    return (struct now){0};
}

static inline void let_timer_fire(void)
{
    struct timer *timer = set_timer;
    set_timer = NULL;
    timer->due_ms = 0;
    timer->fired(timer);
}

/* ---- a client that keeps what it is told ------------------------------------------------------- */

struct fake {
    struct exchange x;
    struct http_request request;
    struct http_field fields[4];
    int status;
    int64_t body_bytes;
    struct buffer lines, body;
    size_t room;
    bool wants_body, ended, aborted;
};

static inline void on_read(struct exchange *x, bool wanted)
{
    CONTAINER_OF(x, struct fake, x)->wants_body = wanted;
}

static inline void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

static inline void on_respond(struct exchange *x, const struct http_response *response)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);

    EXPECT_EQ(fake->status, 0); /* once */
    fake->status = response->status;
    fake->body_bytes = response->body_bytes;
    for (size_t i = 0; i < response->fields.count; i++) {
        buffer_append(&fake->lines, response->fields.list[i].name);
        buffer_append_literal(&fake->lines, ": ");
        buffer_append(&fake->lines, response->fields.list[i].value);
        buffer_append_literal(&fake->lines, "\r\n");
    }
    buffer_append(&fake->lines, response->rendered);
}

static inline void on_send(struct exchange *x, struct bytes bytes)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);
    EXPECT(bytes.size <= fake->room);
    fake->room -= bytes.size;
    buffer_append(&fake->body, bytes);
}

static inline size_t on_room(const struct exchange *x)
{
    return CONTAINER_OF(x, const struct fake, x)->room;
}

static inline void on_end(struct exchange *x)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);
    EXPECT(!fake->ended && !fake->aborted);
    EXPECT(fake->status != 0);
    if (fake->request.method != HTTP_METHOD_HEAD)
        EXPECT_EQ(fake->body.size, fake->body_bytes);
    fake->ended = true;
}

static inline void on_abort(struct exchange *x) { CONTAINER_OF(x, struct fake, x)->aborted = true; }

static const struct exchange_client fake_client = {on_read, on_inform, on_respond, on_send, on_room,
                                                   on_end,  on_abort,  NULL,       NULL};

struct world {
    struct mock *mock;
    struct mock_worker *worker;
    struct counters counters;
};

static inline void world_open(struct world *world, struct mock_options options)
{
    struct buffer message = {0};

    memset(world, 0, sizeof *world);
    if (mock_create(&options, &world->mock, &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    EXPECT_EQ(mock_worker_create(world->mock, NULL, &world->counters, &world->worker), OK);
    buffer_fini(&message);
}

static inline void world_close(struct world *world)
{
    mock_worker_destroy(world->worker);
    mock_destroy(world->mock);
}

static const char small[] = "{\"posts\":[{\"id\":1,\"title\":\"json-server\",\"views\":100,\"meta\":{"
                            "\"rating\":4.5,\"tags\":[\"a\",\"b\"]}},"
                            "{\"id\":2,\"title\":\"Hello World\",\"views\":250,\"meta\":null}],"
                            "\"tags\":[{\"id\":\"a b/c\",\"label\":\"x\"},{\"label\":\"no id\"}],"
                            "\"empty\":[],"
                            "\"profile\":{\"name\":\"typicode\",\"opts\":{\"a\":1,\"b\":2}}}";

static inline struct mock_options small_options(void)
{
    return (struct mock_options){.document = bytes_of_text(small)};
}

#define BIRD1                                                                                              \
    "{\"id\":\"1\",\"title\":\"json-server\",\"views\":100,\"meta\":{\"rating\":4.5,\"tags\":[\"a\","      \
    "\"b\"]}}"
#define BIRD2     "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":250,\"meta\":null}"
#define NOT_FOUND "{\"error\":\"Not Found\"}"

struct ask {
    const char *method, *target, *body; /* a null body: none at all */
    const char *field, *value;
};

/* Fills in the request and hands it to the engine; the body is still to come. */
static inline void fake_begin(struct world *world, struct fake *fake, struct ask ask)
{
    const char *query = strchr(ask.target, '?');

    memset(fake, 0, sizeof *fake);
    fake->room = 1 << 20;
    fake->request.method_name = bytes_of_text(ask.method);
    fake->request.method = http_method_find(fake->request.method_name);
    fake->request.path =
        bytes_of(ask.target, query != NULL ? (size_t)(query - ask.target) : strlen(ask.target));
    fake->request.has_query = query != NULL;
    if (query != NULL)
        fake->request.query = bytes_of_text(query + 1);
    fake->request.fields.list = fake->fields;
    if (ask.field != NULL)
        fake->fields[fake->request.fields.count++] = (struct http_field){
            http_header_find(bytes_of_text(ask.field)), bytes_of_text(ask.field), bytes_of_text(ask.value)};
    fake->request.body_bytes = ask.body != NULL ? HTTP_BODY_UNKNOWN : HTTP_BODY_NONE;
    fake->x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &fake->request};
    fake->x.now.mono_ms = 1000;
    mock_engine.begin(world->worker, &fake->x);
}

/* Sends the body in two pieces. */
static inline void fake_send_body(struct fake *fake, struct bytes body)
{
    if (fake->wants_body && !fake->ended)
        mock_engine.body(&fake->x, bytes_first(body, body.size / 2));
    if (fake->wants_body && !fake->ended)
        mock_engine.body(&fake->x, bytes_after(body, body.size / 2));
    if (fake->wants_body && !fake->ended)
        mock_engine.body_end(&fake->x);
}

static inline void fake_ask(struct world *world, struct fake *fake, struct ask ask)
{
    fake_begin(world, fake, ask);
    if (ask.body != NULL)
        fake_send_body(fake, bytes_of_text(ask.body));
    EXPECT(fake->ended);
}

static inline void fake_fini(struct fake *fake)
{
    buffer_fini(&fake->lines);
    buffer_fini(&fake->body);
}

static inline bool has_line(const struct fake *fake, const char *line)
{
    return memmem(fake->lines.data, fake->lines.size, line, strlen(line)) != NULL;
}

/* The value of the field line that begins with `start`; empty if there is none. */
static inline struct bytes line_value(const struct fake *fake, const char *start)
{
    const char *end = fake->lines.data + fake->lines.size;
    const char *at = memmem(fake->lines.data, fake->lines.size, start, strlen(start));
    if (at == NULL)
        return (struct bytes){0};
    at += strlen(start);
    return bytes_of(at, (size_t)((const char *)memmem(at, (size_t)(end - at), "\r\n", 2) - at));
}

struct step {
    struct ask ask;
    int status;
    const char *body; /* null: not looked at */
    const char *line; /* that must be among the answer's; null: not looked at */
};

static inline void play(struct mock_options options, const struct step *steps, size_t count)
{
    struct world world;
    struct fake fake;

    world_open(&world, options);
    for (size_t i = 0; i < count; i++) {
        fake_ask(&world, &fake, steps[i].ask);
        if (fake.status != steps[i].status)
            fail_msg("%s %s: %d, wanted %d: %.*s", steps[i].ask.method, steps[i].ask.target, fake.status,
                     steps[i].status, BYTES_PRINTF(buffer_bytes(&fake.body)));
        if (steps[i].body != NULL)
            EXPECT_TEXT(buffer_bytes(&fake.body), bytes_of_text(steps[i].body));
        if (steps[i].line != NULL && !has_line(&fake, steps[i].line))
            fail_msg("%s %s: no %s in %.*s", steps[i].ask.method, steps[i].ask.target, steps[i].line,
                     BYTES_PRINTF(buffer_bytes(&fake.lines)));
        EXPECT(has_line(&fake, "Access-Control-Allow-Origin: *\r\n"));
        fake_fini(&fake);
    }
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), count);
    EXPECT_EQ(counters_read(&world.counters, METRIC_mock_requests), count);
    world_close(&world);
}
