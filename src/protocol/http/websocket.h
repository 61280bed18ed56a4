/* websocket.h — one WebSocket as its server sees it (RFC 6455), from behind the handshake: bytes into
 * messages, messages into bytes. No I/O and no clock of its own; no extensions. One thread.
 *
 *   open ──► closing (our close is sent, the client's awaited) ──► over
 *     └── the client closed; a frame that may not be; nobody there ──┘
 *
 * Whoever owns it hands in what came, sends websocket_output until that is empty, calls websocket_tick when
 * websocket_due_ms has come, and ends the connection once websocket_is_over. A client's time to answer
 * begins when what it is to answer has been sent: whether output gets away at all is for the owner to
 * watch. While nothing is under way it holds no memory for input or output. */
#pragma once
#include "base/buffer.h"

enum websocket_kind { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2 };

/* RFC 6455 §7.4.1. The last is never sent: it stands for a close without one. */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_NOT_ACCEPTED = 1003, /* a kind of message that is not taken */
    WEBSOCKET_NOT_TEXT = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_LARGE = 1009,
    WEBSOCKET_INTERNAL = 1011,
    WEBSOCKET_NO_CODE = 1005,
};

enum { WEBSOCKET_REASON_BYTES_MAX = 123 };

struct websocket_limits {
    size_t message_bytes_max; /* of one that comes, put together; beyond it the close is 1009 */
    size_t
        output_bytes_max; /* that wait to be sent, if it is not one message; beyond it the close is 1008 */
    int64_t ping_ms;      /* after so long a silence the client is asked whether it is there; 0: never */
    int64_t pong_ms;      /* how long it may take to say anything then */
    int64_t close_ms;     /* how long it may take to answer a close */
};

/* What the owner is told, from inside websocket_receive; it may send and close there, but not destroy. The
 * bytes are borrowed for the call. Either may be null. */
struct websocket_callbacks {
    void (*message)(void *owner, enum websocket_kind kind, struct bytes bytes); /* text is UTF-8 */
    void (*closed)(void *owner, int code, struct bytes reason); /* by the client; WEBSOCKET_NO_CODE */
};

struct websocket; /* opaque: websocket.c */

/* `limits` and `callbacks` are static, or live as long. Null without memory. */
struct websocket *websocket_create(const struct websocket_limits *limits,
                                   const struct websocket_callbacks *callbacks, void *owner,
                                   int64_t now_ms);
void websocket_destroy(struct websocket *websocket);

/* Takes what came. The answers (pongs, closes) are in the output afterwards. */
void websocket_receive(struct websocket *websocket, struct bytes bytes, int64_t now_ms);

/* Nothing more will come: it is over, in whatever state. */
void websocket_receive_end(struct websocket *websocket, int64_t now_ms);

/* From inside `message`, or at any time: no more messages are taken until websocket_go_on. What comes
 * meanwhile is kept: hand in no more than was under way. */
void websocket_hold(struct websocket *websocket);
void websocket_go_on(struct websocket *websocket, int64_t now_ms);
bool websocket_is_held(const struct websocket *websocket);

/* Sends a message; of text that is no UTF-8 each wrong byte is sent as U+FFFD. False if it is not open, or
 * if the client reads too slowly: then it is closing. */
bool websocket_send(struct websocket *websocket, enum websocket_kind kind, struct bytes bytes,
                    int64_t now_ms);

/* Appends a whole message as servers frame it, for many: framed once, its bytes may be sent to each by the
 * owner itself, whenever the websocket is open and its output empty. Text must be UTF-8. */
void websocket_frame_append(struct buffer *output, enum websocket_kind kind, struct bytes payload);

/* Says that it is to end; nothing if it is not open any more. WEBSOCKET_NO_CODE: without saying why. At
 * most WEBSOCKET_REASON_BYTES_MAX of `reason` are said, as UTF-8 like a message. */
void websocket_close(struct websocket *websocket, int code, struct bytes reason, int64_t now_ms);

/* Whether an endpoint may say `code` in a close (§7.4). */
bool websocket_may_say(int64_t code);

/* What is to be sent, from its front; `count` bytes of it have been. */
struct bytes websocket_output(const struct websocket *websocket);
void websocket_note_sent(struct websocket *websocket, size_t count, int64_t now_ms);

/* When to call websocket_tick, INT64_MAX for never; and that: pings, and gives up on who is not there. */
int64_t websocket_due_ms(const struct websocket *websocket);
void websocket_tick(struct websocket *websocket, int64_t now_ms);

bool websocket_is_open(const struct websocket *websocket); /* messages may be sent */
/* The connection may end as soon as the output has been sent; or, if is_lost, at once: nobody reads it. */
bool websocket_is_over(const struct websocket *websocket);
bool websocket_is_lost(const struct websocket *websocket);
bool websocket_was_too_slow(const struct websocket *websocket); /* was closed for that */
