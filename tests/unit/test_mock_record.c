/* links: nuthatch-mock nuthatch-client nuthatch-net nuthatch-message nuthatch-base */
/* What is recorded of an exchange is a rule that a rules file may have, that means the same request again
 * and no other, and that has none of its secrets. No disk, no network. */
#include "engine/mock/record/recorded_query.h"
#include "engine/mock/record/recorded_rule.h"
#include "engine/mock/record/slash_redirect.h"
#include "engine/mock/rules/rules_state.h"
#include "engine/mock/rules/secret_names.h"
#include "test.h"
#include <stdio.h>
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
        recorded->error = recorded_rule_answer(&secrets, &words, 200, fields, false, &recorded->answer,
                                               &recorded->left_out);
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
        {"POST", "/birds", "a=1&b=x+y&a=2&a=3", "{}", false},
        {"POST", "/birds", "a=1&b=x+y&a=2&a=1", "{}", true},
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
        {"M-SEARCH", "/", "", RECORDED_METHOD},
        {"GET", "/a/{b}", "", RECORDED_PATH},
        {"GET", "/:a", "", RECORDED_PATH},
        {"GET", "/a%2Fb", "", RECORDED_PATH},
        {"GET", "/a%00", "", RECORDED_PATH},
        {"GET", "/a//b", "", RECORDED_PATH},
        {"GET", "/%ff", "", RECORDED_PATH},
        {"GET", "/", "a=%ff", RECORDED_PARAMETERS},
        {"GET", "/", "a=%00", RECORDED_PARAMETERS},
        {"GET", "/", "%00=a", RECORDED_PARAMETERS},
        {"GET", "/__admin", "", RECORDED_ADMIN},
        {"GET", "/%5f_admin/requests", "", RECORDED_ADMIN},
        {"GET", "/__admins", "", RECORDED_OK},
        {"GET", "/a%3Fb", "", RECORDED_PATH},
        {"GET", "/", "", RECORDED_OK},
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

TEST(a_rule_recorded_without_a_body_answers_none_with_one)
{
    struct http_request request = request_of("POST", BYTES("/a"), (struct bytes){0});
    struct recorded recorded;

    record_text(&recorded, "POST", "/a", "", "");
    EXPECT(means(&recorded, &request, (struct bytes){0}));
    EXPECT(!means(&recorded, &request, BYTES("x")));
    end(&recorded);
}

TEST(names_of_parameters_are_as_long_as_yaml_takes_keys)
{
    char query[RECORDED_KEY_BYTES_MAX + 2] = "";
    struct recorded recorded;

    memset(query, 'n', RECORDED_KEY_BYTES_MAX - 2); /* the quotes */
    record_text(&recorded, "GET", "/", query, "");
    EXPECT_EQ(recorded.error, RECORDED_OK);
    end(&recorded);
    query[RECORDED_KEY_BYTES_MAX - 2] = 'n';
    record_text(&recorded, "GET", "/", query, "");
    EXPECT_EQ(recorded.error, RECORDED_PARAMETERS);
    end(&recorded);
}

/* The slow way: at each place the longest secret that is there. */
static void redact_slowly(const struct secrets *secrets, struct bytes text, struct buffer *out)
{
    while (text.size > 0) {
        size_t size = 0;
        for (size_t i = 0; i < secrets->count; i++) {
            struct bytes value =
                bytes_of(secrets->text.data + secrets->values[i].begin, secrets->values[i].size);
            if (value.size > size && bytes_start_with(text, value))
                size = value.size;
        }
        buffer_append(out, size > 0 ? BYTES(SECRET_PLACEHOLDER) : bytes_first(text, 1));
        text = bytes_after(text, size > 0 ? size : 1);
    }
}

TEST(secrets_that_overlap_are_taken_out_from_left_to_right_the_longest_first)
{
    struct http_field list[] = {{HTTP_HEADER_OTHER, BYTES("X-Mine"), BYTES("abababab")},
                                {HTTP_HEADER_OTHER, BYTES("X-Mine"), BYTES("ababababab")},
                                {HTTP_HEADER_OTHER, BYTES("X-Mine"), BYTES("babababa")},
                                {HTTP_HEADER_OTHER, BYTES("X-Mine"), BYTES("aabababa")}};
    struct http_request request = request_of("GET", BYTES("/"), (struct bytes){0});
    struct secrets secrets = {0};

    request.fields = (struct http_fields){list, COUNT_OF(list)};
    secrets_find(&secrets, &words, &request);
    srand(3);
    for (int round = 0; round < 2000; round++) {
        char text[80];
        struct buffer fast = {0}, slow = {0};
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = i > 0 && rand() % 9 != 0 ? (char)('a' + 'b' - text[i - 1]) : "ab"[rand() % 2];
        secrets_redact(&secrets, bytes_of(text, sizeof text), &fast);
        redact_slowly(&secrets, bytes_of(text, sizeof text), &slow);
        if (!bytes_equal(buffer_bytes(&fast), buffer_bytes(&slow)))
            fail_msg("%.*s: %.*s", (int)sizeof text, text, BYTES_PRINTF(buffer_bytes(&fast)));
        buffer_fini(&fast);
        buffer_fini(&slow);
    }
    secrets_fini(&secrets);
}

TEST(more_secrets_than_can_be_looked_for_are_said_to_be)
{
    char cookies[SECRETS_MAX + 1][16];
    struct http_field list[SECRETS_MAX + 1];
    struct http_request request = request_of("GET", BYTES("/"), (struct bytes){0});

    for (size_t i = 0; i < COUNT_OF(list); i++) {
        snprintf(cookies[i], sizeof cookies[i], "a=secret-%04zu", i);
        list[i] = (struct http_field){HTTP_HEADER_OTHER, BYTES("Cookie"), bytes_of_text(cookies[i])};
    }
    for (size_t count = SECRETS_MAX; count <= SECRETS_MAX + 1; count++) {
        struct secrets secrets = {0};
        request.fields = (struct http_fields){list, count};
        secrets_find(&secrets, &words, &request);
        EXPECT_EQ(secrets.are_too_many, count > SECRETS_MAX);
        secrets_fini(&secrets);
    }
}

TEST(secrets_in_urls_and_parameters_of_fields_are_taken_out)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"https://u:p@h/", "https://[redacted]@h/"},
        {"//u:p@w@h/?a=1", "//[redacted]@h/?a=1"},
        {"http://h/u:p@x", "http://h/u:p@x"},
        {"/a?x=1&token=2&y=3", "/a?x=1&token=[redacted]&y=3"},
        {"/a#access_token=2", "/a#access_token=[redacted]"},
        {"/a#/b?sig=2", "/a#/b?sig=[redacted]"},
        {"/a?a=1;pwd=2;b=3", "/a?a=1;pwd=[redacted];b=3"},
        {"/a?to%6ben=2", "/a?to%6ben=[redacted]"},
        {"token=\"a b\", c=1", "token=[redacted], c=1"},
        {"</a?key=1>; rel=next, </b?auth=2>", "</a?key=[redacted]>; rel=next, </b?auth=[redacted]>"},
        {"/a?token", "/a?token"},
        {"/keys?monkey=1", "/keys?monkey=1"},
        {"", ""},
    };
    const struct secrets none = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_field field = {HTTP_HEADER_OTHER, BYTES("Location"), bytes_of_text(cases[i].value)};
        struct buffer out = {0};
        secrets_redact_field(&none, &words, &field, &out);
        if (!bytes_equal(buffer_bytes(&out), bytes_of_text(cases[i].shown)))
            fail_msg("%s: %.*s", cases[i].value, BYTES_PRINTF(buffer_bytes(&out)));
        buffer_fini(&out);
    }
}

TEST(a_redirect_to_a_slash_more_or_less_is_known_however_it_is_written)
{
    static const struct {
        const char *path, *location;
        bool is_one;
    } cases[] = {
        {"/a", "/base/a/", true},
        {"/a/", "/base/a", true},
        {"/a", "http://h:1/base/a/?x", true},
        {"/a", "https://H:1/base/a/#x", true},
        {"/a", "//h:1/base/a/", true},
        {"/a", "a/", true},
        {"/%C3%A4", "/base/%c3%a4/", true},
        {"/a", "/base/a", false},
        {"/a", "/a/", false},
        {"/a", "http://other/base/a/", false},
        {"/a", "/base/b/", false},
        {"/a", "", false},
        {"/a/", "b", false},
        {"/a", "/base/a//", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_request request = request_of("GET", bytes_of_text(cases[i].path), (struct bytes){0});
        struct http_field field = {HTTP_HEADER_LOCATION, BYTES("Location"),
                                   bytes_of_text(cases[i].location)};
        struct http_fields fields = {&field, 1};
        if (is_slash_redirect(BYTES("http://h:1/base"), &request, 301, &fields) != cases[i].is_one)
            fail_msg("%s -> %s", cases[i].path, cases[i].location);
        EXPECT(!is_slash_redirect(BYTES("http://h:1/base"), &request, 200, &fields));
    }
}

RUN_TESTS(TEST_ROW(a_recorded_rule_means_its_request_and_no_other),
          TEST_ROW(a_secret_parameter_is_asked_for_whatever_its_value_and_stands_nowhere),
          TEST_ROW(what_a_rule_cannot_say_is_refused),
          TEST_ROW(fields_of_the_moment_and_those_that_are_no_text_are_left_out),
          TEST_ROW(rules_of_random_requests_are_read_and_mean_them),
          TEST_ROW(a_rule_recorded_without_a_body_answers_none_with_one),
          TEST_ROW(names_of_parameters_are_as_long_as_yaml_takes_keys),
          TEST_ROW(secrets_that_overlap_are_taken_out_from_left_to_right_the_longest_first),
          TEST_ROW(more_secrets_than_can_be_looked_for_are_said_to_be),
          TEST_ROW(secrets_in_urls_and_parameters_of_fields_are_taken_out),
          TEST_ROW(a_redirect_to_a_slash_more_or_less_is_known_however_it_is_written),
          TEST_ROW(secrets_of_a_request_are_taken_out_wherever_they_come_again))
