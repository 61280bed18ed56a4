/* links: nuthatch-compose nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message
 * nuthatch-base */
/* Answers that are composed of several of the gateway's. */
#include "compose_world.h"

TEST(parts_are_asked_for_at_once_and_stand_as_they_were_written)
{
    struct front *front = front_create(&of_two);
    struct stub *stub = &front->world->stub;
    struct client *client;

    stub->scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\nSet-Cookie: a=b\r\n",
                                 " {\"big\": 12345678901234567890123, \"one\":1.0}\n");
    stub_set(stub, true, false);
    client = call(front, "GET", "/both/x", "");
    wait_for_requests(front->world, 2); /* while neither is answered */
    EXPECT(!client->has_head);
    stub_set(stub, false, false);
    wait_until_true(has_ended, client);
    buffer_append_byte(&client->body, '\0');
    EXPECT_EQ(client->status, 200);
    EXPECT(strstr(client->body.data, ",\"a\":{\"big\": 12345678901234567890123, \"one\":1.0}}\n") != NULL);
    EXPECT(strncmp(client->body.data, "{\"b\":", 5) == 0 && strstr(client->body.data, "errors") == NULL);
    EXPECT(head_has(client, "Content-Type: application/json\r\n"));
    EXPECT(!head_has(client, "Set-Cookie"));
    EXPECT(head_has(client, "Cache-Status: "));
    client_destroy(client);
    front_destroy(front);
}

TEST(parts_come_from_the_cache_and_the_whole_is_as_fresh_as_the_least_fresh)
{
    struct front *front = front_create(&of_two);
    struct client *client;
    int left_seconds;

    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "[]");
    expect_answer(front->world, "GET", "/count", "", 200, "1", NULL);
    front->world->forward_ms += 40000; /* at most 20 s of its minute are left */
    client = call(front, "GET", "/both/x", "");
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("{\"b\":1,\"a\":[]}\n"));
    left_seconds = atoi(strstr(client->head.data, "Cache-Control: max-age=") + 23);
    EXPECT(left_seconds > 0 && left_seconds <= 20);
    client_destroy(client);
    EXPECT_EQ(front->world->stub.request_count, 2);
    expect_body(front, "/both/x", "", 200, "{\"b\":1,\"a\":[]}\n", NULL);
    EXPECT_EQ(front->world->stub.request_count, 2);
    front_destroy(front);
}

TEST(who_has_it_already_is_told_so_and_head_is_answered_alike)
{
    struct front *front = front_create(&of_two);
    struct client *client, *again;
    char condition[128];

    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "[]");
    expect_answer(front->world, "GET", "/count", "", 200, "1", NULL);
    client = call(front, "HEAD", "/both/x", "");
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 200);
    EXPECT_EQ(client->body.size, 0);
    EXPECT(head_has(client, "ETag: \""));
    snprintf(condition, sizeof condition, "If-None-Match: %.34s", strstr(client->head.data, "ETag: ") + 6);
    again = call(front, "GET", "/both/x", condition);
    wait_until_true(has_ended, again);
    EXPECT_EQ(again->status, 304);
    EXPECT_EQ(again->body.size, 0);
    EXPECT(head_has(again, "ETag: \"") && head_has(again, "Cache-Control: max-age=") &&
           !head_has(again, "Content-Type"));
    client_destroy(client);
    client_destroy(again);
    expect_body(front, "/both/x", "If-None-Match: \"another\"", 200, "{\"b\":1,\"a\":[]}\n", NULL);
    front_destroy(front);
}

TEST(what_is_wanted_of_an_answer_is_taken_out_of_it)
{
    struct field_spec members[] = {{TEXT("name"), TEXT("/items/0/n")}, {TEXT("none"), TEXT("/none")}};
    struct part_spec parts[] = {
        {.name = TEXT("first"), .target = TEXT("/scripted"), .pointer = TEXT("/items/0")},
        {.name = TEXT("some"), .target = TEXT("/scripted"), .selected = members, .selected_count = 2},
        {.name = TEXT("gone"), .target = TEXT("/scripted"), .pointer = TEXT("/items/7")}};
    struct composition_spec composition = of_two;
    struct front *front;

    composition.parts = parts;
    composition.part_count = 3;
    front = front_create(&composition);
    front->world->stub.scripted =
        ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "{\"items\":[{\"n\":1.50},2]}");
    expect_body(
        front, "/both/x", "", 200,
        "{\"first\":{\"n\":1.50},\"some\":{\"name\":1.50,\"none\":null},\"gone\":null,\"errors\":"
        "[{\"part\":\"gone\",\"status\":502,\"title\":\"Bad Gateway\",\"detail\":\"there is nothing "
        "where its pointer points\"}]}\n",
        "Cache-Control: no-store\r\n");
    front_destroy(front);
}

TEST(what_is_taken_out_more_than_once_counts_each_time)
{
    struct field_spec members[] = {{TEXT("a"), TEXT("")}, {TEXT("b"), TEXT("")}, {TEXT("c"), TEXT("")}};
    struct part_spec parts[] = {
        {.name = TEXT("all"), .target = TEXT("/scripted"), .selected = members, .selected_count = 3},
        {.name = TEXT("one"), .target = TEXT("/scripted")}};
    struct composition_spec composition = of_two;
    struct front *front;

    composition.parts = parts;
    composition.body_bytes_max = 150;
    front = front_create(&composition);
    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "\"0123456789012345\"");
    expect_body(front, "/both/x", "", 200,
                "{\"all\":{\"a\":\"0123456789012345\",\"b\":\"0123456789012345\",\"c\":"
                "\"0123456789012345\"},\"one\":\"0123456789012345\"}\n",
                NULL);
    composition.body_bytes_max = 60;
    composition.on_failure = TEXT("fail");
    follow(front->world, &composition);
    expect_problem(front, "/both/x", "", 502, "the part all: it is larger than compose-max");
    front_destroy(front);
}

TEST(how_often_an_origin_wants_to_be_asked_is_told_of_the_part_that_wants_it_least)
{
    struct part_spec parts[] = {{.name = TEXT("a"), .target = TEXT("/scripted-1")},
                                {.name = TEXT("b"), .target = TEXT("/count")}};
    struct composition_spec composition = of_two;
    struct front *front;
    struct client *client;

    composition.parts = parts;
    front = front_create(&composition);
    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=5\r\nX-Poll-Interval: 60\r\n", "[]");
    expect_body(front, "/both/1", "", 200, NULL, "X-Poll-Interval: 60\r\n");
    front->world->forward_ms += 6000;
    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=5\r\nX-Poll-Interval: -1\r\n", "[]");
    client = call_and_wait(front, "/both/1");
    EXPECT_EQ(client->status, 200);
    EXPECT(!head_has(client, "X-Poll-Interval"));
    client_destroy(client);
    front_destroy(front);
}

TEST(only_fields_that_are_named_are_passed_on_and_credentials_make_it_private)
{
    char *passed[] = {TEXT("Accept-Language"), TEXT("authorization")};
    struct part_spec parts[] = {{.name = TEXT("v"), .target = TEXT("/vary")}};
    struct composition_spec composition = of_two;
    struct front *front;

    composition.parts = parts;
    composition.part_count = 1;
    front = front_create(&composition);
    expect_body(front, "/both/x", "Accept-Language: 7\nAuthorization: a", 200, "{\"v\":1}\n",
                "Cache-Control: max-age=60");
    composition.passed = passed;
    composition.passed_count = 2;
    follow(front->world, &composition);
    expect_body(front, "/both/x", "Accept-Language: 7", 200, "{\"v\":72}\n",
                "Vary: Accept-Language, authorization\r\n");
    expect_body(front, "/both/x", "Accept-Language: 8\nAuthorization: a", 200, "{\"v\":83}\n",
                "Cache-Control: private, max-age=60\r\n");
    front_destroy(front);
}

TEST(what_is_one_client_s_makes_all_of_it_one_client_s)
{
    struct part_spec parts[] = {{.name = TEXT("p"), .target = TEXT("/private")}};
    struct composition_spec composition = of_two;
    struct front *front;

    composition.parts = parts;
    composition.part_count = 1;
    front = front_create(&composition);
    expect_body(front, "/both/x", "", 200, "{\"p\":1}\n", "Cache-Control: private, max-age=60\r\n");
    front_destroy(front);
}

TEST(other_methods_are_refused_and_other_paths_passed_on)
{
    struct front *front = front_create(&of_two);
    struct client *client = call(front, "POST", "/both/x", "");

    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 405);
    EXPECT(head_has(client, "Allow: GET, HEAD\r\n"));
    client_destroy(client);
    expect_body(front, "/count", "", 200, "1", NULL);
    expect_problem(front, "/both/..", "", 400, "not plain");
    EXPECT_EQ(front->world->stub.request_count, 1);
    front_destroy(front);
}

TEST(pages_of_other_origins_are_answered_as_a_route_s)
{
    struct composition_spec composition = of_two;
    struct front *front;
    struct client *client;

    composition.policy.cors_origins = TEXT("https://app.example");
    front = front_create(&composition);
    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "[]");
    expect_body(front, "/both/x", "Origin: https://app.example", 200, NULL,
                "Access-Control-Allow-Origin: https://app.example\r\n");
    client = call(front, "OPTIONS", "/both/x",
                  "Origin: https://app.example\nAccess-Control-Request-Method: GET");
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->status, 204);
    client_destroy(client);
    front_destroy(front);
}

static void make_room(void *argument)
{
    struct client *client = argument;

    client->room_bytes = SIZE_MAX;
    client->x.engine->writable(&client->x);
}

static bool has_received_some(void *client) { return ((struct client *)client)->received_bytes > 0; }

TEST(a_client_that_is_slow_gets_it_piece_by_piece)
{
    struct front *front = front_create(&of_two);
    struct client *client = client_create(front->world, 0, "GET", "/both/x", "");

    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "[]");
    client->room_bytes = 5;
    on_worker(client->runner, begin_caller, &(struct caller){front, client});
    wait_until_true(has_received_some, client);
    on_worker(client->runner, do_nothing, NULL);
    EXPECT_EQ(client->received_bytes, 5);
    EXPECT(!client->has_ended);
    on_worker(client->runner, make_room, client);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->received_bytes, strlen("{\"b\":1,\"a\":[]}\n"));
    client_destroy(client);
    front_destroy(front);
}

TEST(a_new_plan_counts_for_new_requests_and_not_for_those_that_wait)
{
    struct part_spec parts[] = {{.name = TEXT("new"), .target = TEXT("/count")}};
    struct composition_spec composition = of_two;
    struct front *front = front_create(&of_two);
    struct client *client;

    front->world->stub.scripted = ORIGIN_SAYS("Cache-Control: max-age=30\r\n", "[]");
    stub_set(&front->world->stub, true, false);
    client = call(front, "GET", "/both/x", "");
    wait_for_requests(front->world, 2);
    composition.parts = parts;
    composition.part_count = 1;
    follow(front->world, &composition);
    stub_set(&front->world->stub, false, false);
    wait_until_true(has_ended, client);
    buffer_append_byte(&client->body, '\0');
    EXPECT(strncmp(client->body.data, "{\"b\":", 5) == 0);
    client_destroy(client);
    client = call(front, "GET", "/both/x", "");
    wait_until_true(has_ended, client);
    buffer_append_byte(&client->body, '\0');
    EXPECT(strncmp(client->body.data, "{\"new\":", 7) == 0);
    client_destroy(client);
    front_destroy(front);
}

RUN_TESTS(TEST_ROW(parts_are_asked_for_at_once_and_stand_as_they_were_written),
          TEST_ROW(parts_come_from_the_cache_and_the_whole_is_as_fresh_as_the_least_fresh),
          TEST_ROW(who_has_it_already_is_told_so_and_head_is_answered_alike),
          TEST_ROW(what_is_wanted_of_an_answer_is_taken_out_of_it),
          TEST_ROW(what_is_taken_out_more_than_once_counts_each_time),
          TEST_ROW(how_often_an_origin_wants_to_be_asked_is_told_of_the_part_that_wants_it_least),
          TEST_ROW(only_fields_that_are_named_are_passed_on_and_credentials_make_it_private),
          TEST_ROW(what_is_one_client_s_makes_all_of_it_one_client_s),
          TEST_ROW(other_methods_are_refused_and_other_paths_passed_on),
          TEST_ROW(pages_of_other_origins_are_answered_as_a_route_s),
          TEST_ROW(a_client_that_is_slow_gets_it_piece_by_piece),
          TEST_ROW(a_new_plan_counts_for_new_requests_and_not_for_those_that_wait))
