#include "json_position.h"
#include "base/number.h"

static size_t skip_space(struct bytes text, size_t at)
{
    while (at < text.size && strchr(" \t\r\n", text.data[at]) != NULL)
        at++;
    return at;
}

/* Behind the string that begins at `at`. */
static size_t skip_string(struct bytes text, size_t at)
{
    for (at++; at < text.size && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at < text.size ? at + 1 : text.size;
}

/* Behind the value that begins at `at`, without recursion: a file may nest deeply. */
static size_t skip_value(struct bytes text, size_t at)
{
    size_t depth = 0;

    do {
        char c = at < text.size ? text.data[at] : '\0';
        if (at >= text.size)
            return at;
        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        at++;
        if (depth == 0 && strchr("}]", c) == NULL) /* a number or a word */
            while (at < text.size && strchr(",]} \t\r\n", text.data[at]) == NULL)
                at++;
    } while (depth > 0);
    return at;
}

/* Whether the string at `at` is `token`; escapes in names are rare, and make none equal. */
static bool is_name(struct bytes text, size_t at, size_t end, const char *token)
{
    size_t size = strlen(token);
    return end >= at + 2 && end - at - 2 == size && memcmp(text.data + at + 1, token, size) == 0;
}

/* Moves `*at`, where a value begins, to where its member or item `token` begins. */
static bool enter(struct bytes text, size_t *at, const char *token, size_t *name_at)
{
    bool is_object = *at < text.size && text.data[*at] == '{';
    size_t i = *at + 1, index = 0;
    int64_t wanted = -1;

    if (!is_object && (*at >= text.size || text.data[*at] != '[' ||
                       !int64_parse(bytes_of_text(token), &wanted) || wanted < 0))
        return false;
    for (;; index++) {
        size_t value, name = i = skip_space(text, i);
        if (i >= text.size || text.data[i] == '}' || text.data[i] == ']')
            return false;
        if (is_object) {
            size_t end = skip_string(text, i);
            i = skip_space(text, end);
            i = skip_space(text, i + (i < text.size ? 1 : 0)); /* the colon */
            if (is_name(text, name, end, token)) {
                *at = i;
                *name_at = name;
                return i < text.size;
            }
        } else if ((int64_t)index == wanted) {
            *at = *name_at = i;
            return true;
        }
        value = i;
        i = skip_space(text, skip_value(text, i));
        if (i <= value || i >= text.size || text.data[i] != ',')
            return false;
        i++;
    }
}

bool json_pointer_next(struct bytes *pointer, char token[static POINTER_TOKEN_BYTES_MAX])
{
    size_t size = 0, i = 1;

    if (pointer->size == 0 || pointer->data[0] != '/')
        return false;
    for (; i < pointer->size && pointer->data[i] != '/'; i++) {
        char c = pointer->data[i];
        if (c == '~') {
            if (++i == pointer->size || (pointer->data[i] != '0' && pointer->data[i] != '1'))
                return false;
            c = pointer->data[i] == '0' ? '~' : '/';
        }
        if (size == POINTER_TOKEN_BYTES_MAX - 1)
            return false;
        token[size++] = c;
    }
    token[size] = '\0';
    *pointer = bytes_after(*pointer, i);
    return true;
}

bool json_position_find(struct bytes text, struct bytes pointer, size_t *line, size_t *column)
{
    char token[POINTER_TOKEN_BYTES_MAX];
    size_t at = skip_space(text, 0), shown = at;

    while (pointer.size > 0)
        if (!json_pointer_next(&pointer, token) || !enter(text, &at, token, &shown))
            return false;
    *line = *column = 1;
    for (size_t i = 0; i < shown; i++) {
        *column = text.data[i] == '\n' ? 1 : *column + 1;
        *line += text.data[i] == '\n';
    }
    return true;
}
