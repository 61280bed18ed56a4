#include "directives.h"
#include "base/compiler.h"
#include "base/number.h"
#include "message/structured_field.h"

enum argument_kind { ARGUMENT_NONE, ARGUMENT_FIELDS, ARGUMENT_SECONDS, ARGUMENT_SECONDS_OR_NONE };

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

/* A list of field names, as private and no-cache may have one. */
static bool is_field_list(struct bytes list)
{
    struct bytes name;
    bool has_names = false;

    while (http_list_next(&list, &name)) {
        if (!http_is_token(name))
            return false;
        has_names = true;
    }
    return has_names;
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
        case ARGUMENT_FIELDS:
            if (!has_argument || !is_field_list(argument))
                directives->partial &= ~(1u << i);
            else if (!is_repeated)
                directives->partial |= 1u << i;
            break;
        case ARGUMENT_SECONDS:
            /* RFC 9111 §4.2.1: several values: the response is taken for stale. */
            if (is_repeated || !delta_seconds_parse(argument, &directives->seconds[i]))
                directives->seconds[i] = DIRECTIVE_INVALID;
            break;
        case ARGUMENT_SECONDS_OR_NONE:
            if (!has_argument && !is_repeated)
                directives->seconds[i] = DIRECTIVE_SECONDS_MAX;
            else if (is_repeated || !delta_seconds_parse(argument, &directives->seconds[i]))
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

struct member {
    struct bytes name, argument;
    bool has_argument;
};

/* Takes the next member of the list off the front of `value`; false at the end. */
static bool next_member(struct bytes *value, struct member *member, bool *malformed)
{
    size_t at = 0, end;

    *member = (struct member){0};
    while (at < value->size && (value->data[at] == ',' || is_blank(value->data[at])))
        at++;
    if (at == value->size)
        return false;
    end = run_end(*value, at);
    member->name = bytes_of(value->data + at, end - at);
    *malformed |= !http_is_token(member->name);
    at = end;
    if (at < value->size && value->data[at] == '=') {
        member->has_argument = true;
        at++;
        if (at < value->size && value->data[at] == '"') {
            end = quoted_end(*value, at);
            *malformed |= end == 0;
            if (end == 0)
                end = value->size;
            else
                member->argument = bytes_of(value->data + at + 1, end - at - 2);
        } else {
            end = run_end(*value, at);
            member->argument = bytes_of(value->data + at, end - at);
            *malformed |= !http_is_token(member->argument);
        }
        at = end;
    }
    while (at < value->size && is_blank(value->data[at]))
        at++;
    if (at < value->size && value->data[at] != ',') {
        *malformed = true;
        while (at < value->size && value->data[at] != ',')
            at++;
    }
    *value = bytes_after(*value, at);
    return true;
}

void directives_read(struct cache_directives *directives, struct bytes value)
{
    struct member member;

    while (next_member(&value, &member, &directives->malformed))
        apply(directives, member.name, member.has_argument, member.argument);
}

struct cache_directives directives_of(const struct http_fields *fields)
{
    struct cache_directives directives = {0};

    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].header == HTTP_HEADER_CACHE_CONTROL)
            directives_read(&directives, fields->list[i].value);
    return directives;
}

/* RFC 9213 §2.1. What is of another type than its directive takes permits nothing. */
static void apply_member(struct cache_directives *directives, enum directive directive,
                         const struct structured_value *value)
{
    bool is_bare = value->type == STRUCTURED_BOOLEAN && value->number != 0;

    directives->present |= 1u << directive;
    switch (rows[directive].argument) {
    case ARGUMENT_NONE: directives->malformed |= !is_bare; break;
    case ARGUMENT_FIELDS: /* with a list of fields it is read as without, which is stricter */
        directives->malformed |=
            !is_bare && value->type != STRUCTURED_STRING && value->type != STRUCTURED_TOKEN;
        break;
    case ARGUMENT_SECONDS:
    case ARGUMENT_SECONDS_OR_NONE:
        if (value->type != STRUCTURED_INTEGER || value->number < 0)
            directives->seconds[directive] = DIRECTIVE_INVALID;
        else
            directives->seconds[directive] =
                value->number < DIRECTIVE_SECONDS_MAX ? value->number : DIRECTIVE_SECONDS_MAX;
        break;
    }
}

/* False if the field is not there, or is to be ignored. */
static bool read_targeted(struct cache_directives *directives, const struct http_fields *fields,
                          enum http_header header)
{
    struct buffer text = {0};
    struct structured_member member;
    struct bytes rest;
    bool counts = false;

    if (http_fields_find(fields, header) == NULL)
        return false;
    structured_join(&text, fields, http_header_name(header));
    rest = buffer_bytes(&text);
    if (text.failed) { /* who knows what it forbids */
        *directives = (struct cache_directives){.malformed = true, .is_targeted = true};
        counts = true;
    } else if (structured_is_dictionary(rest) && structured_dictionary_next(&rest, &member)) {
        *directives = (struct cache_directives){.is_targeted = true};
        for (enum directive i = 0; i < DIRECTIVE_COUNT; i++)
            if (structured_dictionary_find(buffer_bytes(&text), rows[i].name, &member))
                apply_member(directives, i, &member.value);
        counts = true;
    }
    buffer_fini(&text);
    return counts;
}

struct cache_directives response_directives_of(const struct http_fields *fields)
{
    struct cache_directives directives;

    if (read_targeted(&directives, fields, HTTP_HEADER_NUTHATCH_CACHE_CONTROL) ||
        read_targeted(&directives, fields, HTTP_HEADER_CDN_CACHE_CONTROL))
        return directives;
    return directives_of(fields);
}

static bool line_names_field(struct bytes value, struct bytes name)
{
    struct member member;
    struct bytes named;
    bool malformed = false;

    while (next_member(&value, &member, &malformed)) {
        if (!bytes_equal_nocase(member.name, rows[DIRECTIVE_PRIVATE].name) &&
            !bytes_equal_nocase(member.name, rows[DIRECTIVE_NO_CACHE].name))
            continue;
        while (http_list_next(&member.argument, &named))
            if (bytes_equal_nocase(named, name))
                return true;
    }
    return false;
}

bool directives_name_field(const struct http_fields *fields, struct bytes name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].header == HTTP_HEADER_CACHE_CONTROL &&
            line_names_field(fields->list[i].value, name))
            return true;
    return false;
}
