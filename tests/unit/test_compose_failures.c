/* links: nuthatch-compose nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message
 * nuthatch-base */
/* What becomes of a composed answer when parts of it cannot be had. */
#include "compose_world.h"

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

/* A problem that says when to come back, if `retry_after` is not null. */
static void expect_refusal(struct front *front, const char *path, int status, const char *in_body,
                           const char *retry_after)
{
    struct client *client = call_and_wait(front, path);
    char text[64];

    buffer_append_byte(&client->body, '\0');
    header_value(client->head.data, "Retry-After: ", text, sizeof text);
    EXPECT_EQ(client->status, status);
    EXPECT(strstr(client->body.data, in_body) != NULL);
    EXPECT_TEXT(bytes_of_text(text), bytes_of_text(retry_after != NULL ? retry_after : ""));
    client_destroy(client);
}

#define ORIGIN_REFUSES(status, fields)                                                                     \
    "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: 0\r\n" fields "\r\n"

TEST(when_it_may_be_had_again_is_told_however_the_origin_says_it)
{
    struct part_spec parts[] = {{.name = TEXT("a"), .target = TEXT("/scripted-{id}")}};
    struct composition_spec composition = of_two;
    struct front *front;
    struct client *client;
    char scripted[256], when[64];
    time_t soon = time(NULL) + 4000;
    struct tm tm;

    composition.parts = parts;
    composition.part_count = 1;
    front = front_create(&composition);
    front->world->stub.scripted = ORIGIN_REFUSES("503 Service Unavailable", "Retry-After: 17\r\n");
    expect_refusal(front, "/both/1", 503, "the part a ", "17");
    strftime(when, sizeof when, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&soon, &tm));
    snprintf(scripted, sizeof scripted, ORIGIN_REFUSES("503 Service Unavailable", "Retry-After: %s\r\n"),
             when);
    front->world->forward_ms += 3600000; /* 400 seconds before that */
    front->world->stub.scripted = scripted;
    client = call_and_wait(front, "/both/2");
    header_value(client->head.data, "Retry-After: ", when, sizeof when);
    EXPECT(atoi(when) > 200 && atoi(when) <= 400);
    client_destroy(client);
    front->world->stub.scripted = ORIGIN_REFUSES("503 Service Unavailable", "Retry-After: soon\r\n");
    expect_refusal(front, "/both/3", 503, "the part a ", NULL);
    front_destroy(front);
}

/* What is not there is known for certain; of what failed otherwise nobody knows. */
TEST(where_all_parts_fail_a_failure_that_may_pass_is_told_rather_than_one_that_does_not)
{
    struct part_spec parts[] = {{.name = TEXT("not"), .target = TEXT("/nothing-here")},
                                {.name = TEXT("busy"), .target = TEXT("/scripted-{id}")}};
    struct composition_spec composition = of_two;
    struct front *front;

    composition.parts = parts;
    front = front_create(&composition);
    front->world->stub.scripted = ORIGIN_REFUSES("503 Service Unavailable", "Retry-After: 17\r\n");
    expect_refusal(front, "/both/1", 503, "the part busy ", "17");
    front->world->stub.scripted = ORIGIN_REFUSES("410 Gone", "");
    expect_refusal(front, "/both/2", 404, "the part not ", NULL);
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

RUN_TESTS(TEST_ROW(a_part_that_fails_is_null_and_told_of_unless_it_is_required),
          TEST_ROW(what_is_not_json_or_not_whole_or_too_large_is_no_part),
          TEST_ROW(if_no_part_can_be_had_there_is_no_answer),
          TEST_ROW(when_it_may_be_had_again_is_told_however_the_origin_says_it),
          TEST_ROW(where_all_parts_fail_a_failure_that_may_pass_is_told_rather_than_one_that_does_not),
          TEST_ROW(a_part_has_a_deadline), TEST_ROW(a_client_that_leaves_leaves_nothing_behind))
