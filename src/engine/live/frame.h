/* frame.h — what is said to WebSockets (the subprotocol nuthatch.live.v1): JSON,
 *
 *   {"path": "/a", "id": "…", "event": "message", "data": …}
 *
 * of an event as watchers have it, or of our own. Pure. */
#pragma once
#include "event.h"

/* The event as a whole frame, whose bytes are for any number of WebSockets; `path` is what they call the
 * resource. With a reference; null if there is no memory. */
struct event *frame_create(const struct event *event, struct bytes path);

/* Appends the same without its frame. */
void frame_append_event(struct buffer *text, const struct event *event, struct bytes path);

/* Appends what is not an event: of `path`, or of no path at all if that is empty; "problem", or "end" where
 * nothing more will come of the path; the data is a problem document. */
void frame_append_problem(struct buffer *text, struct bytes path, const char *event, int status,
                          const char *detail);
