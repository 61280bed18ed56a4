/* path_template.h — paths of an API such as "/pets/{petId}" or "/files/{name}.json", and which a request's
 * path is. Pure. */
#pragma once
#include "base/bytes.h"
#include "engine/mock/schema/region.h"

enum {
    PATH_SEGMENTS_MAX = 32,
    PATH_PARAMETERS_MAX = 16,
    PATH_BYTES_MAX = 4096, /* of a request's path */
};

struct path_template; /* opaque; lives in a region */

/* A request's path, taken apart and percent-decoded. Points into itself: not to be copied. */
struct path_parts {
    struct bytes segments[PATH_SEGMENTS_MAX];
    size_t count;
    char decoded[PATH_BYTES_MAX];
};

/* What the braces stood for, in the order of the template; points into the path_parts. */
struct path_values {
    const char *names[PATH_PARAMETERS_MAX];
    struct bytes values[PATH_PARAMETERS_MAX];
    size_t count;
};

/* Takes `text` apart. Null with what is wrong in `*why`, a static sentence; or without memory, with null
 * there. */
const struct path_template *path_template_parse(struct region *region, const char *text, const char **why);

/* False for a path that no template can match: too long or too many segments, or a '%' without two digits.
 */
bool path_parts_split(struct bytes path, struct path_parts *parts);

/* Whether the path is one of the template; then with what the braces stand for. */
bool path_template_matches(const struct path_template *path, const struct path_parts *parts,
                           struct path_values *values);

/* Below 0 if `a` is to be tried before `b`: what is written out before what is in braces (OpenAPI 3.1
 * §4.8.8.2). 0 only if both match the same. */
int path_template_compare(const struct path_template *a, const struct path_template *b);

/* Whether `name` is in braces somewhere. */
bool path_template_has(const struct path_template *path, const char *name);

/* How many segments it has, and the name in the braces if segment `index` is nothing else, or null. */
size_t path_template_segment_count(const struct path_template *path);
const char *path_template_whole_name(const struct path_template *path, size_t index);
