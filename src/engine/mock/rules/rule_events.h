/* rule_events.h — what a rule sends as Server-Sent Events: a script of events, each some time after the one
 * before.
 *
 *   events:
 *     - {after: 1s, event: tick, id: "{{counter}}", data: "it is {{now}}"}     or json: … instead of data
 */
#pragma once
#include "rules_reader.h"
#include "template.h"

struct event_step {
    int64_t after_ms;
    struct template event, id, data; /* the first two may be empty */
};

struct rule_events {
    struct event_step *steps;
    size_t count;
};

/* Reads the list `node`; with `cycles` it is said again and again, which takes at least
 * EVENTS_CYCLE_MS_LEAST each time. False with a report. rule_events_fini in either case. */
enum { EVENTS_CYCLE_MS_LEAST = 10 };
bool rule_events_read(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      bool cycles, struct rule_events *events);
void rule_events_fini(struct rule_events *events);

/* Appends the event as the stream has it (HTML §9.2.6). False without memory, or if it becomes too large.
 */
bool event_step_render(const struct event_step *step, const struct template_facts *facts,
                       struct buffer *out);
