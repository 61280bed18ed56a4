/* links: nuthatch-gateway nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/gateway/freshness.h"
#include "engine/gateway/storable.h"
#include "http_text.h"
#include "test.h"

/* Tue, 24 Nov 2026 12:00:00 GMT */
#define NOON_MS INT64_C(1795521600000)

static struct freshness freshness_of_text(const char *text, struct now requested, struct now received)
{
    struct http_text fields;
    struct cache_directives directives;

    http_text_read(&fields, text);
    directives = directives_of(&fields.fields);
    return freshness_of(&fields.fields, &directives, requested, received);
}

#define NOON_DATE "Date: Tue, 24 Nov 2026 12:00:00 GMT\n"

TEST(the_lifetime_is_what_the_response_says)
{
    static const struct {
        const char *fields;
        int64_t lifetime_s;
        bool is_explicit;
    } cases[] = {
        {"", 0, false},
        {"Cache-Control: max-age=60", 60, true},
        {"Cache-Control: max-age=60, s-maxage=5", 5, true},
        {"Cache-Control: max-age=60\nCache-Control: s-maxage=5", 5, true},
        {"Cache-Control: MAX-AGE=60", 60, true},
        {"Cache-Control: max-age=\"60\"", 60, true},
        {"Cache-Control: max-age=0060", 60, true},
        {"Cache-Control: max-age=0", 0, true},
        {"Cache-Control: public", 0, false},
        /* longer than can be: a very long time */
        {"Cache-Control: max-age=2147483648", 2147483648, true},
        {"Cache-Control: max-age=99999999999999999999999999", 2147483648, true},
        /* malformed, or several: stale */
        {"Cache-Control: max-age=-1", 0, true},
        {"Cache-Control: max-age=60.0", 0, true},
        {"Cache-Control: max-age=60s", 0, true},
        {"Cache-Control: max-age", 0, true},
        {"Cache-Control: max-age=", 0, true},
        {"Cache-Control: max-age='60'", 0, true},
        {"Cache-Control: max-age =60", 0, true},
        {"Cache-Control: max-age= 60", 0, true},
        {"Cache-Control: max-age=6 0", 0, true},
        {"Cache-Control: max-age=60;", 0, true},
        {"Cache-Control: max-age=60, max-age=60", 0, true},
        {"Cache-Control: max-age=60\nCache-Control: max-age=90", 0, true},
        {"Cache-Control: max-age=60, s-maxage=x", 0, true},
        {"Cache-Control: max-age=60, \"broken", 0, true},
        {"Cache-Control: max-age=60, a=\"broken", 0, true},
        /* what we do not know, and commas in strings, do no harm */
        {"Cache-Control: a=\"max-age=1, s-maxage=2\", max-age=60", 60, true},
        {"Cache-Control: a=\"\\\"\", max-age=60", 60, true},
        {"Cache-Control: ,, max-age=60 ,", 60, true},
        {"Cache-Control: xmax-age=70, max-age=60", 60, true},
        /* Expires less Date */
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:01:00 GMT", 60, true},
        {NOON_DATE "Expires: Tuesday, 24-Nov-26 12:01:00 GMT", 60, true},
        {NOON_DATE "Expires: Tue Nov 24 12:01:00 2026", 60, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:01:00 GMT\nCache-Control: max-age=5", 5, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:01:00 GMT\nCache-Control: max-age=x", 0, true},
        {"Expires: Tue, 24 Nov 2026 12:01:00 GMT", 60, true}, /* no Date: that of its receipt */
        {"Date: yesterday\nExpires: Tue, 24 Nov 2026 12:01:00 GMT", 60, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:00:00 GMT", 0, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 11:00:00 GMT", 0, true},
        {NOON_DATE "Expires: Fri, 31 Dec 9999 23:59:59 GMT", 2147483648, true},
        /* an Expires that is no date has passed */
        {NOON_DATE "Expires: 0", 0, true},
        {NOON_DATE "Expires: -1", 0, true},
        {NOON_DATE "Expires: ", 0, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:01:00 EST", 0, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:01:00", 0, true},
        {NOON_DATE "Expires: Tue 24 Nov 2026 12:01:00 GMT", 0, true},
        {NOON_DATE "Expires: Tue, 24 Nov 26 12:01:00 GMT", 0, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 2:01:00 GMT", 0, true},
        {NOON_DATE "Expires: Tue, 24 Nov 2026 12:01:00 GMT\nExpires: Tue, 24 Nov 2026 12:01:00 GMT", 0,
         true},
        /* the dates of an origin whose clock is wrong still say how long */
        {"Date: Mon, 23 Nov 2026 12:00:00 GMT\nExpires: Mon, 23 Nov 2026 12:01:00 GMT", 60, true},
        {"Date: Wed, 25 Nov 2026 12:00:00 GMT\nExpires: Wed, 25 Nov 2026 12:01:00 GMT", 60, true},
    };
    struct now now = {.mono_ms = 5000, .wall_ms = NOON_MS};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct freshness freshness = freshness_of_text(cases[i].fields, now, now);
        if (freshness.lifetime_ms != cases[i].lifetime_s * 1000 ||
            freshness.is_explicit != cases[i].is_explicit)
            fail_msg("%s: %lld ms", cases[i].fields, (long long)freshness.lifetime_ms);
    }
}

TEST(the_age_counts_what_others_say_and_the_way_here)
{
    static const struct {
        const char *fields;
        int64_t delay_ms, initial_age_ms, age_seconds;
    } cases[] = {
        {"", 0, 0, -1},
        {"", 250, 250, -1},
        {"Age: 7", 0, 7000, 7},
        {"Age: 7", 250, 7250, 7},
        {"Age: 7, 9", 0, 7000, 7}, /* of a list, the first */
        {"Age: 7\nAge: 9", 0, 7000, 7},
        {"Age: 99999999999", 0, INT64_C(2147483648000), INT64_C(2147483648)},
        /* no non-negative integer: ignored */
        {"Age: -1", 0, 0, -1},
        {"Age: 1.5", 0, 0, -1},
        {"Age: 7s", 0, 0, -1},
        {"Age: seven", 0, 0, -1},
        {"Age: \"7\"", 0, 0, -1},
        {"Age: ", 0, 0, -1},
        /* the larger of what Date and what Age say */
        {"Date: Tue, 24 Nov 2026 11:59:50 GMT", 0, 10000, -1},
        {"Date: Tue, 24 Nov 2026 11:59:50 GMT\nAge: 3", 250, 10000, 3},
        {"Date: Tue, 24 Nov 2026 11:59:58 GMT\nAge: 3", 250, 3250, 3},
        {"Date: Mon, 23 Nov 2026 12:00:00 GMT", 0, 86400000, -1},
        {"Date: Wed, 25 Nov 2026 12:00:00 GMT", 0, 0, -1}, /* a clock that is fast */
        {"Date: never", 0, 0, -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct now requested = {.mono_ms = 5000, .wall_ms = NOON_MS - cases[i].delay_ms};
        struct now received = {.mono_ms = 5000 + cases[i].delay_ms, .wall_ms = NOON_MS};
        struct freshness freshness = freshness_of_text(cases[i].fields, requested, received);
        if (freshness.initial_age_ms != cases[i].initial_age_ms ||
            freshness.age_seconds != cases[i].age_seconds)
            fail_msg("%s: %lld ms", cases[i].fields, (long long)freshness.initial_age_ms);
    }
}

TEST(a_wall_clock_that_jumps_makes_no_age_negative_or_huge)
{
    static const int64_t jumps_ms[] = {-86400000, 86400000};
    for (size_t i = 0; i < COUNT_OF(jumps_ms); i++) {
        struct now requested = {.mono_ms = 5000, .wall_ms = NOON_MS};
        struct now received = {.mono_ms = 5100, .wall_ms = NOON_MS + jumps_ms[i]};
        struct freshness freshness =
            freshness_of_text(NOON_DATE "Cache-Control: max-age=60", requested, received);
        EXPECT(freshness.initial_age_ms >= 100);
        EXPECT(freshness.initial_age_ms <= 86400100);
        /* Residence is measured without the wall clock. */
        EXPECT_EQ(current_age_ms(freshness.initial_age_ms, received.mono_ms, received.mono_ms + 500),
                  freshness.initial_age_ms + 500);
    }
    EXPECT_EQ(current_age_ms(7, 5000, 4000), 7);
}

TEST(only_what_is_for_all_is_stored)
{
    enum { NO, KEPT, SHARED }; /* KEPT: stored, but given to nobody who waits */
    static const struct {
        int status;
        const char *fields;
        bool authorization, cookie;
        int outcome;
    } cases[] = {
        {200, "Cache-Control: max-age=60", false, false, SHARED},
        {200, "", false, false, NO},
        {200, "ETag: \"a\"", false, false, KEPT}, /* for its validator */
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", false, false, KEPT},
        {200, "Last-Modified: long ago", false, false, NO},
        {200, "Cache-Control: max-age=0", false, false, NO},
        {200, "Cache-Control: max-age=0\nETag: \"a\"", false, false, KEPT},
        {200, "Cache-Control: max-age=60\nAge: 60", false, false, NO}, /* stale when it comes */
        {200, "Cache-Control: no-store, max-age=60", false, false, NO},
        {200, "Cache-Control: no-store=\"x\", max-age=60", false, false, NO},
        {200, "Cache-Control: no-store;, max-age=60", false, false, NO},
        {200, "Cache-Control: private, max-age=60", false, false, NO},
        {200, "Cache-Control: private=\"a\", max-age=60", false, false, NO},
        {200, "Cache-Control: private, s-maxage=60", false, false, NO},
        {200, "Cache-Control: no-cache, max-age=60", false, false, NO},
        {200, "Cache-Control: no-cache, max-age=60\nETag: \"a\"", false, false, KEPT},
        {200, "Cache-Control: no-cache=\"a\", max-age=60\nETag: \"a\"", false, false, KEPT},
        {200, "Cache-Control: must-understand, no-store, max-age=60", false, false, SHARED},
        {299, "Cache-Control: must-understand, no-store, max-age=60", false, false, NO},
        {299, "Cache-Control: must-understand, max-age=60", false, false, NO},
        {299, "Cache-Control: max-age=60", false, false, SHARED},
        {299, "ETag: \"a\"", false, false, NO},
        {206, "Cache-Control: max-age=60", false, false, NO},
        {304, "Cache-Control: max-age=60", false, false, NO},
        {401, "Cache-Control: max-age=60", false, false, NO},
        {416, "Cache-Control: max-age=60", false, false, NO},
        {204, "", false, false, NO},
        {204, "Cache-Control: max-age=60", false, false, SHARED},
        {301, "", false, false, NO},
        {302, "Cache-Control: max-age=60", false, false, SHARED},
        {404, "", false, false, NO},
        {404, "Cache-Control: max-age=60", false, false, SHARED},
        {500, "ETag: \"a\"", false, false, NO},
        {503, "Cache-Control: max-age=3600", false, false, SHARED},
        {200, "Cache-Control: max-age=60\nVary: Accept", false, false, SHARED},
        {200, "Cache-Control: max-age=60\nVary: *", false, false, NO},
        {200, "Cache-Control: max-age=60\nVary: Accept, *", false, false, NO},
        {200, "Cache-Control: max-age=60\nVary: Accept\nVary: *", false, false, NO},
        {200, "Cache-Control: max-age=60\nSet-Cookie: a=b", false, false, NO},
        {200, "Cache-Control: public, max-age=60\nSet-Cookie: a=b", false, false, SHARED},
        {200, "Cache-Control: s-maxage=60\nSet-Cookie: a=b", false, false, SHARED},
        {200, "Cache-Control: max-age=60", false, true, NO},
        {200, "Cache-Control: public, max-age=60", false, true, SHARED},
        {200, "Cache-Control: max-age=60", true, false, NO},
        {200, "Cache-Control: max-age=60, public", true, false, SHARED},
        {200, "Cache-Control: s-maxage=60", true, false, SHARED},
        {200, "Cache-Control: max-age=60, must-revalidate", true, false, SHARED},
        {200, "Cache-Control: max-age=60, proxy-revalidate", true, false, NO},
        {200, "Cache-Control: max-age=60, public=yes", true, false, NO}, /* malformed: permits nothing */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct request_traits request = {cases[i].authorization, cases[i].cookie};
        struct now now = {.mono_ms = 5000, .wall_ms = NOON_MS};
        struct response_facts facts;
        struct http_text fields;

        http_text_read(&fields, cases[i].fields);
        facts = response_facts_of(cases[i].status, &fields.fields, now, now);
        if (may_store(&facts, &request) != (cases[i].outcome != NO) ||
            may_share(&facts, &request) != (cases[i].outcome == SHARED))
            fail_msg("%d %s: stored %d, shared %d", cases[i].status, cases[i].fields,
                     may_store(&facts, &request), may_share(&facts, &request));
    }
}

TEST(an_error_never_stays_longer_than_a_minute)
{
    struct now now = {.mono_ms = 5000, .wall_ms = NOON_MS};
    struct http_text fields;

    http_text_read(&fields, "Cache-Control: max-age=3600");
    EXPECT_EQ(response_facts_of(503, &fields.fields, now, now).freshness.lifetime_ms, 60000);
    EXPECT_EQ(response_facts_of(404, &fields.fields, now, now).freshness.lifetime_ms, 3600000);
}

TEST(stale_is_served_only_where_the_response_lets_it)
{
    static const struct {
        const char *control;
        int64_t on_error_ms, while_revalidating_ms;
    } cases[] = {
        {"Cache-Control: max-age=1", -1, 0},
        {"Cache-Control: max-age=1, stale-if-error=60", 60000, 0},
        {"Cache-Control: max-age=1, stale-while-revalidate=30", -1, 30000},
        {"Cache-Control: max-age=1, stale-if-error=x", 0, 0},
        {"Cache-Control: max-age=1, stale-if-error=60, must-revalidate", 0, 0},
        {"Cache-Control: max-age=1, stale-if-error=60, proxy-revalidate", 0, 0},
        {"Cache-Control: max-age=1, stale-if-error=60, no-cache", 0, 0},
        {"Cache-Control: max-age=1, stale-while-revalidate=60, must-revalidate", 0, 0},
        {"Cache-Control: s-maxage=1", 0, 0},
        {"Cache-Control: s-maxage=1, stale-if-error=60", 60000, 0},
        {"Cache-Control: max-age=1, stale-if-error=60, ;", 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct cache_directives directives;

        http_text_read(&fields, cases[i].control);
        directives = directives_of(&fields.fields);
        if (stale_if_error_ms_of(&directives) != cases[i].on_error_ms ||
            stale_while_revalidate_ms_of(&directives) != cases[i].while_revalidating_ms)
            fail_msg("%s", cases[i].control);
    }
}

RUN_TESTS(TEST_ROW(the_lifetime_is_what_the_response_says),
          TEST_ROW(the_age_counts_what_others_say_and_the_way_here),
          TEST_ROW(a_wall_clock_that_jumps_makes_no_age_negative_or_huge),
          TEST_ROW(only_what_is_for_all_is_stored), TEST_ROW(an_error_never_stays_longer_than_a_minute),
          TEST_ROW(stale_is_served_only_where_the_response_lets_it))
