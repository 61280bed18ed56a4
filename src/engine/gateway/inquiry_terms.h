/* inquiry_terms.h — what the gateway's own requests say besides what HTTP can, and are told besides the
 * answer: an exchange's `inquiry` is this, or null for a client's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* For whom it is, the most urgent first. */
enum urgency {
    URGENCY_CLIENT,       /* one waits */
    URGENCY_REVALIDATION, /* to keep what is asked for as it should be */
    URGENCY_PREFETCH,     /* one may ask for it later */
};

struct inquiry_terms {
    enum urgency urgency;
    /* What the origin sent or confirmed within so long will do, whatever it says of its freshness; what is
     * older is asked for again. What is stored may stand in for failures, as for clients. -1: what will do
     * for clients. */
    int64_t confirmed_within_ms;
    bool fresh_will_do;   /* with that: and so will what is fresh, as for clients */
    bool asks_nobody;     /* only what is there already, here or, with a shared tier, there; else 504 */
    unsigned page_number; /* how many pages before it led here; 0: none, nobody asked for it as a page */
    uint32_t page_set;    /* that it is a page of, see page_set.h; 0: of none */

    bool has_asked; /* told by the end: it led to a fetch, and did not wait for another's */

    /* Told with the head of the answer. */
    bool is_told; /* it is an answer of the origin's, new or stored; else one of the gateway's own, and
                   * nothing of the following is said */
    bool is_from_store;       /* the origin was not asked, or did not give another */
    bool is_stale;            /* it stands in for one that was not to be had */
    bool is_for_all;          /* any client may have it: it is nobody's in particular */
    int64_t confirmed_ago_ms; /* how long ago the origin sent or confirmed it */
    int64_t fresh_ms;         /* how long it is fresh from now on; 0 or less: it is stale */
    uint64_t body_number;     /* as of struct http_response */
    /* Null: it is kept, or is to be as soon as all of it is there. Else why it is not, as of why_unkept.
     * May be told while the body comes. */
    const char *unkept_because;
};
