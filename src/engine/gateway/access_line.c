#include "access_line.h"
#include "base/compiler.h"
#include <time.h>

/* A byte that could end a text or mislead a terminal is said in hexadecimal. */
static void append_escaped(struct buffer *line, struct bytes text, const char *escape)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
            buffer_append_format(line, "%s%02x", escape, c);
        else
            buffer_append_byte(line, (char)c);
    }
}

static const struct http_field *field_of(const struct access_record *record, enum http_header header)
{
    return http_fields_find(&record->request->fields, header);
}

static struct bytes without_query(struct bytes url)
{
    const char *mark = url.size > 0 ? memchr(url.data, '?', url.size) : NULL;
    return mark != NULL ? bytes_first(url, (size_t)(mark - url.data)) : url;
}

static void append_member(struct buffer *line, const char *name, struct bytes text)
{
    buffer_append_format(line, ",\"%s\":\"", name);
    append_escaped(line, text, "\\u00");
    buffer_append_byte(line, '"');
}

static void render_json(struct buffer *line, const struct access_record *record, const struct tm *utc)
{
    const struct http_field *agent = field_of(record, HTTP_HEADER_USER_AGENT);

    buffer_append_format(line, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", utc->tm_year + 1900,
                         utc->tm_mon + 1, utc->tm_mday, utc->tm_hour, utc->tm_min, utc->tm_sec,
                         (int)(record->began_wall_ms % 1000));
    append_member(line, "client", record->client);
    append_member(line, "method", record->request->method_name);
    append_member(line, "host", record->request->authority);
    append_member(line, "path", record->request->path);
    buffer_append_format(line, ",\"status\":%d,\"bytes\":%llu,\"duration_ms\":%lld,\"whole\":%s",
                         record->status, (unsigned long long)record->body_bytes,
                         (long long)record->duration_ms, record->is_whole ? "true" : "false");
    if (record->cache != NULL)
        append_member(line, "cache", bytes_of_text(record->cache));
    if (record->request_id.size > 0)
        append_member(line, "request_id", record->request_id);
    if (agent != NULL)
        append_member(line, "user_agent", agent->value);
    buffer_append_literal(line, "}\n");
}

static void append_quoted(struct buffer *line, const struct http_field *field, bool has_query)
{
    buffer_append_literal(line, " \"");
    if (field == NULL)
        buffer_append_byte(line, '-');
    else
        append_escaped(line, has_query ? without_query(field->value) : field->value, "\\x");
    buffer_append_byte(line, '"');
}

static void render_combined(struct buffer *line, const struct access_record *record, const struct tm *utc)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    append_escaped(line, record->client, "\\x");
    buffer_append_format(line, " - - [%02d/%s/%04d:%02d:%02d:%02d +0000] \"", utc->tm_mday,
                         months[utc->tm_mon], utc->tm_year + 1900, utc->tm_hour, utc->tm_min, utc->tm_sec);
    append_escaped(line, record->request->method_name, "\\x");
    buffer_append_byte(line, ' ');
    append_escaped(line, record->request->path, "\\x");
    buffer_append_format(line, " HTTP/1.%d\" %d %llu", record->request->minor_version,
                         record->status != 0 ? record->status : 499, /* as nginx has it */
                         (unsigned long long)record->body_bytes);
    append_quoted(line, field_of(record, HTTP_HEADER_REFERER), true);
    append_quoted(line, field_of(record, HTTP_HEADER_USER_AGENT), false);
    buffer_append_byte(line, '\n');
}

void access_line_render(struct buffer *line, enum access_format format, const struct access_record *record)
{
    time_t seconds = (time_t)(record->began_wall_ms / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    switch (format) {
    case ACCESS_JSON: render_json(line, record, &utc); return;
    case ACCESS_COMBINED: render_combined(line, record, &utc); return;
    }
    UNREACHABLE();
}
