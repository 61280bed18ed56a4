/* kv_pubsub.h — messages to whoever subscribes to a channel, or to a pattern of channels.
 *
 * A worker knows the subscriptions of its own sessions; the hub's table (kv_pubsub_table.h) knows which
 * workers have any. A message is one allocation that goes as a letter to each of those, which says it to
 * its sessions between two of its commands. Messages of one session arrive in the order it published
 * them; a session that publishes to itself gets the message behind its answer. */
#pragma once
#include "base/hash_table.h"
#include "base/list.h"
#include "engine/kv/kv_pubsub_table.h"
#include "message/command.h"

struct kv;
struct kv_call;
struct reply;
struct session;

/* What the sessions of one worker subscribe to. Zero at first; it holds nothing once they have ended. */
struct kv_subscriptions {
    struct hash_table topics[KV_TOPIC_KINDS];
    struct list patterns; /* of `topics`, in order; null pointers until there was one */
    struct list waiting;  /* sessions that have published more than is told as yet; the same */
};

/* Publishes; on a worker's thread. `publisher` may be null: nobody's command. It is made to wait with its
 * next commands if a worker has much to tell as yet. Returns OK with the number of subscriptions that the
 * message is for; ERR_NO_MEMORY. */
enum err kv_publish_message(struct kv *kv, struct session *publisher, enum kv_topic_kind kind,
                            struct bytes channel, struct bytes text, uint64_t *subscription_count);

/* Tells this worker's subscribers of `name` (of a pattern: that `channel` fits) a message from elsewhere;
 * inside the gate. */
void kv_tell_message(struct kv *kv, enum kv_topic_kind kind, struct bytes name, struct bytes channel,
                     struct bytes text);

/* Says what has become of a subscription; `name` is null if there was none. */
void kv_confirm_subscription(const struct session *session, enum command_id id, enum kv_topic_kind kind,
                             const struct bytes *name, struct reply *reply);

/* Whether another worker has more to tell than anybody should add to. */
bool kv_publishing_is_ahead(const struct kv *kv);

/* Lets sessions of this worker that wait go on, unless there is still much to tell. */
void kv_publishers_go_on(struct kv *kv);

/* A session ends, or need not wait any more. */
void kv_publisher_ends(struct session *session);

/* The number of subscriptions that a session has of a kind. */
size_t kv_subscription_count(const struct session *session, enum kv_topic_kind kind);

/* Ends all of a session's, without a word: RESET, and the end of the session. */
void kv_unsubscribe_from_all(struct kv *kv, struct session *session);

/* Answers PING in the words of RESP2's subscribers. False if the session is none. */
bool kv_ping_subscriber(const struct kv_call *call);
