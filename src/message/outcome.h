/* outcome.h — what a cache engine says, one thing at a time, for a protocol to put into its own words.
 *
 * The rows are in tables/outcomes.def. An answer is a run of outcomes: an aggregate (array, map, set,
 * push) is said first with its count and its members follow, each an outcome or an aggregate of its
 * own. Bytes are borrowed for the duration of reply_say. */
#pragma once
#include "base/bytes.h"
#include "base/loan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum outcome_kind {
#define OUTCOME(name, payload, help) OUTCOME_##name,
#include "tables/outcomes.def"
#undef OUTCOME
};

/* A value with all that memcached says about it. */
struct item {
    struct bytes key, value;
    uint64_t version;
    uint32_t flags;
    char code[2]; /* of a meta answer, such as "HD" */
};

struct outcome {
    enum outcome_kind kind;
    union {
        int64_t integer; /* integer */
        uint64_t unsigned_integer;
        double number;      /* number */
        size_t count;       /* array, map (pairs), set, push */
        struct bytes bytes; /* text, value, error: see the table */
        struct item item;
    };
};

/* Where an engine says its outcomes: implemented by whoever renders them. */
struct reply {
    void (*say)(struct reply *reply, const struct outcome *outcome);
    /* May be null, and then nothing can be lent. Else as `say`, of an outcome with a value, the bytes of
     * which are those of `loan` and not the outcome's own; takes the loan over if it returns true. False:
     * nothing was said, and the value has to be said with its bytes. */
    bool (*lend)(struct reply *reply, const struct outcome *outcome, struct loan *loan);
};

static inline void reply_say(struct reply *reply, const struct outcome *outcome)
{
    reply->say(reply, outcome);
}

/* Shorthands for the usual ones. */
static inline void reply_kind(struct reply *reply, enum outcome_kind kind)
{
    reply_say(reply, &(struct outcome){.kind = kind});
}
static inline void reply_integer(struct reply *reply, int64_t integer)
{
    reply_say(reply, &(struct outcome){.kind = OUTCOME_integer, .integer = integer});
}
static inline void reply_value(struct reply *reply, struct bytes value)
{
    reply_say(reply, &(struct outcome){.kind = OUTCOME_value, .bytes = value});
}
static inline void reply_aggregate(struct reply *reply, enum outcome_kind kind, size_t count)
{
    reply_say(reply, &(struct outcome){.kind = kind, .count = count});
}
/* An error with its code, such as "ERR syntax error" or "WRONGTYPE Operation against …". */
static inline void reply_error(struct reply *reply, struct bytes text)
{
    reply_say(reply, &(struct outcome){.kind = OUTCOME_error, .bytes = text});
}
