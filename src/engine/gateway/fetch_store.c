/* fetch_store.c — what a fetch puts into the store: the response, a part of one, notes for later requests.
 */
#include "entry_watch.h"
#include "fetch_state.h"
#include "invalidate.h"
#include "page_set.h"
#include "parts_add.h"
#include "search_alias.h"
#include "validators.h"
#include "variants.h"
#include <assert.h>

bool fetch_put(struct fetch *fetch, struct bytes key, const struct buffer *value, int64_t now_mono_ms,
               int64_t ttl_ms)
{
    bool is_put = false;

    if (value->failed)
        return false;
    pthread_mutex_lock(&fetch->shard->store_lock);
    if (!fetch_is_fenced(fetch))
        is_put =
            purge_watch_put(&fetch->watch, fetch->gateway, now_mono_ms, key, buffer_bytes(value), ttl_ms);
    pthread_mutex_unlock(&fetch->shard->store_lock);
    if (is_put && bytes_equal(key, buffer_bytes(&fetch->key))) /* else it is a note, or a part */
        entry_changed(fetch->gateway, fetch->hash);
    return is_put;
}

/* ---- notes --------------------------------------------------------------------------------------- */

static void marker_key_of(const struct fetch *fetch, struct cache_key *key)
{
    marker_of_primary(bytes_first(buffer_bytes(&fetch->key), fetch->primary_size), key);
}

void fetch_take_note(struct fetch *fetch, enum note_kind kind, int status, int64_t ttl_ms)
{
    struct buffer value = {0};
    struct cache_key key;

    if (!fetch->takes_notes || fetch->key.size == 0)
        return;
    marker_key_of(fetch, &key);
    stored_note_encode(&value, fetch->gateway->seed, &(struct stored_note){kind, status});
    fetch_put(fetch, cache_key_bytes(&key), &value, loop_now(fetch->worker->loop).mono_ms, ttl_ms);
    buffer_fini(&value);
}

void fetch_drop_note(struct fetch *fetch)
{
    struct cache_key key;

    marker_key_of(fetch, &key);
    nh_delete(fetch->gateway->store, loop_now(fetch->worker->loop).mono_ms,
              gateway_key(fetch->gateway, cache_key_bytes(&key)));
}

/* ---- whole responses ----------------------------------------------------------------------------- */

/* Makes `fetch->key` the key of the variant that this response is, and sees that it will be found. */
bool fetch_become_variant(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    struct buffer renamed = {0};
    struct cache_key key;
    bool is_ok;

    memcpy(key.text, fetch->key.data, fetch->primary_size);
    key.primary_size = key.size = fetch->primary_size;
    pthread_mutex_lock(&fetch->shard->store_lock);
    head->is_outdated |= fetch_is_fenced(fetch); /* which says nothing of what others will get */
    is_ok =
        !head->is_outdated && variants_enter(fetch->gateway, head->received.mono_ms, &key,
                                             bytes_of(head->vary.text, head->vary.size),
                                             &fetch->upstream.fields, fetch_lease_share(fetch).number != 0);
    pthread_mutex_unlock(&fetch->shard->store_lock);
    if (!is_ok)
        return false;
    /* Other workers compare the key of a fetch that is in the table. */
    buffer_append(&renamed, cache_key_bytes(&key));
    is_ok = !renamed.failed;
    fetch_lock(fetch);
    buffer_fini(&fetch->key);
    fetch->key = renamed;
    fetch_unlock(fetch);
    return is_ok;
}

static void parts_key_of(const struct fetch *fetch, struct cache_key *key)
{
    assert(fetch->key.data != NULL); /* what is stored has a key */
    memcpy(key->text, fetch->key.data, fetch->primary_size);
    key->primary_size = fetch->primary_size;
    cache_key_part(key);
}

/* Those of before say less than the whole that has come. */
static void drop_parts(const struct fetch *fetch)
{
    struct cache_key key;

    parts_key_of(fetch, &key);
    nh_delete(fetch->gateway->store, loop_now(fetch->worker->loop).mono_ms,
              gateway_key(fetch->gateway, cache_key_bytes(&key)));
}

bool fetch_begin_value(const struct fetch *fetch, struct buffer *value, struct stored_response *response,
                       uint64_t body_bytes)
{
    response->received_mono_ms += fetch->gateway->stored_clock_offset_ms;
    response->birth = fetch->watch.birth;
    /* Once, at its size: growing by doubling would copy a large body several times over. */
    if (buffer_reserve(value, stored_response_bytes(response) + body_bytes) == NULL)
        return false;
    stored_response_encode(value, fetch->gateway->seed, response);
    return true;
}

/* Whether another that began later has come first. */
static bool is_outdated(const struct fetch *fetch)
{
    struct gateway *gateway = fetch->gateway;
    struct stored_response stored;
    nh_value value;
    bool is_outdated;

    if (nh_borrow(gateway->store, loop_now(fetch->worker->loop).mono_ms,
                  gateway_key(gateway, buffer_bytes(&fetch->key)), &value) != NH_OK)
        return false;
    is_outdated = value_response(gateway, buffer_bytes(&fetch->key), &value, &stored) &&
                  (fetch->is_overdue ? stored.received_mono_ms >= fetch->requested.mono_ms
                                     : stored.received_mono_ms > fetch->head.received.mono_ms);
    nh_release(gateway->store, &value);
    return is_outdated;
}

/* At least 1. */
static uint32_t fetch_cost_ms(const struct fetch *fetch, int64_t now_mono_ms)
{
    int64_t cost_ms = now_mono_ms - fetch->requested.mono_ms;

    return cost_ms < 1 ? 1 : cost_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)cost_ms;
}

/* What is stored so far may be the same body, as another credential was given it. */
static void carry_validators(struct fetch *fetch, struct buffer *value, struct stored_response *response,
                             int64_t keep_ms)
{
    struct gateway *gateway = fetch->gateway;
    nh_key key = gateway_key(gateway, buffer_bytes(&fetch->key));
    int64_t now_mono_ms = loop_now(fetch->worker->loop).mono_ms;
    struct bytes body = bytes_after(buffer_bytes(value), stored_response_bytes(response));
    struct stored_response before;
    struct buffer head = {0};
    nh_value stored;

    if (value->failed || nh_borrow(gateway->store, now_mono_ms, key, &stored) != NH_OK)
        return;
    if (value_response(gateway, buffer_bytes(&fetch->key), &stored, &before)) {
        validators_carry(gateway, now_mono_ms, &stored, &before, body, keep_ms, response);
        stored_response_encode(&head, gateway->seed, response);
        if (!head.failed)
            memcpy(value->data, head.data, head.size);
    }
    nh_release(gateway->store, &stored);
    buffer_fini(&head);
}

static void store_response(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    struct buffer value = {0};
    struct stored_response response =
        stored_response_of(&head->facts, head->received, buffer_bytes(&head->fields.kept));
    int64_t now_mono_ms = loop_now(fetch->worker->loop).mono_ms;
    int64_t keep_ms = stored_keep_ms(&response, &fetch->route->policy);
    bool is_put;

    if (is_outdated(fetch))
        return;
    response.hidden = buffer_bytes(&head->fields.hidden);
    response.reason = fetch_reason(head);
    response.shared = fetch_lease_share(fetch);
    response.page_set = fetch->page_set;
    response.fetch_ms = fetch_cost_ms(fetch, now_mono_ms);
    response.asker = fetch->asker;
    response.body_number =
        head->body_number != 0 ? head->body_number : atomic_fetch_add(&fetch->gateway->generation, 1) + 1;
    if (!fetch_begin_value(fetch, &value, &response, fetch->body_bytes))
        return;
    fetch_copy_body(fetch, &value);
    carry_validators(fetch, &value, &response, keep_ms);
    drop_parts(fetch);
    if (!value.failed && head->body_number == 0) /* else it is the same, confirmed */
        page_set_see_change(fetch->gateway, now_mono_ms, buffer_bytes(&fetch->key), fetch->primary_size,
                            bytes_after(buffer_bytes(&value), value.size - fetch->body_bytes));
    is_put = fetch_put(fetch, buffer_bytes(&fetch->key), &value, now_mono_ms, keep_ms);
    buffer_fini(&value);
    if (is_put && fetch->method == HTTP_METHOD_GET)
        search_alias_put(fetch->gateway, now_mono_ms, buffer_bytes(&fetch->key),
                         buffer_bytes(&head->fields.kept), fetch->search_count, keep_ms);
    if (is_put && response.shared.number != 0)
        fetch_lease_publish(fetch, &response, keep_ms);
}

/* ---- parts --------------------------------------------------------------------------------------- */

/* Keeps the part that was fetched. With the last one missing it is whole, and stored as if it had come so.
 */
static void store_part(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    struct buffer body = {0}, value = {0};
    int64_t now_mono_ms = loop_now(fetch->worker->loop).mono_ms, keep_ms;
    struct arrived_part arrived = {
        .facts = &head->facts,
        .received = head->received,
        .fields = buffer_bytes(&head->fields.kept),
        .hidden = buffer_bytes(&head->fields.hidden),
        .vary_names = bytes_of(head->vary.text, head->vary.size),
        .vary_values = buffer_bytes(&head->vary_values),
        .is_bare = fetch->has_if_range,
        .origin = origin_of_url(buffer_bytes(&fetch->route->upstream->base_url)),
        .policy = &fetch->route->policy,
        .asker = fetch->asker,
    };
    struct cache_key key;

    parts_key_of(fetch, &key);
    fetch_copy_body(fetch, &body);
    arrived.body = buffer_bytes(&body);
    switch (body.failed
                ? PARTS_UNUSABLE
                : parts_add(fetch->gateway, now_mono_ms, &key, &arrived, &fetch->watch, &value, &keep_ms)) {
    case PARTS_UNUSABLE: break;
    case PARTS_KEPT: fetch_put(fetch, cache_key_bytes(&key), &value, now_mono_ms, keep_ms); break;
    case PARTS_WHOLE:
        if (head->vary.size > 0 && !fetch_become_variant(fetch))
            break;
        drop_parts(fetch);
        fetch_put(fetch, buffer_bytes(&fetch->key), &value, now_mono_ms, keep_ms);
        break;
    }
    buffer_fini(&body);
    buffer_fini(&value);
}

void fetch_store(struct fetch *fetch)
{
    if (fetch->head.facts.status == 206)
        store_part(fetch);
    else
        store_response(fetch);
}
