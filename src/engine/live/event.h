/* event.h — what watchers are sent: a Server-Sent Event, encoded once, its bytes shared by all who get it.
 *
 * An event does not change, but for its frame. Any thread may hold and release it. */
#pragma once
#include "base/buffer.h"
#include "base/loan.h"
#include <stdatomic.h>
#include <stdint.h>

/* Which state of what is watched: the topic's epoch, which is random, and a number that goes up. */
struct event_id {
    uint64_t epoch, number;
};

enum event_kind {
    EVENT_STATE,   /* all of it: an event of the usual type, "message" */
    EVENT_PATCH,   /* "patch": a JSON Merge Patch on the state before */
    EVENT_PROBLEM, /* "problem": what watchers are to know, a problem document; it has no id */
};

struct event {
    atomic_uint reference_count;
    enum event_kind kind;
    bool is_json;
    struct event_id id;
    size_t data_offset; /* where its lines of data begin */
    struct event
        *frame; /* the same for WebSockets, framed; null until one wants it; under its topic's lock */
    size_t size;
    char data[];
};

/* Makes one, with a reference; `text` is UTF-8. Of JSON, line ends between values are left out; of other
 * texts each line is one of data. Null if there is no memory. */
struct event *event_create(enum event_kind kind, struct event_id id, struct bytes text, bool is_json);
/* One of those bytes, whatever they are. Null if there is no memory. */
struct event *event_of(struct bytes bytes);
struct event *event_hold(struct event *event);
void event_release(struct event *event); /* may be null */

static inline struct bytes event_bytes(const struct event *event)
{
    return bytes_of(event->data, event->size);
}

/* The id as clients see it, and back: false if it is none of ours. */
enum { EVENT_ID_TEXT_BYTES = 16 + 1 + 20 };
size_t event_id_format(char text[EVENT_ID_TEXT_BYTES], struct event_id id);
bool event_id_parse(struct bytes text, struct event_id *id);

/* A loan of its bytes, which holds it; null if there is no memory. */
struct loan *event_loan(struct event *event);
