/* passage.c — the state machine of passage.h, and its last states. */
#include "passage.h"
#include "base/compiler.h"
#include "inquiry_terms.h"
#include "lookup_key.h"
#include "respond_stored.h"
#include <stdlib.h>

const struct http_request *upstream_request(const struct passage *passage)
{
    return passage->edited != NULL ? passage->edited : passage->x->request;
}

struct now passage_now(const struct passage *passage) { return loop_now(passage->worker->loop); }

enum quota_class passage_quota_class(const struct passage *passage)
{
    if (passage->x->inquiry == NULL)
        return QUOTA_INTERACTIVE;
    switch (passage->x->inquiry->urgency) {
    case URGENCY_CLIENT: return QUOTA_INTERACTIVE;
    case URGENCY_REVALIDATION: return QUOTA_REVALIDATION;
    case URGENCY_PREFETCH: return QUOTA_PREFETCH;
    }
    UNREACHABLE();
}

bool passage_key(const struct passage *passage, enum key_use use, struct cache_key *key)
{
    struct gateway *gateway = passage->worker->gateway;
    int64_t now_mono_ms = passage_now(passage).mono_ms;

    if (!lookup_key(gateway, passage->route, now_mono_ms, use, upstream_request(passage), key))
        return false;
    if (passage->facts.is_body_keyed)
        generation_key(gateway, now_mono_ms, use, route_trial_ms(&passage->route->policy), key,
                       KEY_SIGN_BODY, passage->digest);
    return true;
}

/* ---- life ---------------------------------------------------------------------------------------- */

void passage_free(struct passage *passage)
{
    list_remove(&passage->in_worker);
    route_release(passage->route);
    buffer_fini(&passage->body);
    free(passage->edited);
    free(passage);
}

void passage_retire(struct passage *passage)
{
    found_release(passage->worker->gateway, &passage->found);
    fetch_leave(&passage->reader);
    question_leave(&passage->asker);
    passage->state = STATE_done;
    if (!reader_is_quiet(&passage->reader))
        return;
    passage_free(passage);
}

void passage_on_woken(struct reader *reader)
{
    struct passage *passage = CONTAINER_OF(reader, struct passage, reader);

    if (passage->state == STATE_done)
        passage_retire(passage);
    else
        passage_run(passage);
}

void passage_on_informed(struct reader *reader, int status, const struct http_fields *fields)
{
    struct passage *passage = CONTAINER_OF(reader, struct passage, reader);

    if (passage->x != NULL && !passage->has_responded)
        exchange_inform(passage->x, status, fields);
}

/* ---- ways on ------------------------------------------------------------------------------------- */

enum state passage_refuse(struct passage *passage, int status, const char *text)
{
    passage->refusal_status = status;
    passage->refusal_text = text;
    return STATE_refuse;
}

enum state passage_look_again(struct passage *passage)
{
    fetch_leave(&passage->reader);
    passage->fleet_stage = FLEET_UNASKED;
    if (++passage->rounds >= ROUNDS_MAX)
        passage->is_alone = true;
    return STATE_lookup;
}

enum state passage_serve_stale(struct passage *passage, const char *detail)
{
    passage->status.detail = detail;
    passage->status.collapsed = false;
    return STATE_serve;
}

enum state passage_over(struct passage *passage, void (*finish)(struct exchange *x))
{
    struct exchange *x = passage->x;

    passage->x = NULL;
    fetch_leave(&passage->reader);
    finish(x);
    return STATE_done;
}

/* ---- the last states ----------------------------------------------------------------------------- */

enum state passage_on_serve(struct passage *passage)
{
    const struct stored_response *response = &passage->found.response;
    struct exchange *x = passage->x;

    if (!passage->has_responded) {
        passage->has_responded = true;
        if (passage->status.reason == FORWARD_STALE || passage->status.detail != NULL)
            counters_add(passage->worker->counters, METRIC_gateway_stale, 1);
        else if (passage->has_brought)
            passage->status.detail = "tier";
        outgoing_init(&passage->outgoing, &(struct http_ranges){0}, response->body_bytes);
        passage->skips_body =
            !respond_stored(passage->worker->gateway, passage->route, x, passage_now(passage),
                            &passage->facts, &passage->found, &passage->status, &passage->outgoing);
    }
    while (!passage->skips_body && !outgoing_is_done(&passage->outgoing)) {
        struct outgoing_piece piece;
        size_t room = exchange_room(x);
        if (room == 0)
            return STATE_serve;
        piece = outgoing_next(&passage->outgoing, room);
        if (passage->found.is_part)
            piece.offset = piece.offset - passage->found.part.start + passage->found.part_offset;
        exchange_send(x, piece.text);
        send_stored(passage->worker->gateway, x, &passage->found, piece.offset, piece.size);
    }
    /* A client who comes again and again to a page that is stored brings no others. */
    if (x->inquiry != NULL && x->inquiry->page_number > 0)
        prefetch_next(passage, response->fields);
    found_release(passage->worker->gateway, &passage->found);
    return passage_over(passage, exchange_end);
}

enum state passage_on_refuse(struct passage *passage)
{
    struct exchange *x = passage->x;

    passage->x = NULL;
    respond_problem_later(x, passage->refusal_status, passage->refusal_text, passage->refusal_seconds,
                          &passage->status);
    return STATE_done;
}

enum state passage_on_done(struct passage *passage) { return passage->state; }

#define X(name) [STATE_##name] = passage_on_##name,
static enum state (*const steps[])(struct passage *) = {STATES(X)};
#undef X

void passage_run(struct passage *passage)
{
    enum state before;

    if (passage->is_running) {
        passage->runs_again = true;
        return;
    }
    passage->is_running = true;
    do {
        passage->runs_again = false;
        do {
            before = passage->state;
            passage->state = steps[before](passage);
        } while (passage->state != before);
    } while (passage->runs_again && passage->state != STATE_done);
    passage->is_running = false;
    if (passage->state == STATE_done)
        passage_retire(passage);
}
