/* rule_path.h — which paths a rule is about, and what stands in them for its names. Pure.
 *
 *   /users/{id}           one segment has any text, which is called id; also written /users/:id
 *   /files/{name}.json    before and behind the name a segment may have text of its own
 *   /static/{rest*}       at the end: all that is left, slashes included; may be nothing
 *
 * Segments are compared percent-decoded; a slash at the end of the request's path is as good as none. */
#pragma once
#include "request_view.h"
#include "rules_reader.h"

struct rule_path_segment {
    struct bytes before, name, behind; /* without a name all of it is `before` */
    bool takes_rest;
};

enum { RULE_PATH_SEGMENTS_MAX = 32 };

/* Borrows from the text it was read from. */
struct rule_path {
    struct rule_path_segment segments[RULE_PATH_SEGMENTS_MAX];
    size_t count;
};

/* What was found for the names, in the order they come: runs of `text`, decoded. Zeroed, it is empty. */
struct path_values {
    struct buffer text;
    size_t ends[VIEW_CAPTURES_MAX];
    size_t count;
};

/* False with a report. */
bool rule_path_read(struct rules_reader *reader, const yaml_node_t *node, struct rule_path *path);

/* Whether `text` is such a path; `values`, which is emptied first and may be null, gets what was found. */
bool rule_path_matches(const struct rule_path *path, struct bytes text, struct path_values *values);

/* The place among the values of the name `name`, or -1. */
int rule_path_find(const struct rule_path *path, struct bytes name);

struct bytes path_value(const struct path_values *values, size_t index);
void path_values_fini(struct path_values *values);
