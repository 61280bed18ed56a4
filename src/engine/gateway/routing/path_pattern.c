#include "path_pattern.h"
#include "message/http_syntax.h"
#include "message/percent.h"
#include "message/plain_target.h"

static bool is_letter_or_digit(char byte)
{
    char lower = byte_to_lower(byte);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9');
}

static bool is_unreserved(char byte)
{
    return is_letter_or_digit(byte) || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/* What stands at `*at`, and moves on: a byte, or 256 and more for one that is encoded and must be, or that
 * should be and is not. */
static int next_unit(struct bytes path, size_t *at)
{
    bool is_encoded = path.data[*at] == '%';
    char byte;

    if (!percent_take(path, at, &byte)) {
        *at += 1;
        return '%';
    }
    return (is_encoded && !is_unreserved(byte)) || http_byte_is(byte, HTTP_BYTE_UNWISE)
               ? 256 + (unsigned char)byte
               : (unsigned char)byte;
}

static bool is_same_segment(struct bytes a, struct bytes b)
{
    size_t at_a = 0, at_b = 0;

    while (at_a < a.size && at_b < b.size)
        if (next_unit(a, &at_a) != next_unit(b, &at_b))
            return false;
    return at_a == a.size && at_b == b.size;
}

/* Takes a segment off the front of `*rest`; false if there is none. `*has_more` says whether `*rest` has
 * one. */
static bool take_segment(struct bytes *rest, bool *has_more, struct bytes *segment)
{
    const char *slash;

    if (!*has_more)
        return false;
    slash = rest->size > 0 ? memchr(rest->data, '/', rest->size) : NULL;
    *has_more = slash != NULL;
    *segment = slash != NULL ? bytes_first(*rest, (size_t)(slash - rest->data)) : *rest;
    *rest = bytes_after(*rest, segment->size + *has_more);
    return true;
}

const char *path_is_wrong(struct bytes path)
{
    if (path.size == 0 || path.data[0] != '/')
        return "does not begin with /";
    for (size_t i = 0; i < path.size;) {
        char ignored;
        if (path.data[i] == '?' || path.data[i] == '#')
            return "is more than a path: leave out what begins with ? or #";
        if (!http_byte_is(path.data[i], HTTP_BYTE_PATH) && path.data[i] != '%')
            return "has a byte that is to be percent-encoded";
        if (!percent_take(path, &i, &ignored))
            return "has a % without two hexadecimal digits";
    }
    if (!target_is_plain(path, (struct bytes){NULL, 0}))
        return "has a . or .. segment; write the path it leads to";
    return NULL;
}

/* Whether `name` may stand in braces. */
static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!is_letter_or_digit(name.data[i]) && name.data[i] != '-' && name.data[i] != '_')
            return false;
    return name.size > 0;
}

static bool has_name(const struct path_pattern *pattern, struct bytes name)
{
    for (size_t i = 0; i < pattern->count; i++)
        if (pattern->segments[i].kind == PATH_SEGMENT_ONE && bytes_equal(pattern->segments[i].text, name))
            return true;
    return false;
}

static const char *read_segment(struct path_pattern *pattern, struct bytes text, bool is_last)
{
    struct path_segment *segment = &pattern->segments[pattern->count];

    *segment = (struct path_segment){.kind = PATH_SEGMENT_TEXT, .text = text};
    if (bytes_equal(text, BYTES("**"))) {
        if (!is_last)
            return "has ** in its midst; it stands at the end only";
        *segment = (struct path_segment){.kind = PATH_SEGMENT_REST};
    } else if (bytes_equal(text, BYTES("*"))) {
        *segment = (struct path_segment){.kind = PATH_SEGMENT_ONE};
    } else if (text.size >= 2 && text.data[0] == '{' && text.data[text.size - 1] == '}') {
        struct bytes name = bytes_of(text.data + 1, text.size - 2);
        if (!is_name(name))
            return "has a name in braces that is not made of letters, digits, - and _";
        if (has_name(pattern, name))
            return "has one name twice";
        *segment = (struct path_segment){.kind = PATH_SEGMENT_ONE, .text = name};
    } else if (text.size > 0 &&
               (memchr(text.data, '*', text.size) != NULL || memchr(text.data, '{', text.size) != NULL ||
                memchr(text.data, '}', text.size) != NULL)) {
        return "mixes * or {name} with other letters; each stands for a whole segment between slashes";
    } else if (text.size > 0) {
        struct bytes whole = bytes_of(text.data - 1, text.size + 1);
        const char *wrong = path_is_wrong(whole);
        if (wrong != NULL)
            return wrong;
    }
    pattern->count++;
    return NULL;
}

const char *path_pattern_parse(struct path_pattern *pattern, struct bytes text)
{
    struct bytes rest = bytes_after(text, text.size > 0), segment;
    bool has_more = true;

    pattern->count = 0;
    if (text.size == 0 || text.data[0] != '/')
        return "does not begin with /";
    while (take_segment(&rest, &has_more, &segment)) {
        const char *wrong;
        if (pattern->count == PATH_SEGMENTS_MAX)
            return "has more than 32 segments";
        wrong = read_segment(pattern, segment, !has_more);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

bool path_pattern_fits(const struct path_pattern *pattern, struct bytes path,
                       struct path_captures *captures)
{
    struct bytes rest = bytes_after(path, path.size > 0), text;
    bool has_more = true;

    if (path.size == 0 || path.data[0] != '/')
        return false;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct path_segment *segment = &pattern->segments[i];
        if (segment->kind == PATH_SEGMENT_REST) {
            if (captures != NULL)
                captures->segments[i] = has_more ? rest : (struct bytes){NULL, 0};
            return true;
        }
        if (!take_segment(&rest, &has_more, &text) ||
            !(segment->kind == PATH_SEGMENT_ONE ? text.size > 0 : is_same_segment(segment->text, text)))
            return false;
        if (captures != NULL)
            captures->segments[i] = text;
    }
    return !has_more;
}

bool path_has_prefix(struct bytes path, struct bytes prefix, struct bytes *rest)
{
    size_t at = 0, at_prefix = 0;

    while (at < path.size && at_prefix < prefix.size)
        if (next_unit(path, &at) != next_unit(prefix, &at_prefix))
            return false;
    if (at_prefix < prefix.size || (at < path.size && path.data[at] != '/'))
        return false;
    *rest = bytes_after(path, at);
    return true;
}
