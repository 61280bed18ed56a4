/* journal_messages.h — what clients said over the WebSockets that a journal knows of. A message is
 * immutable once it is there: it may be read while others are added. */
#pragma once
#include "base/buffer.h"
#include <stdatomic.h>
#include <stdint.h>

enum journal_message_kind { JOURNAL_TEXT, JOURNAL_BINARY, JOURNAL_CLOSE };

enum {
    JOURNAL_MESSAGES_MAX = 1000,          /* of one WebSocket: later ones are only counted */
    JOURNAL_MESSAGES_BYTES_MAX = 1 << 20, /* of them all in memory */
    JOURNAL_MESSAGE_BYTES_MAX = 64 << 10, /* of each: the rest is left out */
};

struct journal_message {
    struct journal_message *older;
    int64_t wall_ms;
    enum journal_message_kind kind;
    int code;          /* of a close; 0: it had none */
    size_t size;       /* of the text, the bytes or the reason, as it came */
    size_t kept_bytes; /* of it */
    char data[];
};

struct journal_messages {
    _Atomic(struct journal_message *) newest;
    _Atomic uint64_t count;        /* of all that came, closes too */
    size_t kept_count, kept_bytes; /* the adder's */
};

/* Adds one at `wall_ms`; one thread at a time. Returns how many bytes of memory it takes, 0 if it is only
 * counted. */
size_t journal_messages_add(struct journal_messages *messages, int64_t wall_ms,
                            enum journal_message_kind kind, int code, struct bytes bytes);
void journal_messages_fini(struct journal_messages *messages);

/* Appends `"message_count":3,"messages":[…]`, the oldest first: {"at": …, "text": …}, or "binary" (base64),
 * or "close" (a code, or null) and "reason". Any thread. */
void journal_messages_append(const struct journal_messages *messages, struct buffer *out);
