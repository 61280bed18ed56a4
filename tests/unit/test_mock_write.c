/* links: nuthatch-mock nuthatch-message nuthatch-base
 *
 * What the mock takes: writing, bodies, the delay. */
#include "mock_world.h"

/* ---- writing ----------------------------------------------------------------------------------- */

TEST(a_post_makes_an_item_with_an_id_of_its_own_and_says_where)
{
    static const struct {
        const char *body, *before, *after;
    } cases[] = {
        {"{\"title\":\"new\"}", "{\"title\":\"new\",\"id\":\"", "\"}"},
        {" {\"id\" : 50 , \"title\":\"x\"}\n", "{\"id\":\"", "\",\"title\":\"x\"}"},
        {"{\"id\":null}", "{\"id\":\"", "\"}"},
        {"", "{\"id\":\"", "\"}"},
        {NULL, "{\"id\":\"", "\"}"},
        {"{}", "{\"id\":\"", "\"}"},
    };
    struct world world;
    struct fake made, read;
    char location[64];

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes before = bytes_of_text(cases[i].before), after = bytes_of_text(cases[i].after), text;
        fake_ask(&world, &made, (struct ask){"POST", "/posts", cases[i].body});
        EXPECT_EQ(made.status, 201);
        text = buffer_bytes(&made.body);
        EXPECT_EQ(text.size, before.size + 11 + after.size);
        EXPECT_TEXT(bytes_first(text, before.size), before);
        EXPECT_TEXT(bytes_after(text, before.size + 11), after);
        snprintf(location, sizeof location, "%.*s", BYTES_PRINTF(line_value(&made, "Location: ")));
        EXPECT_EQ(strlen(location), strlen("/posts/") + 11);
        EXPECT_TEXT(bytes_after(bytes_of_text(location), 7),
                    bytes_first(bytes_after(text, before.size), 11));
        fake_ask(&world, &read, (struct ask){"GET", location});
        EXPECT_TEXT(buffer_bytes(&read.body), text);
        fake_fini(&read);
        fake_ask(&world, &read, (struct ask){"GET", "/posts"}); /* at the end of the collection */
        EXPECT_TEXT(bytes_after(buffer_bytes(&read.body), read.body.size - text.size - 1),
                    (buffer_append_byte(&made.body, ']'), buffer_bytes(&made.body)));
        fake_fini(&read);
        fake_fini(&made);
    }
    world_close(&world);
}

TEST(a_put_replaces_all_but_the_id)
{
    static const struct step steps[] = {
        {{"PUT", "/posts/1", "{\"title\":\"put\"}"}, 200, "{\"title\":\"put\",\"id\":\"1\"}", NULL},
        {{"GET", "/posts/1"}, 200, "{\"title\":\"put\",\"id\":\"1\"}", NULL},
        {{"PUT", "/posts/2", "{\"id\":77,\"t\":1}"}, 200, "{\"id\":\"2\",\"t\":1}", NULL},
        {{"GET", "/posts"}, 200, "[{\"title\":\"put\",\"id\":\"1\"},{\"id\":\"2\",\"t\":1}]", NULL},
        {{"PUT", "/posts/1", ""}, 200, "{\"id\":\"1\"}", NULL},
        {{"PUT", "/posts/99", "{}"}, 404, NOT_FOUND, NULL},
        {{"PUT", "/nosuch/1", "{}"}, 404, NOT_FOUND, NULL},
        {{"PUT", "/profile", "{\"id\":5,\"x\":1}"}, 200, "{\"id\":5,\"x\":1}", NULL},
        {{"GET", "/profile"}, 200, "{\"id\":5,\"x\":1}", NULL},
        {{"PUT", "/profile/1", "{}"}, 404, NOT_FOUND, NULL},
        {{"PUT", "/tags/a%20b%2fc", "{}"}, 200, "{\"id\":\"a b/c\"}", NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_patch_puts_members_over_the_old_ones_and_keeps_the_rest)
{
    static const struct step steps[] = {
        {{"PATCH", "/posts/2", "{\"views\":null,\"new\":[1]}"},
         200,
         "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":null,\"meta\":null,\"new\":[1]}",
         NULL},
        {{"PATCH", "/posts/2", "{\"id\":77}"},
         200,
         "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":null,\"meta\":null,\"new\":[1]}",
         NULL},
        {{"GET", "/posts/2"},
         200,
         "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":null,\"meta\":null,\"new\":[1]}",
         NULL},
        {{"PATCH", "/profile", "{\"opts\":{\"c\":3}}"},
         200,
         "{\"name\":\"typicode\",\"opts\":{\"c\":3}}",
         NULL},
        {{"PATCH", "/posts/99", "{}"}, 404, NOT_FOUND, NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_deleted_item_is_answered_once_and_gone)
{
    static const struct step steps[] = {
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", NULL},
        {{"DELETE", "/posts/1"}, 200, BIRD1, NULL},
        {{"DELETE", "/posts/1"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/1"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts"}, 200, "[" BIRD2 "]", NULL},
        {{"DELETE", "/posts/2", "{\"ignored\":1}"}, 200, BIRD2, NULL},
        {{"GET", "/posts"}, 200, "[]", NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_method_that_a_place_does_not_have_is_refused_with_those_it_has)
{
    static const struct step steps[] = {
        {{"PUT", "/posts", "{}"},
         405,
         "{\"title\":\"Method Not Allowed\",\"status\":405,\"detail\":\"This place does not take that "
         "method\"}",
         "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"PATCH", "/posts", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"DELETE", "/posts"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"POST", "/posts/1", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, PUT, PATCH, DELETE\r\n"},
        {{"POST", "/profile", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, PUT, PATCH\r\n"},
        {{"DELETE", "/profile"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, PUT, PATCH\r\n"},
        {{"POST", "/", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS\r\n"},
        {{"TRACE", "/posts"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"LOCK", "/posts/1"}, 405, NULL, NULL},
        {{"POST", "/nosuch", "{}"}, 404, NOT_FOUND, NULL},
        {{"TRACE", "/nosuch"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", NULL}, /* as it was */
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_change_under_a_precondition_happens_only_if_it_holds)
{
    static const struct step steps[] = {
        {{"PATCH", "/posts/1", "{\"views\":1}", "If-Match", "\"nope\""},
         412,
         "{\"title\":\"Precondition Failed\",\"status\":412,\"detail\":\"It is not, or no longer, what "
         "If-Match names\"}",
         NULL},
        {{"PUT", "/posts/1", "{}", "If-Match", "\"nope\""}, 412, NULL, NULL},
        {{"DELETE", "/posts/1", NULL, "If-Match", "\"nope\""}, 412, NULL, NULL},
        {{"GET", "/posts/1"}, 200, BIRD1, NULL},
        {{"PATCH", "/posts/1", "{\"views\":1}", "If-Match", "*"}, 200, NULL, NULL},
    };
    struct world world;
    struct fake fake;
    char tag[32], weak_tag[40];

    play(small_options(), steps, COUNT_OF(steps));
    world_open(&world, small_options());
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
    snprintf(tag, sizeof tag, "%.*s", BYTES_PRINTF(line_value(&fake, "ETag: ")));
    snprintf(weak_tag, sizeof weak_tag, "W/%s", tag);
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"DELETE", "/posts/1", NULL, "If-Match", weak_tag});
    EXPECT_EQ(fake.status, 412); /* compared strongly */
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"DELETE", "/posts/1", NULL, "If-Match", tag});
    EXPECT_EQ(fake.status, 200);
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_preflight_is_answered_for_any_path)
{
    static const struct step steps[] = {
        {{"OPTIONS", "/posts"},
         204,
         "",
         "Access-Control-Allow-Methods: GET, HEAD, PUT, PATCH, POST, DELETE\r\n"
         "Access-Control-Allow-Headers: content-type\r\n"},
        {{"OPTIONS", "*"}, 204, "", NULL},
        {{"OPTIONS", "/nosuch", NULL, "Access-Control-Request-Headers", "x-foo,content-type"},
         204,
         "",
         "Access-Control-Allow-Headers: x-foo,content-type\r\n"},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

/* ---- bodies ------------------------------------------------------------------------------------ */

TEST(a_body_that_is_not_an_object_of_strict_json_is_refused_and_changes_nothing)
{
#define OBJECT_WANTED "{\"error\":\"Body must be a JSON object\"}"
    static const struct step steps[] = {
        {{"POST", "/posts", "[1,2]"}, 400, OBJECT_WANTED, NULL},
        {{"POST", "/posts", "null"}, 400, OBJECT_WANTED, NULL},
        {{"POST", "/posts", "\"str\""}, 400, OBJECT_WANTED, NULL},
        {{"PUT", "/posts/1", "5"}, 400, OBJECT_WANTED, NULL},
        {{"PATCH", "/posts/1", "[]"}, 400, OBJECT_WANTED, NULL},
        {{"POST", "/posts", "{\"a\":\n 1,}"},
         400,
         "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"Body is not JSON: line 2, column 4: "
         "string or '}' expected near '}'\"}",
         NULL},
        {{"POST", "/posts", "{\"title\":"}, 400, NULL, NULL},
        {{"POST", "/posts", "nonsense"}, 400, NULL, NULL},
        {{"POST", "/posts", " "}, 400, NULL, NULL},
        {{"POST", "/posts", "{} {}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":1,\"a\":2}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":'b'}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":01}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":NaN}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":1e999}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":99999999999999999999}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":\"\x80\"}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":\"\\ud800\"}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":\"\x01\"}"}, 400, NULL, NULL},
        {{"POST", "/posts", "\xef\xbb\xbf{}"}, 400, NULL, NULL},
        {{"PUT", "/posts/1", "{bad"}, 400, NULL, NULL},
        {{"PATCH", "/posts/1", "{bad"}, 400, NULL, NULL},
        {{"POST", "/posts", "{}", "Content-Encoding", "gzip"}, 415, NULL, NULL},
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(values_come_back_as_they_went_in)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"0.1", "0.1"},
        {"4.5", "4.5"},
        {"1.0", "1.0"},
        {"-0.0", "-0.0"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"1e300", "1e+300"},
        {"1E5", "100000.0"},
        {"5e-324", "4.94065645841247e-324"},
        {"9007199254740993", "9007199254740993"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775807", "9223372036854775807"},
        {"true", "true"},
        {"\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"\"\\u0000\\u001f\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\"\\u0000\\u001f\\b\\f\\n\\r\\t/\\\\\\\"\""},
        {"\"\x7f\"", "\"\x7f\""},
        {"{\"z\":1,\"a\":{},\"\":[]}", "{\"z\":1,\"a\":{},\"\":[]}"},
        {"[ 1 , [ ] , null ]", "[1,[],null]"},
    };
    struct world world;
    struct fake fake;
    char body[256], wanted[256];

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(body, sizeof body, "{\"v\":%s}", cases[i].in);
        snprintf(wanted, sizeof wanted, "{\"v\":%s,\"id\":\"1\"}", cases[i].out);
        fake_ask(&world, &fake, (struct ask){"PUT", "/posts/1", body});
        EXPECT_TEXT(buffer_bytes(&fake.body), bytes_of_text(wanted));
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", "{}"}); /* read again by our own parser */
        EXPECT_TEXT(buffer_bytes(&fake.body), bytes_of_text(wanted));
        fake_fini(&fake);
    }
    world_close(&world);
}

TEST(nesting_is_bounded)
{
    static const struct {
        size_t depth;
        int status;
    } cases[] = {{2000, 201}, {2047, 201}, {2048, 400}, {100000, 400}};
    struct world world;
    struct fake fake;

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer body = {0};
        buffer_append_literal(&body, "{\"a\":");
        for (size_t j = 0; j < cases[i].depth; j++)
            buffer_append_byte(&body, '[');
        for (size_t j = 0; j < cases[i].depth; j++)
            buffer_append_byte(&body, ']');
        buffer_append(&body, bytes_of("}", 2));
        fake_ask(&world, &fake, (struct ask){"POST", "/posts", body.data});
        EXPECT_EQ(fake.status, cases[i].status);
        fake_fini(&fake);
        buffer_fini(&body);
    }
    world_close(&world);
}

TEST(a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_refused)
{
    struct world world;
    struct fake fake;
    struct buffer body = {0};
    size_t limit = 1 << 20;

    world_open(&world, small_options());
    buffer_append_literal(&body, "{\"a\":\"");
    while (body.size < limit - 2)
        buffer_append_byte(&body, 'x');
    buffer_append(&body, BYTES("\"}"));

    fake_begin(&world, &fake, (struct ask){"POST", "/posts", ""});
    fake.room = SIZE_MAX;
    fake_send_body(&fake, buffer_bytes(&body));
    EXPECT(fake.ended);
    EXPECT_EQ(fake.status, 201);
    fake_fini(&fake);

    buffer_append_byte(&body, ' '); /* chunked: seen when it has come */
    fake_begin(&world, &fake, (struct ask){"POST", "/posts", ""});
    fake_send_body(&fake, buffer_bytes(&body));
    EXPECT(fake.ended);
    EXPECT_EQ(fake.status, 413);
    fake_fini(&fake);
    buffer_fini(&body);

    fake_begin(&world, &fake,
               (struct ask){"DELETE", "/posts/1"}); /* says nothing of a body: not our concern */
    EXPECT_EQ(fake.status, 200);
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_body_announced_as_too_large_is_refused_before_it_is_read)
{
    struct world world;
    struct fake fake = {.room = 1000};

    world_open(&world, small_options());
    fake.request =
        (struct http_request){.method = HTTP_METHOD_POST, .path = BYTES("/posts"), .body_bytes = 1048577};
    fake.x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &fake.request};
    mock_engine.begin(world.worker, &fake.x);
    EXPECT_EQ(fake.status, 413);
    EXPECT(!fake.wants_body);
    EXPECT(fake.ended);
    EXPECT_TEXT(buffer_bytes(&fake.body),
                BYTES("{\"title\":\"Content Too Large\",\"status\":413,\"detail\":\"Body must have at most "
                      "1048576 bytes\"}"));
    fake_fini(&fake);
    world_close(&world);
}

TEST(an_answer_is_sent_as_there_is_room_and_stays_what_it_was_when_it_began)
{
    struct world world;
    struct fake slow, fast;
    struct bytes wanted = BYTES("[" BIRD1 "," BIRD2 "]");

    world_open(&world, small_options());
    memset(&slow, 0, sizeof slow);
    slow.room = 10;
    slow.request = (struct http_request){.method = HTTP_METHOD_GET, .path = BYTES("/posts")};
    slow.x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &slow.request};
    mock_engine.begin(world.worker, &slow.x);
    EXPECT_EQ(slow.body.size, 10);
    EXPECT(!slow.ended);
    fake_ask(&world, &fast, (struct ask){"DELETE", "/posts/1"});
    fake_fini(&fast);
    fake_ask(&world, &fast, (struct ask){"GET", "/posts"});
    EXPECT_TEXT(buffer_bytes(&fast.body), BYTES("[" BIRD2 "]"));
    fake_fini(&fast);
    while (!slow.ended) {
        slow.room = 7;
        mock_engine.writable(&slow.x);
    }
    EXPECT_TEXT(buffer_bytes(&slow.body), wanted);
    fake_fini(&slow);

    fake_begin(&world, &slow, (struct ask){"GET", "/empty"}); /* and a client that goes away meanwhile */
    fake_fini(&slow);
    memset(&slow, 0, sizeof slow);
    slow.room = 3;
    slow.request = (struct http_request){.method = HTTP_METHOD_GET, .path = BYTES("/posts")};
    slow.x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &slow.request};
    mock_engine.begin(world.worker, &slow.x);
    mock_engine.gone(&slow.x);
    fake_fini(&slow);
    world_close(&world);
}

/* ---- delay ------------------------------------------------------------------------------------- */

TEST(the_delay_passes_before_the_answer_and_the_body_may_come_before_or_after_it)
{
    struct mock_options options = small_options();
    struct world world;
    struct fake fake;

    options.latency_ms = 300;
    world_open(&world, options);

    fake_begin(&world, &fake, (struct ask){"GET", "/posts/1"});
    EXPECT_EQ(fake.status, 0);
    EXPECT_EQ(set_timer->due_ms, 1300);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), 0);
    let_timer_fire();
    EXPECT(fake.ended);
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES(BIRD1));
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"PUT", "/posts/1", "{\"a\":1}"}); /* the body first */
    fake_send_body(&fake, BYTES("{\"a\":1}"));
    EXPECT_EQ(fake.status, 0);
    let_timer_fire();
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES("{\"a\":1,\"id\":\"1\"}"));
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"PUT", "/posts/1", "{\"a\":2}"}); /* the delay first */
    let_timer_fire();
    EXPECT_EQ(fake.status, 0);
    fake_send_body(&fake, BYTES("{\"a\":2}"));
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES("{\"a\":2,\"id\":\"1\"}"));
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_client_that_leaves_during_the_delay_leaves_no_timer_and_no_change)
{
    struct mock_options options = small_options();
    struct world world;
    struct fake fake;

    options.latency_ms = 300;
    world_open(&world, options);
    fake_begin(&world, &fake, (struct ask){"GET", "/posts/1"});
    EXPECT(set_timer != NULL);
    mock_engine.gone(&fake.x);
    EXPECT(set_timer == NULL);
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"DELETE", "/posts/1"});
    mock_engine.gone(&fake.x);
    EXPECT(set_timer == NULL);
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"PUT", "/posts/1", "{\"half"});
    mock_engine.body(&fake.x, BYTES("{\"half"));
    mock_engine.gone(&fake.x);
    EXPECT(set_timer == NULL);
    fake_fini(&fake);

    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), 0);
    fake_begin(&world, &fake, (struct ask){"GET", "/posts/1"});
    let_timer_fire();
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES(BIRD1));
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_refusal_that_must_wait_for_room_is_not_answered_again_by_the_timer)
{
    struct mock_options options = small_options();
    struct world world;
    struct fake fake;
    char *body = calloc(1, (1 << 20) + 1);

    options.latency_ms = 300;
    world_open(&world, options);
    fake_begin(&world, &fake, (struct ask){"POST", "/posts", ""});
    fake.room = 0;
    mock_engine.body(&fake.x, bytes_of(body, (1 << 20) + 1));
    EXPECT_EQ(fake.status, 413);
    EXPECT(!fake.ended);
    EXPECT(set_timer == NULL);
    mock_engine.body(&fake.x, BYTES("more that was on its way"));
    mock_engine.body_end(&fake.x);
    EXPECT(!fake.ended);
    fake.room = 1000;
    mock_engine.writable(&fake.x);
    EXPECT(fake.ended);
    fake_fini(&fake);
    free(body);
    world_close(&world);
}

RUN_TESTS(TEST_ROW(a_post_makes_an_item_with_an_id_of_its_own_and_says_where),
          TEST_ROW(a_put_replaces_all_but_the_id),
          TEST_ROW(a_patch_puts_members_over_the_old_ones_and_keeps_the_rest),
          TEST_ROW(a_deleted_item_is_answered_once_and_gone),
          TEST_ROW(a_method_that_a_place_does_not_have_is_refused_with_those_it_has),
          TEST_ROW(a_change_under_a_precondition_happens_only_if_it_holds),
          TEST_ROW(a_preflight_is_answered_for_any_path),
          TEST_ROW(a_body_that_is_not_an_object_of_strict_json_is_refused_and_changes_nothing),
          TEST_ROW(values_come_back_as_they_went_in), TEST_ROW(nesting_is_bounded),
          TEST_ROW(a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_refused),
          TEST_ROW(a_body_announced_as_too_large_is_refused_before_it_is_read),
          TEST_ROW(an_answer_is_sent_as_there_is_room_and_stays_what_it_was_when_it_began),
          TEST_ROW(the_delay_passes_before_the_answer_and_the_body_may_come_before_or_after_it),
          TEST_ROW(a_client_that_leaves_during_the_delay_leaves_no_timer_and_no_change),
          TEST_ROW(a_refusal_that_must_wait_for_room_is_not_answered_again_by_the_timer))
