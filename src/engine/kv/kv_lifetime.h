/* kv_lifetime.h — how long a key is to live, as commands say it. */
#pragma once
#include "engine/kv/kv_call.h"

/* The words of SET and GETEX about it; zero at first. */
struct kv_lifetime {
    struct bytes unit, number; /* EX, PX, EXAT or PXAT, and what followed; both empty if there was none */
    bool is_kept;              /* KEEPTTL */
    bool is_ended;             /* PERSIST */
};

/* Takes the word at argument `*at` if it is one of EX, PX, EXAT and PXAT and goes with what was taken
 * before, and the number behind it; `*at` is then the last that was taken. The number is looked at later,
 * as Redis does: first the syntax must be right. */
bool kv_lifetime_take(const struct kv_call *call, uint32_t *at, struct kv_lifetime *lifetime);

/* The time to live from now that the words ask for: 0 for none, negative for one that is over already.
 * False if an error was said. */
bool kv_lifetime_ttl(const struct kv_call *call, const struct kv_lifetime *lifetime, int64_t *ttl_ms);

/* The same of a bare number, of seconds or milliseconds. */
bool kv_ttl_of(const struct kv_call *call, struct bytes number, bool is_seconds, bool is_absolute,
               int64_t *ttl_ms);

/* "ERR invalid expire time in '<name>' command". */
void kv_lifetime_error(const struct kv_call *call);

/* How far the time of day is ahead of the store's clock. Two clocks that are read in turn, in whole
 * milliseconds, differ by one more or less from time to time: all workers keep to one figure, so that a key
 * is said to expire at the moment that was asked for. */
int64_t kv_wall_ahead_ms(const struct kv_call *call);
