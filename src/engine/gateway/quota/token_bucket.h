/* token_bucket.h — at most so many requests in any time of a length, some of them at once. Pure: no clock,
 * no lock.
 *
 * A bucket has room for a burst of tokens and fills by one each interval. Each request takes one. What
 * makes the promise true is the interval: it is such that the burst and what comes in during one period are
 * the count together, and not more. So the larger the burst, the slower it fills.
 *
 * Some tokens are kept for who needs them most: see token_bucket_need. */
#pragma once
#include "quota_class.h"
#include "rate_spec.h"

struct token_bucket {
    int64_t burst;       /* 1 to the count */
    int64_t interval_us; /* after which there is one more */
    int64_t full_us;     /* when all are there again, on the monotonic clock */
};

/* A full one. `burst` is made to fit; 0: half of the count. The period is taken for a twentieth longer, up
 * to a second, as not all requests are on their way for as long. */
void token_bucket_init(struct token_bucket *bucket, const struct rate_spec *spec, int64_t burst);

/* How many tokens there are. */
int64_t token_bucket_count(const struct token_bucket *bucket, int64_t now_mono_ms);

/* When there will be `count` tokens; now or earlier if there are. `count` is at most the burst; beyond, it
 * is when that many could have been taken, one by one. */
int64_t token_bucket_due_ms(const struct token_bucket *bucket, int64_t now_mono_ms, int64_t count);

/* Takes one, which must be there. */
void token_bucket_take(struct token_bucket *bucket, int64_t now_mono_ms);

/* Gives one back that was taken: the request does not count. */
void token_bucket_give(struct token_bucket *bucket, int64_t now_mono_ms);

/* How many have to be there for a request of this class: one, and for those that nobody waits for also what
 * is kept for others. */
int64_t token_bucket_need(const struct token_bucket *bucket, enum quota_class class);
