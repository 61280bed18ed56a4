#include "json_pretty.h"

static void begin_line(const struct json_pretty *pretty, struct buffer *out)
{
    buffer_append_byte(out, '\n');
    for (unsigned i = 0; i < pretty->depth; i++)
        buffer_append_literal(out, "  ");
}

static void append_mark(struct json_pretty *pretty, char c, struct buffer *out)
{
    bool was_open = pretty->is_open;

    pretty->is_open = c == '{' || c == '[';
    switch (c) {
    case '{':
    case '[':
        if (was_open)
            begin_line(pretty, out);
        buffer_append_byte(out, c);
        pretty->depth++;
        return;
    case '}':
    case ']':
        pretty->depth -= pretty->depth > 0;
        if (!was_open) /* of an empty one, both are on one line */
            begin_line(pretty, out);
        buffer_append_byte(out, c);
        return;
    case ',':
        buffer_append_byte(out, c);
        begin_line(pretty, out);
        return;
    case ':': buffer_append_literal(out, ": "); return;
    default:
        if (was_open)
            begin_line(pretty, out);
        buffer_append_byte(out, c);
    }
}

void json_pretty_append(struct json_pretty *pretty, struct bytes piece, struct buffer *out)
{
    for (size_t i = 0; i < piece.size; i++) {
        char c = piece.data[i];
        if (!pretty->in_text) {
            if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
                continue;
            append_mark(pretty, c, out);
            pretty->in_text = c == '"';
            continue;
        }
        buffer_append_byte(out, c);
        pretty->in_text = c != '"' || pretty->is_escaped;
        pretty->is_escaped = c == '\\' && !pretty->is_escaped;
    }
}
