/* http_date.h — the dates of HTTP (RFC 9110 §5.6.7). */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

enum { HTTP_DATE_BYTES = 29 };

/* Writes the IMF-fixdate of `wall_ms` at `text`: 29 bytes, not terminated. */
void http_date_format(int64_t wall_ms, char *text);

/* Reads one of the three forms, strictly, any other is false. `now_wall_ms` settles the century of the
 * two-digit year of RFC 850's form. */
bool http_date_parse(struct bytes text, int64_t now_wall_ms, int64_t *wall_ms);
