/* json_plain.h — JSON text of which no values need to be made to know how we would write it: pure. */
#pragma once
#include "base/buffer.h"

/* Appends the object `json` as json_text_append would write what json_text_parse makes of it, if that takes
 * no more than leaving out the space between its parts. That is so of most that people and programs write:
 * texts without escapes, whole numbers of at most 18 digits, a few dozen members of different names, and no
 * deep nesting. `*value` is then what the member at the top called `name`, which comes without quotes, has,
 * as it stands in `out`; empty if there is none.
 * False, with `out` as it was, if anything is otherwise: it may be JSON all the same, and `out` may have
 * failed. */
bool json_plain_append(struct buffer *out, struct bytes json, struct bytes name, struct bytes *value);
