/* parse.h — what a parser of cache commands says about the bytes it was given. */
#pragma once
#include "base/bytes.h"

enum parse {
    PARSE_MORE,    /* no whole command yet: call again with these bytes and more behind them */
    PARSE_DONE,    /* a command; `consumed` bytes belong to it */
    PARSE_REFUSED, /* `error` is the answer, `consumed` bytes are dropped, the connection is in sync */
    PARSE_FATAL,   /* `error` is the last answer, may be empty: the connection must be closed */
};
