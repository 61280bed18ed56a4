/* tier_servers.h — two servers of a tier as the model of the near cache needs them: keys with all their
 * versions, connections with what is on its way in either direction, in the order of the wire and as late
 * as the test likes; who has read which key; slots that move. Any thread, with the lock held. */
#pragma once
#include "base/list.h"
#include "client/tier/tier.h"
#include "threads.h"

enum {
    MODEL_KEYS = 8,
    MODEL_NODES = 2,
    MODEL_WORKERS = 2,
    VERSIONS_MAX = 1 << 16,
};

/* A moment in the life of a key: what it was, and until when. */
struct version {
    bool is_missing;
    int64_t ended_ms; /* INT64_MAX: it is still so */
};

enum said { SAID_REPLY, SAID_MOVED, SAID_PUSH, SAID_FLUSH, SAID_CANARY, SAID_PONG };
enum wanted { WANT_TTL, WANT_VALUE, WANT_SET, WANT_DELETE, WANT_CANARY };

/* What is on its way, to the server or back. */
struct message {
    struct list in_queue;
    enum wanted wanted;
    enum said said;
    struct valkey_call *call; /* null: none, or given up */
    int key;
    int64_t sent_ms;
    uint32_t generation; /* of the connection, when it was sent */
    bool by_ask, is_missing, is_wanted_no_more;
    uint32_t version;
};

struct connection {
    struct list requests, replies, pushes; /* pushes: only with a receiver of its own */
    bool is_open, has_receiver;
    bool has_read[MODEL_KEYS];
};

struct model_key {
    char name[8];
    uint16_t slot;
    int owner;
    bool is_migrating;     /* its data are with the other node already */
    uint32_t latest;       /* version */
    uint32_t acknowledged; /* of our own writes: the newest that any of our clients has heard of */
    struct version versions[VERSIONS_MAX];
};

struct servers {
    pthread_mutex_t lock;
    _Atomic int64_t now_ms;
    struct model_key keys[MODEL_KEYS];
    struct connection connections[MODEL_WORKERS][MODEL_NODES];
};

static inline void say(struct connection *connection, enum said said, int key, struct message message,
                       bool is_push)
{
    struct message *sent = malloc(sizeof *sent);

    MUST(sent != NULL);
    *sent = message;
    sent->said = said;
    sent->key = key;
    list_append(is_push && connection->has_receiver ? &connection->pushes : &connection->replies,
                &sent->in_queue);
}

/* Tells all that have read the key on `node`, but `except`, which is told by who calls. */
static inline void tell_readers(struct servers *servers, int node, int key, const struct connection *except)
{
    for (int worker = 0; worker < MODEL_WORKERS; worker++) {
        struct connection *connection = &servers->connections[worker][node];
        if (connection == except || !connection->is_open || !connection->has_read[key])
            continue;
        connection->has_read[key] = false;
        say(connection, SAID_PUSH, key, (struct message){0}, true);
    }
}

/* False if the key can have no more versions: the run has been long enough. */
static inline bool change(struct servers *servers, int key, bool is_missing)
{
    struct model_key *changed = &servers->keys[key];

    if (changed->latest + 1 >= VERSIONS_MAX)
        return false;
    changed->versions[changed->latest].ended_ms = atomic_load(&servers->now_ms);
    changed->versions[++changed->latest] =
        (struct version){.is_missing = is_missing, .ended_ms = INT64_MAX};
    return true;
}

static inline bool is_missing(const struct servers *servers, int key)
{
    return servers->keys[key].versions[servers->keys[key].latest].is_missing;
}

/* Where the data of a key are: who writes to it tells the readers there. */
static inline int holder(const struct servers *servers, int key)
{
    return servers->keys[key].is_migrating ? 1 - servers->keys[key].owner : servers->keys[key].owner;
}

/* A write by `writer`, or by a stranger (null). A DEL of what is missing changes nothing, and tells nobody.
 */
static inline void write_key(struct servers *servers, int key, bool is_delete, struct connection *writer)
{
    if ((is_delete && is_missing(servers, key)) || !change(servers, key, is_delete))
        return;
    tell_readers(servers, holder(servers, key), key, writer);
}

/* One step of a migration of the key's slot. What exists is told at MIGRATE; what is missing is not. */
static inline void migrate(struct servers *servers, int key)
{
    struct model_key *moved = &servers->keys[key];

    if (moved->is_migrating) {
        moved->owner = 1 - moved->owner;
        moved->is_migrating = false;
        return;
    }
    if (!is_missing(servers, key))
        tell_readers(servers, moved->owner, key, NULL);
    moved->is_migrating = true;
}

static inline void flush_node(struct servers *servers, int node)
{
    for (int key = 0; key < MODEL_KEYS; key++)
        if (holder(servers, key) == node && !is_missing(servers, key))
            change(servers, key, true);
    for (int worker = 0; worker < MODEL_WORKERS; worker++) {
        struct connection *connection = &servers->connections[worker][node];
        memset(connection->has_read, 0, sizeof connection->has_read);
        if (connection->is_open)
            say(connection, SAID_FLUSH, 0, (struct message){0}, true);
    }
}

/* The server runs the oldest request of the connection. */
static inline void run_request(struct servers *servers, int worker, int node)
{
    struct connection *connection = &servers->connections[worker][node];
    struct message *request, answer;
    struct model_key *key;

    if (list_is_empty(&connection->requests))
        return;
    request = CONTAINER_OF(connection->requests.next, struct message, in_queue);
    list_remove(&request->in_queue);
    answer = *request;
    free(request);
    if (answer.wanted == WANT_CANARY) {
        say(connection, SAID_CANARY, 0, answer, false);
        return;
    }
    key = &servers->keys[answer.key];
    if (key->owner != node) {
        say(connection, SAID_MOVED, answer.key, answer, false);
        return;
    }
    answer.by_ask = key->is_migrating;
    if (answer.wanted == WANT_SET || answer.wanted == WANT_DELETE) {
        /* Who writes is told behind the reply (T3). */
        bool has_read = connection->has_read[answer.key] && !key->is_migrating;
        uint32_t before = key->latest;
        write_key(servers, answer.key, answer.wanted == WANT_DELETE, connection);
        answer.version = key->latest;
        say(connection, SAID_REPLY, answer.key, answer, false);
        if (has_read && key->latest != before) {
            connection->has_read[answer.key] = false;
            say(connection, SAID_PUSH, answer.key, (struct message){0}, true);
        }
        return;
    }
    answer.version = key->latest;
    answer.is_missing = is_missing(servers, answer.key);
    if (!answer.by_ask)
        connection->has_read[answer.key] = true;
    say(connection, SAID_REPLY, answer.key, answer, false);
}

/* ---- what is true ---------------------------------------------------------------------------------- */

/* Whether `version` of the key was so at some moment from `since_ms` on. */
static inline bool was_so_since(const struct servers *servers, int key, uint32_t version, int64_t since_ms)
{
    return version <= servers->keys[key].latest &&
           servers->keys[key].versions[version].ended_ms >= since_ms;
}

/* Whether the key was missing at some moment from `since_ms` on, as of a version not before `oldest`. */
static inline bool was_missing_since(const struct servers *servers, int key, uint32_t oldest,
                                     int64_t since_ms)
{
    for (uint32_t version = servers->keys[key].latest + 1; version-- > oldest;) {
        if (servers->keys[key].versions[version].ended_ms < since_ms)
            return false;
        if (servers->keys[key].versions[version].is_missing)
            return true;
    }
    return false;
}
