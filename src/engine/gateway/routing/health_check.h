/* health_check.h — asks each origin of an upstream, every check-interval, for check-path, and tells the
 * origin set what came of it: two checks in a row decide. One worker does so for all; on its thread. */
#pragma once
#include "base/counters.h"
#include "upstream.h"

struct health_checks; /* opaque: health_check.c */

/* Begins; `by` is of an upstream that has a check-path, and outlives the checks. ERR_NO_MEMORY. */
enum err health_checks_create(struct upstream_worker *by, struct loop *loop, struct counters *counters,
                              struct health_checks **checks);

/* Ends, also in the middle of a check. Fine with null. */
void health_checks_destroy(struct health_checks *checks);
