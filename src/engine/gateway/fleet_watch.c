/* fleet_watch.c — the witness of a URL, read again whenever it is told to have changed.
 *
 *   reading ──► watching ──► pausing ──► reading
 *      └─ failed ────────────────┘ */
#include "fleet_watch.h"
#include <stdlib.h>

enum { PAUSE_MS = 50 /* between two reads, however often it changes */ };

struct fleet_watch {
    struct fleet_worker *fleet;
    struct fleet_key key; /* of the witness */
    struct tier_read read;
    struct timer timer;
    bool has_read;          /* reading or watching: the read is the tier's */
    enum witness_kind kind; /* of the newest one that was there */
    uint64_t number;
    bool is_soft;
    void (*changed)(void *owner);
    void *owner;
};

static void look_later(struct fleet_watch *watch, int64_t ms)
{
    struct loop *loop = watch->fleet->worker->loop;

    timer_set(loop, &watch->timer, loop_now(loop).mono_ms + ms);
}

/* Notes what is there. True if it is another than there was, and something: that it has expired, or was
 * purged, is no answer. */
static bool is_news(struct fleet_watch *watch, const struct tier_found *found)
{
    struct witness witness;
    bool is_another;

    if (!found->is_there || !witness_read(&witness, found->value))
        return false;
    is_another =
        witness.kind != watch->kind || witness.number != watch->number || witness.is_soft != watch->is_soft;
    watch->kind = witness.kind;
    watch->number = witness.number;
    watch->is_soft = witness.is_soft;
    return is_another;
}

static void on_read(struct tier_read *read, const struct tier_found *found)
{
    struct fleet_watch *watch = CONTAINER_OF(read, struct fleet_watch, read);
    struct fleet_worker *fleet = watch->fleet;

    if (found->err != OK) {
        tier_read_end(fleet->tier, read);
        watch->has_read = false;
        look_later(watch, FLEET_AWAY_MS);
        return;
    }
    if (is_news(watch, found))
        watch->changed(watch->owner);
}

static void on_changed(struct tier_read *read)
{
    struct fleet_watch *watch = CONTAINER_OF(read, struct fleet_watch, read);

    watch->has_read = false;
    look_later(watch, PAUSE_MS);
}

static void look(struct timer *timer)
{
    struct fleet_watch *watch = CONTAINER_OF(timer, struct fleet_watch, timer);
    struct fleet_worker *fleet = watch->fleet;

    watch->has_read = true;
    watch->read = (struct tier_read){.done = on_read, .changed = on_changed};
    tier_read(fleet->tier, &watch->read, fleet_nh_key(fleet, &watch->key), TIER_WATCHED, 0,
              loop_now(fleet->worker->loop).mono_ms + FLEET_ASK_MS);
}

struct fleet_watch *fleet_watch_begin(struct fleet_worker *fleet, const struct fleet_id *url,
                                      void (*changed)(void *owner), void *owner)
{
    struct fleet_watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        return NULL;
    watch->fleet = fleet;
    watch->changed = changed;
    watch->owner = owner;
    fleet_key_write(&watch->key, url, FLEET_WITNESS);
    timer_init(&watch->timer, look);
    look(&watch->timer);
    if (!fleet_is_ready(fleet, loop_now(fleet->worker->loop).mono_ms)) /* else it is read, and watched */
        fleet_read_log(fleet);
    return watch;
}

void fleet_watch_end(struct fleet_watch *watch)
{
    if (watch->has_read)
        tier_read_end(watch->fleet->tier, &watch->read);
    timer_cancel(watch->fleet->worker->loop, &watch->timer);
    free(watch);
}
