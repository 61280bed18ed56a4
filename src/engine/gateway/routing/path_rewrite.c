#include "path_rewrite.h"

const char *rewrite_prefix_is_wrong(struct bytes prefix)
{
    if (prefix.size > 0 && prefix.data[prefix.size - 1] == '/')
        return "ends with /; leave that out";
    return path_is_wrong(prefix);
}

/* Whether every path that fits `pattern` begins with the segments of `prefix`. */
static bool pattern_has_prefix(const struct path_pattern *pattern, struct bytes prefix)
{
    struct path_pattern wanted;

    if (pattern == NULL || path_pattern_parse(&wanted, prefix) != NULL || wanted.count > pattern->count)
        return false;
    for (size_t i = 0; i < wanted.count; i++)
        if (wanted.segments[i].kind != PATH_SEGMENT_TEXT ||
            pattern->segments[i].kind != PATH_SEGMENT_TEXT ||
            !bytes_equal(wanted.segments[i].text, pattern->segments[i].text))
            return false;
    return true;
}

/* Finds what a segment of the new path stands for in the pattern; null if it is there, else what is wrong.
 */
static const char *find_source(const struct path_segment *segment, const struct path_pattern *pattern,
                               size_t *source)
{
    if (segment->kind == PATH_SEGMENT_TEXT)
        return NULL;
    if (segment->kind == PATH_SEGMENT_ONE && segment->text.size == 0)
        return "has a * without a name; write {name} here and in the path of the match";
    for (size_t i = 0; pattern != NULL && i < pattern->count; i++) {
        *source = i;
        if (pattern->segments[i].kind == segment->kind &&
            bytes_equal(pattern->segments[i].text, segment->text))
            return NULL;
    }
    return segment->kind == PATH_SEGMENT_REST ? "has a ** that the path of the match has not"
                                              : "has a {name} that the path of the match has not";
}

static const char *read_path(struct path_rewrite *rewrite, struct bytes text,
                             const struct path_pattern *pattern)
{
    const char *wrong = path_pattern_parse(&rewrite->path, text);

    for (size_t i = 0; wrong == NULL && i < rewrite->path.count; i++)
        wrong = find_source(&rewrite->path.segments[i], pattern, &rewrite->sources[i]);
    return wrong;
}

static struct bytes bytes_or_none(const char *text)
{
    return text != NULL ? bytes_of_text(text) : (struct bytes){NULL, 0};
}

const char *path_rewrite_init(struct path_rewrite *rewrite, const struct rewrite_spec *spec,
                              const struct path_pattern *pattern, const char **wrong_key)
{
    *rewrite = (struct path_rewrite){.strip_prefix = bytes_or_none(spec->strip_prefix),
                                     .prefix = bytes_or_none(spec->prefix),
                                     .has_path = spec->path != NULL};
    *wrong_key = "path";
    if (spec->path != NULL && (spec->strip_prefix != NULL || spec->prefix != NULL))
        return "says it all; leave strip-prefix and prefix out";
    if (spec->path != NULL)
        return read_path(rewrite, bytes_of_text(spec->path), pattern);
    *wrong_key = "strip-prefix";
    if (spec->strip_prefix != NULL && !pattern_has_prefix(pattern, rewrite->strip_prefix))
        return "is not what the path of the match begins with";
    return NULL;
}

static void append_path(const struct path_rewrite *rewrite, const struct path_pattern *pattern,
                        struct bytes path, struct buffer *out)
{
    struct path_captures captures;

    if (!path_pattern_fits(pattern, path, &captures))
        return;
    for (size_t i = 0; i < rewrite->path.count; i++) {
        const struct path_segment *segment = &rewrite->path.segments[i];
        struct bytes text =
            segment->kind == PATH_SEGMENT_TEXT ? segment->text : captures.segments[rewrite->sources[i]];
        if (segment->kind == PATH_SEGMENT_REST && text.data == NULL)
            continue; /* the path ended before its slash */
        buffer_append_byte(out, '/');
        buffer_append(out, text);
    }
}

void path_rewrite_apply(const struct path_rewrite *rewrite, const struct path_pattern *pattern,
                        struct bytes path, struct buffer *out)
{
    size_t before = out->size;
    struct bytes rest = path;

    if (rewrite->has_path) {
        /* Without a pattern it is text alone, whatever the path. */
        static const struct path_pattern any = {.segments = {{.kind = PATH_SEGMENT_REST}}, .count = 1};
        append_path(rewrite, pattern != NULL ? pattern : &any, path, out);
    } else {
        path_has_prefix(path, rewrite->strip_prefix, &rest);
        buffer_append(out, rewrite->prefix);
        buffer_append(out, rest);
    }
    if (out->size == before)
        buffer_append_byte(out, '/');
}
