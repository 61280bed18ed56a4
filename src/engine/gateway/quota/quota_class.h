/* quota_class.h — who asks for a request to an upstream: where there are not enough for all, some come
 * first. Pure. */
#pragma once
#include <stdint.h>

enum quota_class {
    QUOTA_INTERACTIVE,  /* a client waits for the answer */
    QUOTA_REVALIDATION, /* what is stale is to be made fresh; clients are given it meanwhile */
    QUOTA_PREFETCH,     /* nobody has asked yet */
};

/* The share of a limit, in percent, that a class leaves to those before it. */
enum { QUOTA_KEPT_FROM_REVALIDATION = 20, QUOTA_KEPT_FROM_PREFETCH = 50 };

/* How many of `limit` have to be left for a request of this class: at most all, so that the smallest limit,
 * too, is for all classes. */
static inline int64_t quota_need(enum quota_class class, int64_t limit)
{
    int64_t percent = class == QUOTA_INTERACTIVE    ? 0
                      : class == QUOTA_REVALIDATION ? QUOTA_KEPT_FROM_REVALIDATION
                                                    : QUOTA_KEPT_FROM_PREFETCH;
    int64_t need = 1 + limit / 100 * percent + limit % 100 * percent / 100;

    return need < limit || limit < 1 ? need : limit;
}
