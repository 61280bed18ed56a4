/* links: nuthatch-live nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message
 * nuthatch-base */
/* What those are told who watch a resource. */
#include "engine/gateway/gateway_state.h"
#include "engine/gateway/purge.h"
#include "live_world.h"

/* ---- streams ------------------------------------------------------------------------------------- */

TEST(a_stream_has_the_state_at_once_and_then_each_change)
{
    struct hub *hub = hub_create("{\"a\":1}");
    struct watch_client *one = watch(hub, 0, "");

    expect_heard(one, "\ndata: {\"a\":1}\n\n");
    EXPECT_EQ(one->client->status, 200);
    EXPECT(head_has(one->client, "Content-Type: text/event-stream\r\n"));
    EXPECT(head_has(one->client, "Cache-Control: no-store\r\n"));
    expect_heard(one, "retry: ");
    stub_set_state(&hub->world->stub, "{\"a\":\n 2}");
    pass(hub, 12000);
    expect_heard(one, "data: {\"a\": 2}\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 2);
    leave_watch(one);
    hub_destroy(hub);
}

static bool has_asked(void *argument)
{
    struct count_wanted *wanted = argument;
    return *wanted->count >= wanted->wanted;
}

TEST(what_says_the_same_in_other_bytes_is_no_change)
{
    struct hub *hub = hub_create("{\"a\":1,\"b\":2}");
    struct watch_client *one = watch(hub, 0, "");
    struct count_wanted asked = {&hub->world->stub.request_count, 2};

    expect_heard(one, "data: ");
    forget(one);
    stub_set_state(&hub->world->stub, "{ \"b\": 2, \"a\": 1 }");
    pass(hub, 12000);
    wait_until_true(has_asked, &asked);
    stub_set_state(&hub->world->stub, "{\"a\":3}");
    pass(hub, 12000);
    expect_heard(one, "{\"a\":3}");
    expect_not_heard(one, "\"b\"");
    leave_watch(one);
    hub_destroy(hub);
}

TEST(however_many_watch_the_origin_is_asked_once)
{
    enum { COUNT = 60 };
    struct hub *hub = hub_create("1");
    struct watch_client *all[COUNT];

    for (size_t i = 0; i < COUNT; i++)
        all[i] = watch(hub, i % WORKERS, "");
    for (size_t i = 0; i < COUNT; i++)
        expect_heard(all[i], "data: 1\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 1);
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 12000);
    for (size_t i = 0; i < COUNT; i++)
        expect_heard(all[i], "data: 2\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 2);
    EXPECT_EQ(counted(hub, METRIC_live_watchers), COUNT);
    for (size_t i = 0; i < COUNT; i++)
        leave_watch(all[i]);
    EXPECT_EQ(counted(hub, METRIC_live_watchers_gone), COUNT);
    hub_destroy(hub);
}

TEST(what_other_clients_fetch_is_told_without_a_poll)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = watch(hub, 1, "");

    expect_heard(one, "data: 1\n\n");
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 2000);
    expect_answer(hub->world, "GET", "/state", "", 200, "2", NULL);
    expect_heard(one, "data: 2\n\n");
    EXPECT_EQ(hub->world->stub.request_count, 2);
    leave_watch(one);
    hub_destroy(hub);
}

static void purge_all(void *argument)
{
    struct runner *runner = argument;

    EXPECT_EQ(gateway_purge(runner->worker, loop_now(runner->loop).mono_ms,
                            &(struct purge_order){.kind = PURGE_ALL}),
              OK);
}

TEST(what_is_purged_is_asked_for_again)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = watch(hub, 1, "");

    expect_heard(one, "data: 1\n\n");
    stub_set_state(&hub->world->stub, "2");
    on_worker(&hub->world->runners[0], purge_all, &hub->world->runners[0]);
    expect_heard(one, "data: 2\n\n");
    leave_watch(one);
    hub_destroy(hub);
}

static void change(struct hub *hub, struct watch_client *one, const char *state)
{
    char wanted[300];

    stub_set_state(&hub->world->stub, state);
    pass(hub, 12000);
    snprintf(wanted, sizeof wanted, "data: %s\n\n", state);
    expect_heard(one, wanted);
}

TEST(who_comes_back_gets_what_it_lacks_or_all_if_that_is_gone)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = watch(hub, 0, ""), *two;
    char *first, *third;

    first = come_back_with(one, "data: 1\n\n");
    change(hub, one, "2");
    change(hub, one, "3");
    third = come_back_with(one, "data: 3\n\n");
    change(hub, one, "4");
    two = watch(hub, 1, first);
    expect_heard(two, "data: 4\n\n");
    expect_heard(two, "data: 2\n\n");
    expect_not_heard(two, "data: 1\n\n");
    leave_watch(two);
    two = watch(hub, 1, third);
    expect_heard(two, "data: 4\n\n");
    expect_not_heard(two, "data: 3\n\n");
    leave_watch(two);
    EXPECT_EQ(counted(hub, METRIC_live_resumed), 2);
    change(hub, one, "5");
    change(hub, one, "6");
    two = watch(hub, 1, first); /* the ring has four */
    expect_heard(two, "data: 6\n\n");
    expect_not_heard(two, "data: 5\n\n");
    leave_watch(two);
    two = watch(hub, 1, "Last-Event-ID: 0123456789abcdef-1"); /* of another life */
    expect_heard(two, "data: 6\n\n");
    expect_not_heard(two, "data: 5\n\n");
    leave_watch(two);
    leave_watch(one);
    free(first);
    free(third);
    hub_destroy(hub);
}

TEST(who_wants_patches_gets_what_has_changed)
{
    struct hub *hub = hub_create("{\"name\":\"a long enough name for a patch\",\"count\":1,\"old\":true}");
    struct watch_client *one =
        ask_live(hub, 0, "/state", "Accept: text/event-stream;patch=merge", SIZE_MAX);
    struct watch_client *two = ask_live(hub, 1, "/_live-patch/state", "", SIZE_MAX), *plain;

    expect_heard(one, "data: {\"name\"");
    expect_heard(two, "data: {\"name\"");
    plain = ask_live(hub, 1, "/_live/state", "", SIZE_MAX);
    expect_heard(plain, "data: {\"name\"");
    stub_set_state(&hub->world->stub, "{\"name\":\"a long enough name for a patch\",\"count\":2}");
    pass(hub, 12000);
    expect_heard(one, "event: patch\n");
    expect_heard(one, "\"count\":2");
    expect_heard(one, "\"old\":null");
    expect_heard(two, "event: patch\n");
    expect_heard(plain, "data: {\"name\":\"a long enough name for a patch\",\"count\":2}\n\n");
    expect_not_heard(plain, "event: patch");
    /* No patch can set a member to null: all of it. */
    stub_set_state(&hub->world->stub, "{\"name\":\"a long enough name for a patch\",\"count\":null}");
    pass(hub, 12000);
    expect_heard(one, "data: {\"name\":\"a long enough name for a patch\",\"count\":null}\n\n");
    leave_watch(one);
    leave_watch(two);
    leave_watch(plain);
    hub_destroy(hub);
}

static void give_much_room(void *argument)
{
    struct watch_client *one = argument;

    one->client->room_bytes = SIZE_MAX;
    one->client->x.engine->writable(&one->client->x);
}

TEST(who_is_too_slow_gets_the_newest_state_and_holds_nobody_up)
{
    struct hub *hub = hub_create("1");
    struct watch_client *slow = ask_live(hub, 0, "/state", "Accept: text/event-stream", 60),
                        *one = watch(hub, 0, "");

    expect_heard(slow, "data: 1\n\n");
    change(hub, one, "2");
    change(hub, one, "3");
    change(hub, one, "4");
    expect_not_heard(slow, "data: 4\n\n");
    on_worker(slow->client->runner, give_much_room, slow);
    expect_heard(slow, "data: 4\n\n");
    expect_not_heard(slow, "data: 3\n\n");
    EXPECT_EQ(counted(hub, METRIC_live_coalesced), 1);
    leave_watch(slow);
    leave_watch(one);
    hub_destroy(hub);
}

TEST(who_takes_nothing_for_long_is_cut)
{
    struct hub *hub = hub_create("1");
    struct watch_client *slow = ask_live(hub, 0, "/state", "Accept: text/event-stream", 60),
                        *one = watch(hub, 0, "");

    expect_heard(slow, "data: 1\n\n");
    change(hub, one, "2");
    change(hub, one, "3");
    for (int i = 0; i < 60 && !slow->client->was_aborted; i++)
        pass(hub, 3000);
    EXPECT(slow->client->was_aborted);
    EXPECT_EQ(counted(hub, METRIC_live_dropped), 1);
    leave_watch(slow);
    leave_watch(one);
    hub_destroy(hub);
}

TEST(a_silent_stream_gets_a_comment_now_and_then)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = watch(hub, 0, "");

    expect_heard(one, "data: 1\n\n");
    for (int i = 0; i < 30; i++)
        pass(hub, 1100);
    expect_heard(one, ":\n\n");
    leave_watch(one);
    hub_destroy(hub);
}

/* ---- the topic ----------------------------------------------------------------------------------- */

TEST(nobody_watching_the_origin_is_left_alone)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = watch(hub, 0, "");
    char *back;
    int count;

    back = come_back_with(one, "data: 1\n\n");
    leave_watch(one);
    pass(hub, 1);
    count = hub->world->stub.request_count;
    for (int i = 0; i < 4; i++)
        pass(hub, 12000);
    EXPECT_EQ(hub->world->stub.request_count, count);
    stub_set_state(&hub->world->stub, "2");
    one = watch(hub, 1, back); /* it is remembered for a minute, and asked for before anything is said */
    expect_heard(one, "data: 2\n\n");
    expect_not_heard(one, "data: 1\n\n");
    EXPECT_EQ(counted(hub, METRIC_live_resumed), 1);
    leave_watch(one);
    pass(hub, 1);
    for (int i = 0; i < 10; i++)
        pass(hub, 12000);
    one = watch(hub, 1, back); /* and then no more */
    expect_heard(one, "data: 2\n\n");
    EXPECT_EQ(counted(hub, METRIC_live_resumed), 1);
    leave_watch(one);
    free(back);
    hub_destroy(hub);
}

TEST(no_more_is_watched_at_a_time_than_may_be)
{
    struct hub *hub = hub_create("1");
    const char *paths[] = {"/state", "/fresh", "/brief"};
    struct watch_client *all[3], *more;

    for (size_t i = 0; i < 3; i++)
        all[i] = ask_live(hub, 0, paths[i], "Accept: text/event-stream", SIZE_MAX);
    for (size_t i = 0; i < 3; i++)
        expect_heard(all[i], "data: ");
    more = ask_live(hub, 1, "/count", "Accept: text/event-stream", SIZE_MAX);
    wait_until_true(has_ended, more->client);
    EXPECT_EQ(more->client->status, 503);
    leave_watch(more);
    for (size_t i = 0; i < 3; i++)
        leave_watch(all[i]);
    hub_destroy(hub);
}

/* ---- what cannot be watched ---------------------------------------------------------------------- */

static void expect_refused(struct hub *hub, const char *path, const char *fields, int status,
                           const char *why)
{
    struct watch_client *one = ask_live(hub, 0, path, fields, SIZE_MAX);

    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, status);
    expect_heard(one, why);
    leave_watch(one);
}

TEST(what_is_not_for_all_is_not_watched_and_it_is_said_why)
{
    struct hub *hub = hub_create("1");

    expect_refused(hub, "/private", "Accept: text/event-stream", 403, "one client's alone");
    expect_refused(hub, "/state", "Accept: text/event-stream\nAuthorization: me", 403, "Authorization");
    expect_refused(hub, "/nothing", "Accept: text/event-stream", 404, "no such resource");
    expect_refused(hub, "/large", "Accept: text/event-stream", 403, "live-max");
    expect_refused(hub, "/state", "Accept: text/html", 200, "1");
    hub_destroy(hub);
}

/* All is as before, but requests with that cookie go by a route of their own. */
static void follow_cookie(struct hub *hub, const char *pattern)
{
    struct route_policy policy = hub->world->gateway->plan->otherwise.policy;
    struct field_spec field = {.name = (char[]){"Cookie"}, .value = strdup(pattern)};

    world_follow_plan(
        hub->world, 0,
        (struct plan_spec){
            .routes = &(struct route_spec){.match = {.fields = &field, .field_count = 1}, .policy = policy},
            .route_count = 1,
            .policy = policy});
    free(field.value);
}

TEST(who_has_a_cookie_that_chooses_the_route_does_not_watch_another_route)
{
    struct hub *hub = hub_create("1");

    follow_cookie(hub, "team=red");
    expect_refused(hub, "/state", "Accept: text/event-stream\nCookie: team=red", 403, "one client's alone");
    leave_watch(watch(hub, 0, "Cookie: team=blue"));
    hub_destroy(hub);
}

TEST(an_origin_that_fails_is_told_of_and_so_is_its_return)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one;

    stub_set(&hub->world->stub, false, true);
    one = watch(hub, 0, "");
    expect_heard(one, "event: problem\ndata: {");
    EXPECT_EQ(one->client->status, 200);
    stub_set(&hub->world->stub, false, false);
    for (int i = 0; i < 3; i++)
        pass(hub, 12000);
    expect_heard(one, "data: 1\n\n");
    forget(one);
    stub_set_state(&hub->world->stub, ""); /* it is gone */
    pass(hub, 12000);
    expect_heard(one, "\"status\":404");
    stub_set_state(&hub->world->stub, "1");
    pass(hub, 12000);
    expect_heard(one, "data: 1\n\n"); /* as it was, but back */
    leave_watch(one);
    hub_destroy(hub);
}

/* Of all routes; before the first request. */
static struct route_policy *policy_of(struct hub *hub)
{
    return &hub->world->gateway->plan->otherwise.policy;
}

TEST(who_comes_while_there_is_a_problem_gets_the_state_however_short_the_ring_is)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one, *two;

    policy_of(hub)->live_ring_count = 1;
    one = watch(hub, 0, "");
    expect_heard(one, "data: 1\n\n");
    stub_set_state(&hub->world->stub, "");
    pass(hub, 12000);
    expect_heard(one, "\"status\":404"); /* which is all that the ring has */
    two = watch(hub, 1, "");
    expect_heard(two, "\"status\":404");
    expect_heard(two, "data: 1\n\n");
    leave_watch(one);
    leave_watch(two);
    hub_destroy(hub);
}

TEST(an_origin_that_fails_is_asked_no_sooner_than_one_that_does_not)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one;
    int count;

    policy_of(hub)->live_interval_ms = 100000;
    one = watch(hub, 0, "");
    expect_heard(one, "data: 1\n\n");
    stub_set(&hub->world->stub, false, true);
    count = hub->world->stub.request_count;
    pass(hub, 111000);
    wait_for_requests(hub->world, count + 1);
    for (int i = 0; i < 20; i++) /* by when what it said is known */
        pass(hub, 100);
    count = hub->world->stub.request_count;
    for (int i = 0; i < 80; i++)
        pass(hub, 1000);
    EXPECT_EQ(hub->world->stub.request_count, count);
    pass(hub, 31000);
    wait_for_requests(hub->world, count + 1);
    leave_watch(one);
    hub_destroy(hub);
}

TEST(streams_end_when_the_server_stops)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one = watch(hub, 0, ""), *two = watch(hub, 1, "");

    expect_heard(one, "data: 1\n\n");
    expect_heard(two, "data: 1\n\n");
    hub_stop(hub);
    EXPECT(one->client->has_ended && !one->client->was_aborted);
    EXPECT(two->client->has_ended && !two->client->was_aborted);
    leave_watch(one);
    leave_watch(two);
    hub_destroy(hub);
}

/* ---- long polling -------------------------------------------------------------------------------- */

TEST(who_prefers_to_wait_is_answered_once_there_is_another_answer)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one =
        ask_live(hub, 1, "/state", "Prefer: wait=100\nIf-None-Match: \"1\"", SIZE_MAX);

    pass(hub, 5000);
    EXPECT(!one->client->has_ended);
    stub_set_state(&hub->world->stub, "2");
    for (int i = 0; i < 2; i++)
        pass(hub, 12000);
    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, 200);
    EXPECT_TEXT(buffer_bytes(text_of(one)), BYTES("2"));
    EXPECT(head_has(one->client, "Preference-Applied: wait\r\n"));
    leave_watch(one);
    one = ask_live(hub, 0, "/state", "Prefer: wait=100\nIf-None-Match: \"1\"",
                   SIZE_MAX); /* it lacks the present one */
    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, 200);
    leave_watch(one);
    hub_destroy(hub);
}

TEST(who_has_waited_in_vain_hears_that_it_has_the_answer)
{
    struct hub *hub = hub_create("1");
    struct watch_client *one =
        ask_live(hub, 1, "/state", "Prefer: respond-async, wait=4\nIf-None-Match: \"1\"", SIZE_MAX);

    for (int i = 0; i < 5; i++)
        pass(hub, 1100);
    wait_until_true(has_ended, one->client);
    EXPECT_EQ(one->client->status, 304);
    leave_watch(one);
    hub_destroy(hub);
}

RUN_TESTS(TEST_ROW(a_stream_has_the_state_at_once_and_then_each_change),
          TEST_ROW(what_says_the_same_in_other_bytes_is_no_change),
          TEST_ROW(however_many_watch_the_origin_is_asked_once),
          TEST_ROW(what_other_clients_fetch_is_told_without_a_poll),
          TEST_ROW(what_is_purged_is_asked_for_again),
          TEST_ROW(who_comes_back_gets_what_it_lacks_or_all_if_that_is_gone),
          TEST_ROW(who_wants_patches_gets_what_has_changed),
          TEST_ROW(who_is_too_slow_gets_the_newest_state_and_holds_nobody_up),
          TEST_ROW(who_takes_nothing_for_long_is_cut),
          TEST_ROW(a_silent_stream_gets_a_comment_now_and_then),
          TEST_ROW(nobody_watching_the_origin_is_left_alone),
          TEST_ROW(no_more_is_watched_at_a_time_than_may_be),
          TEST_ROW(what_is_not_for_all_is_not_watched_and_it_is_said_why),
          TEST_ROW(who_has_a_cookie_that_chooses_the_route_does_not_watch_another_route),
          TEST_ROW(an_origin_that_fails_is_told_of_and_so_is_its_return),
          TEST_ROW(who_comes_while_there_is_a_problem_gets_the_state_however_short_the_ring_is),
          TEST_ROW(an_origin_that_fails_is_asked_no_sooner_than_one_that_does_not),
          TEST_ROW(streams_end_when_the_server_stops),
          TEST_ROW(who_prefers_to_wait_is_answered_once_there_is_another_answer),
          TEST_ROW(who_has_waited_in_vain_hears_that_it_has_the_answer))
