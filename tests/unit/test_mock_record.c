/* links: nuthatch-mock nuthatch-client nuthatch-net nuthatch-message nuthatch-base */
/* What is recorded of an exchange is a rule that a rules file may have, that means the same request again
 * and no other, and that has none of its secrets. No disk, no network. */
#include "engine/mock/record/recorded_rule.h"
#include "engine/mock/rules/rules_state.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>

static const char *const more_secrets[] = {"X-Mine"};
static const struct secret_words words = {(char *const *)(uintptr_t)more_secrets, 1};

struct recorded {
    struct buffer file, name, match, answer, message;
    struct rules rules;
    enum recorded_error error;
    size_t left_out;
};

static struct http_request request_of(const char *method, struct bytes path, struct bytes query)
{
    return (struct http_request){.method_name = bytes_of_text(method),
                                 .method = http_method_find(bytes_of_text(method)),
                                 .path = path,
                                 .query = query,
                                 .has_query = query.size > 0};
}

/* Records, and reads the rule; the caller ends it. */
static void record(struct recorded *recorded, const struct http_request *request, struct bytes body,
                   const struct http_fields *fields)
{
    struct secrets secrets = {0};

    *recorded = (struct recorded){0};
    secrets_find(&secrets, &words, request);
    recorded->error = recorded_rule_head(&words, request, body, &recorded->name, &recorded->match);
    if (recorded->error == RECORDED_OK)
        recorded->error =
            recorded_rule_answer(&secrets, &words, 200, fields, &recorded->answer, &recorded->left_out);
    secrets_fini(&secrets);
    if (recorded->error != RECORDED_OK)
        return;
    buffer_append_literal(&recorded->file, "rules:\n");
    buffer_append(&recorded->file, buffer_bytes(&recorded->name));
    buffer_append(&recorded->file, buffer_bytes(&recorded->match));
    buffer_append_literal(&recorded->file, "    answer:\n");
    buffer_append(&recorded->file, buffer_bytes(&recorded->answer));
    buffer_append_literal(&recorded->file, "        template: false\n");
    if (rules_read(&recorded->rules, "rules.yaml", buffer_bytes(&recorded->file), &recorded->message) != OK)
        fail_msg("%.*s\n%.*s", BYTES_PRINTF(buffer_bytes(&recorded->message)),
                 BYTES_PRINTF(buffer_bytes(&recorded->file)));
}

static void end(struct recorded *recorded)
{
    rules_fini(&recorded->rules);
    buffer_fini(&recorded->file);
    buffer_fini(&recorded->name);
    buffer_fini(&recorded->match);
    buffer_fini(&recorded->answer);
    buffer_fini(&recorded->message);
}

static bool means(const struct recorded *recorded, const struct http_request *request, struct bytes body)
{
    struct request_view view = {.request = request, .body = body};
    bool holds = matcher_holds(&recorded->rules.rules[0].matcher, &view, NULL);

    request_view_fini(&view);
    return holds;
}

static void record_text(struct recorded *recorded, const char *method, const char *path, const char *query,
                        const char *body)
{
    struct http_request request = request_of(method, bytes_of_text(path), bytes_of_text(query));

    record(recorded, &request, bytes_of_text(body), &(struct http_fields){0});
}

TEST(a_recorded_rule_means_its_request_and_no_other)
{
    static const struct {
        const char *method, *path, *query, *body;
        bool is_meant;
    } cases[] = {
        {"POST", "/birds", "a=1&b=x+y&a=2", "{}", true},
        {"POST", "/birds/", "a=1&b=x%20y&a=2", "{}", true},
        {"POST", "/birds", "b=x+y&a=2&a=1", "{}", true},
        {"POST", "/birds", "a=1&b=x+y", "{}", false},
        {"POST", "/birds", "a=1&b=x+y&a=2&c=", "{}", false},
        {"POST", "/birds", "a=1&b=x+y&a=2", "{} ", false},
        {"POST", "/birds", "a=1&b=x+y&a=2", "", false},
        {"PUT", "/birds", "a=1&b=x+y&a=2", "{}", false},
        {"POST", "/birds/1", "a=1&b=x+y&a=2", "{}", false},
        {"POST", "/birds", "", "{}", false},
    };
    struct recorded recorded;

    record_text(&recorded, "POST", "/birds", "a=1&b=x+y&a=2", "{}");
    EXPECT_EQ(recorded.error, RECORDED_OK);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_request request =
            request_of(cases[i].method, bytes_of_text(cases[i].path), bytes_of_text(cases[i].query));
        EXPECT_EQ(means(&recorded, &request, bytes_of_text(cases[i].body)), cases[i].is_meant);
    }
    end(&recorded);
}

TEST(a_secret_parameter_is_asked_for_whatever_its_value_and_stands_nowhere)
{
    struct recorded recorded;
    struct http_request other = request_of("GET", BYTES("/a"), BYTES("x=1&API_key=other&x-mine=y"));
    struct http_request without = request_of("GET", BYTES("/a"), BYTES("x=1&x-mine=y"));

    record_text(&recorded, "GET", "/a", "x=1&API_key=swordfish&x-mine=tuna", "");
    EXPECT(memmem(recorded.file.data, recorded.file.size, "swordfish", 9) == NULL);
    EXPECT(memmem(recorded.file.data, recorded.file.size, "tuna", 4) == NULL);
    EXPECT(means(&recorded, &other, (struct bytes){0}));
    EXPECT(!means(&recorded, &without, (struct bytes){0}));
    end(&recorded);
}

TEST(what_a_rule_cannot_say_is_refused)
{
    static const struct {
        const char *method, *path, *query;
        enum recorded_error error;
    } cases[] = {
        {"M-SEARCH", "/", "", RECORDED_METHOD}, {"GET", "/a/{b}", "", RECORDED_PATH},
        {"GET", "/:a", "", RECORDED_PATH},      {"GET", "/a%2Fb", "", RECORDED_PATH},
        {"GET", "/a%00", "", RECORDED_PATH},    {"GET", "/a//b", "", RECORDED_PATH},
        {"GET", "/%ff", "", RECORDED_PATH},     {"GET", "/", "a=%ff", RECORDED_PARAMETERS},
        {"GET", "/a%3Fb", "", RECORDED_PATH},   {"GET", "/", "", RECORDED_OK},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recorded recorded;
        record_text(&recorded, cases[i].method, cases[i].path, cases[i].query, "");
        EXPECT_EQ(recorded.error, cases[i].error);
        end(&recorded);
    }
}

TEST(fields_of_the_moment_and_those_that_are_no_text_are_left_out)
{
    struct http_field list[] = {{HTTP_HEADER_DATE, BYTES("Date"), BYTES("now")},
                                {HTTP_HEADER_AGE, BYTES("Age"), BYTES("1")},
                                {HTTP_HEADER_OTHER, BYTES("X-Latin"), BYTES("\xe9")},
                                {HTTP_HEADER_OTHER, BYTES("X-A"), BYTES("1: \"2\" \\ # {{now}}")},
                                {HTTP_HEADER_OTHER, BYTES("x-a"), BYTES("\xc2\x80\xef\xbf\xbe")},
                                {HTTP_HEADER_OTHER, BYTES("X-Delete"), BYTES("\x7f")},
                                {HTTP_HEADER_OTHER, BYTES("No"), BYTES("")}};
    struct http_request request = request_of("GET", BYTES("/"), (struct bytes){0});
    struct recorded recorded;
    const struct rule_answer *answer;

    record(&recorded, &request, (struct bytes){0}, &(struct http_fields){list, COUNT_OF(list)});
    EXPECT_EQ(recorded.error, RECORDED_OK);
    EXPECT_EQ(recorded.left_out, 2);
    answer = &recorded.rules.rules[0].answers[0];
    EXPECT(rule_answer_has_field(answer, BYTES("No")));
    EXPECT(!rule_answer_has_field(answer, BYTES("Date")));
    EXPECT(!rule_answer_has_field(answer, BYTES("Age")));
    EXPECT_EQ(answer->field_count, 3);
    end(&recorded);
}

/* Whatever comes: the rule can be read, and means the request. */
TEST(rules_of_random_requests_are_read_and_mean_them)
{
    static const char bytes[] = "ab:/{}?&=+%20%7f%c2%80\"\\'#,[]* -~%e2%80%a8%ef%bb%bf%f0%9f%90%a6%0a";

    srand(7);
    for (int round = 0; round < 3000; round++) {
        char path[32] = "/", query[40];
        size_t path_size = 1, query_size = 0;
        struct http_request request;
        struct recorded recorded;
        for (int i = rand() % 6; i > 0; i--) {
            size_t at = (size_t)rand() % (sizeof bytes - 4);
            size_t size = bytes[at] == '%' ? 3 : 1;
            if (bytes[at] == '%' || strchr("/?#\"\\ ", bytes[at]) == NULL) {
                memcpy(path + path_size, bytes + at, size);
                path_size += size;
            }
        }
        for (int i = rand() % 10; i > 0; i--) {
            size_t at = (size_t)rand() % (sizeof bytes - 4);
            size_t size = bytes[at] == '%' ? 3 : 1;
            memcpy(query + query_size, bytes + at, size);
            query_size += size;
        }
        request = request_of("GET", bytes_of(path, path_size), bytes_of(query, query_size));
        record(&recorded, &request, BYTES("x"), &(struct http_fields){0});
        if (recorded.error == RECORDED_OK && !means(&recorded, &request, BYTES("x")))
            fail_msg("round %d: %.*s?%.*s\n%.*s", round, (int)path_size, path, (int)query_size, query,
                     BYTES_PRINTF(buffer_bytes(&recorded.file)));
        end(&recorded);
    }
}

TEST(secrets_of_a_request_are_taken_out_wherever_they_come_again)
{
    struct http_field list[] = {{HTTP_HEADER_OTHER, BYTES("Authorization"), BYTES("Bearer abcdefgh")},
                                {HTTP_HEADER_OTHER, BYTES("Cookie"), BYTES("a=longer-than-8; b=short")}};
    struct http_request request = request_of("GET", BYTES("/"), BYTES("token=a%2Bbcdefgh"));
    struct secrets secrets = {0};
    struct buffer out = {0};

    request.fields = (struct http_fields){list, COUNT_OF(list)};
    secrets_find(&secrets, &words, &request);
    EXPECT(secrets_redact(&secrets, BYTES("<abcdefgh> longer-than-8 short a+bcdefgh a%2Bbcdefgh"), &out));
    EXPECT(bytes_equal(buffer_bytes(&out), BYTES("<[redacted]> [redacted] short [redacted] [redacted]")));
    buffer_clear(&out);
    EXPECT(!secrets_redact(&secrets, BYTES("nothing"), &out));
    buffer_fini(&out);
    secrets_fini(&secrets);
}

RUN_TESTS(TEST_ROW(a_recorded_rule_means_its_request_and_no_other),
          TEST_ROW(a_secret_parameter_is_asked_for_whatever_its_value_and_stands_nowhere),
          TEST_ROW(what_a_rule_cannot_say_is_refused),
          TEST_ROW(fields_of_the_moment_and_those_that_are_no_text_are_left_out),
          TEST_ROW(rules_of_random_requests_are_read_and_mean_them),
          TEST_ROW(secrets_of_a_request_are_taken_out_wherever_they_come_again))
