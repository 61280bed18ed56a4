#include "directives.h"
#include "base/compiler.h"
#include "base/number.h"

enum argument_kind { ARGUMENT_NONE, ARGUMENT_FIELDS, ARGUMENT_SECONDS };

static const struct {
    struct bytes name;
    enum argument_kind argument;
} rows[] = {
#define CACHE_DIRECTIVE(id, name, argument) {BYTES_INIT(name), ARGUMENT_##argument},
#include "tables/cache_directives.def"
#undef CACHE_DIRECTIVE
};

bool delta_seconds_parse(struct bytes text, int64_t *seconds)
{
    uint64_t value;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    /* RFC 9111 §1.2.2: what overflows is a very long time, not an error. */
    *seconds = digits_parse(text, (uint64_t)DIRECTIVE_SECONDS_MAX, &value) ? (int64_t)value
                                                                           : DIRECTIVE_SECONDS_MAX;
    return true;
}

static void apply(struct cache_directives *directives, struct bytes name, bool has_argument,
                  struct bytes argument)
{
    for (enum directive i = 0; i < DIRECTIVE_COUNT; i++) {
        bool is_repeated;
        if (!bytes_equal_nocase(rows[i].name, name))
            continue;
        is_repeated = directives_have(directives, i);
        directives->present |= 1u << i;
        switch (rows[i].argument) {
        case ARGUMENT_NONE: directives->malformed |= has_argument; break;
        case ARGUMENT_FIELDS: break;
        case ARGUMENT_SECONDS:
            /* RFC 9111 §4.2.1: several values: the response is taken for stale. */
            if (is_repeated || !delta_seconds_parse(argument, &directives->seconds[i]))
                directives->seconds[i] = DIRECTIVE_INVALID;
            break;
        }
        return;
    }
}

/* The end of the quoted string that begins at `start`, past its closing quote; 0 if it has none. */
static size_t quoted_end(struct bytes value, size_t start)
{
    for (size_t i = start + 1; i < value.size; i++) {
        if (value.data[i] == '\\')
            i++;
        else if (value.data[i] == '"')
            return i + 1;
    }
    return 0;
}

static size_t run_end(struct bytes value, size_t start)
{
    while (start < value.size && strchr(",= \t\"", value.data[start]) == NULL)
        start++;
    return start;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

void directives_read(struct cache_directives *directives, struct bytes value)
{
    size_t at = 0;

    while (at < value.size) {
        struct bytes name, argument = {0};
        bool has_argument = false;
        size_t end;

        if (value.data[at] == ',' || is_blank(value.data[at])) {
            at++;
            continue;
        }
        end = run_end(value, at);
        name = bytes_of(value.data + at, end - at);
        directives->malformed |= !http_is_token(name);
        at = end;
        if (at < value.size && value.data[at] == '=') {
            has_argument = true;
            at++;
            if (at < value.size && value.data[at] == '"') {
                end = quoted_end(value, at);
                if (end == 0) {
                    directives->malformed = true;
                    end = value.size;
                    argument = bytes_of(NULL, 0);
                } else {
                    argument = bytes_of(value.data + at + 1, end - at - 2);
                }
            } else {
                end = run_end(value, at);
                argument = bytes_of(value.data + at, end - at);
                directives->malformed |= !http_is_token(argument);
            }
            at = end;
        }
        apply(directives, name, has_argument, argument);
        while (at < value.size && is_blank(value.data[at]))
            at++;
        if (at < value.size && value.data[at] != ',') {
            directives->malformed = true;
            while (at < value.size && value.data[at] != ',')
                at++;
        }
    }
}

struct cache_directives directives_of(const struct http_fields *fields)
{
    struct cache_directives directives = {0};

    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].header == HTTP_HEADER_CACHE_CONTROL)
            directives_read(&directives, fields->list[i].value);
    return directives;
}
