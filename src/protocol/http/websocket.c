/* websocket.c — wslay takes the frames apart (their heads, lengths and masks); what they may be, one after
 * the other, is decided here.
 *   (1) in_frame: the head of a frame has come, and frame_left bytes of its payload have not.
 *   (2) kind is that of a message whose last frame has not ended; 0: none.
 *   (3) parser_bytes are those that the parser has and that are of no frame seen so far: 0 between two
 *       frames, when it can go.
 *   (4) unasked_bytes are those of the output up to the end of the ping or close that the client is to
 *       answer: its time runs from when they have been sent, at 0. */
#include "websocket.h"
#include "base/compiler.h"
#include "base/utf8.h"
#include <assert.h>
#include <stdlib.h>
#include <wslay/wslay.h>

enum {
    CONTROL_BYTES_MAX = 125,
    SHORT_BYTES_MAX = 125,
    MEDIUM_BYTES_MAX = 65535,
    MASK_BYTES = 4,
    OPCODE_CONTINUATION = WSLAY_CONTINUATION_FRAME,
    FINAL = 0x80, /* the bit of a frame that ends its message */
};

enum websocket_state { WEBSOCKET_OPEN, WEBSOCKET_CLOSING, WEBSOCKET_OVER };

struct websocket {
    const struct websocket_limits *limits;
    const struct websocket_callbacks *callbacks;
    void *owner;
    enum websocket_state state;
    bool is_lost, was_too_slow, is_pinged, is_held;
    bool in_frame; /* (1) */
    bool frame_ends_message;
    uint8_t opcode;                     /* of the frame in hand */
    uint8_t kind;                       /* (2) */
    uint8_t control_size;               /* of what came of a control frame */
    struct utf8 utf8;                   /* of the text in hand */
    uint64_t frame_left;                /* (1) */
    struct wslay_frame_context *parser; /* null between frames */
    size_t parser_bytes;                /* (3) */
    struct bytes input;                 /* not yet given to the parser */
    struct buffer message, output;
    size_t sent_bytes;      /* of the front of output */
    size_t unasked_bytes;   /* (4) */
    struct buffer kept;     /* came while it was held */
    int64_t waits_since_ms; /* since a byte came, or since we asked for one by a ping or a close */
    char control[CONTROL_BYTES_MAX];
};

static ssize_t give_input(uint8_t *data, size_t size, int flags, void *owner)
{
    struct websocket *websocket = owner;

    (void)flags;
    if (websocket->input.size == 0)
        return -1;
    if (size > websocket->input.size)
        size = websocket->input.size;
    memcpy(data, websocket->input.data, size);
    websocket->input = bytes_after(websocket->input, size);
    websocket->parser_bytes += size;
    return (ssize_t)size;
}

struct websocket *websocket_create(const struct websocket_limits *limits,
                                   const struct websocket_callbacks *callbacks, void *owner, int64_t now_ms)
{
    struct websocket *websocket = calloc(1, sizeof *websocket);

    if (websocket == NULL)
        return NULL;
    websocket->limits = limits;
    websocket->callbacks = callbacks;
    websocket->owner = owner;
    websocket->waits_since_ms = now_ms;
    return websocket;
}

static void drop_parser(struct websocket *websocket)
{
    if (websocket->parser != NULL)
        wslay_frame_context_free(websocket->parser);
    websocket->parser = NULL;
}

void websocket_destroy(struct websocket *websocket)
{
    if (websocket == NULL)
        return;
    drop_parser(websocket);
    buffer_fini(&websocket->message);
    buffer_fini(&websocket->output);
    buffer_fini(&websocket->kept);
    free(websocket);
}

/* ---- sending ------------------------------------------------------------------------------------- */

/* RFC 6455 §5.2: whole messages, unmasked. */
static void render_frame(struct buffer *output, uint8_t opcode, struct bytes payload)
{
    unsigned length_bytes = payload.size <= SHORT_BYTES_MAX ? 0 : payload.size <= MEDIUM_BYTES_MAX ? 2 : 8;

    buffer_append_byte(output, (char)(FINAL | opcode));
    buffer_append_byte(output, (char)(length_bytes == 0 ? payload.size : length_bytes == 2 ? 126 : 127));
    while (length_bytes-- > 0)
        buffer_append_byte(output, (char)(uint8_t)((uint64_t)payload.size >> (8 * length_bytes)));
    buffer_append(output, payload);
}

void websocket_frame_append(struct buffer *output, enum websocket_kind kind, struct bytes payload)
{
    render_frame(output, (uint8_t)kind, payload);
}

static void append_frame(struct websocket *websocket, uint8_t opcode, struct bytes payload)
{
    render_frame(&websocket->output, opcode, payload);
    if (websocket->output.failed) { /* a part of a frame may be there: nothing can follow it */
        websocket->state = WEBSOCKET_OVER;
        websocket->is_lost = true;
    }
}

static void append_utf8(struct buffer *out, struct bytes text)
{
    size_t start = 0; /* of the character in hand */
    struct utf8 utf8 = {0};

    for (size_t i = 0; i < text.size; i++) {
        if (!utf8_take(&utf8, (uint8_t)text.data[i])) {
            buffer_append_literal(out, "\xef\xbf\xbd");
            utf8 = (struct utf8){0};
            if (i > start) /* the byte that does not go on with a character may begin one */
                i--;
            start = i + 1;
        } else if (utf8.left == 0) {
            buffer_append(out, bytes_of(text.data + start, i + 1 - start));
            start = i + 1;
        }
    }
    if (utf8.left > 0)
        buffer_append_literal(out, "\xef\xbf\xbd");
}

static void append_close(struct websocket *websocket, int code, struct bytes reason)
{
    struct buffer payload = {0};

    if (code != WEBSOCKET_NO_CODE) {
        buffer_append_byte(&payload, (char)(code >> 8));
        buffer_append_byte(&payload, (char)code);
        append_utf8(&payload, reason);
    }
    if (payload.size > CONTROL_BYTES_MAX) {
        payload.size = CONTROL_BYTES_MAX;
        while (((uint8_t)payload.data[payload.size] & 0xc0) == 0x80)
            payload.size--; /* no part of a character */
    }
    append_frame(websocket, WSLAY_CONNECTION_CLOSE, buffer_bytes(&payload));
    buffer_fini(&payload);
}

void websocket_close(struct websocket *websocket, int code, struct bytes reason, int64_t now_ms)
{
    if (websocket->state != WEBSOCKET_OPEN)
        return;
    websocket->state = WEBSOCKET_CLOSING;
    websocket->waits_since_ms = now_ms;
    append_close(websocket, code, reason);
    websocket->unasked_bytes = websocket_output(websocket).size;
}

/* What came may not be: says so, and that is the end (§7.1.7). */
static void fail(struct websocket *websocket, int code, const char *reason)
{
    bool must_say = websocket->state == WEBSOCKET_OPEN;

    if (websocket->state == WEBSOCKET_OVER)
        return;
    websocket->state = WEBSOCKET_OVER;
    if (must_say)
        append_close(websocket, code, bytes_of_text(reason));
}

/* Whether a frame more may wait to be sent; if not, the client is closed. */
static bool may_wait(struct websocket *websocket, int64_t now_ms)
{
    if (websocket_output(websocket).size <= websocket->limits->output_bytes_max)
        return true;
    websocket->was_too_slow = true;
    websocket_close(websocket, WEBSOCKET_POLICY, BYTES("messages are read too slowly"), now_ms);
    return false;
}

bool websocket_send(struct websocket *websocket, enum websocket_kind kind, struct bytes bytes,
                    int64_t now_ms)
{
    struct buffer repaired = {0};

    if (websocket->state != WEBSOCKET_OPEN)
        return false;
    if (kind == WEBSOCKET_TEXT && !utf8_is_whole(bytes)) {
        append_utf8(&repaired, bytes);
        bytes = buffer_bytes(&repaired);
    }
    if (repaired.failed)
        websocket_close(websocket, WEBSOCKET_INTERNAL, BYTES("out of memory"), now_ms);
    else if (may_wait(websocket, now_ms))
        append_frame(websocket, (uint8_t)kind, bytes);
    buffer_fini(&repaired);
    return websocket->state == WEBSOCKET_OPEN;
}

struct bytes websocket_output(const struct websocket *websocket)
{
    return bytes_after(buffer_bytes(&websocket->output), websocket->sent_bytes);
}

void websocket_note_sent(struct websocket *websocket, size_t count, int64_t now_ms)
{
    websocket->sent_bytes += count;
    if (websocket->sent_bytes == websocket->output.size) {
        buffer_fini(&websocket->output);
        websocket->sent_bytes = 0;
    } else if (websocket->sent_bytes > websocket->output.size / 2) { /* what is moved was paid for */
        buffer_consume(&websocket->output, websocket->sent_bytes);
        websocket->sent_bytes = 0;
    }
    if (websocket->unasked_bytes > count) {
        websocket->unasked_bytes -= count;
    } else if (websocket->unasked_bytes > 0) {
        websocket->unasked_bytes = 0;
        websocket->waits_since_ms = now_ms;
    }
}

/* ---- receiving ----------------------------------------------------------------------------------- */

bool websocket_may_say(int64_t code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static void end_close(struct websocket *websocket)
{
    struct bytes payload = bytes_of(websocket->control, websocket->control_size);
    int code = WEBSOCKET_NO_CODE;
    struct bytes reason = {NULL, 0};

    if (payload.size == 1) {
        fail(websocket, WEBSOCKET_PROTOCOL_ERROR, "a close with half a code");
        return;
    }
    if (payload.size >= 2) {
        code = (uint8_t)payload.data[0] << 8 | (uint8_t)payload.data[1];
        reason = bytes_after(payload, 2);
        if (!websocket_may_say(code)) {
            fail(websocket, WEBSOCKET_PROTOCOL_ERROR, "a close with a code that may not be said");
            return;
        }
        if (!utf8_is_whole(reason)) {
            fail(websocket, WEBSOCKET_NOT_TEXT, "a close whose reason is no UTF-8");
            return;
        }
    }
    if (websocket->state == WEBSOCKET_OPEN) /* §5.5.1: the same code back */
        append_close(websocket, code, (struct bytes){NULL, 0});
    websocket->state = WEBSOCKET_OVER;
    if (websocket->callbacks->closed != NULL)
        websocket->callbacks->closed(websocket->owner, code, reason);
}

static void end_message(struct websocket *websocket)
{
    enum websocket_kind kind = (enum websocket_kind)websocket->kind;

    if (kind == WEBSOCKET_TEXT && websocket->utf8.left > 0) {
        fail(websocket, WEBSOCKET_NOT_TEXT, "text that ends within a character");
        return;
    }
    websocket->kind = 0;
    websocket->utf8 = (struct utf8){0};
    if (websocket->state == WEBSOCKET_OPEN && websocket->callbacks->message != NULL)
        websocket->callbacks->message(websocket->owner, kind, buffer_bytes(&websocket->message));
    buffer_clear(&websocket->message);
}

static void end_frame(struct websocket *websocket)
{
    websocket->in_frame = false;
    if (websocket->opcode == WSLAY_CONNECTION_CLOSE) {
        end_close(websocket);
    } else if (websocket->opcode == WSLAY_PING) {
        if (websocket->state == WEBSOCKET_OPEN && may_wait(websocket, websocket->waits_since_ms))
            append_frame(websocket, WSLAY_PONG, bytes_of(websocket->control, websocket->control_size));
    } else if (websocket->opcode != WSLAY_PONG && websocket->frame_ends_message) {
        end_message(websocket);
    }
}

/* The head of a frame has come: what is wrong with it, or null. */
static const char *begin_frame(struct websocket *websocket, const struct wslay_frame_iocb *part)
{
    uint64_t length = part->payload_length;

    websocket->parser_bytes -= 2 +
                               (length <= SHORT_BYTES_MAX    ? 0
                                : length <= MEDIUM_BYTES_MAX ? 2
                                                             : 8) +
                               MASK_BYTES;
    if (part->rsv != 0)
        return "a reserved bit is set";
    if (!part->mask)
        return "a frame of a client is masked";
    websocket->in_frame = true;
    websocket->opcode = part->opcode;
    websocket->frame_left = length;
    switch (part->opcode) {
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG: websocket->control_size = 0; return NULL;
    case OPCODE_CONTINUATION:
        websocket->frame_ends_message = part->fin;
        return websocket->kind == 0 ? "there is no message that goes on" : NULL;
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        if (websocket->kind != 0)
            return "a message begins within another";
        websocket->frame_ends_message = part->fin;
        websocket->kind = part->opcode;
        return NULL;
    default: return "there is no such opcode";
    }
}

static void take_payload(struct websocket *websocket, struct bytes payload)
{
    websocket->frame_left -= payload.size;
    websocket->parser_bytes -= payload.size;
    if (wslay_is_ctrl_frame(websocket->opcode)) {
        assert(payload.size <= sizeof websocket->control - websocket->control_size); /* wslay sees to it */
        if (payload.size > 0)
            memcpy(websocket->control + websocket->control_size, payload.data, payload.size);
        websocket->control_size = (uint8_t)(websocket->control_size + payload.size);
        return;
    }
    if (websocket->kind == WEBSOCKET_TEXT)
        for (size_t i = 0; i < payload.size; i++)
            if (!utf8_take(&websocket->utf8, (uint8_t)payload.data[i])) {
                fail(websocket, WEBSOCKET_NOT_TEXT, "text that is no UTF-8");
                return;
            }
    buffer_append(&websocket->message, payload);
    if (websocket->message.failed)
        fail(websocket, WEBSOCKET_INTERNAL, "out of memory");
}

static void take_part(struct websocket *websocket, const struct wslay_frame_iocb *part)
{
    if (!websocket->in_frame) {
        const char *wrong = begin_frame(websocket, part);
        if (wrong != NULL) {
            fail(websocket, WEBSOCKET_PROTOCOL_ERROR, wrong);
            return;
        }
        if (!wslay_is_ctrl_frame(part->opcode) &&
            part->payload_length > websocket->limits->message_bytes_max - websocket->message.size) {
            fail(websocket, WEBSOCKET_TOO_LARGE, "a message that is too large");
            return;
        }
    }
    take_payload(websocket, bytes_of(part->data, part->data_length));
    if (websocket->state != WEBSOCKET_OVER && websocket->frame_left == 0)
        end_frame(websocket);
}

static void keep(struct websocket *websocket, struct bytes bytes)
{
    if (websocket->state == WEBSOCKET_OVER)
        return;
    buffer_append(&websocket->kept, bytes);
    if (websocket->kept.failed)
        fail(websocket, WEBSOCKET_INTERNAL, "out of memory");
}

/* Takes the input, as far as it is wanted. */
static void take_input(struct websocket *websocket)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give_input};

    if (websocket->parser == NULL &&
        wslay_frame_context_init(&websocket->parser, &callbacks, websocket) != 0) {
        websocket->parser = NULL;
        fail(websocket, WEBSOCKET_INTERNAL, "out of memory");
    }
    while (websocket->state != WEBSOCKET_OVER && !websocket->is_held) {
        struct wslay_frame_iocb part = {0};
        ssize_t size = wslay_frame_recv(websocket->parser, &part);
        if (size == WSLAY_ERR_WANT_READ)
            break;
        if (size < 0)
            fail(websocket, WEBSOCKET_PROTOCOL_ERROR, "a frame that is not well formed");
        else
            take_part(websocket, &part);
    }
    if (websocket->state == WEBSOCKET_OVER || (!websocket->in_frame && websocket->parser_bytes == 0)) {
        drop_parser(websocket);
        if (websocket->state == WEBSOCKET_OVER || websocket->kind == 0)
            buffer_fini(&websocket->message);
    }
    keep(websocket, websocket->input); /* none, if it is not held */
    websocket->input = (struct bytes){NULL, 0};
}

void websocket_receive(struct websocket *websocket, struct bytes bytes, int64_t now_ms)
{
    if (websocket->state == WEBSOCKET_OVER || bytes.size == 0)
        return;
    if (websocket->state == WEBSOCKET_OPEN) { /* closing, only a close will do */
        websocket->waits_since_ms = now_ms;
        websocket->is_pinged = false;
    }
    if (websocket->is_held) {
        keep(websocket, bytes);
        return;
    }
    websocket->input = bytes;
    take_input(websocket);
}

void websocket_hold(struct websocket *websocket) { websocket->is_held = true; }

void websocket_go_on(struct websocket *websocket, int64_t now_ms)
{
    struct buffer kept = websocket->kept;

    if (!websocket->is_held)
        return;
    websocket->is_held = false;
    websocket->kept = (struct buffer){NULL, 0, 0, false};
    if (websocket->state == WEBSOCKET_OPEN)
        websocket->waits_since_ms = now_ms; /* it was not listened to */
    websocket->input = buffer_bytes(&kept);
    take_input(websocket);
    buffer_fini(&kept);
}

bool websocket_is_held(const struct websocket *websocket) { return websocket->is_held; }

void websocket_receive_end(struct websocket *websocket, int64_t now_ms)
{
    websocket->state = WEBSOCKET_OVER;
    websocket->waits_since_ms = now_ms;
}

/* ---- time ---------------------------------------------------------------------------------------- */

int64_t websocket_due_ms(const struct websocket *websocket)
{
    const struct websocket_limits *limits = websocket->limits;

    if (websocket->unasked_bytes > 0) /* (4) */
        return INT64_MAX;
    switch (websocket->state) {
    case WEBSOCKET_OPEN:
        if (limits->ping_ms == 0 || websocket->is_held)
            return INT64_MAX;
        return websocket->waits_since_ms + (websocket->is_pinged ? limits->pong_ms : limits->ping_ms);
    case WEBSOCKET_CLOSING: return websocket->waits_since_ms + limits->close_ms;
    case WEBSOCKET_OVER: return INT64_MAX;
    }
    UNREACHABLE();
}

void websocket_tick(struct websocket *websocket, int64_t now_ms)
{
    if (now_ms < websocket_due_ms(websocket))
        return;
    if (websocket->state == WEBSOCKET_OPEN && !websocket->is_pinged) {
        websocket->is_pinged = true;
        websocket->waits_since_ms = now_ms;
        append_frame(websocket, WSLAY_PING, (struct bytes){NULL, 0});
        websocket->unasked_bytes = websocket_output(websocket).size;
        return;
    }
    websocket->state = WEBSOCKET_OVER; /* §7.1.7: without an answer it is not waited for */
    websocket->is_lost = true;
}

bool websocket_is_open(const struct websocket *websocket) { return websocket->state == WEBSOCKET_OPEN; }
bool websocket_is_over(const struct websocket *websocket) { return websocket->state == WEBSOCKET_OVER; }
bool websocket_is_lost(const struct websocket *websocket) { return websocket->is_lost; }
bool websocket_was_too_slow(const struct websocket *websocket) { return websocket->was_too_slow; }
