#include "rate_spec.h"
#include "base/compiler.h"
#include "base/number.h"
#include "message/http.h"

enum { COUNT_MAX = 10000000, DAYS_MAX = 31 };
#define DAY_MS INT64_C(86400000)

static bool read_period(struct bytes text, int64_t *period_ms)
{
    static const struct {
        char name;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60 * 1000}, {'h', 3600 * 1000}, {'d', DAY_MS}};
    uint64_t number = 1;

    if (text.size == 0 ||
        (text.size > 1 &&
         (!digits_parse(bytes_first(text, text.size - 1), DAYS_MAX * 86400, &number) || number == 0)))
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (text.data[text.size - 1] == units[i].name) {
            *period_ms = (int64_t)number * units[i].ms;
            return *period_ms <= DAYS_MAX * DAY_MS;
        }
    return false;
}

static bool read_one(struct bytes text, struct rate_spec *spec)
{
    const char *slash = memchr(text.data, '/', text.size);
    size_t size = slash != NULL ? (size_t)(slash - text.data) : 0;
    uint64_t count;

    if (slash == NULL || !digits_parse(bytes_trim(bytes_first(text, size)), COUNT_MAX, &count) ||
        count == 0 || !read_period(bytes_trim(bytes_after(text, size + 1)), &spec->period_ms))
        return false;
    spec->count = (int64_t)count;
    return spec->count <= spec->period_ms * 1000;
}

bool rate_specs_read(struct bytes text, struct rate_spec specs[RATE_SPECS_MAX], size_t *count)
{
    struct bytes item;

    *count = 0;
    while (http_list_next(&text, &item)) {
        if (*count == RATE_SPECS_MAX || !read_one(item, &specs[*count]))
            return false;
        ++*count;
    }
    return true;
}
