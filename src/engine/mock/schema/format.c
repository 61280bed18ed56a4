#include "format.h"
#include "base/compiler.h"
#include "message/http_syntax.h"
#include "message/percent.h"
#include "pattern.h"
#include <arpa/inet.h>

static const char *const format_names[] = {[FORMAT_NONE] = "",
#define FORMAT(identifier, name, what) [FORMAT_##identifier] = (name),
                                           FORMATS(FORMAT)
#undef FORMAT
};

static const char *const descriptions[] = {[FORMAT_NONE] = "anything",
#define FORMAT(identifier, name, what) [FORMAT_##identifier] = (what),
                                           FORMATS(FORMAT)
#undef FORMAT
};

enum format format_named(const char *name)
{
    for (size_t i = 1; i < COUNT_OF(format_names); i++)
        if (strcmp(format_names[i], name) == 0)
            return (enum format)i;
    return FORMAT_NONE;
}

const char *format_describe(enum format format) { return descriptions[format]; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return byte_to_lower(c) >= 'a' && byte_to_lower(c) <= 'z'; }

/* Takes exactly `count` digits. */
static bool take_digits(struct bytes *text, size_t count, int *value)
{
    if (text->size < count)
        return false;
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(text->data[i]))
            return false;
        *value = *value * 10 + (text->data[i] - '0');
    }
    *text = bytes_after(*text, count);
    return true;
}

static bool take_byte(struct bytes *text, char byte)
{
    if (text->size == 0 || byte_to_lower(text->data[0]) != byte)
        return false;
    *text = bytes_after(*text, 1);
    return true;
}

/* RFC 3339 §5.6 full-date. */
static bool take_date(struct bytes *text)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    bool leaps;

    if (!take_digits(text, 4, &year) || !take_byte(text, '-') || !take_digits(text, 2, &month) ||
        !take_byte(text, '-') || !take_digits(text, 2, &day) || month < 1 || month > 12)
        return false;
    leaps = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && day <= month_days[month - 1] + (month == 2 && leaps);
}

/* RFC 3339 §5.6 full-time; a leap second is the last one of a day in UTC. */
static bool take_time(struct bytes *text)
{
    int hour, minute, second, offset_hour = 0, offset_minute = 0, minutes, sign = 0;

    if (!take_digits(text, 2, &hour) || !take_byte(text, ':') || !take_digits(text, 2, &minute) ||
        !take_byte(text, ':') || !take_digits(text, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (take_byte(text, '.')) {
        size_t count = 0;
        while (count < text->size && is_digit(text->data[count]))
            count++;
        if (count == 0)
            return false;
        *text = bytes_after(*text, count);
    }
    if (take_byte(text, '+'))
        sign = 1;
    else if (take_byte(text, '-'))
        sign = -1;
    else if (!take_byte(text, 'z'))
        return false;
    if (sign != 0 && (!take_digits(text, 2, &offset_hour) || !take_byte(text, ':') ||
                      !take_digits(text, 2, &offset_minute) || offset_hour > 23 || offset_minute > 59))
        return false;
    minutes = hour * 60 + minute - sign * (offset_hour * 60 + offset_minute);
    return second < 60 || (minutes + 1440) % 1440 == 1439;
}

static bool is_date_time(struct bytes text)
{
    return take_date(&text) && take_byte(&text, 't') && take_time(&text) && text.size == 0;
}
static bool is_date(struct bytes text) { return take_date(&text) && text.size == 0; }
static bool is_time(struct bytes text) { return take_time(&text) && text.size == 0; }

/* Takes numbers, each followed by one of `units`, in that order. Returns how many, or -1. */
static int take_units(struct bytes *text, const char *units)
{
    int count = 0;

    while (text->size > 0 && is_digit(text->data[0])) {
        const char *unit;
        while (text->size > 0 && is_digit(text->data[0]))
            *text = bytes_after(*text, 1);
        if (text->size == 0 || (unit = strchr(units, text->data[0])) == NULL || *unit == '\0')
            return -1;
        units = unit + 1;
        *text = bytes_after(*text, 1);
        count++;
    }
    return count;
}

/* RFC 3339 appendix A. */
static bool is_duration(struct bytes text)
{
    int days, hours;

    if (text.size == 0 || text.data[0] != 'P')
        return false;
    text = bytes_after(text, 1);
    if (text.size >= 2 && text.data[text.size - 1] == 'W')
        return take_units(&text, "W") == 1 && text.size == 0;
    days = take_units(&text, "YMD");
    if (days < 0)
        return false;
    if (text.size == 0)
        return days > 0;
    if (text.data[0] != 'T')
        return false;
    text = bytes_after(text, 1);
    hours = take_units(&text, "HMS");
    return hours > 0 && text.size == 0;
}

/* RFC 1123 §2.1. */
static bool is_hostname(struct bytes text)
{
    size_t label = 0;

    if (text.size == 0 || text.size > 253)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '.') {
            if (label == 0 || text.data[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        if ((!is_digit(c) && !is_letter(c) && (c != '-' || label == 0)) || ++label > 63)
            return false;
    }
    return label > 0 && text.data[text.size - 1] != '-';
}

static bool is_address(int family, struct bytes text)
{
    char terminated[64];
    unsigned char address[16];

    if (text.size == 0 || text.size >= sizeof terminated || memchr(text.data, '\0', text.size) != NULL)
        return false;
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    return inet_pton(family, terminated, address) == 1;
}

/* RFC 5321 §4.1.2 without quoted local parts and address literals but for IPv4's and IPv6's. */
static bool is_email(struct bytes text)
{
    const char *at = text.size > 0 ? memrchr(text.data, '@', text.size) : NULL;
    struct bytes local, domain;

    if (at == NULL)
        return false;
    local = bytes_first(text, (size_t)(at - text.data));
    domain = bytes_after(text, local.size + 1);
    if (local.size == 0 || local.size > 64 || local.data[0] == '.' || local.data[local.size - 1] == '.')
        return false;
    for (size_t i = 0; i < local.size; i++) {
        char c = local.data[i];
        if (!is_digit(c) && !is_letter(c) && (unsigned char)c < 0x80 &&
            (c == '\0' || strchr("!#$%&'*+-/=?^_`{|}~.", c) == NULL))
            return false;
        if (c == '.' && local.data[i - 1] == '.')
            return false;
    }
    if (domain.size > 2 && domain.data[0] == '[' && domain.data[domain.size - 1] == ']') {
        domain = bytes_of(domain.data + 1, domain.size - 2);
        return bytes_start_with(domain, BYTES("IPv6:")) ? is_address(AF_INET6, bytes_after(domain, 5))
                                                        : is_address(AF_INET, domain);
    }
    return is_hostname(domain);
}

/* RFC 3986, leniently: the characters that may stand in one, and whole percent-encodings. */
static bool is_uri_reference(struct bytes text)
{
    size_t at = 0;
    bool has_fragment = false;
    char byte;

    while (at < text.size) {
        char c = text.data[at];
        bool is_first_fragment = c == '#' && !has_fragment;
        has_fragment |= c == '#';
        if (c != '%' && !is_first_fragment && c != '[' && c != ']' && c != '?' &&
            !http_byte_is(c, HTTP_BYTE_PATH))
            return false;
        if (!percent_take(text, &at, &byte))
            return false;
    }
    return true;
}

static bool is_uri(struct bytes text)
{
    size_t at = 0;

    while (at < text.size &&
           (is_letter(text.data[at]) || (at > 0 && (is_digit(text.data[at]) || text.data[at] == '+' ||
                                                    text.data[at] == '-' || text.data[at] == '.'))))
        at++;
    return at > 0 && at < text.size && text.data[at] == ':' && is_uri_reference(bytes_after(text, at + 1));
}

static bool is_uuid(struct bytes text)
{
    if (text.size != 36)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text.data[i] != '-' : percent_digit_value(text.data[i]) < 0)
            return false;
    }
    return true;
}

/* RFC 4648 §4, in whole groups. */
static bool is_base64(struct bytes text)
{
    size_t padding = 0;

    if (text.size % 4 != 0)
        return false;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i + padding < text.size; i++) {
        char c = text.data[i];
        if (!is_digit(c) && !is_letter(c) && c != '+' && c != '/')
            return false;
    }
    return true;
}

/* RFC 6901 §3. */
static bool is_json_pointer(struct bytes text)
{
    if (text.size > 0 && text.data[0] != '/')
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '~' &&
            (i + 1 == text.size || (text.data[i + 1] != '0' && text.data[i + 1] != '1')))
            return false;
    return true;
}

static bool is_regex(struct bytes text)
{
    struct pattern *pattern = NULL;
    struct buffer why = {0}, terminated = {0};
    bool is = false;

    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        return false;
    buffer_append(&terminated, text);
    buffer_append_byte(&terminated, '\0');
    if (!terminated.failed)
        is = pattern_compile(terminated.data, &pattern, &why) == OK;
    pattern_destroy(pattern);
    buffer_fini(&terminated);
    buffer_fini(&why);
    return is;
}

bool format_fits_string(enum format format, struct bytes string)
{
    switch (format) {
    case FORMAT_DATE: return is_date(string);
    case FORMAT_DATE_TIME: return is_date_time(string);
    case FORMAT_TIME: return is_time(string);
    case FORMAT_DURATION: return is_duration(string);
    case FORMAT_EMAIL: return is_email(string);
    case FORMAT_HOSTNAME: return is_hostname(string);
    case FORMAT_IPV4: return is_address(AF_INET, string);
    case FORMAT_IPV6: return is_address(AF_INET6, string);
    case FORMAT_URI: return is_uri(string);
    case FORMAT_URI_REFERENCE: return is_uri_reference(string);
    case FORMAT_UUID: return is_uuid(string);
    case FORMAT_BYTE: return is_base64(string);
    case FORMAT_JSON_POINTER: return is_json_pointer(string);
    case FORMAT_REGEX: return is_regex(string);
    case FORMAT_NONE:
    case FORMAT_INT32:
    case FORMAT_INT64: return true;
    }
    UNREACHABLE();
}

bool format_fits_integer(enum format format, long double number)
{
    if (format == FORMAT_INT32)
        return number >= -0x1p31L && number < 0x1p31L;
    return format != FORMAT_INT64 || (number >= -0x1p63L && number < 0x1p63L);
}
