/* resp_render.c — outcomes to bytes, in RESP2 or RESP3. */
#include "base/compiler.h"
#include "base/number.h"
#include "protocol/resp/resp.h"
#include "protocol/resp/resp_reply.h"
#include <math.h>
#include <stdio.h>

enum { HEADER_BYTES = 1 + NUMBER_TEXT_BYTES + 2 }; /* "$", a number, CRLF */

static inline char *put_crlf(char *end)
{
    memcpy(end, "\r\n", 2);
    return end + 2;
}

/* "$5\r\n" and the like. */
static inline char *put_header(char *end, char type, uint64_t number)
{
    *end++ = type;
    end += uint64_format(end, number);
    return put_crlf(end);
}

static inline void render_bulk(struct buffer *output, struct bytes bytes)
{
    char *begin = buffer_reserve(output, HEADER_BYTES + bytes.size + 2), *end;

    if (UNLIKELY(begin == NULL))
        return;
    end = put_header(begin, '$', bytes.size);
    if (LIKELY(bytes.size > 0))
        memcpy(end, bytes.data, bytes.size);
    end = put_crlf(end + bytes.size);
    buffer_commit(output, (size_t)(end - begin));
}

static void render_integer(struct buffer *output, int64_t integer)
{
    char *begin = buffer_reserve(output, HEADER_BYTES + 1), *end;

    if (UNLIKELY(begin == NULL))
        return;
    *begin = ':';
    end = put_crlf(begin + 1 + int64_format(begin + 1, integer));
    buffer_commit(output, (size_t)(end - begin));
}

static void render_header(struct buffer *output, char type, uint64_t count)
{
    char *begin = buffer_reserve(output, HEADER_BYTES);

    if (LIKELY(begin != NULL))
        buffer_commit(output, (size_t)(put_header(begin, type, count) - begin));
}

/* A line of which the text may be a peer's: it must not be able to end the line. */
static void render_line(struct buffer *output, char type, struct bytes text)
{
    char *begin = buffer_reserve(output, 1 + text.size + 2), *end = begin;

    if (UNLIKELY(begin == NULL))
        return;
    *end++ = type;
    for (size_t i = 0; i < text.size; i++)
        *end++ = text.data[i] == '\r' || text.data[i] == '\n' ? ' ' : text.data[i];
    buffer_commit(output, (size_t)(put_crlf(end) - begin));
}

/* A type that RESP2 has only strings for. */
static void render_scalar(struct buffer *output, int version, char type, struct bytes text)
{
    if (version == 3)
        render_line(output, type, text);
    else
        render_bulk(output, text);
}

/* Redis 7: 17 digits, "inf", "-inf", "nan". */
static void render_number(struct buffer *output, int version, double number)
{
    char text[40];
    int size = isinf(number)   ? snprintf(text, sizeof text, number > 0 ? "inf" : "-inf")
               : isnan(number) ? snprintf(text, sizeof text, "nan")
                               : snprintf(text, sizeof text, "%.17g", number);

    render_scalar(output, version, ',', bytes_of(text, (size_t)size));
}

enum { FORMAT_BYTES = 4 }; /* "txt:" */

static void render_verbatim(struct buffer *output, int version, struct bytes format, struct bytes text)
{
    char *begin, *end;

    if (version != 3) {
        render_bulk(output, text);
        return;
    }
    begin = buffer_reserve(output, HEADER_BYTES + FORMAT_BYTES + text.size + 2);
    if (begin == NULL)
        return;
    end = put_header(begin, '=', text.size + FORMAT_BYTES);
    memcpy(end, format.data, FORMAT_BYTES);
    if (text.size > 0)
        memcpy(end + FORMAT_BYTES, text.data, text.size);
    buffer_commit(output, (size_t)(put_crlf(end + FORMAT_BYTES + text.size) - begin));
}

static void render_formatted(struct buffer *output, int version, struct bytes bytes)
{
    if (bytes.size < FORMAT_BYTES)
        render_verbatim(output, version, BYTES("txt:"), bytes);
    else
        render_verbatim(output, version, bytes, bytes_after(bytes, FORMAT_BYTES));
}

static void render_nil(struct buffer *output, int version, struct bytes before_3)
{
    buffer_append(output, version == 3 ? BYTES("_\r\n") : before_3);
}

void resp_render_value_head(struct buffer *output, uint64_t size) { render_header(output, '$', size); }

void resp_render(struct buffer *output, int version, const struct outcome *outcome)
{
    bool is_3 = version == 3;

    switch (outcome->kind) {
    case OUTCOME_value: render_bulk(output, outcome->bytes); return;
    case OUTCOME_nothing: render_nil(output, version, BYTES("$-1\r\n")); return;
    case OUTCOME_nothing_array: render_nil(output, version, BYTES("*-1\r\n")); return;
    case OUTCOME_ok: buffer_append_literal(output, "+OK\r\n"); return;
    case OUTCOME_text:
    case OUTCOME_version: render_line(output, '+', outcome->bytes); return;
    case OUTCOME_verbatim: render_verbatim(output, version, BYTES("txt:"), outcome->bytes); return;
    case OUTCOME_formatted: render_formatted(output, version, outcome->bytes); return;
    case OUTCOME_integer: render_integer(output, outcome->integer); return;
    case OUTCOME_number: render_number(output, version, outcome->number); return;
    case OUTCOME_number_text: render_scalar(output, version, ',', outcome->bytes); return;
    case OUTCOME_big_number: render_scalar(output, version, '(', outcome->bytes); return;
    case OUTCOME_yes: buffer_append(output, is_3 ? BYTES("#t\r\n") : BYTES(":1\r\n")); return;
    case OUTCOME_no: buffer_append(output, is_3 ? BYTES("#f\r\n") : BYTES(":0\r\n")); return;
    case OUTCOME_array: render_header(output, '*', outcome->count); return;
    case OUTCOME_map:
        render_header(output, is_3 ? '%' : '*', is_3 ? outcome->count : 2 * (uint64_t)outcome->count);
        return;
    case OUTCOME_set: render_header(output, is_3 ? '~' : '*', outcome->count); return;
    case OUTCOME_push: render_header(output, is_3 ? '>' : '*', outcome->count); return;
    case OUTCOME_error:
    case OUTCOME_client_error:
    case OUTCOME_server_error: render_line(output, '-', outcome->bytes); return;
    /* Words of memcached's: a RESP connection that were ever told them would still be in step. */
    case OUTCOME_unsigned_integer: render_header(output, ':', outcome->unsigned_integer); return;
    case OUTCOME_item:
    case OUTCOME_item_version:
    case OUTCOME_meta_item:
    case OUTCOME_stat: render_bulk(output, outcome->item.value); return;
    case OUTCOME_end:
    case OUTCOME_stored:
    case OUTCOME_deleted:
    case OUTCOME_touched: buffer_append_literal(output, "+OK\r\n"); return;
    case OUTCOME_not_stored:
    case OUTCOME_exists:
    case OUTCOME_not_found: render_nil(output, version, BYTES("$-1\r\n")); return;
    case OUTCOME_meta:
        render_line(output, '+', bytes_of(outcome->item.code, sizeof outcome->item.code));
        return;
    case OUTCOME_unknown: buffer_append_literal(output, "-ERR unknown command\r\n"); return;
    }
    UNREACHABLE();
}

void resp_render_command(struct buffer *output, const struct bytes *arguments, size_t argument_count)
{
    size_t most_bytes = HEADER_BYTES;
    char *begin, *end;

    for (size_t i = 0; i < argument_count; i++)
        most_bytes += HEADER_BYTES + arguments[i].size + 2;
    begin = buffer_reserve(output, most_bytes);
    if (UNLIKELY(begin == NULL))
        return;
    end = put_header(begin, '*', argument_count);
    for (size_t i = 0; i < argument_count; i++) {
        end = put_header(end, '$', arguments[i].size);
        if (LIKELY(arguments[i].size > 0))
            memcpy(end, arguments[i].data, arguments[i].size);
        end = put_crlf(end + arguments[i].size);
    }
    buffer_commit(output, (size_t)(end - begin));
}
