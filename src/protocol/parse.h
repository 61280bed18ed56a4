/* parse.h — what a parser of cache commands says about the bytes it was given. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

enum parse {
    PARSE_MORE,    /* no whole command yet: call again with these bytes and more behind them */
    PARSE_DONE,    /* a command; `consumed` bytes belong to it */
    PARSE_REFUSED, /* `error` is the answer, `consumed` bytes are dropped, the connection is in sync */
    PARSE_FATAL,   /* `error` is the last answer, may be empty: the connection must be closed */
};

/* True if the words of a line are what a page in a browser can make it send to any port: an HTTP request's
 * first line, or a Host field. Whoever sends it must not be listened to any further. */
static inline bool words_are_http(const struct bytes *words, size_t count)
{
    return count > 0 &&
           (bytes_equal_nocase(words[0], BYTES("post")) || bytes_equal_nocase(words[0], BYTES("host:")) ||
            (count == 3 && bytes_start_with(words[2], BYTES("HTTP/"))));
}
