/* kv_tier_subscribe.c — SUBSCRIBE and its like where channels are the shared tier's: a session hears what
 * anybody publishes there.
 *
 * The worker subscribes at the tier once to what its sessions want (client/valkey/subscriptions.h), as long
 * as one of them does: a channel that this worker's sessions have is wanted once, and so is each name that
 * a command waits for. A session has a subscription from the moment that its command is answered, which is
 * when the tier has confirmed all of its names. */
#include "engine/kv/kv_pubsub_session.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <assert.h>
#include <stdlib.h>

static_assert((int)KV_TOPIC_CHANNEL == (int)SUBSCRIPTION_CHANNEL &&
                  (int)KV_TOPIC_PATTERN == (int)SUBSCRIPTION_PATTERN &&
                  (int)KV_TOPIC_SHARD == (int)SUBSCRIPTION_SHARD,
              "kinds of topics are named once for sessions and once for servers");

/* One command, until all of its names are confirmed. */
struct subscribing {
    struct kv_tier *tier;
    struct session *session;
    struct late *late; /* null: it has not had to wait */
    enum command_id id;
    enum kv_topic_kind kind;
    bool is_silent; /* errors are not wanted; confirmations are no answers, and are */
    uint32_t count, left_count;
    struct one {
        struct subscription_wait wait;
        struct subscribing *all;
        struct bytes name;
        bool is_joined; /* it is wanted on this command's behalf */
    } ones[];
};

static enum kv_topic_kind kind_of(enum command_id id)
{
    return id == COMMAND_ssubscribe   ? KV_TOPIC_SHARD
           : id == COMMAND_psubscribe ? KV_TOPIC_PATTERN
                                      : KV_TOPIC_CHANNEL;
}

/* ---- what is heard ------------------------------------------------------------------------------------
 */

static void heard(void *owner, const struct subscription_message *message)
{
    struct kv *kv = ((struct kv_tier *)owner)->kv;

    kv_gate_enter(&kv->hub->gate, kv->number);
    kv_tell_message(kv, (enum kv_topic_kind)message->kind, message->name, message->channel, message->text);
    kv_gate_leave(&kv->hub->gate, kv->number);
}

enum err kv_tier_subscribe_begin(struct kv_tier *tier)
{
    return subscriptions_create(tier->valkey, heard, tier, &tier->subscriptions);
}

void kv_tier_topic_ends(struct kv *kv, enum kv_topic_kind kind, struct bytes name)
{
    subscriptions_leave(kv_tier_of(kv)->subscriptions, (enum subscription_kind)kind, name);
}

/* ---- the end of a command -----------------------------------------------------------------------------
 */

static void leave(struct one *one)
{
    if (one->is_joined)
        subscriptions_leave(one->all->tier->subscriptions, (enum subscription_kind)one->all->kind,
                            one->name);
    one->is_joined = false;
}

/* Frees it; what it has not handed on to the session is not wanted any more. */
static void end(struct subscribing *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        subscriptions_give_up(all->tier->subscriptions, &all->ones[i].wait);
        leave(&all->ones[i]);
    }
    free(all);
}

static void give_up(void *owner) { end(owner); }

/* Gives the session what has been confirmed, and says so. */
static void subscribe(struct subscribing *all, struct reply *reply)
{
    struct kv *kv = all->tier->kv;

    for (uint32_t i = 0; i < all->count; i++) {
        struct one *one = &all->ones[i];
        bool was_there = kv_topic_find(kv, all->kind, one->name) != NULL;
        if (kv_subscription_add(kv, all->session, all->kind, one->name) != OK) {
            reply_error(reply, BYTES("OOM there is no memory for the subscription"));
            return;
        }
        if (!was_there)
            one->is_joined = false; /* kv_tier_topic_ends will leave it */
        kv_confirm_subscription(all->session, all->id, all->kind, &one->name, reply);
    }
}

/* Its answer, said late. `err` as of subscription_wait. */
static void answer(struct subscribing *all, enum err err, struct bytes text)
{
    struct late *late = all->late;
    struct kv *kv = all->tier->kv;
    struct reply *reply;

    kv_gate_enter(&kv->hub->gate, kv->number); /* others may look at what sessions subscribe to */
    reply = late->begin(late);
    if (reply != NULL && err == OK) {
        subscribe(all, reply);
    } else if (reply != NULL && !all->is_silent) {
        char line[512];
        int size = snprintf(line, sizeof line,
                            "NOPERM The shared tier refuses the subscription (%.*s): its user needs the "
                            "channel (&pattern) and the command",
                            (int)(text.size < 200 ? text.size : 200), text.data);
        if (err == ERR_FORBIDDEN && size > 0)
            reply_error(reply, bytes_of(line, (size_t)size));
        else
            kv_tier_say_failure(reply, err, false, text);
    }
    end(all);
    kv_gate_leave(&kv->hub->gate, kv->number);
    late->end(late);
}

static void done(struct subscription_wait *wait, enum err err, struct bytes text)
{
    struct subscribing *all = CONTAINER_OF(wait, struct one, wait)->all;

    if (err != OK || --all->left_count == 0)
        answer(all, err, text);
}

/* ---- the command --------------------------------------------------------------------------------------
 */

static struct subscribing *begin(const struct kv_call *call, size_t *bytes)
{
    uint32_t count = call->argument_count - 1;
    struct subscribing *all;
    char *end;

    *bytes = sizeof *all + count * sizeof *all->ones;
    for (uint32_t i = 0; i < count; i++)
        *bytes += call->arguments[i + 1].size;
    all = calloc(1, *bytes);
    if (all == NULL)
        return NULL;
    all->tier = kv_tier_of(call->kv);
    all->session = call->session;
    all->id = call->id;
    all->kind = kind_of(call->id);
    all->is_silent = call->is_silent;
    all->count = count;
    end = (char *)&all->ones[count];
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = call->arguments[i + 1];
        if (name.size > 0)
            memcpy(end, name.data, name.size);
        all->ones[i] = (struct one){.wait.done = done, .all = all, .name = bytes_of(end, name.size)};
        end += name.size;
    }
    return all;
}

static enum err join_all(struct subscribing *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct one *one = &all->ones[i];
        bool is_in_force = false;
        enum err err = subscriptions_join(all->tier->subscriptions, (enum subscription_kind)all->kind,
                                          one->name, &one->wait, &is_in_force);
        if (err != OK)
            return err;
        one->is_joined = true;
        all->left_count += !is_in_force;
    }
    return OK;
}

static void refuse(const struct kv_call *call, enum err err)
{
    if (err == ERR_FULL)
        kv_error(call,
                 "ERR too many channels are subscribed to by this node: %d, or %d MiB of names, of each "
                 "thread",
                 SUBSCRIPTIONS_TOPICS_MAX, SUBSCRIPTIONS_NAMES_BYTES_MAX >> 20);
    else
        kv_refused(call, NH_NO_MEMORY);
}

void kv_tier_subscribe(const struct kv_call *call)
{
    size_t bytes;
    struct subscribing *all = begin(call, &bytes);
    enum err err = all == NULL ? ERR_NO_MEMORY : join_all(all);

    if (err == OK && all->left_count > 0) {
        all->late = call->session->take_late(call->session, LATE_ALONE, bytes);
        if (all->late != NULL) {
            all->late->give_up = give_up;
            all->late->owner = all;
            return;
        }
        err = ERR_NO_MEMORY;
    }
    if (err == OK)
        subscribe(all, call->reply);
    else
        refuse(call, err);
    if (all != NULL)
        end(all);
}
