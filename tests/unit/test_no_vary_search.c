/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* Which parameters of the query an answer does not depend on. */
#include "base/compiler.h"
#include "engine/gateway/policy/no_vary_search.h"
#include "test.h"

static void expect_canonical(const char *field, const char *query, const char *wanted)
{
    struct search_variance variance;
    char text[256];
    size_t size;

    EXPECT(search_variance_of(bytes_of_text(field), &variance));
    EXPECT(search_canonical(&variance, bytes_of_text(query), text, sizeof text, &size));
    if (!bytes_equal(bytes_of(text, size), bytes_of_text(wanted)))
        fail_msg("%s of %s is %.*s", field, query, (int)size, text);
}

TEST(what_counts_of_a_query_has_one_spelling)
{
    static const struct {
        const char *field, *query, *wanted;
    } cases[] = {
        {"params", "a=1&b=2", ""},
        {"params", "", ""},
        {"params=(\"a\")", "a=1&b=2&a", "b=2&"},
        {"params=(\"a\")", "&&b&&%61", "b=&"},
        {"params=(\"a\")", "b=%41+%20%2b&c=%zz", "b=A%20%20%2B&c=%25zz&"},
        {"params=(\"a\")", "b=1=2&=3", "b=1%3D2&=3&"},
        {"params=(\"a\\\"b\" \"c+d\" \"%65\")", "a%22b&c%20d&c+d&c%2Bd&e&f", "c%2Bd=&f=&"},
        {"params=(\"\")", "=1&a", "a=&"},
        {"params, except=(\"a\")", "b=2&a=1&a=0", "a=1&a=0&"},
        {"params, except=()", "a", ""},
        {"params=?1;x=1, z=(a b)", "a", ""},
        {"key-order", "b&a=2&a=1", "a=2&a=1&b=&"},
        {"key-order=?1, params=(\"b\")", "c&b&a", "a=&c=&"},
        {"params=(\"a\"), params=(\"b\")", "a&b", "a=&"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_canonical(cases[i].field, cases[i].query, cases[i].wanted);
}

TEST(what_is_no_valid_field_says_nothing)
{
    static const char *const fields[] = {
        "",
        "params=a",
        "params=\"a\"",
        "params=(a)",
        "params=(\"a\" 1)",
        "params=1",
        "params=?0",
        "params=()",
        "params=(\"a\"",
        "params,",
        "PARAMS",
        "*",
        "unknown",
        "key-order=?0",
        "key-order=1",
        "key-order=()",
        "except=(\"a\")",
        "except=()",
        "params, key-order=\"x\"",
        "params, except",
        "params, except=(a)",
        "params, except=\"a\"",
        "params=?0, except=(\"a\")",
        "params=(\"a\"), except=(\"b\")",
        "params=(\"\xc3\xa9\")",
    };
    struct search_variance variance;

    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (search_variance_of(bytes_of_text(fields[i]), &variance))
            fail_msg("%s", fields[i]);
}

TEST(what_is_too_much_is_said_to_be)
{
    static char many[2 * (256 + 1)];
    struct search_variance variance;
    char text[2048];
    size_t size;

    EXPECT(search_variance_of(BYTES("key-order"), &variance));
    for (size_t i = 0; i < sizeof many; i += 2)
        memcpy(many + i, "a&", 2);
    EXPECT(search_canonical(&variance, bytes_of(many, 512), text, sizeof text, &size));
    EXPECT(!search_canonical(&variance, bytes_of(many, 514), text, sizeof text, &size));
    for (size_t capacity = 0; capacity < 6; capacity++)
        EXPECT(!search_canonical(&variance, BYTES("a=%00"), text, capacity, &size));
}

RUN_TESTS(TEST_ROW(what_counts_of_a_query_has_one_spelling), TEST_ROW(what_is_no_valid_field_says_nothing),
          TEST_ROW(what_is_too_much_is_said_to_be))
