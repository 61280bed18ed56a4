/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What one client after another is answered, and what is stored of it. */
#include "gateway_world.h"

TEST(what_is_fresh_is_asked_for_once)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/fresh", "", 200, "fresh",
                  "Cache-Status: nuthatch; fwd=uri-miss; fwd-status=200");
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "Cache-Status: nuthatch; hit; ttl=60");
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "Age: 0\r\n");
    expect_answer(world, "HEAD", "/fresh", "", 200, "", "; hit");
    expect_answer(world, "GET", "/fresh", "If-None-Match: W/\"v1\"", 304, "", "; hit");
    EXPECT_EQ(world->stub.request_count, 1);
    world->forward_ms += 59000;
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "Age: 59\r\n");
    EXPECT_EQ(world->stub.request_count, 1);
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "fwd=stale");
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(we_add_ourselves_after_the_caches_before_us)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/cdn", "", 200, "ok", "cdn; hit\r\nDate");
    for (int i = 0; i < 2; i++) {
        struct client *client = ask(world, "GET", "/cdn", "");
        EXPECT(strstr(client->head.data, "Cache-Status: cdn") <
               strstr(client->head.data, "Cache-Status: nuthatch; hit"));
        client_destroy(client);
    }
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

TEST(credentials_are_never_shared_without_permission)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/count", "Authorization: one", 200, "1", NULL);
    expect_answer(world, "GET", "/count", "Authorization: two", 200, "2", NULL);
    expect_answer(world, "GET", "/count", "Cookie: a=b", 200, "3", NULL);
    expect_answer(world, "GET", "/count", "", 200, "4", NULL);
    expect_answer(world, "GET", "/count", "", 200, "4", "; hit");
    expect_answer(world, "GET", "/count", "Authorization: one", 200, "5", NULL);
    world_destroy(world);
}

TEST(a_cookie_reaches_only_the_client_it_was_set_for)
{
    struct world *world = world_create();
    struct client *client;

    expect_answer(world, "GET", "/cookie", "", 200, "ok", "Set-Cookie: who=you\r\n");
    client = ask(world, "GET", "/cookie", "");
    EXPECT(head_has(client, "; hit") && !head_has(client, "who=you"));
    client_destroy(client);
    client = ask(world, "GET", "/cookie", "If-None-Match: \"c\"");
    EXPECT(client->status == 304 && !head_has(client, "who=you"));
    client_destroy(client);
    world_destroy(world);
}

TEST(a_write_forgets_all_variants)
{
    static const char *const methods[] = {"POST", "PURGE"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct world *world = world_create();
        expect_answer(world, "GET", "/vary", "Accept-Language: de", 200, "de1", NULL);
        expect_answer(world, "GET", "/vary", "Accept-Language: fr", 200, "fr2", NULL);
        expect_answer(world, "GET", "/count", "", 200, "3", NULL);
        expect_answer(world, methods[i], "/vary", "", 201, "0", "fwd=method");
        expect_answer(world, "GET", "/vary", "Accept-Language: de", 200, "de5", NULL);
        expect_answer(world, "GET", "/vary", "Accept-Language: fr", 200, "fr6", NULL);
        expect_answer(world, "GET", "/count", "", 200, "3", "; hit"); /* another URL, named in Location */
        world_destroy(world);
    }
}

TEST(a_write_that_failed_forgets_nothing)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    stub_set(&world->stub, false, true);
    expect_answer(world, "POST", "/count", "", 500, "broken", NULL);
    expect_answer(world, "GET", "/count", "", 200, "1", "; hit");
    world_destroy(world);
}

TEST(what_was_asked_for_before_a_write_is_not_stored_after_it)
{
    struct world *world = world_create();
    struct client *early = client_create(world, 0, "GET", "/count", ""), *late;

    stub_set(&world->stub, true, false);
    client_start(early);
    wait_for_requests(world, 1);
    expect_answer(world, "POST", "/count", "", 201, "0", NULL);
    /* Who comes after the write does not wait for what was asked before it. */
    late = client_create(world, 1, "GET", "/count", "");
    client_start(late);
    wait_for_requests(world, 3);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, early);
    wait_until_true(has_ended, late);
    EXPECT_TEXT(buffer_bytes(&late->body), BYTES("3"));
    client_destroy(early);
    client_destroy(late);
    expect_answer(world, "GET", "/count", "", 200, "3", "; hit");
    world_destroy(world);
}

TEST(a_request_s_body_reaches_the_origin)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "POST", "/count", "");

    client->upload = BYTES("a body");
    client->request.body_bytes = 6;
    client_start(client);
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("6"));
    client_destroy(client);
    world_destroy(world);
}

TEST(a_304_freshens_the_entry_once_for_all_who_wait)
{
    enum { COUNT = 50 };
    struct world *world = world_create();
    struct client *clients[COUNT];

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    world->forward_ms += 3000;
    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/brief", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 2);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_EQ(clients[i]->status, 200);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("old"));
        EXPECT(head_has(clients[i], "fwd-status=304") && head_has(clients[i], "X-New: yes") &&
               head_has(clients[i], "X-Old: yes") && head_has(clients[i], "max-age=10"));
        client_destroy(clients[i]);
    }
    expect_answer(world, "GET", "/brief", "", 200, "old", "; hit");
    EXPECT_EQ(world->stub.request_count, 2);
    EXPECT_EQ(world->stub.conditional_count, 1);
    world_destroy(world);
}

TEST(a_client_that_insists_has_its_answer_validated)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    expect_answer(world, "GET", "/brief", "Cache-Control: no-cache", 200, "old",
                  "fwd=request; fwd-status=304");
    expect_answer(world, "GET", "/brief", "Cache-Control: no-store", 200, "old",
                  "fwd=request; fwd-status=200");
    expect_answer(world, "GET", "/brief", "If-Match: \"v1\"", 200, "old", "fwd=bypass");
    world_destroy(world);
}

TEST(only_if_cached_never_reaches_the_origin)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/fresh", "Cache-Control: only-if-cached", 504, NULL,
                  "detail=only-if-cached");
    EXPECT_EQ(world->stub.request_count, 0);
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", NULL);
    expect_answer(world, "GET", "/fresh", "Cache-Control: only-if-cached", 200, "fresh", "; hit");
    world_destroy(world);
}

TEST(a_stale_answer_stands_in_for_an_origin_that_fails)
{
    struct world *world = world_create();

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    expect_answer(world, "GET", "/brief-strict", "", 200, "old", NULL);
    world->forward_ms += 5000;
    stub_set(&world->stub, false, true);
    expect_answer(world, "GET", "/brief", "", 200, "old", "fwd=stale; fwd-status=500; ttl=-4");
    expect_answer(world, "GET", "/brief-strict", "", 500, "broken", NULL);
    EXPECT_EQ(world->stub.request_count, 4);
    /* For a second it is not asked again. */
    expect_answer(world, "GET", "/brief", "", 200, "old", "detail=origin-failing");
    EXPECT_EQ(world->stub.request_count, 4);
    stub_stop(&world->stub);
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "Age: 7\r\n");
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "detail=origin-unreachable");
    expect_answer(world, "GET", "/brief", "Cache-Control: no-cache", 502, NULL, NULL);
    expect_answer(world, "GET", "/brief-strict", "", 502, NULL, "problem+json");
    expect_answer(world, "GET", "/never-seen", "", 502, NULL, "fwd=uri-miss");
    expect_answer(world, "GET", "/never-seen", "", 502, NULL, "detail=origin-failing");
    world->forward_ms += 60000; /* longer than stale_if_error_ms allows */
    expect_answer(world, "GET", "/brief", "", 502, NULL, NULL);
    EXPECT(counters_read(&world->runners[0].counters, METRIC_gateway_origin_errors) >= 4);
    world_destroy(world);
}

TEST(stale_is_not_served_on_error_unless_allowed)
{
    struct world *world = world_create_with(0, "");
    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    world->forward_ms += 5000;
    stub_set(&world->stub, false, true);
    expect_answer(world, "GET", "/brief", "", 500, "broken", NULL);
    world_destroy(world);
}

TEST(stale_is_served_while_it_is_revalidated)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/swr", "", 200, "1", NULL);
    world->forward_ms += 5000;
    expect_answer(world, "GET", "/swr", "", 200, "1", "ttl=-4; detail=stale-while-revalidate");
    wait_for_requests(world, 2);
    for (int tries = 0;; tries++) {
        struct client *client = ask(world, "GET", "/swr", "");
        bool is_new =
            bytes_equal(buffer_bytes(&client->body), BYTES("2")) && head_has(client, "; hit; ttl=1");
        client_destroy(client);
        if (is_new)
            break;
        EXPECT(tries < 1000);
        sleep_ms(1);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(a_body_cut_short_cuts_the_clients_and_is_not_stored)
{
    struct world *world = world_create();
    for (int i = 1; i <= 2; i++) {
        struct client *client = ask(world, "GET", "/cut", "");
        EXPECT(client->was_aborted);
        EXPECT_EQ(world->stub.request_count, i);
        client_destroy(client);
    }
    world_destroy(world);
}

TEST(a_body_too_large_to_store_is_passed_through)
{
    static const char *const paths[] = {"/large", "/large-unsaid"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct world *world = world_create();
        for (int j = 1; j <= 2; j++) {
            struct client *client = ask(world, "GET", paths[i], "");
            EXPECT(!client->was_aborted);
            EXPECT_EQ(client->received_bytes, 300000);
            EXPECT_EQ(world->stub.request_count, j);
            client_destroy(client);
        }
        world_destroy(world);
    }
}

TEST(an_origin_s_url_that_is_none_is_refused)
{
    static const char *const urls[] = {"",           "example.com",   "ftp://a",    "http://",
                                       "http:///",   "http://a?b",    "http://a#b", "http://u:p@a",
                                       "http://a b", "http://a/../b", "http://:80"};
    struct upstream *upstream;

    for (size_t i = 0; i < COUNT_OF(urls); i++)
        if (upstream_create(&(struct upstream_spec){.policy = {.origin_urls = (char *)(uintptr_t)urls[i]}},
                            NULL, &upstream) != ERR_SYNTAX)
            fail_msg("%s", urls[i]);
    EXPECT_EQ(
        upstream_create(&(struct upstream_spec){.policy = {.origin_urls = (char[]){"HTTPS://a:1/base/"}}},
                        NULL, &upstream),
        OK);
    upstream_release(upstream);
}

RUN_TESTS(TEST_ROW(what_is_fresh_is_asked_for_once), TEST_ROW(we_add_ourselves_after_the_caches_before_us),
          TEST_ROW(credentials_are_never_shared_without_permission),
          TEST_ROW(a_cookie_reaches_only_the_client_it_was_set_for), TEST_ROW(a_write_forgets_all_variants),
          TEST_ROW(a_write_that_failed_forgets_nothing),
          TEST_ROW(what_was_asked_for_before_a_write_is_not_stored_after_it),
          TEST_ROW(a_request_s_body_reaches_the_origin),
          TEST_ROW(a_304_freshens_the_entry_once_for_all_who_wait),
          TEST_ROW(a_client_that_insists_has_its_answer_validated),
          TEST_ROW(only_if_cached_never_reaches_the_origin),
          TEST_ROW(a_stale_answer_stands_in_for_an_origin_that_fails),
          TEST_ROW(stale_is_not_served_on_error_unless_allowed),
          TEST_ROW(stale_is_served_while_it_is_revalidated),
          TEST_ROW(a_body_cut_short_cuts_the_clients_and_is_not_stored),
          TEST_ROW(a_body_too_large_to_store_is_passed_through),
          TEST_ROW(an_origin_s_url_that_is_none_is_refused))
