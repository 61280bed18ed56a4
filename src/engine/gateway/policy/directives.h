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
    uint32_t partial; /* and for each that only ever came with a list of fields: it is about those alone */
    bool malformed; /* something in the list could not be read: nothing in it that permits may be trusted */
    bool is_targeted; /* from a field meant for us (RFC 9213): Cache-Control and Expires do not count */
    int64_t seconds[DIRECTIVE_COUNT]; /* of those present that have a number: it, or DIRECTIVE_INVALID */
};

static inline bool directives_have(const struct cache_directives *directives, enum directive directive)
{
    return (directives->present >> directive & 1) != 0;
}

/* `directive` is there and is about the whole response, not about some of its fields. */
static inline bool directives_bind(const struct cache_directives *directives, enum directive directive)
{
    return directives_have(directives, directive) &&
           (directives->malformed || (directives->partial >> directive & 1) == 0);
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

/* What says how a response may be stored: the first of Nuthatch-Cache-Control and CDN-Cache-Control that is
 * there, not empty and not malformed (RFC 9213), or else Cache-Control. */
struct cache_directives response_directives_of(const struct http_fields *fields);

/* True if a private or no-cache in the Cache-Control lines of `fields` names the field `name` (RFC 9111
 * §5.2.2.4 and §5.2.2.7): it may be given to nobody else. */
bool directives_name_field(const struct http_fields *fields, struct bytes name);

/* Reads a non-negative whole number as delta-seconds; a larger one is DIRECTIVE_SECONDS_MAX. */
bool delta_seconds_parse(struct bytes text, int64_t *seconds);
