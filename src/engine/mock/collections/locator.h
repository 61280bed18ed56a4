/* locator.h — what a path points at: "/", "/name", "/name/id" or "/name/id/nested", percent-decoded. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"

enum { LOCATOR_PART_BYTES_MAX = 512 }; /* of a name or an id, decoded */

struct locator {
    struct bytes name; /* of a collection or a single object; empty: the root */
    struct bytes id;
    struct bytes nested; /* of a collection whose items refer to that item */
    bool has_id, has_nested;
    char decoded_name[LOCATOR_PART_BYTES_MAX], decoded_id[LOCATOR_PART_BYTES_MAX];
    char decoded_nested[LOCATOR_PART_BYTES_MAX];
};

/* Reads `path`; one slash at the end is allowed. `*locator` borrows from `path` and points into itself: it
 * must not be copied. Returns OK; ERR_SYNTAX for a '%' without two hex digits; ERR_MISSING for a path
 * that no name or id can have. */
enum err locator_parse(struct bytes path, struct locator *locator);
