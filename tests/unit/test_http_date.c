/* links: nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "message/http_date.h"
#include "test.h"
#include <time.h>

#define IN_2026 INT64_C(1790000000000)

TEST(a_date_is_read_in_its_three_forms_and_no_other)
{
    static const struct {
        const char *text;
        int64_t wall_s; /* -1: not a date */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 06 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* a weekday, though not that day's */
        {"Thu, 29 Feb 1996 00:00:00 GMT", 825552000},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228799}, /* a leap second */
        {"Wed, 29 Feb 1995 00:00:00 GMT", -1},
        {"Mon, 29 Feb 2100 00:00:00 GMT", -1},
        {"Mon, 30 Feb 2000 00:00:00 GMT", -1},
        {"Mon, 31 Apr 2000 00:00:00 GMT", -1},
        {"Mon, 00 Jan 2000 00:00:00 GMT", -1},
        {"Mon, 32 Jan 2000 00:00:00 GMT", -1},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 gmt", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {" Sun, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"sun, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sum, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nob 1994 08:49:37 GMT", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun,  6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 94 08:49:37 GMT", -1},
        {"Sun, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sun, 06-Nov-94 08:49:37 GMT", -1},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sunday, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sonday, 06-Nov-94 08:49:37 GMT", -1},
        {"Sunday, 30-Feb-94 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 0a:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08-49-37 GMT", -1},
        {"Sun, -6 Nov 1994 08:49:37 GMT", -1},
        {"Sun Nov 6 08:49:37 1994", -1},
        {"Sun Nov  6 08:49:37 1994 GMT", -1},
        {"Sun Nov    08:49:37 1994", -1},
        {"Sun Nov 31 08:49:37 1994", -1},
        {"1994-11-06T08:49:37Z", -1},
        {"784111777", -1},
        {"0", -1},
        {"", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t wall_ms = 77;
        bool is_date = http_date_parse(bytes_of_text(cases[i].text), IN_2026, &wall_ms);
        if (is_date != (cases[i].wall_s >= 0) || wall_ms != (is_date ? cases[i].wall_s * 1000 : 77))
            fail_msg("\"%s\": %d, %lld", cases[i].text, is_date, (long long)wall_ms);
    }
}

TEST(two_digits_of_a_year_are_the_last_such_year_at_most_fifty_ahead)
{
    static const struct {
        int64_t now_wall_ms;
        const char *text;
        int64_t wall_s;
    } cases[] = {
        {0, "Thursday, 01-Jan-70 00:00:01 GMT", 1},
        {0, "Wednesday, 01-Jan-20 00:00:00 GMT", 1577836800},
        {0, "Wednesday, 01-Jan-20 00:00:01 GMT", -1}, /* 1920 */
        {IN_2026, "Sunday, 20-Sep-76 00:00:00 GMT", 3367785600},
        {IN_2026, "Wednesday, 22-Sep-76 00:00:00 GMT", 212198400}, /* 1976: now is 21 September 2026 */
        {IN_2026, "Friday, 31-Dec-99 23:59:59 GMT", 946684799},
        {INT64_C(3471292800000) /* 2080 */, "Wednesday, 01-Jan-10 00:00:00 GMT", 4417977600},
        {INT64_C(951782400000) /* 29 February 2000 */, "Tuesday, 01-Mar-50 00:00:00 GMT", -1},
        {INT64_C(951782400000), "Monday, 28-Feb-50 00:00:00 GMT", 2529619200},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t wall_ms = 77;
        bool is_date = http_date_parse(bytes_of_text(cases[i].text), cases[i].now_wall_ms, &wall_ms);
        if (is_date != (cases[i].wall_s >= 0) || wall_ms != (is_date ? cases[i].wall_s * 1000 : 77))
            fail_msg("\"%s\": %d, %lld", cases[i].text, is_date, (long long)wall_ms);
    }
}

TEST(a_date_is_written_as_the_c_library_writes_it_and_read_back)
{
    for (int64_t seconds = 0; seconds < INT64_C(253402300800);
         seconds += seconds < INT64_C(5000000000) ? 86400 * 3 + 3607 : 86400 * 97 + 3607) {
        char text[HTTP_DATE_BYTES], wanted[64];
        time_t time = (time_t)seconds;
        struct tm tm;
        int64_t wall_ms;

        gmtime_r(&time, &tm);
        strftime(wanted, sizeof wanted, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        http_date_format(seconds * 1000 + 999, text);
        EXPECT_TEXT(bytes_of(text, sizeof text), bytes_of_text(wanted));
        EXPECT(http_date_parse(bytes_of(text, sizeof text), 0, &wall_ms));
        EXPECT_EQ(wall_ms, seconds * 1000);
        strftime(wanted, sizeof wanted, "%a %b %e %H:%M:%S %Y", &tm);
        EXPECT(http_date_parse(bytes_of_text(wanted), 0, &wall_ms));
        EXPECT_EQ(wall_ms, seconds * 1000);
        strftime(wanted, sizeof wanted, "%A, %d-%b-xx %H:%M:%S GMT", &tm);
        memcpy(strchr(wanted, 'x'), text + 14, 2);
        EXPECT(http_date_parse(bytes_of_text(wanted), seconds * 1000, &wall_ms));
        EXPECT_EQ(wall_ms, seconds * 1000);
    }
}

TEST(a_clock_that_is_out_of_range_still_gives_a_date)
{
    char text[HTTP_DATE_BYTES];

    http_date_format(-1, text);
    EXPECT_TEXT(bytes_of(text, sizeof text), BYTES("Thu, 01 Jan 1970 00:00:00 GMT"));
    http_date_format(INT64_MIN, text);
    EXPECT_TEXT(bytes_of(text, sizeof text), BYTES("Thu, 01 Jan 1970 00:00:00 GMT"));
    http_date_format(INT64_MAX, text);
    EXPECT_TEXT(bytes_of(text, sizeof text), BYTES("Fri, 31 Dec 9999 23:59:59 GMT"));
}

RUN_TESTS(TEST_ROW(a_date_is_read_in_its_three_forms_and_no_other),
          TEST_ROW(two_digits_of_a_year_are_the_last_such_year_at_most_fifty_ahead),
          TEST_ROW(a_date_is_written_as_the_c_library_writes_it_and_read_back),
          TEST_ROW(a_clock_that_is_out_of_range_still_gives_a_date))
