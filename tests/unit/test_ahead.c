/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What the gateway fetches before it is asked: answers about to get stale, and next pages. */
#include "engine/gateway/purge.h"
#include "gateway_world.h"

static const struct route_policy plain = {.object_bytes_max = OBJECT_BYTES_MAX,
                                          .first_byte_timeout_ms = 60000000,
                                          .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                          .stale_if_unreachable_ms = 60000};

static struct world *world_ahead(int64_t beta_percent, int64_t page_count)
{
    struct world *world = world_create();
    struct route_policy policy = plain;

    policy.refreshes_ahead = beta_percent > 0;
    policy.refresh_ahead_beta_percent = beta_percent;
    policy.prefetch_next = page_count;
    world_follow(world, &policy);
    return world;
}

/* Until errands that have begun have asked, on whichever worker. */
static void settle(struct world *world)
{
    for (int round = 0; round < 4; round++)
        for (size_t i = 0; i < WORKERS; i++)
            on_worker(&world->runners[i], do_nothing, NULL);
}

static bool is_at_rest(void *argument)
{
    struct world *world = argument;
    settle(world);
    return world->stub.live_count == 0;
}

/* Has /fresh, which is fresh for a minute, fetched so that it takes five seconds. */
static void fetch_slowly(struct world *world)
{
    struct client *client = client_create(world, 0, "GET", "/fresh", "");

    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 1);
    world->forward_ms += 5000;
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, client);
    client_destroy(client);
}

static void ask_often_at(struct world *world, size_t worker)
{
    for (int i = 0; i < 60; i++) {
        struct client *client = client_create(world, worker, "GET", "/fresh", "");
        client_start(client);
        wait_until_true(has_ended, client);
        client_destroy(client);
    }
}

static uint64_t refreshes(const struct world *world)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < WORKERS; i++)
        sum += counters_read(&world->runners[i].counters, METRIC_gateway_refreshes_ahead);
    return sum;
}

static void ask_often(struct world *world, const char *fields)
{
    for (int i = 0; i < 60; i++)
        expect_answer(world, "GET", "/fresh", fields, 200, "fresh", NULL);
}

TEST(what_is_asked_for_is_fetched_anew_before_it_gets_stale)
{
    struct world *world = world_ahead(10000, 0);

    fetch_slowly(world);
    ask_often(world, "");
    settle(world);
    EXPECT_EQ(world->stub.request_count, 1); /* the first half of its life */
    world->forward_ms += 40000;
    stub_set(&world->stub, true, false);
    ask_often(world, ""); /* nobody waits for it */
    wait_for_requests(world, 2);
    ask_often(world, "");
    ask_often_at(world, 1);
    settle(world);
    EXPECT_EQ(world->stub.request_count, 2); /* one at a time, on all workers */
    stub_set(&world->stub, false, false);
    wait_until_true(is_at_rest, world);
    EXPECT_EQ(refreshes(world), 1);
    world->forward_ms += 30000; /* what came first would be stale by now */
    stub_set(&world->stub, true, false);
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "hit");
    world_destroy(world);
}

TEST(without_the_option_and_for_who_has_credentials_nothing_is_fetched_ahead)
{
    struct world *world = world_ahead(0, 0);

    fetch_slowly(world);
    world->forward_ms += 40000;
    ask_often(world, "");
    wait_until_true(is_at_rest, world);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
    world = world_ahead(10000, 0);
    fetch_slowly(world);
    world->forward_ms += 40000;
    ask_often(world, "Cookie: a=b");
    wait_until_true(is_at_rest, world);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

TEST(what_is_between_a_client_and_the_gateway_does_not_go_along)
{
    struct world *world = world_ahead(10000, 0);

    fetch_slowly(world);
    world->forward_ms += 40000;
    ask_often(world, "Connection: X-Named\nX-Named: yes");
    wait_for_requests(world, 2);
    wait_until_true(is_at_rest, world);
    EXPECT_EQ(world->stub.named_count, 0);
    world_destroy(world);
}

/* ---- pages --------------------------------------------------------------------------------------- */

/* Asks for a page, 0 for the first, and expects it of that list; nothing is under way when it returns. */
static void expect_page(struct world *world, int page, int list)
{
    char query[16], body[64];
    struct client *client = client_create(world, 0, "GET", "/pages", "");

    snprintf(query, sizeof query, "n=%d", page);
    snprintf(body, sizeof body, "page %d of list %d", page > 0 ? page : 1, list);
    client->request.has_query = page > 0;
    client->request.query = page > 0 ? bytes_of_text(query) : (struct bytes){0};
    client_start(client);
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), bytes_of_text(body));
    client_destroy(client);
    wait_until_true(is_at_rest, world);
}

TEST(pages_behind_the_first_are_there_before_they_are_asked_for)
{
    struct world *world = world_ahead(0, 2);

    expect_page(world, 0, 0);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    EXPECT_EQ(world->stub.request_count, 3);
    expect_page(world, 2, 0);
    expect_page(world, 3, 0);
    EXPECT_EQ(world->stub.request_count,
              3); /* from the store; and who gets it from there brings no others */
    world_destroy(world);
}

TEST(pages_stay_when_the_first_has_not_changed)
{
    struct world *world = world_ahead(0, 2);

    expect_page(world, 0, 0);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    world->forward_ms += 11000;
    expect_page(world, 0, 0);
    EXPECT_EQ(world->stub.request_count, 4);
    world_destroy(world);
}

TEST(a_change_of_the_first_page_takes_the_others)
{
    struct world *world = world_ahead(0, 2);

    expect_page(world, 0, 0);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    world->stub.list_version = 1;
    expect_page(world, 2, 0); /* it is fresh for itself */
    world->forward_ms += 11000;
    expect_page(world, 0, 1);
    wait_for_requests(world, 6);
    expect_page(world, 2, 1);
    expect_page(world, 3, 1);
    EXPECT_EQ(world->stub.request_count, 6);
    world_destroy(world);
}

TEST(a_first_page_that_is_kept_no_more_takes_the_others)
{
    struct world *world = world_ahead(0, 2);

    expect_page(world, 0, 0);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    world->stub.list_version = -1;
    world->forward_ms += 11000;
    expect_page(world, 0, -1);
    expect_page(world, 3, -1);
    world_destroy(world);
}

static void purge_first(void *argument)
{
    struct runner *runner = argument;

    EXPECT_EQ(gateway_purge(runner->worker, loop_now(runner->loop).mono_ms,
                            &(struct purge_order){.kind = PURGE_URL, .text = BYTES("/pages")}),
              OK);
}

TEST(a_purge_of_the_first_page_takes_the_others)
{
    struct world *world = world_ahead(0, 2);

    expect_page(world, 0, 0);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    world->stub.list_version = 1;
    on_worker(&world->runners[0], purge_first, &world->runners[0]);
    expect_page(world, 3, 1);
    world_destroy(world);
}

TEST(a_purge_takes_the_pages_behind_what_is_given_for_the_url)
{
    struct world *world = world_ahead(0, 2);
    struct client *client = client_create(world, 0, "GET", "/pages", "");

    client->request.has_query = true;
    client->request.query = BYTES("utm=1"); /* No-Vary-Search says that it makes no difference */
    client_start(client);
    wait_until_true(has_ended, client);
    client_destroy(client);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    world->stub.list_version = 1;
    on_worker(&world->runners[0], purge_first, &world->runners[0]);
    expect_page(world, 3, 1);
    world_destroy(world);
}

TEST(a_page_s_own_next_one_belongs_to_the_same_first_page)
{
    struct world *world = world_ahead(0, 2);

    expect_page(world, 0, 0);
    wait_for_requests(world, 3);
    wait_until_true(is_at_rest, world);
    world->forward_ms += 601000;
    expect_page(world, 2, 0); /* with the two behind it */
    wait_for_requests(world, 6);
    wait_until_true(is_at_rest, world);
    world->stub.list_version = 1;
    on_worker(&world->runners[0], purge_first, &world->runners[0]);
    expect_page(world, 4, 1);
    world_destroy(world);
}

TEST(a_client_who_has_the_first_page_brings_no_others_in_vain)
{
    struct world *world = world_ahead(0, 1);
    struct client *client = client_create(world, 0, "GET", "/slow-pages", "If-None-Match: \"v1\"");

    world->stub.halts = true;
    client_start(client);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 304);
    client_destroy(client);
    for (int round = 0; round < 50; round++) {
        settle(world);
        sleep_ms(1);
    }
    EXPECT_EQ(world->stub.request_count, 1); /* what came before the first page would go when that comes */
    world->stub.halts = false;
    wait_until_true(is_at_rest, world);
    world_destroy(world);
}

RUN_TESTS(TEST_ROW(what_is_asked_for_is_fetched_anew_before_it_gets_stale),
          TEST_ROW(without_the_option_and_for_who_has_credentials_nothing_is_fetched_ahead),
          TEST_ROW(what_is_between_a_client_and_the_gateway_does_not_go_along),
          TEST_ROW(pages_behind_the_first_are_there_before_they_are_asked_for),
          TEST_ROW(pages_stay_when_the_first_has_not_changed),
          TEST_ROW(a_change_of_the_first_page_takes_the_others),
          TEST_ROW(a_first_page_that_is_kept_no_more_takes_the_others),
          TEST_ROW(a_purge_of_the_first_page_takes_the_others),
          TEST_ROW(a_purge_takes_the_pages_behind_what_is_given_for_the_url),
          TEST_ROW(a_page_s_own_next_one_belongs_to_the_same_first_page),
          TEST_ROW(a_client_who_has_the_first_page_brings_no_others_in_vain))
