/* json_text.h — JSON text to values and back: strict on the way in, compact and faithful on the way out.
 *
 * Values are jansson's. Refused: anything but one JSON text in UTF-8, a name twice in one object, nesting
 * beyond 2048, integers beyond 64 bits and reals beyond a double (better than a wrong number). */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include <jansson.h>

/* Parses `text` into a new `*value`, which the caller drops with json_decref. Returns OK; ERR_SYNTAX with a
 * sentence of printable ASCII that says where and what appended to `message`; ERR_NO_MEMORY. */
enum err json_text_parse(struct bytes text, json_t **value, struct buffer *message);

/* Appends `value` without white space. A real is written with the fewest digits that read back as the same
 * double and always shows that it is a real ("1.0"), so that numbers keep their kind. */
void json_text_append(struct buffer *text, const json_t *value);

/* Appends `string`, valid UTF-8, as a JSON string with its quotes. */
void json_text_append_string(struct buffer *text, struct bytes string);
