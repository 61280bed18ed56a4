#include "path_template.h"
#include "message/percent.h"
#include <stdint.h>

enum { PIECES_MAX = 8 };

/* A part of a segment: text as it is, or a name in braces. */
struct piece {
    const char *name; /* null: it is text */
    struct bytes text;
};

struct segment {
    struct piece pieces[PIECES_MAX];
    size_t count;
};

struct path_template {
    size_t count, parameter_count;
    struct segment segments[];
};

static const char *parse_segment(struct region *region, struct bytes text, struct segment *segment,
                                 size_t *parameter_count)
{
    while (text.size > 0) {
        bool is_name = text.data[0] == '{';
        const char *end = memchr(text.data, is_name ? '}' : '{', text.size);
        struct piece *piece = &segment->pieces[segment->count];
        size_t size = end != NULL ? (size_t)(end - text.data) : text.size;
        if (segment->count == PIECES_MAX)
            return "a segment has more than 8 parts";
        if (is_name && (end == NULL || size < 2))
            return "a '{' needs a name and a '}'";
        if (is_name && segment->count > 0 && segment->pieces[segment->count - 1].name != NULL)
            return "two names in braces need something between them";
        if (is_name) {
            piece->name = region_copy(region, bytes_of(text.data + 1, size - 1));
            if (piece->name == NULL)
                return "";
            if (++*parameter_count > PATH_PARAMETERS_MAX)
                return "a path has more than 16 names in braces";
            size++;
        } else {
            piece->text = bytes_first(text, size);
        }
        segment->count++;
        text = bytes_after(text, size);
    }
    return NULL;
}

const struct path_template *path_template_parse(struct region *region, const char *text, const char **why)
{
    struct path_template *path;
    size_t count = 0;
    char *copy;

    *why = "a path must begin with '/'";
    if (*text != '/')
        return NULL;
    for (const char *c = text; *c != '\0'; c++)
        count += *c == '/';
    *why = "a path has more than 32 segments";
    if (count > PATH_SEGMENTS_MAX)
        return NULL;
    *why = NULL;
    path = region_take(region, sizeof *path + count * sizeof path->segments[0]);
    copy = region_copy(region, bytes_of_text(text));
    if (path == NULL || copy == NULL)
        return NULL;
    while (*copy == '/') {
        const char *end = strchrnul(copy + 1, '/');
        *why = parse_segment(region, bytes_of(copy + 1, (size_t)(end - copy) - 1),
                             &path->segments[path->count++], &path->parameter_count);
        if (*why != NULL) {
            *why = **why == '\0' ? NULL : *why;
            return NULL;
        }
        copy += end - copy;
    }
    return path;
}

bool path_parts_split(struct bytes path, struct path_parts *parts)
{
    size_t at = 0, size = 0;

    parts->count = 0;
    if (path.size == 0 || path.data[0] != '/' || path.size >= sizeof parts->decoded)
        return false;
    while (at < path.size) {
        size_t start = size;
        if (parts->count == PATH_SEGMENTS_MAX)
            return false;
        for (at++; at < path.size && path.data[at] != '/'; size++)
            if (!percent_take(path, &at, &parts->decoded[size]))
                return false;
        parts->segments[parts->count++] = bytes_of(parts->decoded + start, size - start);
    }
    return true;
}

/* A name stands for one byte or more, up to where the text behind it first follows; the last up to the end.
 */
static bool segment_matches(const struct segment *segment, struct bytes text, struct path_values *values)
{
    for (size_t i = 0; i < segment->count; i++) {
        const struct piece *piece = &segment->pieces[i];
        struct bytes value = text;
        if (piece->name == NULL) {
            bool is_last = i + 1 == segment->count;
            if (is_last ? !bytes_equal(text, piece->text) : !bytes_start_with(text, piece->text))
                return false;
            text = bytes_after(text, piece->text.size);
            continue;
        }
        if (text.size == 0)
            return false;
        if (i + 1 < segment->count) {
            struct bytes next = segment->pieces[i + 1].text;
            if (i + 2 == segment->count) {
                if (text.size <= next.size)
                    return false;
                value.size = text.size - next.size;
            } else {
                const char *found = memmem(text.data + 1, text.size - 1, next.data, next.size);
                if (found == NULL)
                    return false;
                value.size = (size_t)(found - text.data);
            }
        }
        values->names[values->count] = piece->name;
        values->values[values->count++] = value;
        text = bytes_after(text, value.size);
    }
    return text.size == 0;
}

bool path_template_matches(const struct path_template *path, const struct path_parts *parts,
                           struct path_values *values)
{
    values->count = 0;
    if (path->count != parts->count)
        return false;
    for (size_t i = 0; i < path->count; i++)
        if (!segment_matches(&path->segments[i], parts->segments[i], values))
            return false;
    return true;
}

/* How many bytes a segment writes out, if it has a name in braces; many, if not. */
static size_t written_bytes(const struct segment *segment)
{
    size_t size = 0;
    bool has_name = false;

    for (size_t i = 0; i < segment->count; i++) {
        size += segment->pieces[i].text.size;
        has_name |= segment->pieces[i].name != NULL;
    }
    return has_name ? size : SIZE_MAX;
}

static int compare_texts(const struct segment *a, const struct segment *b)
{
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    for (size_t i = 0; i < a->count; i++) {
        struct bytes x = a->pieces[i].text, y = b->pieces[i].text;
        int order =
            memcmp(x.size > 0 ? x.data : "", y.size > 0 ? y.data : "", x.size < y.size ? x.size : y.size);
        if ((a->pieces[i].name == NULL) != (b->pieces[i].name == NULL))
            return a->pieces[i].name == NULL ? -1 : 1;
        if (order != 0 || x.size != y.size)
            return order != 0 ? order : x.size > y.size ? -1 : 1;
    }
    return 0;
}

int path_template_compare(const struct path_template *a, const struct path_template *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = 0; i < a->count; i++) {
        size_t x = written_bytes(&a->segments[i]), y = written_bytes(&b->segments[i]);
        if (x != y)
            return x > y ? -1 : 1;
    }
    for (size_t i = 0; i < a->count; i++) {
        int order = compare_texts(&a->segments[i], &b->segments[i]);
        if (order != 0)
            return order;
    }
    return 0;
}

bool path_template_has(const struct path_template *path, const char *name)
{
    for (size_t i = 0; i < path->count; i++)
        for (size_t j = 0; j < path->segments[i].count; j++) {
            const char *piece = path->segments[i].pieces[j].name;
            if (piece != NULL && strcmp(piece, name) == 0)
                return true;
        }
    return false;
}

size_t path_template_segment_count(const struct path_template *path) { return path->count; }

const char *path_template_whole_name(const struct path_template *path, size_t index)
{
    const struct segment *segment = &path->segments[index];
    return segment->count == 1 ? segment->pieces[0].name : NULL;
}
