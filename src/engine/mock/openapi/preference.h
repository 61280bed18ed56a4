/* preference.h — what a client would like to get: Prefer (RFC 7240), or `?__code=` and its like. Pure. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include "message/http.h"

struct preference {
    int code;             /* code=404; 0: any */
    struct bytes example; /* example=name; null data: any. Borrowed from the request */
    bool is_dynamic;      /* dynamic=true: made anew from the schema, whatever examples there are */
    bool has_seed;
    uint64_t seed;          /* seed=7: for what is made */
    bool is_asked_by_field; /* by Prefer: then the answer says Preference-Applied */
};

/* Reads all that is known, passing over what is not (RFC 7240 §2). Returns OK, or ERR_RANGE with a sentence
 * in
 * `*why`, static, for a value that cannot be meant. `decoded` keeps an example's name that came in the
 * query. */
enum { PREFERENCE_NAME_BYTES_MAX = 256 };
enum err preference_read(const struct http_request *request, struct preference *preference,
                         char decoded[static PREFERENCE_NAME_BYTES_MAX], const char **why);
