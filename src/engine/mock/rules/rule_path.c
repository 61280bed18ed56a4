#include "rule_path.h"

/* Where the name in `segment` begins and ends, with its braces or colon. False if there is none. */
static bool find_name(struct bytes segment, size_t *begin, size_t *end, struct bytes *name)
{
    const char *open = segment.size > 0 ? memchr(segment.data, '{', segment.size) : NULL;
    const char *close =
        open != NULL ? memchr(open, '}', (size_t)(segment.data + segment.size - open)) : NULL;

    if (segment.size > 1 && segment.data[0] == ':') {
        *begin = 0;
        *end = segment.size;
        *name = bytes_after(segment, 1);
        return true;
    }
    if (close == NULL)
        return false;
    *begin = (size_t)(open - segment.data);
    *end = (size_t)(close + 1 - segment.data);
    *name = bytes_of(open + 1, (size_t)(close - open - 1));
    return true;
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = byte_to_lower(name.data[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return name.size > 0;
}

static bool read_segment(struct rules_reader *reader, const yaml_node_t *node, struct bytes text,
                         bool is_last, struct rule_path_segment *segment)
{
    size_t begin, end;

    *segment = (struct rule_path_segment){.before = text};
    if (!find_name(text, &begin, &end, &segment->name)) {
        if (text.size == 0 ||
            (memchr(text.data, '{', text.size) == NULL && memchr(text.data, '}', text.size) == NULL))
            return true;
        rules_report(reader, node, "path: a brace without its other half; write {name}");
        return false;
    }
    segment->before = bytes_first(text, begin);
    segment->behind = bytes_after(text, end);
    if (segment->name.size > 1 && segment->name.data[segment->name.size - 1] == '*') {
        segment->takes_rest = true;
        segment->name.size--;
        if (!is_last || segment->before.size > 0 || segment->behind.size > 0) {
            rules_report(reader, node, "path: {name*} takes the rest, so it is the whole last segment");
            return false;
        }
    }
    if (!is_name(segment->name) ||
        (segment->behind.size > 0 && memchr(segment->behind.data, '{', segment->behind.size) != NULL)) {
        rules_report(reader, node,
                     "path: a segment has at most one {name}, of letters, digits, '_' and '-'");
        return false;
    }
    return true;
}

bool rule_path_read(struct rules_reader *reader, const yaml_node_t *node, struct rule_path *path)
{
    struct bytes rest;
    size_t name_count = 0;

    path->count = 0;
    if (!rules_read_text(reader, node, "path", &rest))
        return false;
    if (rest.size == 0 || rest.data[0] != '/' || memchr(rest.data, '?', rest.size) != NULL) {
        rules_report(reader, node,
                     "path begins with a slash and has no '?', such as /users/{id}; what the "
                     "query has to say stands under `query`");
        return false;
    }
    if (rest.size > 1 && rest.data[rest.size - 1] == '/')
        rest.size--;
    while (rest.size > 1) {
        const char *slash = memchr(rest.data + 1, '/', rest.size - 1);
        size_t size = slash != NULL ? (size_t)(slash - rest.data) : rest.size;
        struct rule_path_segment *segment = &path->segments[path->count];
        if (path->count == RULE_PATH_SEGMENTS_MAX) {
            rules_report(reader, node, "path: at most %d segments", RULE_PATH_SEGMENTS_MAX);
            return false;
        }
        if (!read_segment(reader, node, bytes_of(rest.data + 1, size - 1), slash == NULL, segment))
            return false;
        if (segment->name.size > 0) {
            if (rule_path_find(path, segment->name) >= 0 || ++name_count > VIEW_CAPTURES_MAX) {
                rules_report(reader, node, "path: each name once, and at most %d of them",
                             VIEW_CAPTURES_MAX);
                return false;
            }
        }
        path->count++;
        rest = bytes_after(rest, size);
    }
    return true;
}

int rule_path_find(const struct rule_path *path, struct bytes name)
{
    int index = 0;

    for (size_t i = 0; i < path->count; i++) {
        if (path->segments[i].name.size == 0)
            continue;
        if (bytes_equal(path->segments[i].name, name))
            return index;
        index++;
    }
    return -1;
}

static void keep(struct path_values *values, struct bytes value)
{
    buffer_append(&values->text, value);
    values->ends[values->count++] = values->text.size;
}

static bool segment_matches(const struct rule_path_segment *segment, struct bytes text,
                            struct path_values *values)
{
    struct bytes before = segment->before, behind = segment->behind;

    if (segment->name.size == 0)
        return bytes_equal(before, text);
    if (text.size <= before.size + behind.size || !bytes_start_with(text, before) ||
        !bytes_end_with(text, behind))
        return false;
    if (values != NULL)
        keep(values, bytes_of(text.data + before.size, text.size - before.size - behind.size));
    return true;
}

bool rule_path_matches(const struct rule_path *path, struct bytes text, struct path_values *values)
{
    struct buffer decoded = {0};
    bool matches = text.size > 0 && text.data[0] == '/';
    size_t i = 0;

    if (values != NULL) {
        buffer_clear(&values->text);
        values->count = 0;
    }
    if (text.size > 1 && text.data[text.size - 1] == '/')
        text.size--;
    while (matches && text.size > 1 && i < path->count && !path->segments[i].takes_rest) {
        const char *slash = memchr(text.data + 1, '/', text.size - 1);
        size_t size = slash != NULL ? (size_t)(slash - text.data) : text.size;
        buffer_clear(&decoded);
        request_decode(&decoded, bytes_of(text.data + 1, size - 1), false);
        matches = segment_matches(&path->segments[i++], buffer_bytes(&decoded), values);
        text = bytes_after(text, size);
    }
    if (matches && i < path->count && path->segments[i].takes_rest) {
        if (values != NULL && text.size > 0) {
            buffer_clear(&decoded);
            request_decode(&decoded, bytes_after(text, 1), false);
            keep(values, buffer_bytes(&decoded));
        } else if (values != NULL) {
            keep(values, (struct bytes){0});
        }
        i++;
        text.size = 0;
    }
    buffer_fini(&decoded);
    return matches && i == path->count && text.size <= 1 && (values == NULL || !values->text.failed);
}

struct bytes path_value(const struct path_values *values, size_t index)
{
    size_t begin = index > 0 ? values->ends[index - 1] : 0;

    if (index >= values->count || values->ends[index] == begin)
        return (struct bytes){0};
    return bytes_of(values->text.data + begin, values->ends[index] - begin);
}

void path_values_fini(struct path_values *values) { buffer_fini(&values->text); }
