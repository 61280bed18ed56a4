#include "rule_events.h"
#include "rule_answer.h"
#include <stdlib.h>

enum { EVENT_STEPS_MAX = 10000 };

static bool read_field(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                       const struct template_scope *scope, struct template *template)
{
    struct bytes text;

    return node == NULL || (rules_read_text(reader, node, what, &text) &&
                            rule_template_add(reader, node, scope, text, TEMPLATE_FIELD, template));
}

static bool read_step(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      struct event_step *step)
{
    struct rules_key keys[] = {
        {"after", NULL}, {"event", NULL}, {"id", NULL}, {"data", NULL}, {"json", NULL}};
    struct bytes text;

    if (!rules_read_keys(reader, node, "an event", keys, COUNT_OF(keys)))
        return false;
    if ((keys[3].value != NULL) == (keys[4].value != NULL)) {
        rules_report(reader, node, "an event has data or json, one of them");
        return false;
    }
    if ((keys[0].value != NULL && !rules_read_duration(reader, keys[0].value, "after", &step->after_ms)) ||
        !read_field(reader, keys[1].value, "event", scope, &step->event) ||
        !read_field(reader, keys[2].value, "id", scope, &step->id))
        return false;
    if (keys[4].value != NULL)
        return rule_template_add_json(reader, keys[4].value, scope, &step->data);
    return rules_read_text(reader, keys[3].value, "data", &text) &&
           rule_template_add(reader, keys[3].value, scope, text, TEMPLATE_TEXT, &step->data);
}

bool rule_events_read(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      bool cycles, struct rule_events *events)
{
    size_t count = rules_item_count(node);
    int64_t sum_ms = 0;
    bool is_good = true;

    if (count == 0 || count > EVENT_STEPS_MAX) {
        rules_report(reader, node, "events is a list of 1 to %d events", EVENT_STEPS_MAX);
        return false;
    }
    events->steps = calloc(count, sizeof *events->steps);
    if (events->steps == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        is_good &= read_step(reader, rules_item(reader, node, i), scope, &events->steps[i]);
        sum_ms += events->steps[i].after_ms;
        events->count++;
    }
    if (cycles && sum_ms < EVENTS_CYCLE_MS_LEAST) {
        rules_report(reader, node, "events that begin again take time: give one of them `after: 1s`");
        return false;
    }
    return is_good;
}

void rule_events_fini(struct rule_events *events)
{
    for (size_t i = 0; i < events->count; i++) {
        template_fini(&events->steps[i].event);
        template_fini(&events->steps[i].id);
        template_fini(&events->steps[i].data);
    }
    free(events->steps);
}

static bool render_field(const struct template *template, const char *name,
                         const struct template_facts *facts, struct buffer *out)
{
    if (template->count == 0)
        return true;
    buffer_append(out, bytes_of_text(name));
    if (!template_render(template, facts, out))
        return false;
    buffer_append_byte(out, '\n');
    return true;
}

/* A line of its own for each line of `data`: CR, LF and CRLF end one. */
static void append_data(struct buffer *out, struct bytes data)
{
    size_t start = 0;

    for (size_t i = 0; i <= data.size; i++) {
        if (i < data.size && data.data[i] != '\n' && data.data[i] != '\r')
            continue;
        buffer_append_literal(out, "data: ");
        buffer_append(out, i > start ? bytes_of(data.data + start, i - start) : (struct bytes){0});
        buffer_append_byte(out, '\n');
        if (i + 1 < data.size && data.data[i] == '\r' && data.data[i + 1] == '\n')
            i++;
        start = i + 1;
    }
}

bool event_step_render(const struct event_step *step, const struct template_facts *facts,
                       struct buffer *out)
{
    struct buffer data = {0};
    bool is_good = render_field(&step->event, "event: ", facts, out) &&
                   render_field(&step->id, "id: ", facts, out) &&
                   template_render(&step->data, facts, &data);

    if (is_good)
        append_data(out, buffer_bytes(&data));
    buffer_append_byte(out, '\n');
    buffer_fini(&data);
    return is_good && !out->failed;
}
