/* live_world.h — the hub of what is watched in front of the gateway of gateway_world.h, on both workers,
 * and clients of it made of memory. */
#pragma once
#include "engine/live/live.h"
#include "gateway_world.h"

/* ---- a hub in front of the world's gateway ------------------------------------------------------- */

struct hub {
    struct world *world;
    struct live *live;
    struct live_worker *workers[WORKERS];
};

struct hub_worker {
    struct hub *hub;
    size_t index;
    bool is_idle;
};

static inline void make_worker(void *argument)
{
    struct hub_worker *one = argument;
    struct runner *runner = &one->hub->world->runners[one->index];

    EXPECT_EQ(live_worker_create(one->hub->live, runner->worker, runner->loop, &runner->counters,
                                 &one->hub->workers[one->index]),
              OK);
}

static inline void stop_worker(void *argument)
{
    struct hub_worker *one = argument;

    live_worker_stop(one->hub->workers[one->index]);
}

static inline void ask_live_idle(void *argument)
{
    struct hub_worker *one = argument;

    one->is_idle = live_worker_is_idle(one->hub->workers[one->index]);
}

static inline bool is_live_idle(void *argument)
{
    struct hub_worker *one = argument;

    on_worker(&one->hub->world->runners[one->index], ask_live_idle, one);
    return one->is_idle;
}

static inline void destroy_worker(void *argument)
{
    struct hub_worker *one = argument;

    live_worker_destroy(one->hub->workers[one->index]);
}

static inline struct hub *hub_create(const char *state)
{
    struct hub *hub = calloc(1, sizeof *hub);

    hub->world = world_create();
    stub_set_state(&hub->world->stub, state);
    EXPECT_EQ(live_create(&hub->live), OK);
    for (size_t i = 0; i < WORKERS; i++)
        on_worker(&hub->world->runners[i], make_worker, &(struct hub_worker){hub, i, false});
    return hub;
}

static inline void hub_stop(struct hub *hub)
{
    for (size_t i = 0; i < WORKERS; i++)
        on_worker(&hub->world->runners[i], stop_worker, &(struct hub_worker){hub, i, false});
}

static inline void hub_destroy(struct hub *hub)
{
    hub_stop(hub);
    for (size_t i = 0; i < WORKERS; i++)
        wait_until_true(is_live_idle, &(struct hub_worker){hub, i, false});
    for (size_t i = 0; i < WORKERS; i++)
        on_worker(&hub->world->runners[i], destroy_worker, &(struct hub_worker){hub, i, false});
    live_destroy(hub->live);
    world_destroy(hub->world);
    free(hub);
}

/* Time passes, and the loops see it. */
static inline void pass(struct hub *hub, int64_t ms)
{
    hub->world->forward_ms += ms;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < WORKERS; i++)
            on_worker(&hub->world->runners[i], do_nothing, NULL);
}

static inline uint64_t counted(const struct hub *hub, enum metric metric)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < WORKERS; i++)
        sum += counters_read(&hub->world->runners[i].counters, metric);
    return sum;
}

/* ---- who watches --------------------------------------------------------------------------------- */

struct watch_client {
    struct hub *hub;
    size_t index;
    struct client *client;
    const char *wanted;
    bool has_it;
    char fields[256]; /* the client's borrow them */
};

static inline void begin_watch(void *argument)
{
    struct watch_client *one = argument;

    one->client->x.now = loop_now(one->client->runner->loop);
    one->client->x.engine->begin(one->hub->workers[one->index], &one->client->x);
}

/* Who is still to begin: begin_watch. */
static inline struct watch_client *watch_client_create(struct hub *hub, size_t worker, const char *path,
                                                       const char *fields, size_t room)
{
    struct watch_client *one = calloc(1, sizeof *one);

    one->hub = hub;
    one->index = worker;
    snprintf(one->fields, sizeof one->fields, "%s", fields);
    one->client = client_create(hub->world, worker, "GET", path, one->fields);
    one->client->x.engine = &live_engine;
    one->client->room_bytes = room;
    return one;
}

static inline struct watch_client *ask_live(struct hub *hub, size_t worker, const char *path,
                                            const char *fields, size_t room)
{
    struct watch_client *one = watch_client_create(hub, worker, path, fields, room);

    on_worker(one->client->runner, begin_watch, one);
    return one;
}

static inline struct watch_client *watch(struct hub *hub, size_t worker, const char *fields)
{
    char text[256];

    snprintf(text, sizeof text, "Accept: text/event-stream%s%s", fields[0] != '\0' ? "\n" : "", fields);
    return ask_live(hub, worker, "/state", text, SIZE_MAX);
}

static inline void look_for(void *argument)
{
    struct watch_client *one = argument;

    one->has_it = one->client->body.size > 0 && memmem(one->client->body.data, one->client->body.size,
                                                       one->wanted, strlen(one->wanted)) != NULL;
}

static inline bool has_wanted(void *argument)
{
    struct watch_client *one = argument;

    on_worker(one->client->runner, look_for, one);
    return one->has_it;
}

static inline void expect_heard(struct watch_client *one, const char *wanted)
{
    one->wanted = wanted;
    wait_until_true(has_wanted, one);
}

static inline void expect_not_heard(struct watch_client *one, const char *wanted)
{
    one->wanted = wanted;
    EXPECT(!has_wanted(one));
}

static inline void forget_heard(void *argument)
{
    buffer_clear(&((struct watch_client *)argument)->client->body);
}

static inline void forget(struct watch_client *one) { on_worker(one->client->runner, forget_heard, one); }

static inline void leave_watch(struct watch_client *one)
{
    if (!one->client->has_ended)
        on_worker(one->client->runner, leave, one->client);
    client_destroy(one->client);
    free(one);
}

/* The id of the event with this data, as a field to come back with. */
static inline char *come_back_with(struct watch_client *one, const char *data)
{
    char *field = calloc(1, 128);
    const char *found, *id = NULL;

    expect_heard(one, data);
    found = memmem(one->client->body.data, one->client->body.size, data, strlen(data));
    for (const char *at = one->client->body.data; at < found; at++)
        if (strncmp(at, "id: ", 4) == 0)
            id = at + 4;
    EXPECT(id != NULL);
    snprintf(field, 128, "Last-Event-ID: %.*s", (int)strcspn(id, "\n"), id);
    return field;
}

static inline struct buffer *text_of(struct watch_client *one) { return &one->client->body; }
