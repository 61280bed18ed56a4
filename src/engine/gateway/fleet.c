/* fleet.c — a node of the fleet: what holds, and the log of purges. */
#include "fleet.h"
#include "base/hash.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "entry_watch.h"
#include "fetch_lease.h"
#include "fleet_limits.h"
#include "fleet_publish.h"
#include "fleet_question.h"
#include "invalidate.h"
#include "purge.h"
#include "purge_wait.h"
#include "purge_watch.h"
#include <stdlib.h>

void fleet_init(struct fleet *fleet, struct tier *tier, uint32_t space)
{
    *fleet = (struct fleet){.tier = tier, .space = space, .log_slot = valkey_slot(FLEET_LOG_KEY)};
    fleet->node = hash_seed_random();
    pthread_mutex_init(&fleet->lock, NULL);
    list_init(&fleet->errands);
    list_init(&fleet->purge_waits);
}

void fleet_fini(struct fleet *fleet, struct log *log)
{
    size_t count = fleet_errand_count(fleet);

    if (count > 0)
        log_write(log, LOG_WARNING,
                  "the tier could not be told of %zu purges of the gateway's: other nodes may "
                  "go on with what they took out",
                  count);
    fleet_errands_destroy(fleet);
    buffer_fini(&fleet->log);
    pthread_mutex_destroy(&fleet->lock);
}

/* ---- what cannot be reached ---------------------------------------------------------------------- */

void fleet_note_away(struct fleet_worker *fleet, uint16_t slot, int64_t now_ms)
{
    int64_t *until_ms = &fleet->away_until_ms[fleet_place_of(slot)];

    if (*until_ms <= now_ms)
        counters_add(fleet->worker->counters, METRIC_fleet_away, 1);
    *until_ms = now_ms + FLEET_AWAY_MS;
}

void fleet_note_back(struct fleet_worker *fleet, uint16_t slot)
{
    fleet->away_until_ms[fleet_place_of(slot)] = 0;
}

bool fleet_is_away(const struct fleet_worker *fleet, uint16_t slot, int64_t now_ms)
{
    return now_ms < fleet->away_until_ms[fleet_place_of(slot)];
}

void fleet_note_refused(struct fleet_worker *fleet, uint16_t slot, int64_t now_ms, struct bytes why)
{
    log_write_limited(fleet->worker->gateway->log, LOG_WARNING, LOG_KIND_ORIGIN,
                      "the tier takes nothing from the gateway, which goes on without it: %.*s",
                      (int)(why.size < 200 ? why.size : 200), why.data);
    fleet_note_back(fleet, slot);
    fleet->refused_until_ms[fleet_place_of(slot)] = now_ms + FLEET_REFUSED_MS;
}

bool fleet_counts_alone(const struct fleet_worker *fleet, const struct stored_shared *shared,
                        int64_t now_ms)
{
    struct fleet_id id = {.url = shared->url};
    struct fleet_key key;

    if (shared->number % 2 != 0) /* it was there once: so somebody has taken it out */
        return false;
    fleet_key_write(&key, &id, FLEET_WITNESS);
    return now_ms < fleet->refused_until_ms[fleet_place_of(valkey_slot(fleet_key_bytes(&key)))];
}

bool fleet_log_is_away(const struct fleet_worker *fleet, int64_t now_ms)
{
    return now_ms < fleet->log_away_until_ms;
}

void fleet_note_log_late(struct fleet_worker *fleet, int64_t now_ms)
{
    if (!fleet_log_is_away(fleet, now_ms))
        counters_add(fleet->worker->counters, METRIC_fleet_away, 1);
    fleet->log_away_until_ms = now_ms + FLEET_AWAY_MS;
}

/* ---- what holds ---------------------------------------------------------------------------------- */

static bool log_is_known(const struct fleet_worker *fleet, int64_t now_ms)
{
    return tier_mark_holds(fleet->fleet->tier, fleet->log_mark, fleet->fleet->log_slot, now_ms);
}

bool fleet_is_ready(const struct fleet_worker *fleet, int64_t now_ms)
{
    const struct fleet *whole = fleet->fleet;

    return log_is_known(fleet, now_ms) && atomic_load(&whole->record_errands) == 0 &&
           atomic_load(&whole->number) >= atomic_load(&whole->acknowledged);
}

/* Whether the witness of `id`, as far as that is near, says this. */
static bool witness_says(struct fleet_worker *fleet, const struct fleet_id *id, enum witness_kind kind,
                         uint64_t number, int64_t now_ms)
{
    struct witness witness;
    struct fleet_key key;
    nh_value value;
    bool holds;

    fleet_key_write(&key, id, FLEET_WITNESS);
    switch (tier_borrow(fleet->tier, now_ms, fleet_nh_key(fleet, &key), &value)) {
    case TIER_NEAR_VALUE:
        holds = witness_read(&witness, bytes_of_value(&value)) && witness.kind == kind &&
                witness.number == number && !witness.is_soft;
        nh_release(fleet->worker->gateway->store, &value);
        return holds;
    case TIER_NEAR_NOTHING: return false;
    case TIER_NOT_NEAR: return fleet_is_away(fleet, valkey_slot(fleet_key_bytes(&key)), now_ms);
    }
    UNREACHABLE();
}

bool fleet_holds_here(struct fleet_worker *fleet, const struct cache_key *key,
                      const struct stored_response *response, int64_t now_ms)
{
    const struct stored_shared *shared = &response->shared;
    struct fleet_id id = {shared->url, {shared->variant[0], shared->variant[1]}};
    struct fleet_id url = fleet_id_of_url(&id);

    if (!log_is_known(fleet, now_ms))
        return fleet_log_is_away(fleet, now_ms);
    return shared->number == 0 ||
           (witness_says(fleet, &id, WITNESS_ANSWER, shared->number, now_ms) &&
            (!fleet_id_is_of_variant(&id) ||
             witness_says(fleet, &url, WITNESS_VARIANTS,
                          fleet_generation_of(cache_key_bytes(key), key->primary_size), now_ms)));
}

/* ---- the log ------------------------------------------------------------------------------------- */

static void drop_all(struct gateway *gateway)
{
    if (purge_rules_add(&gateway->purge_rules, (struct bytes){NULL, 0}, false) != OK)
        gateway_drop_all(gateway);
    entries_changed(gateway);
}

static void purge_url(struct gateway *gateway, int64_t now_ms, struct bytes text, bool is_soft)
{
    struct cache_key key;

    if (text.size == 0 || text.size > CACHE_KEY_PRIMARY_MAX)
        return;
    memcpy(key.text, text.data, text.size);
    key.primary_size = key.size = text.size;
    if (is_soft)
        gateway_make_stale_here(gateway, now_ms, &key);
    else
        gateway_invalidate_here(gateway, now_ms, &key);
}

static void obey(struct gateway *gateway, int64_t now_ms, const struct fleet_record *record)
{
    switch (record->rule) {
    case FLEET_URL: purge_url(gateway, now_ms, record->text, record->is_soft); return;
    case FLEET_TAG:
        nh_purge_tag(gateway->store, (nh_bytes){record->text.data, record->text.size},
                     record->is_soft ? NH_PURGE_SOFT : NH_PURGE_DROP);
        entries_changed(gateway);
        return;
    case FLEET_PREFIX:
        if (purge_rules_add(&gateway->purge_rules, record->text, record->is_soft) != OK)
            gateway_drop_all(gateway); /* too many wait: more goes than must */
        entries_changed(gateway);
        return;
    }
}

/* Whether the log was like that before it was as it is known here. Under the lock. */
static bool is_of_before(const struct fleet *whole, const struct fleet_log *log)
{
    struct fleet_log known;

    return fleet_log_read(&known, buffer_bytes(&whole->log)) && fleet_log_goes_back_to(&known, log->number);
}

/* It does not go on from what is known here: so what was purged meanwhile is not known. Under the lock. */
static void begin_anew(struct fleet *whole, struct gateway *gateway, const struct fleet_log *log)
{
    drop_all(gateway);
    if (atomic_load(&whole->acknowledged) > log->number)
        atomic_store(&whole->acknowledged, log->number); /* of a log that is no more */
}

/* Does here what is new in the log. False if it is to be read again: there is no memory to keep it, or it
 * has begun anew, and may have gone on since. */
static bool follow(struct fleet_worker *fleet, struct bytes text)
{
    struct gateway *gateway = fleet->worker->gateway;
    struct fleet *whole = fleet->fleet;
    int64_t now_ms = loop_now(fleet->worker->loop).mono_ms;
    struct fleet_log log;
    struct fleet_record record;
    bool is_followed = true;

    pthread_mutex_lock(&whole->lock);
    if (fleet_log_read(&log, text) && log.number != whole->number && !is_of_before(whole, &log)) {
        uint64_t done = whole->number;
        buffer_clear(&whole->log);
        buffer_append(&whole->log, text);
        is_followed = !whole->log.failed;
        if (!fleet_log_goes_back_to(&log, done)) {
            is_followed &= log.number >= atomic_load(&whole->acknowledged);
            begin_anew(whole, gateway, &log);
        } else {
            struct fleet_log rest = log;
            while (fleet_log_next(&rest, &record))
                if (record.number > done && record.node != whole->node) {
                    obey(gateway, now_ms, &record);
                    counters_add(fleet->worker->counters, METRIC_fleet_purges_heard, 1);
                }
        }
        if (!whole->log.failed)
            atomic_store_explicit(&whole->number, log.number, memory_order_release);
    }
    pthread_mutex_unlock(&whole->lock);
    return is_followed;
}

static void log_failed(struct fleet_worker *fleet)
{
    int64_t now_ms = loop_now(fleet->worker->loop).mono_ms;

    fleet_note_log_late(fleet, now_ms);
    timer_set(fleet->worker->loop, &fleet->log_timer, now_ms + FLEET_AWAY_MS / 4);
}

static void on_log_made(void *owner, enum err err, int64_t number)
{
    struct fleet_worker *fleet = owner;

    (void)number;
    fleet->is_making_log = false;
    if (err == OK)
        fleet_read_log(fleet);
    else
        log_failed(fleet);
}

/* What was read may not be kept: a purge has come between, or all that is known of its server is too old.
 * So it is read again, at once at first. A tier that tells of no changes at all never has it kept, and is
 * as if it were away: nobody waits for it. */
static void read_again(struct fleet_worker *fleet, int64_t now_ms)
{
    enum { AWAY_COUNT = 6, COUNT_MAX = 8 };
    int64_t wait_ms = (int64_t)1 << fleet->log_unkept_count;

    if (fleet->log_unkept_count < COUNT_MAX)
        fleet->log_unkept_count++;
    if (fleet->log_unkept_count >= AWAY_COUNT)
        fleet_note_log_late(fleet, now_ms);
    timer_set(fleet->worker->loop, &fleet->log_timer, now_ms + wait_ms);
}

/* There is none, or what there is is none. */
static void make_log(struct fleet_worker *fleet, bool anew)
{
    struct fleet_key key = {0};
    const struct bytes arguments[] = {BYTES_INIT("12345678"), BYTES_INIT(""),
                                      BYTES_INIT("h"),        BYTES_INIT("0"),
                                      BYTES_INIT(""),         anew ? BYTES("1") : BYTES("0")};

    memcpy(key.text, FLEET_LOG_KEY.data, key.size = FLEET_LOG_KEY.size);
    fleet->is_making_log =
        fleet_script_run(fleet, fleet_script_log, &key, 1, arguments, COUNT_OF(arguments),
                         loop_now(fleet->worker->loop).mono_ms + FLEET_WRITE_MS, on_log_made,
                         fleet) != NULL;
    if (!fleet->is_making_log)
        log_failed(fleet);
}

static void on_log(struct tier_read *read, const struct tier_found *found)
{
    struct fleet_worker *fleet = CONTAINER_OF(read, struct fleet_worker, log_read);
    int64_t now_ms = loop_now(fleet->worker->loop).mono_ms;
    struct fleet_log log;

    fleet->is_reading_log = false;
    if (found->err != OK && found->err != ERR_TYPE) {
        tier_read_end(fleet->tier, read);
        log_failed(fleet);
        return;
    }
    if (found->err == ERR_TYPE || !found->is_there || !fleet_log_read(&log, found->value)) {
        tier_read_end(fleet->tier, read);
        if (found->is_there)
            log_write_limited(fleet->worker->gateway->log, LOG_WARNING, LOG_KIND_ORIGIN,
                              "the tier's log of purges was not one, and begins anew: all that is older is "
                              "fetched again");
        make_log(fleet, found->err == OK && found->is_there);
        return;
    }
    fleet->is_watching_log = true;
    if (!follow(fleet, found->value)) {
        log_failed(fleet);
        return;
    }
    fleet->log_mark = found->mark;
    if (!log_is_known(fleet, now_ms)) {
        read_again(fleet, now_ms);
        return;
    }
    fleet->log_away_until_ms = 0;
    fleet->log_unkept_count = 0;
}

static void on_log_changed(struct tier_read *read)
{
    struct fleet_worker *fleet = CONTAINER_OF(read, struct fleet_worker, log_read);

    fleet->is_watching_log = false;
    fleet->log_mark = (struct tier_mark){0};
    fleet_read_log(fleet);
}

void fleet_read_log(struct fleet_worker *fleet)
{
    int64_t now_ms = loop_now(fleet->worker->loop).mono_ms;
    nh_key key = {FLEET_LOG_KEY.data, FLEET_LOG_KEY.size, fleet->fleet->space};

    if (fleet->is_reading_log || fleet->is_making_log)
        return;
    if (fleet->is_watching_log)
        tier_read_end(fleet->tier, &fleet->log_read);
    if (fleet->is_watching_log) /* nobody tells of changes until it has been read */
        fleet->log_mark = (struct tier_mark){0};
    fleet->is_watching_log = false;
    timer_cancel(fleet->worker->loop, &fleet->log_timer);
    fleet->is_reading_log = true;
    fleet->log_read = (struct tier_read){.done = on_log, .changed = on_log_changed};
    tier_read(fleet->tier, &fleet->log_read, key, TIER_FENCED | TIER_UNKEPT | TIER_WATCHED, 0,
              now_ms + FLEET_ASK_MS);
}

/* ---- for who asks fenced -------------------------------------------------------------------------- */

static void on_fence(struct tier_read *read, const struct tier_found *found)
{
    struct fleet_worker *fleet = CONTAINER_OF(read, struct fleet_worker, fence_read);

    fleet->is_fencing = false;
    if (found->err == OK && found->is_there && follow(fleet, found->value)) {
        fleet->fence_done = fleet->fence_begun;
    } else {
        fleet->log_mark = (struct tier_mark){0}; /* whatever it is, the log is read, or made */
        fleet_read_log(fleet);
    }
    questions_look(fleet);
}

bool fleet_log_is_fenced(struct fleet_worker *fleet, uint64_t number)
{
    nh_key key = {FLEET_LOG_KEY.data, FLEET_LOG_KEY.size, fleet->fleet->space};

    if (fleet->fence_done >= number)
        return true;
    if (!fleet->is_fencing) {
        fleet->is_fencing = true;
        fleet->fence_begun++;
        fleet->fence_read = (struct tier_read){.done = on_fence};
        tier_read(fleet->tier, &fleet->fence_read, key, TIER_FENCED | TIER_UNKEPT, 0,
                  loop_now(fleet->worker->loop).mono_ms + FLEET_ASK_MS);
    }
    return false;
}

static void on_log_timer(struct timer *timer)
{
    fleet_read_log(CONTAINER_OF(timer, struct fleet_worker, log_timer));
}

/* ---- older than its purges? ---------------------------------------------------------------------- */

static bool has_tag(const struct cache_tags *tags, struct bytes tag)
{
    nh_bytes list[NH_TAGS_MAX];
    size_t count = cache_tags_list(tags, list);

    for (size_t i = 0; i < count; i++)
        if (bytes_equal(bytes_of(list[i].data, list[i].size), tag))
            return true;
    return false;
}

static enum purged ask_table(const struct fleet_log *log, uint64_t birth, const struct cache_tags *tags)
{
    nh_bytes list[NH_TAGS_MAX];
    size_t count = cache_tags_list(tags, list);

    for (size_t i = 0; i < count; i++)
        if (fleet_log_tag_number(log, fleet_tag_place(bytes_of(list[i].data, list[i].size))) > birth)
            return PURGED;
    return PURGED_NOT;
}

enum purged fleet_rules_ask(struct fleet *fleet, uint64_t birth, struct bytes key,
                            const struct cache_tags *tags)
{
    enum purged purged = PURGED;
    struct fleet_record record;
    struct fleet_log log;

    pthread_mutex_lock(&fleet->lock);
    if (fleet_log_read(&log, buffer_bytes(&fleet->log)) && birth >= log.forgotten && birth <= log.number)
        purged = ask_table(&log, birth, tags);
    while (purged != PURGED && fleet_log_next(&log, &record))
        if (record.number > birth &&
            ((record.rule == FLEET_TAG && has_tag(tags, record.text)) ||
             (record.rule == FLEET_PREFIX && purge_prefix_matches(record.text, key))))
            purged = record.is_soft ? PURGED_SOFTLY : PURGED;
    pthread_mutex_unlock(&fleet->lock);
    return purged;
}

/* ---- life ---------------------------------------------------------------------------------------- */

enum err fleet_join(struct gateway_worker *worker, struct tier_worker *tier)
{
    struct fleet_worker *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->worker = worker;
    made->fleet = worker->gateway->fleet;
    made->tier = tier;
    list_init(&made->questions);
    list_init(&made->leases);
    list_init(&made->publications);
    list_init(&made->calls);
    timer_init(&made->log_timer, on_log_timer);
    fleet_errands_init(made);
    fleet_limits_init(made);
    worker->fleet = made;
    return OK;
}

bool fleet_is_idle(const struct gateway_worker *worker)
{
    return worker->fleet == NULL ||
           (list_is_empty(&worker->fleet->questions) && list_is_empty(&worker->fleet->leases) &&
            list_is_empty(&worker->fleet->publications));
}

void fleet_part(struct gateway_worker *worker)
{
    struct fleet_worker *fleet = worker->fleet;

    if (fleet == NULL)
        return;
    fleet_errands_fini(fleet);
    purge_waits_destroy(fleet);
    questions_destroy(fleet);
    leases_destroy(fleet);
    publications_destroy(fleet);
    if (fleet->is_reading_log || fleet->is_watching_log)
        tier_read_end(fleet->tier, &fleet->log_read);
    if (fleet->is_fencing)
        tier_read_end(fleet->tier, &fleet->fence_read);
    timer_cancel(worker->loop, &fleet->log_timer);
    fleet_limits_destroy(fleet);
    fleet_scripts_give_up(fleet);
    worker->fleet = NULL;
    free(fleet);
}
