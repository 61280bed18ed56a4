/* fake_tier.h — a shared tier made of memory, behind tier.h and valkey.h, for tests of what stands on them:
 * strings with expiry, the fleet's scripts as test_fleet_scripts has them do, who reads is told of changes.
 * What is near is in the reader's store and is dropped at once when it changes; while the tier is away
 * nothing holds and nothing is answered. */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "client/tier/tier.h"
#include "engine/gateway/fleet/fleet_log.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "test.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { FAKE_WORKERS_MAX = 8, FAKE_NEAR_SPACE = 9 };

struct fake_key {
    struct list in_tier;
    struct buffer key, value;
    int64_t expires_at_ms;
};

struct tier_worker {
    struct tier *tier;
    struct loop *loop;
    nh_store *store;
};

/* What all processes share. */
struct fake_server {
    pthread_mutex_t lock;
    struct list keys, watchers, told; /* the latter: events on their way */
    struct tier *tiers[FAKE_WORKERS_MAX];
    size_t tier_count;
    uint64_t log_number;
    struct bucket_of_fake {
        char key[64]; /* empty: none */
        int64_t full_us;
    } buckets[4]; /* of upstreams with one limit */
    _Atomic uint32_t generation;
    _Atomic bool is_away;
    _Atomic bool is_mute;      /* nobody is told of changes */
    _Atomic bool is_untracked; /* likewise, and it is known: nothing may be kept */
    void (*on_set)(void *);    /* called at each SET, on a worker's thread */
    void *on_set_context;
    _Atomic bool is_full;              /* it can be read, and refuses scripts */
    const char *_Atomic silent_script; /* which is not answered, while all else is */
    _Atomic int script_counts[9], read_count;
};

/* One process's. */
struct tier {
    struct fake_server *server;
    struct tier_worker workers[FAKE_WORKERS_MAX];
    size_t worker_count;
};

/* Something that comes in a later turn of a worker's loop. */
struct fake_event {
    struct task task;
    struct tier_worker *worker;
    struct list in_list;
    struct tier_read *read; /* null once it was given up */
    struct valkey_call *call;
    bool is_change, is_refused;
    struct buffer key, value;
    struct tier_found found;
    enum err err;
    int64_t number;
};

static const char *const fake_scripts[] = {fleet_script_take,    fleet_script_renew, fleet_script_fill,
                                           fleet_script_release, fleet_script_purge, fleet_script_log,
                                           fleet_script_turn,    fleet_script_share, fleet_script_here};
enum {
    FAKE_TAKE,
    FAKE_RENEW,
    FAKE_FILL,
    FAKE_RELEASE,
    FAKE_PURGE,
    FAKE_LOG,
    FAKE_TURN,
    FAKE_SHARE,
    FAKE_HERE
};

static inline struct fake_server *fake_server_create(void)
{
    struct fake_server *server = calloc(1, sizeof *server);

    pthread_mutex_init(&server->lock, NULL);
    list_init(&server->keys);
    list_init(&server->watchers);
    list_init(&server->told);
    server->generation = 1;
    server->log_number = 1000;
    return server;
}

static inline struct tier *fake_tier_create(struct fake_server *server)
{
    struct tier *tier = calloc(1, sizeof *tier);

    tier->server = server;
    pthread_mutex_lock(&server->lock);
    server->tiers[server->tier_count++] = tier;
    pthread_mutex_unlock(&server->lock);
    return tier;
}

static inline struct tier_worker *fake_tier_worker(struct tier *tier, struct loop *loop, nh_store *store)
{
    struct tier_worker *worker = &tier->workers[tier->worker_count++];

    *worker = (struct tier_worker){tier, loop, store};
    return worker;
}

static inline void fake_key_destroy(struct fake_key *key)
{
    buffer_fini(&key->key);
    buffer_fini(&key->value);
    free(key);
}

static inline void fake_key_free(struct fake_key *key)
{
    list_remove(&key->in_tier);
    fake_key_destroy(key);
}

static inline void fake_event_free(struct fake_event *event)
{
    buffer_fini(&event->key);
    buffer_fini(&event->value);
    free(event);
}

/* The list is used no more. */
static inline void fake_events_free(struct list *events)
{
    for (struct list *node = events->next, *next; node != events; node = next) {
        next = node->next;
        fake_event_free(CONTAINER_OF(node, struct fake_event, in_list));
    }
}

static inline void fake_server_destroy(struct fake_server *server)
{
    for (struct list *node = server->keys.next, *next; node != &server->keys; node = next) {
        next = node->next;
        fake_key_destroy(CONTAINER_OF(node, struct fake_key, in_tier));
    }
    fake_events_free(&server->watchers);
    fake_events_free(&server->told);
    for (size_t i = 0; i < server->tier_count; i++)
        free(server->tiers[i]);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* ---- events -------------------------------------------------------------------------------------- */

static inline void fake_event_run(struct task *task)
{
    struct fake_event *event = CONTAINER_OF(task, struct fake_event, task);
    struct fake_server *server = event->worker->tier->server;

    pthread_mutex_lock(&server->lock);
    list_remove(&event->in_list);
    pthread_mutex_unlock(&server->lock);
    if (event->read != NULL && event->is_change) {
        event->read->changed(event->read);
    } else if (event->read != NULL) {
        event->found.value = buffer_bytes(&event->value);
        event->read->done(event->read, &event->found);
    } else if (event->call != NULL) {
        struct resp_node node = {.type = RESP_INTEGER, .span = 1, .integer = event->number};
        if (event->is_refused)
            node = (struct resp_node){.type = RESP_ERROR, .span = 1, .bytes = BYTES("OOM no memory")};
        struct resp_reply reply = {&node, 1, {NULL, 0}};
        event->call->done(event->call, &(struct valkey_answer){.err = event->err, .replies = &reply});
    }
    fake_event_free(event);
}

/* Under the lock. */
static inline void fake_event_post(struct fake_event *event)
{
    list_remove(&event->in_list);
    list_append(&event->worker->tier->server->told, &event->in_list);
    loop_post(event->worker->loop, &event->task);
}

static inline struct fake_event *fake_event_create(struct tier_worker *worker)
{
    struct fake_event *event = calloc(1, sizeof *event);

    event->task.run = fake_event_run;
    event->worker = worker;
    list_init(&event->in_list);
    return event;
}

/* ---- keys; all under the lock -------------------------------------------------------------------- */

/* Expired or not. */
static inline struct fake_key *fake_look(const struct fake_server *server, struct bytes key)
{
    for (struct list *node = server->keys.next; node != &server->keys; node = node->next) {
        struct fake_key *found = CONTAINER_OF(node, struct fake_key, in_tier);
        if (bytes_equal(buffer_bytes(&found->key), key))
            return found;
    }
    return NULL;
}

static inline struct fake_key *fake_find(struct fake_server *server, struct bytes key, int64_t now_ms)
{
    struct fake_key *found = fake_look(server, key);

    if (found == NULL || found->expires_at_ms == 0 || found->expires_at_ms > now_ms)
        return found;
    fake_key_free(found);
    return NULL;
}

static inline void fake_tell(struct fake_server *server, struct bytes key)
{
    if (server->is_mute)
        return;
    for (size_t i = 0; i < server->tier_count; i++)
        if (server->tiers[i]->worker_count > 0)
            nh_delete(server->tiers[i]->workers[0].store, 0, (nh_key){key.data, key.size, FAKE_NEAR_SPACE});
    for (struct list *node = server->watchers.next, *next; node != &server->watchers; node = next) {
        struct fake_event *event = CONTAINER_OF(node, struct fake_event, in_list);
        next = node->next;
        if (!bytes_equal(buffer_bytes(&event->key), key))
            continue;
        fake_event_post(event);
    }
}

static inline void fake_set(struct fake_server *server, struct bytes key, struct bytes value,
                            int64_t expires_at_ms)
{
    struct fake_key *found = fake_find(server, key, 0);

    if (found != NULL)
        fake_key_free(found);
    found = calloc(1, sizeof *found);
    list_init(&found->in_tier);
    buffer_append(&found->key, key);
    buffer_append(&found->value, value);
    found->expires_at_ms = expires_at_ms;
    list_append(&server->keys, &found->in_tier);
    fake_tell(server, key);
}

static inline void fake_del(struct fake_server *server, struct bytes key)
{
    struct fake_key *found = fake_find(server, key, 0);

    if (found == NULL)
        return;
    fake_key_free(found);
    fake_tell(server, key);
}

static inline bool fake_is(struct fake_server *server, struct bytes key, struct bytes value, int64_t now_ms)
{
    struct fake_key *found = fake_find(server, key, now_ms);

    return found != NULL && bytes_equal(buffer_bytes(&found->value), value);
}

/* ---- scripts ------------------------------------------------------------------------------------- */

static inline int64_t fake_purge(struct fake_server *server, struct bytes names, struct bytes witness,
                                 bool is_soft)
{
    struct bytes start = bytes_first(names, names.size - 1); /* "nh:{…}:" */

    for (struct list *node = server->keys.next, *next; node != &server->keys; node = next) {
        struct fake_key *key = CONTAINER_OF(node, struct fake_key, in_tier);
        struct buffer copy = {0};
        char kind;
        next = node->next;
        if (!bytes_start_with(buffer_bytes(&key->key), start))
            continue;
        kind = key->key.data[start.size];
        if (is_soft && kind == 'w') {
            if (key->value.data[0] == 'r')
                key->value.data[17] = 's';
        } else if (!is_soft || kind == 'l') {
            buffer_append(&copy, buffer_bytes(&key->key));
            fake_key_free(key);
            fake_tell(server, buffer_bytes(&copy));
            copy.data[start.size] = 'w';
            fake_tell(server, buffer_bytes(&copy));
            buffer_fini(&copy);
            next = server->keys.next; /* from the start again */
            continue;
        }
    }
    fake_tell(server, witness);
    return 1;
}

static inline void fake_append_number(struct buffer *to, uint64_t number, int size)
{
    for (int i = 0; i < size; i++)
        buffer_append_byte(to, (char)(unsigned char)(number >> 8 * i));
}

static inline int64_t fake_log(struct fake_server *server, struct bytes key, const struct bytes *arguments)
{
    struct fake_key *found = fake_find(server, key, 0);
    struct buffer value = {0};
    struct bytes records = {0};
    uint64_t left = server->log_number;

    if (found != NULL) {
        records = bytes_after(buffer_bytes(&found->value), 8224);
        memcpy(&left, found->value.data + 24, sizeof left);
    } else {
        left = ++server->log_number;
    }
    if (arguments[1].size > 0)
        server->log_number++;
    buffer_append_literal(&value, "nhPurge1");
    fake_append_number(&value, server->log_number, 8);
    fake_append_number(&value, left, 8);
    fake_append_number(&value, left, 8);
    for (int i = 0; i < FLEET_LOG_TAGS; i++)
        fake_append_number(&value, 0, 8);
    buffer_append(&value, records);
    if (arguments[1].size > 0) {
        fake_append_number(&value, server->log_number, 8);
        for (int i = 0; i < 3; i++)
            buffer_append(&value, arguments[i]);
        fake_append_number(&value, strtoul(arguments[3].data, NULL, 10), 2);
        fake_append_number(&value, arguments[4].size, 2);
        buffer_append(&value, arguments[4]);
    }
    fake_set(server, key, buffer_bytes(&value), 0);
    buffer_fini(&value);
    return (int64_t)server->log_number;
}

static inline int64_t fake_fill(struct fake_server *server, const struct bytes *keys, size_t key_count,
                                const struct bytes *arguments, int64_t now_ms)
{
    int64_t due_ms = now_ms + strtoll(arguments[1].data, NULL, 10);

    if (!fake_is(server, keys[0], arguments[0], now_ms))
        return 0;
    fake_set(server, keys[3], arguments[3], due_ms);
    fake_set(server, keys[2], arguments[2], due_ms);
    if (key_count == 5 && !fake_is(server, keys[4], arguments[6], now_ms))
        fake_set(server, keys[4], arguments[6], due_ms);
    fake_del(server, keys[0]);
    return 1;
}

static inline int64_t fake_release(struct fake_server *server, const struct bytes *keys,
                                   const struct bytes *arguments, int64_t now_ms)
{
    if (!fake_is(server, keys[0], arguments[0], now_ms))
        return 0;
    fake_del(server, keys[0]);
    if (arguments[1].size > 0)
        fake_set(server, keys[2], arguments[1], now_ms + strtoll(arguments[2].data, NULL, 10));
    else
        fake_tell(server, keys[2]);
    return 1;
}

static inline int64_t fake_turn(struct fake_server *server, struct bytes key, const struct bytes *arguments,
                                int64_t now_ms)
{
    struct fake_key *found = fake_find(server, key, now_ms);
    int64_t keep_ms = strtoll(arguments[1].data, NULL, 10);

    if (found != NULL && !bytes_equal(buffer_bytes(&found->value), arguments[0]))
        return found->expires_at_ms - now_ms;
    if (keep_ms > 0)
        fake_set(server, key, arguments[0], now_ms + keep_ms);
    else
        fake_del(server, key);
    return 0;
}

/* As the script, of one limit. */
static inline int64_t fake_share(struct fake_server *server, struct bytes key,
                                 const struct bytes *arguments, int64_t now_ms)
{
    struct bucket_of_fake *bucket = server->buckets;
    int64_t wanted = strtoll(arguments[0].data, NULL, 10), own = strtoll(arguments[1].data, NULL, 10);
    int64_t burst = strtoll(arguments[3].data, NULL, 10), interval = strtoll(arguments[4].data, NULL, 10);
    int64_t us = now_ms * 1000, lacks, has, due, left;

    while (bucket->key[0] != '\0' && !bytes_equal(bytes_of_text(bucket->key), key))
        bucket++;
    EXPECT(bucket < server->buckets + COUNT_OF(server->buckets));
    if (bucket->key[0] == '\0') {
        snprintf(bucket->key, sizeof bucket->key, "%.*s", BYTES_PRINTF(key));
        bucket->full_us = arguments[2].data[0] == '1' ? us + burst * interval : us;
    }
    lacks = (bucket->full_us > us ? bucket->full_us - us : 0) + own * interval;
    has = burst - (lacks + interval - 1) / interval;
    has = has < 0 ? 0 : has < wanted ? has : wanted;
    due = lacks - (burst - 1) * interval;
    due = due < 0 ? 0 : (due + 999) / 1000;
    due = due < 0xffffff ? due : 0xffffff;
    lacks += has * interval;
    bucket->full_us = us + lacks;
    left = lacks > burst * interval ? 0 : (burst * interval - lacks) * 100 / (burst * interval);
    return (has * 16777216 + due) * 128 + left;
}

static inline int64_t fake_run(struct fake_server *server, const struct bytes *all, size_t count,
                               int64_t now_ms)
{
    size_t key_count = count > 2 ? strtoul(all[2].data, NULL, 10) : 0;
    const struct bytes *keys = all + 3, *arguments = keys + key_count;

    if (bytes_equal(all[0], BYTES("SET"))) {
        fake_set(server, all[1], all[2], now_ms + strtoll(all[4].data, NULL, 10));
        if (server->on_set != NULL)
            server->on_set(server->on_set_context);
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(fake_scripts); i++) {
        if (!bytes_equal(all[1], bytes_of_text(fake_scripts[i])))
            continue;
        server->script_counts[i]++;
        switch (i) {
        case FAKE_TAKE:
            if (fake_find(server, keys[0], now_ms) != NULL)
                return 0;
            fake_set(server, keys[0], arguments[0], now_ms + strtoll(arguments[1].data, NULL, 10));
            return 1;
        case FAKE_RENEW: return fake_is(server, keys[0], arguments[0], now_ms);
        case FAKE_FILL: return fake_fill(server, keys, key_count, arguments, now_ms);
        case FAKE_RELEASE: return fake_release(server, keys, arguments, now_ms);
        case FAKE_PURGE: return fake_purge(server, keys[0], keys[1], arguments[0].data[0] == 's');
        case FAKE_LOG: return fake_log(server, keys[0], arguments);
        case FAKE_TURN: return fake_turn(server, keys[0], arguments, now_ms);
        case FAKE_HERE: return (int64_t)server->tier_count;
        case FAKE_SHARE: return fake_share(server, keys[0], arguments, now_ms);
        default: break;
        }
    }
    fail_msg("no script of ours");
    return 0;
}

/* ---- tier.h and valkey.h -------------------------------------------------------------------------- */

/* By what is in braces. */
uint16_t valkey_slot(struct bytes key)
{
    const char *open = key.size > 0 ? memchr(key.data, '{', key.size) : NULL;
    const char *close = open != NULL ? memchr(open, '}', (size_t)(key.data + key.size - open)) : NULL;

    if (close != NULL)
        key = bytes_of(open, (size_t)(close - open));
    return (uint16_t)(hash_bytes(key, 1) % VALKEY_SLOT_COUNT);
}

static inline bool fake_is_silent(const struct fake_server *server, const struct valkey_command *command)
{
    const char *script = server->silent_script;

    return script != NULL && command->argument_count > 1 &&
           bytes_equal(command->arguments[1], bytes_of_text(script));
}

struct valkey *tier_valkey(struct tier_worker *worker) { return (struct valkey *)worker; }

void valkey_ask(struct valkey *valkey, struct valkey_call *call, const struct valkey_order *order)
{
    struct tier_worker *worker = (struct tier_worker *)valkey;
    struct fake_server *server = worker->tier->server;
    struct fake_event *event = fake_event_create(worker);

    event->call = call;
    call->inner = event;
    pthread_mutex_lock(&server->lock);
    event->is_refused = server->is_full;
    if (server->is_away || fake_is_silent(server, &order->commands[0]))
        event->err = ERR_UNREACHABLE;
    else if (!server->is_full)
        event->number = fake_run(server, order->commands[0].arguments, order->commands[0].argument_count,
                                 loop_now(worker->loop).mono_ms);
    fake_event_post(event);
    pthread_mutex_unlock(&server->lock);
}

void valkey_give_up(struct valkey *valkey, struct valkey_call *call)
{
    (void)valkey;
    ((struct fake_event *)call->inner)->call = NULL;
}

bool tier_mark_holds(const struct tier *tier, struct tier_mark mark, uint16_t slot, int64_t now_ms)
{
    (void)slot, (void)now_ms;
    return mark.slot_epoch != 0 && mark.source == tier->server->generation && !tier->server->is_away;
}

enum tier_near tier_borrow(struct tier_worker *worker, int64_t now_ms, nh_key key, nh_value *value)
{
    struct tier *tier = worker->tier;
    nh_store *store = tier->workers[0].store;

    if (tier->server->is_away || nh_borrow(store, now_ms, key, value) != NH_OK)
        return TIER_NOT_NEAR;
    if (value->flags == tier->server->generation)
        return TIER_NEAR_VALUE;
    nh_release(store, value);
    return TIER_NOT_NEAR;
}

void tier_forget(struct tier *tier, struct bytes key)
{
    nh_delete(tier->workers[0].store, 0, (nh_key){key.data, key.size, FAKE_NEAR_SPACE});
}

void tier_read(struct tier_worker *worker, struct tier_read *read, nh_key key, unsigned flags,
               uint32_t head_bytes, int64_t deadline_ms)
{
    struct fake_server *server = worker->tier->server;
    struct fake_event *event = fake_event_create(worker), *watch;
    struct bytes name = bytes_of(key.data, key.size);
    int64_t now_ms = loop_now(worker->loop).mono_ms;
    struct fake_key *found;

    (void)head_bytes, (void)deadline_ms;
    event->read = read;
    server->read_count++;
    pthread_mutex_lock(&server->lock);
    found = fake_find(server, name, now_ms);
    if (server->is_away) {
        event->found.err = ERR_UNREACHABLE;
    } else {
        if (!server->is_untracked)
            event->found.mark = (struct tier_mark){server->generation, 1};
        event->found.is_there = found != NULL;
    }
    if (!server->is_away && found != NULL) {
        const nh_put_options options = {.size = sizeof options, .flags = server->generation};
        buffer_append(&event->value, buffer_bytes(&found->value));
        event->found.expires_at_ms = found->expires_at_ms;
        if (!(flags & TIER_UNKEPT))
            nh_put(worker->store, now_ms, key, (nh_bytes){found->value.data, found->value.size}, &options,
                   NULL);
    }
    if (!server->is_away && (flags & TIER_WATCHED)) {
        watch = fake_event_create(worker);
        watch->read = read;
        watch->is_change = true;
        buffer_append(&watch->key, name);
        list_append(&server->watchers, &watch->in_list);
    }
    fake_event_post(event);
    pthread_mutex_unlock(&server->lock);
}

static inline void fake_give_up(struct list *events, const struct tier_read *read)
{
    for (struct list *node = events->next; node != events; node = node->next) {
        struct fake_event *event = CONTAINER_OF(node, struct fake_event, in_list);
        if (event->read == read)
            event->read = NULL;
    }
}

void tier_read_end(struct tier_worker *worker, struct tier_read *read)
{
    struct fake_server *server = worker->tier->server;

    pthread_mutex_lock(&server->lock);
    fake_give_up(&server->watchers, read);
    fake_give_up(&server->told, read);
    pthread_mutex_unlock(&server->lock);
}

/* It is not known any longer that keys which are missing are: who watches one is told. */
static inline void fake_server_forget_missing(struct fake_server *server)
{
    pthread_mutex_lock(&server->lock);
    for (struct list *node = server->watchers.next, *next; node != &server->watchers; node = next) {
        struct fake_event *event = CONTAINER_OF(node, struct fake_event, in_list);
        next = node->next;
        if (fake_look(server, buffer_bytes(&event->key)) == NULL)
            fake_event_post(event);
    }
    pthread_mutex_unlock(&server->lock);
}

/* Takes out the keys that end so. */
static inline void fake_server_evict(struct fake_server *server, const char *end)
{
    struct bytes tail = bytes_of_text(end);

    pthread_mutex_lock(&server->lock);
    for (struct list *node = server->keys.next, *next; node != &server->keys; node = next) {
        struct fake_key *key = CONTAINER_OF(node, struct fake_key, in_tier);
        struct buffer copy = {0};
        next = node->next;
        if (key->key.size < tail.size ||
            !bytes_equal(bytes_after(buffer_bytes(&key->key), key->key.size - tail.size), tail))
            continue;
        buffer_append(&copy, buffer_bytes(&key->key));
        fake_key_free(key);
        fake_tell(server, buffer_bytes(&copy));
        buffer_fini(&copy);
    }
    pthread_mutex_unlock(&server->lock);
}

/* From here on nothing that was read holds; `is_away`: and nothing is answered. Everybody is told. */
static inline void fake_server_set_away(struct fake_server *server, bool is_away)
{
    pthread_mutex_lock(&server->lock);
    server->is_away = is_away;
    server->generation++;
    while (!list_is_empty(&server->watchers))
        fake_event_post(CONTAINER_OF(server->watchers.next, struct fake_event, in_list));
    pthread_mutex_unlock(&server->lock);
}
