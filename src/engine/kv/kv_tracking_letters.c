/* kv_tracking_letters.c — how a change comes from the worker that made it to the client that cached it.
 *
 *   a worker that changed a key ── invalidation ──► the readers' worker ──► the client
 *                                                        │ the client redirects to another
 *                                                        └── redirected ──► the other's worker ──► the
 * other │ it is gone the reader's worker ◄── broken ────────┘ */
#include "engine/kv/kv_directory.h"
#include "engine/kv/kv_tracking.h"
#include <stdlib.h>

/* ---- to the client ------------------------------------------------------------------------------------
 */

static void say_told(struct reply *reply, const struct kv_told *told)
{
    if (told->count == 0) {
        reply_kind(reply, OUTCOME_nothing);
        return;
    }
    reply_aggregate(reply, OUTCOME_array, told->count);
    for (size_t i = 0; i < told->count; i++)
        reply_value(reply, told->keys[i]);
}

/* RESP2 knows nothing but answers: only who has subscribed to something expects anything else. */
static void push(struct session *session, const struct kv_told *told, bool is_redirected)
{
    struct reply *reply;
    bool is_push = session->resp_version == 3;

    if (!is_push && !(is_redirected && session->subscriber != NULL))
        return;
    reply = session->push_begin(session);
    if (reply == NULL)
        return;
    if (is_push) {
        reply_aggregate(reply, OUTCOME_push, 2);
        reply_value(reply, BYTES("invalidate"));
    } else {
        reply_aggregate(reply, OUTCOME_array, 3);
        reply_value(reply, BYTES("message"));
        reply_value(reply, BYTES("__redis__:invalidate"));
    }
    say_told(reply, told);
    session->push_end(session);
}

/* Who was to be told instead of this session is gone. */
static void note_broken(struct kv_tracker *tracker)
{
    struct session *session = tracker->session;
    struct reply *reply;

    tracker->redirect_is_broken = true;
    if (session->resp_version != 3)
        return;
    reply = session->push_begin(session);
    if (reply == NULL)
        return;
    reply_aggregate(reply, OUTCOME_push, 2);
    reply_value(reply, BYTES("tracking-redir-broken"));
    reply_integer(reply, (int64_t)tracker->redirect_id);
    session->push_end(session);
}

/* The session of this worker that has the id; null if it is gone. */
static struct session *find_own(struct kv *kv, uint64_t id)
{
    unsigned worker = 0;
    struct session *session = kv_directory_find(kv->hub, id, &worker);
    return session != NULL && worker == kv->number ? session : NULL;
}

/* ---- to who is told instead ---------------------------------------------------------------------------
 */

struct broken {
    struct kv_letter letter;
    uint64_t tracker_id, redirect_id;
};

struct redirected {
    struct kv_letter letter;
    struct broken *if_broken; /* made in advance: to be sent, or freed */
    unsigned from;
    struct kv_told told;
    struct bytes keys[]; /* and their bytes behind them */
};

static void read_broken(struct kv *kv, struct kv_letter *letter)
{
    struct broken *broken = CONTAINER_OF(letter, struct broken, letter);
    struct session *session = kv != NULL ? find_own(kv, broken->tracker_id) : NULL;

    if (session != NULL && session->tracker != NULL && session->tracker->redirect_id == broken->redirect_id)
        note_broken(session->tracker);
    free(broken);
}

static void read_redirected(struct kv *kv, struct kv_letter *letter)
{
    struct redirected *redirected = CONTAINER_OF(letter, struct redirected, letter);
    struct session *session = kv != NULL ? find_own(kv, redirected->if_broken->redirect_id) : NULL;

    if (session != NULL)
        push(session, &redirected->told, true);
    if (kv != NULL && session == NULL)
        kv_send(kv->hub, kv, redirected->from, &redirected->if_broken->letter);
    else
        free(redirected->if_broken);
    free(redirected);
}

/* Null without memory. */
static struct redirected *redirect(const struct kv *kv, const struct kv_tracker *tracker,
                                   const struct kv_told *told)
{
    struct broken *broken = malloc(sizeof *broken);
    size_t bytes = sizeof(struct redirected) + told->count * sizeof(struct bytes);
    struct redirected *redirected;
    char *end;

    for (size_t i = 0; i < told->count; i++)
        bytes += told->keys[i].size;
    redirected = malloc(bytes);
    if (broken == NULL || redirected == NULL) {
        free(broken);
        free(redirected);
        return NULL;
    }
    *broken = (struct broken){{.read = read_broken}, tracker->session->id, tracker->redirect_id};
    *redirected = (struct redirected){.letter = {.read = read_redirected},
                                      .if_broken = broken,
                                      .from = kv->number,
                                      .told = {redirected->keys, told->count}};
    end = (char *)(redirected->keys + told->count);
    for (size_t i = 0; i < told->count; i++) {
        redirected->keys[i] = (struct bytes){end, told->keys[i].size};
        if (told->keys[i].size > 0)
            memcpy(end, told->keys[i].data, told->keys[i].size);
        end += told->keys[i].size;
    }
    return redirected;
}

void kv_tracking_say(struct kv *kv, struct kv_tracker *tracker, const struct kv_told *told)
{
    struct redirected *redirected;
    struct session *target;
    unsigned worker = 0;

    if (tracker->redirect_id == 0) {
        push(tracker->session, told, false);
        return;
    }
    target = kv_directory_find(kv->hub, tracker->redirect_id, &worker);
    if (target == NULL) {
        note_broken(tracker);
    } else if (worker == kv->number) {
        push(target, told, true);
    } else {
        redirected = redirect(kv, tracker, told);
        if (redirected != NULL)
            kv_send(kv->hub, kv, worker, &redirected->letter);
        else
            kv_tracking_alarm(kv, kv->number); /* until there is memory to say it */
    }
}

/* ---- to the readers' worker ---------------------------------------------------------------------------
 */

struct invalidation {
    struct kv_letter letter;
    uint64_t writer_id;
    struct bytes key; /* behind the readers */
    size_t count;
    uint64_t readers[];
};

static void read_invalidation(struct kv *kv, struct kv_letter *letter)
{
    struct invalidation *invalidation = CONTAINER_OF(letter, struct invalidation, letter);
    struct kv_told told = {&invalidation->key, 1};

    for (size_t i = 0; i < invalidation->count && kv != NULL; i++) {
        struct session *session = find_own(kv, kv_reader_id(invalidation->readers[i]));
        struct kv_tracker *tracker = session != NULL ? session->tracker : NULL;

        if (tracker != NULL && !tracker->is_broadcast &&
            !(tracker->is_noloop && session->id == invalidation->writer_id))
            kv_tracking_say(kv, tracker, &told);
    }
    free(invalidation);
}

static void write_to(struct kv *kv, unsigned worker, uint64_t writer_id, struct bytes key,
                     const uint64_t *readers, size_t count)
{
    struct invalidation *invalidation = malloc(sizeof *invalidation + count * sizeof *readers + key.size);

    if (invalidation == NULL) {
        kv_tracking_alarm(kv, worker);
        return;
    }
    *invalidation = (struct invalidation){
        .letter = {.read = read_invalidation},
        .writer_id = writer_id,
        .key = {(const char *)(invalidation->readers + count), key.size},
        .count = count,
    };
    memcpy(invalidation->readers, readers, count * sizeof *readers);
    if (key.size > 0)
        memcpy(invalidation->readers + count, key.data, key.size);
    kv_send(kv->hub, kv, worker, &invalidation->letter);
}

void kv_tracking_write(struct kv *kv, uint64_t writer_id, struct bytes key, const uint64_t *readers,
                       size_t count)
{
    for (size_t first = 0, end; first < count; first = end) {
        unsigned worker = kv_reader_worker(readers[first]);
        for (end = first + 1; end < count && kv_reader_worker(readers[end]) == worker; end++)
            ;
        write_to(kv, worker, writer_id, key, readers + first, end - first);
    }
}

/* ---- all has gone -------------------------------------------------------------------------------------
 */

struct kv_tracking_alarm {
    struct kv_letter letter;
    _Atomic bool is_sent; /* and not read yet: one more would say the same */
    /* To oneself: a command may clear many spaces, and all are told once, when it has answered. */
    struct kv_letter flush;
    bool flush_is_sent;
};

static void tell_all(struct kv *kv)
{
    if (kv->trackers.next == NULL)
        return;
    for (struct list *link = kv->trackers.next; link != &kv->trackers; link = link->next)
        kv_tracking_say(kv, CONTAINER_OF(link, struct kv_tracker, in_worker), &(struct kv_told){NULL, 0});
}

/* A letter may be sent again as soon as it is being read. */
static void read_alarm(struct kv *kv, struct kv_letter *letter)
{
    struct kv_tracking_alarm *alarm = CONTAINER_OF(letter, struct kv_tracking_alarm, letter);

    atomic_store_explicit(&alarm->is_sent, false, memory_order_seq_cst);
    if (kv != NULL)
        tell_all(kv);
}

static void read_flush(struct kv *kv, struct kv_letter *letter)
{
    if (kv == NULL)
        return;
    CONTAINER_OF(letter, struct kv_tracking_alarm, flush)->flush_is_sent = false;
    tell_all(kv);
    for (unsigned worker = 0; worker < kv->hub->worker_count; worker++)
        if (worker != kv->number)
            kv_tracking_alarm(kv, worker);
}

void kv_tracking_write_flush(struct kv *kv)
{
    struct kv_tracking_alarm *alarm = &kv->hub->alarms[kv->number];

    if (!alarm->flush_is_sent) {
        alarm->flush_is_sent = true;
        kv_send(kv->hub, kv, kv->number, &alarm->flush);
    }
}

void kv_tracking_alarm(struct kv *kv, unsigned worker)
{
    struct kv_tracking_alarm *alarm = &kv->hub->alarms[worker];

    if (!atomic_exchange_explicit(&alarm->is_sent, true, memory_order_seq_cst))
        kv_send(kv->hub, kv, worker, &alarm->letter);
}

struct kv_tracking_alarm *kv_tracking_alarms_create(unsigned worker_count)
{
    struct kv_tracking_alarm *alarms = calloc(worker_count, sizeof *alarms);

    for (unsigned i = 0; i < worker_count && alarms != NULL; i++) {
        alarms[i].letter.read = read_alarm;
        alarms[i].flush.read = read_flush;
    }
    return alarms;
}
