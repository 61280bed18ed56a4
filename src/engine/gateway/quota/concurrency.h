/* concurrency.h — how many requests may be under way to an upstream at once, found out from how fast it
 * answers. Pure: no clock, no lock.
 *
 * The limit grows by one for each round of answers while it is what holds requests back, and shrinks by a
 * tenth, at most once a round, when answers take twice as long as they used to, by three tenths when
 * requests fail or are turned away. (AIMD, as in congestion control; what answers "used to take" is a mean
 * over the last few hundred.) Between bounds; if both are the same it is fixed. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct concurrency {
    int64_t least, most; /* the bounds; most 0: no limit at all */
    int64_t limit_thousandths;
    int64_t under_way;
    int64_t long_us, short_us; /* means of how long answers took; 0: none yet */
    int64_t shrunk_mono_ms;    /* when it shrank last */
    bool was_short;            /* it held somebody back since it last grew */
};

/* `least` of 0: fixed at `most`. */
void concurrency_init(struct concurrency *concurrency, int64_t least, int64_t most);

/* How many may be under way now; INT64_MAX without a limit. */
int64_t concurrency_limit(const struct concurrency *concurrency);

/* Whether `more` may begin, beyond those under way. If not, that is noted. */
bool concurrency_has_room(struct concurrency *concurrency, int64_t more);

void concurrency_enter(struct concurrency *concurrency);
void concurrency_leave(struct concurrency *concurrency);

/* The head of an answer came after `took_ms`. */
void concurrency_note(struct concurrency *concurrency, int64_t now_mono_ms, int64_t took_ms);

/* It did not come in time, or said that there are too many. */
void concurrency_note_failure(struct concurrency *concurrency, int64_t now_mono_ms);
