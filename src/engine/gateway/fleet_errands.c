/* fleet_errands.c — what was purged at this node, on its way to the tier.
 *
 * It has happened here already. One worker carries it on, and tries again until it is done: while the tier
 * is away it waits, and before it has been done nothing is read from the tier that it may concern (fleet.h,
 * (1)). What is for a server that does not answer holds up nothing that is for others: of each place of
 * slots the oldest is under way, at most. If there are too many, or no memory for one, everything is owed:
 * one record that takes the place of all. */
#include "engine/gateway/fleet/fleet_scripts.h"
#include "fleet.h"
#include "purge_wait.h"
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_MS = FLEET_AWAY_MS / 4 };

struct errand {
    struct list in_fleet;
    uint64_t number;
    uint64_t url; /* of fleet_id; 0: it is a record */
    uint16_t slot;
    enum fleet_rule rule;
    bool is_soft;
    struct fleet_worker *sender; /* that has it under way, or null */
    struct fleet_script *script;
    int64_t retry_at_ms;
    size_t size;
    char text[];
};

static struct errand *errand_of(struct list *node) { return CONTAINER_OF(node, struct errand, in_fleet); }

/* ---- the list; all under the lock ---------------------------------------------------------------- */

static void drop(struct fleet *fleet, struct errand *errand)
{
    list_remove(&errand->in_fleet); /* the ring is whole. NOLINT(clang-analyzer-unix.Malloc) */
    fleet->errand_count--;
    if (errand->url == 0)
        atomic_fetch_sub(&fleet->record_errands, 1);
    free(errand);
}

static void wake_sender(struct fleet *fleet)
{
    struct fleet_worker *sender = fleet->sender;

    if (sender == NULL || sender->errand_is_posted)
        return;
    sender->errand_is_posted = true;
    loop_post(sender->worker->loop, &sender->errand_task);
}

/* Nothing that waits need be done any more: all of it is part of "everything". */
static void owe_everything(struct fleet *fleet)
{
    for (struct list *node = fleet->errands.next, *next; node != &fleet->errands; node = next) {
        struct errand *errand = errand_of(node);
        next = node->next;
        if (errand->sender == NULL)
            drop(fleet, errand);
    }
    if (fleet->owed_number == 0)
        atomic_fetch_add(&fleet->record_errands, 1);
    fleet->owed_number = ++fleet->errand_number;
}

static void add(struct fleet *fleet, uint64_t url, enum fleet_rule rule, struct bytes text, bool is_soft)
{
    struct errand *errand = malloc(sizeof *errand + text.size + 1);
    struct fleet_id id = {.url = url};
    struct fleet_key key;

    fleet_key_write(&key, &id, FLEET_WITNESS);
    pthread_mutex_lock(&fleet->lock);
    if (errand == NULL || fleet->errand_count >= FLEET_ERRANDS_MAX ||
        (fleet->owed_number != 0 && !fleet->owed_is_under_way)) {
        owe_everything(fleet);
        free(errand);
    } else {
        *errand = (struct errand){.number = ++fleet->errand_number,
                                  .url = url,
                                  .slot = url != 0 ? valkey_slot(fleet_key_bytes(&key)) : fleet->log_slot,
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
    }
    wake_sender(fleet);
    pthread_mutex_unlock(&fleet->lock);
}

bool fleet_errands_wait(struct fleet *fleet, uint64_t since, uint64_t until)
{
    if (fleet->owed_number > since)
        return true;
    for (struct list *node = fleet->errands.next; node != &fleet->errands; node = node->next)
        if (errand_of(node)->number > since && errand_of(node)->number <= until)
            return true;
    return false;
}

/* ---- what is asked of it ------------------------------------------------------------------------- */

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
        has = errand_of(node)->url == url;
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

void fleet_owe_everything(struct fleet *fleet)
{
    pthread_mutex_lock(&fleet->lock);
    owe_everything(fleet);
    wake_sender(fleet);
    pthread_mutex_unlock(&fleet->lock);
}

size_t fleet_errand_count(struct fleet *fleet)
{
    size_t count;

    pthread_mutex_lock(&fleet->lock);
    count = fleet->errand_count + (fleet->owed_number != 0);
    pthread_mutex_unlock(&fleet->lock);
    return count;
}

/* ---- on their way -------------------------------------------------------------------------------- */

/* What the records of this node's purges are numbered up to. Under the lock. */
static void note_recorded(struct fleet *fleet, int64_t number)
{
    if ((uint64_t)number > atomic_load(&fleet->acknowledged))
        atomic_store(&fleet->acknowledged, (uint64_t)number);
}

/* Not under the lock. */
static void go_on(struct fleet_worker *sender, enum err err)
{
    if (err != OK)
        return;
    counters_add(sender->worker->counters, METRIC_fleet_purges_sent, 1);
    if (!sender->is_watching_log)
        fleet_read_log(sender); /* else it is told that there is a record more */
}

static void on_done(void *owner, enum err err, int64_t number)
{
    struct errand *errand = owner;
    struct fleet_worker *sender = errand->sender;
    struct fleet *fleet = sender->fleet;
    struct fleet_id id = {.url = errand->url};
    struct fleet_key witness;

    pthread_mutex_lock(&fleet->lock);
    errand->sender = NULL;
    errand->script = NULL;
    errand->retry_at_ms = loop_now(sender->worker->loop).mono_ms + RETRY_MS;
    if (err == OK) {
        fleet_key_write(&witness, &id, FLEET_WITNESS);
        if (errand->url != 0)
            tier_forget(fleet->tier, fleet_key_bytes(&witness));
        else
            note_recorded(fleet, number);
        drop(fleet, errand);
        purge_waits_look(fleet);
    }
    wake_sender(fleet);
    pthread_mutex_unlock(&fleet->lock);
    go_on(sender, err);
}

static void on_everything_done(void *owner, enum err err, int64_t number)
{
    struct fleet_worker *sender = owner;
    struct fleet *fleet = sender->fleet;

    pthread_mutex_lock(&fleet->lock);
    sender->owed_script = NULL;
    fleet->owed_is_under_way = false;
    sender->owed_retry_at_ms = loop_now(sender->worker->loop).mono_ms + RETRY_MS;
    if (err == OK) {
        note_recorded(fleet, number);
        if (fleet->owed_number == sender->owed_number) { /* else more has come under way */
            fleet->owed_number = 0;
            atomic_fetch_sub(&fleet->record_errands, 1);
        }
        purge_waits_look(fleet);
    }
    wake_sender(fleet);
    pthread_mutex_unlock(&fleet->lock);
    go_on(sender, err);
}

static struct fleet_script *send_url(struct fleet_worker *sender, struct errand *errand,
                                     int64_t deadline_ms)
{
    const struct bytes how = errand->is_soft ? BYTES("s") : BYTES("h");
    struct fleet_id id = {.url = errand->url};
    struct fleet_key keys[3];

    fleet_key_write(&keys[0], &id, FLEET_NAMES);
    fleet_key_write(&keys[1], &id, FLEET_WITNESS);
    fleet_key_write(&keys[2], &id, FLEET_LEASE);
    return fleet_script_run(sender, fleet_script_purge, keys, 3, &how, 1, deadline_ms, on_done, errand);
}

static struct fleet_script *send_record(struct fleet_worker *sender, enum fleet_rule of, struct bytes text,
                                        bool is_soft, fleet_script_done *done, void *owner,
                                        int64_t deadline_ms)
{
    struct fleet_key key = {.size = FLEET_LOG_KEY.size};
    char rule = (char)of, place[16];
    const struct bytes arguments[] = {
        bytes_of(&sender->fleet->node, sizeof sender->fleet->node),
        bytes_of(&rule, 1),
        is_soft ? BYTES("s") : BYTES("h"),
        bytes_of(place, (size_t)snprintf(place, sizeof place, "%u", fleet_tag_place(text))),
        text,
        BYTES_INIT("0"),
    };

    memcpy(key.text, FLEET_LOG_KEY.data, FLEET_LOG_KEY.size);
    return fleet_script_run(sender, fleet_script_log, &key, 1, arguments, COUNT_OF(arguments), deadline_ms,
                            done, owner);
}

/* Under the lock. */
static void send_errand(struct fleet_worker *sender, struct errand *errand, int64_t now_ms)
{
    int64_t deadline_ms = now_ms + FLEET_WRITE_MS;

    errand->script = errand->url != 0
                         ? send_url(sender, errand, deadline_ms)
                         : send_record(sender, errand->rule, bytes_of(errand->text, errand->size),
                                       errand->is_soft, on_done, errand, deadline_ms);
    if (errand->script != NULL)
        errand->sender = sender;
}

/* Behind the records that are under way. Under the lock. */
static void send_everything(struct fleet_worker *sender, int64_t now_ms)
{
    sender->owed_number = sender->fleet->owed_number;
    sender->owed_script = send_record(sender, FLEET_PREFIX, (struct bytes){NULL, 0}, false,
                                      on_everything_done, sender, now_ms + FLEET_WRITE_MS);
    sender->fleet->owed_is_under_way = sender->owed_script != NULL;
}

static void send_all(struct fleet_worker *sender)
{
    struct fleet *fleet = sender->fleet;
    int64_t now_ms = loop_now(sender->worker->loop).mono_ms;
    bool has_passed[FLEET_AWAY_PLACES] = {false}, is_waiting = false;

    pthread_mutex_lock(&fleet->lock);
    sender->errand_is_posted = false;
    for (struct list *node = fleet->errands.next; node != &fleet->errands; node = node->next) {
        struct errand *errand = errand_of(node);
        size_t place = fleet_place_of(errand->slot);
        if (has_passed[place])
            continue;
        has_passed[place] = true;
        if (errand->sender == NULL && now_ms >= errand->retry_at_ms &&
            !fleet_is_away(sender, errand->slot, now_ms))
            send_errand(sender, errand, now_ms);
        is_waiting |= errand->sender == NULL;
    }
    if (fleet->owed_number != 0 && sender->owed_script == NULL && now_ms >= sender->owed_retry_at_ms &&
        !has_passed[fleet_place_of(fleet->log_slot)])
        send_everything(sender, now_ms);
    is_waiting |= fleet->owed_number != 0 && sender->owed_script == NULL;
    if (is_waiting && !timer_is_set(&sender->errand_timer))
        timer_set(sender->worker->loop, &sender->errand_timer, now_ms + RETRY_MS);
    pthread_mutex_unlock(&fleet->lock);
}

static void on_task(struct task *task) { send_all(CONTAINER_OF(task, struct fleet_worker, errand_task)); }

static void on_timer(struct timer *timer)
{
    send_all(CONTAINER_OF(timer, struct fleet_worker, errand_timer));
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
    if (fleet->owed_script != NULL)
        fleet_script_forget(fleet->owed_script);
    pthread_mutex_lock(&gateway->plan_lock);
    for (struct list *node = gateway->workers.next; node != &gateway->workers; node = node->next) {
        struct gateway_worker *worker = CONTAINER_OF(node, struct gateway_worker, in_gateway);
        if (worker != fleet->worker && worker->fleet != NULL)
            next = worker->fleet;
    }
    pthread_mutex_unlock(&gateway->plan_lock);
    pthread_mutex_lock(&whole->lock);
    for (struct list *node = whole->errands.next; node != &whole->errands; node = node->next) {
        struct errand *errand = errand_of(node);
        if (errand->sender != fleet)
            continue;
        fleet_script_forget(errand->script);
        errand->sender = NULL; /* whether it has been done is not known: so it will be */
        errand->script = NULL;
    }
    if (whole->sender == fleet) {
        whole->sender = next;
        whole->owed_is_under_way = false;
        wake_sender(whole);
    }
    pthread_mutex_unlock(&whole->lock);
}

void fleet_errands_destroy(struct fleet *fleet)
{
    while (!list_is_empty(&fleet->errands)) {
        /* The ring is whole. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        drop(fleet, errand_of(fleet->errands.next));
    }
}
