/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Many clients at once, on two workers: who waits for whom, who is slow, who leaves. */
#include "gateway_world.h"

enum { CROWD = 1000 };

TEST(a_thousand_clients_of_two_workers_cause_one_request)
{
    struct world *world = world_create();
    struct client *clients[CROWD];
    uint64_t collapsed = 0;

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < CROWD; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/count", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 1);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < CROWD; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_EQ(clients[i]->status, 200);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("1"));
        EXPECT(i == 0 || head_has(clients[i], "; collapsed"));
        client_destroy(clients[i]);
    }
    for (size_t i = 0; i < WORKERS; i++)
        collapsed += counters_read(&world->runners[i].counters, METRIC_gateway_collapsed);
    EXPECT_EQ(collapsed, CROWD - 1);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

/* An order for /fresh by one who found nothing, or what came at `found_ms`. */
struct late_order {
    struct runner *runner;
    int64_t found_ms; /* -1: nothing */
    enum err err;
};

static void place_order(void *argument)
{
    struct late_order *late = argument;
    struct http_request request = {
        .method = HTTP_METHOD_GET, .method_name = BYTES("GET"), .path = BYTES("/fresh")};
    const struct route *route = plan_route(late->runner->worker->plan, &request);
    struct cache_key key;
    bool joined;

    EXPECT(route_key(route, &request, &key));
    late->err = fetch_join_or_begin(late->runner->worker,
                                    &(struct fetch_order){.route = route,
                                                          .request = &request,
                                                          .key = &key,
                                                          .has_found = late->found_ms >= 0,
                                                          .found_received_mono_ms = late->found_ms,
                                                          .is_shared = true},
                                    NULL, &joined);
}

/* Between a look at the store and the one at the fetches under way, one of these may have ended. */
TEST(what_has_come_since_one_looked_is_not_asked_for_again)
{
    struct world *world = world_create();
    struct late_order late = {.runner = &world->runners[1], .found_ms = -1};

    expect_answer(world, "GET", "/fresh", "", 200, "fresh", NULL);
    on_worker(late.runner, place_order, &late);
    EXPECT_EQ(late.err, ERR_CHANGED);
    late.found_ms = 1; /* another one than there is */
    on_worker(late.runner, place_order, &late);
    EXPECT_EQ(late.err, ERR_CHANGED);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

static bool has_handed_over(void *argument)
{
    struct world *world = argument;
    uint64_t count = 0;
    for (size_t i = 0; i < WORKERS; i++)
        count += counters_read(&world->runners[i].counters, METRIC_gateway_handovers);
    return count >= 5;
}

TEST(who_waits_too_long_for_anothers_request_asks_anew_once_for_all)
{
    enum { COUNT = 6 };
    struct world *world = world_create();
    struct client *clients[COUNT];

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/count", "");
        client_start(clients[i]);
        wait_for_requests(world, 1);
    }
    world->forward_ms += COALESCE_TIMEOUT_MS - 100;
    sleep_ms(50);
    EXPECT_EQ(world->stub.request_count, 1);
    world->forward_ms += 200;
    wait_for_requests(world, 2);
    wait_until_true(has_handed_over, world);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), i == 0 ? BYTES("1") : BYTES("2"));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(who_has_asked_anew_waits_for_its_own_request)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *second = client_create(world, 1, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    world->forward_ms += COALESCE_TIMEOUT_MS + 10;
    wait_for_requests(world, 2); /* by the second: now it leads, and waits for as long as it takes */
    world->forward_ms += 10 * COALESCE_TIMEOUT_MS;
    sleep_ms(50);
    EXPECT_EQ(world->stub.request_count, 2);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, first);
    wait_until_true(has_ended, second);
    EXPECT_EQ(second->status, 200);
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

TEST(who_insists_joins_no_request_from_before_it_came)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *insists = client_create(world, 1, "GET", "/count", "Cache-Control: no-cache");
    struct client *later = client_create(world, 0, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    sleep_ms(20); /* a moment is a millisecond */
    client_start(insists);
    wait_for_requests(world, 2);
    sleep_ms(20);
    client_start(later); /* any answer will do for it */
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, first);
    wait_until_true(has_ended, insists);
    wait_until_true(has_ended, later);
    EXPECT_TEXT(buffer_bytes(&first->body), BYTES("1"));
    EXPECT_TEXT(buffer_bytes(&insists->body), BYTES("2"));
    EXPECT_EQ(world->stub.request_count, 2);
    client_destroy(first);
    client_destroy(insists);
    client_destroy(later);
    world_destroy(world);
}

static void start_crowd_that_insists(void *argument)
{
    struct client **clients = argument;
    for (size_t i = 0; i < 100; i++)
        begin_client(clients[i]);
}

TEST(those_who_insist_in_the_same_moment_share_one_request)
{
    struct world *world = world_create();
    struct client *clients[100];

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        clients[i] = client_create(world, 0, "GET", "/count", "Cache-Control: no-cache");
    on_worker(&world->runners[0], start_crowd_that_insists, clients);
    wait_for_requests(world, 2);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("2"));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(the_first_client_may_leave_and_the_others_are_served)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *second = client_create(world, 1, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    on_worker(first->runner, leave, first);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, second);
    EXPECT_TEXT(buffer_bytes(&second->body), BYTES("1"));
    EXPECT_EQ(world->stub.request_count, 1);
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

TEST(what_all_clients_left_is_stored_nevertheless)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 1);
    on_worker(client->runner, leave, client);
    client_destroy(client);
    stub_set(&world->stub, false, false);
    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

TEST(a_private_answer_is_given_to_nobody_else_and_all_go_at_once)
{
    enum { COUNT = 40 };
    struct world *world = world_create();
    struct client *clients[COUNT];
    bool was_given[COUNT + 1] = {false};

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/private", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 1);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        int number;
        wait_until_true(has_ended, clients[i]);
        buffer_append_byte(&clients[i]->body, '\0');
        number = atoi(clients[i]->body.data);
        EXPECT(number >= 1 && number <= COUNT && !was_given[number]);
        was_given[number] = true;
        client_destroy(clients[i]);
    }
    /* Those who come now do not even wait for each other. */
    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/private", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 2 * COUNT);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        client_destroy(clients[i]);
    }
    world_destroy(world);
}

TEST(variants_are_kept_apart_even_among_those_who_wait)
{
    static const char *const languages[] = {"Accept-Language: de", "Accept-Language: fr",
                                            "Accept-Language: de"};
    struct world *world = world_create();
    struct client *clients[COUNT_OF(languages)];

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT_OF(languages); i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/vary", languages[i]);
        client_start(clients[i]);
    }
    wait_for_requests(world, 1);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT_OF(languages); i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(bytes_first(buffer_bytes(&clients[i]->body), 2),
                    bytes_after(bytes_of_text(languages[i]), 17));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    expect_answer(world, "GET", "/vary", "Accept-Language: de", 200, "de1", "; hit");
    expect_answer(world, "GET", "/vary", "Accept-Language: it", 200, "it3", "fwd=vary-miss");
    world_destroy(world);
}

static void give_room(void *argument)
{
    struct client *client = argument;
    client->room_bytes = SIZE_MAX;
    client->x.engine->writable(&client->x);
}

TEST(a_slow_client_holds_the_origin_back)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "GET", "/stream", "");
    size_t before;

    client->room_bytes = 1000;
    client_start(client);
    wait_until_true(has_head, client);
    do { /* until the sockets' own buffers are full, too */
        before = world->stub.streamed_bytes;
        sleep_ms(200);
    } while (world->stub.streamed_bytes != before);
    EXPECT(before < STREAM_BYTES / 2);
    EXPECT_EQ(client->received_bytes, 1000);
    on_worker(client->runner, give_room, client);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->received_bytes, STREAM_BYTES);
    client_destroy(client);
    world_destroy(world);
}

TEST(a_client_too_slow_for_the_others_is_cut)
{
    struct world *world = world_create();
    struct client *slow = client_create(world, 0, "GET", "/stream-for-all", "");
    struct client *fast[2];

    slow->room_bytes = 1000;
    stub_set(&world->stub, true, false);
    client_start(slow);
    for (size_t i = 0; i < COUNT_OF(fast); i++) {
        fast[i] = client_create(world, i, "GET", "/stream-for-all", "");
        client_start(fast[i]);
    }
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT_OF(fast); i++) {
        wait_until_true(has_ended, fast[i]);
        EXPECT(!fast[i]->was_aborted);
        EXPECT_EQ(fast[i]->received_bytes, STREAM_BYTES);
        client_destroy(fast[i]);
    }
    wait_until_true(has_ended, slow);
    EXPECT(slow->was_aborted);
    EXPECT_EQ(slow->received_bytes, 1000);
    EXPECT_EQ(world->stub.request_count, 1);
    EXPECT_EQ(counters_read(&world->runners[0].counters, METRIC_gateway_stragglers), 1);
    client_destroy(slow);
    world_destroy(world);
}

static bool has_closed_early(void *argument) { return ((struct stub *)argument)->closed_early_count > 0; }

TEST(what_nobody_wants_and_nobody_may_store_is_given_up)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "GET", "/stream", "");

    client->room_bytes = 1000;
    client_start(client);
    wait_until_true(has_head, client);
    on_worker(client->runner, leave, client);
    wait_until_true(has_closed_early, &world->stub);
    client_destroy(client);
    world_destroy(world);
}

TEST(the_end_of_a_worker_leaves_the_clients_of_others_served)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *second = client_create(world, 1, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    on_worker(first->runner, leave, first);
    end_worker(&world->runners[0]); /* while its fetch is under way */
    wait_for_requests(world, 2);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, second);
    EXPECT_EQ(second->status, 200);
    EXPECT_TEXT(buffer_bytes(&second->body), BYTES("2"));
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

static void leave_unless_over(void *argument)
{
    struct client *client = argument;
    if (!client->has_ended) {
        client->has_ended = true;
        client->x.engine->gone(&client->x);
    }
}

static void give_room_unless_over(void *argument)
{
    struct client *client = argument;
    if (!client->has_ended && client->room_bytes != SIZE_MAX)
        give_room(client);
}

enum { PRESENT = 40 };

/* One who reads slowly holds back all who read the same with him: when it takes long, all get room. */
static void wait_until_ended(struct client *client, struct client *const present[PRESENT])
{
    for (int waited_ms = 0; waited_ms < 100 && !has_ended(client); waited_ms++)
        sleep_ms(1);
    for (size_t i = 0; i < PRESENT && !has_ended(client); i++)
        if (present[i] != NULL)
            on_worker(present[i]->runner, give_room_unless_over, present[i]);
    wait_until_true(has_ended, client);
}

TEST(whoever_comes_and_goes_everybody_is_answered_and_all_comes_to_rest)
{
    enum { COUNT = 1500 };
    static const char *const paths[] = {"/fresh", "/count",  "/private", "/brief", "/brief-strict", "/cut",
                                        "/vary",  "/cookie", "/swr",     "/large", "/large-unsaid"};
    static const char *const fields[] = {"",
                                         "",
                                         "Accept-Language: de",
                                         "Authorization: a",
                                         "Cookie: a=b",
                                         "Cache-Control: no-cache",
                                         "If-None-Match: \"v1\"",
                                         "Range: bytes=0-1"};
    static const char *const methods[] = {"GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST"};
    struct world *world = world_create_with(60000, "\nhttp://127.0.0.1:1 weight=2"); /* which refuses */
    struct client *present[PRESENT] = {NULL};
    unsigned seed = 20261124;

    for (int i = 0; i < COUNT; i++) {
        struct client **slot = &present[(unsigned)rand_r(&seed) % PRESENT];
        unsigned chance = (unsigned)rand_r(&seed) % 100;

        if (chance < 3)
            stub_set(&world->stub, chance == 0, chance == 1);
        else if (chance < 8)
            world->forward_ms += 700;
        if (*slot != NULL) {
            if (chance < 40) {
                on_worker((*slot)->runner, leave_unless_over, *slot);
            } else {
                stub_set(&world->stub, false, chance == 41);
                on_worker((*slot)->runner, give_room_unless_over, *slot);
            }
            wait_until_ended(*slot, present);
            client_destroy(*slot);
        }
        *slot = client_create(world, (unsigned)rand_r(&seed) % WORKERS,
                              methods[(unsigned)rand_r(&seed) % COUNT_OF(methods)],
                              paths[(unsigned)rand_r(&seed) % COUNT_OF(paths)],
                              fields[(unsigned)rand_r(&seed) % COUNT_OF(fields)]);
        if (chance % 4 == 0)
            (*slot)->room_bytes = 3;
        client_start(*slot);
    }
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < PRESENT; i++) {
        if (present[i] == NULL)
            continue;
        on_worker(present[i]->runner, give_room_unless_over, present[i]);
        wait_until_ended(present[i], present);
        EXPECT(present[i]->status >= 200);
        client_destroy(present[i]);
        present[i] = NULL;
    }
    world_destroy(world);
}

RUN_TESTS(TEST_ROW(a_thousand_clients_of_two_workers_cause_one_request),
          TEST_ROW(what_has_come_since_one_looked_is_not_asked_for_again),
          TEST_ROW(who_waits_too_long_for_anothers_request_asks_anew_once_for_all),
          TEST_ROW(who_has_asked_anew_waits_for_its_own_request),
          TEST_ROW(who_insists_joins_no_request_from_before_it_came),
          TEST_ROW(those_who_insist_in_the_same_moment_share_one_request),
          TEST_ROW(the_first_client_may_leave_and_the_others_are_served),
          TEST_ROW(what_all_clients_left_is_stored_nevertheless),
          TEST_ROW(a_private_answer_is_given_to_nobody_else_and_all_go_at_once),
          TEST_ROW(variants_are_kept_apart_even_among_those_who_wait),
          TEST_ROW(a_slow_client_holds_the_origin_back), TEST_ROW(a_client_too_slow_for_the_others_is_cut),
          TEST_ROW(what_nobody_wants_and_nobody_may_store_is_given_up),
          TEST_ROW(the_end_of_a_worker_leaves_the_clients_of_others_served),
          TEST_ROW(whoever_comes_and_goes_everybody_is_answered_and_all_comes_to_rest))
