/* fetch.c — the life of a fetch, from its call to its end; see fetch_state.h. */
#include "base/compiler.h"
#include "fetch_state.h"
#include <stdlib.h>

void fetch_destroy(struct fetch *fetch)
{
    chunk_release(fetch->last);
    if (fetch->is_kept)
        chunk_release(fetch->first);
    upstream_fields_fini(&fetch->upstream);
    purge_watch_fini(&fetch->watch);
    buffer_fini(&fetch->key);
    buffer_fini(&fetch->path);
    buffer_fini(&fetch->query);
    buffer_fini(&fetch->authority);
    buffer_fini(&fetch->body);
    buffer_fini(&fetch->etag);
    buffer_fini(&fetch->last_modified);
    buffer_fini(&fetch->range);
    response_fields_fini(&fetch->head.fields);
    buffer_fini(&fetch->head.reason);
    buffer_fini(&fetch->head.vary_values);
    route_release(fetch->route);
    free(fetch);
}

void fetch_unlock_and_release(struct fetch *fetch)
{
    bool is_last = --fetch->reference_count == 0;

    fetch_unlock(fetch);
    if (is_last)
        fetch_destroy(fetch);
}

void fetch_call_for_attention(struct fetch *fetch)
{
    bool is_under_way = fetch->progress == FETCH_WAITING || fetch->progress == FETCH_FLOWING;

    if (!is_under_way || fetch->worker == NULL || fetch->is_posted)
        return;
    fetch->is_posted = true;
    fetch->reference_count++;
    loop_post(fetch->worker->loop, &fetch->task);
}

/* The fetch's own worker's; under the lock. */
static bool is_wanted(const struct fetch *fetch)
{
    if (!list_is_empty(&fetch->readers))
        return true;
    if (fetch->worker == NULL || fetch->worker->is_stopping)
        return false;
    switch (fetch->progress) {
    case FETCH_WAITING:                                 /* may turn out to be worth storing */
        return fetch->key.size > 0 && fetch->is_safe && /* and holds up nobody */
               worker_call_count(fetch->worker, fetch->route->upstream) <=
                   (size_t)fetch->route->upstream->policy.origin_connections_max;
    case FETCH_FLOWING: return fetch->head.is_stored && fetch->is_kept;
    case FETCH_COMPLETE:
    case FETCH_FAILED:
    case FETCH_AGAIN: return false;
    }
    UNREACHABLE();
}

/* ---- ends ---------------------------------------------------------------------------------------- */

void fetch_finish(struct fetch *fetch, enum fetch_progress progress, enum err error)
{
    fetch_lease_give_back(fetch, false);
    fetch->call = NULL;
    fetch_turn_give_up(fetch);
    if (fetch->worker != NULL)
        timer_cancel(fetch->worker->loop, &fetch->handover);
    if (fetch->worker != NULL && fetch->by != NULL && fetch->by->is_retired)
        worker_tell(fetch->worker);
    fetch->by = NULL;
    fetch_lock(fetch);
    if (!fetch->is_posted) /* else its worker has to know of it until the task has run */
        list_remove(&fetch->in_worker);
    fetch_leave_table(fetch);
    if (fetch->progress == FETCH_WAITING || fetch->progress == FETCH_FLOWING) {
        fetch->progress = progress;
        fetch->error = error;
    }
    fetch_wake_readers(fetch);
    fetch_unlock_and_release(fetch);
}

void fetch_cancel(struct fetch *fetch, enum err error)
{
    upstream_call_cancel(&fetch->sending);
    /* A write may be carried out although we never hear of it. */
    if (fetch->progress == FETCH_WAITING && !fetch->is_safe)
        fetch_invalidate_target(fetch);
    fetch_finish(fetch, FETCH_FAILED, error);
}

bool fetch_drop_if_unwanted(struct fetch *fetch)
{
    bool wanted;

    fetch_lock(fetch);
    wanted = is_wanted(fetch);
    fetch_unlock(fetch);
    if (!wanted)
        fetch_cancel(fetch, ERR_CANCELLED);
    return wanted;
}

void fetch_limit_hold(struct fetch *fetch)
{
    int64_t limit_ms = fetch->route->policy.coalesce_timeout_ms;

    if (limit_ms > 0)
        timer_set(fetch->worker->loop, &fetch->handover, loop_now(fetch->worker->loop).mono_ms + limit_ms);
}

void fetches_cancel(struct gateway_worker *worker, bool all)
{
    struct list *node = worker->fetches.next;

    while (node != &worker->fetches) {
        struct fetch *fetch = CONTAINER_OF(node, struct fetch, in_worker);
        node = node->next;
        if (!all) {
            if (fetch_is_under_way(fetch))
                fetch_drop_if_unwanted(fetch);
            continue;
        }
        timer_cancel(worker->loop, &fetch->handover);
        timer_cancel(worker->loop, &fetch->turn);
        fetch_lock(fetch);
        fetch->worker = NULL;
        if (fetch->is_posted) { /* its task will never run */
            fetch->is_posted = false;
            if (!fetch_is_under_way(fetch)) {
                list_remove(&fetch->in_worker);
                fetch_unlock_and_release(fetch);
                continue;
            }
            fetch->reference_count--;
        }
        fetch_unlock(fetch);
        fetch_cancel(fetch, ERR_CANCELLED);
    }
}

/* ---- what others wish of it ---------------------------------------------------------------------- */

static void resume_if_near(struct fetch *fetch)
{
    bool goes_on;

    fetch_lock(fetch);
    goes_on = fetch_may_go_on(fetch);
    if (goes_on)
        fetch->is_paused = false;
    fetch_unlock(fetch);
    if (goes_on)
        origin_resume(fetch->call);
}

void fetch_attend(struct task *task)
{
    struct fetch *fetch = CONTAINER_OF(task, struct fetch, task);

    fetch_lock(fetch);
    fetch->is_posted = false;
    fetch_unlock(fetch);
    if (!fetch_is_under_way(fetch))
        list_remove(&fetch->in_worker);
    else if (fetch_drop_if_unwanted(fetch) && fetch->waiting != NULL)
        fetch_turn_ask_again(fetch);
    else if (fetch->call != NULL)
        resume_if_near(fetch);
    fetch_lock(fetch);
    fetch_unlock_and_release(fetch); /* the task's reference */
}

/* There is no head yet: those who follow go on without it, see fetch_is_overdue. But one that waits for a
 * place itself, or for another node, would only have others wait behind it. */
void fetch_hand_over(struct timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, handover);

    if (fetch->call == NULL || origin_reach(fetch->call) == ORIGIN_WAITING) {
        fetch_limit_hold(fetch);
        return;
    }
    fetch_lock(fetch);
    if (fetch->progress == FETCH_WAITING) {
        fetch_leave_table(fetch);
        fetch->is_overdue = true;
        fetch_wake_readers(fetch);
    }
    fetch_unlock(fetch);
}

/* ---- what the origin says ------------------------------------------------------------------------ */

/* For the leader alone: who joined did so in the hope of a response, not of this one's progress. */
static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct reader *leader = fetch_leader(owner);

    if (leader != NULL && leader->informed != NULL)
        leader->informed(leader, status, fields);
}

static void on_want_body(void *owner, size_t room)
{
    struct fetch *fetch = owner;
    struct reader *leader;

    if (fetch->is_body_keyed) { /* it is the cache's own, whoever comes and goes */
        origin_send_body(fetch->call, buffer_bytes(&fetch->body), true);
        return;
    }
    leader = fetch_leader(fetch);
    if (leader != NULL && fetch->upload_wanted != NULL)
        fetch->upload_wanted(leader, room);
}

static void report_failure(struct fetch *fetch, enum err err, enum origin_reach reach)
{
    if (fetch->progress != FETCH_WAITING)
        return;
    counters_add(fetch->worker->counters, METRIC_gateway_origin_errors, 1);
    /* Noted for all is only what no single request is to blame for. */
    if ((err == ERR_REFUSED || err == ERR_UNREACHABLE || err == ERR_TLS || err == ERR_TIMEOUT) &&
        !origin_set_has_hope(&fetch->route->upstream->origins))
        fetch_take_note(fetch, NOTE_UNREACHABLE, err == ERR_TIMEOUT ? 504 : 502, FAILING_MS);
    /* A write may have been carried out although we never heard of it. */
    if (!fetch->is_safe && reach >= ORIGIN_SENT)
        fetch_invalidate_target(fetch);
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct fetch *fetch = owner;

    if (err == OK && fetch->progress == FETCH_WAITING)
        err = ERR_SYNTAX;
    if (err == OK && fetch->progress == FETCH_FLOWING && fetch->head.is_stored && fetch->is_kept)
        fetch_store(fetch);
    if (err == ERR_FULL) /* held back in HTTP/2, where there may not be many */
        counters_add(fetch->worker->counters, METRIC_gateway_stragglers, 1);
    if (err != OK && fetch->progress != FETCH_AGAIN)
        report_failure(fetch, err, reach);
    fetch_finish(fetch, err == OK ? FETCH_COMPLETE : FETCH_FAILED, err);
}

const struct origin_callbacks fetch_callbacks = {on_interim, fetch_on_head, fetch_on_body, on_want_body,
                                                 on_done};
