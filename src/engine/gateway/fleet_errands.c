/* fleet_errands.c — what was purged at this node, on its way to the tier.
 *
 * It has happened here already. One worker carries it on, one errand behind the other, each until it is
 * done: while the tier is away they wait, and before any of them has been done nothing is read from the
 * tier that it may concern (fleet.h, (1)). If there are too many, one takes the place of all: everything
 * goes. */
#include "engine/gateway/fleet/fleet_scripts.h"
#include "fleet.h"
#include <stdio.h>
#include <stdlib.h>

struct errand {
    struct list in_fleet;
    uint64_t number;
    uint64_t url; /* of fleet_id; 0: it is a record */
    enum fleet_rule rule;
    bool is_soft;
    bool is_under_way;
    size_t size;
    char text[];
};

static struct errand *first_of(struct fleet *fleet)
{
    return CONTAINER_OF(fleet->errands.next, struct errand, in_fleet);
}

/* Under the lock. */
static void drop(struct fleet *fleet, struct errand *errand)
{
    list_remove(&errand->in_fleet); /* the ring is whole. NOLINT(clang-analyzer-unix.Malloc) */
    fleet->errand_count--;
    if (errand->url == 0)
        atomic_fetch_sub(&fleet->record_errands, 1);
    free(errand);
}

/* Under the lock. */
static void wake_sender(struct fleet *fleet)
{
    struct fleet_worker *sender = fleet->sender;

    if (sender == NULL || sender->errand_is_posted)
        return;
    sender->errand_is_posted = true;
    loop_post(sender->worker->loop, &sender->errand_task);
}

/* Nothing that was added is under way any more or will be: all of it is part of "everything". Under the
 * lock. */
static void give_up_counting(struct fleet *fleet)
{
    for (struct list *node = fleet->errands.next, *next; node != &fleet->errands; node = next) {
        struct errand *errand = CONTAINER_OF(node, struct errand, in_fleet);
        next = node->next;
        if (!errand->is_under_way)
            drop(fleet, errand);
    }
}

static void add(struct fleet *fleet, uint64_t url, enum fleet_rule rule, struct bytes text, bool is_soft)
{
    struct errand *errand;

    pthread_mutex_lock(&fleet->lock);
    if (fleet->errand_count >= FLEET_ERRANDS_MAX) {
        give_up_counting(fleet);
        url = 0;
        rule = FLEET_PREFIX;
        text.size = 0;
        is_soft = false;
    }
    errand = malloc(sizeof *errand + text.size + 1);
    if (errand != NULL) {
        *errand = (struct errand){.number = ++fleet->errand_number,
                                  .url = url,
                                  .rule = rule,
                                  .is_soft = is_soft,
                                  .size = text.size};
        if (text.size > 0)
            memcpy(errand->text, text.data, text.size);
        list_init(&errand->in_fleet);
        list_append(&fleet->errands, &errand->in_fleet);
        fleet->errand_count++;
        if (url == 0)
            atomic_fetch_add(&fleet->record_errands, 1);
        wake_sender(fleet);
    }
    pthread_mutex_unlock(&fleet->lock);
}

void fleet_tell_url(struct gateway *gateway, const struct cache_key *key, bool is_soft)
{
    struct fleet *fleet = gateway->fleet;
    struct fleet_id id;
    struct fleet_key witness;

    if (fleet == NULL || !fleet_id_of(&id, cache_key_primary(key), key->primary_size))
        return;
    fleet_key_write(&witness, &id, FLEET_WITNESS);
    tier_forget(fleet->tier, fleet_key_bytes(&witness));
    add(fleet, id.url, FLEET_URL, (struct bytes){NULL, 0}, is_soft);
}

void fleet_tell_rule(struct gateway *gateway, enum fleet_rule rule, struct bytes text, bool is_soft)
{
    if (gateway->fleet == NULL)
        return;
    /* What is too long for a record says more than it must. */
    add(gateway->fleet, 0, text.size > FLEET_LOG_TEXT_BYTES_MAX ? FLEET_PREFIX : rule,
        text.size > FLEET_LOG_TEXT_BYTES_MAX ? (struct bytes){NULL, 0} : text, is_soft);
}

bool fleet_has_errand(struct fleet *fleet, uint64_t url)
{
    bool has = false;

    pthread_mutex_lock(&fleet->lock);
    for (struct list *node = fleet->errands.next; node != &fleet->errands && !has; node = node->next)
        has = CONTAINER_OF(node, struct errand, in_fleet)->url == url;
    pthread_mutex_unlock(&fleet->lock);
    return has;
}

uint64_t fleet_errand_number(struct fleet *fleet)
{
    uint64_t number;

    pthread_mutex_lock(&fleet->lock);
    number = fleet->errand_number;
    pthread_mutex_unlock(&fleet->lock);
    return number;
}

bool fleet_errand_is_done(struct fleet *fleet, uint64_t number)
{
    bool is_done;

    pthread_mutex_lock(&fleet->lock);
    is_done = list_is_empty(&fleet->errands) || first_of(fleet)->number > number;
    pthread_mutex_unlock(&fleet->lock);
    return is_done;
}

/* ---- one behind the other ------------------------------------------------------------------------ */

static void on_done(void *owner, enum err err, int64_t number)
{
    struct fleet_worker *sender = owner;
    struct fleet *fleet = sender->fleet;
    struct errand *errand;

    sender->errand_script = NULL;
    pthread_mutex_lock(&fleet->lock);
    errand = first_of(fleet);
    errand->is_under_way = false;
    if (err == OK) {
        struct fleet_id id = {.url = errand->url};
        struct fleet_key witness;
        if (errand->url == 0 && (uint64_t)number > atomic_load(&fleet->acknowledged))
            atomic_store(&fleet->acknowledged, (uint64_t)number);
        fleet_key_write(&witness, &id, FLEET_WITNESS);
        if (errand->url != 0)
            tier_forget(fleet->tier, fleet_key_bytes(&witness));
        drop(fleet, errand);
        if (!list_is_empty(&fleet->errands))
            wake_sender(fleet);
        counters_add(sender->worker->counters, METRIC_fleet_purges_sent, 1);
    } else {
        timer_set(sender->worker->loop, &sender->errand_timer,
                  loop_now(sender->worker->loop).mono_ms + FLEET_AWAY_MS / 4);
    }
    pthread_mutex_unlock(&fleet->lock);
    if (err == OK)
        fleet_read_log(sender); /* which has a record more, perhaps */
}

static struct fleet_script *send_url(struct fleet_worker *sender, const struct errand *errand,
                                     int64_t deadline_ms)
{
    const struct bytes how = errand->is_soft ? BYTES("s") : BYTES("h");
    struct fleet_id id = {.url = errand->url};
    struct fleet_key keys[3];

    fleet_key_write(&keys[0], &id, FLEET_NAMES);
    fleet_key_write(&keys[1], &id, FLEET_WITNESS);
    fleet_key_write(&keys[2], &id, FLEET_LEASE);
    return fleet_script_run(sender, fleet_script_purge, keys, 3, &how, 1, deadline_ms, on_done, sender);
}

static struct fleet_script *send_record(struct fleet_worker *sender, const struct errand *errand,
                                        int64_t deadline_ms)
{
    struct fleet_key key = {.size = FLEET_LOG_KEY.size};
    struct bytes text = bytes_of(errand->text, errand->size);
    char rule = (char)errand->rule, place[16];
    const struct bytes arguments[] = {
        bytes_of(&sender->fleet->node, sizeof sender->fleet->node),
        bytes_of(&rule, 1),
        errand->is_soft ? BYTES("s") : BYTES("h"),
        bytes_of(place, (size_t)snprintf(place, sizeof place, "%u", fleet_tag_place(text))),
        text,
        BYTES_INIT("0"),
    };

    memcpy(key.text, FLEET_LOG_KEY.data, FLEET_LOG_KEY.size);
    return fleet_script_run(sender, fleet_script_log, &key, 1, arguments, COUNT_OF(arguments), deadline_ms,
                            on_done, sender);
}

static void send_first(struct fleet_worker *sender)
{
    struct fleet *fleet = sender->fleet;
    int64_t now_ms = loop_now(sender->worker->loop).mono_ms;
    struct errand *errand;

    pthread_mutex_lock(&fleet->lock);
    sender->errand_is_posted = false;
    if (sender->errand_script == NULL && !list_is_empty(&fleet->errands)) {
        errand = first_of(fleet);
        sender->errand_script = errand->url != 0 ? send_url(sender, errand, now_ms + FLEET_WRITE_MS)
                                                 : send_record(sender, errand, now_ms + FLEET_WRITE_MS);
        errand->is_under_way = sender->errand_script != NULL;
        if (sender->errand_script == NULL)
            timer_set(sender->worker->loop, &sender->errand_timer, now_ms + FLEET_AWAY_MS / 4);
    }
    pthread_mutex_unlock(&fleet->lock);
}

static void on_task(struct task *task) { send_first(CONTAINER_OF(task, struct fleet_worker, errand_task)); }

static void on_timer(struct timer *timer)
{
    send_first(CONTAINER_OF(timer, struct fleet_worker, errand_timer));
}

/* ---- life ---------------------------------------------------------------------------------------- */

void fleet_errands_init(struct fleet_worker *fleet)
{
    fleet->errand_task.run = on_task;
    timer_init(&fleet->errand_timer, on_timer);
    pthread_mutex_lock(&fleet->fleet->lock);
    if (fleet->fleet->sender == NULL)
        fleet->fleet->sender = fleet;
    pthread_mutex_unlock(&fleet->fleet->lock);
}

/* What is left is the next sender's, if there is one. */
void fleet_errands_fini(struct fleet_worker *fleet)
{
    struct fleet *whole = fleet->fleet;
    struct gateway *gateway = fleet->worker->gateway;
    struct fleet_worker *next = NULL;

    timer_cancel(fleet->worker->loop, &fleet->errand_timer);
    if (fleet->errand_script != NULL)
        fleet_script_forget(fleet->errand_script);
    pthread_mutex_lock(&gateway->plan_lock);
    for (struct list *node = gateway->workers.next; node != &gateway->workers; node = node->next) {
        struct gateway_worker *worker = CONTAINER_OF(node, struct gateway_worker, in_gateway);
        if (worker != fleet->worker && worker->fleet != NULL)
            next = worker->fleet;
    }
    pthread_mutex_unlock(&gateway->plan_lock);
    pthread_mutex_lock(&whole->lock);
    if (whole->sender == fleet) {
        whole->sender = next;
        if (!list_is_empty(&whole->errands))
            wake_sender(whole);
    }
    pthread_mutex_unlock(&whole->lock);
}

void fleet_errands_destroy(struct fleet *fleet)
{
    while (!list_is_empty(&fleet->errands))
        drop(fleet, first_of(fleet));
}
