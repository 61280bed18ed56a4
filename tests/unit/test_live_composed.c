/* links: nuthatch-live nuthatch-compose nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store
 * nuthatch-message nuthatch-base */
/* What those are told who watch a composed answer. */
#include "engine/compose/compose.h"
#include "engine/live/live.h"
#include "gateway_world.h"

/* For the specs, whose texts are only read. */
#define TEXT(literal) ((char[]){literal})

#define ORIGIN_SAYS(fields, body) "HTTP/1.1 200 OK\r\nConnection: close\r\n" fields "\r\n" body

/* ---- the hub, before composed routes, before the world's gateway ---------------------------------- */

struct hub {
    struct world *world;
    struct live *live;
    struct live_worker *live_worker; /* these of the world's first worker */
    struct compose_worker *compose_worker;
    bool is_idle;
};

/* From now on the world goes by a plan with that composition, too. */
static void follow(struct hub *hub, const struct composition_spec *composition)
{
    world_follow_plan(hub->world, 1,
                      (struct plan_spec){.policy = {.object_bytes_max = OBJECT_BYTES_MAX,
                                                    .first_byte_timeout_ms = 60000000,
                                                    .coalesce_timeout_ms = COALESCE_TIMEOUT_MS},
                                         .compositions = composition,
                                         .composition_count = 1});
}

static void make_workers(void *argument)
{
    struct hub *hub = argument;
    struct runner *runner = &hub->world->runners[0];

    EXPECT_EQ(compose_worker_create(runner->worker, runner->loop, &runner->counters, &hub->compose_worker),
              OK);
    EXPECT_EQ(
        live_worker_create(hub->live, runner->worker, runner->loop, &runner->counters, &hub->live_worker),
        OK);
    live_worker_put_before(hub->live_worker, &compose_engine, hub->compose_worker);
}

static struct hub *hub_create(const struct composition_spec *composition, const char *state)
{
    struct hub *hub = calloc(1, sizeof *hub);

    hub->world = world_create();
    stub_set_state(&hub->world->stub, state);
    follow(hub, composition);
    EXPECT_EQ(live_create(&hub->live), OK);
    on_worker(&hub->world->runners[0], make_workers, hub);
    return hub;
}

static void stop_worker(void *argument) { live_worker_stop(((struct hub *)argument)->live_worker); }

static void look_whether_idle(void *argument)
{
    struct hub *hub = argument;

    hub->is_idle = live_worker_is_idle(hub->live_worker);
}

static bool is_hub_idle(void *argument)
{
    struct hub *hub = argument;

    on_worker(&hub->world->runners[0], look_whether_idle, hub);
    return hub->is_idle;
}

static void destroy_workers(void *argument)
{
    struct hub *hub = argument;

    live_worker_destroy(hub->live_worker);
    compose_worker_destroy(hub->compose_worker);
}

static void hub_destroy(struct hub *hub)
{
    on_worker(&hub->world->runners[0], stop_worker, hub);
    wait_until_true(is_hub_idle, hub);
    on_worker(&hub->world->runners[0], destroy_workers, hub);
    live_destroy(hub->live);
    world_destroy(hub->world);
    free(hub);
}

/* Time passes, and the loop sees it. */
static void pass(struct hub *hub, int64_t ms)
{
    hub->world->forward_ms += ms;
    for (int round = 0; round < 2; round++)
        on_worker(&hub->world->runners[0], do_nothing, NULL);
}

/* ---- who watches --------------------------------------------------------------------------------- */

struct viewer {
    struct hub *hub;
    struct client *client;
    const char *wanted;
    bool has_it;
};

static void begin_viewer(void *argument)
{
    struct viewer *one = argument;

    one->client->x.now = loop_now(one->client->runner->loop);
    one->client->x.engine->begin(one->hub->live_worker, &one->client->x);
}

static struct viewer *begin(struct hub *hub, const char *path, const char *fields)
{
    struct viewer *one = calloc(1, sizeof *one);

    one->hub = hub;
    one->client = client_create(hub->world, 0, "GET", path, fields);
    one->client->x.engine = &live_engine;
    on_worker(one->client->runner, begin_viewer, one);
    return one;
}

static void look_for(void *argument)
{
    struct viewer *one = argument;

    one->has_it = one->client->body.size > 0 && memmem(one->client->body.data, one->client->body.size,
                                                       one->wanted, strlen(one->wanted)) != NULL;
}

static bool has_wanted(void *argument)
{
    struct viewer *one = argument;

    on_worker(one->client->runner, look_for, one);
    return one->has_it;
}

static void expect_heard(struct viewer *one, const char *wanted)
{
    one->wanted = wanted;
    wait_until_true(has_wanted, one);
}

static void end(struct viewer *one)
{
    if (!one->client->has_ended)
        on_worker(one->client->runner, leave, one->client);
    client_destroy(one->client);
    free(one);
}

/* ---- compositions -------------------------------------------------------------------------------- */

static struct part_spec two[] = {{.name = TEXT("state"), .target = TEXT("/state")},
                                 {.name = TEXT("fixed"), .target = TEXT("/scripted-{id}")}};
static const struct composition_spec of_two = {.path = TEXT("/both/{id}"),
                                               .parts = two,
                                               .part_count = 2,
                                               .timeout_ms = 60000000,
                                               .body_bytes_max = 4096,
                                               .policy = {.live = 1,
                                                          .live_interval_ms = 10000,
                                                          .live_bytes_max = 4096,
                                                          .live_ring_count = 4,
                                                          .live_ring_bytes = 100000,
                                                          .live_watchers_max = 100,
                                                          .live_topics_max = 3}};

/* ---- tests --------------------------------------------------------------------------------------- */

TEST(a_composed_answer_is_watched_as_others_are_and_each_part_polled)
{
    struct hub *hub = hub_create(&of_two, "{\"a\":1}");
    struct viewer *one, *two_patched;

    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "\"a text that is longer\"");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    two_patched = begin(hub, "/_live-patch/both/x", "");
    expect_heard(one, "data: {\"state\":{\"a\":1},\"fixed\":\"a text that is longer\"}\n\n");
    expect_heard(two_patched, "data: {\"state\":{\"a\":1},\"fixed\":\"a text that is longer\"}\n\n");
    EXPECT_EQ(one->client->status, 200);
    EXPECT(head_has(one->client, "Content-Type: text/event-stream\r\n"));
    EXPECT_EQ(hub->world->stub.request_count, 2);
    stub_set_state(&hub->world->stub, "{\"a\":2}");
    pass(hub, 12000);
    expect_heard(one, "data: {\"state\":{\"a\":2},\"fixed\":\"a text that is longer\"}\n\n");
    expect_heard(two_patched, "event: patch\n");
    expect_heard(two_patched, "data: {\"state\":{\"a\":2}}\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 4);
    end(one);
    end(two_patched);
    hub_destroy(hub);
}

/* It may be seconds old, and is fresh: what another part is asked again for does not concern it. */
TEST(a_part_that_others_fetch_is_told_at_once_without_asking_for_the_others)
{
    struct composition_spec composition = of_two;
    struct hub *hub;
    struct viewer *one;

    composition.policy.live_interval_ms = 0;
    hub = hub_create(&composition, "1");
    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/_live/both/x", "");
    expect_heard(one, "data: {\"state\":1,\"fixed\":0}\n\n");
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 60000);
    EXPECT_EQ(hub->world->stub.request_count, 2);
    expect_answer(hub->world, "GET", "/state", "", 200, "2", NULL);
    expect_heard(one, "data: {\"state\":2,\"fixed\":0}\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 3);
    end(one);
    hub_destroy(hub);
}

TEST(a_part_that_fails_is_null_to_those_who_watch_until_it_is_back)
{
    struct hub *hub = hub_create(&of_two, "");
    struct viewer *one;

    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    expect_heard(one, "data: {\"state\":null,\"fixed\":0,\"errors\":[{\"part\":\"state\",\"status\":404,"
                      "\"title\":\"Not Found\"}]}\n\n");
    stub_set_state(&hub->world->stub, "1");
    pass(hub, 12000);
    expect_heard(one, "data: {\"state\":1,\"fixed\":0}\n\n");
    end(one);
    hub_destroy(hub);
}

TEST(without_a_part_that_is_required_there_is_nothing_to_watch)
{
    struct composition_spec composition = of_two;
    struct hub *hub;
    struct viewer *one;

    composition.on_failure = TEXT("fail");
    hub = hub_create(&composition, "");
    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, 404);
    end(one);
    hub_destroy(hub);
}

TEST(who_watches_keeps_what_it_has_while_a_part_that_is_required_is_gone)
{
    struct composition_spec composition = of_two;
    struct hub *hub;
    struct viewer *one;

    composition.on_failure = TEXT("fail");
    hub = hub_create(&composition, "1");
    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    expect_heard(one, "data: {\"state\":1,\"fixed\":0}\n\n");
    stub_set_state(&hub->world->stub, "");
    pass(hub, 12000);
    expect_heard(one, "event: problem\n");
    expect_heard(one, "\"status\":404");
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 12000);
    expect_heard(one, "data: {\"state\":2,\"fixed\":0}\n\n");
    one->wanted = "null";
    EXPECT(!has_wanted(one));
    end(one);
    hub_destroy(hub);
}

TEST(what_is_one_client_s_in_part_is_not_watched)
{
    struct hub *hub = hub_create(&of_two, "1");
    struct viewer *one;

    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: private, max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, 403);
    end(one);
    hub_destroy(hub);
}

TEST(who_cannot_take_a_stream_waits_for_another_answer)
{
    struct hub *hub = hub_create(&of_two, "1");
    struct viewer *one;
    char fields[256], tag[64];

    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "");
    wait_until_true(has_ended, one->client);
    header_value(one->client->head.data, "ETag: ", tag, sizeof tag);
    snprintf(fields, sizeof fields, "Prefer: wait=60\nIf-None-Match: %s", tag);
    end(one);
    one = begin(hub, "/both/x", fields);
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 12000);
    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, 200);
    EXPECT_TEXT(buffer_bytes(&one->client->body), BYTES("{\"state\":2,\"fixed\":0}\n"));
    EXPECT(head_has(one->client, "Preference-Applied: wait\r\n"));
    end(one);
    hub_destroy(hub);
}

/* Whoever comes and goes, and however polls are spread. */
TEST(it_is_asked_for_no_more_often_than_the_origin_of_a_part_permits)
{
    struct hub *hub = hub_create(&of_two, "0");
    struct viewer *one;
    char text[64];

    hub->world->stub.scripted =
        ORIGIN_SAYS("Cache-Control: max-age=1\r\nETag: \"0\"\r\nX-Poll-Interval: 60\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    expect_heard(one, "data: {\"state\":0,\"fixed\":0}\n\n");
    pass(hub, 40000);
    end(one);
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    expect_heard(one, "data: {\"state\":0,\"fixed\":0}\n\n");
    for (int polls = 1; polls < 8; polls++) {
        snprintf(text, sizeof text, "%d", polls);
        stub_set_state(&hub->world->stub, text);
        pass(hub, polls == 1 ? 19000 : 59000);
        EXPECT_EQ(hub->world->stub.request_count, 2 * polls);
        pass(hub, 8000);
        snprintf(text, sizeof text, "data: {\"state\":%d,\"fixed\":0}\n\n", polls);
        expect_heard(one, text);
        EXPECT_EQ(hub->world->stub.request_count, 2 * polls + 2);
    }
    end(one);
    hub_destroy(hub);
}

struct follow {
    struct hub *hub;
    struct live_follower *follower;
    struct buffer heard;
    bool may, has_it;
};

static void hear(void *owner, struct bytes message)
{
    buffer_append(&((struct follow *)owner)->heard, message);
}

static void begin_follow(void *argument)
{
    struct follow *one = argument;

    one->may = live_may_follow(one->hub->live_worker, BYTES("/both/x"));
    one->follower = live_follow(one->hub->live_worker, BYTES("/both/x"), hear, one);
}

static void end_follow(void *argument) { live_unfollow(((struct follow *)argument)->follower); }

static void look_at_heard(void *argument)
{
    static const char wanted[] = "\"data\":{\"state\":2,\"fixed\":0}";
    struct follow *one = argument;

    one->has_it =
        one->heard.size > 0 && memmem(one->heard.data, one->heard.size, wanted, sizeof wanted - 1) != NULL;
}

static bool has_heard_of_it(void *argument)
{
    struct follow *one = argument;

    on_worker(&one->hub->world->runners[0], look_at_heard, one);
    return one->has_it;
}

TEST(it_is_followed_from_inside_the_process_as_well)
{
    struct hub *hub = hub_create(&of_two, "1");
    struct follow one = {.hub = hub};

    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    on_worker(&hub->world->runners[0], begin_follow, &one);
    EXPECT(one.may && one.follower != NULL);
    wait_for_requests(hub->world, 2);
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 12000);
    wait_until_true(has_heard_of_it, &one);
    on_worker(&hub->world->runners[0], end_follow, &one);
    buffer_fini(&one.heard);
    hub_destroy(hub);
}

TEST(a_new_plan_s_parts_are_those_that_are_watched)
{
    struct part_spec other = {.name = TEXT("other"), .target = TEXT("/state")};
    struct composition_spec composition = of_two, later = of_two;
    struct hub *hub;
    struct viewer *one;

    composition.part_count = 1;
    composition.parts = &two[1];
    composition.policy.live_interval_ms = later.policy.live_interval_ms = 20000;
    later.part_count = 1;
    later.parts = &other;
    hub = hub_create(&composition, "1");
    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    expect_heard(one, "data: {\"fixed\":0}\n\n");
    follow(hub, &later);
    pass(hub, 23000);
    expect_heard(one, "data: {\"other\":1}\n\n");
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 2000);
    expect_answer(hub->world, "GET", "/state", "", 200, "2", NULL);
    expect_heard(one, "data: {\"other\":2}\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 3);
    end(one);
    hub_destroy(hub);
}

TEST(fields_that_are_passed_on_make_other_resources_but_for_what_is_about_the_stream)
{
    struct part_spec part = {.name = TEXT("greeting"), .target = TEXT("/vary")};
    struct composition_spec composition = of_two;
    char *passed[] = {TEXT("Accept-Language"), TEXT("Accept"), TEXT("Cache-Control"), TEXT("X-Request-Id")};
    struct hub *hub;
    struct viewer *one, *other, *again;

    composition.parts = &part;
    composition.part_count = 1;
    composition.passed = passed;
    composition.passed_count = 4;
    composition.policy.live_topics_max = 2;
    hub = hub_create(&composition, "1");
    one = begin(hub, "/both/x", "Accept: text/event-stream\nX-Request-Id: a\nAccept-Language: 1");
    expect_heard(one, "data: {\"greeting\":11}\n\n");
    other = begin(hub, "/both/x", "Accept: text/event-stream\nAccept-Language: 2");
    expect_heard(other, "data: {\"greeting\":22}\n\n");
    again =
        begin(hub, "/both/x",
              "Accept: text/event-stream\nCache-Control: no-cache\nX-Request-Id: b\nAccept-Language: 1");
    expect_heard(again, "data: {\"greeting\":11}\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 2);
    end(again);
    end(one);
    end(other);
    hub_destroy(hub);
}

TEST(where_nothing_may_be_watched_the_answer_is_an_ordinary_one)
{
    struct composition_spec composition = of_two;
    struct hub *hub;
    struct viewer *one;

    composition.policy.live = 0;
    hub = hub_create(&composition, "1");
    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    wait_until_true(has_ended, one->client);
    EXPECT_TEXT(buffer_bytes(&one->client->body), BYTES("{\"state\":1,\"fixed\":0}\n"));
    EXPECT(head_has(one->client, "Content-Type: application/json\r\n"));
    end(one);
    hub_destroy(hub);
}

TEST(who_stops_while_parts_are_asked_for_leaves_nothing_behind)
{
    struct hub *hub = hub_create(&of_two, "1");
    struct viewer *one;

    hub->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=600\r\n", "0");
    stub_set(&hub->world->stub, true, false);
    one = begin(hub, "/both/x", "Accept: text/event-stream");
    wait_for_requests(hub->world, 2);
    on_worker(&hub->world->runners[0], stop_worker, hub);
    wait_until_true(has_ended, one->client);
    stub_set(&hub->world->stub, false, false);
    end(one);
    hub_destroy(hub);
}

RUN_TESTS(TEST_ROW(a_composed_answer_is_watched_as_others_are_and_each_part_polled),
          TEST_ROW(a_part_that_others_fetch_is_told_at_once_without_asking_for_the_others),
          TEST_ROW(a_part_that_fails_is_null_to_those_who_watch_until_it_is_back),
          TEST_ROW(without_a_part_that_is_required_there_is_nothing_to_watch),
          TEST_ROW(who_watches_keeps_what_it_has_while_a_part_that_is_required_is_gone),
          TEST_ROW(what_is_one_client_s_in_part_is_not_watched),
          TEST_ROW(who_cannot_take_a_stream_waits_for_another_answer),
          TEST_ROW(it_is_asked_for_no_more_often_than_the_origin_of_a_part_permits),
          TEST_ROW(it_is_followed_from_inside_the_process_as_well),
          TEST_ROW(a_new_plan_s_parts_are_those_that_are_watched),
          TEST_ROW(fields_that_are_passed_on_make_other_resources_but_for_what_is_about_the_stream),
          TEST_ROW(where_nothing_may_be_watched_the_answer_is_an_ordinary_one),
          TEST_ROW(who_stops_while_parts_are_asked_for_leaves_nothing_behind))
