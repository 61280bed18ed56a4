/* lend.h — values borrowed from the store that go out as they lie there, piece by piece.
 *
 * One worker's thread. How long a loan lasts is the stream's to see to (net/loop.h): what a slow client has
 * not taken after a second is copied. */
#pragma once
#include "message/exchange.h"
#include "nuthatch.h"

struct lender; /* opaque: lend.c; has the value once something of it was lent, and gives it back after the
                * last loan */

/* Sends `size` bytes of the borrowed `*value` from `offset` on: many of them from where they lie. `*lender`
 * begins as null. */
void value_send(nh_store *store, nh_value *value, struct lender **lender, struct exchange *x,
                uint64_t offset, uint64_t size);

/* The caller needs the borrowed `*value` no more. */
void value_release(nh_store *store, nh_value *value, struct lender **lender);
