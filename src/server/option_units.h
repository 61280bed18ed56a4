/* option_units.h — numbers, sizes and times as an operator writes them: 64M, 5s. */
#pragma once
#include "base/buffer.h"
#include "server/option_row.h"

#define KIB     INT64_C(1024)
#define MIB     (1024 * KIB)
#define GIB     (1024 * MIB)
#define SECONDS INT64_C(1000)
#define HOURS   (3600 * SECONDS)

/* Reads digits and a unit of `type`, a size or a duration; only "0" may go without one where a unit is
 * always written. A product that does not fit becomes INT64_MAX, out of every range. False if it is no such
 * text. */
bool option_units_parse(enum option_type type, struct bytes text, int64_t *value);

/* Appends `value`, an integer, a size or a duration: with the largest unit that leaves it whole. */
void option_units_append(struct buffer *out, enum option_type type, int64_t value);
