/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* What of a request its key is made of, as a route says. */
#include "base/compiler.h"
#include "engine/gateway/policy/key_rule.h"
#include "http_text.h"
#include "test.h"

/* For the policies, whose lists are only read. */
#define TEXT(literal) ((char[]){literal})

static void expect_query(const struct route_policy *policy, const char *query, const char *wanted)
{
    char text[256];
    size_t size;

    EXPECT(key_query(policy, bytes_of_text(query), text, sizeof text, &size));
    if (!bytes_equal(bytes_of(text, size), bytes_of_text(wanted)))
        fail_msg("%s became %.*s", query, (int)size, text);
}

TEST(parameters_that_do_not_count_are_not_in_the_key)
{
    static const struct {
        const char *query, *wanted;
    } cases[] = {
        {"", ""},
        {"a=1", "a=1"},
        {"utm_source=x", ""},
        {"a=1&utm_source=x&b=2&utm_=y", "a=1&b=2"},
        {"utm=1", "utm=1"},
        {"UTM_x=1", "UTM_x=1"},
        {"gclid=1&gclid2=1", "gclid2=1"},
        {"gclid", ""},
        {"gclid=", ""},
        /* Names are what they decode to; values and what counts stay as they are spelled. */
        {"utm%5Fx=1&gcli%64=1", ""},
        {"a=%41&%61=2", "a=%41&%61=2"},
        {"utm_%zz=1&%zz=2&a%=3", "%zz=2&a%=3"},
        {"a+b=1&a%20b=1&a%2Bb=1", "a%2Bb=1"},
        /* Of one name all count, in their order. */
        {"b=2&a=1&b=1&b", "b=2&a=1&b=1&b"},
        {"&&a=1&&", "a=1"},
        {"=1&=&a", "=1&=&a"},
        /* What some origins take for two parameters hides none of them. */
        {"utm_x=1;a=2", "utm_x=1;a=2"},
        {"utm_x=1%3Ba=2", ""},
        {"utm_x=1?a=2#", ""},
    };
    struct route_policy policy = {.key_query_ignore = TEXT("utm_*,gclid,a%20b")};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_query(&policy, cases[i].query, cases[i].wanted);
}

TEST(where_parameters_are_listed_only_these_count)
{
    struct route_policy policy = {.key_query_allow = TEXT("id,page,f_*"), .key_query_ignore = TEXT("f_x")};
    struct route_policy none = {.key_query_ignore = TEXT("*")};

    EXPECT(key_edits_query(&policy));
    EXPECT(!key_edits_query(&(struct route_policy){0}));
    expect_query(&policy, "x=1&page=2&id=1&f_y=3&f_x=4", "page=2&id=1&f_y=3");
    expect_query(&policy, "x&y&z", "");
    expect_query(&policy, "id[]=1&id=2", "id=2");
    expect_query(&policy, "x=1;id=2", "x=1;id=2");
    expect_query(&none, "a=1&b&=c", "");
}

TEST(sorted_parameters_have_one_order_and_those_of_one_name_their_own)
{
    static char many[257 * 2];
    struct route_policy policy = {.key_query_sort = 1};
    char text[1024];
    size_t size;

    expect_query(&policy, "b=2&a=1&c", "a=1&b=2&c");
    expect_query(&policy, "b=2&a=1&b=1&a=0", "a=1&a=0&b=2&b=1");
    expect_query(&policy, "b=1&%61=1&a=2", "%61=1&a=2&b=1");
    expect_query(&policy, "ab&a&=", "=&a&ab");
    for (size_t i = 0; i < 256; i++)
        memcpy(many + 2 * i, "a&", 2);
    EXPECT(key_query(&policy, bytes_of(many, 512), text, sizeof text, &size));
    EXPECT_EQ(size, 511);
    many[512] = 'b';
    EXPECT(!key_query(&policy, bytes_of(many, 513), text, sizeof text, &size));
    EXPECT(!key_query(&policy, BYTES("abc=1"), text, 5, &size));
    EXPECT(key_query(&policy, BYTES("abc=1"), text, 6, &size));
}

static struct bytes selection(const struct route_policy *policy, const char *fields, char text[512])
{
    struct http_text request;
    size_t size;

    http_text_read(&request, fields);
    EXPECT(key_selection(policy, &request.fields, text, 512, &size));
    return bytes_of(text, size);
}

TEST(requests_are_alike_if_the_fields_and_cookies_are_that_count)
{
    static const struct {
        const char *one, *other;
        bool are_alike;
    } cases[] = {
        {"", "Accept: x", true},
        {"X-Tenant: a", "x-tenant: a\nX-Other: b", true},
        {"X-Tenant: a", "X-Tenant: A", false},
        {"X-Tenant: a", "", false},
        {"X-Tenant:", "", false},
        {"X-Tenant: a, b", "X-Tenant: a\nX-Tenant: b", true},
        {"X-Tenant: b\nX-Tenant: a", "X-Tenant: a\nX-Tenant: b", false},
        {"X-Tenant: a", "X-Kind: a", false},
        {"Cookie: s=1", "Cookie: t=2; s=1", true},
        {"Cookie: s=1", "Cookie: t=2\nCookie: s=1", true},
        {"Cookie: s=1", "Cookie: s=2", false},
        {"Cookie: s=1", "Cookie: S=1", false},
        {"Cookie: s=", "Cookie: t=1", false},
        {"Cookie: s=1; s=2", "Cookie: s=2; s=1", false},
        {"Cookie: s=1", "Cookie: s=1; s=1", false},
        {"Cookie: s=1; u=2", "Cookie: u=2; s=1", true},
        {"Cookie: s=1;u=2", "Cookie: s=1", false},
        {"Cookie: s=;s=", "Cookie: s=", false},
        {"Cookie: s", "", true},
        {"X-Tenant: a\nCookie: s=b", "X-Tenant: b\nCookie: s=a", false},
    };
    struct route_policy policy = {.key_headers = TEXT("X-Tenant,X-Kind"), .key_cookies = TEXT("s,u")};

    EXPECT(key_selects(&policy));
    EXPECT(!key_selects(&(struct route_policy){0}));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char one[512], other[512];
        if (bytes_equal(selection(&policy, cases[i].one, one), selection(&policy, cases[i].other, other)) !=
            cases[i].are_alike)
            fail_msg("%s and %s", cases[i].one, cases[i].other);
    }
}

TEST(what_is_too_long_for_a_key_is_said_to_be)
{
    struct route_policy policy = {.key_headers = TEXT("X-Tenant"), .key_cookies = TEXT("s")};
    struct http_text request;
    char text[16];
    size_t size;

    http_text_read(&request, "X-Tenant: 12345\nCookie: s=1234567");
    for (size_t capacity = 0; capacity < 16; capacity++)
        EXPECT(!key_selection(&policy, &request.fields, text, capacity, &size));
    EXPECT(key_selection(&policy, &request.fields, text, 16, &size));
    EXPECT_EQ(size, 16);
}

/* Origins do not agree on these: what one client writes must not be what another is taken to have written.
 */
TEST(cookies_that_origins_read_differently_make_no_key)
{
    static const struct {
        const char *fields;
        bool is_plain;
    } cases[] = {
        {"Cookie: s=1; u=2", true},
        {"Cookie: s=1;u=2", true},
        {"Cookie: s=1;", true},
        {"Cookie: s=1; ; u=2", true},
        {"Cookie: s=\"a b\"; u=2", true},
        {"Cookie: s=a b", true},
        {"Cookie: s==", true},
        {"Cookie: =1", true},
        {"Cookie: s= 1", false},
        {"Cookie: s =1", false},
        {"Cookie: s=\t1", false},
        {"Cookie: t=1;  s=1", false},
        {"Cookie: t=1;\ts=1", false},
        {"Cookie: s=1 ; t=1", false},
        {"Cookie: s=1\t; t=1", false},
        {"Cookie: t=\"; s=1\"", false},
        {"Cookie: t=1\nCookie: s= 1", false},
    };
    struct route_policy policy = {.key_cookies = TEXT("s")};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text request;
        char text[64];
        size_t size;
        http_text_read(&request, cases[i].fields);
        if (key_selection(&policy, &request.fields, text, sizeof text, &size) != cases[i].is_plain)
            fail_msg("%s", cases[i].fields);
    }
}

TEST(cookies_that_are_all_in_the_key_are_known_to_be)
{
    static const struct {
        const char *fields;
        bool leaves;
    } cases[] = {
        {"Cookie: s=1", false},
        {"Cookie: s=1; u=2;", false},
        {"Cookie: s=1; v=2", true},
        {"Cookie: u\nAccept: x", true},
        {"", false},
        {"Cookie: s=1\nCookie: w=1", true},
        {"Cookie:", false},
    };
    struct route_policy policy = {.key_cookies = TEXT("s,u")};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text request;
        http_text_read(&request, cases[i].fields);
        if (key_leaves_cookies(&policy, &request.fields) != cases[i].leaves)
            fail_msg("%s", cases[i].fields);
    }
}

TEST(what_is_no_item_of_a_list_is_refused)
{
    static const struct {
        enum route_list list;
        const char *item;
        bool is_good;
    } cases[] = {
        {ROUTE_LIST_PARAMETERS, "a", true},     {ROUTE_LIST_PARAMETERS, "*", true},
        {ROUTE_LIST_PARAMETERS, "a%26*", true}, {ROUTE_LIST_PARAMETERS, "a*b", false},
        {ROUTE_LIST_PARAMETERS, "a=b", false},  {ROUTE_LIST_PARAMETERS, "a b", false},
        {ROUTE_LIST_PARAMETERS, "a&b", false},  {ROUTE_LIST_FIELDS, "X-Tenant", true},
        {ROUTE_LIST_FIELDS, "Accept", true},    {ROUTE_LIST_FIELDS, "Authorization", true},
        {ROUTE_LIST_FIELDS, "X Tenant", false}, {ROUTE_LIST_FIELDS, "Host", false},
        {ROUTE_LIST_FIELDS, "cookie", false},   {ROUTE_LIST_FIELDS, "Connection", false},
        {ROUTE_LIST_FIELDS, "Range", false},    {ROUTE_LIST_FIELDS, "X-Forwarded-Host", false},
        {ROUTE_LIST_FIELDS, "If-Match", false}, {ROUTE_LIST_COOKIES, "session", true},
        {ROUTE_LIST_COOKIES, "a=b", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if ((route_item_is_wrong(cases[i].list, bytes_of_text(cases[i].item)) == NULL) != cases[i].is_good)
            fail_msg("%s", cases[i].item);
}

RUN_TESTS(TEST_ROW(parameters_that_do_not_count_are_not_in_the_key),
          TEST_ROW(where_parameters_are_listed_only_these_count),
          TEST_ROW(sorted_parameters_have_one_order_and_those_of_one_name_their_own),
          TEST_ROW(requests_are_alike_if_the_fields_and_cookies_are_that_count),
          TEST_ROW(what_is_too_long_for_a_key_is_said_to_be),
          TEST_ROW(cookies_that_origins_read_differently_make_no_key),
          TEST_ROW(cookies_that_are_all_in_the_key_are_known_to_be),
          TEST_ROW(what_is_no_item_of_a_list_is_refused))
