/* passage_relay.c — what is fetched goes on to the client as it comes. */
#include "engine/gateway/policy/freshness.h"
#include "engine/gateway/policy/validate.h"
#include "inquiry_terms.h"
#include "passage.h"
#include "unkept.h"

/* Answers with one range of a body that is on its way, if one is asked for. */
static bool cut_fetched(struct passage *passage, struct bytes rendered, int64_t age_seconds)
{
    struct http_ranges ranges = ranges_wanted(
        passage->x->request, rendered, (uint64_t)passage->promised_bytes, passage_now(passage).wall_ms);

    if (ranges.count > 1 ||
        !respond_ranged(passage->worker->gateway, passage->x, passage_now(passage), rendered,
                        (struct bytes){0}, &ranges, (uint64_t)passage->promised_bytes, age_seconds,
                        &passage->status, &passage->outgoing))
        return false;
    passage->is_cut = true;
    passage->skips_body = ranges.count == 0;
    passage->window = ranges.list[0];
    passage->promised_bytes = (int64_t)(passage->window.end - passage->window.start);
    return true;
}

/* What of a piece that ends where the reader stands is for the client. */
static struct bytes cut(const struct passage *passage, struct bytes piece)
{
    const struct http_range *window = &passage->window;
    uint64_t end = passage->reader.read_bytes, start = end - piece.size;

    if (!passage->is_cut)
        return piece;
    if (start >= window->end || end <= window->start)
        return bytes_first(piece, 0);
    if (end > window->end)
        piece.size -= end - window->end;
    return start < window->start ? bytes_after(piece, window->start - start) : piece;
}

static void respond_whole_or_cut(struct passage *passage, struct bytes rendered, int64_t age_seconds)
{
    const struct fetch_head *head = fetch_head(&passage->reader);

    if (!passage->facts.has_range || head->facts.status != 200 || passage->promised_bytes < 0 ||
        (passage->reader.is_leader && !head->is_stored) || !cut_fetched(passage, rendered, age_seconds))
        respond_head(passage->x, head->facts.status, fetch_reason(head), passage->promised_bytes, 0,
                     rendered, age_seconds, true, &passage->status);
}

static void tell_inquiry(const struct passage *passage, const struct fetch_head *head, int64_t now_mono_ms)
{
    const struct freshness *freshness = &head->facts.freshness;
    struct inquiry_terms *terms = passage->x->inquiry;

    terms->is_told = true;
    terms->is_from_store = head->origin_status == 304;
    terms->is_stale = false;
    terms->is_for_all = may_tell_all(&head->facts, &passage->facts.traits, &passage->route->policy);
    terms->fresh_ms = freshness->lifetime_ms -
                      current_age_ms(freshness->initial_age_ms, head->received.mono_ms, now_mono_ms);
    terms->confirmed_ago_ms = now_mono_ms - head->received.mono_ms;
    terms->body_number = head->body_number;
    terms->unkept_because = head->is_stored ? NULL
                                            : why_unkept(&head->facts, &passage->facts.traits,
                                                         &passage->route->policy, head->body_bytes);
}

/* An answer may turn out to be larger than it may be, where it did not say. */
static void tell_if_too_large(const struct passage *passage)
{
    struct inquiry_terms *terms = passage->x->inquiry;

    if (terms != NULL && terms->unkept_because == NULL &&
        passage->reader.read_bytes > (uint64_t)passage->route->policy.object_bytes_max)
        terms->unkept_because = UNKEPT_TOO_LARGE;
}

/* False, with nothing said to the client, if there is no memory for what the route makes of the fields. */
static bool respond_fetched(struct passage *passage)
{
    const struct fetch_head *head = fetch_head(&passage->reader);
    struct exchange *x = passage->x;
    struct bytes rendered =
        buffer_bytes(passage->reader.is_leader ? &head->fields.sent : &head->fields.kept);
    struct buffer edited = {0};
    struct now now = passage_now(passage);
    bool is_not_modified = false;
    bool is_from_store = !passage->reader.is_leader || head->origin_status != head->facts.status;
    int64_t age_seconds =
        current_age_ms(head->facts.freshness.initial_age_ms, head->received.mono_ms, now.mono_ms) / 1000;

    if (x->inquiry != NULL)
        tell_inquiry(passage, head, now.mono_ms);
    passage->status.origin_status = head->origin_status;
    passage->status.stored = head->is_stored && passage->reader.is_leader;
    passage->status.has_ttl = head->is_stored;
    passage->status.ttl_seconds = head->facts.freshness.lifetime_ms / 1000 - age_seconds;
    passage->status.names_others = names_other_caches(rendered);
    if (!is_from_store)
        age_seconds = -1; /* what the origin said of it is among the fields */
    passage->promised_bytes = head->body_bytes;
    if (head->body_bytes == HTTP_BODY_UNKNOWN && x->request->method != HTTP_METHOD_HEAD &&
        fetch_look(&passage->reader) == FETCH_COMPLETE)
        passage->promised_bytes = (int64_t)fetch_body_bytes(&passage->reader);
    passage->skips_body =
        x->request->method == HTTP_METHOD_HEAD || head->facts.status == 204 || head->facts.status == 304;
    if (passage->facts.plan == PLAN_CACHE && passage->facts.has_condition && !passage->with_preconditions &&
        head->facts.status == 200 && client_has_it(&x->request->fields, rendered, now.wall_ms)) {
        passage->skips_body = true;
        is_not_modified = true;
    }
    passage->has_responded = fields_for_client(passage->route, &rendered, &edited);
    if (passage->has_responded && is_not_modified)
        respond_not_modified(x, rendered, age_seconds, &passage->status);
    else if (passage->has_responded)
        respond_whole_or_cut(passage, rendered, age_seconds);
    buffer_fini(&edited);
    return passage->has_responded;
}

/* All is there that the client gets. Who asked for a page is the one to ask for the next; not before all of
 * it is stored, which would take out what had come of a list that it begins. */
static enum state end_of(struct passage *passage, const struct fetch_head *head)
{
    if (passage->reader.is_leader && head->is_stored && fetch_look(&passage->reader) == FETCH_COMPLETE)
        prefetch_next(passage, buffer_bytes(&head->fields.kept));
    return passage_over(passage, exchange_end);
}

enum state passage_on_relay(struct passage *passage)
{
    enum fetch_progress progress;

    if (!passage->has_responded && !respond_fetched(passage)) {
        fetch_leave(&passage->reader);
        return passage_refuse(passage, 503, "out of memory");
    }
    for (;;) {
        /* Where no body comes, the end is awaited nevertheless, so that the connection to the origin is
         * kept; where one comes that this client does not want, it is left to those who do. */
        size_t room = passage->skips_body ? 0 : exchange_room(passage->x);
        const struct fetch_head *head = fetch_head(&passage->reader);
        struct bytes piece;

        if (passage->reader.is_cut) {
            counters_add(passage->worker->counters, METRIC_gateway_stragglers, 1);
            return passage_over(passage, exchange_abort);
        }
        if (passage->skips_body &&
            !(passage->reader.is_leader && (passage->x->request->method == HTTP_METHOD_HEAD ||
                                            head->facts.status == 204 || head->facts.status == 304)))
            return end_of(passage, head);
        if (!passage->skips_body && room == 0)
            return STATE_relay;
        piece = fetch_read(&passage->reader, passage->skips_body ? SIZE_MAX : room, &progress);
        if (piece.size > 0) {
            if (passage->skips_body)
                continue;
            piece = cut(passage, piece);
            passage->sent_bytes += piece.size;
            if (passage->promised_bytes >= 0 && passage->sent_bytes > (uint64_t)passage->promised_bytes)
                return passage_over(passage, exchange_abort);
            tell_if_too_large(passage);
            exchange_send(passage->x, piece);
            if (passage->is_cut && passage->sent_bytes == (uint64_t)passage->promised_bytes)
                return passage_over(passage, exchange_end);
            continue;
        }
        switch (progress) {
        case FETCH_WAITING:
        case FETCH_FLOWING: return STATE_relay;
        case FETCH_COMPLETE:
            if (!passage->skips_body && passage->promised_bytes >= 0 &&
                passage->sent_bytes != (uint64_t)passage->promised_bytes)
                return passage_over(passage, exchange_abort);
            return end_of(passage, head);
        case FETCH_FAILED:
        case FETCH_AGAIN: return passage_over(passage, passage->skips_body ? exchange_end : exchange_abort);
        }
    }
}
