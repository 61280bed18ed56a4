/* late_answers.h — the order of a connection's answers where some come late: each has a place, and what is
 * said behind it waits in that place. Pure: it moves bytes between buffers.
 *
 * While there is no place everything is said to the connection's output at once. */
#pragma once
#include "base/buffer.h"
#include "base/list.h"
#include "message/late.h"

struct late_place {
    struct late late;
    struct list in_order;
    struct buffer answer; /* if it came before those in front of it */
    struct buffer behind; /* what was said after it and before the next place was taken */
    uint64_t held_bytes;
    unsigned flags; /* enum late_flags */
    uint8_t resp_version;
    bool has_ended;
    void *context;
};

struct late_answers {
    struct list places; /* in order */
    uint32_t count;
    uint32_t alone_count; /* of places that let no further command run */
    uint64_t bytes;       /* that all this holds, but for `behind` of the last place */
    uint64_t held_bytes;  /* of these, what is held elsewhere: no answers */
};

/* Of what is held, what will be said. */
static inline uint64_t late_answers_said_bytes(const struct late_answers *answers)
{
    return answers->bytes - answers->held_bytes;
}

void late_answers_init(struct late_answers *answers);

/* A place behind all others. `held_bytes`: what is held for it elsewhere, such as its command. Null without
 * memory. */
struct late_place *late_answers_take(struct late_answers *answers, unsigned flags, uint64_t held_bytes,
                                     uint8_t resp_version);

/* Where to say what comes behind all that is late: `output` if nothing is. */
static inline struct buffer *late_answers_output(struct late_answers *answers, struct buffer *output)
{
    return answers->count == 0
               ? output
               : &CONTAINER_OF(answers->places.previous, struct late_place, in_order)->behind;
}

/* Where to say the answer of `place`: `output` if it is the first. */
struct buffer *late_place_output(struct late_answers *answers, struct late_place *place,
                                 struct buffer *output);

/* Its answer has been said: appends to `output` what need not wait any more. `place` may be gone. */
void late_answers_end(struct late_answers *answers, struct late_place *place, struct buffer *output);

/* The connection has ended: tells those who would say something, and frees everything. */
void late_answers_fini(struct late_answers *answers);
