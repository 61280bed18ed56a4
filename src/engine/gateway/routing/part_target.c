#include "part_target.h"
#include "engine/gateway/policy/query_parameters.h"
#include "message/http_syntax.h"
#include "message/percent.h"
#include "message/plain_target.h"

static const struct bytes of_query = BYTES_INIT("query.");

/* `target` up to its `?`, and what is behind that; false, with an empty `query`, if there is none. */
static bool split(struct bytes target, struct bytes *path, struct bytes *query)
{
    const char *mark = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;

    *path = mark != NULL ? bytes_first(target, (size_t)(mark - target.data)) : target;
    *query = bytes_after(target, path->size + (mark != NULL));
    return mark != NULL;
}

/* Takes what is up to the next brace off the front, and the name in that; false if there is no further one.
 */
static bool next_hole(struct bytes *rest, struct bytes *text, struct bytes *name)
{
    const char *open = rest->size > 0 ? memchr(rest->data, '{', rest->size) : NULL, *close;

    *text = open != NULL ? bytes_first(*rest, (size_t)(open - rest->data)) : *rest;
    *rest = bytes_after(*rest, text->size);
    if (open == NULL)
        return false;
    close = memchr(rest->data, '}', rest->size);
    *name = bytes_of(rest->data + 1, close != NULL ? (size_t)(close - rest->data) - 1 : rest->size - 1);
    *rest = bytes_after(*rest, name->size + 1 + (close != NULL));
    return true;
}

static bool find_segment(const struct path_pattern *pattern, struct bytes name, size_t *index)
{
    for (*index = 0; *index < pattern->count; ++*index)
        if (pattern->segments[*index].kind == PATH_SEGMENT_ONE && name.size > 0 &&
            bytes_equal(pattern->segments[*index].text, name))
            return true;
    return false;
}

/* RFC 3986 §2.3. */
static bool is_unreserved(char c)
{
    char lower = byte_to_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* ---- what may be written ------------------------------------------------------------------------- */

static const char *text_is_wrong(struct bytes text, unsigned classes)
{
    for (size_t i = 0; i < text.size;) {
        char ignored;
        if (text.data[i] == '}')
            return "has a } without {";
        if (text.data[i] == '#')
            return "has a #, which no server is sent";
        if (text.data[i] != '%' && !http_byte_is(text.data[i], classes))
            return "has a byte that is to be percent-encoded";
        if (!percent_take(text, &i, &ignored))
            return "has a % without two hexadecimal digits";
    }
    return NULL;
}

static const char *name_is_wrong(struct bytes name, const struct path_pattern *pattern, bool in_query)
{
    size_t ignored;

    if (!bytes_start_with(name, of_query))
        return find_segment(pattern, name, &ignored) ? NULL : "has a {name} that the path has not";
    if (!in_query)
        return "has a {query.NAME} in its path; it stands behind ? alone";
    if (name.size == of_query.size)
        return "has a {query.} without a parameter's name";
    for (size_t i = of_query.size; i < name.size; i++)
        if (!is_unreserved(name.data[i]) && name.data[i] != '[' && name.data[i] != ']')
            return "has a {query.NAME} whose NAME is not of letters, digits, and - . _ ~ [ ]";
    return NULL;
}

static const char *half_is_wrong(struct bytes half, const struct path_pattern *pattern, bool in_query)
{
    unsigned classes = in_query ? HTTP_BYTE_PATH | HTTP_BYTE_QUERY : HTTP_BYTE_PATH;
    const char *end = half.size > 0 ? half.data + half.size : NULL, *wrong;
    struct bytes text, name;

    while (next_hole(&half, &text, &name)) {
        wrong = text_is_wrong(text, classes);
        if (wrong == NULL)
            wrong =
                name.data + name.size == end ? "has a { without }" : name_is_wrong(name, pattern, in_query);
        if (wrong != NULL)
            return wrong;
    }
    return text_is_wrong(text, classes);
}

/* Writes `path`, `x` being each segment; false if there is no room. */
static bool write_example(struct bytes path, char *example, size_t capacity, size_t *size)
{
    struct bytes text, name;
    bool has_more = true;

    *size = 0;
    while (has_more) {
        has_more = next_hole(&path, &text, &name);
        if (text.size + 1 > capacity - *size)
            return false;
        if (text.size > 0)
            memcpy(example + *size, text.data, text.size);
        *size += text.size;
        if (has_more)
            example[(*size)++] = 'x';
    }
    return true;
}

const char *part_target_is_wrong(struct bytes target, const struct path_pattern *pattern)
{
    char example[PART_TARGET_BYTES_MAX];
    struct bytes path, query;
    const char *wrong;
    size_t size;

    if (target.size == 0 || target.data[0] != '/')
        return "does not begin with /; a part is a path of one of the gateway's routes";
    if (target.size >= PART_TARGET_BYTES_MAX)
        return "is too long";
    split(target, &path, &query);
    wrong = half_is_wrong(path, pattern, false);
    if (wrong == NULL)
        wrong = half_is_wrong(query, pattern, true);
    if (wrong == NULL && (!write_example(path, example, sizeof example, &size) ||
                          !target_is_plain(bytes_of(example, size), (struct bytes){0})))
        wrong = "has a segment . or .., which leads elsewhere";
    return wrong;
}

bool part_target_fits(struct bytes target, const struct path_pattern *other)
{
    char example[PART_TARGET_BYTES_MAX];
    struct bytes path, query;
    size_t size;

    split(target, &path, &query);
    return write_example(path, example, sizeof example, &size) &&
           path_pattern_fits(other, bytes_of(example, size), NULL);
}

/* ---- filling in ---------------------------------------------------------------------------------- */

struct filling {
    const struct path_pattern *pattern;
    const struct path_captures *captures;
    struct bytes query; /* the client's */
};

/* A run of a path as one value of a query. */
static void append_encoded(struct buffer *out, struct bytes segment)
{
    for (size_t at = 0; at < segment.size;) {
        char byte;
        if (!percent_take(segment, &at, &byte))
            at++; /* a % that stands for itself */
        if (is_unreserved(byte))
            buffer_append_byte(out, byte);
        else
            buffer_append_format(out, "%%%02X", (unsigned)(unsigned char)byte);
    }
}

static bool is_called(struct bytes written, struct bytes name)
{
    size_t at = 0, i = 0;

    while (at < written.size && i < name.size)
        if (query_next_character(written, &at) != name.data[i++])
            return false;
    return at == written.size && i == name.size;
}

/* The value, as the client has written it, of the first such parameter. */
static bool find_parameter(struct bytes query, struct bytes name, struct bytes *value)
{
    struct query_parameter parameter;

    while (query_parameter_next(&query, &parameter))
        if (is_called(parameter.name, name)) {
            *value = parameter.value;
            return true;
        }
    return false;
}

/* False if there is no value for one of its names. */
static bool expand(const struct filling *filling, struct bytes written, bool in_query, struct buffer *out)
{
    struct bytes text, name, value;
    size_t index;

    while (next_hole(&written, &text, &name)) {
        buffer_append(out, text);
        if (bytes_start_with(name, of_query)) {
            if (!find_parameter(filling->query, bytes_after(name, of_query.size), &value))
                return false;
            buffer_append(out, value);
        } else if (find_segment(filling->pattern, name, &index)) {
            if (in_query)
                append_encoded(out, filling->captures->segments[index]);
            else
                buffer_append(out, filling->captures->segments[index]);
        }
        if (out->size > PART_ASKED_BYTES_MAX)
            return true;
    }
    buffer_append(out, text);
    return true;
}

bool part_target_fill(struct bytes target, const struct path_pattern *pattern,
                      const struct path_captures *captures, struct bytes query, struct buffer *path,
                      struct buffer *filled_query)
{
    struct filling filling = {pattern, captures, query};
    struct query_parameter parameter;
    struct bytes own_path, own_query;

    split(target, &own_path, &own_query);
    expand(&filling, own_path, false, path);
    while (query_parameter_next(&own_query, &parameter) && filled_query->size <= PART_ASKED_BYTES_MAX) {
        size_t before = filled_query->size;
        if (before > 0)
            buffer_append_byte(filled_query, '&');
        if (!expand(&filling, parameter.whole, true, filled_query))
            filled_query->size = before;
    }
    return path->size + filled_query->size <= PART_ASKED_BYTES_MAX &&
           target_is_plain(buffer_bytes(path), buffer_bytes(filled_query));
}
