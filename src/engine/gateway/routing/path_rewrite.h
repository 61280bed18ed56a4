/* path_rewrite.h — a request's path as its upstream has it. Pure.
 *
 * Either a prefix is taken off and another put before (each may be left out), or a new path is made of text
 * and of what the {names} and the `**` of the route's pattern stand for. Whole segments go in as they came,
 * so that what comes out is as plain as what went in. */
#pragma once
#include "base/buffer.h"
#include "path_pattern.h"

/* What is asked for; null: nothing of the kind. With `path` the others are null. */
struct rewrite_spec {
    char *strip_prefix, *prefix, *path;
};

struct path_rewrite {
    struct bytes strip_prefix, prefix;
    bool has_path;
    struct path_pattern path;
    size_t sources[PATH_SEGMENTS_MAX]; /* of each segment of `path` that is no text: its place in the
                                          pattern */
};

/* What is wrong with a prefix to strip, or to put before, or null. */
const char *rewrite_prefix_is_wrong(struct bytes prefix);

/* Fills in `rewrite`, which borrows the texts of `spec`; `pattern` is the route's, or null. Returns null,
 * or what is wrong, for a sentence that begins with the key `*wrong_key`. */
const char *path_rewrite_init(struct path_rewrite *rewrite, const struct rewrite_spec *spec,
                              const struct path_pattern *pattern, const char **wrong_key);

/* Appends the path that `path`, which fits `pattern`, becomes. */
void path_rewrite_apply(const struct path_rewrite *rewrite, const struct path_pattern *pattern,
                        struct bytes path, struct buffer *out);
