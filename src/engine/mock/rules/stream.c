/* stream.c — a rule's script of Server-Sent Events, sent one after the other; a slow reader has the next
 * one wait. */
#include "front_call.h"

static void wait_for_next(struct front_call *call, const struct rule_events *events)
{
    timer_set(call->worker->loop, &call->timer,
              loop_now(call->worker->loop).mono_ms + events->steps[call->step].after_ms);
}

bool front_events_respond(struct front_call *call)
{
    struct http_response response = {.status = 200, .body_bytes = HTTP_BODY_UNKNOWN};

    buffer_append(&call->lines, call->worker->front->cors_lines);
    buffer_append_literal(&call->lines, "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n");
    response.rendered = buffer_bytes(&call->lines);
    counters_add(call->worker->counters, METRIC_mock_requests, 1);
    shaped_respond(call, &response);
    if (call->x->request->method == HTTP_METHOD_HEAD) {
        shaped_end(call);
        return false;
    }
    return true;
}

void front_stream_begin(struct front_call *call)
{
    const struct rule *rule = front_rule(call);

    if (!front_events_respond(call))
        return;
    call->stage = FRONT_STREAMING;
    wait_for_next(call, &rule->events);
}

void front_stream_step(struct front_call *call)
{
    const struct rule *rule = front_rule(call);
    struct template_facts facts = front_facts(call);

    if (shaped_room(call) == 0)
        return; /* until there is */
    buffer_clear(&call->answer);
    if (!event_step_render(&rule->events.steps[call->step], &facts, &call->answer)) {
        front_break_off(call, EXCHANGE_CLOSE);
        return;
    }
    shaped_send(call, buffer_bytes(&call->answer));
    call->step++;
    if (call->step == rule->events.count && rule->cycles)
        call->step = 0;
    if (call->step == rule->events.count || (call->is_cut && call->body_passed == call->body_cut))
        shaped_end(call);
    else
        wait_for_next(call, &rule->events);
}
