/* links: nuthatch-gateway nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/gateway/policy/freshness.h"
#include "engine/gateway/policy/storable.h"
#include "engine/gateway/routing/route.h"
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

TEST(what_was_made_in_this_second_is_not_old)
{
    static const struct {
        const char *fields;
        int64_t received_ms, initial_age_ms;
    } cases[] = {
        {NOON_DATE, 0, 0},
        {NOON_DATE, 999, 0},
        {NOON_DATE, 1000, 1000},
        {NOON_DATE, 1999, 1000},
        {NOON_DATE "Age: 1", 999, 1000},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct now received = {.mono_ms = 5000, .wall_ms = NOON_MS + cases[i].received_ms};
        EXPECT_EQ(freshness_of_text(cases[i].fields, received, received).initial_age_ms,
                  cases[i].initial_age_ms);
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

/* What a route says by itself. */
static const struct route_policy plain = {.heuristic_ms_max = INT64_C(24) * 3600 * 1000};

static struct response_facts facts_of_text(int status, const char *text, const struct route_policy *policy)
{
    struct now now = {.mono_ms = 5000, .wall_ms = NOON_MS};
    struct http_text fields;

    http_text_read(&fields, text);
    return response_facts_of(status, &fields.fields, now, now, policy);
}

TEST(what_does_not_say_is_fresh_for_a_tenth_of_its_age)
{
    static const struct {
        int status;
        const char *fields;
        int64_t lifetime_s;
    } cases[] = {
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {200, NOON_DATE "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {200, "Date: Tue, 24 Nov 2026 11:10:00 GMT\nLast-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 60},
        {200, "Last-Modified: Sat, 24 Nov 2001 11:00:00 GMT", 86400}, /* not for ever */
        {200, "Last-Modified: Tue, 24 Nov 2026 13:00:00 GMT", 0},     /* a clock that is fast */
        {200, "Last-Modified: Tue, 24 Nov 26 11:00:00 GMT", 0},       /* no date */
        {200, "", 0},
        {200, "ETag: \"a\"", 0},
        /* it does say */
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nCache-Control: max-age=1", 1},
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nCache-Control: max-age=x", 0},
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nExpires: 0", 0},
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nPragma: no-cache", 0},
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nCache-Control: a b", 0},
        /* RFC 9110 §15.1 */
        {203, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {204, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {300, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {301, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {308, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {404, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {405, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {410, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {414, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {501, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360},
        {201, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 0},
        {299, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 0},
        {302, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 0},
        {403, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 0},
        {500, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 0},
        /* or what is marked as cacheable (RFC 9111 §4.2.2) */
        {299, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nCache-Control: public", 360},
        {599, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\nCache-Control: public", 360},
    };
    static const struct route_policy never = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct response_facts facts = facts_of_text(cases[i].status, cases[i].fields, &plain);
        if (facts.freshness.lifetime_ms != cases[i].lifetime_s * 1000)
            fail_msg("%d %s: %lld ms", cases[i].status, cases[i].fields,
                     (long long)facts.freshness.lifetime_ms);
        facts = facts_of_text(cases[i].status, cases[i].fields, &never);
        EXPECT(!(facts.freshness.lifetime_ms > 0) || facts.freshness.is_explicit);
    }
}

TEST(what_an_operator_says_of_a_status_comes_before_all_that_the_answer_does)
{
    static const struct {
        int status;
        const char *fields;
        int64_t lifetime_s;
        bool is_explicit;
    } cases[] = {
        {200, "", 600, true},
        {200, "Cache-Control: max-age=1, must-revalidate", 600, true},
        {200, "Cache-Control: max-age=1\nAge: 100", 700, true}, /* from its arrival */
        {200, "Expires: 0", 600, true},
        {200, "Cache-Control: a b", 600, true},
        {200, "CDN-Cache-Control: max-age=5", 600, true},
        {206, "Cache-Control: max-age=1", 600, true},
        {404, "Cache-Control: max-age=3600", 30, true}, /* rather than its class */
        {410, "", 5, true},
        {301, "Cache-Control: max-age=7", 7, true},
        {301, "", 0, false},
        {500, "Cache-Control: max-age=7", 0, true},
        {600, "Cache-Control: max-age=7", 7, true},
        {199, "", 0, false},
    };
    static char text[] = "4xx=5000,200=600000,404=30000,5xx=0";
    struct route_policy policy = {.status_ttl = text};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct freshness freshness = facts_of_text(cases[i].status, cases[i].fields, &policy).freshness;
        if (freshness.lifetime_ms != cases[i].lifetime_s * 1000 ||
            freshness.is_explicit != cases[i].is_explicit)
            fail_msg("%d %s: %lld ms", cases[i].status, cases[i].fields, (long long)freshness.lifetime_ms);
    }
}

TEST(an_operator_may_say_what_the_answer_does_not)
{
    static const struct route_policy told = {
        .heuristic_ms_max = INT64_C(24) * 3600 * 1000, .default_ttl_ms = 60000, .negative_ttl_ms = 5000};
    static const struct {
        int status;
        const char *fields;
        int64_t lifetime_s;
    } cases[] = {
        {200, "", 60},
        {301, "", 60},
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 60}, /* rather than a guess */
        {404, "", 5},
        {410, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 5},
        {501, "", 5},
        {302, "", 0}, /* no status to guess about */
        {403, "", 0},
        {500, "", 0},
        /* it does say */
        {200, "Cache-Control: max-age=1", 1},
        {404, "Cache-Control: max-age=600", 600},
        {200, "Cache-Control: max-age=0", 0},
        {200, "Expires: 0", 0},
        {200, "Pragma: no-cache", 0},
    };
    static const struct request_traits plain_request = {0};
    struct response_facts facts;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        facts = facts_of_text(cases[i].status, cases[i].fields, &told);
        if (facts.freshness.lifetime_ms != cases[i].lifetime_s * 1000)
            fail_msg("%d %s: %lld ms", cases[i].status, cases[i].fields,
                     (long long)facts.freshness.lifetime_ms);
    }
    /* That it is fresh makes it nobody's who had it to himself. */
    for (size_t i = 0; i < 3; i++) {
        static const char *const kept[] = {"Cache-Control: no-store", "Cache-Control: private",
                                           "Set-Cookie: a=b"};
        facts = facts_of_text(200, kept[i], &told);
        EXPECT(!may_store(&facts, &plain_request, &told));
    }
    facts = facts_of_text(200, "", &told);
    EXPECT(may_share(&facts, &plain_request, &told));
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
        {200, "Cache-Control: public", false, false, NO},
        {200, "", false, false, NO},
        {200, "ETag: \"a\"", false, false, KEPT},                                    /* for its validator */
        {200, "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", false, false, SHARED}, /* by heuristic */
        {200, "Last-Modified: Tue, 24 Nov 2026 12:00:00 GMT", false, false, KEPT},
        {200, "Last-Modified: long ago", false, false, NO},
        {200, "Cache-Control: max-age=0", false, false, NO},
        {200, "Cache-Control: max-age=0\nETag: \"a\"", false, false, KEPT},
        {200, "Cache-Control: max-age=60\nAge: 60", false, false, NO}, /* stale when it comes */
        {200, "Cache-Control: no-store, max-age=60", false, false, NO},
        {200, "Cache-Control: no-store=\"x\", max-age=60", false, false, NO},
        {200, "Cache-Control: no-store;, max-age=60", false, false, NO},
        {200, "Cache-Control: private, max-age=60", false, false, NO},
        {200, "Cache-Control: private=\"a\", max-age=60", false, false, SHARED}, /* but for that field */
        {200, "Cache-Control: private=a, max-age=60", false, false, SHARED},
        {200, "Cache-Control: private=\"\", max-age=60", false, false, NO},
        {200, "Cache-Control: private=\"a b\", max-age=60", false, false, NO},
        {200, "Cache-Control: private=\"a\", private, max-age=60", false, false, NO},
        {200, "Cache-Control: private, private=\"a\", max-age=60", false, false, NO},
        {200, "Cache-Control: private=\"a, max-age=60", false, false, NO},
        {200, "Cache-Control: private, s-maxage=60", false, false, NO},
        {200, "Cache-Control: no-cache, max-age=60", false, false, NO},
        {200, "Cache-Control: no-cache, max-age=60\nETag: \"a\"", false, false, KEPT},
        {200, "Cache-Control: no-cache=\"a\", max-age=60\nETag: \"a\"", false, false, SHARED},
        {200, "Cache-Control: no-cache=\"a\", no-cache, max-age=60\nETag: \"a\"", false, false, KEPT},
        {200, "Cache-Control: must-understand, no-store, max-age=60", false, false, SHARED},
        {299, "Cache-Control: must-understand, no-store, max-age=60", false, false, NO},
        {299, "Cache-Control: must-understand, max-age=60", false, false, NO},
        {299, "Cache-Control: max-age=60", false, false, SHARED},
        {299, "ETag: \"a\"", false, false, NO},
        {206, "Cache-Control: max-age=60", false, false, NO},
        {304, "Cache-Control: max-age=60", false, false, NO},
        {401, "Cache-Control: max-age=60", false, false, SHARED},
        {401, "Cache-Control: max-age=60", true, false, NO},
        {401, "", false, false, NO},
        {407, "Cache-Control: max-age=60", false, false, NO},
        {416, "Cache-Control: max-age=60", false, false, NO},
        {204, "", false, false, NO},
        {204, "Cache-Control: max-age=60", false, false, SHARED},
        {301, "", false, false, NO},
        {302, "Cache-Control: max-age=60", false, false, SHARED},
        {404, "", false, false, NO},
        {404, "Cache-Control: max-age=60", false, false, SHARED},
        {500, "ETag: \"a\"", false, false, NO},
        {303, "Cache-Control: max-age=60", false, false, SHARED},
        {400, "Cache-Control: max-age=60", false, false, SHARED},
        {499, "Cache-Control: max-age=60", false, false, SHARED},
        {500, "Cache-Control: max-age=60", false, false, SHARED},
        {503, "Cache-Control: max-age=3600", false, false, SHARED},
        {599, "Expires: Tue, 24 Nov 2026 13:00:00 GMT", false, false, SHARED},
        {600, "Cache-Control: max-age=60", false, false, NO},
        {999, "Cache-Control: max-age=60", false, false, NO},
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
        struct response_facts facts = facts_of_text(cases[i].status, cases[i].fields, &plain);

        if (may_store(&facts, &request, &plain) != (cases[i].outcome != NO) ||
            may_share(&facts, &request, &plain) != (cases[i].outcome == SHARED))
            fail_msg("%d %s: stored %d, shared %d", cases[i].status, cases[i].fields,
                     may_store(&facts, &request, &plain), may_share(&facts, &request, &plain));
    }
}

TEST(what_is_said_to_caches_like_us_counts_alone)
{
    enum { NO, KEPT, SHARED };
    static const struct {
        const char *fields;
        int64_t lifetime_s;
        int outcome;
    } cases[] = {
        {"CDN-Cache-Control: max-age=60", 60, SHARED},
        {"CDN-Cache-Control: max-age=60\nCache-Control: no-store", 60, SHARED},
        {"CDN-Cache-Control: max-age=60\nCache-Control: private, max-age=5", 60, SHARED},
        {"CDN-Cache-Control: no-store\nCache-Control: max-age=60", 0, NO},
        {"CDN-Cache-Control: private, max-age=60\nCache-Control: max-age=60", 60, NO},
        {"CDN-Cache-Control: private=\"a\", max-age=60", 60, NO},
        {"CDN-Cache-Control: no-cache, max-age=60\nETag: \"a\"", 60, KEPT},
        {"CDN-Cache-Control: max-age=60\nExpires: 0", 60, SHARED},
        /* it says nothing of freshness: neither do the others count */
        {"CDN-Cache-Control: foo\nCache-Control: max-age=60", 0, NO},
        {"CDN-Cache-Control: public\nExpires: Tue, 24 Nov 2026 13:00:00 GMT", 0, NO},
        {"CDN-Cache-Control: public\nLast-Modified: Tue, 24 Nov 2026 11:00:00 GMT", 360, SHARED},
        {"CDN-Cache-Control: must-revalidate\nCache-Control: no-store\nETag: \"a\"", 0, KEPT},
        /* ours before that of all */
        {"CDN-Cache-Control: max-age=60\nNuthatch-Cache-Control: max-age=7", 7, SHARED},
        {"Nuthatch-Cache-Control: max-age=7\nCDN-Cache-Control: no-store", 7, SHARED},
        {"Nuthatch-Cache-Control: ,\nCDN-Cache-Control: max-age=60", 60, SHARED},
        /* several lines, and of several values the last (RFC 9651 §3.2) */
        {"CDN-Cache-Control: max-age=60\nCDN-Cache-Control: stale-if-error=5", 60, SHARED},
        {"CDN-Cache-Control: max-age=60\nCDN-Cache-Control: max-age=7", 7, SHARED},
        {"CDN-Cache-Control: max-age=60;x=1", 60, SHARED},
        {"CDN-Cache-Control: max-age=99999999999", 2147483648, SHARED},
        /* empty or malformed: as if it were not there */
        {"CDN-Cache-Control: \nCache-Control: max-age=60", 60, SHARED},
        {"CDN-Cache-Control: no-store,\nCache-Control: max-age=60", 60, SHARED},
        {"CDN-Cache-Control: no-store; \"\nCache-Control: max-age=60", 60, SHARED},
        {"CDN-Cache-Control: No-Store\nCache-Control: max-age=60", 60, SHARED},
        {"CDN-Cache-Control: &\nCache-Control: max-age=60", 60, SHARED},
        {"CDN-Cache-Control: max-age=9999999999999999\nCache-Control: max-age=60", 60, SHARED},
        /* of the wrong type: permits nothing */
        {"CDN-Cache-Control: max-age=\"60\"\nCache-Control: max-age=60", 0, NO},
        {"CDN-Cache-Control: max-age=60.5", 0, NO},
        {"CDN-Cache-Control: max-age=-60", 0, NO},
        {"CDN-Cache-Control: max-age", 0, NO},
        {"CDN-Cache-Control: no-store=?0, max-age=60", 0, NO},
        {"CDN-Cache-Control: no-store=foo, max-age=60", 0, NO},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct request_traits request = {0};
        struct response_facts facts = facts_of_text(200, cases[i].fields, &plain);

        if (facts.freshness.lifetime_ms != cases[i].lifetime_s * 1000 ||
            may_store(&facts, &request, &plain) != (cases[i].outcome != NO) ||
            may_share(&facts, &request, &plain) != (cases[i].outcome == SHARED))
            fail_msg("%s: %lld ms, stored %d", cases[i].fields, (long long)facts.freshness.lifetime_ms,
                     may_store(&facts, &request, &plain));
    }
}

TEST(only_what_tells_of_the_resource_outdates_what_is_stored)
{
    static const int outdate[] = {200, 203, 204, 299, 301, 302, 307, 401, 403, 404, 410, 451};
    static const int do_not[] = {206, 304, 400, 408, 412, 416, 425, 429, 500, 503, 504, 599, 999};

    for (size_t i = 0; i < COUNT_OF(outdate); i++)
        EXPECT(outdates_others(outdate[i]));
    for (size_t i = 0; i < COUNT_OF(do_not); i++)
        EXPECT(!outdates_others(do_not[i]));
}

TEST(a_route_may_store_cookies_like_other_fields)
{
    static const struct route_policy stores = {.stores_set_cookie = 1};
    struct response_facts facts = facts_of_text(200, "Cache-Control: max-age=60\nSet-Cookie: a=b", &stores);

    EXPECT(may_share(&facts, &(struct request_traits){0}, &stores));
    EXPECT(!may_store(&facts, &(struct request_traits){.has_cookie = true}, &stores));
    EXPECT(!may_store(&facts, &(struct request_traits){0}, &plain));
}

TEST(stale_is_served_only_where_the_response_lets_it)
{
    static const struct {
        const char *control;
        int64_t on_error_ms, while_revalidating_ms;
        bool is_forbidden; /* also to a client who would take it */
    } cases[] = {
        {"Cache-Control: max-age=1", -1, -1, false},
        {"Cache-Control: max-age=1, stale-if-error=60", 60000, -1, false},
        {"Cache-Control: max-age=1, stale-while-revalidate=30", -1, 30000, false},
        {"Cache-Control: max-age=1, stale-if-error=x", 0, -1, false},
        {"Cache-Control: max-age=1, stale-if-error=60, must-revalidate", 0, 0, true},
        {"Cache-Control: max-age=1, stale-if-error=60, proxy-revalidate", 0, 0, true},
        {"Cache-Control: max-age=1, stale-if-error=60, no-cache", 0, 0, true},
        {"Cache-Control: max-age=1, stale-if-error=60, no-cache=\"a\"", 60000, -1, false},
        {"Cache-Control: max-age=1, stale-while-revalidate=60, must-revalidate", 0, 0, true},
        {"Cache-Control: s-maxage=1", 0, 0, true},
        {"Cache-Control: s-maxage=1, stale-if-error=60", 60000, 0, true},
        {"Cache-Control: s-maxage=1, stale-while-revalidate=60", 0, 60000, true},
        {"Cache-Control: max-age=1, stale-if-error=60, ;", 0, 0, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct cache_directives directives;

        http_text_read(&fields, cases[i].control);
        directives = directives_of(&fields.fields);
        if (stale_if_error_ms_of(&directives) != cases[i].on_error_ms ||
            stale_while_revalidate_ms_of(&directives) != cases[i].while_revalidating_ms ||
            forbids_stale(&directives) != cases[i].is_forbidden)
            fail_msg("%s", cases[i].control);
    }
}

RUN_TESTS(TEST_ROW(the_lifetime_is_what_the_response_says),
          TEST_ROW(the_age_counts_what_others_say_and_the_way_here),
          TEST_ROW(what_was_made_in_this_second_is_not_old),
          TEST_ROW(a_wall_clock_that_jumps_makes_no_age_negative_or_huge),
          TEST_ROW(what_does_not_say_is_fresh_for_a_tenth_of_its_age),
          TEST_ROW(only_what_is_for_all_is_stored), TEST_ROW(what_is_said_to_caches_like_us_counts_alone),
          TEST_ROW(only_what_tells_of_the_resource_outdates_what_is_stored),
          TEST_ROW(what_an_operator_says_of_a_status_comes_before_all_that_the_answer_does),
          TEST_ROW(an_operator_may_say_what_the_answer_does_not),
          TEST_ROW(a_route_may_store_cookies_like_other_fields),
          TEST_ROW(stale_is_served_only_where_the_response_lets_it))
