#include "static_file.h"
#include "base/buffer.h"
#include "base/compiler.h"
#include "message/entity_tag.h"
#include "message/http_date.h"
#include "message/http_range.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 64 * 1024, /* read at once */
    /* A file that has changed within this may change again and keep its time of change: its tag is weak
     * (RFC 9110 §8.8.1). */
    SETTLED_MS = 2000,
    ETAG_BYTES_MAX = 64,
};

/* What of the answer's body comes next: some text, then some of the file. */
struct part {
    size_t text_start, text_size; /* in `text` of the sending */
    struct http_range range;
};

struct sending {
    int fd;
    struct buffer text; /* what stands between the parts of a file, if there are several */
    struct part parts[HTTP_RANGES_MAX + 1];
    size_t part_count, part;  /* how many, and which is being sent */
    uint64_t part_sent_bytes; /* of its text and its range */
    char piece[PIECE_BYTES];
};

static void sending_destroy(struct sending *sending)
{
    close(sending->fd);
    buffer_fini(&sending->text);
    free(sending);
}

/* ---- sending ----------------------------------------------------------------------------------- */

/* Sends up to `room` bytes of the present part. False if the file has fewer than it had. */
static bool send_piece(struct exchange *x, struct sending *sending, size_t room)
{
    struct part *part = &sending->parts[sending->part];
    uint64_t done = sending->part_sent_bytes;
    ssize_t size;

    if (done < part->text_size) {
        struct bytes text = bytes_of(sending->text.data + part->text_start + done, part->text_size - done);
        if (text.size > room)
            text.size = room;
        exchange_send(x, text);
        sending->part_sent_bytes += text.size;
        return true;
    }
    done = part->range.start + (done - part->text_size); /* where in the file */
    if (room > PIECE_BYTES)
        room = PIECE_BYTES;
    if (room > part->range.end - done)
        room = (size_t)(part->range.end - done);
    size = pread(sending->fd, sending->piece, room, (off_t)done);
    if (size <= 0)
        return false;
    exchange_send(x, bytes_of(sending->piece, (size_t)size));
    sending->part_sent_bytes += (uint64_t)size;
    return true;
}

static void send_more(struct exchange *x, struct sending *sending)
{
    while (sending->part < sending->part_count) {
        const struct part *part = &sending->parts[sending->part];
        size_t room = exchange_room(x);
        if (sending->part_sent_bytes == part->text_size + (part->range.end - part->range.start)) {
            sending->part++;
            sending->part_sent_bytes = 0;
        } else if (room == 0) {
            return;
        } else if (!send_piece(x, sending, room)) {
            sending_destroy(sending);
            exchange_abort(x);
            return;
        }
    }
    sending_destroy(sending);
    exchange_end(x);
}

static void writable(struct exchange *x) { send_more(x, x->engine_state); }

static void gone(struct exchange *x) { sending_destroy(x->engine_state); }

static void body(struct exchange *x, struct bytes bytes) { (void)x, (void)bytes; }

static void body_end(struct exchange *x) { (void)x; }

/* From the head on, the exchange is ours: it never begins here. */
static const struct exchange_engine sending_engine = {NULL, body, body_end, writable, gone};

/* ---- what is asked ------------------------------------------------------------------------------ */

static struct bytes format_etag(const struct folder_file *file, int64_t now_wall_ms, char *text)
{
    bool is_settled = file->changed_ns / 1000000 + SETTLED_MS < now_wall_ms;
    int size = snprintf(text, ETAG_BYTES_MAX, "%s\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
                        is_settled ? "" : "W/", file->size, (uint64_t)file->changed_ns, file->number);

    return bytes_of(text, (size_t)size);
}

/* Whether the file has changed since the date in the field; if there is none or it is no date, `fallback`.
 */
static bool changed_since(const struct http_fields *fields, enum http_header header,
                          const struct folder_file *file, int64_t now_wall_ms, bool fallback)
{
    const struct http_field *field = http_fields_find(fields, header);
    int64_t wall_ms;

    if (field == NULL || !http_date_parse(field->value, now_wall_ms, &wall_ms))
        return fallback;
    return file->changed_ns / 1000000000 > wall_ms / 1000; /* both to the second */
}

/* 412, 304, or 200 for going on (RFC 9110 §13.2.2). */
static int check_conditions(const struct http_fields *fields, const struct folder_file *file,
                            struct bytes etag, int64_t now_wall_ms)
{
    bool has;

    if (entity_tag_condition(fields, HTTP_HEADER_IF_MATCH, etag, &has)) {
        if (!has)
            return 412;
    } else if (changed_since(fields, HTTP_HEADER_IF_UNMODIFIED_SINCE, file, now_wall_ms, false)) {
        return 412;
    }
    if (entity_tag_condition(fields, HTTP_HEADER_IF_NONE_MATCH, etag, &has))
        return has ? 304 : 200;
    return changed_since(fields, HTTP_HEADER_IF_MODIFIED_SINCE, file, now_wall_ms, true) ? 200 : 304;
}

/* If-Range (RFC 9110 §13.1.5): a strong tag, or the very date. */
static bool range_is_wanted(const struct http_fields *fields, const struct folder_file *file,
                            struct bytes etag, int64_t now_wall_ms)
{
    const struct http_field *field = http_fields_find(fields, HTTP_HEADER_IF_RANGE);
    int64_t wall_ms;

    if (field == NULL)
        return true;
    if (http_date_parse(field->value, now_wall_ms, &wall_ms))
        return file->changed_ns / 1000000000 == wall_ms / 1000 && etag.data[0] == '"';
    return !bytes_equal(field->value, BYTES("*")) && entity_tags_have(field->value, etag, false);
}

static struct http_ranges ranges_wanted(const struct http_request *request, const struct folder_file *file,
                                        struct bytes etag, int64_t now_wall_ms)
{
    const struct http_field *field = http_fields_find(&request->fields, HTTP_HEADER_RANGE);

    if (field == NULL || request->method != HTTP_METHOD_GET || /* RFC 9110 §14.2 */
        !range_is_wanted(&request->fields, file, etag, now_wall_ms))
        return (struct http_ranges){.kind = HTTP_RANGES_NONE};
    return http_ranges_of(field->value, file->size);
}

/* ---- what is answered --------------------------------------------------------------------------- */

static void append_content_range(struct buffer *lines, const struct http_range *range, uint64_t size)
{
    char text[HTTP_CONTENT_RANGE_BYTES_MAX];

    buffer_append_literal(lines, "Content-Range: ");
    buffer_append(lines, bytes_of(text, http_content_range_format(text, range, size)));
    buffer_append_literal(lines, "\r\n");
}

/* Several ranges are a multipart/byteranges (RFC 9110 §14.6). The boundary only has to be nowhere in the
 * file, which no text can promise; one that nobody can know beforehand comes near. */
static void plan_multipart(struct sending *sending, const struct folder_file *file,
                           const struct http_ranges *ranges, struct buffer *lines, const struct exchange *x)
{
    char boundary[40];

    snprintf(boundary, sizeof boundary, "nuthatch-%016" PRIx64,
             (uint64_t)x->now.mono_ms * UINT64_C(0x9E3779B97F4A7C15) ^ file->number);
    for (size_t i = 0; i <= ranges->count; i++) {
        struct part *part = &sending->parts[i];
        part->text_start = sending->text.size;
        buffer_append_format(&sending->text, "%s--%s", i > 0 ? "\r\n" : "", boundary);
        if (i < ranges->count) {
            part->range = ranges->list[i];
            buffer_append_format(&sending->text, "\r\nContent-Type: %s\r\n", file->media_type);
            append_content_range(&sending->text, &part->range, file->size);
            buffer_append_literal(&sending->text, "\r\n");
        } else {
            buffer_append_literal(&sending->text, "--\r\n");
        }
        part->text_size = sending->text.size - part->text_start;
    }
    sending->part_count = ranges->count + 1;
    buffer_append_format(lines, "Content-Type: multipart/byteranges; boundary=%s\r\n", boundary);
}

/* Notes down what is to be sent, and adds the field lines that say so. Returns the status. */
static int plan(struct sending *sending, const struct folder_file *file, const struct http_ranges *ranges,
                struct buffer *lines, const struct exchange *x)
{
    if (ranges->kind == HTTP_RANGES_OUTSIDE) {
        append_content_range(lines, NULL, file->size);
        return 416;
    }
    if (ranges->kind == HTTP_RANGES_PARTS && ranges->count > 1) {
        plan_multipart(sending, file, ranges, lines, x);
        return 206;
    }
    buffer_append_format(lines, "Content-Type: %s\r\n", file->media_type);
    sending->parts[0].range = (struct http_range){0, file->size};
    sending->part_count = 1;
    if (ranges->kind != HTTP_RANGES_PARTS)
        return 200;
    sending->parts[0].range = ranges->list[0];
    append_content_range(lines, &ranges->list[0], file->size);
    return 206;
}

static int64_t body_bytes_of(const struct sending *sending)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < sending->part_count; i++)
        bytes += (int64_t)(sending->parts[i].text_size + sending->parts[i].range.end -
                           sending->parts[i].range.start);
    return bytes;
}

static void answer_file(struct exchange *x, const struct folder_file *file, struct buffer *lines)
{
    struct sending *sending = calloc(1, sizeof *sending);
    struct http_response response = {0};
    char etag_text[ETAG_BYTES_MAX], date[HTTP_DATE_BYTES];
    struct bytes etag = format_etag(file, x->now.wall_ms, etag_text);
    struct http_ranges ranges;

    if (sending == NULL) {
        close(file->fd);
        exchange_abort(x);
        return;
    }
    sending->fd = file->fd;
    http_date_format(file->changed_ns / 1000000, date);
    buffer_append_format(lines, "ETag: %.*s\r\nLast-Modified: %.*s\r\nAccept-Ranges: bytes\r\n",
                         BYTES_PRINTF(etag), HTTP_DATE_BYTES, date);
    response.status = check_conditions(&x->request->fields, file, etag, x->now.wall_ms);
    if (response.status == 200) {
        ranges = ranges_wanted(x->request, file, etag, x->now.wall_ms);
        response.status = plan(sending, file, &ranges, lines, x);
    }
    response.body_bytes = body_bytes_of(sending);
    response.rendered = buffer_bytes(lines);
    if (lines->failed || sending->text.failed) {
        sending_destroy(sending);
        exchange_abort(x);
        return;
    }
    exchange_respond(x, &response);
    if (x->request->method == HTTP_METHOD_HEAD)
        sending->part_count = 0;
    x->engine = &sending_engine;
    x->engine_state = sending;
    send_more(x, sending);
}

/* A folder without its '/': links in its page would lead astray. Its own path is all that is said, so that
 * "//elsewhere" leads nowhere else. */
static void redirect(struct exchange *x, struct buffer *lines)
{
    struct http_response response = {.status = 301};

    buffer_append_literal(lines, "Location: ");
    buffer_append(lines, x->request->path);
    buffer_append_byte(lines, '/');
    if (x->request->query.size > 0)
        buffer_append_byte(lines, '?');
    buffer_append(lines, x->request->query);
    buffer_append_literal(lines, "\r\n");
    response.rendered = buffer_bytes(lines);
    if (lines->failed) {
        exchange_abort(x);
        return;
    }
    exchange_respond(x, &response);
    exchange_end(x);
}

bool static_file_answer(const struct folder *folder, struct exchange *x, struct bytes lines)
{
    struct folder_file file;
    struct buffer all_lines = {0};
    enum err err = folder_open_file(folder, x->request->path, &file);

    if (err != OK && err != ERR_TYPE)
        return false;
    buffer_append(&all_lines, lines);
    buffer_append_literal(&all_lines, "X-Content-Type-Options: nosniff\r\n");
    if (err == OK)
        answer_file(x, &file, &all_lines);
    else
        redirect(x, &all_lines);
    buffer_fini(&all_lines);
    return true;
}
