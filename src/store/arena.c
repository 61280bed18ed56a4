#include "store/arena.h"

enum {
    SHIFT_MIN = 14,        /* 16 KiB */
    SHIFT_MAX = 18,        /* 256 KiB */
    SHIFT_VAST = 20,       /* 1 MiB, above VAST_BYTES */
    SEGMENTS_WANTED = 512, /* at least, so that queues have fine steps */
    VAST_SHIFT = 33,       /* 8 GiB */
};

unsigned segment_shift_for(uint64_t memory_bytes)
{
    unsigned shift = SHIFT_MIN;

    if (memory_bytes >> VAST_SHIFT > 0)
        return SHIFT_VAST;
    while (shift < SHIFT_MAX && (memory_bytes >> (shift + 1)) >= SEGMENTS_WANTED)
        shift++;
    return shift;
}
