/* links: nuthatch-compose nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message
 * nuthatch-base */
/* Answers that are composed of several of the gateway's. */
#include "engine/compose/compose.h"
#include "gateway_world.h"

/* For the specs, whose texts are only read. */
#define TEXT(literal) ((char[]){literal})

/* ---- a gateway with composed routes in front ------------------------------------------------------ */

struct front {
    struct world *world;
    struct compose_worker *worker; /* of the world's first */
};

static void make_worker(void *argument)
{
    struct front *front = argument;
    struct runner *runner = &front->world->runners[0];

    EXPECT_EQ(compose_worker_create(runner->worker, runner->loop, &runner->counters, &front->worker), OK);
}

static void destroy_worker(void *argument) { compose_worker_destroy(((struct front *)argument)->worker); }

/* From now on the world goes by a plan with that composition, too. */
static void follow(struct world *world, const struct composition_spec *composition)
{
    world_follow_plan(world, 1,
                      (struct plan_spec){.policy = {.object_bytes_max = OBJECT_BYTES_MAX,
                                                    .first_byte_timeout_ms = 60000000,
                                                    .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                                    .stale_if_error_ms = 60000},
                                         .compositions = composition,
                                         .composition_count = 1});
}

static struct front *front_create(const struct composition_spec *composition)
{
    struct front *front = calloc(1, sizeof *front);

    front->world = world_create();
    follow(front->world, composition);
    on_worker(&front->world->runners[0], make_worker, front);
    return front;
}

static void front_destroy(struct front *front)
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

static void begin_caller(void *argument)
{
    struct caller *caller = argument;
    struct exchange *x = &caller->client->x;

    x->now = loop_now(caller->client->runner->loop);
    x->engine = &compose_engine;
    x->engine->begin(caller->front->worker, x);
}

static struct client *call(struct front *front, const char *method, const char *path, const char *fields)
{
    struct client *client = client_create(front->world, 0, method, path, fields);

    on_worker(client->runner, begin_caller, &(struct caller){front, client});
    return client;
}

static void expect_body(struct front *front, const char *path, const char *fields, int status,
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

static void expect_problem(struct front *front, const char *path, const char *fields, int status,
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

/* ---- tests --------------------------------------------------------------------------------------- */

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

TEST(a_part_that_fails_is_null_and_told_of_unless_it_is_required)
{
    struct part_spec parts[] = {{.name = TEXT("there"), .target = TEXT("/count")},
                                {.name = TEXT("not"), .target = TEXT("/nothing-here")}};
    struct composition_spec composition = of_two;
    struct front *front;

    composition.parts = parts;
    front = front_create(&composition);
    expect_answer(front->world, "GET", "/count", "", 200, "1", NULL);
    expect_body(front, "/both/x", "", 200,
                "{\"there\":1,\"not\":null,\"errors\":[{\"part\":\"not\",\"status\":404,\"title\":\"Not "
                "Found\"}]}\n",
                NULL);
    parts[1].optional = TEXT("no");
    follow(front->world, &composition);
    expect_problem(front, "/both/x", "", 404, "the part not was answered with 404 Not Found");
    composition.on_failure = TEXT("fail");
    parts[1].optional = TEXT("yes");
    follow(front->world, &composition);
    expect_body(front, "/both/x", "", 200, NULL, NULL);
    parts[1].optional = NULL;
    follow(front->world, &composition);
    expect_problem(front, "/both/x", "", 404, "the part not ");
    front_destroy(front);
}

TEST(what_is_not_json_or_not_whole_or_too_large_is_no_part)
{
    struct composition_spec composition = of_two;
    struct front *front;

    composition.on_failure = TEXT("fail");
    composition.body_bytes_max = 40;
    front = front_create(&composition);
    front->world->stub.scripted = ORIGIN_SAYS("", "<html>");
    expect_problem(front, "/both/1", "", 502, "the part a: it is not JSON");
    front->world->stub.scripted = ORIGIN_SAYS("Content-Length: 30\r\n", "[1");
    expect_problem(front, "/both/2", "", 502, "the part a: it broke off");
    front->world->stub.scripted = ORIGIN_SAYS("", "\"0123456789012345678901234567890123456789\"");
    expect_problem(front, "/both/3", "", 502, "the part a: it is larger than compose-max");
    front->world->stub.scripted = ORIGIN_SAYS("", "\"012345678901234567890123456789012345\"");
    expect_problem(front, "/both/4", "", 502, "the composed answer is larger than compose-max");
    front_destroy(front);
}

TEST(if_no_part_can_be_had_there_is_no_answer)
{
    struct front *front = front_create(&of_two);

    stub_set(&front->world->stub, false, true);
    expect_problem(front, "/both/x", "", 502, "the part b was answered with 500 Internal Server Error");
    front_destroy(front);
}

TEST(a_part_has_a_deadline)
{
    struct composition_spec composition = of_two;
    struct front *front;

    composition.timeout_ms = 30;
    composition.on_failure = TEXT("fail");
    front = front_create(&composition);
    stub_set(&front->world->stub, true, false);
    expect_problem(front, "/both/x", "", 504, "it took longer than its timeout");
    stub_set(&front->world->stub, false, false);
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

TEST(a_client_that_leaves_leaves_nothing_behind)
{
    struct front *front = front_create(&of_two);
    struct client *client;

    stub_set(&front->world->stub, true, false);
    client = call(front, "GET", "/both/x", "");
    wait_for_requests(front->world, 2);
    on_worker(client->runner, leave, client);
    stub_set(&front->world->stub, false, false);
    EXPECT(!client->has_head);
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
          TEST_ROW(a_part_that_fails_is_null_and_told_of_unless_it_is_required),
          TEST_ROW(what_is_not_json_or_not_whole_or_too_large_is_no_part),
          TEST_ROW(if_no_part_can_be_had_there_is_no_answer), TEST_ROW(a_part_has_a_deadline),
          TEST_ROW(only_fields_that_are_named_are_passed_on_and_credentials_make_it_private),
          TEST_ROW(what_is_one_client_s_makes_all_of_it_one_client_s),
          TEST_ROW(other_methods_are_refused_and_other_paths_passed_on),
          TEST_ROW(pages_of_other_origins_are_answered_as_a_route_s),
          TEST_ROW(a_client_that_is_slow_gets_it_piece_by_piece),
          TEST_ROW(a_client_that_leaves_leaves_nothing_behind),
          TEST_ROW(a_new_plan_counts_for_new_requests_and_not_for_those_that_wait))
