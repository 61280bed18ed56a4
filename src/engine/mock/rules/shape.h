/* shape.h — how an answer comes, whatever it says: late, slowly, not at all, or too often refused.
 *
 *   latency: …               see delay.h
 *   bandwidth: 64k           bytes of body a second
 *   faults:                  the first that strikes, each by its probability (1 if it has none)
 *     - {fault: status, status: 503, probability: 0.1}
 *     - {fault: reset}       the connection is reset instead of an answer
 *     - {fault: empty}       … or closed without a byte
 *     - {fault: hang, for: 30s}          … or that, after so long
 *     - {fault: truncate, after: 100}    the body is cut off there; in its middle if nothing is said
 *     - {fault: malformed}   in the middle of the body comes what is no HTTP
 *   limit: {requests: 10, window: 1s, by: X-Api-Key}    beyond it 429; by: each value of a header field has
 *                                                       a limit of its own */
#pragma once
#include "delay.h"

enum fault_kind {
    FAULT_STATUS,
    FAULT_RESET,
    FAULT_EMPTY,
    FAULT_HANG,
    FAULT_TRUNCATE,
    FAULT_MALFORMED,
};

struct fault {
    enum fault_kind kind;
    double probability;
    int status;          /* of STATUS */
    int64_t hang_ms;     /* of HANG */
    int64_t after_bytes; /* of TRUNCATE and MALFORMED; -1: in the middle */
};

struct rate_limit {
    int64_t requests; /* in each window; 0: there is no limit */
    int64_t window_ms;
    struct bytes by; /* a header field; empty: all requests together */
    size_t place;    /* among all limits of the rules */
};

struct shape {
    struct delay latency;
    int64_t bandwidth; /* bytes a second; 0: as fast as it goes */
    struct fault *faults;
    size_t fault_count;
    struct rate_limit limit;
};

enum { SHAPE_KEYS = 4 };
#define SHAPE_KEY_NAMES                                                                                    \
    {"latency", NULL}, {"bandwidth", NULL}, {"faults", NULL}, { "limit", NULL }

/* Reads the values of SHAPE_KEY_NAMES over what `shape` has already, whose faults are copied. False with a
 * report. shape_fini in either case. */
bool shape_read(struct rules_reader *reader, const struct rules_key keys[static SHAPE_KEYS],
                const struct shape *fallback, struct shape *shape, size_t *limit_count);
void shape_fini(struct shape *shape);

/* The fault that strikes this time, or null. */
const struct fault *shape_draw_fault(const struct shape *shape, struct random_source *source);
