/* cache_status.h — how the gateway came by an answer, for the Cache-Status field (RFC 9211). Pure. */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

enum forward_reason {
    FORWARD_NONE,    /* not forwarded: a hit */
    FORWARD_REFUSED, /* neither: our own answer */
    FORWARD_BYPASS,
    FORWARD_METHOD,
    FORWARD_URI_MISS,
    FORWARD_VARY_MISS,
    FORWARD_REQUEST,
    FORWARD_STALE,
};

struct cache_status {
    enum forward_reason reason;
    int origin_status; /* fwd-status; 0: not said */
    bool stored, collapsed;
    bool names_others; /* the response has a Cache-Status of caches before us */
    bool has_ttl;
    int64_t ttl_seconds; /* of freshness left; negative: stale */
    const char *detail;  /* a token, or null */
};

enum { CACHE_STATUS_BYTES_MAX = 192 };

/* Writes the field's value at `text`, CACHE_STATUS_BYTES_MAX of room, and returns its size. */
size_t cache_status_format(char *text, const struct cache_status *status);

/* The same in a word, for a log: hit, stale, expired, revalidated, miss,
 * collapsed, bypass, refused. Static. */
const char *cache_status_word(const struct cache_status *status);
