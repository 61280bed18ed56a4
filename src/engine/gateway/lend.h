/* lend.h — a value borrowed from the store that connections send from where it lies, piece by piece.
 *
 * One worker's thread. How long a loan lasts is the stream's to see to (net/loop.h): what a slow client has
 * not taken after a second is copied. */
#pragma once
#include "message/exchange.h"
#include "nuthatch.h"

struct lender; /* opaque: lend.c */

/* Takes `*value` over; null, with nothing taken, if there is no memory. */
struct lender *lender_create(nh_store *store, nh_value *value);

/* The caller needs it no more. The value goes back to the store once the last loan is over, too. */
void lender_release(struct lender *lender);

/* Has x send `size` bytes of the value from `offset` on; false if it has to be given a copy. */
bool lender_lend(struct lender *lender, struct exchange *x, uint64_t offset, uint64_t size);
