/* problem.h — what is said of an error of our own: a problem document (RFC 9457),
 * "application/problem+json". */
#pragma once
#include "base/buffer.h"

/* Appends the document and a line's end. `detail` and `request_id`, each left out if it is empty, are plain
 * text without quotes or backslashes. */
void problem_render(struct buffer *body, int status, struct bytes detail, struct bytes request_id);
