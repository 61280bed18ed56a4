/* subscriptions.c — what is wanted of the tier's channels, and who waits for it. */
#include "base/hash.h"
#include "client/valkey/subscriptions_parts.h"
#include <stdlib.h>

/* ---- topics ----------------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct subscriptions *subscriptions, struct bytes name)
{
    return hash_bytes(name, subscriptions->hash_seed);
}

struct topic *topic_find(const struct subscriptions *subscriptions, enum subscription_kind kind,
                         struct bytes name)
{
    struct hash_node *node = hash_table_first(&subscriptions->topics[kind], hash_of(subscriptions, name));

    for (; node != NULL; node = hash_table_next(node)) {
        struct topic *topic = CONTAINER_OF(node, struct topic, in_table);
        if (bytes_equal(topic_name(topic), name))
            return topic;
    }
    return NULL;
}

static enum err add_topic(struct subscriptions *subscriptions, enum subscription_kind kind,
                          struct bytes name, struct topic **added)
{
    struct topic *topic;

    if (subscriptions->topic_count >= SUBSCRIPTIONS_TOPICS_MAX ||
        name.size > SUBSCRIPTIONS_NAMES_BYTES_MAX - subscriptions->names_bytes)
        return ERR_FULL;
    topic = malloc(sizeof *topic + name.size);
    if (topic == NULL)
        return ERR_NO_MEMORY;
    *topic = (struct topic){.subscriptions = subscriptions,
                            .kind = kind,
                            .is_local = subscription_is_local(kind, name),
                            .slot = valkey_slot(name),
                            .needed_count = 1,
                            .name_bytes = name.size};
    if (name.size > 0)
        memcpy(topic->name, name.data, name.size);
    if (!hash_table_insert(&subscriptions->topics[kind], &topic->in_table, hash_of(subscriptions, name))) {
        free(topic);
        return ERR_NO_MEMORY;
    }
    list_init(&topic->places);
    list_init(&topic->waits);
    list_append(&subscriptions->all, &topic->in_all);
    subscriptions->topic_count++;
    subscriptions->local_count += topic->is_local;
    subscriptions->names_bytes += name.size;
    *added = topic;
    return OK;
}

void topic_release(struct topic *topic)
{
    struct subscriptions *subscriptions = topic->subscriptions;

    if (topic->want_count > 0 || !list_is_empty(&topic->places))
        return;
    hash_table_remove(&subscriptions->topics[topic->kind], &topic->in_table);
    list_remove(&topic->in_all);
    subscriptions->topic_count--;
    subscriptions->local_count -= topic->is_local;
    subscriptions->names_bytes -= topic->name_bytes;
    free(topic);
}

bool topic_is_in_force(const struct topic *topic)
{
    uint32_t count = 0;

    for (const struct list *node = topic->places.next; node != &topic->places; node = node->next) {
        const struct place *place = CONTAINER_OF(node, struct place, in_topic);
        count += place->is_wanted && place->state == PLACE_IN_FORCE;
    }
    return count >= topic->needed_count;
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

static void stop_waiting(struct subscription_wait *wait)
{
    list_remove(&wait->in_topic);
    list_remove(&wait->in_order);
    wait->topic = NULL;
}

void topic_tell(struct topic *topic, enum err err, struct bytes text)
{
    struct list told;

    topic->want_count++; /* who is told may leave it */
    list_init(&told);    /* and may wait anew */
    while (!list_is_empty(&topic->waits)) {
        struct list *node = topic->waits.next;
        list_remove(node);
        list_append(&told, node);
    }
    while (!list_is_empty(&told)) {
        struct subscription_wait *wait = CONTAINER_OF(told.next, struct subscription_wait, in_topic);
        stop_waiting(wait);
        wait->done(wait, err, text);
    }
    if (--topic->want_count == 0) /* all have left it meanwhile */
        (void)topic_place(topic);
    topic_release(topic);
}

static void set_deadline(struct subscriptions *subscriptions)
{
    const struct list *first = subscriptions->waits.next;

    if (list_is_empty(&subscriptions->waits))
        timer_cancel(subscriptions->valkey->loop, &subscriptions->deadline);
    else
        timer_set(subscriptions->valkey->loop, &subscriptions->deadline,
                  CONTAINER_OF(first, struct subscription_wait, in_order)->deadline_ms);
}

static struct bytes why_not(const struct subscriptions *subscriptions)
{
    if (subscriptions->why.size > 0)
        return text_bytes(&subscriptions->why);
    return subscriptions->hub == NULL ? BYTES("no server of it is known")
                                      : BYTES("no server has confirmed the subscription in time");
}

static void deadline_fired(struct timer *timer)
{
    struct subscriptions *subscriptions = CONTAINER_OF(timer, struct subscriptions, deadline);
    struct text why;

    valkey_text_set(&why, why_not(subscriptions));
    while (!list_is_empty(&subscriptions->waits)) {
        struct subscription_wait *wait =
            CONTAINER_OF(subscriptions->waits.next, struct subscription_wait, in_order);
        if (wait->deadline_ms > valkey_now_ms(subscriptions->valkey))
            break;
        stop_waiting(wait);
        wait->done(wait, ERR_UNREACHABLE, text_bytes(&why));
    }
    set_deadline(subscriptions);
}

void subscriptions_give_up(struct subscriptions *subscriptions, struct subscription_wait *wait)
{
    if (wait->topic == NULL)
        return;
    stop_waiting(wait);
    set_deadline(subscriptions);
}

/* ---- joining ---------------------------------------------------------------------------------------- */

static void wait_for(struct topic *topic, struct subscription_wait *wait)
{
    struct subscriptions *subscriptions = topic->subscriptions;

    wait->topic = topic;
    wait->deadline_ms =
        valkey_now_ms(subscriptions->valkey) + subscriptions->valkey->options->call_timeout_ms;
    list_init(&wait->in_topic);
    list_init(&wait->in_order);
    list_append(&topic->waits, &wait->in_topic);
    list_append(&subscriptions->waits, &wait->in_order);
    if (subscriptions->waits.next == &wait->in_order)
        set_deadline(subscriptions);
}

enum err subscriptions_join(struct subscriptions *subscriptions, enum subscription_kind kind,
                            struct bytes name, struct subscription_wait *wait, bool *is_in_force)
{
    struct topic *topic = topic_find(subscriptions, kind, name);
    enum err err = OK;

    if (subscriptions->is_stopping)
        return ERR_CANCELLED;
    if (topic == NULL)
        err = add_topic(subscriptions, kind, name, &topic);
    if (err != OK)
        return err;
    if (topic->want_count++ == 0)
        err = topic_place(topic);
    if (err != OK) {
        topic->want_count--;
        (void)topic_place(topic);
        topic_release(topic);
        return err;
    }
    *is_in_force = topic_is_in_force(topic);
    if (!*is_in_force)
        wait_for(topic, wait);
    subscriptions_look_soon(subscriptions);
    return OK;
}

void subscriptions_leave(struct subscriptions *subscriptions, enum subscription_kind kind,
                         struct bytes name)
{
    struct topic *topic = topic_find(subscriptions, kind, name);

    if (topic == NULL || --topic->want_count > 0)
        return;
    (void)topic_place(topic);
    topic_release(topic);
}

/* ---- saying it to servers -----------------------------------------------------------------------------
 */

static void flush(struct task *task)
{
    struct subscriptions *subscriptions = CONTAINER_OF(task, struct subscriptions, flush);

    subscriptions->flush_is_posted = false;
    for (struct list *node = subscriptions->subscribers.next; node != &subscriptions->subscribers;
         node = node->next)
        subscriber_flush(CONTAINER_OF(node, struct subscriber, in_all));
}

void subscriptions_flush_soon(struct subscriptions *subscriptions)
{
    if (subscriptions->flush_is_posted || subscriptions->is_stopping)
        return;
    subscriptions->flush_is_posted = true;
    loop_post(subscriptions->valkey->loop, &subscriptions->flush);
}

/* ---- begin and end ------------------------------------------------------------------------------------
 */

static void stop(struct valkey *valkey)
{
    struct subscriptions *subscriptions = valkey->subscriptions;
    struct list *node, *next;

    subscriptions->is_stopping = true;
    timer_cancel(valkey->loop, &subscriptions->deadline);
    timer_cancel(valkey->loop, &subscriptions->look);
    while (!list_is_empty(&subscriptions->waits)) {
        struct subscription_wait *wait =
            CONTAINER_OF(subscriptions->waits.next, struct subscription_wait, in_order);
        stop_waiting(wait);
        wait->done(wait, ERR_CANCELLED, BYTES("this node stops"));
    }
    for (node = subscriptions->subscribers.next; node != &subscriptions->subscribers; node = next) {
        struct subscriber *subscriber = CONTAINER_OF(node, struct subscriber, in_all);
        next = node->next;
        timer_cancel(valkey->loop, &subscriber->retry);
        if (subscriber->link != NULL)
            link_close(subscriber->link);
    }
}

/* After it has stopped, or if it had no link. */
static void destroy(struct valkey *valkey)
{
    struct subscriptions *subscriptions = valkey->subscriptions;
    struct list *node, *next;

    subscriptions->is_stopping = true;
    timer_cancel(valkey->loop, &subscriptions->deadline);
    timer_cancel(valkey->loop, &subscriptions->look);
    for (node = subscriptions->all.next; node != &subscriptions->all; node = next) {
        struct topic *topic = CONTAINER_OF(node, struct topic, in_all);
        next = node->next;
        while (!list_is_empty(&topic->places))
            place_end(CONTAINER_OF(topic->places.next, struct place, in_topic));
        topic->want_count = 0;
        topic_release(topic);
    }
    while (!list_is_empty(&subscriptions->subscribers))
        subscriber_destroy(CONTAINER_OF(subscriptions->subscribers.next, struct subscriber, in_all));
    valkey->subscriptions = NULL;
    valkey->beside = NULL;
    free(subscriptions);
}

enum err subscriptions_create(struct valkey *valkey,
                              void (*heard)(void *owner, const struct subscription_message *message),
                              void *owner, struct subscriptions **created)
{
    static const struct valkey_beside beside = {stop, destroy};
    struct subscriptions *subscriptions = calloc(1, sizeof *subscriptions);

    if (subscriptions == NULL)
        return ERR_NO_MEMORY;
    subscriptions->valkey = valkey;
    subscriptions->heard = heard;
    subscriptions->owner = owner;
    subscriptions->hash_seed = hash_seed_random();
    list_init(&subscriptions->all);
    list_init(&subscriptions->subscribers);
    list_init(&subscriptions->waits);
    timer_init(&subscriptions->deadline, deadline_fired);
    timer_init(&subscriptions->look, subscriptions_look);
    subscriptions->flush.run = flush;
    valkey->subscriptions = subscriptions;
    valkey->beside = &beside;
    *created = subscriptions;
    return OK;
}

/* ---- what is told of it -------------------------------------------------------------------------------
 */

size_t subscriptions_count(const struct subscriptions *subscriptions) { return subscriptions->topic_count; }

size_t subscriptions_link_count(const struct subscriptions *subscriptions)
{
    return subscriptions->link_count;
}
