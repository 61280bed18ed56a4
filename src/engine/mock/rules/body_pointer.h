/* body_pointer.h — JSON pointers (RFC 6901) into a request's body, and when two values are the same. */
#pragma once
#include "base/bytes.h"
#include <jansson.h>

/* Whether `pointer` is empty or begins with '/', each '~' followed by 0 or 1. */
bool body_pointer_is_good(struct bytes pointer);

/* What `pointer`, a good one, finds in `value`, or null. Borrowed. */
json_t *body_pointer_find(json_t *value, struct bytes pointer);

/* As json_equal, but 1 and 1.0 are the same number. */
bool json_values_are_same(const json_t *a, const json_t *b);
