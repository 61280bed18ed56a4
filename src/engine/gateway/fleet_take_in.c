#include "fleet_take_in.h"
#include "base/hash.h"
#include "engine/gateway/policy/validate.h"
#include "entry_watch.h"
#include "fetch_table.h"
#include "purge.h"
#include <stdlib.h>

void fleet_stand_begin(struct fleet_stand *stand, struct gateway *gateway, struct bytes primary)
{
    *stand = (struct fleet_stand){.hash = hash_bytes(primary, gateway->seed)};
    purge_watch_begin(&stand->watch, gateway);
    stand->fence_count = fence_count(shard_of(gateway, stand->hash), stand->hash);
}

void fleet_stand_fini(struct fleet_stand *stand) { purge_watch_fini(&stand->watch); }

static struct stored_response response_of(const struct gateway_worker *worker, const struct fleet_id *id,
                                          const struct fleet_answer *answer, int64_t expires_at_ms)
{
    int64_t now_ms = loop_now(worker->loop).mono_ms;
    int64_t received_ms = expires_at_ms - answer->keep_ms - answer->resided_ms;
    struct bytes rest = answer->fields;
    struct http_field field;
    struct stored_response response = {
        .status = answer->status,
        .flags = answer->flags,
        .received_mono_ms = received_ms < now_ms ? received_ms : now_ms,
        .initial_age_ms = answer->initial_age_ms,
        .lifetime_ms = answer->lifetime_ms,
        .stale_if_error_ms = answer->stale_if_error_ms,
        .stale_while_revalidate_ms = answer->stale_while_revalidate_ms,
        .asker = answer->asker,
        .fields = answer->fields,
        .hidden = answer->hidden,
        .reason = answer->reason,
        .shared = {answer->number, id->url, {id->variant[0], id->variant[1]}},
    };

    while (rendered_next(&rest, &field)) {
        if (field.header == HTTP_HEADER_ETAG && response.etag.size == 0)
            response.etag = field.value;
        if (field.header == HTTP_HEADER_LAST_MODIFIED && response.last_modified.size == 0)
            response.last_modified = field.value;
    }
    return response;
}

static bool put(struct gateway *gateway, struct bytes key, const struct buffer *value,
                struct fleet_stand *stand, int64_t now_ms, int64_t ttl_ms)
{
    struct fetch_shard *shard = shard_of(gateway, stand->hash);
    bool is_put;

    pthread_mutex_lock(&shard->store_lock);
    is_put = !value->failed && !shard_is_fenced(shard, stand->hash, stand->fence_count) &&
             purge_watch_put(&stand->watch, gateway, now_ms, key, buffer_bytes(value), ttl_ms);
    pthread_mutex_unlock(&shard->store_lock);
    if (is_put)
        entry_changed(gateway, stand->hash);
    return is_put;
}

bool fleet_take_in(struct gateway_worker *worker, const struct fleet_id *id,
                   const struct fleet_answer *answer, struct bytes body, int64_t expires_at_ms,
                   struct bytes origin, struct fleet_stand *stand)
{
    struct gateway *gateway = worker->gateway;
    struct http_fields fields = freshened_fields(answer->fields, answer->hidden, &(struct http_fields){0});
    int64_t now_ms = loop_now(worker->loop).mono_ms;
    struct stored_response response = response_of(worker, id, answer, expires_at_ms);
    struct buffer value = {0};
    enum purged purged;
    bool is_in;

    if (fields.list == NULL || expires_at_ms <= now_ms) {
        free(fields.list);
        return false;
    }
    purge_watch_read(&stand->watch, &fields, origin);
    free(fields.list);
    purged = fleet_rules_ask(gateway->fleet, answer->birth, answer->key, &stand->watch.tags);
    if (purged == PURGED)
        return false;
    response.received_mono_ms += gateway->stored_clock_offset_ms;
    response.birth = stand->watch.birth;
    response.body_number = atomic_fetch_add(&gateway->generation, 1) + 1;
    if (buffer_reserve(&value, stored_response_bytes(&response) + body.size) != NULL) {
        stored_response_encode(&value, gateway->seed, &response);
        buffer_append(&value, body);
    }
    is_in = put(gateway, answer->key, &value, stand, now_ms, expires_at_ms - now_ms);
    buffer_fini(&value);
    if (is_in && purged == PURGED_SOFTLY)
        entry_make_stale(gateway, now_ms, answer->key);
    return is_in;
}

static uint64_t number_of(struct gateway *gateway, int64_t now_ms, struct bytes key, uint64_t *version)
{
    struct stored_response response;
    uint64_t number = 0;
    nh_value value;

    if (nh_borrow(gateway->store, now_ms, gateway_key(gateway, key), &value) != NH_OK)
        return 0;
    if (value_response(gateway, key, &value, &response))
        number = response.shared.number;
    *version = value.version;
    nh_release(gateway->store, &value);
    return number;
}

uint64_t fleet_stored_number(struct gateway *gateway, int64_t now_ms, struct bytes key)
{
    uint64_t version;

    return number_of(gateway, now_ms, key, &version);
}

void fleet_drop_number(struct gateway *gateway, int64_t now_ms, struct bytes key, uint64_t number)
{
    const nh_put_options nothing = {.size = sizeof nothing, .ttl_ms = -1};
    uint64_t version = 0;

    if (number_of(gateway, now_ms, key, &version) == number)
        nh_cas(gateway->store, now_ms, gateway_key(gateway, key), (nh_bytes){"", 0}, &nothing, version,
               NULL);
}
