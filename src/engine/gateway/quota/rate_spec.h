/* rate_spec.h — the limits of an upstream as an operator writes them: "10/s, 5000/h". Pure. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RATE_SPECS_MAX = 4 };

struct rate_spec {
    int64_t count;     /* requests, 1 to ten million */
    int64_t period_ms; /* in any time of that length, at most 31 days */
};

/* Reads a list with commas of "COUNT/UNIT", the unit one of s, m, h, d, with or without a number before it
 * ("100/15m"). An empty text is none. False if it is anything else, more than RATE_SPECS_MAX, or more than
 * a request a microsecond; then `*count` is undefined. */
bool rate_specs_read(struct bytes text, struct rate_spec specs[RATE_SPECS_MAX], size_t *count);
