/* clang-format off */
/* links: nuthatch-live nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* clang-format on */
/* A resource that is watched and never polled, while the system gives no memory once: who watches is told
 * something all the same, and of what comes later. */
#include "live_world.h"
#include "no_memory.h"

static _Thread_local volatile bool is_in_need;

static bool is_of_whom_is_tested(void) { return is_in_need; }

/* From now on all that the worker does. */
static void begin_in_need(void *argument)
{
    is_in_need = true;
    begin_watch(argument);
}

static void end_need(void *argument)
{
    (void)argument;
    is_in_need = false;
}

/* Without polls there is no second time by itself. */
static struct hub *hub_create_without_polls(const char *state)
{
    struct hub *hub = hub_create(state);

    world_follow(hub->world, &(struct route_policy){.object_bytes_max = OBJECT_BYTES_MAX,
                                                    .first_byte_timeout_ms = 60000000,
                                                    .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                                    .live = 1,
                                                    .live_bytes_max = 4096,
                                                    .live_ring_count = 4,
                                                    .live_ring_bytes = 100000,
                                                    .live_watchers_max = 100,
                                                    .live_topics_max = 3});
    return hub;
}

struct waiting {
    struct watch_client *one;
    const char *wanted;
};

/* It was told so; or that nothing comes, or what told it is our own and had no memory. */
static bool was_told(void *argument)
{
    struct waiting *waiting = argument;
    struct client *client = waiting->one->client;

    pass(waiting->one->hub, 300);
    waiting->one->wanted = waiting->wanted;
    return has_wanted(waiting->one) || client->has_ended || client->head.failed || client->body.failed;
}

/* False if no allocation failed that is the one behind `successes` others. */
static bool watch_in_need(int successes)
{
    struct hub *hub = hub_create_without_polls("1");
    struct watch_client *one = watch_client_create(hub, 0, "/state", "Accept: text/event-stream", SIZE_MAX);
    bool failed;

    successes_left = successes;
    on_worker(one->client->runner, begin_in_need, one);
    wait_until_true(was_told, &(struct waiting){one, "data: "});
    failed = has_failed();
    on_worker(one->client->runner, end_need, NULL);
    pass(hub, 2000); /* what was missing is made up for */
    stub_set_state(&hub->world->stub, "2");
    expect_answer(hub->world, "GET", "/state", "Cache-Control: no-cache", 200, "2", NULL);
    wait_until_true(was_told, &(struct waiting){one, "data: 2\n"});
    leave_watch(one);
    hub_destroy(hub);
    return failed;
}

static void begin_to_need(void *argument)
{
    (void)argument;
    is_in_need = true;
}

/* The same of a change that another worker's client brings: it is told, if not by that then by the next
 * that brings it. */
static bool change_in_need(int successes)
{
    struct hub *hub = hub_create_without_polls("1");
    struct watch_client *one = watch_client_create(hub, 0, "/state", "Accept: text/event-stream", SIZE_MAX);
    struct client *other = client_create(hub->world, 1, "GET", "/state", "Cache-Control: no-cache");
    bool failed;

    on_worker(one->client->runner, begin_watch, one);
    expect_heard(one, "data: 1\n");
    stub_set_state(&hub->world->stub, "2");
    on_worker(one->client->runner, begin_to_need, NULL);
    successes_left = successes;
    client_start(other);
    wait_until_true(has_ended, other);
    client_destroy(other);
    for (int round = 0; round < 5; round++)
        pass(hub, 300);
    failed = has_failed();
    on_worker(one->client->runner, end_need, NULL);
    other = client_create(hub->world, 1, "GET", "/state", "Cache-Control: no-cache");
    client_start(other);
    wait_until_true(has_ended, other);
    client_destroy(other);
    wait_until_true(was_told, &(struct waiting){one, "data: 2\n"});
    leave_watch(one);
    hub_destroy(hub);
    return failed;
}

TEST(whatever_memory_is_missing_no_change_is_lost)
{
    int successes = 0;

    while (change_in_need(successes))
        successes++;
    EXPECT(successes > 5);
}

TEST(whatever_memory_is_missing_nobody_waits_for_ever_for_what_is_not_polled)
{
    int successes = 0;

    while (watch_in_need(successes))
        successes++;
    EXPECT(successes > 20);
}

RUN_TESTS(TEST_ROW(whatever_memory_is_missing_no_change_is_lost),
          TEST_ROW(whatever_memory_is_missing_nobody_waits_for_ever_for_what_is_not_polled))
