/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What APIs say of their limits, in all the ways in which they say it. */
#include "base/buffer.h"
#include "base/compiler.h"
#include "engine/gateway/quota/rate_fields.h"
#include "engine/gateway/quota/rate_spec.h"
#include "engine/gateway/quota/rate_time.h"
#include "http_text.h"
#include "test.h"

/* Mon, 30 Nov 2026 08:00:00 GMT */
#define NOW_S  INT64_C(1796025600)
#define NOW_MS (NOW_S * 1000)

static struct rate_said said_by(const char *text)
{
    struct http_text fields;
    struct rate_said said;

    http_text_read(&fields, text);
    rate_fields_read(&said, &fields.fields, NOW_MS);
    return said;
}

TEST(a_moment_or_a_wait_is_told_apart_in_every_form)
{
    static const struct {
        const char *text;
        int64_t wait_ms; /* -1: it is none */
    } cases[] = {
        {"0", 0},
        {"30", 30000},
        {"1.5", 1500},
        {"0.0005", 0},
        {"007", 7000},
        {"2678400", 2678400000},
        {"2678401", -1}, /* more than 31 days */
        {"1796025660", 60000},
        {"1796025660.25", 60250},
        {"1796025000", 0}, /* it is past */
        {"1796025660000", 60000},
        {"1796025660123", 60123},
        {"1899999999", -1}, /* in three years */
        {"99999999999999999999", -1},
        {"-1", -1},
        {"+1", -1},
        {"1e3", -1},
        {"1.", -1},
        {".5", -1},
        {"", -1},
        {"soon", -1},
        {"1s", 1000},
        {"6m0s", 360000},
        {"120ms", 120},
        {"1h2m3.5s", 3723500},
        {"1m 2s", -1},
        {"40d", -1},
        {"99999999999d99999999999d", -1},
        {"5y", -1},
        {"2026-11-30T08:01:00Z", 60000},
        {"2026-11-30T08:01Z", 60000},
        {"2026-11-30T08:01:00.250Z", 60250},
        {"2026-11-30T09:01:00+01:00", 60000},
        {"2026-11-30t00:01:00-0800", 60000},
        {"2026-11-30 08:01:00Z", 60000},
        {"2026-11-30T08:01:00", -1}, /* where? */
        {"2026-13-30T08:01:00Z", -1},
        {"2026-11-30T08:1:00Z", -1},
        {"2026-11-30T24:01:00Z", -1},
        {"2026-11-30T08:01:00+99:00", -1},
        {"Mon, 30 Nov 2026 08:01:00 GMT", 60000},
        {"Monday, 30-Nov-26 08:01:00 GMT", 60000},
        {"Mon, 30 Nov 2026 08:01:00 CET", -1},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t wait_ms = -1;
        bool is_one = rate_time_read(bytes_of_text(cases[i].text), NOW_MS, &wait_ms);
        if (is_one != (cases[i].wait_ms >= 0) || wait_ms != cases[i].wait_ms)
            fail_msg("%s: %lld", cases[i].text, (long long)wait_ms);
    }
}

/* One limit, as each API tells it. */
TEST(each_api_is_understood)
{
    static const struct {
        const char *who, *fields;
        int64_t limit, remaining, window_ms, reset_ms;
    } cases[] = {
        {"GitHub",
         "X-RateLimit-Limit: 5000\nX-RateLimit-Remaining: 4987\nX-RateLimit-Reset: 1796029200\n"
         "X-RateLimit-Used: 13\nX-RateLimit-Resource: core",
         5000, 4987, -1, 3600000},
        {"GitLab",
         "RateLimit-Limit: 60\nRateLimit-Name: throttle_authenticated_web\nRateLimit-Observed: 67\n"
         "RateLimit-Remaining: 0\nRateLimit-Reset: 1796025630\n"
         "RateLimit-ResetTime: Mon, 30 Nov 2026 08:00:30 GMT\nRetry-After: 30",
         60, 0, -1, 30000},
        {"X", "x-rate-limit-limit: 900\nx-rate-limit-remaining: 899\nx-rate-limit-reset: 1796026500", 900,
         899, -1, 900000},
        {"Shopify", "X-Shopify-Shop-Api-Call-Limit: 32/40", 40, 8, -1, -1},
        {"Shopify, overdrawn", "X-Shopify-Shop-Api-Call-Limit: 41/40", 40, 0, -1, -1},
        {"Atlassian",
         "X-RateLimit-Limit: 350\nX-RateLimit-Remaining: 10\nX-RateLimit-Reset: 2026-11-30T08:15Z\n"
         "X-RateLimit-NearLimit: true",
         350, 10, -1, 900000},
        {"Jira Data Center",
         "X-RateLimit-Limit: 10\nX-RateLimit-Remaining: 7\nX-RateLimit-FillRate: 2\n"
         "X-RateLimit-Interval-Seconds: 5\nRetry-After: 0",
         10, 7, 5000, -1},
        {"Discord",
         "X-RateLimit-Limit: 5\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1796025601.500\n"
         "X-RateLimit-Reset-After: 1.500\nX-RateLimit-Bucket: abcd1234",
         5, 0, -1, 1500},
        {"Reddit", "X-Ratelimit-Used: 6\nX-Ratelimit-Remaining: 594.0\nX-Ratelimit-Reset: 284", -1, 594, -1,
         284000},
        {"OpenAI",
         "x-ratelimit-limit-requests: 60\nx-ratelimit-limit-tokens: 150000\n"
         "x-ratelimit-remaining-requests: 59\nx-ratelimit-remaining-tokens: 0\n"
         "x-ratelimit-reset-requests: 1s\nx-ratelimit-reset-tokens: 6m0s",
         60, 59, -1, 1000},
        {"Anthropic",
         "anthropic-ratelimit-requests-limit: 50\nanthropic-ratelimit-requests-remaining: 49\n"
         "anthropic-ratelimit-requests-reset: 2026-11-30T08:00:02Z\n"
         "anthropic-ratelimit-tokens-remaining: 0",
         50, 49, -1, 2000},
        {"Kong", "X-RateLimit-Limit-Minute: 20\nX-RateLimit-Remaining-Minute: 19", 20, 19, 60000, -1},
        {"Linear",
         "X-RateLimit-Requests-Limit: 1500\nX-RateLimit-Requests-Remaining: 1499\n"
         "X-RateLimit-Requests-Reset: 1796025660000",
         1500, 1499, -1, 60000},
        {"what is used alone", "X-RateLimit-Limit: 100\nX-RateLimit-Used: 30", 100, 70, -1, -1},
        {"draft -03", "RateLimit-Limit: 100, 100;w=60\nRateLimit-Remaining: 50\nRateLimit-Reset: 5", 100,
         50, -1, 5000},
        {"draft -08", "RateLimit: limit=100, remaining=50, reset=5", 100, 50, -1, 5000},
        {"draft -10", "RateLimit-Policy: \"default\";q=100;w=60\nRateLimit: \"default\";r=50;t=30", 100, 50,
         60000, 30000},
        {"draft -10 without a time", "RateLimit: \"default\";r=50", -1, 50, -1, -1},
        {"draft -10, its name a token", "RateLimit: default;r=50;t=30", -1, 50, -1, 30000},
        {"their clock is an hour behind",
         "Date: Mon, 30 Nov 2026 07:00:00 GMT\nX-RateLimit-Limit: 60\nX-RateLimit-Remaining: 1\n"
         "X-RateLimit-Reset: 1796022030",
         60, 1, -1, 30000},
        {"said twice", "X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 9\nX-RateLimit-Remaining: 3", 60, 3,
         -1, -1},
        {"an Age of 0", "Age: 0\nX-RateLimit-Limit: 60\nX-RateLimit-Remaining: 9", 60, 9, -1, -1},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rate_said said = said_by(cases[i].fields);
        if (said.window_count != 1 || said.windows[0].limit != cases[i].limit ||
            said.windows[0].remaining != cases[i].remaining ||
            said.windows[0].window_ms != cases[i].window_ms ||
            said.windows[0].reset_ms != cases[i].reset_ms)
            fail_msg("%s: %zu limits: %lld, %lld, %lld, %lld", cases[i].who, said.window_count,
                     (long long)said.windows[0].limit, (long long)said.windows[0].remaining,
                     (long long)said.windows[0].window_ms, (long long)said.windows[0].reset_ms);
    }
}

TEST(what_is_malformed_or_of_something_else_is_ignored)
{
    static const char *const cases[] = {
        "",
        "X-RateLimit-Limit: 5000",
        "X-RateLimit-Limit: 0\nX-RateLimit-Remaining: 0", /* how some say that there is none */
        "X-RateLimit-Remaining: -1",
        "X-RateLimit-Remaining: many",
        "X-RateLimit-Remaining: 1e3",
        "X-RateLimit-Remaining: 99999999999999999999",
        "X-RateLimit-Remaining-Tokens: 3",
        "X-RateLimit-Remaining-: 3",
        "X-RateLimit--Remaining: 3",
        "X-RateLimit-: 3",
        "RateLimit: \"default\";r=50;t=30,",
        "RateLimit: \"default\";r=50;t=30\nRateLimit: (",
        "RateLimit: \"default\";r=-5;t=30",
        "RateLimit: \"default\";r=5.5",
        "RateLimit: \"default\";t=30",
        "RateLimit: 50;r=50",
        "RateLimit: limit=100, reset=5",
        "RateLimit: remaining=\"all\"",
        "RateLimit-Policy: \"default\";q=100;w=60",
        "RateLimit-Policy: \"a\";q=100;qu=\"content-bytes\"\nRateLimit: \"a\";r=50",
        "Age: 1\nX-RateLimit-Remaining: 3",
        "Age: old\nX-RateLimit-Remaining: 3",
        "Age: 7\nRateLimit: \"default\";r=50;t=30",
        "X-Shopify-Shop-Api-Call-Limit: 32",
        "X-Shopify-Shop-Api-Call-Limit: 1/0",
        "X-Shopify-Shop-Api-Call-Limit:",
        "X-RateLimits: 3",
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (said_by(cases[i]).window_count != 0)
            fail_msg("%s", cases[i]);
}

TEST(several_limits_are_kept_apart)
{
    struct rate_said said = said_by(
        "RateLimit-Policy: \"burst\";q=10;w=1, \"day\";q=1000;w=86400, \"bytes\";q=9;qu=\"content-bytes\"\n"
        "RateLimit: \"burst\";r=4;t=1, \"day\";r=900;t=40000\nRateLimit: \"day\";r=3;pk=:QUJD:");

    EXPECT_EQ(said.window_count, 3);
    EXPECT_EQ(said.windows[0].limit, 10);
    EXPECT_EQ(said.windows[0].remaining, 4);
    EXPECT_EQ(said.windows[1].limit, 1000);
    EXPECT_EQ(said.windows[1].remaining, 900);
    EXPECT_EQ(said.windows[1].reset_ms, 40000000);
    EXPECT_EQ(said.windows[2].remaining, 3); /* another partition of the same policy */
    EXPECT(said.windows[1].name != said.windows[2].name);
    said = said_by("X-RateLimit-Remaining-Second: 1\nX-RateLimit-Remaining-Hour: 90");
    EXPECT_EQ(said.window_count, 2);
    EXPECT_EQ(said.windows[1].window_ms, 3600000);
}

/* There is room for so many, and no further. */
TEST(no_number_of_limits_is_too_many)
{
    struct buffer text = {0};
    struct rate_said said;

    buffer_append_format(&text, "RateLimit: ");
    for (int i = 0; i < 40; i++)
        buffer_append_format(&text, "%s\"p%d\";r=%d", i > 0 ? ", " : "", i, i);
    buffer_append_byte(&text, '\0');
    said = said_by(text.data);
    EXPECT_EQ(said.window_count, RATE_WINDOWS_MAX);
    EXPECT_EQ(said.windows[RATE_WINDOWS_MAX - 1].remaining, RATE_WINDOWS_MAX - 1);
    buffer_fini(&text);
}

TEST(one_is_told_when_to_come_again)
{
    EXPECT_EQ(said_by("Retry-After: 30").retry_after_ms, 30000);
    EXPECT_EQ(said_by("retry-after: 0.5").retry_after_ms, 500);
    EXPECT_EQ(said_by("Retry-After: Mon, 30 Nov 2026 08:00:10 GMT").retry_after_ms, 10000);
    EXPECT_EQ(said_by("Date: Mon, 30 Nov 2026 08:00:04 GMT\nRetry-After: Mon, 30 Nov 2026 08:00:10 GMT")
                  .retry_after_ms,
              6000);
    EXPECT_EQ(said_by("Retry-After: 30\nRetry-After: 40").retry_after_ms, 40000);
    EXPECT_EQ(said_by("Age: 9\nRetry-After: 30").retry_after_ms, 30000);
    EXPECT_EQ(said_by("Retry-After: later").retry_after_ms, -1);
    EXPECT_EQ(said_by("X-Poll-Interval: 60").poll_interval_ms, 60000);
    EXPECT_EQ(said_by("X-Poll-Interval: often").poll_interval_ms, -1);
}

TEST(requests_come_out_of_the_budget_that_is_named)
{
    uint64_t core = said_by("X-RateLimit-Remaining: 1\nX-RateLimit-Resource: core").pool;

    EXPECT(core != 0);
    EXPECT(core != said_by("X-RateLimit-Remaining: 1\nX-RateLimit-Resource: search").pool);
    EXPECT_EQ(said_by("X-RateLimit-Remaining: 1").pool, 0);
    EXPECT(said_by("X-RateLimit-Remaining: 1\nX-RateLimit-Bucket: abcd").pool != 0);
}

TEST(fields_that_speak_of_limits_are_known)
{
    static const char *const are[] = {"RateLimit",          "RateLimit-Policy",
                                      "ratelimit-reset",    "X-RateLimit-Anything",
                                      "x-rate-limit-limit", "X-Shopify-Shop-Api-Call-Limit",
                                      "X-RateLimit-Used",   "anthropic-ratelimit-tokens-limit"};
    static const char *const are_not[] = {"",           "Rate",           "X-Rate", "Retry-After",
                                          "RateLimits", "X-Poll-Interval"};

    for (size_t i = 0; i < COUNT_OF(are); i++)
        EXPECT(is_rate_field(bytes_of_text(are[i])));
    for (size_t i = 0; i < COUNT_OF(are_not); i++)
        EXPECT(!is_rate_field(bytes_of_text(are_not[i])));
}

TEST(an_operator_writes_limits_as_counts_in_times)
{
    static const struct {
        const char *text;
        size_t count;
        int64_t first, period_ms;
    } good[] = {
        {"", 0, 0, 0},
        {"10/s", 1, 10, 1000},
        {" 5000 / h ", 1, 5000, 3600000},
        {"100/15m,10/s", 2, 100, 900000},
        {"1/d", 1, 1, 86400000},
        {"1000000/s", 1, 1000000, 1000},
        {"1/s, 2/m, 3/h, 4/d", 4, 1, 1000},
    };
    static const char *const bad[] = {"10",
                                      "10/",
                                      "/s",
                                      "0/s",
                                      "10/w",
                                      "10/0s",
                                      "x/s",
                                      "10/s/",
                                      "-1/s",
                                      "1/s;",
                                      "10000001/d",
                                      "1/32d",
                                      "1.5/s",
                                      "1/s s",
                                      "1000001/s",
                                      "1/99999999999s",
                                      "1/s,1/s,1/s,1/s,1/s"};
    struct rate_spec specs[RATE_SPECS_MAX];
    size_t count;

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (!rate_specs_read(bytes_of_text(good[i].text), specs, &count) || count != good[i].count)
            fail_msg("%s", good[i].text);
        if (count > 0) {
            EXPECT_EQ(specs[0].count, good[i].first);
            EXPECT_EQ(specs[0].period_ms, good[i].period_ms);
        }
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (rate_specs_read(bytes_of_text(bad[i]), specs, &count))
            fail_msg("%s", bad[i]);
}

RUN_TESTS(TEST_ROW(a_moment_or_a_wait_is_told_apart_in_every_form), TEST_ROW(each_api_is_understood),
          TEST_ROW(what_is_malformed_or_of_something_else_is_ignored),
          TEST_ROW(several_limits_are_kept_apart), TEST_ROW(no_number_of_limits_is_too_many),
          TEST_ROW(one_is_told_when_to_come_again), TEST_ROW(requests_come_out_of_the_budget_that_is_named),
          TEST_ROW(fields_that_speak_of_limits_are_known),
          TEST_ROW(an_operator_writes_limits_as_counts_in_times))
