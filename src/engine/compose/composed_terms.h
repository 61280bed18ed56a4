/* composed_terms.h — for how long, and by whom, a composed answer may be kept: no longer than the answers
 * it is made of. Pure. */
#pragma once
#include "base/buffer.h"
#include "engine/gateway/inquiry_terms.h"

struct composed_terms {
    bool is_unkept;  /* no-store */
    bool is_private; /* one client's */
    bool must_revalidate;
    bool is_stale; /* something in it stands in for what was not to be had */
    /* How long it is fresh from now on; 0 or less: it is to be confirmed. A browser goes by what the
     * answers say to all, caches by what they say to caches, and by the route's options. */
    int64_t browser_ms, shared_ms;
};

/* Of an answer of the gateway: `lines` are its fields, `told` what an inquiry was told. */
struct composed_terms composed_terms_of(struct bytes lines, const struct inquiry_terms *told,
                                        int64_t now_wall_ms);

/* The terms of both together; begin with composed_terms_free. */
extern const struct composed_terms composed_terms_free;
void composed_terms_add(struct composed_terms *terms, const struct composed_terms *other);

/* Appends the Cache-Control line. */
void composed_terms_append(const struct composed_terms *terms, struct buffer *lines);
