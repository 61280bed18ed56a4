/* status_page.h — what a nuthatch says of itself, as a page for people. Pure. */
#pragma once
#include "base/buffer.h"
#include <jansson.h>
#include <stdbool.h>

/* Appends a page of what `status` has, which is as GET /status of the administrator's API at `api` answers;
 * what is missing in it is left out. */
void status_page_append(struct buffer *out, const json_t *status, const char *api, bool in_colour);
