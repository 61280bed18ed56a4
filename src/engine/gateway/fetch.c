/* fetch.c — see fetch.h.
 *
 *   waiting ──head──► flowing ──done──► complete          A fetch is on its worker's list and holds a
 *      │                 │                                reference to itself until `done`. It is in the
 *      │ 304, entry gone └──cut──► failed                 table from its begin to its end while it may be
 *      ├──► again                    ▲                    joined. Its head is written once, before
 *      └──no head────────────────────┘                    `progress` leaves WAITING under the lock.
 *
 * The body is a chain of chunks. A chunk holds a reference to the next, a reader to the one it reads, the
 * fetch to the last; if the body is kept, for storing or for readers yet to come, also to the first. So
 * what all have read and nobody will read again goes away by itself. All counts are under the lock. */
#include "fetch.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "body_key.h"
#include "engine/gateway/policy/validate.h"
#include "engine/gateway/routing/upstream_call.h"
#include "parts_add.h"
#include "purge.h"
#include "purge_watch.h"
#include "variants.h"
#include "write_scope.h"
#include <assert.h>
#include <stdlib.h>

enum {
    CHUNK_BYTES_MAX = 1024 * 1024,
    CHUNK_BYTES = 16 * 1024,           /* room of a chunk at least, once a body is larger than a piece */
    WINDOW_BYTES = 256 * 1024,         /* of a body that is not kept: how far all readers may lag */
    RESUME_BYTES = WINDOW_BYTES / 2,   /* and how near it has to come before the origin goes on */
    STRAGGLER_BYTES = 8 * 1024 * 1024, /* and how far one alone may */
    NOT_SHAREABLE_MS = 5000,
    FAILING_MS = 1000,
};

struct chunk {
    struct chunk *next; /* holds a reference */
    uint32_t reference_count;
    uint32_t size, capacity; /* bytes before `size` do not change */
    char data[];
};

struct fetch {
    struct gateway *gateway;
    const struct route *route;     /* held */
    struct gateway_worker *worker; /* null once its worker has been destroyed */
    struct fetch_shard *shard;
    struct list in_worker, in_table;
    struct list readers;
    struct task task; /* brings other workers' wishes to its own */
    uint32_t reference_count;
    bool is_posted;
    bool is_paused;
    bool is_kept;  /* `first` is held */
    bool has_head; /* which readers may see */
    bool is_overdue;
    enum fetch_progress progress;
    enum err error;
    struct chunk *first, *last;
    uint64_t body_bytes;

    /* The worker's alone, or immutable. */
    struct upstream_worker *by; /* what it goes by, while there is a call */
    struct timer handover;      /* set while others may wait for its head, if that is limited */
    struct upstream_call sending;
    struct origin_call *call; /* of `sending`: null when there is none any more */
    struct fetch_head head;
    struct upstream_fields upstream;
    struct request_traits traits;
    struct buffer key; /* under which it will be stored; empty: not at all */
    size_t primary_size;
    uint64_t hash; /* of the primary key */
    uint32_t fence_count;
    struct purge_watch watch;
    struct now requested;
    enum http_method method;
    bool is_safe;       /* what was asked changes nothing */
    bool is_body_keyed; /* and then the request's body is here */
    struct buffer body;
    struct buffer path, authority;     /* of a write's request: what it changes has to be found */
    struct buffer etag, last_modified; /* what we asked the origin to validate */
    struct buffer range;               /* of which part it is, for those who may join; else empty */
    bool may_be_shared, takes_notes, replaces_entry, supersedes, with_preconditions;
    bool is_validation; /* we asked, and may be answered 304 */
    bool asks_for_part; /* a Range went along */
    bool has_if_range;  /* and If-Range: a part then comes without the fields that the client has */
    void (*upload_wanted)(struct reader *reader, size_t room);
};

/* ---- chunks: under the lock ---------------------------------------------------------------------- */

static struct chunk *chunk_create(size_t capacity)
{
    struct chunk *chunk = malloc(sizeof *chunk + capacity);

    if (chunk != NULL)
        *chunk = (struct chunk){.reference_count = 1, .capacity = (uint32_t)capacity};
    return chunk;
}

static void chunk_release(struct chunk *chunk)
{
    while (chunk != NULL && --chunk->reference_count == 0) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

static struct chunk *chunk_hold(struct chunk *chunk)
{
    chunk->reference_count++;
    return chunk;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void fetch_lock(struct fetch *fetch) { pthread_mutex_lock(&fetch->shard->lock); }
static void fetch_unlock(struct fetch *fetch) { pthread_mutex_unlock(&fetch->shard->lock); }

static void fetch_destroy(struct fetch *fetch)
{
    chunk_release(fetch->last);
    if (fetch->is_kept)
        chunk_release(fetch->first);
    upstream_fields_fini(&fetch->upstream);
    purge_watch_fini(&fetch->watch);
    buffer_fini(&fetch->key);
    buffer_fini(&fetch->path);
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

/* Unlocks, and frees the fetch if that was the last reference. */
static void fetch_unlock_and_release(struct fetch *fetch)
{
    bool is_last = --fetch->reference_count == 0;

    fetch_unlock(fetch);
    if (is_last)
        fetch_destroy(fetch);
}

/* Under the lock. */
static void wake_readers(struct fetch *fetch)
{
    for (struct list *node = fetch->readers.next; node != &fetch->readers; node = node->next) {
        struct reader *reader = CONTAINER_OF(node, struct reader, in_fetch);
        if (!reader->is_waiting)
            continue;
        reader->is_waiting = false;
        if (!atomic_exchange(&reader->is_posted, true))
            loop_post(reader->worker->loop, &reader->task);
    }
}

/* Under the lock: has the fetch's own worker look at it. */
static void call_for_attention(struct fetch *fetch)
{
    bool is_under_way = fetch->progress == FETCH_WAITING || fetch->progress == FETCH_FLOWING;

    if (!is_under_way || fetch->worker == NULL || fetch->is_posted)
        return;
    fetch->is_posted = true;
    fetch->reference_count++;
    loop_post(fetch->worker->loop, &fetch->task);
}

/* Under the lock. How far a reader is behind. */
static uint64_t lag_of(const struct fetch *fetch, const struct reader *reader)
{
    return fetch->body_bytes - reader->read_bytes;
}

/* Under the lock. How far the reader is behind that waits for more, or will first; 0 without readers. */
static uint64_t lag_bytes(const struct fetch *fetch)
{
    uint64_t least = UINT64_MAX;

    for (const struct list *node = fetch->readers.next; node != &fetch->readers; node = node->next) {
        uint64_t lag = lag_of(fetch, CONTAINER_OF(node, struct reader, in_fetch));
        least = lag < least ? lag : least;
    }
    return least == UINT64_MAX ? 0 : least;
}

/* Under the lock; of a body that is not kept. What is sent to the fastest reader must not wait for the
 * slowest, nor fill the memory on its account. */
static void cut_stragglers(struct fetch *fetch)
{
    if (lag_bytes(fetch) > WINDOW_BYTES)
        return;
    for (struct list *node = fetch->readers.next; node != &fetch->readers; node = node->next) {
        struct reader *reader = CONTAINER_OF(node, struct reader, in_fetch);
        if (reader->is_cut || lag_of(fetch, reader) <= STRAGGLER_BYTES)
            continue;
        reader->is_cut = true;
        if (!atomic_exchange(&reader->is_posted, true))
            loop_post(reader->worker->loop, &reader->task);
    }
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

/* Under the lock: from here on nobody may join. */
static void leave_table(struct fetch *fetch) { list_remove(&fetch->in_table); }

/* ---- invalidation -------------------------------------------------------------------------------- */

static struct fetch_shard *shard_of(struct gateway *gateway, uint64_t hash)
{
    return &gateway->shards[hash % FETCH_SHARDS];
}

static struct fence *fence_of(struct fetch_shard *shard, uint64_t hash)
{
    return &shard->fences[hash / FETCH_SHARDS % FENCES_PER_SHARD];
}

/* From here on no fetch of the URL that began before is joined, or stored. Returns the fence's count: who
 * has it knows of this, and of nothing later. Under `store_lock`. */
static uint32_t poison(struct fetch_shard *shard, uint64_t hash)
{
    uint32_t count = ++fence_of(shard, hash)->count;

    fence_of(shard, hash)->last_hash = (uint32_t)(hash >> 32);
    pthread_mutex_lock(&shard->lock);
    for (struct list *node = shard->fetches.next, *next; node != &shard->fetches; node = next) {
        struct fetch *fetch = CONTAINER_OF(node, struct fetch, in_table);
        next = node->next;
        if (fetch->hash == hash)
            leave_table(fetch);
    }
    pthread_mutex_unlock(&shard->lock);
    return count;
}

static void marker_of_primary(struct bytes primary, struct cache_key *marker)
{
    memcpy(marker->text, primary.data, primary.size);
    marker->primary_size = primary.size;
    cache_key_mark(marker);
}

/* Returns the fence's count, as poison. */
static uint32_t invalidate(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    uint32_t count;
    struct cache_key marker;
    uint64_t hash = hash_bytes(cache_key_primary(key), gateway->seed);
    struct fetch_shard *shard = shard_of(gateway, hash);

    marker_of_primary(cache_key_primary(key), &marker);
    pthread_mutex_lock(&shard->store_lock);
    count = poison(shard, hash);
    /* With the marker of variants their generation is forgotten, so that none is found again. */
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_primary(key)));
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&marker)));
    cache_key_part(&marker);
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&marker)));
    body_keys_forget(gateway, now_mono_ms, key);
    pthread_mutex_unlock(&shard->store_lock);
    return count;
}

void gateway_invalidate(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    invalidate(gateway, now_mono_ms, key);
}

void gateway_make_stale(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    struct cache_key parts;
    uint64_t hash = hash_bytes(cache_key_primary(key), gateway->seed);
    struct fetch_shard *shard = shard_of(gateway, hash);

    marker_of_primary(cache_key_primary(key), &parts);
    cache_key_part(&parts);
    pthread_mutex_lock(&shard->store_lock);
    poison(shard, hash);
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&parts)));
    if (!variants_make_stale(gateway, now_mono_ms, cache_key_primary(key)))
        entry_make_stale(gateway, now_mono_ms, cache_key_primary(key));
    body_keys_forget(gateway, now_mono_ms, key);
    pthread_mutex_unlock(&shard->store_lock);
}

static bool is_success(int status) { return status >= 200 && status < 400; }

/* RFC 9875 §3. */
static void drop_group(void *context, struct bytes tag)
{
    struct fetch *fetch = context;

    nh_purge_tag(fetch->gateway->store, (nh_bytes){tag.data, tag.size}, NH_PURGE_DROP);
}

static void invalidate_target(struct fetch *fetch)
{
    struct cache_key key;

    if (fetch->key.size == 0)
        return;
    memcpy(key.text, fetch->key.data, fetch->primary_size);
    key.primary_size = key.size = fetch->primary_size;
    fetch->fence_count = invalidate(fetch->gateway, fetch->requested.mono_ms, &key);
    invalidate_siblings(fetch->gateway, fetch->route, fetch->requested.mono_ms,
                        buffer_bytes(&fetch->authority), &key);
}

/* RFC 9111 §4.4: what a write succeeded on, and what its answer says that it is about. True if the answer
 * is the target's own new state (RFC 9110 §8.7). */
static bool invalidate_after_success(struct fetch *fetch, const struct http_fields *fields)
{
    uint32_t count = fetch->fence_count;
    bool is_of_target;

    invalidate_target(fetch);
    is_of_target = invalidate_named(
        &(struct write_scope){.gateway = fetch->gateway,
                              .route = fetch->route,
                              .now_mono_ms = fetch->requested.mono_ms,
                              .authority = buffer_bytes(&fetch->authority),
                              .path = buffer_bytes(&fetch->path),
                              .target = bytes_first(buffer_bytes(&fetch->key), fetch->primary_size)},
        fields);
    /* If another write came between, who knows which of the two is the later one. */
    return is_of_target && fetch->fence_count == count + 1;
}

/* ---- ends ---------------------------------------------------------------------------------------- */

/* The worker's. Ends the fetch: readers are told, and its own reference goes. */
static void finish(struct fetch *fetch, enum fetch_progress progress, enum err error)
{
    fetch->call = NULL;
    if (fetch->worker != NULL)
        timer_cancel(fetch->worker->loop, &fetch->handover);
    if (fetch->worker != NULL && fetch->by != NULL && fetch->by->is_retired)
        worker_tell(fetch->worker);
    fetch->by = NULL;
    fetch_lock(fetch);
    if (!fetch->is_posted) /* else its worker has to know of it until the task has run */
        list_remove(&fetch->in_worker);
    leave_table(fetch);
    if (fetch->progress == FETCH_WAITING || fetch->progress == FETCH_FLOWING) {
        fetch->progress = progress;
        fetch->error = error;
    }
    wake_readers(fetch);
    fetch_unlock_and_release(fetch);
}

static void cancel(struct fetch *fetch, enum err error)
{
    upstream_call_cancel(&fetch->sending);
    /* A write may be carried out although we never hear of it. */
    if (fetch->progress == FETCH_WAITING && !fetch->is_safe)
        invalidate_target(fetch);
    finish(fetch, FETCH_FAILED, error);
}

/* The worker's. False if the fetch was given up, and may be gone. */
static bool drop_if_unwanted(struct fetch *fetch)
{
    bool wanted;

    fetch_lock(fetch);
    wanted = is_wanted(fetch);
    fetch_unlock(fetch);
    if (!wanted)
        cancel(fetch, ERR_CANCELLED);
    return wanted;
}

static void resume_if_near(struct fetch *fetch)
{
    bool goes_on;

    fetch_lock(fetch);
    goes_on = fetch->is_paused && lag_bytes(fetch) <= RESUME_BYTES;
    if (goes_on)
        fetch->is_paused = false;
    fetch_unlock(fetch);
    if (goes_on)
        origin_resume(fetch->call);
}

/* From now on it may have others wait for so long. */
static void limit_hold(struct fetch *fetch)
{
    int64_t limit_ms = fetch->route->policy.coalesce_timeout_ms;

    if (limit_ms > 0)
        timer_set(fetch->worker->loop, &fetch->handover, loop_now(fetch->worker->loop).mono_ms + limit_ms);
}

static void attend(struct task *task)
{
    struct fetch *fetch = CONTAINER_OF(task, struct fetch, task);

    fetch_lock(fetch);
    fetch->is_posted = false;
    fetch_unlock(fetch);
    if (fetch->call == NULL)
        list_remove(&fetch->in_worker);
    else if (drop_if_unwanted(fetch))
        resume_if_near(fetch);
    fetch_lock(fetch);
    fetch_unlock_and_release(fetch); /* the task's reference */
}

/* There is no head yet: those who follow go on without it, see fetch_is_overdue. But one that waits for a
 * place itself would only have others wait behind it. */
static void hand_over(struct timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, handover);

    if (fetch->call != NULL && origin_reach(fetch->call) == ORIGIN_WAITING) {
        limit_hold(fetch);
        return;
    }
    fetch_lock(fetch);
    if (fetch->progress == FETCH_WAITING) {
        leave_table(fetch);
        fetch->is_overdue = true;
        wake_readers(fetch);
    }
    fetch_unlock(fetch);
}

/* ---- what is stored ------------------------------------------------------------------------------ */

/* Whether the URL was invalidated since the fetch began, or may have been: many share a fence, which
 * knows the last only. Under the store lock. */
static bool is_fenced(const struct fetch *fetch)
{
    const struct fence *fence = fence_of(fetch->shard, fetch->hash);
    uint32_t count = fence->count - fetch->fence_count;

    return count > 1 || (count == 1 && fence->last_hash == (uint32_t)(fetch->hash >> 32));
}

/* Puts `value` unless the URL was invalidated, or what it carries was purged, since the fetch began. */
static bool put_unless_fenced(struct fetch *fetch, struct bytes key, const struct buffer *value,
                              int64_t now_mono_ms, int64_t ttl_ms)
{
    bool is_put = false;

    if (value->failed)
        return false;
    pthread_mutex_lock(&fetch->shard->store_lock);
    if (!is_fenced(fetch))
        is_put =
            purge_watch_put(&fetch->watch, fetch->gateway, now_mono_ms, key, buffer_bytes(value), ttl_ms);
    pthread_mutex_unlock(&fetch->shard->store_lock);
    return is_put;
}

static void marker_key_of(const struct fetch *fetch, struct cache_key *key)
{
    marker_of_primary(bytes_first(buffer_bytes(&fetch->key), fetch->primary_size), key);
}

static void take_note(struct fetch *fetch, enum note_kind kind, int status, int64_t ttl_ms)
{
    struct buffer value = {0};
    struct cache_key key;

    if (!fetch->takes_notes || fetch->key.size == 0)
        return;
    marker_key_of(fetch, &key);
    stored_note_encode(&value, fetch->gateway->seed, &(struct stored_note){kind, status});
    put_unless_fenced(fetch, cache_key_bytes(&key), &value, loop_now(fetch->worker->loop).mono_ms, ttl_ms);
    buffer_fini(&value);
}

static void drop_note(struct fetch *fetch)
{
    struct cache_key key;

    marker_key_of(fetch, &key);
    nh_delete(fetch->gateway->store, loop_now(fetch->worker->loop).mono_ms,
              gateway_key(fetch->gateway, cache_key_bytes(&key)));
}

/* Makes `fetch->key` the key of the variant that this response is, and sees that it will be found. */
static bool become_variant(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    struct buffer renamed = {0};
    struct cache_key key;
    bool is_ok;

    memcpy(key.text, fetch->key.data, fetch->primary_size);
    key.primary_size = key.size = fetch->primary_size;
    pthread_mutex_lock(&fetch->shard->store_lock);
    is_ok = !is_fenced(fetch) &&
            variants_enter(fetch->gateway, head->received.mono_ms, &key,
                           bytes_of(head->vary.text, head->vary.size), &fetch->upstream.fields);
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

static void append_chunks(const struct fetch *fetch, struct buffer *value)
{
    for (const struct chunk *chunk = fetch->first; chunk != NULL; chunk = chunk->next)
        buffer_append(value, bytes_of(chunk->data, chunk->size));
}

/* Those of before say less than the whole that has come. */
static void drop_parts(const struct fetch *fetch)
{
    struct cache_key key;

    parts_key_of(fetch, &key);
    nh_delete(fetch->gateway->store, loop_now(fetch->worker->loop).mono_ms,
              gateway_key(fetch->gateway, cache_key_bytes(&key)));
}

/* Begins the value to be stored: all but the body, for which there is then room. False if there is no
 * memory. */
static bool begin_value(const struct fetch *fetch, struct buffer *value, struct stored_response *response,
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

static void store_response(struct fetch *fetch)
{
    struct fetch_head *head = &fetch->head;
    struct buffer value = {0};
    struct stored_response response =
        stored_response_of(&head->facts, head->received, buffer_bytes(&head->fields.kept));

    if (is_outdated(fetch))
        return;
    response.hidden = buffer_bytes(&head->fields.hidden);
    response.reason = fetch_reason(head);
    response.body_number =
        head->body_number != 0 ? head->body_number : atomic_fetch_add(&fetch->gateway->generation, 1) + 1;
    if (!begin_value(fetch, &value, &response, fetch->body_bytes))
        return;
    append_chunks(fetch, &value);
    drop_parts(fetch);
    put_unless_fenced(fetch, buffer_bytes(&fetch->key), &value, loop_now(fetch->worker->loop).mono_ms,
                      stored_keep_ms(&response, &fetch->route->policy));
    buffer_fini(&value);
}

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
    if (may_store(&facts, &fetch->traits, policy) && !response_fields_failed(&rendered) &&
        begin_value(fetch, &value, &fresh, stored->body_bytes)) {
        for (uint64_t offset = 0; offset < stored->body_bytes;) {
            struct bytes piece = value_body_piece(fetch->gateway, entry, stored, offset);
            buffer_append(&value, piece);
            offset += piece.size;
        }
        put_unless_fenced(fetch, buffer_bytes(&fetch->key), &value, received.mono_ms,
                          stored_keep_ms(&fresh, policy));
    }
    buffer_fini(&value);
    response_fields_fini(&rendered);
    free(merged.list);
}

/* RFC 9111 §4.3.5: what a HEAD says of the entry that would have answered it, had that been fresh. */
static void learn_from_head(struct fetch *fetch, const struct http_fields *fields, int64_t body_bytes)
{
    struct gateway *gateway = fetch->gateway;
    nh_key key = gateway_key(gateway, buffer_bytes(&fetch->key));
    int64_t now_mono_ms = fetch->head.received.mono_ms;
    struct stored_response stored;
    nh_value entry;

    if (nh_borrow(gateway->store, now_mono_ms, key, &entry) != NH_OK)
        return;
    if (value_response(gateway, buffer_bytes(&fetch->key), &entry, &stored) && stored.status == 200) {
        if (is_described_by(&stored, fields, body_bytes))
            store_freshened(fetch, &entry, &stored, fields);
        else
            nh_delete(gateway->store, now_mono_ms, key);
    }
    nh_release(gateway->store, &entry);
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
        .birth = fetch->watch.birth,
        .policy = &fetch->route->policy,
    };
    struct cache_key key;

    parts_key_of(fetch, &key);
    append_chunks(fetch, &body);
    arrived.body = buffer_bytes(&body);
    switch (body.failed ? PARTS_UNUSABLE
                        : parts_add(fetch->gateway, now_mono_ms, &key, &arrived, &value, &keep_ms)) {
    case PARTS_UNUSABLE: break;
    case PARTS_KEPT: put_unless_fenced(fetch, cache_key_bytes(&key), &value, now_mono_ms, keep_ms); break;
    case PARTS_WHOLE:
        if (head->vary.size > 0 && !become_variant(fetch))
            break;
        drop_parts(fetch);
        put_unless_fenced(fetch, buffer_bytes(&fetch->key), &value, now_mono_ms, keep_ms);
        break;
    }
    buffer_fini(&body);
    buffer_fini(&value);
}

/* ---- the body ------------------------------------------------------------------------------------ */

/* The worker's. False if there is no memory. */
static bool append_body(struct fetch *fetch, struct bytes bytes)
{
    while (bytes.size > 0) {
        struct chunk *last = fetch->last;
        size_t room = last->capacity - last->size;
        size_t taken = bytes.size < room ? bytes.size : room;

        if (room == 0) {
            size_t wanted = bytes.size < CHUNK_BYTES && fetch->body_bytes > 0 ? CHUNK_BYTES : bytes.size;
            struct chunk *made = chunk_create(wanted < CHUNK_BYTES_MAX ? wanted : CHUNK_BYTES_MAX);
            if (made == NULL)
                return false;
            fetch_lock(fetch);
            last->next = chunk_hold(made); /* one reference is the chain's, one is `last`'s */
            fetch->last = made;
            chunk_release(last);
            fetch_unlock(fetch);
            continue;
        }
        /* Nobody reads beyond `size`. */
        memcpy(last->data + last->size, bytes.data, taken);
        fetch_lock(fetch);
        last->size += (uint32_t)taken;
        fetch->body_bytes += taken;
        fetch_unlock(fetch);
        bytes = bytes_after(bytes, taken);
    }
    return true;
}

/* Under the lock: what has been read need not stay. */
static void stop_keeping(struct fetch *fetch)
{
    if (!fetch->is_kept)
        return;
    fetch->is_kept = false;
    chunk_release(fetch->first);
    fetch->first = NULL;
}

static void on_body(void *owner, struct bytes bytes)
{
    struct fetch *fetch = owner;
    bool pauses;

    if (fetch->progress == FETCH_AGAIN)
        return;
    if (!append_body(fetch, bytes)) {
        cancel(fetch, ERR_NO_MEMORY);
        return;
    }
    fetch_lock(fetch);
    if (fetch->is_kept && fetch->body_bytes > (uint64_t)fetch->route->policy.object_bytes_max) {
        leave_table(fetch);
        stop_keeping(fetch);
    }
    if (!fetch->is_kept)
        cut_stragglers(fetch);
    pauses = !fetch->is_kept && !fetch->is_paused && lag_bytes(fetch) > WINDOW_BYTES;
    fetch->is_paused |= pauses;
    wake_readers(fetch);
    fetch_unlock(fetch);
    if (pauses)
        origin_pause(fetch->call);
    drop_if_unwanted(fetch);
}

/* ---- the head ------------------------------------------------------------------------------------ */

/* Under the lock. */
static bool is_of(const struct fetch *fetch, struct bytes key, struct bytes range)
{
    return bytes_equal(buffer_bytes(&fetch->key), key) && bytes_equal(buffer_bytes(&fetch->range), range);
}

/* Puts the fetch in the table under its key if it may be joined and nobody else is there. Under the lock.
 */
static void enter_table(struct fetch *fetch)
{
    for (struct list *node = fetch->shard->fetches.next; node != &fetch->shard->fetches; node = node->next)
        if (is_of(CONTAINER_OF(node, struct fetch, in_table), buffer_bytes(&fetch->key),
                  buffer_bytes(&fetch->range)))
            return;
    list_append(&fetch->shard->fetches, &fetch->in_table);
}

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
    head->is_shared =
        head->is_stored && fetch->may_be_shared && may_share(&facts, &fetch->traits, &fetch->route->policy);
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
                           ? may_store_post(facts, &fetch->traits, policy)
                           : may_store(facts, &fetch->traits, policy));
    if (fetch->supersedes && outdates_others(facts->status) &&
        !(fits && is_taggable && may_store(facts, &(struct request_traits){0}, policy)))
        nh_delete(fetch->gateway->store, head->received.mono_ms,
                  gateway_key(fetch->gateway, buffer_bytes(&fetch->key)));
    if (head->is_stored && head->vary.size > 0)
        head->is_stored = become_variant(fetch);
    head->is_shared = fetch->may_be_shared && head->is_stored && may_share(facts, &fetch->traits, policy);
    if (head->is_shared || head->is_outdated)
        return;
    if (facts->status < 500) {
        if (facts->status != 304) /* which says nothing of what others would get */
            take_note(fetch, NOTE_NOT_SHAREABLE, facts->status, NOT_SHAREABLE_MS);
        return;
    }
    head->is_shared = fetch->may_be_shared && may_share_failure(facts, &fetch->traits);
    if (fetch->replaces_entry)
        take_note(fetch, NOTE_FAILING, facts->status, FAILING_MS);
}

/* Makes the head known. */
static void publish(struct fetch *fetch)
{
    bool is_kept = fetch->head.is_stored;
    bool may_be_joined = fetch->may_be_shared && fetch->head.is_stored && fetch->head.is_shared;

    if (is_kept && !fetch->may_be_shared && fetch->takes_notes &&
        may_share(&fetch->head.facts, &fetch->traits, &fetch->route->policy))
        drop_note(fetch); /* it said that nobody should wait: now it pays to */
    fetch_lock(fetch);
    if (!is_kept)
        stop_keeping(fetch);
    /* It may have been taken out meanwhile by an invalidation: then it stays out. */
    if (!list_is_empty(&fetch->in_table)) {
        leave_table(fetch);
        if (may_be_joined)
            enter_table(fetch);
    }
    fetch->has_head = true;
    fetch->progress = FETCH_FLOWING;
    wake_readers(fetch);
    fetch_unlock(fetch);
    /* Others will wait for what is kept: an origin that falls silent must not keep them waiting for ever.
     * What is only passed on may be silent as long as its one client likes. */
    if (is_kept)
        origin_limit_silence(fetch->call, fetch->route->policy.first_byte_timeout_ms);
}

/* The head is complete but for what follows from it. The fetch may be gone afterwards. */
static void conclude(struct fetch *fetch)
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
        cancel(fetch, ERR_NO_MEMORY);
        return;
    }
    publish(fetch);
    drop_if_unwanted(fetch);
}

/* Nothing can be made of the origin's answer: readers begin anew. */
static void begin_anew(struct fetch *fetch)
{
    fetch_lock(fetch);
    leave_table(fetch);
    fetch->progress = FETCH_AGAIN;
    wake_readers(fetch);
    fetch_unlock(fetch);
}

static bool append_stored_body(struct fetch *fetch, const nh_value *value,
                               const struct stored_response *stored)
{
    for (uint64_t offset = 0; offset < stored->body_bytes;) {
        struct bytes piece = value_body_piece(fetch->gateway, value, stored, offset);
        if (!append_body(fetch, piece))
            return false;
        offset += piece.size;
    }
    return true;
}

static void take_reason(struct fetch_head *head, struct bytes reason)
{
    head->has_reason = reason.data != NULL;
    if (head->has_reason)
        buffer_append(&head->reason, reason);
}

/* What the fields say: the origin's (`is_forwarded`), or those of an entry that it freshened. */
static void take_fields(struct fetch *fetch, int status, const struct http_fields *fields,
                        bool is_forwarded)
{
    struct fetch_head *head = &fetch->head;
    const struct route_policy *policy = &fetch->route->policy;

    head->facts = response_facts_of(status, fields, fetch->requested, head->received, policy);
    vary_of(fields, &head->vary);
    purge_watch_read(&fetch->watch, fields, origin_of_url(buffer_bytes(&fetch->route->upstream->base_url)));
    response_fields_render(&head->fields, fields, &head->facts.directives, policy, head->received,
                           is_forwarded);
}

/* The origin says that the entry we have is good. */
static void on_not_modified(struct fetch *fetch, const struct http_fields *fields)
{
    struct gateway *gateway = fetch->gateway;
    struct fetch_head *head = &fetch->head;
    nh_key key = gateway_key(gateway, buffer_bytes(&fetch->key));
    struct stored_response stored;
    struct http_fields merged = {0};
    nh_value value;
    bool is_good = false;

    if (nh_borrow(gateway->store, head->received.mono_ms, key, &value) != NH_OK) {
        begin_anew(fetch);
        return;
    }
    /* It may be another one by now than the one we asked about. */
    if (value_response(gateway, buffer_bytes(&fetch->key), &value, &stored) &&
        bytes_equal(stored.etag, buffer_bytes(&fetch->etag)) &&
        bytes_equal(stored.last_modified, buffer_bytes(&fetch->last_modified)) &&
        is_validated_by(&stored, fields)) {
        merged = freshened_fields(stored.fields, stored.hidden, fields);
        if (merged.list != NULL) {
            take_fields(fetch, stored.status, &merged, false);
            take_reason(head, stored.reason);
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
    conclude(fetch);
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct fetch *fetch = owner;
    struct fetch_head *head = &fetch->head;

    head->received = loop_now(fetch->worker->loop);
    head->origin_status = status;
    head->body_bytes = body_bytes;
    if (!fetch->is_safe) {
        /* Before the client hears of it. */
        bool is_of_target = is_success(status) && invalidate_after_success(fetch, fields);
        cache_groups_invalidated(fields, origin_of_url(buffer_bytes(&fetch->route->upstream->base_url)),
                                 drop_group, fetch);
        if (!is_of_target || fetch->method != HTTP_METHOD_POST)
            buffer_fini(&fetch->key);
    }
    if (fetch->method == HTTP_METHOD_HEAD && fetch->key.size > 0) {
        if (status == 200)
            learn_from_head(fetch, fields, body_bytes);
        buffer_fini(&fetch->key);
    }
    if (status == 304 && fetch->is_validation) {
        on_not_modified(fetch, fields);
        return;
    }
    if (status == 304 && !fetch->with_preconditions) {
        cancel(fetch, ERR_SYNTAX); /* nobody asked a condition */
        return;
    }
    take_fields(fetch, status, fields, true);
    if (!bytes_equal(reason, http_status_reason(status)))
        take_reason(head, reason);
    conclude(fetch);
}

/* Null if it has left. It is on the fetch's thread. */
static struct reader *leader_of(struct fetch *fetch)
{
    struct reader *leader = NULL;

    fetch_lock(fetch);
    if (!list_is_empty(&fetch->readers))
        leader = CONTAINER_OF(fetch->readers.next, struct reader, in_fetch);
    if (leader != NULL && !leader->is_leader)
        leader = NULL;
    fetch_unlock(fetch);
    return leader;
}

/* For the leader alone: who joined did so in the hope of a response, not of this one's progress. */
static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct reader *leader = leader_of(owner);

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
    leader = leader_of(fetch);
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
        take_note(fetch, NOTE_UNREACHABLE, err == ERR_TIMEOUT ? 504 : 502, FAILING_MS);
    /* A write may have been carried out although we never heard of it. */
    if (!fetch->is_safe && reach >= ORIGIN_SENT)
        invalidate_target(fetch);
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct fetch *fetch = owner;

    if (err == OK && fetch->progress == FETCH_WAITING)
        err = ERR_SYNTAX;
    if (err == OK && fetch->progress == FETCH_FLOWING && fetch->head.is_stored && fetch->is_kept) {
        if (fetch->head.facts.status == 206)
            store_part(fetch);
        else
            store_response(fetch);
    }
    if (err != OK && fetch->progress != FETCH_AGAIN)
        report_failure(fetch, err, reach);
    finish(fetch, err == OK ? FETCH_COMPLETE : FETCH_FAILED, err);
}

static const struct origin_callbacks callbacks = {on_interim, on_head, on_body, on_want_body, on_done};

/* ---- beginning ----------------------------------------------------------------------------------- */

static void attach(struct fetch *fetch, struct reader *reader, bool is_leader)
{
    assert(reader->fetch == NULL);
    fetch->reference_count++;
    reader->fetch = fetch;
    reader->chunk = chunk_hold(fetch->first);
    reader->chunk_offset = 0;
    reader->read_bytes = 0;
    reader->is_waiting = false;
    reader->is_cut = false;
    reader->is_leader = is_leader;
    list_append(&fetch->readers, &reader->in_fetch);
}

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
    fetch->task.run = attend;
    timer_init(&fetch->handover, hand_over);
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
        fetch->authority.failed || fetch->etag.failed || fetch->last_modified.failed ||
        fetch->range.failed) {
        fetch_destroy(fetch);
        return NULL;
    }
    return fetch;
}

static enum err fetch_start(struct fetch *fetch, const struct fetch_order *order)
{
    struct gateway_worker *worker = fetch->worker;
    const struct http_request *request = order->request;
    struct buffer target = {0};
    struct http_fields fields = {calloc(fetch->upstream.fields.count + 3, sizeof *fields.list), 0};
    enum err err = ERR_NO_MEMORY;

    fetch->by = worker_upstream(worker, fetch->route->upstream);
    buffer_append(&target, request->path);
    if (request->has_query) {
        buffer_append_byte(&target, '?');
        buffer_append(&target, request->query);
    }
    if (fields.list != NULL && !target.failed && fetch->by != NULL) {
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
                .timeouts = {.connect_ms = fetch->route->upstream->policy.connect_timeout_ms,
                             .first_byte_ms = fetch->route->policy.first_byte_timeout_ms,
                             .total_ms = fetch->route->policy.total_timeout_ms}},
            &callbacks, fetch, &fetch->call);
    }
    free(fields.list);
    buffer_fini(&target);
    if (err != OK)
        return err;
    counters_add(worker->counters, METRIC_gateway_fetches, 1);
    if (fetch->is_validation)
        counters_add(worker->counters, METRIC_gateway_revalidations, 1);
    return OK;
}

static uint32_t fence_count(struct fetch_shard *shard, uint64_t hash)
{
    uint32_t count;

    pthread_mutex_lock(&shard->store_lock);
    count = fence_of(shard, hash)->count;
    pthread_mutex_unlock(&shard->store_lock);
    return count;
}

/* What it brings may have been purged since it began: who comes now must not get that. Under the lock: its
 * tags change no more once its head is there. */
static bool was_purged(const struct fetch *fetch, struct bytes key)
{
    struct purge_watch without_tags = {.birth = fetch->watch.birth,
                                       .purge_number = fetch->watch.purge_number};

    return purge_watch_forbids(fetch->has_head ? &fetch->watch : &without_tags, fetch->gateway, key);
}

/* Attaches `reader`, if any, to the fetch in the table that has the order's key. Under the lock. */
static bool join(struct fetch_shard *shard, const struct fetch_order *order, struct reader *reader)
{
    for (struct list *node = shard->fetches.next; node != &shard->fetches; node = node->next) {
        struct fetch *fetch = CONTAINER_OF(node, struct fetch, in_table);
        if (fetch->requested.mono_ms < order->begun_since_ms ||
            !is_of(fetch, cache_key_bytes(order->key), order->range) ||
            was_purged(fetch, cache_key_bytes(order->key)))
            continue;
        if (reader != NULL)
            attach(fetch, reader, false);
        return true;
    }
    return false;
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
        *joined = join(shard, order, reader);
        pthread_mutex_unlock(&shard->lock);
        if (*joined)
            return OK;
    }
    fetch = fetch_create(worker, order);
    if (fetch == NULL)
        return ERR_NO_MEMORY;
    fetch->fence_count = fence_count(fetch->shard, fetch->hash);
    fetch_lock(fetch);
    /* Another worker may have been quicker. */
    *joined = order->is_shared && join(fetch->shard, order, reader);
    if (*joined) {
        fetch_unlock(fetch);
        fetch_destroy(fetch);
        return OK;
    }
    if (order->is_shared)
        list_append(&fetch->shard->fetches, &fetch->in_table);
    if (reader != NULL)
        attach(fetch, reader, true);
    fetch_unlock(fetch);
    list_append(&worker->fetches, &fetch->in_worker);
    if (order->is_shared && has_come(gateway, fetch->requested.mono_ms, order)) {
        if (reader != NULL)
            fetch_leave(reader);
        /* The maker's reference is still held. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        finish(fetch, FETCH_AGAIN, OK);
        return ERR_CHANGED;
    }
    err = fetch_start(fetch, order);
    if (err != OK) {
        if (reader != NULL)
            fetch_leave(reader);
        /* The maker's reference is still held. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        finish(fetch, FETCH_FAILED, err);
    } else if (order->is_shared) {
        limit_hold(fetch);
    }
    return err;
}

/* ---- readers ------------------------------------------------------------------------------------- */

static void reader_task(struct task *task)
{
    struct reader *reader = CONTAINER_OF(task, struct reader, task);

    atomic_store(&reader->is_posted, false);
    reader->woken(reader);
}

void reader_init(struct reader *reader, struct gateway_worker *worker, void (*woken)(struct reader *reader))
{
    *reader = (struct reader){.worker = worker, .woken = woken, .task = {.run = reader_task}};
    list_init(&reader->in_fetch);
}

bool reader_is_quiet(const struct reader *reader) { return reader->fetch == NULL && !reader->is_posted; }

enum fetch_progress fetch_look(struct reader *reader)
{
    struct fetch *fetch = reader->fetch;
    enum fetch_progress progress;

    fetch_lock(fetch);
    progress = fetch->progress;
    reader->is_waiting = progress == FETCH_WAITING;
    fetch_unlock(fetch);
    return progress;
}

bool fetch_is_overdue(struct reader *reader)
{
    bool is_overdue;

    fetch_lock(reader->fetch);
    is_overdue = reader->fetch->is_overdue;
    fetch_unlock(reader->fetch);
    return is_overdue && !reader->is_leader;
}

bool fetch_has_head(struct reader *reader)
{
    bool has_head;

    fetch_lock(reader->fetch);
    has_head = reader->fetch->has_head;
    fetch_unlock(reader->fetch);
    return has_head;
}

enum err fetch_error(struct reader *reader)
{
    enum err error;

    fetch_lock(reader->fetch);
    error = reader->fetch->error;
    fetch_unlock(reader->fetch);
    return error;
}

const struct fetch_head *fetch_head(const struct reader *reader) { return &reader->fetch->head; }

struct bytes fetch_read(struct reader *reader, size_t limit, enum fetch_progress *progress)
{
    struct fetch *fetch = reader->fetch;
    struct bytes piece = {0};
    bool goes_on = false;

    fetch_lock(fetch);
    while (reader->chunk_offset == reader->chunk->size && reader->chunk->next != NULL) {
        struct chunk *read = reader->chunk;
        reader->chunk = chunk_hold(read->next);
        reader->chunk_offset = 0;
        chunk_release(read);
    }
    piece =
        bytes_of(reader->chunk->data + reader->chunk_offset, reader->chunk->size - reader->chunk_offset);
    if (piece.size > limit)
        piece.size = limit;
    reader->chunk_offset += piece.size;
    reader->read_bytes += piece.size;
    *progress = fetch->progress;
    reader->is_waiting = piece.size == 0 && fetch->progress == FETCH_FLOWING;
    if (fetch->is_paused && lag_bytes(fetch) <= RESUME_BYTES) {
        goes_on = fetch->worker == reader->worker;
        if (goes_on)
            fetch->is_paused = false;
        else
            call_for_attention(fetch);
    }
    fetch_unlock(fetch);
    if (goes_on && fetch->call != NULL)
        origin_resume(fetch->call);
    return piece;
}

uint64_t fetch_body_bytes(const struct reader *reader) { return reader->fetch->body_bytes; }

void fetch_leave(struct reader *reader)
{
    struct fetch *fetch = reader->fetch;

    if (fetch == NULL)
        return;
    fetch_lock(fetch);
    list_remove(&reader->in_fetch);
    chunk_release(reader->chunk);
    reader->chunk = NULL;
    reader->fetch = NULL;
    reader->is_waiting = false;
    if (list_is_empty(&fetch->readers) || (fetch->is_paused && lag_bytes(fetch) <= RESUME_BYTES))
        call_for_attention(fetch);
    fetch_unlock_and_release(fetch);
}

void fetch_upload(struct reader *reader, struct bytes bytes, bool last)
{
    if (reader->fetch != NULL && reader->fetch->call != NULL)
        origin_send_body(reader->fetch->call, bytes, last);
}

void fetch_on_upload_wanted(struct reader *reader, void (*wanted)(struct reader *reader, size_t room))
{
    reader->fetch->upload_wanted = wanted;
}

void fetches_cancel(struct gateway_worker *worker, bool all)
{
    struct list *node = worker->fetches.next;

    while (node != &worker->fetches) {
        struct fetch *fetch = CONTAINER_OF(node, struct fetch, in_worker);
        node = node->next;
        if (!all) {
            if (fetch->call != NULL)
                drop_if_unwanted(fetch);
            continue;
        }
        timer_cancel(worker->loop, &fetch->handover);
        fetch_lock(fetch);
        fetch->worker = NULL;
        if (fetch->is_posted) { /* its task will never run */
            fetch->is_posted = false;
            if (fetch->call == NULL) {
                list_remove(&fetch->in_worker);
                fetch_unlock_and_release(fetch);
                continue;
            }
            fetch->reference_count--;
        }
        fetch_unlock(fetch);
        cancel(fetch, ERR_CANCELLED);
    }
}
