/* part_answer.h — what comes of a part's answer: its value, or why there is none. Pure. */
#pragma once
#include "composed_terms.h"
#include "engine/gateway/inquiry.h"
#include "engine/gateway/routing/composition.h"

struct part_answer {
    bool is_good;
    int status;                    /* of a failure: that of its answer, or of ours in its place */
    const char *detail;            /* of a failure of our own finding: a few words, static; else null */
    int64_t retry_after_seconds;   /* of a failure: when it may be worth asking again; 0: not said */
    int64_t poll_interval_seconds; /* its origin does not want to be asked more often; 0: not said */
    struct buffer value;           /* of a good one: JSON, as it is written in its answer */
    struct composed_terms terms;
};

/* Fills in `part`, of zeroes, from the answer to what `spec` asks for; an answer's body is taken over. A
 * part of more than `bytes_max` has failed. */
void part_answer_take(struct part_answer *part, const struct part_spec *spec, size_t bytes_max,
                      const struct inquiry_answer *answer, int64_t now_wall_ms);

/* The same where the part was not even asked for. */
void part_answer_fail(struct part_answer *part, int status, const char *detail);

void part_answer_fini(struct part_answer *part);
