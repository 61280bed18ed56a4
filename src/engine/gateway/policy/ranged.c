#include "ranged.h"
#include "message/http_date.h"
#include "stored_response.h"

bool is_strong_etag(struct bytes etag)
{
    return etag.size >= 2 && etag.data[0] == '"' && etag.data[etag.size - 1] == '"';
}

/* RFC 9110 §13.1.5. A date is strong if the response was made later than in the second that it names
 * (§8.8.2.2). */
static bool if_range_holds(struct bytes value, struct bytes rendered, int64_t now_wall_ms)
{
    struct bytes etag = {0}, modified = {0}, date = {0};
    struct http_field field;
    int64_t modified_ms, date_ms;

    while (rendered_next(&rendered, &field)) {
        if (field.header == HTTP_HEADER_ETAG)
            etag = field.value;
        else if (field.header == HTTP_HEADER_LAST_MODIFIED)
            modified = field.value;
        else if (field.header == HTTP_HEADER_DATE)
            date = field.value;
    }
    if (is_strong_etag(value))
        return bytes_equal(value, etag);
    return value.size > 0 && bytes_equal(value, modified) &&
           http_date_parse(modified, now_wall_ms, &modified_ms) &&
           http_date_parse(date, now_wall_ms, &date_ms) && date_ms >= modified_ms + 1000;
}

struct http_ranges ranges_wanted(const struct http_request *request, struct bytes rendered, uint64_t size,
                                 int64_t now_wall_ms)
{
    static const struct http_ranges none = {.kind = HTTP_RANGES_NONE};
    const struct http_field *range = NULL, *if_range = NULL;

    if (request->method != HTTP_METHOD_GET)
        return none;
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        const struct http_field **place = field->header == HTTP_HEADER_RANGE      ? &range
                                          : field->header == HTTP_HEADER_IF_RANGE ? &if_range
                                                                                  : NULL;
        if (place == NULL)
            continue;
        if (*place != NULL)
            return none;
        *place = field;
    }
    if (range == NULL || (if_range != NULL && !if_range_holds(if_range->value, rendered, now_wall_ms)))
        return none;
    return http_ranges_of(range->value, size);
}

/* ---- going out ----------------------------------------------------------------------------------- */

enum { STEP_LINE, STEP_TYPE, STEP_RANGE, STEP_BYTES };

void outgoing_init(struct outgoing *outgoing, const struct http_ranges *ranges, uint64_t size)
{
    *outgoing = (struct outgoing){.ranges = *ranges, .size = size};
    if (ranges->kind == HTTP_RANGES_NONE) {
        outgoing->ranges.count = size > 0;
        outgoing->ranges.list[0] = (struct http_range){0, size};
    }
    outgoing->step = is_multipart(outgoing) ? STEP_LINE : STEP_BYTES;
}

static char *put(char *at, struct bytes bytes)
{
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static char *put_boundary(char *at, uint64_t boundary)
{
    static const char digits[] = "0123456789abcdef";

    for (int shift = 64 - 4; shift >= 0; shift -= 4)
        *at++ = digits[boundary >> shift & 15];
    return at;
}

/* The line that ends what came before and begins a part; its name is there if the part has a type. */
static size_t line_format(const struct outgoing *outgoing, char *text)
{
    char *at = put_boundary(put(text, BYTES("\r\n--")), outgoing->boundary);

    return (size_t)(put(at, outgoing->type.size > 0 ? BYTES("\r\nContent-Type: ") : BYTES("")) - text);
}

static size_t range_format(const struct outgoing *outgoing, size_t index, char *text)
{
    char *at = put(text, BYTES("\r\nContent-Range: "));

    at += http_content_range_format(at, &outgoing->ranges.list[index], outgoing->size);
    return (size_t)(put(at, BYTES("\r\n\r\n")) - text);
}

static size_t end_format(const struct outgoing *outgoing, char *text)
{
    char *at = put_boundary(put(text, BYTES("\r\n--")), outgoing->boundary);

    return (size_t)(put(at, BYTES("--\r\n")) - text);
}

uint64_t outgoing_bytes(const struct outgoing *outgoing)
{
    char text[sizeof outgoing->text];
    uint64_t sum = is_multipart(outgoing) ? end_format(outgoing, text) : 0;

    for (size_t i = 0; i < outgoing->ranges.count; i++) {
        sum += outgoing->ranges.list[i].end - outgoing->ranges.list[i].start;
        if (is_multipart(outgoing))
            sum += line_format(outgoing, text) + outgoing->type.size + range_format(outgoing, i, text);
    }
    return sum;
}

/* What stands before or behind the parts, which is next. */
static struct bytes next_text(struct outgoing *outgoing)
{
    size_t size;

    if (outgoing->index == outgoing->ranges.count) {
        size = end_format(outgoing, outgoing->text);
        outgoing->index++;
        return bytes_of(outgoing->text, size);
    }
    switch (outgoing->step++) {
    case STEP_LINE: size = line_format(outgoing, outgoing->text); break;
    case STEP_TYPE: return outgoing->type;
    default: size = range_format(outgoing, outgoing->index, outgoing->text); break;
    }
    return bytes_of(outgoing->text, size);
}

struct outgoing_piece outgoing_next(struct outgoing *outgoing, uint64_t limit)
{
    const struct http_range *range = &outgoing->ranges.list[outgoing->index];
    struct outgoing_piece piece = {0};
    uint64_t left;

    if (outgoing->index == outgoing->ranges.count || outgoing->step != STEP_BYTES)
        return (struct outgoing_piece){.text = next_text(outgoing)};
    left = range->end - range->start - outgoing->sent_bytes;
    piece.offset = range->start + outgoing->sent_bytes;
    piece.size = left < limit ? left : limit;
    outgoing->sent_bytes += piece.size;
    if (piece.size < left)
        return piece;
    outgoing->index++;
    outgoing->sent_bytes = 0;
    outgoing->step = is_multipart(outgoing) ? STEP_LINE : STEP_BYTES;
    return piece;
}

void ranged_fields_render(struct buffer *lines, struct bytes rendered, const struct outgoing *outgoing)
{
    char text[HTTP_CONTENT_RANGE_BYTES_MAX + 32];
    struct http_field field;

    if (!is_multipart(outgoing)) {
        buffer_append(lines, rendered);
        rendered_append(
            lines, BYTES("Content-Range"),
            bytes_of(text, http_content_range_format(text, &outgoing->ranges.list[0], outgoing->size)));
        return;
    }
    while (rendered_next(&rendered, &field))
        if (field.header != HTTP_HEADER_CONTENT_TYPE)
            rendered_append(lines, field.name, field.value);
    rendered_append(
        lines, BYTES("Content-Type"),
        bytes_of(text, (size_t)(put_boundary(put(text, BYTES("multipart/byteranges; boundary=")),
                                             outgoing->boundary) -
                                text)));
}
