/* stored_response.h — what the gateway keeps in the store, as bytes. Pure.
 *
 *   response   head | fields, rendered as "Name: value CRLF" lines | hidden fields, likewise | reason |
 *              what it is on the shared tier, if it is there | body
 *   variants   the marker under a primary key whose response varies: a generation and the names of Vary.
 *              Variants' keys hold the generation, so that forgetting the marker forgets them all.
 *   note       under a marker key, for seconds: "not shareable" or "the origin fails"
 *   validators those that one of several who show different credentials was given for a response's body
 *
 * Other protocols may write to the same store. Each of these begins with a seal, a hash of what follows
 * (but the body) keyed with a secret of the gateway, and decoding checks it and every bound: bytes that
 * we did not write are no response. */
#pragma once
#include "base/buffer.h"
#include "storable.h"

enum stored_flags {
    STORED_NO_CACHE = 1,           /* every use needs a validation */
    STORED_PERMITS_AUTHORIZED = 2, /* RFC 9111 §3.5 */
    STORED_NAMES_CACHES = 4,       /* its fields have a Cache-Status already */
    STORED_FORBIDS_STALE = 8,      /* RFC 9111 §4.2.4, whatever a client says */
    STORED_IMMUTABLE = 16,         /* RFC 8246 */
    STORED_HAS_REASON = 32,        /* its reason, which may be empty, is not the usual one */
    STORED_PURGED = 64,            /* softly: stale whatever its age; said by who looks it up, never kept */
    STORED_VALID_FOR_ALL = 128,    /* another credential was given the same validators */
};

/* What an answer is to the fleet: it is given only while the tier's witness names its number. */
struct stored_shared {
    uint64_t number; /* 0: it is this node's alone */
    uint64_t url, variant[2];
};

struct stored_response {
    int status;
    unsigned flags; /* enum stored_flags */
    int64_t received_mono_ms, initial_age_ms, lifetime_ms;
    int64_t stale_if_error_ms;         /* after the lifetime; -1: the response does not say */
    int64_t stale_while_revalidate_ms; /* likewise */
    struct bytes etag, last_modified;  /* both empty if there is none */
    uint64_t asker;                    /* the credential that they were given to, as of asker_identity */
    struct bytes fields;               /* for everybody: struct response_fields' `kept` */
    struct bytes hidden;               /* not to be sent */
    struct bytes reason;               /* as struct http_response has it */
    struct bytes body;                 /* as far as it was decoded with the head */
    uint64_t body_bytes;               /* all of it */
    uint64_t body_number;              /* no other body of this gateway's has it */
    uint64_t birth;                    /* among purges: see purge_rules.h */
    uint32_t fetch_ms;                 /* how long it took to fetch it or have it confirmed; 0: not known */
    uint32_t page_set; /* that it is a page of, not being the first: page_set.h; 0: of none */
    struct stored_shared shared;
};

/* Fills in all but hidden fields, reason and body from `facts` and `fields_rendered`, which stays the
 * caller's. */
struct stored_response stored_response_of(const struct response_facts *facts, struct now received,
                                          struct bytes fields_rendered);

static inline int64_t stored_age_ms(const struct stored_response *response, int64_t now_mono_ms)
{
    return current_age_ms(response->initial_age_ms, response->received_mono_ms, now_mono_ms);
}

/* How long after `received` it may be of any use, for the store's own expiry. */
int64_t stored_keep_ms(const struct stored_response *response, const struct route_policy *policy);

/* How long after its freshness ended it may stand in for an answer: of 5xx; for none, the origin being out
 * of reach (RFC 9111 §4.2.4); or while it is revalidated. What the response does not say, the route does.
 */
int64_t stored_stale_if_error_ms(const struct stored_response *response, const struct route_policy *policy);
int64_t stored_stale_if_unreachable_ms(const struct stored_response *response,
                                       const struct route_policy *policy);
int64_t stored_stale_while_revalidate_ms(const struct stored_response *response,
                                         const struct route_policy *policy);

/* The size of what stored_response_encode appends. */
size_t stored_response_bytes(const struct stored_response *response);

/* Appends the value to be put, but the body, which the caller appends. */
void stored_response_encode(struct buffer *value, uint64_t seed, const struct stored_response *response);

/* True if `value` is a response sealed with `seed`; `*response` then points into it. It may be the
 * beginning of a value of `value_bytes`. */
bool stored_response_decode(struct bytes value, uint64_t value_bytes, uint64_t seed,
                            struct stored_response *response);

struct stored_variants {
    uint64_t generation;
    uint64_t stale_before; /* variants of a lower birth were purged softly */
    uint64_t count;        /* how many there have been */
    bool is_shared;        /* other nodes may have the generation, too */
    struct bytes names;    /* as in struct vary */
};
void stored_variants_encode(struct buffer *value, uint64_t seed, const struct stored_variants *variants);
bool stored_variants_decode(struct bytes value, uint64_t seed, struct stored_variants *variants);

enum note_kind {
    NOTE_NOT_SHAREABLE = 1, /* do not wait for each other: the answer will not be for all */
    NOTE_UNREACHABLE,       /* no response came: status is what we answer */
    NOTE_FAILING,           /* the origin answered 5xx: prefer a stale response */
};
struct stored_note {
    enum note_kind kind;
    int status;
};
void stored_note_encode(struct buffer *value, uint64_t seed, const struct stored_note *note);
bool stored_note_decode(struct bytes value, uint64_t seed, struct stored_note *note);

struct stored_validators {
    struct bytes etag, last_modified; /* both empty: none */
};
void stored_validators_encode(struct buffer *value, uint64_t seed,
                              const struct stored_validators *validators);
bool stored_validators_decode(struct bytes value, uint64_t seed, struct stored_validators *validators);

/* ---- rendered fields ---------------------------------------------------------------------------- */

/* Takes the next line off `rendered`. False at the end, or if what is left is no line. */
bool rendered_next(struct bytes *rendered, struct http_field *field);

/* Appends one line. */
void rendered_append(struct buffer *rendered, struct bytes name, struct bytes value);
