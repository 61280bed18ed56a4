/* directives.h — Cache-Control, read strictly (RFC 9111 §5.2): a list over any number of lines. Pure. */
#pragma once
#include "message/http.h"

enum directive {
#define CACHE_DIRECTIVE(id, name, argument) DIRECTIVE_##id,
#include "tables/cache_directives.def"
#undef CACHE_DIRECTIVE
    DIRECTIVE_COUNT
};

/* The largest number of seconds that counts (RFC 9111 §1.2.2); larger ones are taken for this one. */
#define DIRECTIVE_SECONDS_MAX INT64_C(2147483648)

/* What a directive's number is when it is malformed, or there are several. */
enum { DIRECTIVE_INVALID = -1 };

struct cache_directives {
    uint32_t present; /* a bit for each directive that is there */
    bool malformed; /* something in the list could not be read: nothing in it that permits may be trusted */
    int64_t seconds[DIRECTIVE_COUNT]; /* of those present that have a number: it, or DIRECTIVE_INVALID */
};

static inline bool directives_have(const struct cache_directives *directives, enum directive directive)
{
    return (directives->present >> directive & 1) != 0;
}

/* The number of `directive` if it is there and valid, else `otherwise`. */
static inline int64_t directives_seconds(const struct cache_directives *directives,
                                         enum directive directive, int64_t otherwise)
{
    return directives_have(directives, directive) && directives->seconds[directive] >= 0
               ? directives->seconds[directive]
               : otherwise;
}

/* Adds what one line's value says; `directives` begins as zeroes. */
void directives_read(struct cache_directives *directives, struct bytes value);

/* Reads all Cache-Control lines of `fields`. */
struct cache_directives directives_of(const struct http_fields *fields);

/* Reads a non-negative whole number as delta-seconds; a larger one is DIRECTIVE_SECONDS_MAX. */
bool delta_seconds_parse(struct bytes text, int64_t *seconds);
