#include "server/option_units.h"
#include "base/compiler.h"
#include "base/number.h"

/* Powers of two for sizes, of anything for durations; the largest first. */
static const struct unit {
    enum option_type type;
    const char *suffix;
    int64_t factor;
} units[] = {
    {OPTION_TYPE_integer, "", 1},
    {OPTION_TYPE_size, "T", 1024 * GIB},
    {OPTION_TYPE_size, "G", GIB},
    {OPTION_TYPE_size, "M", MIB},
    {OPTION_TYPE_size, "k", KIB},
    {OPTION_TYPE_size, "", 1},
    {OPTION_TYPE_duration, "d", 24 * HOURS},
    {OPTION_TYPE_duration, "h", HOURS},
    {OPTION_TYPE_duration, "m", 60 * SECONDS},
    {OPTION_TYPE_duration, "s", SECONDS},
    {OPTION_TYPE_duration, "ms", 1},
};

bool option_units_parse(enum option_type type, struct bytes text, int64_t *value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    if (digits == 0)
        return false;
    if (!digits_parse(bytes_first(text, digits), INT64_MAX, &number))
        number = INT64_MAX;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (units[i].type != type ||
            !bytes_equal_nocase(bytes_after(text, digits), bytes_of_text(units[i].suffix)))
            continue;
        if (__builtin_mul_overflow((int64_t)number, units[i].factor, value))
            *value = INT64_MAX;
        return true;
    }
    if (digits == text.size && number == 0) {
        *value = 0;
        return true;
    }
    return false;
}

void option_units_append(struct buffer *out, enum option_type type, int64_t value)
{
    if (value == 0) {
        buffer_append_byte(out, '0');
        return;
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (units[i].type != type || value % units[i].factor != 0)
            continue;
        buffer_append_int64(out, value / units[i].factor);
        buffer_append(out, bytes_of_text(units[i].suffix));
        return;
    }
}
