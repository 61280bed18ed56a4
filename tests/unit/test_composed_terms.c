/* links: nuthatch-compose nuthatch-gateway nuthatch-message nuthatch-base */
/* For how long a composed answer may be kept, by what its parts say. */
#include "base/compiler.h"
#include "engine/compose/composed_terms.h"
#include "test.h"

/* Monday, 30 November 2026, 12:00 */
static const int64_t now_wall_ms = INT64_C(1796040000000);

static const struct inquiry_terms for_all_60 = {.is_told = true, .is_for_all = true, .fresh_ms = 60000};
static const struct inquiry_terms for_all_short = {.is_told = true, .is_for_all = true, .fresh_ms = 1};
static const struct inquiry_terms for_all_0 = {.is_told = true, .is_for_all = true, .fresh_ms = 0};
static const struct inquiry_terms stale = {
    .is_told = true, .is_for_all = true, .is_stale = true, .fresh_ms = 60000};
static const struct inquiry_terms for_one_60 = {.is_told = true, .fresh_ms = 60000};
static const struct inquiry_terms untold = {.fresh_ms = 60000};

struct said {
    const char *lines;
    const struct inquiry_terms *told;
};

static void expect_terms(const struct said *said, size_t count, const char *wanted)
{
    struct composed_terms all = composed_terms_free;
    struct buffer line = {0};

    for (size_t i = 0; i < count; i++) {
        struct composed_terms one =
            composed_terms_of(bytes_of_text(said[i].lines), said[i].told, now_wall_ms);
        composed_terms_add(&all, &one);
    }
    composed_terms_append(&all, &line);
    EXPECT_TEXT(bytes_of(line.data + strlen("Cache-Control: "), line.size - strlen("Cache-Control: \r\n")),
                bytes_of_text(wanted));
    buffer_fini(&line);
}

TEST(one_answer_s_terms_are_what_is_left_of_them)
{
    static const struct {
        struct said said;
        const char *wanted;
    } cases[] = {
        {{"Cache-Control: max-age=100\r\nAge: 40\r\n", &for_all_60}, "max-age=60"},
        {{"Cache-Control: max-age=100\r\nAge: 99\r\n", &for_all_short}, "max-age=1"},
        {{"Cache-Control: max-age=100\r\nAge: 100\r\n", &for_all_0}, "no-cache"},
        {{"Cache-Control: s-maxage=60, max-age=5\r\n", &for_all_60}, "max-age=5, s-maxage=60"},
        {{"Cache-Control: s-maxage=60, max-age=0\r\n", &for_all_60}, "max-age=0, s-maxage=60"},
        {{"Expires: Mon, 30 Nov 2026 12:00:30 GMT\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\n", &for_all_60},
         "max-age=30, s-maxage=60"},
        {{"Expires: 0\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\n", &for_all_0}, "no-cache"},
        {{"", &for_all_60}, "max-age=60"}, /* the route's options say so */
        {{"Cache-Control: max-age=x\r\n", &for_all_0}, "no-cache"},
        {{"Cache-Control: no-cache, max-age=100\r\n", &for_all_60}, "no-cache"},
        {{"Cache-Control: max-age=100\r\n", &stale}, "no-cache"},
        {{"Cache-Control: max-age=100\r\nVary: Accept, *\r\n", &for_all_60}, "no-cache"},
        {{"Cache-Control: max-age=100\r\nVary: Accept\r\n", &for_all_60}, "max-age=100, s-maxage=60"},
        {{"Cache-Control: no-store\r\n", &for_all_60}, "no-store"},
        {{"Cache-Control: max-age=60\r\n", &untold}, "no-store"},
        {{"Cache-Control: private, max-age=60\r\n", &for_one_60}, "private, max-age=60"},
        {{"Cache-Control: max-age=60, must-revalidate\r\n", &for_all_60}, "max-age=60, must-revalidate"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_terms(&cases[i].said, 1, cases[i].wanted);
}

TEST(of_several_the_least_counts)
{
    expect_terms((struct said[]){{"Cache-Control: max-age=90, s-maxage=60\r\n", &for_all_60},
                                 {"Cache-Control: max-age=70\r\n", &for_all_short}},
                 2, "max-age=70, s-maxage=1");
    expect_terms((struct said[]){{"Cache-Control: max-age=60\r\n", &for_all_60},
                                 {"Cache-Control: private, max-age=50\r\n", &for_one_60}},
                 2, "private, max-age=50");
    expect_terms((struct said[]){{"Cache-Control: max-age=60\r\n", &for_all_60},
                                 {"Cache-Control: no-store\r\n", &for_one_60}},
                 2, "no-store");
    expect_terms((struct said[]){{"Cache-Control: max-age=60\r\n", &for_all_60},
                                 {"Cache-Control: max-age=60, proxy-revalidate\r\n", &for_all_60}},
                 2, "max-age=60, must-revalidate");
}

RUN_TESTS(TEST_ROW(one_answer_s_terms_are_what_is_left_of_them), TEST_ROW(of_several_the_least_counts))
