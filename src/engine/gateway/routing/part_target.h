/* part_target.h — where a part of a composed answer is asked for: a path and perhaps a query, in which
 * {NAME} is what a segment of the composed route's pattern stands for, and {query.NAME} what the client's
 * query says. Pure.
 *
 *   /repos/{owner}/{repo}/commits?per_page=5&page={query.page}
 *
 * Segments go into a path as they came, so that what comes out is as plain as what went in; into a query
 * percent-encoded, so that they stay one value. A parameter whose {query.NAME} the client does not say is
 * left out. */
#pragma once
#include "base/buffer.h"
#include "path_pattern.h"

enum { PART_TARGET_BYTES_MAX = 2048 /* as it is written */, PART_ASKED_BYTES_MAX = 8192 /* filled in */ };

/* What is wrong with a target for a route with that pattern, or null. */
const char *part_target_is_wrong(struct bytes target, const struct path_pattern *pattern);

/* Appends the path and the query that `target`, which nothing is wrong with, is for a request whose path is
 * `captures` and whose query is `query`. False if that may not be asked for: it is longer than
 * PART_ASKED_BYTES_MAX, or not plain (see message/plain_target.h). The buffers may have failed. */
bool part_target_fill(struct bytes target, const struct path_pattern *pattern,
                      const struct path_captures *captures, struct bytes query, struct buffer *path,
                      struct buffer *filled_query);

/* Whether all that such a target asks for, with any segment for each {NAME}, has a path that fits `other`.
 */
bool part_target_fits(struct bytes target, const struct path_pattern *other);
