/* subscriptions_parts.h — what the files behind subscriptions.h share.
 *
 *   subscriptions.c        what is wanted, and who waits for it
 *   subscriptions_place.c  at which servers: the hub, a slot's owner, every primary
 *   subscriber.c           the connection to one server, from begin to end
 *   subscriber_batch.c     subscriptions out, in batches, and what is said of them
 *
 *   (1) A topic is there while somebody wants it or it has a place.
 *   (2) A place is in one list: one of its subscriber's, as its state says, or a batch's.
 *   (3) While a subscriber has no open link, all its places are wanted and to be asked (or later). */
#pragma once
#include "base/hash_table.h"
#include "client/valkey/subscriptions.h"
#include "client/valkey/valkey_parts.h"

struct topic {
    struct hash_node in_table;
    struct list in_all;
    struct subscriptions *subscriptions;
    enum subscription_kind kind;
    bool is_local; /* each primary tells of it by itself */
    uint16_t slot; /* of shard channels */
    uint32_t want_count;
    uint32_t needed_count; /* servers that it is to be at; at least 1, though none may be known */
    struct list places;
    struct list waits;
    size_t name_bytes;
    char name[];
};

static inline struct bytes topic_name(const struct topic *topic)
{
    return bytes_of(topic->name, topic->name_bytes);
}

/* A topic at a server. */
enum place_state { PLACE_TO_ASK, PLACE_LATER, PLACE_ASKED, PLACE_IN_FORCE, PLACE_TO_LEAVE, PLACE_LEAVING };

struct place {
    struct list in_topic;
    struct list in_state; /* see (2) */
    struct topic *topic;
    struct subscriber *subscriber;
    enum place_state state;
    bool is_wanted;
    bool is_confirmed; /* by what the server has said last */
    bool is_alone;     /* of a batch some of which was refused: it is asked by itself */
    int64_t not_before_ms;
};

/* The connection to one server. */
struct subscriber {
    struct subscriptions *subscriptions;
    struct list in_all;
    struct link_address address;
    struct link *link; /* null: there is none */
    bool is_open;      /* greeted, and it answers PING */
    bool was_open;     /* of the link that ends */
    bool is_primary;   /* has slots, as far as is known */
    struct list to_ask, later, in_force, to_leave;
    size_t place_count;
    struct list batches; /* under way, oldest first */
    uint32_t batch_count;
    struct link_request ping;
    bool ping_is_out;
    int64_t said_ms; /* when something was sent last */
    int64_t opened_ms, used_ms;
    uint32_t failure_count; /* in a row */
    struct timer retry;
};

struct subscriptions {
    struct valkey *valkey;
    void (*heard)(void *owner, const struct subscription_message *message);
    void *owner;
    uint64_t hash_seed;
    struct hash_table topics[SUBSCRIPTION_KINDS];
    struct list all; /* topics */
    size_t topic_count, local_count, names_bytes;
    struct list subscribers;
    size_t link_count;      /* open */
    struct subscriber *hub; /* null: none is known as yet */
    uint64_t change_count;  /* of the map, as far as places go by it */
    struct list waits;      /* by deadline */
    struct timer deadline, look;
    struct task flush;
    bool flush_is_posted, is_stopping;
    bool has_all_primaries; /* among `subscribers`, for local topics */
    bool lacks_memory;      /* not everything is where it should be: it is tried again */
    struct text why;        /* the last failure to connect */
};

/* ---- subscriptions.c -------------------------------------------------------------------------------- */

struct topic *topic_find(const struct subscriptions *subscriptions, enum subscription_kind kind,
                         struct bytes name);
/* Frees it if nobody wants it and it has no place. */
void topic_release(struct topic *topic);
/* Whether it is in force wherever it should be. */
bool topic_is_in_force(const struct topic *topic);
/* Tells who waits for it. The topic may be gone behind the call. */
void topic_tell(struct topic *topic, enum err err, struct bytes text);
/* Has all that is to be said to servers leave, when the turn is over. */
void subscriptions_flush_soon(struct subscriptions *subscriptions);

/* ---- subscriptions_place.c -------------------------------------------------------------------------- */

/* Whether `name`, a channel or a pattern, may mean channels that each primary tells of by itself. */
bool subscription_is_local(enum subscription_kind kind, struct bytes name);
/* Has it where it should be, and nowhere else. ERR_NO_MEMORY: it will be tried again. */
enum err topic_place(struct topic *topic);
/* The subscriber's link has gone: its places are to be asked, there or elsewhere. */
void subscriptions_lost(struct subscriber *subscriber);
/* A message has come; what is not wanted, or comes from others too, is dropped. */
void subscriptions_hear(struct subscriber *subscriber, const struct subscription_message *message);
/* Now and then, while there is anything. */
void subscriptions_look(struct timer *timer);
void subscriptions_look_soon(struct subscriptions *subscriptions);

/* ---- subscriber.c ----------------------------------------------------------------------------------- */

/* The one of that server, which is made if need be; null without memory. */
struct subscriber *subscriber_at(struct subscriptions *subscriptions, const struct link_address *address);
void subscriber_destroy(struct subscriber *subscriber); /* that has no link and no place */
/* Has `topic` subscribed to there. ERR_NO_MEMORY. */
enum err subscriber_add(struct subscriber *subscriber, struct topic *topic);
/* The same, no longer. The place may be gone, the topic is not. */
void subscriber_drop(struct place *place);
void place_end(struct place *place); /* frees it */
void place_set(struct place *place, enum place_state state, struct list *list);
/* Pings it, takes it for lost, lets go of it, as the time may be. May destroy it. */
void subscriber_look(struct subscriber *subscriber);
/* Counts what was in force there; all of it, or what only the hub has. */
void subscriber_count_lost(const struct subscriber *subscriber, bool all);

/* ---- subscriber_batch.c ----------------------------------------------------------------------------- */

/* Says what is to be said, as far as the bounds let it. */
void subscriber_flush(struct subscriber *subscriber);
/* A push has come. */
void subscriber_pushed(void *owner, const struct resp_reply *push);
