/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* What a request to the collections may touch, take and cost. */
#include "engine/mock/collections/documents_state.h"
#include "engine/mock/json/json_text.h"
#include "rest_ask.h"
#include <stdio.h>
#include <stdlib.h>

static struct documents *make(struct bytes json, enum compat compat, size_t growth_bytes_max)
{
    struct documents_options options = {.compat = compat, .growth_bytes_max = growth_bytes_max};
    struct buffer message = {0};
    struct documents *documents = NULL;

    if (documents_create(json, &options, &documents, &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    buffer_fini(&message);
    return documents;
}

/* Asks, and compares the answer's text if `text` is not null. */
static void expect(struct documents *documents, const char *method, const char *target, const char *body,
                   int status, const char *text)
{
    struct answer answer;

    rest_ask(documents, method, target, body, status, &answer);
    if (text != NULL)
        EXPECT_TEXT(text_bytes(answer.text), bytes_of_text(text));
    answer_fini(&answer);
}

/* ---- what goes with a removed item ------------------------------------------------------------- */

/* bs/2 goes with as/1 and, by way of bs/1 and cs/1, a second time. */
static const char ring[] =
    "{\"as\":[{\"id\":\"1\"}],"
    "\"bs\":[{\"id\":\"1\",\"aId\":\"1\"},{\"id\":\"2\",\"aId\":\"1\",\"cId\":\"1\"},"
    "{\"id\":\"3\",\"aId\":\"2\"}],"
    "\"cs\":[{\"id\":\"1\",\"bId\":\"1\"},{\"id\":\"2\",\"bId\":\"3\"}]}";

TEST(an_item_that_goes_for_two_reasons_goes_once)
{
    static const struct {
        enum compat compat;
        const char *target;
    } cases[] = {{COMPAT_0_17, "/as/1"}, {COMPAT_1, "/as/1?_dependent=bs,cs"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct documents *documents = make(bytes_of_text(ring), cases[i].compat, 1 << 20);
        expect(documents, "DELETE", cases[i].target, "", 200, NULL);
        expect(documents, "GET", "/db", "", 200,
               "{\"as\":[],\"bs\":[{\"id\":\"3\",\"aId\":\"2\"}],\"cs\":[{\"id\":\"2\",\"bId\":\"3\"}]}");
        documents_destroy(documents);
    }
}

TEST(items_that_refer_to_each_other_go_together)
{
    static const char circle[] = "{\"as\":[{\"id\":\"1\",\"bId\":\"1\"},{\"id\":\"2\",\"bId\":\"1\"}],"
                                 "\"bs\":[{\"id\":\"1\",\"aId\":\"1\"},{\"id\":\"2\",\"aId\":\"2\"}]}";
    struct documents *documents = make(bytes_of_text(circle), COMPAT_0_17, 1 << 20);

    expect(documents, "DELETE", "/as/1", "", 200, NULL);
    expect(documents, "GET", "/db", "", 200, "{\"as\":[],\"bs\":[]}");
    documents_destroy(documents);
}

TEST(a_chain_of_items_goes_to_its_end_however_long)
{
    enum { LINKS = 60 };
    struct buffer json = {0}, wanted = {0};
    struct documents *documents;

    for (int i = 0; i < LINKS; i++) { /* r1s/1 refers to r0s/1, and so on */
        buffer_append_format(&json, "%s\"r%ds\":[{\"id\":\"1\",\"r%dId\":\"1\"}]", i == 0 ? "{" : ",", i,
                             i - 1);
        buffer_append_format(&wanted, "%s\"r%ds\":[]", i == 0 ? "{" : ",", i);
    }
    buffer_append_literal(&json, "}");
    buffer_append(&wanted, bytes_of("}\0", 2));
    documents = make(buffer_bytes(&json), COMPAT_0_17, 1 << 20);
    expect(documents, "DELETE", "/r0s/1", "", 200, NULL);
    expect(documents, "GET", "/db", "", 200, wanted.data);
    documents_destroy(documents);
    buffer_fini(&json);
    buffer_fini(&wanted);
}

/* Every second of 400 children goes, or loses its parent; with indexes and without. */
TEST(many_items_that_go_at_once_leave_the_others_in_order)
{
    enum { CHILDREN = 400 };

    for (int round = 0; round < 4; round++) {
        bool removes = round & 1, has_indexes = round & 2;
        struct buffer json = {0}, wanted = {0}, kind = {0};
        struct documents *documents;
        int wanted_count = 0, kind_count = 0;

        buffer_append_literal(&json, "{\"as\":[{\"id\":\"1\"},{\"id\":\"2\"}],\"bs\":[");
        buffer_append_byte(&wanted, '[');
        buffer_append_byte(&kind, '[');
        for (int i = 0; i < CHILDREN; i++) {
            const char *parent = i % 2 == 0 ? "\"2\"" : i % 3 == 0 ? "1" : "\"1\"";
            const char *left = i % 2 == 0 ? parent : "null";
            buffer_append_format(&json, "%s{\"id\":\"%d\",\"aId\":%s,\"kind\":%d}", i == 0 ? "" : ",", i,
                                 parent, i % 5);
            if (i % 2 != 0 && removes)
                continue;
            buffer_append_format(&wanted, "%s{\"id\":\"%d\",\"aId\":%s,\"kind\":%d}",
                                 wanted_count++ == 0 ? "" : ",", i, left, i % 5);
            if (i % 5 == 3)
                buffer_append_format(&kind, "%s{\"id\":\"%d\",\"aId\":%s,\"kind\":%d}",
                                     kind_count++ == 0 ? "" : ",", i, left, i % 5);
        }
        buffer_append_literal(&json, "]}");
        buffer_append(&wanted, bytes_of("]\0", 2));
        buffer_append(&kind, bytes_of("]\0", 2));
        documents = make(buffer_bytes(&json), COMPAT_1, 1 << 20);
        if (has_indexes)
            expect(documents, "GET", "/bs?kind=9&aId=9", "", 200, "[]");
        expect(documents, "DELETE", removes ? "/as/1?_dependent=bs" : "/as/1", "", 200, NULL);
        expect(documents, "GET", "/bs", "", 200, wanted.data);
        expect(documents, "GET", "/bs?kind=3", "", 200, kind.data);
        expect(documents, "GET", "/bs?aId=1", "", 200, "[]");
        expect(documents, "GET", "/bs/3", "", removes ? 404 : 200, NULL);
        documents_destroy(documents);
        buffer_fini(&json);
        buffer_fini(&wanted);
        buffer_fini(&kind);
    }
}

/* ---- ids of our choice ------------------------------------------------------------------------- */

TEST(a_number_that_is_an_items_id_as_text_is_not_given_again)
{
    struct documents *documents =
        make(BYTES("{\"posts\":[{\"id\":1},{\"id\":\"2\"},{\"id\":\"3\"},{\"id\":\"05\"}]}"), COMPAT_0_17,
             1 << 20);

    expect(documents, "POST", "/posts", "{}", 201, "{\"id\":4}");
    expect(documents, "POST", "/posts", "{}", 201, "{\"id\":5}");
    expect(documents, "DELETE", "/posts/5", "", 200, NULL);
    expect(documents, "DELETE", "/posts/4", "", 200, NULL);
    expect(documents, "POST", "/posts", "{}", 201, "{\"id\":4}");
    documents_destroy(documents);
}

TEST(an_item_of_a_file_gets_a_number_that_is_free)
{
    struct documents *documents =
        make(BYTES("{\"posts\":[{\"id\":\"1\"},{},{\"id\":\"3\"},{}]}"), COMPAT_0_17, 1 << 20);

    expect(documents, "GET", "/posts", "", 200, "[{\"id\":\"1\"},{\"id\":4},{\"id\":\"3\"},{\"id\":5}]");
    documents_destroy(documents);
}

TEST(where_no_number_is_left_ids_are_random)
{
    struct documents *documents =
        make(BYTES("{\"posts\":[{\"id\":9223372036854775806},{\"id\":\"9223372036854775807\"},{}]}"),
             COMPAT_0_17, 1 << 20);
    struct answer answer;

    for (int i = 0; i < 3; i++) { /* seven characters, in quotes */
        rest_ask(documents, "POST", "/posts", "{\"x\":1}", 201, &answer);
        EXPECT_EQ(answer.text->size, strlen("{\"x\":1,\"id\":\"1234567\"}"));
        answer_fini(&answer);
    }
    documents_destroy(documents);
    documents = make(BYTES("{\"posts\":[{\"id\":9223372036854775807},{\"x\":1}]}"), COMPAT_0_17, 1 << 20);
    expect(documents, "GET", "/posts/9223372036854775807", "", 200, NULL);
    rest_ask(documents, "GET", "/posts?x=1", "", 200, &answer);
    EXPECT_EQ(answer.text->size, strlen("[{\"x\":1,\"id\":\"1234567\"}]"));
    answer_fini(&answer);
    documents_destroy(documents);
}

/* ---- bytes that are held ----------------------------------------------------------------------- */

TEST(documents_that_grew_beyond_their_bound_take_no_more)
{
    enum { COMMENTS = 100 };
    struct buffer json = {0};
    struct documents *documents;

    buffer_append_literal(&json, "{\"posts\":[{\"id\":\"1\"}],\"note\":{\"text\":\"\"},\"comments\":[");
    for (int i = 0; i < COMMENTS; i++)
        buffer_append_format(&json, "%s{\"id\":\"%d\",\"postId\":1}", i == 0 ? "" : ",", i);
    buffer_append_literal(&json, "]}");
    documents = make(buffer_bytes(&json), COMPAT_1, 10);
    expect(documents, "DELETE", "/posts/1", "", 200, NULL); /* 1 becomes null: three bytes more, each */
    expect(documents, "GET", "/comments/7", "", 200, "{\"id\":\"7\",\"postId\":null}");
    expect(documents, "POST", "/posts", "{}", 507, NULL);
    expect(documents, "PATCH", "/note", "{\"text\":\"longer\"}", 507, NULL);
    expect(documents, "PATCH", "/comments/7", "{\"postId\":\"12345678\"}", 507, NULL);
    expect(documents, "PATCH", "/comments/7", "{\"postId\":7}", 200, NULL); /* which is less */
    for (int i = 10; i < 20; i++) {
        char target[32];
        snprintf(target, sizeof target, "/comments/%d", i);
        expect(documents, "DELETE", target, "", 200, NULL);
    }
    expect(documents, "POST", "/posts", "{}", 201, NULL);
    documents_destroy(documents);
    buffer_fini(&json);
}

/* ---- what a query may cost --------------------------------------------------------------------- */

/* "as": `count` items with a text of `size` bytes that are all `c`. */
static struct documents *make_texts(int count, int size, char c, enum compat compat)
{
    struct buffer json = {0};
    struct documents *documents;

    buffer_append_literal(&json, "{\"as\":[");
    for (int i = 0; i < count; i++) {
        buffer_append_format(&json, "%s{\"id\":\"%d\",\"t\":\"", i == 0 ? "" : ",", i);
        for (int k = 0; k < size; k++)
            buffer_append_byte(&json, c);
        buffer_append_literal(&json, "\"}");
    }
    buffer_append_literal(&json, "]}");
    documents = make(buffer_bytes(&json), compat, 1 << 20);
    buffer_fini(&json);
    return documents;
}

TEST(a_query_gives_up_when_all_that_it_looks_at_is_too_much)
{
    static const struct {
        const char *query;
        uint64_t step_count; /* that it may take */
        enum err err;
    } cases[] = {
        {"t_like=ab", 20000, OK},
        {"t_like=^a*$&t_ne=x", 40000, OK},
        {"q=x", 20000, OK},
        {"t_like=a{3}&_sort=t", 100000, OK},
        {"t_like=(a*)(a*)[bc]", 1000000, ERR_RANGE}, /* while each match alone would be allowed */
        {"t_like=a*a{200}[bc]", 1000000, ERR_RANGE},
        {"t_ne=x&t_ne=y&t_gte=x&t_gte=y", 3000, ERR_RANGE},
        {"q=x", 2000, ERR_RANGE},
    };
    struct documents *documents = make_texts(1000, 300, 'a', COMPAT_0_17);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer message = {0};
        struct text *text = NULL;
        struct query query;
        struct found found;
        enum err err;
        EXPECT_EQ(query_parse(bytes_of_text(cases[i].query), COMPAT_0_17, BYTES("id"), &query, &message),
                  OK);
        query.step_count = QUERY_STEPS_MAX - cases[i].step_count;
        err = documents_list(documents, BYTES("as"), &query, &text, &found);
        if (err != cases[i].err)
            fail_msg("%s: %s", cases[i].query, err_text(err));
        text_release(text);
        query_fini(&query);
        buffer_fini(&message);
    }
    documents_destroy(documents);
}

TEST(a_query_that_takes_too_many_steps_is_refused_with_why)
{
    struct documents *documents = make_texts(100, 4000, 'a', COMPAT_1);
    struct answer answer;

    rest_ask(documents, "GET", "/as?t_like=a*a{3900}[bc]", "", 400, &answer);
    EXPECT(memmem(answer.text->data, answer.text->size, BYTES("too many steps").data, 14) != NULL);
    answer_fini(&answer);
    documents_destroy(documents);
}

/* ---- what an answer may hold ------------------------------------------------------------------- */

TEST(an_answer_that_repeats_what_is_embedded_too_often_is_refused_with_what_to_do)
{
    enum { POSTS = 80, NAME_BYTES = 1000000 };
    struct buffer json = {0};
    struct documents *documents;
    struct answer answer;

    buffer_append_literal(&json, "{\"users\":[{\"id\":\"1\",\"name\":\"");
    memset(buffer_reserve(&json, NAME_BYTES), 'a', NAME_BYTES);
    buffer_commit(&json, NAME_BYTES);
    buffer_append_literal(&json, "\"}],\"posts\":[");
    for (int i = 0; i < POSTS; i++)
        buffer_append_format(&json, "%s{\"id\":\"%d\",\"userId\":\"1\"}", i == 0 ? "" : ",", i);
    buffer_append_literal(&json, "]}");
    documents = make(buffer_bytes(&json), COMPAT_1, 1 << 20);
    rest_ask(documents, "GET", "/posts?_embed=user", "", 400, &answer);
    EXPECT(memmem(answer.text->data, answer.text->size, "_limit", 6) != NULL);
    answer_fini(&answer);
    rest_ask(documents, "GET", "/posts?_embed=user&_limit=60", "", 200, &answer);
    EXPECT(answer.text->size > 60 * (size_t)NAME_BYTES);
    answer_fini(&answer);
    documents_destroy(documents);
    buffer_fini(&json);
}

/* ---- names ------------------------------------------------------------------------------------- */

TEST(an_id_that_cannot_stand_in_json_is_refused)
{
    static const char *const bodies[] = {"", "{}"};

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct documents *documents = make(bytes_of_text(ring), COMPAT_0_17, 1 << 20);
        expect(documents, "POST", "/as/%9c/bs", bodies[i], 400, NULL);
        expect(documents, "POST", "/as/%c3%a9%00/bs", bodies[i], 201, NULL);
        expect(documents, "GET", "/as/%9c", "", 404, NULL);
        expect(documents, "GET", "/as/%9c/bs?_page=1", "", 200, "[]");
        expect(documents, "DELETE", "/as/%9c", "", 404, NULL);
        documents_destroy(documents);
    }
}

TEST(numbers_of_any_size_cut_a_list_somewhere)
{
    static const char *const numbers[] = {"9223372036854775807",
                                          "-9223372036854775808",
                                          "99999999999999999999999",
                                          "-99999999999999999999999",
                                          "0",
                                          "-0",
                                          "%00",
                                          "%9c",
                                          "1e9",
                                          "+"};
    static const char *const words[] = {"_page", "_limit", "_per_page", "_start", "_end"};
    char target[128];

    for (int compat = 0; compat < 2; compat++) {
        struct documents *documents =
            make(bytes_of_text(ring), compat == 0 ? COMPAT_0_17 : COMPAT_1, 1 << 20);
        for (size_t i = 0; i < COUNT_OF(numbers) * COUNT_OF(numbers); i++)
            for (size_t k = 0; k < COUNT_OF(words) * COUNT_OF(words); k++) {
                struct answer answer;
                snprintf(target, sizeof target, "/bs?%s=%s&%s=%s", words[k % COUNT_OF(words)],
                         numbers[i % COUNT_OF(numbers)], words[k / COUNT_OF(words)],
                         numbers[i / COUNT_OF(numbers)]);
                rest_ask(documents, "GET", target, "", 200, &answer);
                EXPECT(answer.text->size <= 512);
                answer_fini(&answer);
            }
        documents_destroy(documents);
    }
}

TEST(a_condition_in_json_has_bounds)
{
    static const struct {
        const char *begin, *each, *middle, *each_end, *end;
        int fit_count;
    } cases[] = {
        {"{\"or\":[", "{\"a\":{\"eq\":1}},", "{}", "", "]}", 30},
        {"{\"a\":{\"in\":[", "\"x\",", "1e9", "", "]}}", 30},
        {"", "{\"a\":", "{\"eq\":1}", "}", "", 10},
        {"", "{\"or\":[", "{}", "]}", "", 10},
        {"", "{\"a\":", "1", "}", "", 0},
    };
    struct documents *documents = make(bytes_of_text(ring), COMPAT_1, 1 << 20);
    struct buffer query = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int count = 10; count <= 3000; count *= count < 100 ? 3 : 10) {
            struct http_request request = {.method = HTTP_METHOD_GET, .path = BYTES("/bs")};
            struct answer answer;
            buffer_clear(&query);
            buffer_append_literal(&query, "_where=");
            buffer_append(&query, bytes_of_text(cases[i].begin));
            for (int k = 0; k < count; k++)
                buffer_append(&query, bytes_of_text(cases[i].each));
            buffer_append(&query, bytes_of_text(cases[i].middle));
            for (int k = 0; k < count; k++)
                buffer_append(&query, bytes_of_text(cases[i].each_end));
            buffer_append(&query, bytes_of_text(cases[i].end));
            request.query = buffer_bytes(&query);
            rest_answer(documents, &request, (struct bytes){0}, &answer);
            EXPECT_EQ(answer.status, count <= cases[i].fit_count ? 200 : 400);
            answer_fini(&answer);
        }
    buffer_fini(&query);
    documents_destroy(documents);
}

TEST(a_name_that_no_member_can_have_is_refused)
{
    static const char *const targets[] = {"/as?_embed=b%00s", "/as?_embed=b%9cs", "/as/1?_expand=%c3",
                                          "/as?_sort=-%00", "/as?_embed=bs,%ed%a0%80"};

    for (int compat = 0; compat < 2; compat++) {
        struct documents *documents =
            make(bytes_of_text(ring), compat == 0 ? COMPAT_0_17 : COMPAT_1, 1 << 20);
        for (size_t i = 0; i < COUNT_OF(targets); i++)
            expect(documents, "GET", targets[i], "", 400, NULL);
        expect(documents, "GET", "/as/1?_expand=%c3%a9", "", 200, NULL);
        documents_destroy(documents);
    }
}

RUN_TESTS(TEST_ROW(an_item_that_goes_for_two_reasons_goes_once),
          TEST_ROW(items_that_refer_to_each_other_go_together),
          TEST_ROW(a_chain_of_items_goes_to_its_end_however_long),
          TEST_ROW(many_items_that_go_at_once_leave_the_others_in_order),
          TEST_ROW(a_number_that_is_an_items_id_as_text_is_not_given_again),
          TEST_ROW(an_item_of_a_file_gets_a_number_that_is_free),
          TEST_ROW(where_no_number_is_left_ids_are_random),
          TEST_ROW(documents_that_grew_beyond_their_bound_take_no_more),
          TEST_ROW(a_query_gives_up_when_all_that_it_looks_at_is_too_much),
          TEST_ROW(a_query_that_takes_too_many_steps_is_refused_with_why),
          TEST_ROW(an_answer_that_repeats_what_is_embedded_too_often_is_refused_with_what_to_do),
          TEST_ROW(an_id_that_cannot_stand_in_json_is_refused),
          TEST_ROW(numbers_of_any_size_cut_a_list_somewhere), TEST_ROW(a_condition_in_json_has_bounds),
          TEST_ROW(a_name_that_no_member_can_have_is_refused))
