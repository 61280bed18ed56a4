/* subscriptions.h — one worker's subscriptions to channels of the tier: each is made there once, however
 * many want it here.
 *
 * On connections of their own, never on those that answer calls. Channels and patterns are subscribed to at
 * one primary, the hub: in a cluster a message reaches every server. Shard channels are at the primary that
 * has their slot, wherever that goes. Of changes to its keys (keyspace notifications) each primary tells by
 * itself, so channels and patterns that may be meant are subscribed to at all of them.
 *
 * A connection that is lost is replaced, with jittered back-off, and all that was wanted of it subscribed
 * to again, in batches. What is published meanwhile is not heard (at most once, as everywhere with Redis),
 * and tier_subscriptions_lost counts. Connections are opened when something is wanted, and closed a while
 * after nothing is any more. Everything happens on the loop's thread. */
#pragma once
#include "client/valkey/valkey.h"

struct subscriptions; /* opaque: subscriptions.c */

enum subscription_kind {
    SUBSCRIPTION_CHANNEL,
    SUBSCRIPTION_PATTERN,
    SUBSCRIPTION_SHARD,
    SUBSCRIPTION_KINDS
};

enum {
    SUBSCRIPTIONS_TOPICS_MAX = 262144,       /* channels and patterns of one worker */
    SUBSCRIPTIONS_NAMES_BYTES_MAX = 64 << 20 /* of all their names */
};

/* Readable during the call. */
struct subscription_message {
    enum subscription_kind kind;
    struct bytes name; /* what is subscribed to: the channel itself, or a pattern that it fits */
    struct bytes channel, text;
};

/* Embedded by who waits until a subscription is in force. */
struct subscription_wait {
    /* OK: what is published from now on is heard. Else ERR_FORBIDDEN (the server refuses it, as `text`
     * says), ERR_UNREACHABLE (not within call_timeout_ms; `text`: why, if that is known), ERR_CANCELLED
     * (the client stops). It is wanted still, until subscriptions_leave. Never from inside
     * subscriptions_join. */
    void (*done)(struct subscription_wait *wait, enum err err, struct bytes text);
    /* the client's; `topic` is null while it does not wait */
    struct topic *topic;
    struct list in_topic, in_order;
    int64_t deadline_ms;
};

/* `valkey` has at most one. `heard` is told each message, in the order of the wire. It is stopped and
 * destroyed with `valkey`. ERR_NO_MEMORY. */
enum err subscriptions_create(struct valkey *valkey,
                              void (*heard)(void *owner, const struct subscription_message *message),
                              void *owner, struct subscriptions **subscriptions);

/* One more wants `name`. OK with `*is_in_force`: if false, `wait` will be told when it is. ERR_FULL: there
 * are as many as there may be; ERR_NO_MEMORY; ERR_CANCELLED: the client stops. */
enum err subscriptions_join(struct subscriptions *subscriptions, enum subscription_kind kind,
                            struct bytes name, struct subscription_wait *wait, bool *is_in_force);

/* One who had joined, and does not wait for it, wants it no longer. Once nobody does it is unsubscribed
 * from. */
void subscriptions_leave(struct subscriptions *subscriptions, enum subscription_kind kind,
                         struct bytes name);

/* `done` will not be called. Nothing if it does not wait. */
void subscriptions_give_up(struct subscriptions *subscriptions, struct subscription_wait *wait);

/* How many there are: what is wanted, and the connections that are open for that. */
size_t subscriptions_count(const struct subscriptions *subscriptions);
size_t subscriptions_link_count(const struct subscriptions *subscriptions);
