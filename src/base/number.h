/* number.h — whole numbers as decimal text, without locale and without surprises. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

/* Room that any 64-bit number's text fits in; nothing is terminated. */
enum { NUMBER_TEXT_BYTES = 20 };

/* Writes `value` at `text` and returns how many bytes that took. */
size_t uint64_format(char *text, uint64_t value);
size_t int64_format(char *text, int64_t value);

/* True if all of `text` is a decimal number that fits: digits, and for int64 one leading '-'. No plus
 * sign, no white space, no leading zeros but "0" itself, no "-0". `*value` is written only on true. */
bool int64_parse(struct bytes text, int64_t *value);
bool uint64_parse(struct bytes text, uint64_t *value);

/* True if all of `text` is 1 or more digits (leading zeros allowed, as in RFC 9110's delta-seconds and
 * Content-Length) and the value is at most `highest`. */
bool digits_parse(struct bytes text, uint64_t highest, uint64_t *value);

/* True if all of `text` is 1 or more digits, with or without a point and 1 to 3 digits behind it ("0.25"),
 * and the value, in thousandths, is at most `highest`. */
bool thousandths_parse(struct bytes text, uint64_t highest, uint64_t *thousandths);
