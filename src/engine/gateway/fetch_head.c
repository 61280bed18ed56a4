/* fetch_head.c — the head of a response has come: it is judged, and made known. */
#include "engine/gateway/policy/key_rule.h"
#include "engine/gateway/policy/validate.h"
#include "fetch_state.h"
#include "generation_key.h"
#include "page_set.h"

enum { NOT_SHAREABLE_MS = 5000 }; /* for how long that is noted */

/* What was asked for is a part: nothing else is stored. A 206 may be if a 200 that says the same might. */
static void judge_part(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    struct response_facts facts = head->facts;
    struct http_range range;
    uint64_t size;

    if (facts.status != 206 || fetch->key.size == 0 || head->is_outdated ||
        !purge_watch_has_tags(&fetch->watch) || !part_of(buffer_bytes(&head->fields.kept), &range, &size) ||
        range.end - range.start > (uint64_t)fetch->route->policy.object_bytes_max ||
        (head->body_bytes != HTTP_BODY_UNKNOWN && head->body_bytes != (int64_t)(range.end - range.start)))
        return;
    facts.status = 200;
    head->is_stored = may_store(&facts, &fetch->traits, &fetch->route->policy);
    if (head->is_stored)
        generations_keep(fetch->gateway, head->received.mono_ms,
                         bytes_first(buffer_bytes(&fetch->key), fetch->primary_size));
    head->is_shared =
        head->is_stored && fetch->may_be_shared && may_share(&facts, &fetch->traits, &fetch->route->policy);
}

/* What there is goes, and with it the pages behind it, if there are any: nothing takes its place. */
static void drop_superseded(const struct fetch *fetch)
{
    struct bytes key = buffer_bytes(&fetch->key);

    nh_delete(fetch->gateway->store, fetch->head.received.mono_ms, gateway_key(fetch->gateway, key));
    if (fetch->route->policy.prefetch_next != 0)
        page_set_drop(fetch->gateway, bytes_first(key, fetch->primary_size), false);
}

/* Decides what may become of the response. */
static void judge(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    const struct response_facts *facts = &head->facts;
    const struct route_policy *policy = &fetch->route->policy;
    bool fits = head->body_bytes <= policy->object_bytes_max;
    bool takes_place = !(facts->status >= 500 && fetch->replaces_entry);
    bool is_taggable = purge_watch_has_tags(&fetch->watch);
    /* RFC 9110 §9.3.3: what answers a body is kept only if the origin says how long. */
    bool is_guessed = fetch->is_body_keyed && !facts->freshness.is_explicit;

    head->is_outdated = fetch->key.size > 0 && is_taggable &&
                        purge_watch_forbids(&fetch->watch, fetch->gateway, buffer_bytes(&fetch->key));
    if (fetch->asks_for_part && facts->status != 200) {
        judge_part(fetch);
        return;
    }
    head->is_stored = fetch->key.size > 0 && is_taggable && !head->is_outdated && !is_guessed && fits &&
                      takes_place &&
                      (fetch->method == HTTP_METHOD_POST && !fetch->is_body_keyed
                           ? !key_selects(policy) && may_store_post(facts, &fetch->traits, policy)
                           : may_store(facts, &fetch->traits, policy));
    if (fetch->supersedes && !head->is_limited && outdates_others(facts->status) &&
        !(fits && is_taggable && may_store(facts, &(struct request_traits){0}, policy)))
        drop_superseded(fetch);
    if (head->is_stored)
        generations_keep(fetch->gateway, head->received.mono_ms,
                         bytes_first(buffer_bytes(&fetch->key), fetch->primary_size));
    if (head->is_stored && head->vary.size > 0)
        head->is_stored = fetch_become_variant(fetch);
    head->is_shared = fetch->may_be_shared && head->is_stored && may_share(facts, &fetch->traits, policy);
    if (head->is_shared || head->is_outdated)
        return;
    if (facts->status < 500) {
        if (facts->status != 304 && !head->is_limited) /* which say nothing of what others would get */
            fetch_take_note(fetch, NOTE_NOT_SHAREABLE, facts->status, NOT_SHAREABLE_MS);
        return;
    }
    head->is_shared = fetch->may_be_shared && may_share_failure(facts, &fetch->traits);
    if (fetch->replaces_entry)
        fetch_take_note(fetch, NOTE_FAILING, facts->status, FAILING_MS);
}

/* Makes the head known. */
static void publish(struct fetch *fetch)
{
    bool is_kept = fetch->head.is_stored;
    bool may_be_joined = fetch->may_be_shared && fetch->head.is_stored && fetch->head.is_shared;

    if (is_kept && !fetch->may_be_shared && fetch->takes_notes &&
        may_share(&fetch->head.facts, &fetch->traits, &fetch->route->policy))
        fetch_drop_note(fetch); /* it said that nobody should wait: now it pays to */
    if (!is_kept)
        fetch_lease_give_back(fetch, !fetch->head.is_shared && !fetch->head.is_outdated &&
                                         fetch->head.facts.status < 500 &&
                                         fetch->head.facts.status != 304 && !fetch->head.is_limited);
    fetch_lock(fetch);
    if (!is_kept)
        fetch_stop_keeping(fetch);
    /* It may have been taken out meanwhile by an invalidation: then it stays out. */
    if (!list_is_empty(&fetch->in_table)) {
        fetch_leave_table(fetch);
        if (may_be_joined)
            fetch_enter_table(fetch);
    }
    fetch->has_head = true;
    fetch->progress = FETCH_FLOWING;
    fetch_wake_readers(fetch);
    fetch_unlock(fetch);
    /* Others will wait for what is kept: an origin that falls silent must not keep them waiting for ever.
     * What is only passed on may be silent as long as its one client likes. */
    if (is_kept)
        origin_limit_silence(fetch->call, fetch->route->policy.first_byte_timeout_ms);
}

void fetch_conclude(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;

    judge(fetch);
    if (head->vary.size > 0 && (head->is_shared || fetch->asks_for_part)) {
        char values[CACHE_KEY_BYTES_MAX];
        size_t size;
        if (vary_values(bytes_of(head->vary.text, head->vary.size), &fetch->upstream.fields, values,
                        sizeof values, &size))
            buffer_append(&head->vary_values, bytes_of(values, size));
        else
            head->is_shared = head->is_stored = false;
    }
    if (response_fields_failed(&head->fields) || head->reason.failed || head->vary_values.failed) {
        fetch_cancel(fetch, ERR_NO_MEMORY);
        return;
    }
    publish(fetch);
    fetch_drop_if_unwanted(fetch);
}

void fetch_take_reason(struct fetch_head *head, struct bytes reason)
{
    head->has_reason = reason.data != NULL;
    if (head->has_reason)
        buffer_append(&head->reason, reason);
}

void fetch_take_fields(struct fetch *fetch, int status, const struct http_fields *fields, bool is_forwarded)
{
    struct fetch_head *head = &fetch->head;
    const struct route_policy *policy = &fetch->route->policy;

    head->facts = response_facts_of(status, fields, fetch->requested, head->received, policy);
    vary_of(fields, &head->vary);
    purge_watch_read(&fetch->watch, fields, origin_of_url(buffer_bytes(&fetch->route->upstream->base_url)));
    purge_watch_add_page_set(&fetch->watch, fetch->page_set);
    response_fields_render(&head->fields, fields, &head->facts.directives, policy, head->received,
                           is_forwarded);
}

void fetch_on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                   int64_t body_bytes)
{
    struct fetch *fetch = owner;
    struct fetch_head *head = &fetch->head;

    head->received = loop_now(fetch->worker->loop);
    head->origin_status = status;
    head->body_bytes = body_bytes;
    head->is_limited = fetch->sending.is_limited;
    if (!fetch->is_safe)
        fetch_on_written(fetch, status, fields);
    if (fetch->method == HTTP_METHOD_HEAD && fetch->key.size > 0) {
        if (status == 200)
            fetch_learn_from_head(fetch, fields, body_bytes);
        buffer_fini(&fetch->key);
    }
    if (status == 304 && fetch->is_validation) {
        fetch_on_not_modified(fetch, fields);
        return;
    }
    if (status == 304 && !fetch->with_preconditions) {
        fetch_cancel(fetch, ERR_SYNTAX); /* nobody asked a condition */
        return;
    }
    fetch_take_fields(fetch, status, fields, true);
    if (!bytes_equal(reason, http_status_reason(status)))
        fetch_take_reason(head, reason);
    fetch_conclude(fetch);
}
