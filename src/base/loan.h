/* loan.h — bytes that somebody lends for as long as somebody else needs them, so that nobody copies them.
 *
 * Who takes a loan releases it once. One thread at a time. */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

enum { LOAN_BYTES_MIN = 16 * 1024 /* below, a copy costs no more than a loan */ };

struct loan {
    uint64_t size; /* of all its bytes */
    /* The bytes from `offset` (below size) on, as far as they lie in one piece: never none. They stay where
     * they are until the release. */
    struct bytes (*piece)(const struct loan *loan, uint64_t offset);
    void (*release)(struct loan *loan);
};
