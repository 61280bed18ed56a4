#include "frame.h"
#include "message/problem.h"
#include "protocol/http/websocket.h"
#include <jansson.h>

static const struct bytes line_start = BYTES_INIT("data: ");

static int append_piece(const char *data, size_t size, void *out)
{
    buffer_append(out, bytes_of(data, size));
    return 0;
}

/* As a JSON string. */
static void append_string(struct buffer *out, struct bytes text)
{
    json_t *string = json_stringn_nocheck(text.data != NULL ? text.data : "", text.size);

    if (string == NULL || json_dump_callback(string, append_piece, out, JSON_ENCODE_ANY) != 0)
        out->failed = true;
    json_decref(string);
}

/* Up to the data. */
static void append_front(struct buffer *out, struct bytes path, const struct event_id *id,
                         const char *event)
{
    char text[EVENT_ID_TEXT_BYTES];

    buffer_append_literal(out, "{");
    if (path.size > 0) {
        buffer_append_literal(out, "\"path\":");
        append_string(out, path);
        buffer_append_literal(out, ",");
    }
    if (id != NULL) {
        buffer_append_literal(out, "\"id\":\"");
        buffer_append(out, bytes_of(text, event_id_format(text, *id)));
        buffer_append_literal(out, "\",");
    }
    buffer_append_format(out, "\"event\":\"%s\",\"data\":", event);
}

/* Of a text each line is one of data: puts them together again. */
static void append_lines(struct buffer *out, struct bytes lines)
{
    struct buffer text = {0};

    while (lines.size > line_start.size) {
        const char *end;
        lines = bytes_after(lines, line_start.size);
        end = memchr(lines.data, '\n', lines.size); /* each has one */
        buffer_append(&text, bytes_first(lines, (size_t)(end - lines.data)));
        lines = bytes_after(lines, (size_t)(end - lines.data) + 1);
        if (lines.size > line_start.size)
            buffer_append_literal(&text, "\n");
    }
    if (text.failed)
        out->failed = true;
    else
        append_string(out, buffer_bytes(&text));
    buffer_fini(&text);
}

static void append_data(struct buffer *out, const struct event *event)
{
    struct bytes lines = bytes_after(event_bytes(event), event->data_offset);

    if (event->is_json) /* one line, and the empty one that ends the event */
        buffer_append(out, bytes_of(lines.data + line_start.size, lines.size - line_start.size - 2));
    else
        append_lines(out, lines);
}

void frame_append_event(struct buffer *text, const struct event *event, struct bytes path)
{
    static const char *const words[] = {
        [EVENT_STATE] = "message", [EVENT_PATCH] = "patch", [EVENT_PROBLEM] = "problem"};

    append_front(text, path, event->kind == EVENT_PROBLEM ? NULL : &event->id, words[event->kind]);
    append_data(text, event);
    buffer_append_literal(text, "}");
}

struct event *frame_create(const struct event *event, struct bytes path)
{
    struct buffer text = {0}, framed = {0};
    struct event *frame = NULL;

    frame_append_event(&text, event, path);
    if (!text.failed)
        websocket_frame_append(&framed, WEBSOCKET_TEXT, buffer_bytes(&text));
    if (!text.failed && !framed.failed)
        frame = event_of(buffer_bytes(&framed));
    buffer_fini(&text);
    buffer_fini(&framed);
    return frame;
}

void frame_append_problem(struct buffer *text, struct bytes path, const char *event, int status,
                          const char *detail)
{
    append_front(text, path, NULL, event);
    problem_render(text, status, bytes_of_text(detail), (struct bytes){0});
    if (!text->failed && text->size > 0 && text->data[text->size - 1] == '\n')
        text->size--;
    buffer_append_literal(text, "}");
}
