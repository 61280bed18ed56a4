/* witness.h — what the fleet has of a URL, or of one of its variants, in so few bytes that every node keeps
 * it near. Pure.
 *
 * What a node's own store holds is given only while the witness, near and known to hold, names its number.
 * The answer lies beside it (fleet_value.h) and is read by who does not have it.
 *
 *   r NUMBER -         an answer of that number, 16 hexadecimal digits; 's' instead of '-': it was purged
 *                      softly, and is stale whatever its age
 *   v NUMBER - NAMES   answers vary by the fields of these names, as struct vary has them; the number is
 *                      the generation of their variants' keys
 *   n                  answers are not for all: nobody waits for another
 *
 * without the blanks. No witness: nothing is there. */
#pragma once
#include "base/buffer.h"
#include <stdint.h>

enum witness_kind { WITNESS_NONE, WITNESS_ANSWER, WITNESS_VARIANTS, WITNESS_NOT_SHAREABLE };

struct witness {
    enum witness_kind kind;
    uint64_t number;
    bool is_soft;
    struct bytes names; /* of variants; as long as the text that was read */
};

enum { WITNESS_NAMES_MAX = 512, WITNESS_BYTES_MAX = 18 + WITNESS_NAMES_MAX };

void witness_write(struct buffer *text, const struct witness *witness);

/* False if it is none: somebody else wrote it. */
bool witness_read(struct witness *witness, struct bytes text);
