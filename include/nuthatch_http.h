/* nuthatch_http.h — HTTP's rules for caches (RFC 9111) as functions, for programs that keep responses, in
 * nuthatch.h's store or elsewhere. They are those that decide for nuthatch's gateway.
 *
 * Pure: no function does I/O, reads a clock or keeps anything. Any thread. What is passed is only read, and
 * while the call lasts; nh_bytes that come back point into what was passed. Milliseconds throughout:
 * `mono_ms` on a clock that does not go back, `wall_ms` since 1970, which is only compared with dates that
 * others wrote. Structs with a `size` want it set to their sizeof by the caller, as in nuthatch.h.
 *
 * A request is read once (nh_http_read_request), and each response that comes for it
 * (nh_http_read_response). What that says of the response, struct nh_http_kept, is flat: whoever keeps the
 * response keeps it beside it, and later asks by it whether the response may be used.
 *
 *   look up by method and URL ──► nh_http_variant ──► nh_http_use ──► give it, or
 *     nh_http_conditions ──► origin ──► 304: nh_http_freshen, or another response: nh_http_read_response
 *
 * All functions return NH_OK unless they say otherwise; NH_INVALID for an argument that no caller should
 * pass, or a field whose name is no token or whose value has a control character; NH_TOO_LARGE for more
 * than NH_HTTP_FIELDS_MAX fields or too little room; NH_NO_MEMORY. */
#ifndef NUTHATCH_HTTP_H
#define NUTHATCH_HTTP_H

#include "nuthatch.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NH_HTTP_FIELDS_MAX 1024u

/* Field lines in the order they came; a name may come more than once. White space around a value does not
 * count. */
typedef struct nh_http_field {
    nh_bytes name, value;
} nh_http_field;
typedef struct nh_http_fields {
    const nh_http_field *list;
    size_t count;
} nh_http_fields;

typedef struct nh_http_moment {
    int64_t mono_ms, wall_ms;
} nh_http_moment;

/* What the rules leave to whoever runs the cache. Zero is strict. */
typedef struct nh_http_rules {
    size_t size;
    uint32_t is_private;   /* not 0: one user's cache, as in a client; else one that all share */
    uint32_t forwards_all; /* not 0: each field of a request goes to the origin as it came, so that what
                            * Vary names is compared as it is. Else fields that the gateway does not pass
                            * on count as absent, and Accept-Encoding as the codings it says */
    uint32_t stores_set_cookie; /* not 0: a response that sets a cookie is stored like others, without it */
    uint32_t ignores_cookies;   /* not 0: the response to a request with a cookie is stored like others */
    uint32_t
        honours_immutable; /* not 0: a reload of what is fresh and immutable is no reason to validate */
    uint32_t reserved;
    int64_t heuristic_ms_max;  /* how long what does not say is fresh at most: a tenth of its age; 0: not */
    int64_t default_ttl_ms;    /* what does not say is fresh for so long instead, */
    int64_t negative_ttl_ms;   /* and with a status of 400 and more for so long */
    int64_t stale_if_error_ms; /* past its freshness, where the response does not say */
    int64_t stale_if_unreachable_ms;
    int64_t stale_while_revalidate_ms;
} nh_http_rules;

/* ---- requests ------------------------------------------------------------------------------------- */

/* What a request means to a cache. */
typedef struct nh_http_ask {
    size_t size;
    uint32_t is_cacheable; /* it may be answered from what is kept, and its response may be kept; else it is
                            * between the client and the origin */
    uint32_t flags;        /* NH_HTTP_ASK_… */
    int64_t max_age_seconds; /* -1: any */
    int64_t min_fresh_seconds;
    int64_t max_stale_seconds;
    int64_t stale_if_error_seconds;
} nh_http_ask;
#define NH_HTTP_ASK_AUTHORIZATION  1u  /* it has credentials */
#define NH_HTTP_ASK_COOKIE         2u  /* likewise, unless ignores_cookies */
#define NH_HTTP_ASK_CONDITION      4u  /* If-None-Match or If-Modified-Since: see nh_http_has */
#define NH_HTTP_ASK_RANGE          8u  /* a GET that wants a part */
#define NH_HTTP_ASK_VALIDATION     16u /* no-cache, or the like */
#define NH_HTTP_ASK_ONLY_IF_CACHED 32u /* else answer 504 */

NH_API nh_result nh_http_read_request(const nh_http_rules *rules, nh_bytes method, int64_t body_bytes,
                                      const nh_http_fields *fields, nh_http_ask *ask);

/* 1 if a response of `status` to `method` means that what is kept of the URL, and of those that its
 * Location and Content-Location name, is out of date (RFC 9111 §4.4). */
NH_API int32_t nh_http_invalidates(nh_bytes method, int32_t status);

/* What `reference`, the Location or Content-Location of a response to a request for `path`, leads to:
 * NH_OK with path and query in `text`; NH_MISSING if it is not of `origin` ("https://host:port", no more),
 * or is no reference. */
NH_API nh_result nh_http_resolve(nh_bytes origin, nh_bytes path, nh_bytes reference, char *text,
                                 size_t capacity, size_t *size);

/* ---- responses ------------------------------------------------------------------------------------ */

typedef struct nh_http_kept {
    size_t size;
    int32_t status;
    uint32_t flags; /* NH_HTTP_KEPT_… */
    int64_t received_mono_ms;
    int64_t initial_age_ms;    /* RFC 9111 §4.2.3, corrected_initial_age */
    int64_t lifetime_ms;       /* of freshness, from when it was made; 0: stale from the start */
    int64_t stale_if_error_ms; /* -1: it does not say; as the next */
    int64_t stale_while_revalidate_ms;
    int64_t keep_ms; /* how long after it was received it may be of any use */
} nh_http_kept;
#define NH_HTTP_KEPT_STORABLE       1u /* it may be kept (RFC 9111 §3) */
#define NH_HTTP_KEPT_SHAREABLE      2u /* and given now to those who wait for the same */
#define NH_HTTP_KEPT_NO_CACHE       4u /* every use wants a validation */
#define NH_HTTP_KEPT_FOR_AUTHORIZED 8u /* may answer requests with credentials (RFC 9111 §3.5) */
#define NH_HTTP_KEPT_FORBIDS_STALE  16u
#define NH_HTTP_KEPT_IMMUTABLE      32u
#define NH_HTTP_KEPT_HAS_VALIDATOR  64u
#define NH_HTTP_KEPT_OUTDATES       128u /* older ones of the URL mean nothing any more, storable or not */

/* Of a response of `status` whose request left at `requested` and whose head came at `received`. */
NH_API nh_result nh_http_read_response(const nh_http_rules *rules, const nh_http_ask *ask, int32_t status,
                                       const nh_http_fields *fields, nh_http_moment requested,
                                       nh_http_moment received, nh_http_kept *kept);

/* Which of the fields are kept, and given to others: up to `*count` at `list`, in their order; `*count`
 * becomes how many. Left out are those of the connection (RFC 9110 §7.6.1), Age, Set-Cookie unless
 * stores_set_cookie (or the cache is private), those that private or no-cache name, and those that tell of
 * rate limits. */
NH_API nh_result nh_http_keep_fields(const nh_http_rules *rules, const nh_http_fields *fields,
                                     nh_http_field *list, size_t *count);

/* The names of all Vary lines, lower case, sorted, each followed by '\n'; `*size` is 0 if there are none.
 * NH_MISSING if nothing may be reused: a "*", or no list of names. */
#define NH_HTTP_VARY_BYTES_MAX 512u
NH_API nh_result nh_http_vary(const nh_http_fields *fields, char *names, size_t capacity, size_t *size);

/* What a request's fields say of `names`, as one text: requests with the same text are answered by the same
 * response (RFC 9111 §4.1). */
NH_API nh_result nh_http_variant(const nh_http_rules *rules, nh_bytes names, const nh_http_fields *fields,
                                 char *text, size_t capacity, size_t *size);

/* ---- use ------------------------------------------------------------------------------------------ */

typedef int32_t nh_http_use_how;
#define NH_HTTP_USE_NOT        0 /* it is not for this request */
#define NH_HTTP_USE_FRESH      1 /* give it */
#define NH_HTTP_USE_STALE      2 /* give it: the client takes what is so stale (max-stale) */
#define NH_HTTP_USE_REVALIDATE 3 /* give it, and validate it meanwhile (RFC 5861 §3) */
#define NH_HTTP_USE_VALIDATED  4 /* it is stale: validate it first */
#define NH_HTTP_USE_UNWANTED                                                                               \
    5 /* it is fresh, but the client wants it from the origin: validate it first                           \
       */

/* Of a response that is kept under the request's URL and variant. */
NH_API nh_http_use_how nh_http_use(const nh_http_rules *rules, const nh_http_ask *ask,
                                   const nh_http_kept *kept, int64_t now_mono_ms);

/* 1 if it may be given although the origin failed: with `is_unreachable` not at all, else by answering 500,
 * 502, 503 or 504 (RFC 5861 §4, RFC 9111 §4.2.4). */
NH_API int32_t nh_http_may_stand_in(const nh_http_rules *rules, const nh_http_ask *ask,
                                    const nh_http_kept *kept, int32_t is_unreachable, int64_t now_mono_ms);

/* Its age now, for the Age field in seconds, and what its freshness has left; negative: how stale it is. */
NH_API int64_t nh_http_age_ms(const nh_http_kept *kept, int64_t now_mono_ms);
NH_API int64_t nh_http_fresh_ms(const nh_http_kept *kept, int64_t now_mono_ms);

/* 1 if the client has the response that `fields` are of already, by what its request says: answer 304 (RFC
 * 9110 §13). */
NH_API int32_t nh_http_has(const nh_http_fields *request, const nh_http_fields *fields,
                           int64_t now_wall_ms);
/* 1 if a field of that name belongs in such a 304 (RFC 9110 §15.4.5). */
NH_API int32_t nh_http_is_in_304(nh_bytes name);

/* Bytes of a body, from `start` up to, but not with, `end`. */
typedef struct nh_http_part {
    uint64_t start, end;
} nh_http_part;
#define NH_HTTP_PARTS_MAX 8u

/* The parts that a request with NH_HTTP_ASK_RANGE wants of a kept response of status 200, whose `fields`
 * these are, with `body_bytes` of body (RFC 9110 §14): NH_OK with `*count` of them at `list`, in the order
 * they were asked for, no byte twice: answer 206. NH_MISSING: all of it, as its If-Range does not hold, or
 * its Range is none that is understood: 200. NH_RANGE: nothing of it is there: 416. nh_http_has goes
 * before. */
NH_API nh_result nh_http_parts(const nh_http_fields *request, const nh_http_fields *fields,
                               uint64_t body_bytes, int64_t now_wall_ms,
                               nh_http_part list[NH_HTTP_PARTS_MAX], size_t *count);

/* ---- validation ----------------------------------------------------------------------------------- */

/* The fields that ask whether the response that `fields` are of is still the one: `*count` becomes 0 to 2
 * of them. */
NH_API nh_result nh_http_conditions(const nh_http_fields *fields, nh_http_field list[2], size_t *count);

/* The fields of a kept response, freshened by a 304's (RFC 9111 §3.2): up to `*count` at `list`; `*count`
 * becomes how many, no more than both have. NH_CHANGED if the 304 speaks of another response: ask again
 * without conditions. They are then read by nh_http_read_response like those of a response of the kept
 * status. */
NH_API nh_result nh_http_freshen(const nh_http_fields *fields, const nh_http_fields *not_modified,
                                 nh_http_field *list, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
