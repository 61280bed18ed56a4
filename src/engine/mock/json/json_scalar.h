/* json_scalar.h — single JSON values compared as JavaScript compares them, for that is what users of
 * json-server expect. */
#pragma once
#include "base/buffer.h"
#include "base/bytes.h"

enum scalar_kind { SCALAR_STRING, SCALAR_NUMBER, SCALAR_TRUE, SCALAR_FALSE, SCALAR_NULL, SCALAR_NONE };

struct scalar {
    enum scalar_kind kind; /* SCALAR_NONE: an array or an object */
    double number;         /* of SCALAR_NUMBER */
    struct bytes text;     /* a string without quotes and escapes; else the JSON text */
};

/* Takes `value`, one JSON value, apart. A string with escapes is written into `room`, which must then
 * outlive the scalar; without memory it is empty. */
struct scalar scalar_of(struct bytes value, struct buffer *room);

/* What a query says: a number, true, false, null if it looks like one, else a string. Borrows `text`. */
struct scalar scalar_coerce(struct bytes text);
struct scalar scalar_string(struct bytes text);

/* Less, equal, greater: below, at or above 0 in `*order`. False if the two cannot be compared, such as a
 * word and a number. Two strings by their bytes, all else as numbers. */
bool scalar_compare(const struct scalar *a, const struct scalar *b, int *order);

/* Appends the one way to write `value`, a JSON value, that all equal ones of its kind share: 1.0 is 1. */
void scalar_append_canonical(struct buffer *out, struct bytes value);

/* Appends `number` as JavaScript writes it. */
void scalar_append_number(struct buffer *out, double number);

/* The number that the whole of `text`, white space aside, says; false if it is none. */
bool scalar_parse_number(struct bytes text, double *number);
