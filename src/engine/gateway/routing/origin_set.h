/* origin_set.h — the origins of an upstream: one, or several that answer alike.
 *
 * Which one is asked: of those in good health the one with the fewest requests under way for its weight;
 * among equals they take turns, by weight. All are looked at each time, as there are few, so that the
 * choice is the best and not only the better of two. If none is in good health, all are asked as if they
 * were: an origin that may fail is better than a refusal that is certain.
 *
 * What is known of an origin is known to all workers. Any thread may call any function; each takes a lock
 * for as long as it takes to look at the origins once. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/log.h"
#include "origin_health.h"
#include "retry_budget.h"
#include <pthread.h>

enum { ORIGINS_MAX = 64, ORIGIN_WEIGHT_MAX = 1000 };

struct origin_place {
    struct buffer base_url; /* without a slash at its end */
    struct bytes authority; /* part of it */
    uint32_t weight;
    /* Under the set's lock. */
    uint32_t under_way; /* requests */
    int64_t turn;       /* among equals, whose is the greatest */
    struct origin_health health;
};

struct origin_set {
    struct origin_place *places;
    size_t count;
    struct health_policy policy;
    struct log *log;
    pthread_mutex_t lock;
    struct retry_budget budget; /* under the lock */
    bool are_all_out;           /* under the lock */
};

/* `text` has a line for each: "http://host:port" or "https://host[/base]", and behind it " weight=N" if it
 * is not to be
 * 1. Copied. ERR_SYNTAX if a line is something else, or there are none or too many; ERR_NO_MEMORY. Only
 * after OK is origin_set_fini due. */
enum err origin_set_init(struct origin_set *set, struct bytes text, const struct health_policy *policy,
                         struct log *log);
void origin_set_fini(struct origin_set *set);

/* Chooses an origin for a request that begins now, and counts it as under way there. `tried` has a bit for
 * each that this request was sent to before, in vain: they are asked again only if no other is in good
 * health. */
size_t origin_set_choose(struct origin_set *set, int64_t now_mono_ms, uint64_t tried);

/* The request at that origin is over. */
void origin_set_release(struct origin_set *set, size_t index);

/* What came of it: `failure` is null if the origin answered as it should, else says in a few words what
 * went wrong. True if the origin is left out from now on. */
bool origin_set_note(struct origin_set *set, size_t index, int64_t now_mono_ms, const char *failure);

/* What came of a health check, in the same way. */
bool origin_set_note_check(struct origin_set *set, size_t index, int64_t now_mono_ms, const char *failure);

/* Whether a request that failed may do better when it comes again: there are several, and not all are left
 * out. */
bool origin_set_has_hope(struct origin_set *set);

/* Whether the budget allows that a request that came to nothing is sent again; if so, it is used. */
bool origin_set_may_retry(struct origin_set *set, int64_t now_mono_ms);
