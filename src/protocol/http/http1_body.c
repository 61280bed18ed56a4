/* Bodies. Framing is read a byte at a time, so any split gives the same answer:
 *
 *               ┌──────────── ext_* ◄─┐';'
 *               ▼ CR                  │
 *   size_first ─► size ─► size_lf ─► data ─► data_cr ─► data_lf ─► size_first
 *                                 └ 0 ─► trailer_start ─► end_lf ─► done
 *                                          ▲      ▼
 *                                  trailer_lf ◄ trailer_value ◄ trailer_name */
#include "base/compiler.h"
#include "message/http_syntax.h"
#include "protocol/http/http1.h"

enum state {
    STATE_size_first,
    STATE_size,
    STATE_extension_first, /* RFC 9112 §7.1.1: ";" name [ "=" value ], here without white space */
    STATE_extension_name,
    STATE_extension_value_first,
    STATE_extension_value,
    STATE_extension_quoted,
    STATE_extension_escaped,
    STATE_extension_end,
    STATE_size_lf,
    STATE_data,
    STATE_data_cr,
    STATE_data_lf,
    STATE_trailer_start,
    STATE_trailer_name,
    STATE_trailer_value,
    STATE_trailer_lf,
    STATE_end_lf,
    STATE_done,
};

enum { SIZE_DIGITS_MAX = 16, CHUNK_LINE_BYTES_MAX = 4096, TRAILERS_BYTES_MAX = 8192 };
#define CHUNK_BYTES_MAX (INT64_C(1) << 62)

void http1_body_init(struct http1_body *body, int64_t body_bytes)
{
    *body = (struct http1_body){.chunked = body_bytes == HTTP_BODY_UNKNOWN, .state = STATE_size_first};
    if (!body->chunked)
        body->left_bytes = body_bytes;
}

bool http1_body_is_done(const struct http1_body *body)
{
    return body->chunked ? body->state == STATE_done : body->left_bytes == 0;
}

static bool add_size_digit(struct http1_body *body, char byte)
{
    int digit = byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10;

    if (body->line_bytes > SIZE_DIGITS_MAX || body->left_bytes > CHUNK_BYTES_MAX / 16)
        return false;
    body->left_bytes = body->left_bytes * 16 + digit;
    return body->left_bytes <= CHUNK_BYTES_MAX;
}

/* What `byte` makes of the chunk line after its extension so far, or -1. */
static int after_extension(char byte)
{
    return byte == '\r' ? STATE_size_lf : byte == ';' ? STATE_extension_first : -1;
}

/* The state after `byte` of framing, or -1 if it must not stand there. */
static int next_state(struct http1_body *body, char byte)
{
    bool is_token = http_byte_is(byte, HTTP_BYTE_TOKEN);
    bool is_value = http_byte_is(byte, HTTP_BYTE_VALUE);

    switch ((enum state)body->state) {
    case STATE_size_first:
    case STATE_size:
        if (http_byte_is(byte, HTTP_BYTE_HEX))
            return add_size_digit(body, byte) ? STATE_size : -1;
        return body->state == STATE_size ? after_extension(byte) : -1;
    case STATE_extension_first: return is_token ? STATE_extension_name : -1;
    case STATE_extension_name:
        if (is_token)
            return STATE_extension_name;
        return byte == '=' ? STATE_extension_value_first : after_extension(byte);
    case STATE_extension_value_first:
        if (byte == '"')
            return STATE_extension_quoted;
        return is_token ? STATE_extension_value : -1;
    case STATE_extension_value: return is_token ? STATE_extension_value : after_extension(byte);
    case STATE_extension_quoted:
        if (byte == '"')
            return STATE_extension_end;
        if (byte == '\\')
            return STATE_extension_escaped;
        return is_value ? STATE_extension_quoted : -1;
    case STATE_extension_escaped: return is_value ? STATE_extension_quoted : -1;
    case STATE_extension_end: return after_extension(byte);
    case STATE_size_lf:
        if (byte != '\n')
            return -1;
        body->line_bytes = 0;
        return body->left_bytes > 0 ? STATE_data : STATE_trailer_start;
    case STATE_data: return -1;
    case STATE_data_cr: return byte == '\r' ? STATE_data_lf : -1;
    case STATE_data_lf: body->line_bytes = 0; return byte == '\n' ? STATE_size_first : -1;
    case STATE_trailer_start:
        if (byte == '\r')
            return STATE_end_lf;
        return is_token ? STATE_trailer_name : -1;
    case STATE_trailer_name:
        if (byte == ':')
            return STATE_trailer_value;
        return is_token ? STATE_trailer_name : -1;
    case STATE_trailer_value:
        if (byte == '\r')
            return STATE_trailer_lf;
        return is_value ? STATE_trailer_value : -1;
    case STATE_trailer_lf: return byte == '\n' ? STATE_trailer_start : -1;
    case STATE_end_lf: return byte == '\n' ? STATE_done : -1;
    case STATE_done: return -1;
    }
    UNREACHABLE();
}

static bool step(struct http1_body *body, char byte)
{
    uint32_t most = body->state >= STATE_trailer_start ? TRAILERS_BYTES_MAX : CHUNK_LINE_BYTES_MAX;
    int state;

    if (++body->line_bytes > most || (state = next_state(body, byte)) < 0) {
        body->line_bytes--; /* the same byte will be refused again */
        return false;
    }
    body->state = (uint8_t)state;
    return true;
}

static struct bytes take(struct http1_body *body, struct bytes input)
{
    size_t size = (uint64_t)body->left_bytes < input.size ? (size_t)body->left_bytes : input.size;

    body->left_bytes -= (int64_t)size;
    return bytes_first(input, size);
}

enum http1_result http1_body_read(struct http1_body *body, struct bytes input, struct bytes *data,
                                  size_t *consumed, int *status)
{
    size_t at = 0;

    *data = (struct bytes){0};
    if (!body->chunked) {
        *data = take(body, input);
        *consumed = data->size;
        return body->left_bytes == 0 ? HTTP1_DONE : HTTP1_MORE;
    }
    while (at < input.size && body->state != STATE_done) {
        if (body->state == STATE_data) {
            if (data->size > 0)
                break;
            *data = take(body, bytes_after(input, at));
            at += data->size;
            if (body->left_bytes == 0)
                body->state = STATE_data_cr;
        } else if (LIKELY(step(body, input.data[at]))) {
            at++;
        } else if (at > 0) {
            break; /* what came before it is handed out first; the next call refuses this byte */
        } else {
            *consumed = 0;
            *status = 400;
            return HTTP1_BAD;
        }
    }
    *consumed = at;
    return body->state == STATE_done ? HTTP1_DONE : HTTP1_MORE;
}
