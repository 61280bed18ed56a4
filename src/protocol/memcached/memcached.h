/* memcached.h — memcached's text protocol: bytes to commands, outcomes to bytes. Pure.
 *
 * Lines end in CR LF. A line that ends in a lone LF is FATAL: what follows it could be data or commands,
 * and guessing is how one client's data becomes another's command. (An empty one is refused with "ERROR":
 * it is what is left of a data block that was one byte too long.) The arguments of a command are the words
 * of its line, without a trailing "noreply" (that sets `quiet`); a storage command's data block is its last
 * argument, and null bytes of its size if it is larger than a value may be: such a block is dropped as it
 * arrives. A line that begins with the byte of the binary protocol is FATAL, without words. Splitting the
 * bytes never changes the answer; memory grows with bytes received only. */
#pragma once
#include "base/buffer.h"
#include "message/command.h"
#include "message/outcome.h"
#include "protocol/parse.h"

enum { MEMCACHED_KEY_BYTES_MAX = 250, MEMCACHED_BINARY_BYTE = 0x80 };

struct memcached_limits {
    uint32_t line_bytes_max;  /* of a command line; multi-key gets need room: 64 KiB */
    uint64_t value_bytes_max; /* of a data block */
};

/* Where one connection stands. Zeroed is the beginning. */
struct memcached_parser {
    size_t scanned;      /* bytes of the line in which no line end was found */
    size_t line_size;    /* of a storage command whose data block has not arrived; else 0 */
    uint64_t data_bytes; /* of that data block */
    uint64_t skip_bytes; /* of a refused data block, or too large a one: dropped as they arrive */
    struct bytes *many;  /* the words of a long line */
    size_t many_capacity;
};

/* Parses the command at the front of `input`. As resp_parse, but an empty line is REFUSED with "ERROR";
 * `*error` holds the whole answer line without CRLF: "CLIENT_ERROR bad data chunk", "ERROR". A refused
 * command may be consumed in several calls: REFUSED with an empty error means "drop and answer nothing".
 * The data block of a refused storage command is dropped, never run as commands, if its length could be
 * read. Errors that memcached leaves out after "noreply" are empty here too. */
enum parse memcached_parse(struct memcached_parser *parser, const struct memcached_limits *limits,
                           struct bytes input, struct bytes *arguments, size_t argument_capacity,
                           struct command *command, size_t *consumed, struct bytes *error);

void memcached_parser_fini(struct memcached_parser *parser);

/* True if `word`, the first of a line, is a memcached command's name, in lower case as it must be. */
bool memcached_is_command_word(struct bytes word);

void memcached_render(struct buffer *output, const struct outcome *outcome);

/* Appends what goes before the bytes of an item's value, which has `size` of them; CRLF follows them. */
void memcached_render_item_head(struct buffer *output, const struct item *item, bool with_version,
                                uint64_t size);
