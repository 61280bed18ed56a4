/* fleet_share.h — what one node of a fleet may send of an upstream's limits, for one credential. Pure: no
 * clock, no lock.
 *
 * The bucket that all nodes take from is on the tier (fleet_script_share). A node leases a few turns at a
 * time, ahead of need, and uses each within share_life_ms, or not at all. So all nodes together send no
 * more in any time of a limit's length than it says: the bucket on the tier reckons that much longer.
 *
 * While the tier cannot be reached, a node goes on with its part, 1/N where N nodes were seen last,
 * beginning with nothing: what was at once has been had. Of a limit of fewer than N nobody has a part.
 * What it sends then is told to the tier once that
 * is back. */
#pragma once
#include "token_bucket.h"
#include <stdbool.h>

enum {
    SHARE_NODES_UNKNOWN = 10, /* taken for their number by a node that was never told */
    SHARE_RETRY_MS = 1000,    /* after which a tier that did not answer is asked again */
    SHARE_CHUNK_MAX = 4000,
    SHARE_LEASES = 2, /* one is used, and the next is there */
};

/* The limits: those of a quota_policy. */
struct share_limits {
    const struct rate_spec *specs;
    size_t spec_count;
    int64_t burst;
    int64_t node_count; /* of the fleet, as was seen last; 0: never */
};

/* Zeroed to begin with. */
struct fleet_share {
    struct {
        int64_t count, end_mono_ms;
    } leases[SHARE_LEASES];
    struct token_bucket own[RATE_SPECS_MAX]; /* while the tier is away */
    int64_t chunk, used_count;               /* how many were asked for last, and used since */
    int64_t asked_mono_ms, due_mono_ms;      /* there are none at the tier before */
    int64_t retry_mono_ms;
    int64_t left_percent; /* of the limit that has least, as told last: */
    int64_t told_mono_ms;
    int64_t own_count, telling_count;  /* sent from `own`, and not told; of those being told */
    int64_t remembered_mono_ms;        /* until then the tier's bucket is not just full */
    bool is_asking, is_away, has_part; /* of a limit of fewer than there are nodes none has */
};

/* For how long a lease may be used. */
int64_t share_life_ms(const struct share_limits *limits);

/* How the bucket on the tier is for one of the limits. */
void share_bucket(struct token_bucket *bucket, const struct share_limits *limits, size_t index);

enum share_verdict {
    SHARE_GO,
    SHARE_ASK,   /* it depends on the tier, which is to be asked, or is being asked */
    SHARE_LATER, /* not before `*due_mono_ms` */
};

/* Whether a request of `class` may go that has `ahead` others before it. */
enum share_verdict share_look(const struct fleet_share *share, const struct share_limits *limits,
                              enum quota_class class, int64_t ahead, int64_t now_mono_ms,
                              int64_t *due_mono_ms);

/* It goes; share_look said so. */
void share_take(struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms);
/* It did not count. */
void share_give(struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms);

/* What to ask of the tier. */
struct share_question {
    int64_t count;      /* how many; 0: nothing is to be asked */
    int64_t own_count;  /* to be told: sent without the tier */
    bool is_remembered; /* a bucket that is not there was lost */
};
struct share_question share_question(struct fleet_share *share, const struct share_limits *limits,
                                     int64_t now_mono_ms);

struct share_reply {
    int64_t count, due_ms, left_percent;
};
void share_told(struct fleet_share *share, const struct share_limits *limits,
                const struct share_reply *reply, int64_t now_mono_ms);
/* It did not answer. */
void share_failed(struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms);

/* How many may go at once. */
int64_t share_count(const struct fleet_share *share, const struct share_limits *limits,
                    int64_t now_mono_ms);

/* Whether forgetting all this would change nothing. */
bool share_is_idle(const struct fleet_share *share, int64_t now_mono_ms);

/* A reply as the one number that the script gives. False if it is none. */
bool share_reply_read(struct share_reply *reply, int64_t number);
