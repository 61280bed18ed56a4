/* compose_world.h — composed routes in front of the gateway of gateway_world.h, and who asks for them. */
#pragma once
#include "engine/compose/compose.h"
#include "gateway_world.h"

/* For the specs, whose texts are only read. */
#define TEXT(literal) ((char[]){literal})

/* ---- a gateway with composed routes in front ------------------------------------------------------ */

struct front {
    struct world *world;
    struct compose_worker *worker; /* of the world's first */
};

static inline void make_worker(void *argument)
{
    struct front *front = argument;
    struct runner *runner = &front->world->runners[0];

    EXPECT_EQ(compose_worker_create(runner->worker, runner->loop, &runner->counters, &front->worker), OK);
}

static inline void destroy_worker(void *argument)
{
    compose_worker_destroy(((struct front *)argument)->worker);
}

/* From now on the world goes by a plan with that composition, too. */
static inline void follow(struct world *world, const struct composition_spec *composition)
{
    world_follow_plan(world, 1,
                      (struct plan_spec){.policy = {.object_bytes_max = OBJECT_BYTES_MAX,
                                                    .first_byte_timeout_ms = 60000000,
                                                    .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                                    .stale_if_error_ms = 60000},
                                         .compositions = composition,
                                         .composition_count = 1});
}

static inline struct front *front_create(const struct composition_spec *composition)
{
    struct front *front = calloc(1, sizeof *front);

    front->world = world_create();
    follow(front->world, composition);
    on_worker(&front->world->runners[0], make_worker, front);
    return front;
}

static inline void front_destroy(struct front *front)
{
    on_worker(&front->world->runners[0], destroy_worker, front);
    world_destroy(front->world);
    free(front);
}

/* ---- who asks ------------------------------------------------------------------------------------ */

struct caller {
    struct front *front;
    struct client *client;
};

static inline void begin_caller(void *argument)
{
    struct caller *caller = argument;
    struct exchange *x = &caller->client->x;

    x->now = loop_now(caller->client->runner->loop);
    x->engine = &compose_engine;
    x->engine->begin(caller->front->worker, x);
}

static inline struct client *call(struct front *front, const char *method, const char *path,
                                  const char *fields)
{
    struct client *client = client_create(front->world, 0, method, path, fields);

    on_worker(client->runner, begin_caller, &(struct caller){front, client});
    return client;
}

/* The whole answer. */
static inline struct client *call_and_wait(struct front *front, const char *path)
{
    struct client *client = call(front, "GET", path, "");

    wait_until_true(has_ended, client);
    return client;
}

static inline void expect_body(struct front *front, const char *path, const char *fields, int status,
                               const char *body, const char *in_head)
{
    struct client *client = call(front, "GET", path, fields);

    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, status);
    EXPECT(!client->was_aborted);
    if (body != NULL)
        EXPECT_TEXT(buffer_bytes(&client->body), bytes_of_text(body));
    if (in_head != NULL && !head_has(client, in_head))
        fail_msg("no \"%s\" in:\n%s", in_head, client->head.data);
    client_destroy(client);
}

static inline void expect_problem(struct front *front, const char *path, const char *fields, int status,
                                  const char *in_body)
{
    struct client *client = call(front, "GET", path, fields);

    wait_until_true(has_ended, client);
    buffer_append_byte(&client->body, '\0');
    EXPECT_EQ(client->status, status);
    if (strstr(client->body.data, in_body) == NULL)
        fail_msg("no \"%s\" in:\n%s", in_body, client->body.data);
    EXPECT(head_has(client, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n"));
    client_destroy(client);
}

/* The compositions, each with its parts. */
static struct part_spec two[] = {{.name = TEXT("b"), .target = TEXT("/count")},
                                 {.name = TEXT("a"), .target = TEXT("/scripted-{id}")}};
static const struct composition_spec of_two = {.path = TEXT("/both/{id}"),
                                               .parts = two,
                                               .part_count = 2,
                                               .timeout_ms = 60000000,
                                               .body_bytes_max = 4096};

#define ORIGIN_SAYS(fields, body) "HTTP/1.1 200 OK\r\nConnection: close\r\n" fields "\r\n" body
