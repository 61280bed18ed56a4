/* resp.h — the Redis protocol, versions 2 and 3: bytes to commands, outcomes to bytes. Pure.
 *
 * Strict: what is not a well-formed array of bulk strings, or an inline command, is refused and never
 * repaired. The answer is the same however the bytes are split. Memory grows with bytes received, never
 * with counts or lengths that were promised. */
#pragma once
#include "base/buffer.h"
#include "message/command.h"
#include "message/outcome.h"
#include "protocol/parse.h"

struct resp_limits {
    uint32_t arguments_max;    /* of one command; Redis: 1048576 */
    uint64_t bulk_bytes_max;   /* of one argument; Redis: 512 MiB */
    uint32_t inline_bytes_max; /* of an inline command's line, or of a length line; Redis: 64 KiB */
    bool are_for_strangers;    /* who break them are told that they have not said who they are */
};

/* Where one connection stands inside a command that has not fully arrived. Zeroed is the beginning; holds
 * memory only for a command of many arguments, until resp_parser_fini or its end. */
struct resp_parser {
    size_t offset;           /* of the input: parsed so far */
    uint32_t argument_count; /* promised by the header; 0 before it */
    uint32_t parsed_count;   /* arguments complete */
    struct resp_span *spans; /* where they lie, as offsets, once parsed_count exceeds what fits inline */
    uint32_t span_capacity;
    struct bytes *many; /* the finished command's arguments when the caller's array is too small, and
                         * the text of quoted inline arguments behind them */
    union {
        struct resp_span {
            uint32_t offset, size;
        } first[8];
        char error_text[64]; /* after FATAL: what was wrong */
    };
};

/* Parses the command at the front of `input`, which must begin at the command's first byte at every call
 * until it is not PARSE_MORE. On DONE `command` borrows from `input` and from `arguments` (or, if there are
 * more than `argument_capacity`, from memory of the parser's that is good until the next call; so is what
 * an inline command borrows). On REFUSED and FATAL `*error` is static or borrowed from the parser: "ERR
 * Protocol error: …", without CRLF. An empty line, and an array of 0 or fewer arguments, is DONE with an
 * argument_count of 0: there is nothing to run. Inline commands may end in LF alone, as Redis allows, and
 * follow its rules for quotes. What a browser can be made to send (POST, Host:, any HTTP request line) is
 * FATAL without a word. */
enum parse resp_parse(struct resp_parser *parser, const struct resp_limits *limits, struct bytes input,
                      struct bytes *arguments, size_t argument_capacity, struct command *command,
                      size_t *consumed, struct bytes *error);

void resp_parser_fini(struct resp_parser *parser);

/* Appends `outcome` in RESP `version`, 2 or 3. */
void resp_render(struct buffer *output, int version, const struct outcome *outcome);

/* Appends what goes before the bytes of a value of `size` bytes; CRLF follows them. */
void resp_render_value_head(struct buffer *output, uint64_t size);
