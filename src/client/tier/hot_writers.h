/* hot_writers.h — keys that change so often that keeping them near costs more than it saves: each time one
 * is read it is tracked, told and dropped again. One worker's; bounded, and it forgets by itself. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* A key that was told about a hundred times a second is left alone for HOT_WRITER_PAUSE_MS. */
enum {
    HOT_WRITER_ROWS = 1024,        /* two keys share two rows; the one that changes less is forgotten */
    HOT_WRITER_HALF_LIFE_MS = 256, /* of a score */
    HOT_WRITER_SCORE = 50,         /* which what is told every 10 ms comes to */
    HOT_WRITER_PAUSE_MS = 1000,
};

struct hot_writers {
    struct hot_writer {
        uint64_t hash; /* of the key; 0: none */
        uint32_t score;
        int64_t as_of_ms;
        int64_t until_ms; /* it is not kept before */
    } rows[HOT_WRITER_ROWS];
};

/* The key was told to have changed. */
void hot_writers_note(struct hot_writers *hot, uint64_t hash, int64_t now_ms);
bool hot_writers_has(const struct hot_writers *hot, uint64_t hash, int64_t now_ms);
