#include "purge.h"
#include "engine/gateway/policy/cache_key.h"
#include "entry_watch.h"
#include "fleet.h"
#include "gateway_state.h"
#include "invalidate.h"
#include "message/plain_target.h"
#include <assert.h>
#include <stdlib.h>

/* ---- by URL -------------------------------------------------------------------------------------- */

/* The request that "http://host/path?query" or "/path?query" stands for. */
static bool read_url(struct bytes url, struct http_request *request)
{
    static const struct bytes schemes[] = {BYTES_INIT("http://"), BYTES_INIT("https://")};
    const char *question;

    *request = (struct http_request){
        .method = HTTP_METHOD_GET, .method_name = BYTES("GET"), .minor_version = 1, .path = url};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        const char *slash;
        struct bytes rest;
        if (!bytes_start_with(url, schemes[i]))
            continue;
        rest = bytes_after(url, schemes[i].size);
        slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
        request->authority = slash != NULL ? bytes_first(rest, (size_t)(slash - rest.data)) : rest;
        request->path = slash != NULL ? bytes_after(rest, request->authority.size) : BYTES("/");
        if (request->authority.size == 0)
            return false;
    }
    question = request->path.size > 0 ? memchr(request->path.data, '?', request->path.size) : NULL;
    if (question != NULL) {
        request->has_query = true;
        request->query = bytes_after(request->path, (size_t)(question + 1 - request->path.data));
        request->path = bytes_first(request->path, (size_t)(question - request->path.data));
    }
    return request->path.size > 0 && request->path.data[0] == '/' &&
           target_is_plain(request->path, request->query);
}

static void take_out(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                     bool is_soft)
{
    if (is_soft)
        gateway_make_stale(gateway, now_mono_ms, key);
    else
        gateway_invalidate(gateway, now_mono_ms, key);
    /* What others keep for themselves, too. */
    fleet_tell_rule(gateway, FLEET_URL, cache_key_primary(key), is_soft);
}

enum err gateway_purge_target(struct gateway_worker *worker, int64_t now_mono_ms,
                              const struct http_request *request, bool is_soft)
{
    struct http_request as_get = *request;
    const struct route *route;
    struct cache_key key, sibling;

    as_get.method = HTTP_METHOD_GET;
    as_get.method_name = BYTES("GET");
    route = plan_route(worker->plan, &as_get);
    if (route->upstream == NULL)
        return ERR_MISSING;
    if (route_edits_requests(route)) {
        if (!edited_request_make(&worker->edited, route, &as_get))
            return ERR_NO_MEMORY;
        as_get = worker->edited.request;
    }
    if (!route_key(route, &as_get, &key))
        return OK; /* such a URL is never stored */
    take_out(worker->gateway, now_mono_ms, &key, is_soft);
    for (size_t i = 0; i < route->plan->route_count; i++) /* which may keep more of the same resource */
        if (plan_sibling_key(route, i, &as_get, &key, &sibling))
            take_out(worker->gateway, now_mono_ms, &sibling, is_soft);
    counters_add(worker->counters, METRIC_gateway_purges, 1);
    return OK;
}

/* ---- by prefix ----------------------------------------------------------------------------------- */

static bool is_prefix(struct bytes text)
{
    return bytes_start_with(text, BYTES("/")) || bytes_start_with(text, BYTES("http://")) ||
           bytes_start_with(text, BYTES("https://"));
}

/* What the rules say of a value: parts of an answer that should become stale go. */
static enum purged ask(struct gateway *gateway, struct bytes key, const nh_value *value)
{
    struct stored_response response;
    struct parts parts;

    if (value_decode(gateway, value, &response))
        return purge_rules_ask(&gateway->purge_rules, response.birth, key);
    if (!parts_decode(bytes_of_value(value), value->size, gateway->seed, &parts))
        return PURGED_NOT;
    return purge_rules_ask(&gateway->purge_rules, parts.response.birth, key) == PURGED_NOT ? PURGED_NOT
                                                                                           : PURGED;
}

/* Collects what the rules say of the entries from `*position` on: each key with its size before it. False
 * if there is no memory. `*position` becomes where to go on, 0 at the end. */
static bool collect(struct gateway *gateway, int64_t now_mono_ms, size_t budget_count, uint64_t *position,
                    struct buffer *gone, struct buffer *stale)
{
    nh_cursor *cursor;
    nh_result result = nh_cursor_create(gateway->store, *position, &cursor);
    nh_key key;
    nh_value value;

    if (result != NH_OK)
        return false;
    nh_cursor_narrow(cursor, gateway->space, UINT64_MAX);
    *position = 0;
    while ((result = nh_cursor_next(cursor, now_mono_ms, &key, &value)) == NH_OK) {
        enum purged purged = ask(gateway, bytes_of(key.data, key.size), &value);
        struct buffer *to;

        if (purged != PURGED_NOT) {
            to = purged == PURGED ? gone : stale;
            buffer_append(to, bytes_of(&key.size, sizeof key.size));
            buffer_append(to, bytes_of(key.data, key.size));
        }
        *position = nh_cursor_position(cursor);
        if (budget_count-- == 0 && *position != 0)
            break;
    }
    if (result != NH_OK)
        *position = 0;
    nh_cursor_destroy(cursor);
    return result != NH_NO_MEMORY && !gone->failed && !stale->failed;
}

static struct bytes take_key(struct bytes *keys)
{
    struct bytes key;
    size_t size;

    assert(keys->data != NULL); /* there is another */
    memcpy(&size, keys->data, sizeof size);
    key = bytes_of(keys->data + sizeof size, size);
    *keys = bytes_after(*keys, sizeof size + size);
    return key;
}

/* What there is no room to mark is given up. */
void entry_make_stale(struct gateway *gateway, int64_t now_mono_ms, struct bytes key)
{
    nh_result result = nh_make_stale(gateway->store, now_mono_ms, gateway_key(gateway, key));

    if (result != NH_OK && result != NH_MISSING)
        nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, key));
}

/* What the rules say of what is under the key by now: another answer may have come. */
static enum purged look(struct gateway *gateway, int64_t now_mono_ms, struct bytes key, uint64_t *version)
{
    enum purged purged;
    nh_value value;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, key), &value) != NH_OK)
        return PURGED_NOT;
    purged = ask(gateway, key, &value);
    *version = value.version;
    nh_release(gateway->store, &value);
    return purged;
}

/* Between the look and the mark another answer may come: it is validated once too often. */
static void carry_out(struct gateway *gateway, int64_t now_mono_ms, struct bytes gone, struct bytes stale)
{
    const nh_put_options nothing = {.size = sizeof nothing, .ttl_ms = -1};
    uint64_t version;

    while (gone.size > 0) {
        struct bytes key = take_key(&gone);
        if (look(gateway, now_mono_ms, key, &version) == PURGED)
            nh_cas(gateway->store, now_mono_ms, gateway_key(gateway, key), (nh_bytes){"", 0}, &nothing,
                   version, NULL);
    }
    while (stale.size > 0) {
        struct bytes key = take_key(&stale);
        if (look(gateway, now_mono_ms, key, &version) == PURGED_SOFTLY)
            entry_make_stale(gateway, now_mono_ms, key);
    }
}

/* Waits until the puts that may not have seen the rules have happened: see put_unless_fenced. */
static void wait_for_puts(struct gateway *gateway)
{
    for (size_t i = 0; i < FETCH_SHARDS; i++) {
        pthread_mutex_lock(&gateway->shards[i].store_lock);
        pthread_mutex_unlock(&gateway->shards[i].store_lock);
    }
}

void gateway_drop_all(struct gateway *gateway)
{
    purge_rules_forget(&gateway->purge_rules);
    wait_for_puts(gateway);
    nh_clear(gateway->store, gateway->space);
}

void gateway_sweep(struct gateway *gateway, int64_t now_mono_ms, size_t budget_count)
{
    struct purge_sweep *sweep = &gateway->sweep;
    struct buffer gone = {0}, stale = {0};
    uint64_t position = sweep->position;

    if (purge_rules_newest(&gateway->purge_rules) == 0)
        return;
    if (position == 0) {
        sweep->up_to = purge_rules_newest(&gateway->purge_rules);
        wait_for_puts(gateway);
    }
    if (collect(gateway, now_mono_ms, budget_count, &position, &gone, &stale)) {
        carry_out(gateway, now_mono_ms, buffer_bytes(&gone), buffer_bytes(&stale));
        sweep->position = position;
        if (position == 0)
            purge_rules_retire(&gateway->purge_rules, sweep->up_to);
    } /* else again from where it was, later */
    buffer_fini(&gone);
    buffer_fini(&stale);
}

void gateway_sweep_all(struct gateway *gateway, int64_t now_mono_ms)
{
    enum { SLICE = 10000, SLICES_MAX = 1000000 };

    for (unsigned i = 0; i < SLICES_MAX && purge_rules_newest(&gateway->purge_rules) != 0; i++)
        gateway_sweep(gateway, now_mono_ms, SLICE);
}

void gateway_worker_sweep(struct gateway_worker *worker, int64_t now_mono_ms, size_t budget_count)
{
    gateway_sweep(worker->gateway, now_mono_ms, budget_count);
}

/* ---- all of them ---------------------------------------------------------------------------------- */

void purge_report(struct buffer *json, size_t count, bool is_soft, bool is_told)
{
    buffer_append_format(json, "{\"purged\":%zu,\"soft\":%s%s}\n", count, is_soft ? "true" : "false",
                         is_told ? "" : ",\"told\":false");
}

/* ---- all of them --------------------------------------------------------------------------------- */

static enum err add_rule(struct gateway_worker *worker, struct bytes prefix, bool is_soft)
{
    enum err err = purge_rules_add(&worker->gateway->purge_rules, prefix, is_soft);

    if (err != OK)
        return err;
    fleet_tell_rule(worker->gateway, FLEET_PREFIX, prefix, is_soft);
    entries_changed(worker->gateway);
    counters_add(worker->counters, METRIC_gateway_purges, 1);
    return OK;
}

enum err gateway_purge(struct gateway_worker *worker, int64_t now_mono_ms, const struct purge_order *order)
{
    struct http_request request;

    switch (order->kind) {
    case PURGE_URL:
        return read_url(order->text, &request)
                   ? gateway_purge_target(worker, now_mono_ms, &request, order->is_soft)
                   : ERR_SYNTAX;
    case PURGE_PREFIX:
        return is_prefix(order->text) ? add_rule(worker, order->text, order->is_soft) : ERR_SYNTAX;
    case PURGE_TAG:
        if (order->text.size == 0)
            return ERR_SYNTAX;
        nh_purge_tag(worker->gateway->store, (nh_bytes){order->text.data, order->text.size},
                     order->is_soft ? NH_PURGE_SOFT : NH_PURGE_DROP);
        fleet_tell_rule(worker->gateway, FLEET_TAG, order->text, order->is_soft);
        entries_changed(worker->gateway);
        counters_add(worker->counters, METRIC_gateway_purges, 1);
        return OK;
    case PURGE_ALL: return add_rule(worker, (struct bytes){NULL, 0}, order->is_soft);
    }
    UNREACHABLE();
}
