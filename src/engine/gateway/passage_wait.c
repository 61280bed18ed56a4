/* passage_wait.c — a passage waits for the head of what is fetched, for it or for another. */
#include "passage.h"

enum { HANDOVERS_MAX = 2 };

/* What others began has no head yet. Whoever has waited for several of them waits for the last to its end,
 * so that an origin that never answers is seen to fail. */
static enum state wait_or_hand_over(struct passage *passage)
{
    if (passage->handovers == HANDOVERS_MAX || !fetch_is_overdue(&passage->reader))
        return STATE_wait;
    passage->handovers++;
    counters_add(passage->worker->counters, METRIC_gateway_handovers, 1);
    fetch_leave(&passage->reader);
    return STATE_lookup;
}

/* The origin did not answer, or only with an error: a stale response may do. */
static bool find_stale(struct passage *passage, enum failure failure)
{
    struct gateway *gateway = passage->worker->gateway;
    int64_t now_mono_ms = passage_now(passage).mono_ms;
    struct cache_key key;

    if (passage->facts.plan != PLAN_CACHE || !passage_key(passage, KEY_TO_LOOK, &key))
        return false;
    found_find(gateway, now_mono_ms, upstream_request(passage), &key, &passage->found);
    passage_believe(passage, &key);
    if (found_may_stand_in(failure, passage->route, &passage->facts, &passage->found, now_mono_ms))
        return true;
    found_release(gateway, &passage->found);
    return false;
}

/* The upstream was not asked. */
static enum state fail_limited(struct passage *passage)
{
    struct fetch_refusal refusal = fetch_refusal(&passage->reader);
    struct limited_terms terms = limited_terms(refusal.verdict);
    bool is_anothers = !passage->reader.is_leader;

    fetch_leave(&passage->reader);
    if (is_anothers && refusal.class > passage_quota_class(passage) && passage->rounds < ROUNDS_MAX)
        return passage_look_again(passage); /* one more urgent than that may be let go */
    if (find_stale(passage, FAILURE_UNREACHABLE)) {
        passage->status.reason = FORWARD_STALE;
        return passage_serve_stale(passage, terms.detail);
    }
    passage->status.reason = FORWARD_REFUSED;
    passage->status.detail = terms.detail;
    passage->status.collapsed = false;
    passage->refusal_seconds = refusal.retry_after_seconds;
    return passage_refuse(passage, terms.status, terms.text);
}

static enum state fail(struct passage *passage, enum err failure)
{
    if (failure == ERR_LIMITED)
        return fail_limited(passage);
    fetch_leave(&passage->reader);
    if (failure == ERR_CANCELLED && passage->facts.plan == PLAN_CACHE && passage->rounds < ROUNDS_MAX)
        return passage_look_again(passage); /* another worker ended, and its fetches with it */
    if (find_stale(passage, FAILURE_UNREACHABLE)) {
        passage->status.reason = FORWARD_STALE;
        return passage_serve_stale(passage, "origin-unreachable");
    }
    return passage_refuse(passage, failure == ERR_TIMEOUT ? 504 : 502, origin_failure_text(failure));
}

/* RFC 9111 §4.1: whether what was fetched for another answers this request as well. */
static bool is_for(const struct passage *passage, const struct fetch_head *head)
{
    char values[CACHE_KEY_BYTES_MAX];
    size_t size;

    if (passage->reader.is_leader)
        return true;
    if (!head->is_shared)
        return false;
    return head->vary.size == 0 ||
           (vary_values(bytes_of(head->vary.text, head->vary.size), &upstream_request(passage)->fields,
                        values, sizeof values, &size) &&
            bytes_equal(bytes_of(values, size), buffer_bytes(&head->vary_values)));
}

/* RFC 5861 §4. */
static bool is_error(int status) { return status == 500 || (status >= 502 && status <= 504); }

enum state passage_on_wait(struct passage *passage)
{
    const struct fetch_head *head;

    switch (fetch_look(&passage->reader)) {
    case FETCH_WAITING: return wait_or_hand_over(passage);
    case FETCH_AGAIN: return passage_look_again(passage);
    case FETCH_FAILED:
        if (!fetch_has_head(&passage->reader))
            return fail(passage, fetch_error(&passage->reader));
        break; /* it had begun: relay what there is, then cut */
    case FETCH_FLOWING:
    case FETCH_COMPLETE: break;
    }
    head = fetch_head(&passage->reader);
    if (!is_for(passage, head)) {
        passage->is_alone |= !head->is_shared && !head->is_outdated;
        return passage_look_again(passage);
    }
    if (head->is_limited && find_stale(passage, FAILURE_UNREACHABLE)) {
        passage->status.reason = FORWARD_STALE;
        passage->status.origin_status = head->facts.status;
        fetch_leave(&passage->reader);
        return passage_serve_stale(passage, "limited");
    }
    if (is_error(head->facts.status) && find_stale(passage, FAILURE_ERROR)) {
        passage->status.reason = FORWARD_STALE;
        passage->status.origin_status = head->facts.status;
        fetch_leave(&passage->reader);
        return passage_serve_stale(passage, "stale-if-error");
    }
    if (passage->status.collapsed)
        counters_add(passage->worker->counters, METRIC_gateway_collapsed, 1);
    return STATE_relay;
}
