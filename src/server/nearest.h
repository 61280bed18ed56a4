/* nearest.h — what somebody probably meant to write. */
#pragma once
#include "base/bytes.h"

/* Keeps the nearest of the names it is shown. Start with only `wanted` set. */
struct nearest {
    struct bytes wanted;
    const char *name;  /* the nearest so far, or null while nothing is near enough to suggest */
    unsigned distance; /* of `name`; only if there is one */
};

/* Considers `name`, which must outlive the struct. Near enough is at most a third of the longer word in
 * inserted, dropped, changed or swapped letters, and at least one; case does not count. */
void nearest_consider(struct nearest *nearest, const char *name);
