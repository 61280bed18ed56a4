#include "message/http_date.h"
#include "base/compiler.h"
#include <string.h>

enum { YEAR_MIN = 1970, YEAR_MAX = 9999 };
#define SECONDS_MAX INT64_C(253402300799) /* 9999-12-31 23:59:59 */

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const struct bytes long_day_names[7] = {
    BYTES_INIT("Sunday"),   BYTES_INIT("Monday"), BYTES_INIT("Tuesday"), BYTES_INIT("Wednesday"),
    BYTES_INIT("Thursday"), BYTES_INIT("Friday"), BYTES_INIT("Saturday")};

struct date {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
};

/* Days are counted in years that begin on 1 March, so that the leap day is a year's last. An era is the 400
 * years after which the calendar repeats; DAYS_TO_1970 leads from 0000-03-01 to 1970-01-01. */
enum { ERA_YEARS = 400, ERA_DAYS = 146097, DAYS_TO_1970 = 719468 };

static int64_t days_of(const struct date *date)
{
    int64_t year = date->year - (date->month <= 2);
    int64_t era = year / ERA_YEARS, year_of_era = year % ERA_YEARS;
    int64_t day_of_year = (153 * ((date->month + 9) % 12) + 2) / 5 + date->day - 1;

    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           DAYS_TO_1970;
}

static struct date date_of(int64_t seconds)
{
    int64_t days = seconds / 86400 + DAYS_TO_1970;
    int64_t day_of_era = days % ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    return (struct date){
        .year = (int)(days / ERA_DAYS * ERA_YEARS + year_of_era + (month <= 2)),
        .month = (int)month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
        .hour = (int)(seconds / 3600 % 24),
        .minute = (int)(seconds / 60 % 60),
        .second = (int)(seconds % 60),
    };
}

/* Seconds since 1970, in range for http_date_format whatever the clock says. */
static int64_t seconds_of(int64_t wall_ms)
{
    int64_t seconds = wall_ms < 0 ? 0 : wall_ms / 1000;
    return seconds > SECONDS_MAX ? SECONDS_MAX : seconds;
}

static void write_two(char *text, int value)
{
    text[0] = (char)('0' + value / 10);
    text[1] = (char)('0' + value % 10);
}

void http_date_format(int64_t wall_ms, char *text)
{
    int64_t seconds = seconds_of(wall_ms);
    struct date date = date_of(seconds);

    memcpy(text, "Day, 00 Mon 0000 00:00:00 GMT", HTTP_DATE_BYTES);
    memcpy(text, day_names[(seconds / 86400 + 4) % 7], 3); /* 1970 began on a Thursday */
    write_two(text + 5, date.day);
    memcpy(text + 8, month_names[date.month - 1], 3);
    write_two(text + 12, date.year / 100);
    write_two(text + 14, date.year % 100);
    write_two(text + 17, date.hour);
    write_two(text + 20, date.minute);
    write_two(text + 23, date.second);
}

/* Reads `text` by `pattern`, byte for byte: d, y, h, i and s are digits of the day, year, hour, minute and
 * second; _ is a digit of the day or a space in its place; www and mmm are the three letters of a weekday
 * and of a month; anything else stands for itself. */
static bool read_pattern(struct bytes text, const char *pattern, struct date *date)
{
    if (text.size != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int *number;

        switch (pattern[i]) {
        case 'd': number = &date->day; break;
        case 'y': number = &date->year; break;
        case 'h': number = &date->hour; break;
        case 'i': number = &date->minute; break;
        case 's': number = &date->second; break;
        case '_':
            if (text.data[i] == ' ')
                continue;
            number = &date->day;
            break;
        case 'w': {
            size_t day = 0;
            while (day < COUNT_OF(day_names) && memcmp(text.data + i, day_names[day], 3) != 0)
                day++;
            if (day == COUNT_OF(day_names))
                return false;
            i += 2;
            continue;
        }
        case 'm':
            date->month = 1;
            while (date->month <= 12 && memcmp(text.data + i, month_names[date->month - 1], 3) != 0)
                date->month++;
            if (date->month > 12)
                return false;
            i += 2;
            continue;
        default:
            if (text.data[i] != pattern[i])
                return false;
            continue;
        }
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (text.data[i] - '0');
    }
    return true;
}

static int days_in_month(const struct date *date)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;

    return days[date->month - 1] + (date->month == 2 && is_leap);
}

/* A number that grows with the date, whether or not there is such a day. */
static int64_t rank(const struct date *date)
{
    return ((((date->year * INT64_C(100) + date->month) * 100 + date->day) * 100 + date->hour) * 100 +
            date->minute) *
               100 +
           date->second;
}

/* RFC 9110 §5.6.7: of the years with these last two digits, the last one that is not more than 50 years
 * ahead. */
static void settle_century(struct date *date, int64_t now_wall_ms)
{
    struct date latest = date_of(seconds_of(now_wall_ms));

    latest.year += 50;
    date->year += latest.year / 100 * 100;
    if (rank(date) > rank(&latest))
        date->year -= 100;
}

static bool read_rfc850(struct bytes text, int64_t now_wall_ms, struct date *date)
{
    for (size_t i = 0; i < COUNT_OF(long_day_names); i++) {
        if (!bytes_start_with(text, long_day_names[i]))
            continue;
        if (!read_pattern(bytes_after(text, long_day_names[i].size), ", dd-mmm-yy hh:ii:ss GMT", date))
            return false;
        settle_century(date, now_wall_ms);
        return true;
    }
    return false;
}

bool http_date_parse(struct bytes text, int64_t now_wall_ms, int64_t *wall_ms)
{
    struct date imf = {0}, rfc850 = {0}, asctime = {0}, date;

    if (read_pattern(text, "www, dd mmm yyyy hh:ii:ss GMT", &imf))
        date = imf;
    else if (read_rfc850(text, now_wall_ms, &rfc850))
        date = rfc850;
    else if (read_pattern(text, "www mmm _d hh:ii:ss yyyy", &asctime))
        date = asctime;
    else
        return false;
    if (date.year < YEAR_MIN || date.year > YEAR_MAX || date.day < 1 || date.day > days_in_month(&date) ||
        date.hour > 23 || date.minute > 59 || date.second > 60)
        return false;
    if (date.second == 60) /* a leap second, which this scale does not have */
        date.second = 59;
    *wall_ms = (days_of(&date) * 86400 + date.hour * 3600 + date.minute * 60 + date.second) * 1000;
    return true;
}
