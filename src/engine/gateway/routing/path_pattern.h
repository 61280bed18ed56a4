/* path_pattern.h — which paths a route takes, segment by segment. Pure.
 *
 * A pattern is a slash and a segment, as often as need be. A segment is text, which must be the same; `*`
 * or
 * `{name}`, which is one segment, whatever it is but empty; or, as the last, `**`: the path so far, and all
 * below.
 *
 * Two ways of writing one path are one path: `%72` is `r` (RFC 3986 §6.2.2.2), `%2f` is `%2F`, but not `/`;
 * `[`, which no URI holds but browsers send, is `%5B`.
 */
#pragma once
#include "base/bytes.h"

enum { PATH_SEGMENTS_MAX = 32 };

enum path_segment_kind { PATH_SEGMENT_TEXT, PATH_SEGMENT_ONE, PATH_SEGMENT_REST };

struct path_segment {
    enum path_segment_kind kind;
    struct bytes text; /* of TEXT; the name of a ONE, or empty */
};

struct path_pattern {
    struct path_segment segments[PATH_SEGMENTS_MAX];
    size_t count;
};

/* What each segment of a pattern stands for in one path: bytes of that path. */
struct path_captures {
    struct bytes segments[PATH_SEGMENTS_MAX];
};

/* Reads `text`, which must stay. Returns null, or what is wrong with it, such as "does not begin with /".
 */
const char *path_pattern_parse(struct path_pattern *pattern, struct bytes text);

/* True if `path` fits; then `captures`, if not null, are filled in. */
bool path_pattern_fits(const struct path_pattern *pattern, struct bytes path,
                       struct path_captures *captures);

/* True if `path` is `prefix` or lies below it; `*rest` is then what follows, beginning with '/' or empty.
 * `prefix` has no '/' at its end. */
bool path_has_prefix(struct bytes path, struct bytes prefix, struct bytes *rest);

/* What is wrong with a path that an operator wrote, or null. */
const char *path_is_wrong(struct bytes path);
