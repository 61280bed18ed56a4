/* fetch_begin.c — a fetch is joined, or made and sent. */
#include "base/hash.h"
#include "engine/gateway/routing/asker.h"
#include "fetch_state.h"
#include "fetch_table.h"
#include "search_alias.h"
#include <stdlib.h>

/* Makes a fetch that nobody knows of yet; null if there is no memory. */
static struct fetch *fetch_create(struct gateway_worker *worker, const struct fetch_order *order)
{
    struct gateway *gateway = worker->gateway;
    struct fetch *fetch = calloc(1, sizeof *fetch);

    if (fetch == NULL)
        return NULL;
    fetch->gateway = gateway;
    fetch->route = route_hold(order->route);
    fetch->worker = worker;
    fetch->reference_count = 1;
    fetch->task.run = fetch_attend;
    timer_init(&fetch->handover, fetch_hand_over);
    timer_init(&fetch->turn, fetch_turn_come);
    fetch->quota_class = order->quota_class;
    fetch->page_set = order->page_set;
    fetch->ticket.is_impatient = order->is_impatient;
    fetch->traits = order->traits;
    fetch->method = order->request->method;
    fetch->is_safe = order->is_body_keyed || http_method_is_safe(order->request->method);
    fetch->is_body_keyed = order->is_body_keyed;
    buffer_append(&fetch->body, order->body);
    fetch->may_be_shared = order->is_shared;
    fetch->takes_notes = order->takes_notes;
    fetch->replaces_entry = order->replaces_entry;
    fetch->supersedes = order->supersedes;
    fetch->with_preconditions = order->with_preconditions;
    fetch->is_validation = order->etag.size > 0 || order->last_modified.size > 0;
    fetch->asks_for_part =
        order->with_preconditions && http_fields_find(&order->request->fields, HTTP_HEADER_RANGE) != NULL;
    fetch->has_if_range = http_fields_find(&order->request->fields, HTTP_HEADER_IF_RANGE) != NULL;
    fetch->body_number = order->body_number;
    fetch->asker = asker_identity(order->route, &order->request->fields);
    fetch->requested = loop_now(worker->loop);
    purge_watch_begin(&fetch->watch, gateway);
    list_init(&fetch->in_worker);
    list_init(&fetch->in_table);
    list_init(&fetch->readers);
    buffer_append(&fetch->etag, order->etag);
    buffer_append(&fetch->last_modified, order->last_modified);
    buffer_append(&fetch->range, order->range);
    if (order->key != NULL) {
        buffer_append(&fetch->key, cache_key_bytes(order->key));
        fetch->primary_size = order->key->primary_size;
        fetch->hash = hash_bytes(cache_key_primary(order->key), gateway->seed);
    }
    if (!fetch->is_safe) {
        buffer_append(&fetch->path, order->request->path);
        buffer_append(&fetch->query, order->request->query);
        fetch->has_query = order->request->has_query;
        buffer_append(&fetch->authority, order->request->authority);
    }
    fetch->shard = shard_of(gateway, fetch->hash);
    fetch->last = chunk_create(0);
    if (fetch->last != NULL) {
        fetch->first = chunk_hold(fetch->last);
        fetch->is_kept = true;
    }
    if (!upstream_fields_init(
            &fetch->upstream, &order->request->fields,
            &(struct upstream_wish){order->with_preconditions, order->key != NULL && fetch->is_safe}) ||
        fetch->last == NULL || fetch->key.failed || fetch->body.failed || fetch->path.failed ||
        fetch->query.failed || fetch->authority.failed || fetch->etag.failed ||
        fetch->last_modified.failed || fetch->range.failed) {
        fetch_destroy(fetch);
        return NULL;
    }
    return fetch;
}

enum err fetch_send(struct fetch *fetch, const struct http_request *request)
{
    struct gateway_worker *worker = fetch->worker;
    struct buffer target = {0};
    struct http_fields fields = {calloc(fetch->upstream.fields.count + 3, sizeof *fields.list), 0};
    enum err err = ERR_NO_MEMORY;

    buffer_append(&target, request->path);
    if (request->has_query) {
        buffer_append_byte(&target, '?');
        buffer_append(&target, request->query);
    }
    if (fields.list != NULL && !target.failed) {
        if (fetch->upstream.fields.count > 0)
            memcpy(fields.list, fetch->upstream.fields.list,
                   fetch->upstream.fields.count * sizeof *fields.list);
        fields.count = fetch->upstream.fields.count;
        if (fetch->etag.size > 0)
            fields.list[fields.count++] = (struct http_field){
                HTTP_HEADER_IF_NONE_MATCH, BYTES("If-None-Match"), buffer_bytes(&fetch->etag)};
        if (fetch->last_modified.size > 0)
            fields.list[fields.count++] =
                (struct http_field){HTTP_HEADER_IF_MODIFIED_SINCE, BYTES("If-Modified-Since"),
                                    buffer_bytes(&fetch->last_modified)};
        if (fetch->route->credential.value.size > 0)
            fields.list[fields.count++] = fetch->route->credential;
        err = upstream_call_start(
            &fetch->sending, fetch->by, worker->loop, worker->counters,
            &(struct upstream_request){
                .method = request->method_name,
                .target = buffer_bytes(&target),
                .host = route_host(fetch->route, request),
                .fields = fields,
                .body_bytes = request->body_bytes,
                .ticket = &fetch->ticket,
                .timeouts = {.connect_ms = fetch->route->upstream->policy.connect_timeout_ms,
                             .first_byte_ms = fetch->route->policy.first_byte_timeout_ms,
                             .total_ms = fetch->route->policy.total_timeout_ms}},
            &fetch_callbacks, fetch, &fetch->call);
    }
    free(fields.list);
    buffer_fini(&target);
    if (err != OK)
        return err;
    counters_add(worker->counters, METRIC_gateway_fetches, 1);
    if (fetch->is_validation) {
        counters_add(worker->counters, METRIC_gateway_revalidations, 1);
        atomic_fetch_add_explicit(&fetch->route->counts->revalidations, 1, memory_order_relaxed);
    }
    return OK;
}

/* Whether there is another thing under the order's key by now than the one who ordered saw. Asked once the
 * order is alone in the table: who was there before put what it brought, and then left. */
static bool has_come(struct gateway *gateway, int64_t now_mono_ms, const struct fetch_order *order)
{
    struct stored_response response;
    struct stored_variants variants;
    bool has_come;
    nh_value value;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(order->key)), &value) !=
        NH_OK)
        return false;
    if (value_response(gateway, cache_key_bytes(order->key), &value, &response))
        has_come = !order->has_found || response.received_mono_ms != order->found_received_mono_ms;
    else
        has_come = stored_variants_decode(bytes_of_value(&value), gateway->seed, &variants);
    nh_release(gateway->store, &value);
    return has_come;
}

enum err fetch_join_or_begin(struct gateway_worker *worker, const struct fetch_order *order,
                             struct reader *reader, bool *joined)
{
    struct gateway *gateway = worker->gateway;
    struct fetch *fetch;
    enum err err;

    *joined = false;
    if (order->is_shared) {
        struct fetch_shard *shard =
            shard_of(gateway, hash_bytes(cache_key_primary(order->key), gateway->seed));
        pthread_mutex_lock(&shard->lock);
        *joined = fetch_join(shard, order, reader);
        pthread_mutex_unlock(&shard->lock);
        if (*joined)
            return OK;
    }
    fetch = fetch_create(worker, order);
    if (fetch == NULL)
        return ERR_NO_MEMORY;
    fetch->fence_count = fence_count(fetch->shard, fetch->hash);
    if (order->key != NULL && fetch->method == HTTP_METHOD_GET)
        fetch->search_count = search_alias_count(gateway, cache_key_primary(order->key));
    fetch_lock(fetch);
    /* Another worker may have been quicker. */
    *joined = order->is_shared && fetch_join(fetch->shard, order, reader);
    if (*joined) {
        fetch_unlock(fetch);
        fetch_destroy(fetch);
        return OK;
    }
    if (order->is_shared)
        list_append(&fetch->shard->fetches, &fetch->in_table);
    if (reader != NULL)
        fetch_attach(fetch, reader, true);
    fetch_unlock(fetch);
    list_append(&worker->fetches, &fetch->in_worker);
    if (order->is_shared && has_come(gateway, fetch->requested.mono_ms, order)) {
        if (reader != NULL)
            fetch_leave(reader);
        /* The maker's reference is still held. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        fetch_finish(fetch, FETCH_AGAIN, OK);
        return ERR_CHANGED;
    }
    err = order->takes_lease && order->is_shared && fetch->method == HTTP_METHOD_GET &&
                  fetch->range.size == 0 && fetch_lease_take(fetch, order->request, order->fleet_number)
              ? OK
              : fetch_start(fetch, order->request);
    if (err == ERR_LIMITED && reader != NULL) { /* which the reader is told as any failure */
        fetch_finish(fetch, FETCH_FAILED, err);
        return OK;
    }
    if (err != OK) {
        if (reader != NULL)
            fetch_leave(reader);
        /* The maker's reference is still held. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        fetch_finish(fetch, FETCH_FAILED, err);
    } else if (order->is_shared) {
        fetch_limit_hold(fetch);
    }
    return err;
}
