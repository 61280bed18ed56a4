/* noun.h — from "posts" to "post" and back, by the rules of English that names of collections need. Pure.
 */
#pragma once
#include "base/buffer.h"

void noun_append_singular(struct buffer *out, struct bytes noun);
void noun_append_plural(struct buffer *out, struct bytes noun);
