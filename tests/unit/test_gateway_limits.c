/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* The gateway in front of an API that bears only so much: who is sent on, who waits, who gets something
 * stale, who is refused, and that the API is left alone. */
#include "engine/gateway/upstream_report.h"
#include "gateway_world.h"

enum { HOUR_MS = 3600000 };

/* A world whose upstream has these limits; origins that it has besides the stub come before that. */
static struct world *world_create_limited(struct upstream_policy policy)
{
    struct world *world = world_create();
    struct route_plan *plan;
    char urls[128];

    snprintf(urls, sizeof urls, "%shttp://127.0.0.1:%d/",
             policy.origin_urls != NULL ? policy.origin_urls : "", world->stub.port);
    policy.origin_urls = urls;
    policy.connect_timeout_ms = 5000;
    policy.origin_connections_max = 64;
    policy.tunnels_max = 64;
    EXPECT_EQ(gateway_plan(world->gateway,
                           &(struct plan_spec){.upstreams = &(struct upstream_spec){.policy = policy},
                                               .upstream_count = 1,
                                               .policy = {.object_bytes_max = OBJECT_BYTES_MAX,
                                                          .first_byte_timeout_ms = 60000000,
                                                          .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                                          .stale_if_unreachable_ms = HOUR_MS,
                                                          .upgrade = 1}},
                           &plan),
              OK);
    gateway_follow(world->gateway, plan);
    for (size_t i = 0; i < WORKERS; i++) /* what was told them before this has been done */
        on_worker(&world->runners[i], do_nothing, NULL);
    return world;
}

static uint64_t counted(struct world *world, enum metric metric)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < WORKERS; i++)
        sum += counters_read(&world->runners[i].counters, metric);
    return sum;
}

/* Who sleeps is told. */
static void pass_hours(struct world *world, int64_t hours)
{
    world->forward_ms += hours * HOUR_MS;
    for (size_t i = 0; i < WORKERS; i++)
        on_worker(&world->runners[i], do_nothing, NULL);
}

/* ---- limits of the operator's -------------------------------------------------------------------- */

TEST(what_is_beyond_a_limit_is_refused_with_an_honest_word)
{
    struct world *world =
        world_create_limited((struct upstream_policy){.rate_limits = (char[]){"2/h"}, .rate_burst = 2});

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    expect_answer(world, "GET", "/private", "", 200, "2", NULL);
    /* The limit of 2 in an hour and 2 at once leaves one an hour, and a second for what is late. */
    expect_answer(world, "GET", "/fresh", "", 503, NULL, "Retry-After: 3601\r\n");
    expect_answer(world, "GET", "/fresh", "", 503, NULL, "Cache-Status: nuthatch; detail=limited\r\n");
    expect_answer(world, "POST", "/count", "", 503, NULL, "Retry-After: 3601\r\n");
    expect_answer(world, "GET", "/count", "", 200, "1", "; hit");
    EXPECT_EQ(world->stub.request_count, 2);
    EXPECT_EQ(counted(world, METRIC_gateway_limited), 3);
    expect_answer(world, "GET", "/count", "Authorization: Bearer mine\n", 200, "3",
                  NULL); /* its own limit */
    world->forward_ms += HOUR_MS + 1000;
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", NULL);
    world_destroy(world);
}

TEST(beyond_a_limit_what_is_stale_will_do)
{
    struct world *world = world_create_limited(
        (struct upstream_policy){.rate_limits = (char[]){"1/h"}, .rate_burst = 1, .rate_wait_ms = 60000});

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    world->forward_ms += 5000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "; fwd=stale; ttl=-4; detail=limited\r\n");
    EXPECT_EQ(counted(world, METRIC_gateway_limit_waits), 0); /* who has that does not wait */
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

static bool is_waiting(void *argument)
{
    struct world *world = argument;
    return counted(world, METRIC_gateway_limit_waits) > 0;
}

TEST(a_client_waits_for_its_turn_if_that_is_soon)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *client;

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    client = client_create(world, 1, "GET", "/private", "");
    client_start(client);
    wait_until_true(is_waiting, world);
    EXPECT_EQ(world->stub.request_count, 1);
    pass_hours(world, 13);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 200);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("2"));
    client_destroy(client);
    world_destroy(world);
}

TEST(clients_that_ask_for_one_thing_wait_for_one_turn)
{
    enum { COUNT = 20 };
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *clients[COUNT];

    expect_answer(world, "GET", "/private", "", 200, "1", NULL);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/count", "");
        client_start(clients[i]);
    }
    pass_hours(world, 13);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("2"));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(whoever_leaves_while_it_waits_is_not_sent_on)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *client;

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    client = client_create(world, 0, "POST", "/count", "");
    client_start(client);
    wait_until_true(is_waiting, world);
    on_worker(client->runner, leave, client);
    client_destroy(client);
    world->forward_ms += 13 * HOUR_MS;
    expect_answer(world, "GET", "/private", "", 200, "2", NULL);
    world_destroy(world);
}

TEST(a_worker_may_end_while_somebody_waits)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *client;

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    client = client_create(world, 0, "GET", "/private", "");
    client_start(client);
    wait_until_true(is_waiting, world);
    on_worker(client->runner, leave, client);
    client_destroy(client);
    world_destroy(world);
}

TEST(who_waits_has_its_turn_although_the_upstream_is_in_no_plan_any_more)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *client;

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    client = client_create(world, 0, "GET", "/private", "");
    client_start(client);
    wait_until_true(is_waiting, world);
    world_follow(world, &(struct route_policy){.object_bytes_max = OBJECT_BYTES_MAX});
    pass_hours(world, 13);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 200);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("2"));
    client_destroy(client);
    world_destroy(world);
}

/* What could not be sent to one origin goes to another by the turn that it has: nothing has come to the
 * upstream. */
TEST(an_origin_that_refuses_connections_takes_nothing_off_the_limit)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .origin_urls = (char[]){"http://127.0.0.1:1 weight=2\n"}, /* which refuses */
        .retries_max = 1,
        .failures_max = 1,
        .out_ms = HOUR_MS,
        .rate_limits = (char[]){"10/d"},
        .rate_burst = 10});

    for (int i = 0; i < 10; i++)
        expect_answer(world, "POST", "/count", "", 201, NULL, NULL);
    EXPECT_EQ(world->stub.request_count, 10);
    EXPECT(counted(world, METRIC_gateway_retries) > 0);
    expect_answer(world, "POST", "/count", "", 503, NULL, "detail=limited");
    world_destroy(world);
}

/* ---- tunnels ------------------------------------------------------------------------------------- */

#define WEBSOCKET "Connection: Upgrade\nUpgrade: websocket\n"

static void answer_tunnels(struct world *world)
{
    world->stub.scripted =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
}

TEST(a_tunnel_waits_for_its_turn_as_any_request_does)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *client = client_create(world, 1, "GET", "/scripted", WEBSOCKET);

    answer_tunnels(world);
    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    client_start(client);
    wait_until_true(is_waiting, world);
    EXPECT_EQ(world->stub.request_count, 1);
    EXPECT(!client->has_head);
    pass_hours(world, 13);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 101);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("hello"));
    client_destroy(client);
    world_destroy(world);
}

TEST(a_tunnel_whose_turn_is_too_far_away_is_refused_with_an_honest_word)
{
    struct world *world = world_create_limited(
        (struct upstream_policy){.rate_limits = (char[]){"1/h"}, .rate_burst = 1, .rate_wait_ms = 1000});

    answer_tunnels(world);
    expect_answer(world, "GET", "/scripted", WEBSOCKET, 101, "hello", NULL);
    expect_answer(world, "GET", "/scripted", WEBSOCKET, 503, NULL, "Retry-After: 3601\r\n");
    expect_answer(world, "GET", "/scripted", WEBSOCKET, 503, NULL, "; detail=limited\r\n");
    EXPECT_EQ(counted(world, METRIC_gateway_limited), 2);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

/* One is woken because another has left, and leaves itself, too. */
TEST(tunnels_may_be_left_while_they_wait)
{
    struct world *world = world_create_limited(
        (struct upstream_policy){.concurrency_least = 1, .concurrency_most = 1, .rate_wait_ms = HOUR_MS});
    struct client *first = client_create(world, 0, "GET", "/private", ""),
                  *second = client_create(world, 1, "GET", "/scripted", WEBSOCKET),
                  *third = client_create(world, 1, "GET", "/scripted", WEBSOCKET);

    answer_tunnels(world);
    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    client_start(third);
    on_worker(second->runner, leave, second);
    on_worker(first->runner, leave, first);
    on_worker(third->runner, leave, third);
    stub_set(&world->stub, false, false);
    expect_answer(world, "GET", "/scripted", WEBSOCKET, 101, "hello", NULL);
    client_destroy(first);
    client_destroy(second);
    client_destroy(third);
    world_destroy(world);
}

TEST(a_tunnel_that_waits_has_its_turn_although_the_upstream_is_in_no_plan_any_more)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .rate_limits = (char[]){"2/d"}, .rate_burst = 1, .rate_wait_ms = 24 * HOUR_MS});
    struct client *client = client_create(world, 0, "GET", "/scripted", WEBSOCKET);

    answer_tunnels(world);
    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    client_start(client);
    wait_until_true(is_waiting, world);
    world_follow(world, &(struct route_policy){.object_bytes_max = OBJECT_BYTES_MAX});
    pass_hours(world, 13);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 101);
    client_destroy(client);
    world_destroy(world);
}

/* ---- shares -------------------------------------------------------------------------------------- */

TEST(what_nobody_waits_for_leaves_some_to_others)
{
    struct world *world =
        world_create_limited((struct upstream_policy){.rate_limits = (char[]){"10/d"}, .rate_burst = 10});

    expect_answer(world, "GET", "/swr", "", 200, "1", NULL);
    for (int i = 2; i <= 8; i++)
        expect_answer(world, "GET", "/private", "", 200, NULL, NULL);
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/swr", "", 200, "1", "detail=stale-while-revalidate");
    EXPECT_EQ(counted(world, METRIC_gateway_limited), 1); /* of two that are left one could have gone */
    expect_answer(world, "GET", "/private", "", 200, "9", NULL);
    expect_answer(world, "GET", "/private", "", 200, "10", NULL);
    expect_answer(world, "GET", "/private", "", 503, NULL, NULL);
    world_destroy(world);
}

TEST(so_many_are_under_way_at_once_of_all_workers)
{
    struct world *world =
        world_create_limited((struct upstream_policy){.concurrency_most = 1, .rate_wait_ms = HOUR_MS});
    struct client *first = client_create(world, 0, "GET", "/count", ""),
                  *second = client_create(world, 1, "GET", "/private", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    wait_until_true(is_waiting, world);
    sleep_ms(20);
    EXPECT_EQ(world->stub.request_count, 1);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, first);
    wait_until_true(has_ended, second); /* woken, as its time is long */
    EXPECT_EQ(second->status, 200);
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

TEST(what_is_not_modified_takes_nothing_where_that_is_free)
{
    struct world *world = world_create_limited(
        (struct upstream_policy){.rate_limits = (char[]){"2/d"}, .rate_burst = 2, .has_free_304 = 1});

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    for (int i = 0; i < 5; i++) {
        world->forward_ms += 20000;
        expect_answer(world, "GET", "/brief", "", 200, "old", "fwd-status=304");
    }
    expect_answer(world, "GET", "/private", "", 200, "7", NULL);
    world->forward_ms += 20000; /* it might have changed, and then it would count */
    expect_answer(world, "GET", "/brief", "", 200, "old", "detail=limited");
    EXPECT_EQ(world->stub.request_count, 7);
    world_destroy(world);
}

/* ---- validators of several credentials ----------------------------------------------------------- */

static void ask_stale(struct world *world, const char *path, const char *token, const char *in_head)
{
    char fields[64];

    snprintf(fields, sizeof fields, "Authorization: %s\n", token);
    world->forward_ms += 5000;
    expect_answer(world, "GET", path, fields, 200, "same", in_head);
}

TEST(each_credential_asks_by_the_validators_that_it_was_given)
{
    struct world *world = world_create_limited((struct upstream_policy){0});

    ask_stale(world, "/tag-of-token", "a", "fwd=uri-miss");
    ask_stale(world, "/tag-of-token", "b", "fwd-status=200");
    EXPECT_EQ(world->stub.conditional_count, 0); /* those of another's would have been no use */
    for (int i = 0; i < 3; i++) {
        ask_stale(world, "/tag-of-token", "a", "fwd-status=304");
        ask_stale(world, "/tag-of-token", "b", "fwd-status=304");
    }
    ask_stale(world, "/tag-of-token", "c", "fwd-status=200");
    ask_stale(world, "/tag-of-token", "a", "fwd-status=304");
    EXPECT_EQ(counted(world, METRIC_gateway_revalidations), 7);
    EXPECT_EQ(counted(world, METRIC_gateway_not_modified), 7);
    world_destroy(world);
}

TEST(where_two_credentials_were_given_the_same_validators_they_will_do_for_all)
{
    struct world *world = world_create_limited((struct upstream_policy){0});

    ask_stale(world, "/tag-of-all", "a", "fwd=uri-miss");
    ask_stale(world, "/tag-of-all", "b", "fwd-status=200");
    ask_stale(world, "/tag-of-all", "c", "fwd-status=304");
    ask_stale(world, "/tag-of-all", "d", "fwd-status=304");
    ask_stale(world, "/tag-of-all", "a", "fwd-status=304");
    EXPECT_EQ(world->stub.conditional_count, 3);
    world_destroy(world);
}

/* ---- what the upstream says ---------------------------------------------------------------------- */

#define CLOSE "Connection: close\r\nContent-Length: 0\r\n\r\n"

TEST(an_upstream_that_says_to_come_later_is_not_asked_before)
{
    struct world *world = world_create_limited((struct upstream_policy){.learns_rates = 1});

    world->stub.scripted = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 429, "", "fwd=uri-miss; fwd-status=429");
    expect_answer(world, "GET", "/count", "", 429, NULL, "Retry-After: 30\r\n");
    expect_answer(world, "GET", "/count", "", 429, NULL, "Cache-Status: nuthatch; detail=limited\r\n");
    world->forward_ms += 20500;
    expect_answer(world, "GET", "/count", "", 429, NULL, "Retry-After: ");
    EXPECT_EQ(world->stub.request_count, 1);
    EXPECT_EQ(counted(world, METRIC_gateway_told_limited), 1);
    world->forward_ms += 10000;
    expect_answer(world, "GET", "/count", "", 200, "2", NULL);
    world_destroy(world);
}

TEST(who_is_told_to_come_later_gives_what_is_stale)
{
    struct world *world = world_create_limited((struct upstream_policy){.learns_rates = 1});

    world->stub.scripted =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nX-RateLimit-Remaining: 1\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "", "X-RateLimit-Remaining: 1\r\n");
    world->forward_ms += 5000;
    world->stub.scripted = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "",
                  "fwd=stale; fwd-status=429; ttl=-4; detail=limited");
    expect_answer(world, "GET", "/scripted", "", 200, "", "fwd=stale; ttl=-4; detail=limited");
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

/* GitHub's way of saying it. */
TEST(a_403_that_is_a_refusal_does_not_take_what_is_stored)
{
    struct world *world = world_create_limited((struct upstream_policy){.learns_rates = 1});

    world->stub.scripted = "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "", NULL);
    world->forward_ms += 5000;
    world->stub.scripted = "HTTP/1.1 403 Forbidden\r\nX-RateLimit-Limit: 60\r\n"
                           "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 50\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "",
                  "fwd=stale; fwd-status=403; ttl=-4; detail=limited");
    expect_answer(world, "GET", "/scripted", "", 200, "", "fwd=stale; ttl=-4; detail=limited");
    world_destroy(world);
}

TEST(what_an_answer_said_of_limits_is_told_to_who_asked_alone)
{
    struct world *world = world_create_limited((struct upstream_policy){.learns_rates = 1});
    struct client *client;

    world->stub.scripted = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX-RateLimit-Remaining: 42\r\n"
                           "RateLimit: \"a\";r=42\r\nX-Other: stays\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "", "X-RateLimit-Remaining: 42\r\n");
    client = ask(world, "GET", "/scripted", "");
    EXPECT(head_has(client, "; hit"));
    EXPECT(head_has(client, "X-Other: stays\r\n"));
    EXPECT(!head_has(client, "RateLimit"));
    client_destroy(client);
    world_destroy(world);
}

TEST(the_last_request_that_an_upstream_grants_is_the_last)
{
    struct world *world = world_create_limited((struct upstream_policy){.learns_rates = 1});

    world->stub.scripted = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nX-RateLimit-Limit: 60\r\n"
                           "X-RateLimit-Remaining: 1\r\nX-RateLimit-Reset: 50\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "", NULL);
    world->stub.scripted = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nX-RateLimit-Limit: 60\r\n"
                           "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 50\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "", NULL);
    expect_answer(world, "GET", "/scripted", "", 429, NULL, "Retry-After: 51\r\n");
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

/* ---- hedges -------------------------------------------------------------------------------------- */

/* Enough requests that one in a hundred may be sent twice. */
static struct world *world_create_hedging(struct upstream_policy policy, const char *path)
{
    struct world *world;
    enum { BEFORE = 50 };

    policy.hedge_after = (char[]){"50ms"};
    policy.hedge_percent = 2;
    world = world_create_limited(policy);
    for (int i = 0; i < BEFORE; i++)
        client_destroy(ask(world, "GET", path, ""));
    EXPECT_EQ(world->stub.request_count, BEFORE);
    return world;
}

static void take_under_way(void *context, const struct upstream_report *report)
{
    *(int64_t *)context = report->facts.under_way;
}

TEST(a_request_that_takes_long_is_sent_twice_and_the_first_answer_counts)
{
    struct world *world = world_create_hedging(
        (struct upstream_policy){.learns_rates = 1, .concurrency_most = 100}, "/private");
    int64_t under_way = 0;
    struct client *client = client_create(world, 0, "GET", "/private", "");

    world->stub.free_number = 52;
    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 51);
    world->forward_ms += 1000;
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("52"));
    EXPECT_EQ(counted(world, METRIC_gateway_hedges), 1);
    EXPECT_EQ(counted(world, METRIC_gateway_hedges_won), 1);
    client_destroy(client);
    world->stub.free_number = 0;
    client = client_create(world, 0, "GET", "/private", ""); /* the budget is used up */
    client_start(client);
    wait_for_requests(world, 53);
    world->forward_ms += 1000;
    on_worker(&world->runners[0], do_nothing, NULL);
    sleep_ms(50);
    EXPECT_EQ(world->stub.request_count, 53);
    upstreams_report(world->gateway, 0, take_under_way, &under_way);
    EXPECT_EQ(under_way, 1); /* nor does it take up the room of two */
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("53"));
    client_destroy(client);
    world_destroy(world);
}

static bool is_one_left(void *argument)
{
    struct world *world = argument;
    on_worker(&world->runners[0], do_nothing, NULL);
    return world->stub.live_count == 1;
}

TEST(the_first_of_two_may_be_quicker_after_all)
{
    struct world *world = world_create_hedging((struct upstream_policy){.learns_rates = 1}, "/private");
    struct client *client = client_create(world, 0, "GET", "/private", "");

    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 51);
    world->forward_ms += 1000;
    wait_for_requests(world, 52);
    world->stub.free_number = 51;
    stub_set(&world->stub, true, false); /* which wakes it */
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("51"));
    EXPECT_EQ(counted(world, METRIC_gateway_hedges), 1);
    EXPECT_EQ(counted(world, METRIC_gateway_hedges_won), 0);
    stub_set(&world->stub, false, false);
    client_destroy(client);
    world_destroy(world);
}

TEST(who_answers_when_the_first_has_failed_was_not_quicker)
{
    struct world *world = world_create_hedging((struct upstream_policy){0}, "/private");
    struct client *client = client_create(world, 0, "GET", "/scripted", "");

    world->stub.scripted = ""; /* the connection ends */
    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 51);
    world->forward_ms += 1000;
    wait_for_requests(world, 52);
    world->stub.free_number = 51;
    stub_set(&world->stub, true, false); /* which wakes it */
    wait_until_true(is_one_left, world);
    world->stub.scripted = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n" CLOSE;
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 200);
    EXPECT_EQ(counted(world, METRIC_gateway_hedges), 1);
    EXPECT_EQ(counted(world, METRIC_gateway_hedges_won), 0);
    client_destroy(client);
    world_destroy(world);
}

TEST(who_leaves_leaves_both_attempts)
{
    struct world *world = world_create_hedging((struct upstream_policy){0}, "/private");
    struct client *client = client_create(world, 0, "GET", "/stream", "");

    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 51);
    world->forward_ms += 1000;
    wait_for_requests(world, 52);
    on_worker(client->runner, leave, client);
    client_destroy(client);
    stub_set(&world->stub, false, false);
    expect_answer(world, "GET", "/private", "", 200, "53", NULL);
    world_destroy(world);
}

/* Asks once the origin is slow, and expects that nothing is sent twice. */
static void expect_no_hedge(struct world *world)
{
    struct client *client = client_create(world, 0, "GET", "/private", "");
    int sent = world->stub.request_count + 1;

    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, sent);
    world->forward_ms += 1000;
    on_worker(&world->runners[0], do_nothing, NULL);
    sleep_ms(50);
    EXPECT_EQ(world->stub.request_count, sent);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, client);
    client_destroy(client);
    EXPECT_EQ(counted(world, METRIC_gateway_hedges), 0);
    world_destroy(world);
}

TEST(nothing_is_sent_twice_where_a_limit_is_known)
{
    struct world *world;

    expect_no_hedge(
        world_create_hedging((struct upstream_policy){.rate_limits = (char[]){"1000/s"}}, "/private"));
    world = world_create_hedging((struct upstream_policy){.learns_rates = 1}, "/private");
    world->stub.scripted =
        "HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 5000\r\nX-RateLimit-Remaining: 4000\r\n" CLOSE;
    expect_answer(world, "GET", "/scripted", "", 200, "", NULL);
    expect_no_hedge(world);
    expect_no_hedge(world_create_hedging((struct upstream_policy){.concurrency_most = 1}, "/private"));
}

/* ---- the breaker --------------------------------------------------------------------------------- */

TEST(an_upstream_that_fails_is_left_alone_until_a_request_succeeds)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .breaker_failures_max = 3, .breaker_percent_max = 100, .breaker_ms = 60000});

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    world->stub.scripted = "HTTP/1.1 502 Bad Gateway\r\n" CLOSE;
    for (int i = 0; i < 3; i++)
        expect_answer(world, "GET", "/scripted", "", 502, "", NULL);
    expect_answer(world, "GET", "/count", "", 503, NULL, "Retry-After: 60\r\n");
    expect_answer(world, "GET", "/count", "", 503, NULL, "Cache-Status: nuthatch; detail=open\r\n");
    world->forward_ms += 5000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "fwd=stale; ttl=-4; detail=open");
    EXPECT_EQ(world->stub.request_count, 4);
    EXPECT_EQ(counted(world, METRIC_gateway_breakers_opened), 1);
    world->forward_ms += 56000;
    expect_answer(world, "GET", "/scripted", "", 502, "", NULL); /* the one that is tried */
    expect_answer(world, "GET", "/count", "", 503, NULL, NULL);
    world->forward_ms += 60000; /* the longest */
    expect_answer(world, "GET", "/count", "", 200, "6", NULL);
    expect_answer(world, "GET", "/private", "", 200, "7", NULL);
    world_destroy(world);
}

TEST(an_upstream_that_cannot_be_reached_fails_too)
{
    struct world *world = world_create_limited((struct upstream_policy){
        .breaker_failures_max = 2, .breaker_percent_max = 100, .breaker_ms = 60000});

    stub_stop(&world->stub);
    expect_answer(world, "GET", "/count", "", 502, NULL, NULL);
    expect_answer(world, "GET", "/fresh", "", 502, NULL, NULL);
    expect_answer(world, "GET", "/private", "", 503, NULL, "detail=open");
    world_destroy(world);
}

RUN_TESTS(TEST_ROW(what_is_beyond_a_limit_is_refused_with_an_honest_word),
          TEST_ROW(beyond_a_limit_what_is_stale_will_do),
          TEST_ROW(a_client_waits_for_its_turn_if_that_is_soon),
          TEST_ROW(clients_that_ask_for_one_thing_wait_for_one_turn),
          TEST_ROW(whoever_leaves_while_it_waits_is_not_sent_on),
          TEST_ROW(a_worker_may_end_while_somebody_waits),
          TEST_ROW(who_waits_has_its_turn_although_the_upstream_is_in_no_plan_any_more),
          TEST_ROW(an_origin_that_refuses_connections_takes_nothing_off_the_limit),
          TEST_ROW(a_tunnel_waits_for_its_turn_as_any_request_does),
          TEST_ROW(a_tunnel_whose_turn_is_too_far_away_is_refused_with_an_honest_word),
          TEST_ROW(tunnels_may_be_left_while_they_wait),
          TEST_ROW(a_tunnel_that_waits_has_its_turn_although_the_upstream_is_in_no_plan_any_more),
          TEST_ROW(what_nobody_waits_for_leaves_some_to_others),
          TEST_ROW(so_many_are_under_way_at_once_of_all_workers),
          TEST_ROW(what_is_not_modified_takes_nothing_where_that_is_free),
          TEST_ROW(each_credential_asks_by_the_validators_that_it_was_given),
          TEST_ROW(where_two_credentials_were_given_the_same_validators_they_will_do_for_all),
          TEST_ROW(an_upstream_that_says_to_come_later_is_not_asked_before),
          TEST_ROW(who_is_told_to_come_later_gives_what_is_stale),
          TEST_ROW(a_403_that_is_a_refusal_does_not_take_what_is_stored),
          TEST_ROW(what_an_answer_said_of_limits_is_told_to_who_asked_alone),
          TEST_ROW(the_last_request_that_an_upstream_grants_is_the_last),
          TEST_ROW(a_request_that_takes_long_is_sent_twice_and_the_first_answer_counts),
          TEST_ROW(the_first_of_two_may_be_quicker_after_all),
          TEST_ROW(who_answers_when_the_first_has_failed_was_not_quicker),
          TEST_ROW(who_leaves_leaves_both_attempts), TEST_ROW(nothing_is_sent_twice_where_a_limit_is_known),
          TEST_ROW(an_upstream_that_fails_is_left_alone_until_a_request_succeeds),
          TEST_ROW(an_upstream_that_cannot_be_reached_fails_too))
