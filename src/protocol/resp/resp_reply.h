/* resp_reply.h — the Redis protocol as a client hears it: bytes to replies, RESP2 and RESP3. Pure.
 *
 * Strict: what is not a well-formed reply is refused and never repaired; streamed types are refused. The
 * answer is the same however the bytes are split. Memory grows with bytes received, never with counts or
 * lengths that were promised: an array of 4294967295 members costs nothing until they come. */
#pragma once
#include "base/buffer.h"
#include "message/outcome.h"
#include "protocol/parse.h"

struct resp_reply_limits {
    uint64_t reply_bytes_max; /* of one reply, all of it: what is longer is refused at its header if it says
                                 so */
    uint32_t nodes_max;       /* of one reply */
    uint32_t depth_max;       /* of aggregates within each other; at most RESP_DEPTH_MAX */
};
enum { RESP_DEPTH_MAX = 32 };

enum resp_type {
    RESP_SIMPLE,     /* + */
    RESP_ERROR,      /* - and ! */
    RESP_INTEGER,    /* : */
    RESP_BULK,       /* $ */
    RESP_NULL,       /* _, $-1 */
    RESP_NULL_ARRAY, /* *-1 */
    RESP_BOOLEAN,    /* # : integer is 0 or 1 */
    RESP_DOUBLE,     /* , : bytes are its text */
    RESP_BIG_NUMBER, /* ( : likewise */
    RESP_VERBATIM,   /* = : bytes without the three letters and the colon, which lie right before them */
    RESP_ARRAY,      /* * */
    RESP_MAP,        /* % : integer counts pairs, so twice as many members follow */
    RESP_SET,        /* ~ */
    RESP_PUSH, /* > : only as a whole reply, never inside another; its first member has bytes: its kind */
};

/* One value of a reply. An aggregate's members follow it, each with its own members behind it. */
struct resp_node {
    enum resp_type type;
    uint32_t span; /* how many nodes it and all within it are: its next sibling is as many further */
    int64_t
        integer; /* of RESP_INTEGER and RESP_BOOLEAN; of aggregates: how many members (pairs of a map) */
    struct bytes bytes; /* of those that have bytes; borrowed from the input */
};

/* A whole reply: its first node, and node_count of them. Attributes (|) are dropped. */
struct resp_reply {
    const struct resp_node *nodes;
    uint32_t node_count;
    struct bytes raw; /* as it came, attributes before it left out */
};

/* Where one connection stands inside a reply that has not fully arrived. Zeroed is the beginning; holds
 * memory until resp_reply_parser_fini. */
struct resp_reply_parser; /* embedded: fields below are the parser's */
struct resp_reply_parser {
    struct resp_node *nodes; /* `integer` of those with bytes is their offset until the reply is whole */
    uint32_t node_count, node_capacity;
    size_t offset;  /* of the input: parsed so far */
    size_t scanned; /* of the input: up to here, the line that begins at `offset` does not end */
    size_t begin;   /* of the input: where the reply begins, behind its attributes */
    uint32_t depth;
    struct resp_level {
        uint64_t left_count; /* members that are still to come */
        uint32_t node;       /* that they belong to; what belongs to an attribute has none: resp_reply.c */
    } levels[RESP_DEPTH_MAX];
    char error_text[96]; /* after FATAL: what was wrong */
};

/* Parses the reply at the front of `input`, which must begin at the reply's first byte at every call until
 * it is not PARSE_MORE. PARSE_DONE: `*reply` borrows from `input` and from the parser until its next call.
 * PARSE_FATAL: `*error` says what is no reply, or too large; the connection can only be closed. */
enum parse resp_reply_parse(struct resp_reply_parser *parser, const struct resp_reply_limits *limits,
                            struct bytes input, struct resp_reply *reply, size_t *consumed,
                            struct bytes *error);

void resp_reply_parser_fini(struct resp_reply_parser *parser);

/* The first of an aggregate's members, and the sibling behind a node: as many as `integer` says (twice as
 * many of a map). */
static inline const struct resp_node *resp_first_member(const struct resp_node *node) { return node + 1; }
static inline const struct resp_node *resp_next(const struct resp_node *node) { return node + node->span; }

/* True if `node` is an error whose first word is `code`, such as "MOVED". */
static inline bool resp_is_error(const struct resp_node *node, struct bytes code)
{
    return node->type == RESP_ERROR && bytes_start_with(node->bytes, code) &&
           (node->bytes.size == code.size || node->bytes.data[code.size] == ' ');
}

/* Says `node` and what is in it to who is waiting for an answer: rendered in RESP3 it is what a server said
 * in RESP3, but for errors of several lines, which become one; rendered in RESP2 it is what that server
 * says to RESP2, as far as that is a matter of types and not of the command. */
void resp_reply_say(const struct resp_node *node, struct reply *reply);

/* Appends a command as a client sends it: an array of bulk strings. All of it or, without memory, nothing.
 */
void resp_render_command(struct buffer *output, const struct bytes *arguments, size_t argument_count);
