#include "json_scan.h"
#include "base/number.h"
#include "json_text.h"

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t skip_space(struct bytes text, size_t at)
{
    while (at < text.size && is_space(text.data[at]))
        at++;
    return at;
}

/* Behind the string whose opening quote is at `at`; 0 if it does not end. */
static size_t skip_string(struct bytes text, size_t at)
{
    for (at++; at < text.size;) {
        const char *quote = memchr(text.data + at, '"', text.size - at);
        size_t end, slashes = 0;
        if (quote == NULL)
            return 0;
        end = (size_t)(quote - text.data);
        while (end - slashes > at && text.data[end - slashes - 1] == '\\')
            slashes++;
        at = end + 1;
        if (slashes % 2 == 0)
            return at;
    }
    return 0;
}

/* Behind the array or object whose bracket is at `at`; 0 if it does not end. */
static size_t skip_container(struct bytes text, size_t at)
{
    size_t depth = 0;

    while (at < text.size) {
        char c = text.data[at];
        if (c == '"') {
            at = skip_string(text, at);
            if (at == 0)
                return 0;
            continue;
        }
        at++;
        if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && --depth == 0)
            return at;
    }
    return 0;
}

static bool ends_word(char c) { return c == ',' || c == ']' || c == '}' || c == ':' || is_space(c); }

bool json_scan_value(struct bytes text, size_t *at, struct bytes *value)
{
    size_t begin = skip_space(text, *at), end = begin;

    if (begin == text.size)
        return false;
    switch (text.data[begin]) {
    case '"': end = skip_string(text, begin); break;
    case '[':
    case '{': end = skip_container(text, begin); break;
    default:
        while (end < text.size && !ends_word(text.data[end]))
            end++;
    }
    if (end <= begin)
        return false;
    *value = bytes_of(text.data + begin, end - begin);
    *at = end;
    return true;
}

bool json_scan_next(struct bytes container, size_t *at, struct bytes *name, struct bytes *value)
{
    size_t i = *at;

    *name = (struct bytes){0};
    if (container.size < 2)
        return false;
    if (i == 0) {
        i = 1;
    } else {
        i = skip_space(container, i);
        if (i >= container.size || container.data[i] != ',')
            return false;
        i++;
    }
    i = skip_space(container, i);
    if (i >= container.size - 1)
        return false;
    if (container.data[0] == '{') {
        if (container.data[i] != '"' || !json_scan_value(container, &i, name))
            return false;
        i = skip_space(container, i);
        if (i >= container.size || container.data[i] != ':')
            return false;
        i++;
    }
    if (!json_scan_value(container, &i, value))
        return false;
    *at = i;
    return true;
}

bool json_scan_member(struct bytes object, struct bytes name, struct bytes *value)
{
    struct bytes member;
    size_t at = 0;

    if (object.size < 2 || object.data[0] != '{')
        return false;
    while (json_scan_next(object, &at, &member, value))
        if (bytes_equal(member, name))
            return true;
    return false;
}

static bool element_at(struct bytes array, struct bytes part, struct bytes *value)
{
    struct bytes name, digits = bytes_of(part.data + 1, part.size - 2);
    size_t at = 0;
    int64_t index;

    if (!int64_parse(digits, &index) || index < 0 || (digits.size > 1 && digits.data[0] == '0'))
        return false;
    for (; json_scan_next(array, &at, &name, value); index--)
        if (index == 0)
            return true;
    return false;
}

bool json_scan_path(struct bytes value, const struct json_path *path, struct bytes *found)
{
    for (size_t i = 0; i < path->part_count; i++) {
        if (value.size == 0 || (value.data[0] == '[' ? !element_at(value, path->parts[i], &value)
                                                     : !json_scan_member(value, path->parts[i], &value)))
            return false;
    }
    *found = value;
    return true;
}

bool json_path_parse(struct bytes text, struct json_path *path)
{
    size_t ends[JSON_PATH_PARTS_MAX], begin = 0;

    *path = (struct json_path){0};
    for (;;) {
        const char *dot = text.size > 0 ? memchr(text.data, '.', text.size) : NULL;
        struct bytes part = bytes_first(text, dot != NULL ? (size_t)(dot - text.data) : text.size);
        if (path->part_count == JSON_PATH_PARTS_MAX)
            return false;
        json_text_append_string(&path->room, part);
        ends[path->part_count++] = path->room.size;
        if (dot == NULL)
            break;
        text = bytes_after(text, part.size + 1);
    }
    if (path->room.failed)
        return false;
    for (size_t i = 0; i < path->part_count; begin = ends[i++])
        path->parts[i] = bytes_of(path->room.data + begin, ends[i] - begin);
    return true;
}

void json_path_fini(struct json_path *path) { buffer_fini(&path->room); }
