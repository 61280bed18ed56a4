#include "base/number.h"
#include "server/option_read.h"
#include "server/option_units.h"
#include "server/shown_text.h"
#include <string.h>

static enum err refuse_range(const struct option_text *from)
{
    buffer_append_format(from->why, "%s is out of range; write ", shown_text(from->text).text);
    option_append_value(from->why, from->row, from->row->low);
    buffer_append_literal(from->why, " to ");
    option_append_value(from->why, from->row, from->row->high);
    return ERR_RANGE;
}

static enum err refuse(const struct option_text *from, const char *like)
{
    buffer_append_format(from->why, "\"%s\" does not fit; write %s", shown_text(from->text).text, like);
    return ERR_SYNTAX;
}

static enum err take(const struct option_text *from, void *field, int64_t value)
{
    if (value < from->row->low || value > from->row->high)
        return refuse_range(from);
    memcpy(field, &value, sizeof value);
    return OK;
}

/* A number too long for us is a number all the same. */
static bool is_too_long(struct bytes text)
{
    struct shown shown = shown_text(text);
    uint64_t ignored;

    return text.size > 18 && !digits_parse(text, UINT64_MAX, &ignored) &&
           strspn(shown.text, "0123456789.") == strlen(shown.text);
}

enum err option_read_integer(const struct option_text *from, void *field)
{
    int64_t value;

    if (int64_parse(from->text, &value))
        return take(from, field, value);
    return is_too_long(from->text) ? refuse_range(from) : refuse(from, "a whole number");
}

static enum err read_units(const struct option_text *from, void *field, const char *like)
{
    int64_t value;

    return option_units_parse(from->row->type, from->text, &value) ? take(from, field, value)
                                                                   : refuse(from, like);
}

enum err option_read_size(const struct option_text *from, void *field)
{
    return read_units(from, field, "a size, such as 512, 64k, 1M or 1G");
}

enum err option_read_duration(const struct option_text *from, void *field)
{
    return read_units(from, field, "a time with its unit, such as 300ms, 5s, 2m or 1h");
}
