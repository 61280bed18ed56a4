/* kv_pubsub_message.c — a message's way from who publishes it to who subscribes.
 *
 * A worker that tells slower than others publish must not fill our memory: what is on its way to each
 * worker is counted, and beyond a bound sessions that publish wait with their next commands until that has
 * been told. */
#include "base/glob.h"
#include "engine/kv/kv_pubsub_session.h"
#include <stdlib.h>

enum { UNTOLD_BYTES_MAX = 8 << 20, UNTOLD_BYTES_LOW = 1 << 20 };

struct message_letter {
    struct kv_letter letter;
    struct message *message;
};

/* One allocation: the struct, a letter for each worker it goes to, the bytes. */
struct message {
    _Atomic unsigned reference_count; /* letters that are not read yet */
    enum kv_topic_kind kind;
    uint64_t moment;
    size_t bytes; /* of all this */
    struct bytes channel, text;
    struct message_letter letters[];
};

/* ---- telling -------------------------------------------------------------------------------------- */

static void say(const struct message *message, const struct kv_topic *topic, struct session *session)
{
    bool is_pattern = topic->kind == KV_TOPIC_PATTERN;
    struct reply *reply = session->push_begin(session);

    if (reply == NULL)
        return;
    reply_aggregate(reply, OUTCOME_push, is_pattern ? 4 : 3);
    reply_value(reply, is_pattern                        ? BYTES("pmessage")
                       : message->kind == KV_TOPIC_SHARD ? BYTES("smessage")
                                                         : BYTES("message"));
    if (is_pattern)
        reply_value(reply, kv_topic_name(topic));
    reply_value(reply, message->channel);
    reply_value(reply, message->text);
    session->push_end(session);
}

static void tell_topic(const struct message *message, const struct kv_topic *topic)
{
    for (struct list *node = topic->subscriptions.next; node != &topic->subscriptions; node = node->next) {
        const struct kv_subscription *subscription = CONTAINER_OF(node, struct kv_subscription, in_topic);
        if (subscription->moment < message->moment)
            say(message, topic, subscription->session);
    }
}

/* No subscription ends meanwhile: a connection that is cut is closed in a later turn. */
static void tell(const struct kv *kv, const struct message *message)
{
    const struct list *patterns = &kv->subscriptions.patterns;
    const struct kv_topic *topic = kv_topic_find(kv, message->kind, message->channel);

    if (topic != NULL)
        tell_topic(message, topic);
    if (message->kind != KV_TOPIC_CHANNEL || patterns->next == NULL)
        return;
    for (struct list *node = patterns->next; node != patterns; node = node->next) {
        topic = CONTAINER_OF(node, struct kv_topic, in_patterns);
        if (glob_fits(kv_topic_name(topic), message->channel))
            tell_topic(message, topic);
    }
}

void kv_tell_message(struct kv *kv, enum kv_topic_kind kind, struct bytes name, struct bytes channel,
                     struct bytes text)
{
    const struct message message = {
        .kind = kind == KV_TOPIC_SHARD ? KV_TOPIC_SHARD : KV_TOPIC_CHANNEL,
        .moment = UINT64_MAX, /* whoever subscribes by now */
        .channel = channel,
        .text = text,
    };
    const struct kv_topic *topic = kv_topic_find(kv, kind, name);

    if (topic != NULL)
        tell_topic(&message, topic);
}

/* ---- waiting -------------------------------------------------------------------------------------- */

bool kv_publishing_is_ahead(const struct kv *kv)
{
    for (unsigned i = 0; i < kv->hub->worker_count; i++)
        if (i != kv->number && atomic_load(&kv->hub->mailboxes[i].untold_bytes) > UNTOLD_BYTES_MAX)
            return true;
    return false;
}

/* Whether another worker has more to tell than is good. If so, who empties its mailbox will call. */
static bool others_are_behind(const struct kv *kv)
{
    for (unsigned i = 0; i < kv->hub->worker_count; i++) {
        struct kv_mailbox *mailbox = &kv->hub->mailboxes[i];
        if (i == kv->number || atomic_load(&mailbox->untold_bytes) <= UNTOLD_BYTES_LOW)
            continue;
        /* Either it is seen here that the mailbox has emptied, or there that somebody waits: both write
         * before they read, in one order for all. */
        atomic_store(&mailbox->is_waited_for, true);
        if (atomic_load(&mailbox->untold_bytes) > UNTOLD_BYTES_LOW)
            return true;
    }
    return false;
}

/* A request over HTTP has no further commands that could wait: each is a session of its own. */
static void make_wait(struct kv *kv, struct session *session)
{
    if (session->must_wait || session->go_on == NULL || !others_are_behind(kv))
        return;
    if (kv->subscriptions.waiting.next == NULL)
        list_init(&kv->subscriptions.waiting);
    session->must_wait = true;
    list_append(&kv->subscriptions.waiting, &session->in_waiting);
}

void kv_publisher_ends(struct session *session)
{
    if (session->must_wait)
        list_remove(&session->in_waiting);
    session->must_wait = false;
}

void kv_publishers_go_on(struct kv *kv)
{
    struct list *waiting = &kv->subscriptions.waiting;

    if (waiting->next == NULL || list_is_empty(waiting) || others_are_behind(kv))
        return;
    while (!list_is_empty(waiting)) {
        struct session *session = CONTAINER_OF(waiting->next, struct session, in_waiting);
        kv_publisher_ends(session);
        session->go_on(session);
    }
}

/* This worker has told `bytes` more. */
static void note_told(struct kv *kv, size_t bytes)
{
    struct kv_mailbox *mailbox = &kv->hub->mailboxes[kv->number];

    if (atomic_fetch_sub(&mailbox->untold_bytes, bytes) - bytes > UNTOLD_BYTES_LOW ||
        !atomic_load(&mailbox->is_waited_for) || !atomic_exchange(&mailbox->is_waited_for, false))
        return;
    for (unsigned i = 0; i < kv->hub->worker_count; i++)
        if (i != kv->number)
            kv_call_worker(kv->hub, i);
}

/* ---- letters -------------------------------------------------------------------------------------- */

static void read_message(struct kv *kv, struct kv_letter *letter)
{
    struct message *message = CONTAINER_OF(letter, struct message_letter, letter)->message;

    if (kv != NULL) {
        tell(kv, message);
        note_told(kv, message->bytes);
    }
    if (atomic_fetch_sub(&message->reference_count, 1) == 1)
        free(message);
}

enum err kv_publish_message(struct kv *kv, struct session *publisher, enum kv_topic_kind kind,
                            struct bytes channel, struct bytes text, uint64_t *subscription_count)
{
    struct kv_hub *hub = kv->hub;
    struct kv_audience audience;
    struct message *message;
    bool is_much = false;
    unsigned letter_count = 0, worker_count;
    size_t head_bytes;
    char *bytes;

    *subscription_count = 0;
    if (!kv_pubsub_table_find(hub->topics, kind, channel, &audience))
        return OK;
    worker_count = audience.worker_count;
    head_bytes = sizeof *message + worker_count * sizeof *message->letters;
    message = malloc(head_bytes + channel.size + text.size);
    if (message == NULL)
        return ERR_NO_MEMORY;
    bytes = (char *)message + head_bytes;
    *message = (struct message){.reference_count = worker_count,
                                .kind = kind,
                                .moment = audience.moment,
                                .bytes = head_bytes + channel.size + text.size,
                                .channel = bytes_of(bytes, channel.size),
                                .text = bytes_of(bytes + channel.size, text.size)};
    if (channel.size > 0)
        memcpy(bytes, channel.data, channel.size);
    if (text.size > 0)
        memcpy(bytes + channel.size, text.data, text.size);
    *subscription_count = audience.subscription_count;
    /* Once the last letter is sent the message may be gone. */
    for (unsigned i = 0; letter_count < worker_count; i++) {
        struct message_letter *letter = &message->letters[letter_count];
        if (!kv_audience_has(&audience, i))
            continue;
        *letter = (struct message_letter){{NULL, read_message}, message};
        is_much |= atomic_fetch_add(&hub->mailboxes[i].untold_bytes, message->bytes) + message->bytes >
                       UNTOLD_BYTES_MAX &&
                   i != kv->number;
        letter_count++;
        kv_send(hub, kv, i, &letter->letter);
    }
    if (UNLIKELY(is_much) && publisher != NULL)
        make_wait(kv, publisher);
    return OK;
}
