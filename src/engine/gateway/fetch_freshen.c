/* fetch_freshen.c — what the origin says of an entry that it does not send again: that it is good (304), or
 * its head alone (HEAD). */
#include "engine/gateway/policy/validate.h"
#include "fetch_state.h"
#include <stdlib.h>

/* ---- HEAD ---------------------------------------------------------------------------------------- */

/* RFC 9111 §4.1: whether the response is chosen by the same fields as before. */
static bool varies_alike(const struct stored_response *stored, const struct http_fields *now)
{
    struct http_fields before = freshened_fields(stored->fields, stored->hidden, &(struct http_fields){0});
    struct vary was, is;
    bool is_alike = before.list != NULL && vary_of(&before, &was) && vary_of(now, &is) &&
                    bytes_equal(bytes_of(was.text, was.size), bytes_of(is.text, is.size));

    free(before.list);
    return is_alike;
}

/* Puts the entry again, with the fields that the answer to a HEAD freshens. */
static void store_freshened(struct fetch *fetch, const nh_value *entry,
                            const struct stored_response *stored, const struct http_fields *fields)
{
    const struct route_policy *policy = &fetch->route->policy;
    struct now received = fetch->head.received;
    struct http_fields merged = freshened_fields(stored->fields, stored->hidden, fields);
    struct response_fields rendered = {0};
    struct response_facts facts;
    struct stored_response fresh;
    struct buffer value = {0};

    if (merged.list == NULL)
        return;
    if (!varies_alike(stored, &merged)) { /* its place is elsewhere: which, the next GET tells */
        nh_delete(fetch->gateway->store, received.mono_ms,
                  gateway_key(fetch->gateway, buffer_bytes(&fetch->key)));
        free(merged.list);
        return;
    }
    facts = response_facts_of(stored->status, &merged, fetch->requested, received, policy);
    purge_watch_read(&fetch->watch, &merged,
                     origin_of_url(buffer_bytes(&fetch->route->upstream->base_url)));
    response_fields_render(&rendered, &merged, &facts.directives, policy, received, false);
    fresh = stored_response_of(&facts, received, buffer_bytes(&rendered.kept));
    fresh.hidden = buffer_bytes(&rendered.hidden);
    fresh.reason = stored->reason;
    fresh.body_number = stored->body_number;
    fresh.shared = stored->shared;
    fresh.fetch_ms = stored->fetch_ms;
    fresh.page_set = stored->page_set;
    purge_watch_add_page_set(&fetch->watch, stored->page_set);
    fresh.asker = stored->asker;
    fresh.flags |= stored->flags & STORED_VALID_FOR_ALL;
    if (may_store(&facts, &fetch->traits, policy) && !response_fields_failed(&rendered) &&
        fetch_begin_value(fetch, &value, &fresh, stored->body_bytes)) {
        for (uint64_t offset = 0; offset < stored->body_bytes;) {
            struct bytes piece = value_body_piece(fetch->gateway, entry, stored, offset);
            buffer_append(&value, piece);
            offset += piece.size;
        }
        fetch_put(fetch, buffer_bytes(&fetch->key), &value, received.mono_ms,
                  stored_keep_ms(&fresh, policy));
    }
    buffer_fini(&value);
    response_fields_fini(&rendered);
    free(merged.list);
}

void fetch_learn_from_head(struct fetch *fetch, const struct http_fields *fields, int64_t body_bytes)
{
    struct gateway *gateway = fetch->gateway;
    nh_key key = gateway_key(gateway, buffer_bytes(&fetch->key));
    int64_t now_mono_ms = fetch->head.received.mono_ms;
    struct stored_response stored;
    nh_value entry;

    if (nh_borrow(gateway->store, now_mono_ms, key, &entry) != NH_OK)
        return;
    if (value_response(gateway, buffer_bytes(&fetch->key), &entry, &stored) && stored.status == 200 &&
        (stored.asker == fetch->asker || (stored.flags & STORED_VALID_FOR_ALL))) {
        if (is_described_by(&stored, fields, body_bytes))
            store_freshened(fetch, &entry, &stored, fields);
        else
            nh_delete(gateway->store, now_mono_ms, key);
    }
    nh_release(gateway->store, &entry);
}

/* ---- 304 ----------------------------------------------------------------------------------------- */

/* Nothing can be made of the origin's answer: readers begin anew. */
static void begin_anew(struct fetch *fetch)
{
    fetch_lock(fetch);
    fetch_leave_table(fetch);
    fetch->progress = FETCH_AGAIN;
    fetch_wake_readers(fetch);
    fetch_unlock(fetch);
}

static bool append_stored_body(struct fetch *fetch, const nh_value *value,
                               const struct stored_response *stored)
{
    for (uint64_t offset = 0; offset < stored->body_bytes;) {
        struct bytes piece = value_body_piece(fetch->gateway, value, stored, offset);
        if (!fetch_append_body(fetch, piece))
            return false;
        offset += piece.size;
    }
    return true;
}

/* It may be another one by now than the one we asked about. */
static bool is_the_one(const struct fetch *fetch, const struct stored_response *stored,
                       const struct http_fields *fields)
{
    struct stored_response asked = *stored;

    asked.etag = buffer_bytes(&fetch->etag);
    asked.last_modified = buffer_bytes(&fetch->last_modified);
    return (stored->body_number == fetch->body_number ||
            (bytes_equal(stored->etag, asked.etag) &&
             bytes_equal(stored->last_modified, asked.last_modified))) &&
           is_validated_by(&asked, fields);
}

/* Whose the validators are that a stored answer has once it is freshened. */
static uint64_t asker_of_freshened(const struct fetch *fetch, const struct stored_response *stored,
                                   const struct http_fields *merged)
{
    const struct http_field *etag = http_fields_find(merged, HTTP_HEADER_ETAG),
                            *modified = http_fields_find(merged, HTTP_HEADER_LAST_MODIFIED);
    bool is_as_before =
        bytes_equal(stored->etag, etag != NULL ? etag->value : (struct bytes){0}) &&
        bytes_equal(stored->last_modified, modified != NULL ? modified->value : (struct bytes){0});

    return is_as_before ? stored->asker : fetch->asker;
}

void fetch_on_not_modified(struct fetch *fetch, const struct http_fields *fields)
{
    struct gateway *gateway = fetch->gateway;
    struct fetch_head *head = &fetch->head;
    nh_key key = gateway_key(gateway, buffer_bytes(&fetch->key));
    struct stored_response stored;
    struct http_fields merged = {0};
    nh_value value;
    bool is_good = false;

    counters_add(fetch->worker->counters, METRIC_gateway_not_modified, 1);
    atomic_fetch_add_explicit(&fetch->route->counts->not_modified, 1, memory_order_relaxed);
    if (nh_borrow(gateway->store, head->received.mono_ms, key, &value) != NH_OK) {
        begin_anew(fetch);
        return;
    }
    if (value_response(gateway, buffer_bytes(&fetch->key), &value, &stored) &&
        is_the_one(fetch, &stored, fields)) {
        merged = freshened_fields(stored.fields, stored.hidden, fields);
        if (merged.list != NULL) {
            fetch->asker = asker_of_freshened(fetch, &stored, &merged);
            fetch_take_fields(fetch, stored.status, &merged, false);
            fetch_take_reason(head, stored.reason);
            head->body_bytes = (int64_t)stored.body_bytes;
            head->body_number = stored.body_number;
            is_good = append_stored_body(fetch, &value, &stored);
            free(merged.list);
        }
    } else {
        nh_delete(gateway->store, head->received.mono_ms, key);
    }
    nh_release(gateway->store, &value);
    if (!is_good) {
        begin_anew(fetch);
        return;
    }
    fetch_conclude(fetch);
}
