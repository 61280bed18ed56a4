#include "rules_admin.h"
#include "base/number.h"
#include "fake_data.h"
#include "message/problem.h"
#include <stdlib.h>

enum { ENTRIES_SHOWN = 100, ENTRIES_SHOWN_MAX = 10000, OUTPUT_BYTES_MAX = 32 << 20 };

/* ---- entries as JSON ----------------------------------------------------------------------------- */

static void append_text(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '"');
    template_append_json_text(out, text);
    buffer_append_byte(out, '"');
}

static void append_member(struct buffer *out, const char *name, struct bytes text)
{
    buffer_append_format(out, ",\"%s\":", name);
    append_text(out, text);
}

/* Fields of one name are one member, joined as RFC 9110 §5.3 has it. */
static void append_fields(struct buffer *out, const struct http_fields *fields)
{
    bool is_first = true;

    buffer_append_literal(out, ",\"headers\":{");
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes name = fields->list[i].name;
        bool was_before = false;
        for (size_t j = 0; j < i && !was_before; j++)
            was_before = bytes_equal_nocase(fields->list[j].name, name);
        if (was_before)
            continue;
        if (!is_first)
            buffer_append_byte(out, ',');
        is_first = false;
        append_text(out, name);
        buffer_append_literal(out, ":\"");
        for (size_t j = i; j < fields->count; j++) {
            if (!bytes_equal_nocase(fields->list[j].name, name))
                continue;
            if (j > i)
                buffer_append_literal(out, ", ");
            template_append_json_text(out, fields->list[j].value);
        }
        buffer_append_byte(out, '"');
    }
    buffer_append_byte(out, '}');
}

static void append_entry(struct buffer *out, const struct journal_entry *entry)
{
    const struct http_request *request = &entry->request;

    buffer_append_format(out, "{\"number\":%llu,\"at\":\"", (unsigned long long)entry->number);
    moment_append(out, entry->wall_ms);
    buffer_append_byte(out, '"');
    append_member(out, "method", request->method_name);
    append_member(out, "path", request->path);
    append_member(out, "query", request->query);
    append_fields(out, &request->fields);
    append_member(out, "body", entry->body);
    buffer_append_format(out, ",\"body_bytes\":%zu,\"status\":", entry->body_bytes);
    if (entry->status > 0)
        buffer_append_int64(out, entry->status);
    else
        buffer_append_literal(out, "null");
    if (entry->rule.size > 0)
        append_member(out, "rule", entry->rule);
    else
        buffer_append_literal(out, ",\"rule\":null");
    if (entry->status == 101) {
        buffer_append_byte(out, ',');
        journal_messages_append(&entry->messages, out);
    }
    buffer_append_byte(out, '}');
}

/* ---- which of them ------------------------------------------------------------------------------- */

/* What a query string chooses; empty: any. */
struct choice {
    struct buffer method, path, rule, limit;
    uint64_t entries_max;
    const struct matcher *matcher; /* or null */
};

static bool is_chosen(const struct choice *choice, const struct journal_entry *entry)
{
    struct request_view view = {.request = &entry->request, .body = entry->body};
    bool is_good =
        (choice->method.size == 0 ||
         bytes_equal(buffer_bytes(&choice->method), entry->request.method_name)) &&
        (choice->path.size == 0 || bytes_equal(buffer_bytes(&choice->path), entry->request.path)) &&
        (choice->rule.size == 0 || bytes_equal(buffer_bytes(&choice->rule), entry->rule)) &&
        (choice->matcher == NULL || matcher_holds(choice->matcher, &view, NULL));

    request_view_fini(&view);
    return is_good;
}

/* The newest of the chosen, in the order they came; or how many there are. */
static void append_chosen(struct journal *journal, const struct choice *choice, bool only_count,
                          struct buffer *out)
{
    size_t count, chosen_count = 0, skipped;
    struct journal_entry **entries = journal_hold(journal, &count);
    bool is_first = true;

    for (size_t i = 0; i < count; i++) {
        if (is_chosen(choice, entries[i]))
            entries[chosen_count++] = entries[i];
        else
            journal_entry_release(entries[i]);
    }
    buffer_append_format(out, "{\"count\":%zu", chosen_count);
    if (!only_count)
        buffer_append_literal(out, ",\"requests\":[");
    skipped = chosen_count > choice->entries_max ? chosen_count - (size_t)choice->entries_max : 0;
    for (size_t i = 0; i < chosen_count; i++) {
        if (!only_count && i >= skipped && out->size < OUTPUT_BYTES_MAX) {
            if (!is_first)
                buffer_append_byte(out, ',');
            is_first = false;
            append_entry(out, entries[i]);
        }
        journal_entry_release(entries[i]);
    }
    free(entries);
    buffer_append(out, only_count ? BYTES("}\n") : BYTES("]}\n"));
}

static int refuse(int status, const char *detail, struct buffer *out)
{
    buffer_clear(out);
    problem_render(out, status, bytes_of_text(detail), (struct bytes){0});
    return status;
}

static void choice_fini(struct choice *choice)
{
    buffer_fini(&choice->method);
    buffer_fini(&choice->path);
    buffer_fini(&choice->rule);
    buffer_fini(&choice->limit);
}

static int list_requests(const struct admin_scope *scope, const struct http_request *request,
                         struct buffer *out)
{
    struct choice choice = {.entries_max = ENTRIES_SHOWN};
    int status = 200;

    request_parameter(request, BYTES("method"), &choice.method);
    request_parameter(request, BYTES("path"), &choice.path);
    request_parameter(request, BYTES("rule"), &choice.rule);
    if (request_parameter(request, BYTES("limit"), &choice.limit) &&
        !digits_parse(buffer_bytes(&choice.limit), ENTRIES_SHOWN_MAX, &choice.entries_max))
        status = refuse(400, "limit is a number of requests, at most 10000", out);
    else
        append_chosen(scope->journal, &choice, false, out);
    choice_fini(&choice);
    return status;
}

/* A problem document around what the reader has to say, whose lines have any bytes. */
static int refuse_matcher(const struct buffer *message, struct buffer *out)
{
    struct bytes lines = buffer_bytes(message);

    while (lines.size > 0 && lines.data[lines.size - 1] == '\n')
        lines.size--;
    buffer_clear(out);
    buffer_append_literal(out, "{\"title\":\"Bad Request\",\"status\":400,\"detail\":");
    append_text(out, lines);
    buffer_append_literal(out, "}\n");
    return 400;
}

static int find_requests(const struct admin_scope *scope, struct bytes body, bool only_count,
                         struct buffer *out)
{
    struct buffer message = {0};
    struct rules_reader reader;
    struct matcher matcher = {0};
    struct choice choice = {.entries_max = ENTRIES_SHOWN_MAX};
    yaml_node_t *top;
    int status = 200;

    if (rules_reader_init(&reader, "body", body, &message) != OK) {
        status = refuse_matcher(&message, out);
        buffer_fini(&message);
        return status;
    }
    top = rules_reader_top(&reader);
    if (top == NULL || (matcher_read(&reader, top, "a matcher", &matcher) && reader.problem_count == 0)) {
        choice.matcher = top != NULL ? &matcher : NULL;
        append_chosen(scope->journal, &choice, only_count, out);
    } else {
        status = refuse_matcher(&message, out);
    }
    matcher_fini(&matcher);
    rules_reader_fini(&reader);
    buffer_fini(&message);
    return status;
}

/* ---- scenarios ----------------------------------------------------------------------------------- */

static int list_scenarios(const struct admin_scope *scope, struct buffer *out)
{
    buffer_append_literal(out, "{\"scenarios\":[");
    for (size_t i = 0; i < scope->rules->scenario_count; i++) {
        const struct scenario *scenario = &scope->rules->scenarios[i];
        buffer_append(out, i > 0 ? BYTES(",{\"name\":") : BYTES("{\"name\":"));
        append_text(out, scenario->name);
        append_member(out, "state", scenario->states[rules_state_scenario(scope->state, i)]);
        buffer_append_literal(out, ",\"states\":[");
        for (size_t j = 0; j < scenario->state_count; j++) {
            if (j > 0)
                buffer_append_byte(out, ',');
            append_text(out, scenario->states[j]);
        }
        buffer_append_literal(out, "]}");
    }
    buffer_append_literal(out, "]}\n");
    return 200;
}

static struct bytes text_member(json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return bytes_of(json_string_value(value), json_string_length(value));
}

static int set_scenario(const struct admin_scope *scope, const struct request_view *asked,
                        struct buffer *out)
{
    struct request_view view = {.request = asked->request, .body = asked->body};
    json_t *said = request_view_json(&view);
    struct bytes name = text_member(said, "name"), state = text_member(said, "state");
    int status;

    if (name.data == NULL || state.data == NULL)
        status = refuse(400, "the body is a JSON object with a name and a state, both texts", out);
    else if (!rules_state_set_scenario(scope->state, name, state))
        status = refuse(404, "the rules have no such scenario, or it has no such state", out);
    else
        status = list_scenarios(scope, out);
    request_view_fini(&view);
    return status;
}

/* ---- the paths ----------------------------------------------------------------------------------- */

enum target { TARGET_REQUESTS, TARGET_FIND, TARGET_COUNT, TARGET_SCENARIOS };

static const struct {
    struct bytes path;
    const char *allow;
} targets[] = {
    [TARGET_REQUESTS] = {BYTES_INIT("/__admin/requests"), "GET, DELETE"},
    [TARGET_FIND] = {BYTES_INIT("/__admin/requests/find"), "POST"},
    [TARGET_COUNT] = {BYTES_INIT("/__admin/requests/count"), "POST"},
    [TARGET_SCENARIOS] = {BYTES_INIT("/__admin/scenarios"), "GET, POST"},
};

static int find_target(struct bytes path)
{
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (bytes_equal(targets[i].path, path))
            return (int)i;
    return -1;
}

bool rules_admin_is_asked(const struct http_request *request) { return find_target(request->path) >= 0; }

int rules_admin_answer(const struct admin_scope *scope, const struct request_view *view, struct buffer *out,
                       struct buffer *lines)
{
    const struct http_request *request = view->request;
    bool is_get = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    bool is_post = request->method == HTTP_METHOD_POST;
    enum target target = (enum target)find_target(request->path);

    if (scope->journal == NULL && target <= TARGET_COUNT)
        return refuse(404, "no journal is kept; start the mock with --journal 1000", out);
    switch (target) {
    case TARGET_REQUESTS:
        if (is_get)
            return list_requests(scope, request, out);
        if (request->method != HTTP_METHOD_DELETE)
            break;
        journal_clear(scope->journal);
        buffer_append_literal(out, "{}\n");
        return 200;
    case TARGET_FIND:
    case TARGET_COUNT:
        if (is_post)
            return find_requests(scope, view->body, target == TARGET_COUNT, out);
        break;
    case TARGET_SCENARIOS:
        if (is_get)
            return list_scenarios(scope, out);
        if (is_post)
            return set_scenario(scope, view, out);
        break;
    }
    buffer_append_format(lines, "Allow: %s\r\n", targets[target].allow);
    return refuse(405, "not with this method; see Allow", out);
}
