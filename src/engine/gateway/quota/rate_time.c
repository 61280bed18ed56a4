#include "rate_time.h"
#include "base/compiler.h"
#include "base/number.h"
#include "message/http_date.h"
#include <time.h>

enum { DIGITS_MAX = 15 };
#define DAY_MS      INT64_C(86400000)
#define YEAR_2000_S INT64_C(946684800)
#define LEAST_EPOCH_MS                                                                                     \
    (YEAR_2000_S * 100) /* in ms it is a moment of 1973, in seconds one of the year 4969 */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t digit_count(struct bytes text)
{
    size_t count = 0;

    while (count < text.size && is_digit(text.data[count]))
        count++;
    return count;
}

/* Takes "12" or "12.5" off the front. */
static bool take_number(struct bytes *text, int64_t *thousandths)
{
    size_t whole = digit_count(*text), fraction;
    uint64_t value;

    if (whole > DIGITS_MAX || !digits_parse(bytes_first(*text, whole), UINT64_MAX, &value))
        return false;
    *thousandths = (int64_t)value * 1000;
    *text = bytes_after(*text, whole);
    if (text->size == 0 || text->data[0] != '.')
        return true;
    *text = bytes_after(*text, 1);
    fraction = digit_count(*text);
    if (fraction == 0)
        return false;
    for (size_t i = 0, worth = 100; i < fraction && worth > 0; i++, worth /= 10)
        *thousandths += (int64_t)worth * (text->data[i] - '0');
    *text = bytes_after(*text, fraction);
    return true;
}

bool rate_number_read(struct bytes text, int64_t *thousandths)
{
    return take_number(&text, thousandths) && text.size == 0;
}

/* One unit at least; "ms" comes before "m", of which it is the beginning. */
static bool read_units(struct bytes text, int64_t *wait_ms)
{
    static const struct {
        struct bytes name;
        int64_t ms;
    } units[] = {{BYTES_INIT("ms"), 1},
                 {BYTES_INIT("s"), 1000},
                 {BYTES_INIT("m"), 60 * 1000},
                 {BYTES_INIT("h"), 3600 * 1000},
                 {BYTES_INIT("d"), DAY_MS}};
    int64_t thousandths, sum = 0;
    size_t i;

    do {
        if (!take_number(&text, &thousandths) || thousandths > INT64_MAX / DAY_MS)
            return false;
        for (i = 0; i < COUNT_OF(units) && !bytes_start_with(text, units[i].name); i++)
            ;
        if (i == COUNT_OF(units))
            return false;
        text = bytes_after(text, units[i].name.size);
        sum += thousandths * units[i].ms / 1000;
        if (sum > RATE_TIME_DAYS_MAX * DAY_MS)
            return false;
    } while (text.size > 0);
    *wait_ms = sum;
    return true;
}

/* Takes `count` digits and what follows them, if that is said. */
static bool take_part(struct bytes *text, size_t count, char then, int *value)
{
    uint64_t number;

    if (text->size < count + (then != 0) || !digits_parse(bytes_first(*text, count), 9999, &number) ||
        (then != 0 && text->data[count] != then))
        return false;
    *value = (int)number;
    *text = bytes_after(*text, count + (then != 0));
    return true;
}

/* "Z", "+01:00", "-0830". */
static bool read_zone(struct bytes text, int64_t *east_ms)
{
    int hours, minutes;
    bool is_west = text.size > 0 && text.data[0] == '-';

    *east_ms = 0;
    if (text.size == 1)
        return text.data[0] == 'Z' || text.data[0] == 'z';
    if (text.size == 0 || (!is_west && text.data[0] != '+'))
        return false;
    text = bytes_after(text, 1);
    if (!take_part(&text, 2, text.size == 5 ? ':' : 0, &hours) || !take_part(&text, 2, 0, &minutes) ||
        text.size > 0 || hours > 23 || minutes > 59)
        return false;
    *east_ms = (hours * INT64_C(60) + minutes) * 60000 * (is_west ? -1 : 1);
    return true;
}

/* RFC 3339, and what ISO 8601 lets one leave out. */
static bool read_iso(struct bytes text, int64_t *wall_ms)
{
    struct tm tm = {0};
    int64_t fraction_ms = 0, east_ms;

    if (!take_part(&text, 4, '-', &tm.tm_year) || !take_part(&text, 2, '-', &tm.tm_mon) ||
        !take_part(&text, 2, 0, &tm.tm_mday) || text.size == 0 ||
        (text.data[0] != 'T' && text.data[0] != 't' && text.data[0] != ' '))
        return false;
    text = bytes_after(text, 1);
    if (!take_part(&text, 2, ':', &tm.tm_hour) || !take_part(&text, 2, 0, &tm.tm_min))
        return false;
    if (text.size > 0 && text.data[0] == ':') {
        text = bytes_after(text, 1);
        if (digit_count(text) != 2 || !take_number(&text, &fraction_ms))
            return false;
        tm.tm_sec = (int)(fraction_ms / 1000);
        fraction_ms %= 1000;
    }
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60 || !read_zone(text, &east_ms))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *wall_ms = (int64_t)timegm(&tm) * 1000 + fraction_ms - east_ms;
    return true;
}

bool rate_time_read(struct bytes text, int64_t there_wall_ms, int64_t *wait_ms)
{
    int64_t number, wall_ms, wait = 0;

    if (rate_number_read(text, &number)) {
        bool is_moment = number >= YEAR_2000_S * 1000;
        if (number >= LEAST_EPOCH_MS * 1000) /* it was said in ms, so these are thousandths of that */
            number /= 1000;
        wait = is_moment ? number - there_wall_ms : number;
    } else if (read_iso(text, &wall_ms) || http_date_parse(text, there_wall_ms, &wall_ms)) {
        wait = wall_ms - there_wall_ms;
    } else if (!read_units(text, &wait)) {
        return false;
    }
    if (wait > RATE_TIME_DAYS_MAX * DAY_MS)
        return false;
    *wait_ms = wait > 0 ? wait : 0;
    return true;
}
