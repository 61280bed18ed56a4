/* lease.h — who is computing the value of a key: at most one caller at a time.
 *
 * A table of fixed size, by hash, in sets of four. A set that is full forgets the lease that ends first,
 * whose fill is then refused: nothing is wrong, only work done twice. */
#pragma once
#include "nuthatch.h"
#include "store/lock.h"
#include <stdbool.h>
#include <stdint.h>

enum { LEASE_SET = 4, LEASE_LOCKS = 64 };

struct lease {
    uint64_t hash;
    uint64_t token; /* 0: none */
    int64_t ends_at_ms;
    uint64_t purge_number; /* of all tags, when it was given */
    uint32_t space;        /* of the key */
};

struct leases {
    struct lease *rows;
    uint32_t set_count; /* a power of two */
    struct lock locks[LEASE_LOCKS];
    _Atomic uint64_t last_token;
    _Atomic uint32_t given_count; /* rows in use: 0 lets writers pass without a look */
};

/* A new lease for the key of `hash`: its token, or 0 if somebody has one. */
uint64_t lease_give(struct leases *leases, uint64_t hash, uint32_t space, int64_t now_ms,
                    int64_t ends_at_ms, uint64_t purge_number);

/* The number that the key's lease was given with; UINT64_MAX if it has none. */
uint64_t lease_purge_number(struct leases *leases, uint64_t hash);

/* True if the lease has not ended; `*purge_number` is what it was given with. */
bool lease_holds(struct leases *leases, uint64_t hash, int64_t now_ms, uint64_t token,
                 uint64_t *purge_number);

/* Ends the lease, whose time may be over. False if something else ended it. */
bool lease_return(struct leases *leases, uint64_t hash, uint64_t token);

/* Ends whatever lease the key has, or all of a space, or of all with NH_SPACE_ALL. */
void lease_end(struct leases *leases, uint64_t hash);
void lease_end_all(struct leases *leases, uint32_t space);
