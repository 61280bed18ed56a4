/* links: nuthatch-mock nuthatch-message nuthatch-base
 *
 * What the mock answers: reading, documents, several workers. */
#include "mock_world.h"

/* ---- reading ----------------------------------------------------------------------------------- */

TEST(every_place_is_read_as_json_server_reads_it)
{
    static const struct step steps[] = {
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", "Content-Type: application/json\r\n"},
        {{"GET", "/posts/"}, 200, "[" BIRD1 "," BIRD2 "]", "Cache-Control: no-cache\r\n"},
        {{"GET", "/posts/1"}, 200, BIRD1, NULL},
        {{"GET", "/posts/1/"}, 200, BIRD1, NULL},
        {{"GET", "/posts/%31"}, 200, BIRD1, NULL},
        {{"GET", "/p%6fsts/2"}, 200, BIRD2, NULL},
        {{"GET", "/posts/1?anything=1"}, 200, BIRD1, NULL},
        {{"GET", "/tags/a%20b%2fc"}, 200, "{\"id\":\"a b/c\",\"label\":\"x\"}", NULL},
        {{"GET", "/empty"}, 200, "[]", NULL},
        {{"GET", "/profile"}, 200, "{\"name\":\"typicode\",\"opts\":{\"a\":1,\"b\":2}}", NULL},
        {{"GET", "/"}, 200, "{\"resources\":[\"posts\",\"tags\",\"empty\",\"profile\"]}", NULL},
        {{"GET", "/posts/99"}, 404, NOT_FOUND, "Content-Type: application/json\r\n"},
        {{"GET", "/posts/01"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/%00"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/..%2f.."}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/1/2"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts//1"}, 404, NOT_FOUND, NULL},
        {{"GET", "//posts"}, 404, NOT_FOUND, NULL},
        {{"GET", "/nosuch"}, 404, NOT_FOUND, NULL},
        {{"GET", "/nosuch/1"}, 404, NOT_FOUND, NULL},
        {{"GET", "/profile/name"}, 404, NOT_FOUND, NULL},
        {{"GET", "/__proto__"}, 404, NOT_FOUND, NULL},
        {{"GET", "*"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/%E0%A4%A"},
         400,
         "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"Malformed percent-encoding in the path\"}",
         NULL},
        {{"GET", "/%"}, 400, NULL, NULL},
        {{"GET", "/posts/%4"}, 400, NULL, NULL},
        {{"GET", "/posts/%G1"}, 400, NULL, NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_head_request_is_told_the_size_and_sent_no_body)
{
    struct world world;
    struct fake fake;

    world_open(&world, small_options());
    fake_ask(&world, &fake, (struct ask){"HEAD", "/posts/1"});
    EXPECT_EQ(fake.status, 200);
    EXPECT_EQ(fake.body_bytes, strlen(BIRD1));
    EXPECT_EQ(fake.body.size, 0);
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"HEAD", "/posts/9"});
    EXPECT_EQ(fake.status, 404);
    EXPECT_EQ(fake.body.size, 0);
    fake_fini(&fake);
    world_close(&world);
}

TEST(an_id_longer_than_any_can_be_is_not_found_however_it_is_encoded)
{
    struct world world;
    struct fake fake;
    char target[4096] = "/posts/";

    world_open(&world, small_options());
    for (size_t count = 511; count < 516; count++) {
        for (size_t i = 0; i < count; i++)
            memcpy(target + 7 + 3 * i, "%31", 4);
        fake_ask(&world, &fake, (struct ask){"GET", target});
        EXPECT_EQ(fake.status, 404);
        fake_fini(&fake);
        memset(target + 7, '1', count);
        target[7 + count] = '\0';
        fake_ask(&world, &fake, (struct ask){"GET", target});
        EXPECT_EQ(fake.status, 404);
        fake_fini(&fake);
    }
    world_close(&world);
}

#define PROBLEM(detail) "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"" detail "\"}"

TEST(a_query_that_cannot_be_heeded_is_refused_with_why)
{
    static const struct step steps[] = {
        {{"GET", "/posts?title_like=("},
         400,
         PROBLEM("The pattern is not one, at its byte 2: missing closing "
                 "parenthesis"),
         NULL},
        {{"GET", "/posts?title=%4"}, 400, PROBLEM("Malformed percent-encoding in the query"), NULL},
        {{"GET", "/posts?title_like=%ff"}, 400, NULL, NULL},
        {{"GET", "/posts?a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1"},
         400,
         PROBLEM("The name of a member may have at most 16 parts"),
         NULL},
        {{"GET", "/posts?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q"}, 200, NULL, NULL},
        {{"GET", "/posts?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&r"},
         400,
         PROBLEM("A query may have at most 16 conditions"),
         NULL},
        {{"GET", "/posts?_embed=a,b,c,d,e,f,g,h,i"},
         400,
         PROBLEM("A query may have at most 8 names in one list"),
         NULL},
        {{"GET", "/posts?_where=[]"}, 400, PROBLEM("_where must be a JSON object"), NULL},
        {{"GET", "/posts?_where={\"title\":{\"like\":\"x\"}}"},
         400,
         PROBLEM("_where has no like; a parameter has, such as title_like=^tit"),
         NULL},
        {{"GET", "/posts?"}, 200, NULL, NULL},
        {{"GET", "/posts?&"}, 200, NULL, NULL},
        {{"GET", "/nosuch?x=1"}, 404, NULL, NULL},
        {{"GET", "/profile?x=1"}, 200, NULL, NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_pattern_that_takes_too_many_steps_is_given_up)
{
    struct mock_options options = {
        .document = BYTES("{\"a\":[{\"id\":1,\"t\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}]}")};
    static const struct step steps[] = {
        {{"GET", "/a?t_like=^(a%2B)%2B$"}, 400, NULL, NULL},
        {{"GET", "/a?t_like=A{3}B$"}, 200, NULL, NULL},
    };
    play(options, steps, COUNT_OF(steps));
}

TEST(an_answer_may_be_cached_for_as_long_as_the_options_say_if_it_was_read)
{
    static const struct step steps[] = {
        {{"GET", "/posts/1"}, 200, NULL, "Cache-Control: max-age=60\r\n"},
        {{"HEAD", "/posts/1"}, 200, NULL, "Cache-Control: max-age=60\r\n"},
        {{"GET", "/posts/1", NULL, "If-None-Match", "*"}, 304, "", "Cache-Control: max-age=60\r\n"},
        {{"GET", "/posts/9"}, 404, NULL, "Cache-Control: no-cache\r\n"},
        {{"PUT", "/posts/1", "{}"}, 200, NULL, "Cache-Control: no-cache\r\n"},
    };
    struct mock_options options = small_options();
    options.max_age_s = 60;
    play(options, steps, COUNT_OF(steps));
}

TEST(an_entity_tag_saves_the_body_until_the_item_changes)
{
    struct world world;
    struct fake fake;
    char tag[32], list[64];

    world_open(&world, small_options());
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
    snprintf(tag, sizeof tag, "%.*s", BYTES_PRINTF(line_value(&fake, "ETag: ")));
    EXPECT_EQ(strlen(tag), 18);
    fake_fini(&fake);

    static const char *const matching[] = {"%s", "W/%s", "\"x\", %s", "\"x\" ,W/\"y\",\t%s , \"z\"", " *"};
    for (size_t i = 0; i < COUNT_OF(matching); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(list, sizeof list, matching[i], tag);
#pragma GCC diagnostic pop
        fake_ask(&world, &fake, (struct ask){"GET", "/posts/1", NULL, "If-None-Match", list});
        EXPECT_EQ(fake.status, 304);
        EXPECT_EQ(fake.body.size, 0);
        EXPECT_TEXT(line_value(&fake, "ETag: "), bytes_of_text(tag));
        fake_fini(&fake);
    }
    static const char *const other[] = {"\"x\"", "", ",", "\"", "W/", "x", "\"0000000000000000\""};
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        fake_ask(&world, &fake, (struct ask){"GET", "/posts/1", NULL, "If-None-Match", other[i]});
        EXPECT_EQ(fake.status, 200);
        fake_fini(&fake);
    }
    fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", "{\"views\":101}"});
    EXPECT_EQ(line_value(&fake, "ETag: ").size, 0);
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1", NULL, "If-None-Match", tag});
    EXPECT_EQ(fake.status, 200);
    EXPECT(!bytes_equal(line_value(&fake, "ETag: "), bytes_of_text(tag)));
    fake_fini(&fake);
    world_close(&world);
}

/* ---- documents --------------------------------------------------------------------------------- */

TEST(requests_are_counted_for_each_place)
{
    struct world world;
    struct fake fake;
    static const struct ask asks[] = {
        {"GET", "/posts/1"},          {"GET", "/posts/%31"}, {"GET", "/posts/1?x=1"},
        {"PATCH", "/posts/1", "bad"}, {"GET", "/nosuch"},    {"GET", "/posts"},
        {"DELETE", "/posts"},         {"GET", "/"},          {"DELETE", "/posts/2"}};

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        fake_ask(&world, &fake, asks[i]);
        fake_fini(&fake);
    }
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), COUNT_OF(asks));
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts/1")), 4);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts/%31/")), 4);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts")), 2);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/")), 1);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/profile")), 0);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts/2")), 0); /* nothing is there any more */
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/nosuch")), 0);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("%")), 0);
    world_close(&world);
}

TEST(a_document_that_cannot_be_served_is_refused_with_where_and_what)
{
    static const struct {
        const char *document, *message;
    } cases[] = {
        {"{\"a\":\n[}", "line 2, column 2: unexpected token near '}'"},
        {"{\"a\":[], \"a\":[]}", "line 1, column 10: \"a\": there is another one of that name"},
        {"", NULL},
        {"[]", "the document must be a JSON object of arrays and objects"},
        {"{\"version\":3}", "line 1, column 12: \"version\": must be an array of objects, or an object"},
        {"{\"\":[]}", "line 1, column 2: \"\": a name must have 1 to 512 bytes"},
        {"{\"posts\":[{\"id\":1},7]}", "line 1, column 20: \"posts\", item 2: must be an object"},
        {"{\"posts\":[{\"id\":1},{\"id\":\"1\"}]}",
         "line 1, column 20: \"posts\", item 2: another item has the same id"},
        {"{\"posts\":[\n{\"id\":true}]}",
         "line 2, column 1: \"posts\", item 1: an id must be a string or a number"},
        {"{\"posts\":[{\"id\":\"\"}]}",
         "line 1, column 11: \"posts\", item 1: an id must have 1 to 512 bytes"},
        {"{\"posts\":[{\"id\":1} {\"id\":2}]}", "line 1, column 20: ',' or ']' expected"},
        {"{\"posts\":[\n{\"id\":1,\n \"x\":tru}]}", "line 3, column 8: invalid token near 'tru'"},
        {"{\"posts\":[{\"id\":1}]", "line 1, column 20: the file ends too early"},
        {"{\"posts\":[{\"id\":1", NULL},
        {"{\"posts\":[]} x", "line 1, column 14: end of file expected"},
        {"{\"posts\" []}", "line 1, column 10: ':' expected"},
        {"{posts:[]}", "line 1, column 2: a name in quotes expected"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer message = {0};
        struct mock *mock = NULL;
        EXPECT_EQ(mock_create(&(struct mock_options){.document = bytes_of_text(cases[i].document)}, &mock,
                              &message),
                  ERR_SYNTAX);
        EXPECT(mock == NULL);
        EXPECT(message.size > 0);
        if (cases[i].message != NULL)
            EXPECT_TEXT(buffer_bytes(&message), bytes_of_text(cases[i].message));
        buffer_fini(&message);
    }
}

TEST(items_of_a_file_get_ids_that_are_strings)
{
    static const struct step steps[] = {
        {{"GET", "/a"}, 200, "[{\"id\":\"7\"},{\"x\":1,\"id\":\"1.5\"},{\"id\":\"s\"}]", NULL},
        {{"GET", "/a/1.5"}, 200, NULL, NULL},
        {{"GET", "/$schema"}, 404, NULL, NULL},
        {{"GET", "/%C3%A9/%E2%82%AC"}, 200, "{\"id\":\"\xe2\x82\xac\"}", NULL},
    };
    static const char document[] =
        "{\"$schema\":\"./schema.json\",\"a\":[{\"id\":7},{\"x\":1,\"id\":1.5},{\"id\":\"s\"}],"
        "\"\\u00e9\":[{\"id\":\"\\u20ac\"}]}";
    play((struct mock_options){.document = bytes_of_text(document)}, steps, COUNT_OF(steps));
}

TEST(items_without_an_id_get_numbers_that_no_item_behind_them_has)
{
    static const struct step steps[] = {
        {{"GET", "/a"}, 200, "[{\"id\":8},{\"id\":1},{\"x\":[{\"id\":99}],\"id\":9},{\"id\":\"7\"}]", NULL},
        {{"GET", "/b"}, 200, "[{\"id\":1},{\"id\":2}]", NULL},
        {{"POST", "/a", "{}"}, 201, "{\"id\":10}", NULL},
    };
    static const char document[] =
        "{\"a\":[{}, {\"id\":1}, {\"x\":[{\"id\":99}]}, {\"id\" : \"7\"}], \"b\":[{},{\"id\":null}]}";
    play((struct mock_options){.document = bytes_of_text(document), .compat = COMPAT_0_17}, steps,
         COUNT_OF(steps));
}

TEST(the_sample_is_the_file_in_examples_and_can_be_served)
{
    static const struct step steps[] = {
        {{"GET", "/birds/1"}, 200, NULL, NULL},     {{"GET", "/users/6"}, 200, NULL, NULL},
        {{"GET", "/trees/7"}, 200, NULL, NULL},     {{"GET", "/posts/10"}, 200, NULL, NULL},
        {{"GET", "/comments/10"}, 200, NULL, NULL}, {{"GET", "/station"}, 200, NULL, NULL},
    };
    struct bytes sample = mock_sample_document();
    char *text = malloc(sample.size + 1);
    FILE *file = fopen(EXAMPLES_FOLDER "/db.json", "rb");

    EXPECT(text != NULL && file != NULL);
    EXPECT_TEXT(bytes_of(text, fread(text, 1, sample.size + 1, file)), sample);
    fclose(file);
    free(text);
    play((struct mock_options){.document = sample}, steps, COUNT_OF(steps));
}

TEST(writes_are_refused_when_there_is_no_more_room_and_taken_again_after_a_delete)
{
    static const struct documents_options few = {.growth_bytes_max = 2000};
    struct documents *documents;
    struct buffer message = {0};
    struct answer answer;
    struct bytes body =
        BYTES("{\"text\":\"0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\"}");
    struct http_request request = {.method = HTTP_METHOD_POST, .path = BYTES("/empty")};
    char location[64] = "";
    int made = 0;

    EXPECT_EQ(documents_create(bytes_of_text(small), &few, &documents, &message), OK);
    for (;;) {
        rest_answer(documents, &request, body, &answer);
        if (answer.status != 201)
            break;
        sscanf(answer.lines.data, "Location: %63[^\r]", location);
        answer_fini(&answer);
        made++;
    }
    EXPECT(made >= 5 && made <= 20);
    EXPECT_EQ(answer.status, 507);
    answer_fini(&answer);

    request = (struct http_request){.method = HTTP_METHOD_PATCH, .path = BYTES("/profile")};
    for (int i = 0; i < 2; i++) { /* what does not grow is taken */
        char large[2100];
        snprintf(large, sizeof large, "{\"name\":\"%0*d\"}", i == 0 ? 8 : 2000, 0);
        rest_answer(documents, &request, bytes_of_text(large), &answer);
        EXPECT_EQ(answer.status, i == 0 ? 200 : 507);
        answer_fini(&answer);
    }

    request = (struct http_request){.method = HTTP_METHOD_DELETE, .path = bytes_of_text(location)};
    rest_answer(documents, &request, (struct bytes){0}, &answer);
    EXPECT_EQ(answer.status, 200);
    answer_fini(&answer);
    request = (struct http_request){.method = HTTP_METHOD_POST, .path = BYTES("/empty")};
    for (int i = 0; i < 2; i++) {
        rest_answer(documents, &request, body, &answer);
        EXPECT_EQ(answer.status, i == 0 ? 201 : 507);
        answer_fini(&answer);
    }
    documents_destroy(documents);
    buffer_fini(&message);
}

/* ---- several workers --------------------------------------------------------------------------- */

enum { ROUNDS = 2000 };

struct party {
    pthread_t thread;
    struct mock *mock;
    bool ok;
};

/* Makes, patches, reads and deletes beside another thread doing the same, all on one collection and one
 * shared item. (cmocka's checks are for its own thread: here what fails is remembered.) */
static void *take_part(void *argument)
{
    struct party *party = argument;
    struct world world = {.mock = party->mock};
    struct fake fake;
    char location[64], patch[32];

    party->ok = mock_worker_create(party->mock, NULL, &world.counters, &world.worker) == OK;
    for (int i = 0; i < ROUNDS && party->ok; i++) {
        fake_ask(&world, &fake, (struct ask){"POST", "/empty", "{\"n\":1}"});
        snprintf(location, sizeof location, "%.*s", BYTES_PRINTF(line_value(&fake, "Location: ")));
        party->ok &= fake.status == 201;
        fake_fini(&fake);
        snprintf(patch, sizeof patch, "{\"%c%d\":1}", 'a' + i % 26, i % 7);
        fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", patch});
        party->ok &= fake.status == 200;
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"GET", "/empty"});
        party->ok &=
            fake.status == 200 && fake.body.data[0] == '[' && fake.body.data[fake.body.size - 1] == ']';
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
        party->ok &=
            fake.status == 200 && bytes_start_with(buffer_bytes(&fake.body), BYTES("{\"id\":\"1\""));
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"DELETE", location});
        party->ok &= fake.status == 200;
        fake_fini(&fake);
    }
    mock_worker_destroy(world.worker);
    return NULL;
}

TEST(workers_on_two_threads_change_and_read_the_same_documents)
{
    struct world world;
    struct party parties[2];
    struct fake fake;

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(parties); i++) {
        parties[i].mock = world.mock;
        EXPECT_EQ(pthread_create(&parties[i].thread, NULL, take_part, &parties[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(parties); i++) {
        pthread_join(parties[i].thread, NULL);
        EXPECT(parties[i].ok);
    }
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), 2 * 5 * ROUNDS);
    fake_ask(&world, &fake, (struct ask){"GET", "/empty"});
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES("[]"));
    fake_fini(&fake);
    world_close(&world);
}

struct counting {
    pthread_t thread;
    struct mock *mock;
    char prefix;
};

/* Each thread adds members of its own names to one item. */
static void *add_members(void *argument)
{
    struct counting *counting = argument;
    struct world world = {.mock = counting->mock};
    struct fake fake;
    char patch[32];

    mock_worker_create(counting->mock, NULL, &world.counters, &world.worker);
    for (int i = 0; i < 200; i++) {
        snprintf(patch, sizeof patch, "{\"%c%d\":1}", counting->prefix, i);
        fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", patch});
        fake_fini(&fake);
    }
    mock_worker_destroy(world.worker);
    return NULL;
}

TEST(no_patch_is_lost_when_two_threads_change_one_item)
{
    struct world world;
    struct counting threads[2] = {{.prefix = 'a'}, {.prefix = 'b'}};
    struct fake fake;
    char member[32];

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        threads[i].mock = world.mock;
        EXPECT_EQ(pthread_create(&threads[i].thread, NULL, add_members, &threads[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i].thread, NULL);
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
    for (int i = 0; i < 400; i++) {
        snprintf(member, sizeof member, "\"%c%d\":1", i % 2 ? 'a' : 'b', i / 2);
        EXPECT(memmem(fake.body.data, fake.body.size, member, strlen(member)) != NULL);
    }
    fake_fini(&fake);
    world_close(&world);
}

RUN_TESTS(TEST_ROW(every_place_is_read_as_json_server_reads_it),
          TEST_ROW(a_head_request_is_told_the_size_and_sent_no_body),
          TEST_ROW(an_id_longer_than_any_can_be_is_not_found_however_it_is_encoded),
          TEST_ROW(a_query_that_cannot_be_heeded_is_refused_with_why),
          TEST_ROW(a_pattern_that_takes_too_many_steps_is_given_up),
          TEST_ROW(an_answer_may_be_cached_for_as_long_as_the_options_say_if_it_was_read),
          TEST_ROW(an_entity_tag_saves_the_body_until_the_item_changes),
          TEST_ROW(requests_are_counted_for_each_place),
          TEST_ROW(a_document_that_cannot_be_served_is_refused_with_where_and_what),
          TEST_ROW(items_of_a_file_get_ids_that_are_strings),
          TEST_ROW(items_without_an_id_get_numbers_that_no_item_behind_them_has),
          TEST_ROW(the_sample_is_the_file_in_examples_and_can_be_served),
          TEST_ROW(writes_are_refused_when_there_is_no_more_room_and_taken_again_after_a_delete),
          TEST_ROW(workers_on_two_threads_change_and_read_the_same_documents),
          TEST_ROW(no_patch_is_lost_when_two_threads_change_one_item))
