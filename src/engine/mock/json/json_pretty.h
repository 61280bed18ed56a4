/* json_pretty.h — JSON text as people like to read it: a value on each line, two spaces for each level.
 * Pure. */
#pragma once
#include "base/buffer.h"

/* Where the text is, between two pieces of it; zeroed at first. */
struct json_pretty {
    unsigned depth;
    bool in_text, is_escaped, is_open; /* is_open: a bracket was the last thing */
};

/* Appends a piece of JSON text, which is well-formed as a whole, indented. */
void json_pretty_append(struct json_pretty *pretty, struct bytes piece, struct buffer *out);
