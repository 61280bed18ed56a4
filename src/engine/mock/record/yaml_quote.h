/* yaml_quote.h — any text as a scalar of YAML, on one line. Pure. */
#pragma once
#include "base/buffer.h"

/* Whether it is text that a rules file can have: UTF-8 without a byte of 0. */
bool yaml_quote_can(struct bytes text);

/* Appends `text`, of which that holds, in double quotes. What a reader of YAML may refuse as it is, control
 * characters and the last two code points of a plane among them, is escaped. */
void yaml_quote_append(struct buffer *out, struct bytes text);
