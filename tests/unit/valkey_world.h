/* valkey_world.h — a cluster that a client of it can be tried against without a network: servers in memory
 * behind source.h and link.h, a clock that the test moves, one step at a time.
 *
 * A server runs what was sent when its connection is delivered, and the replies are told then: so the test
 * decides who is fast and who is slow. Servers do as Redis does: MOVED, ASK and ASKING, TRYAGAIN,
 * CLUSTERDOWN, slots that migrate key by key. */
#pragma once
#include "base/compiler.h"
#include "base/number.h"
#include "base/random_source.h"
#include "client/valkey/valkey_parts.h"
#include "net/loop.h"
#include "test.h"
#include <stdlib.h>

enum { NODES_MAX = 8, KEYS_MAX = 64, VALUE_BYTES_MAX = 4096, BEGIN_PORT = 7000, NOBODY = -1 };

struct node {
    char host[64];
    uint16_t port;
    bool is_up, is_frozen, is_down_for_cluster, is_loading;
    int replica_of; /* NOBODY: a primary */
    uint64_t epoch;
    bool is_stale; /* its CLUSTER SHARDS is what the map was when it became so */
    int stale_owner[VALKEY_SLOT_COUNT];
    uint64_t stale_epoch[NODES_MAX];
    uint32_t connection_count, command_count, shards_count;
    bool knows_no_shards, is_lone;
    /* null, or what to answer to a command instead; null from it: what a server would */
    const char *(*script)(struct node *node, const struct bytes *arguments, uint32_t count);
};

struct key {
    char name[32];
    int at; /* node */
    char value[VALUE_BYTES_MAX];
    size_t size;
};

struct sent {
    struct list in_connection;
    struct link_request *request; /* null: forgotten */
    char *bytes;
    size_t size;
    uint32_t reply_count;
    bool is_fenced; /* by link_send_subscriptions */
};

/* A connection: a link of its own, or a source's. */
struct connection {
    struct list in_world;
    struct list sent;
    struct link_address address;
    struct node *node;
    bool is_open, is_asking, is_multi, is_replica, is_ending;
    const struct link_callbacks *link_callbacks;
    void *link_owner;
};

struct source {
    struct connection connection;
    struct source_state *state;
    uint32_t index;
    const struct source_callbacks *callbacks;
    void *owner;
    struct bytes canary;
    char canary_key[64];
    uint32_t failure_count, reconnect_count;
    int64_t retry_ms;
};

struct link {
    struct connection connection;
};

struct world {
    struct loop *loop;
    int64_t now_ms;
    struct node nodes[NODES_MAX];
    int node_count;
    int owner[VALKEY_SLOT_COUNT];
    int migrating_to[VALKEY_SLOT_COUNT];
    struct key keys[KEYS_MAX];
    int key_count;
    struct list connections;
    struct valkey *valkey;
    struct valkey_options options;
    struct counters counters;
    struct source_state states[64];
    int came_count, went_count, flushed_count, stopped_count;
    uint32_t moved_count;
    uint16_t last_moved;
    bool (*may_deliver)(struct connection *connection); /* null: all the time */
    /* Of who has channels: tells what comes of what was sent with a fence; a connection is gone. */
    void (*deliver_fenced)(struct connection *connection, struct sent *sent);
    void (*forget_connection)(struct connection *connection);
};

static struct world world; /* one at a time: what stands behind source.h has no other way to it */
/* Above 0 while the servers are at work: memory that is asked for then is not the client's. */
static volatile int servers_depth;

/* ---- what servers do --------------------------------------------------------------------------------- */

static inline struct node *node_at(const struct link_address *address)
{
    for (int i = 0; i < world.node_count; i++)
        if (world.nodes[i].port == address->port && strcmp(world.nodes[i].host, address->host) == 0)
            return &world.nodes[i];
    return NULL;
}

static inline int number_of(const struct node *node) { return (int)(node - world.nodes); }

static inline void say(struct buffer *reply, const char *text)
{
    buffer_append(reply, bytes_of_text(text));
    buffer_append_literal(reply, "\r\n");
}

static inline void say_bulk(struct buffer *reply, struct bytes bytes)
{
    buffer_append_format(reply, "$%zu\r\n", bytes.size);
    buffer_append(reply, bytes);
    buffer_append_literal(reply, "\r\n");
}

static inline struct key *key_of(struct bytes name)
{
    struct key *key;

    for (int i = 0; i < world.key_count; i++)
        if (bytes_equal(bytes_of_text(world.keys[i].name), name))
            return &world.keys[i];
    EXPECT(world.key_count < KEYS_MAX && name.size < sizeof key->name);
    key = &world.keys[world.key_count++];
    *key = (struct key){.at = NOBODY};
    memcpy(key->name, name.data, name.size);
    return key;
}

static inline void say_id(struct buffer *reply, int number)
{
    buffer_append_format(reply, "$40\r\n%040d\r\n", number);
}

/* RESP2, as it comes from a server that is asked over either. */
static inline void say_shards(struct node *node, struct buffer *reply, bool as_slots)
{
    const int *owner = node->is_stale ? node->stale_owner : world.owner;
    struct buffer ranges = {0};
    int shard_count = 0, range_count = 0;

    for (int i = 0; i < world.node_count; i++) {
        int count = 0, member_count = 1;
        ranges.size = 0;
        if (world.nodes[i].replica_of != NOBODY)
            continue;
        for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++) {
            int first = slot;
            if (owner[slot] != i)
                continue;
            while (slot + 1 < VALKEY_SLOT_COUNT && owner[slot + 1] == i)
                slot++;
            if (as_slots) {
                buffer_append_format(reply, "*3\r\n:%d\r\n:%d\r\n*3\r\n$%zu\r\n%s\r\n:%u\r\n", first, slot,
                                     strlen(world.nodes[i].host), world.nodes[i].host, world.nodes[i].port);
                say_id(reply, i);
                range_count++;
            }
            buffer_append_format(&ranges, ":%d\r\n:%d\r\n", first, slot);
            count += 2;
        }
        if (as_slots)
            continue;
        for (int k = 0; k < world.node_count; k++)
            member_count += world.nodes[k].replica_of == i;
        shard_count++;
        buffer_append_format(reply, "*4\r\n$5\r\nslots\r\n*%d\r\n", count);
        buffer_append(reply, buffer_bytes(&ranges));
        buffer_append_format(reply, "$5\r\nnodes\r\n*%d\r\n", member_count);
        for (int k = 0; k < world.node_count; k++) {
            if (k != i && world.nodes[k].replica_of != i)
                continue;
            buffer_append_literal(reply, "*10\r\n$2\r\nid\r\n");
            say_id(reply, k);
            buffer_append_format(reply, "$4\r\nport\r\n:%u\r\n$8\r\nendpoint\r\n", world.nodes[k].port);
            say_bulk(reply, bytes_of_text(world.nodes[k].host));
            buffer_append_literal(reply, "$4\r\nrole\r\n");
            say_bulk(reply, k == i ? BYTES("master") : BYTES("replica"));
            buffer_append_literal(reply, "$6\r\nhealth\r\n");
            say_bulk(reply, BYTES("online"));
        }
    }
    buffer_fini(&ranges);
    {
        struct buffer head = {0};
        buffer_append_format(&head, "*%d\r\n", as_slots ? range_count : shard_count);
        buffer_append(&head, buffer_bytes(reply));
        buffer_fini(reply);
        *reply = head;
    }
}

static inline void say_nodes(struct node *node, struct buffer *reply)
{
    struct buffer text = {0};

    for (int i = 0; i < world.node_count; i++)
        buffer_append_format(
            &text, "%040d %s:%u@1 master - 0 0 %llu connected\n", i, world.nodes[i].host,
            world.nodes[i].port,
            (unsigned long long)(node->is_stale ? node->stale_epoch[i] : world.nodes[i].epoch));
    say_bulk(reply, buffer_bytes(&text));
    buffer_fini(&text);
}

static inline void say_role(struct node *node, struct buffer *reply)
{
    int count = 0;

    if (node->replica_of != NOBODY) {
        const struct node *primary = &world.nodes[node->replica_of];
        buffer_append_format(reply, "*5\r\n$5\r\nslave\r\n$%zu\r\n%s\r\n:%u\r\n$9\r\nconnected\r\n:1\r\n",
                             strlen(primary->host), primary->host, primary->port);
        return;
    }
    for (int i = 0; i < world.node_count; i++)
        count += world.nodes[i].replica_of == number_of(node);
    buffer_append_format(reply, "*3\r\n$6\r\nmaster\r\n:1\r\n*%d\r\n", count);
    for (int i = 0; i < world.node_count; i++) {
        char port[8];
        if (world.nodes[i].replica_of != number_of(node))
            continue;
        snprintf(port, sizeof port, "%u", world.nodes[i].port);
        buffer_append_literal(reply, "*3\r\n");
        say_bulk(reply, bytes_of_text(world.nodes[i].host));
        say_bulk(reply, bytes_of_text(port));
        say_bulk(reply, BYTES("1"));
    }
}

static inline void say_place(struct buffer *reply, const char *word, uint16_t slot, int node)
{
    buffer_append_format(reply, "-%s %u %s:%u\r\n", word, slot, world.nodes[node].host,
                         world.nodes[node].port);
}

/* GET k · SET k v · APPEND k v · MAPPEND k k v, to the values of both. */
static inline void run_keyed(struct connection *connection, const struct bytes *arguments, uint32_t count,
                             struct buffer *reply, bool was_asking)
{
    struct node *node = connection->node;
    int here = number_of(node), missing_count = 0,
        key_count = bytes_equal(arguments[0], BYTES("MAPPEND")) ? 2 : 1;
    uint16_t slot = valkey_slot(arguments[1]);

    if (node->is_loading) {
        say(reply, "-LOADING the dataset");
        return;
    }
    if (node->is_down_for_cluster) {
        say(reply, "-CLUSTERDOWN The cluster is down");
        return;
    }
    for (int i = 1; i <= key_count; i++)
        missing_count += key_of(arguments[i])->at != here;
    if (node->replica_of != NOBODY && !world.nodes[0].is_lone) {
        if (!connection->is_replica || !bytes_equal(arguments[0], BYTES("GET")) ||
            world.owner[slot] != node->replica_of) {
            say_place(reply, "MOVED", slot, world.owner[slot]);
            return;
        }
    } else if (node->replica_of != NOBODY) {
        if (!bytes_equal(arguments[0], BYTES("GET"))) {
            say(reply, "-READONLY You can't write against a read only replica.");
            return;
        }
    } else if (world.owner[slot] == here && world.migrating_to[slot] != NOBODY) {
        if (missing_count == key_count) {
            say_place(reply, "ASK", slot, world.migrating_to[slot]);
            return;
        }
        if (missing_count > 0) {
            say(reply, "-TRYAGAIN Multiple keys request during rehashing of slot");
            return;
        }
    } else if (world.migrating_to[slot] == here && was_asking) {
        if (key_count > 1 && missing_count > 0) {
            say(reply, "-TRYAGAIN Multiple keys request during rehashing of slot");
            return;
        }
    } else if (world.owner[slot] == NOBODY) {
        say(reply, "-CLUSTERDOWN Hash slot not served");
        return;
    } else if (world.owner[slot] != here) {
        say_place(reply, "MOVED", slot, world.owner[slot]);
        return;
    }
    for (int i = 1; i <= key_count; i++) {
        struct key *key = key_of(arguments[i]);
        struct bytes value = arguments[count - 1];
        if (bytes_equal(arguments[0], BYTES("GET"))) {
            if (key->size == 0)
                say(reply, "$-1");
            else
                say_bulk(reply, bytes_of(key->value, key->size));
            return;
        }
        if (bytes_equal(arguments[0], BYTES("SET")))
            key->size = 0;
        EXPECT(key->size + value.size <= sizeof key->value);
        memcpy(key->value + key->size, value.data, value.size);
        key->size += value.size;
        key->at = here;
    }
    say(reply, "+OK");
}

static inline void run_command(struct connection *connection, const struct bytes *arguments, uint32_t count,
                               struct buffer *reply)
{
    struct node *node = connection->node;
    bool was_asking = connection->is_asking;
    const char *told = node->script != NULL ? node->script(node, arguments, count) : NULL;

    node->command_count++;
    connection->is_asking = false;
    if (told != NULL) {
        buffer_append(reply, bytes_of_text(told));
    } else if (bytes_equal(arguments[0], BYTES("ASKING"))) {
        connection->is_asking = true;
        say(reply, "+OK");
    } else if (bytes_equal(arguments[0], BYTES("PING"))) {
        say(reply, "+PONG");
    } else if (bytes_equal(arguments[0], BYTES("CLUSTER"))) {
        if (node->is_lone) {
            say(reply, "-ERR This instance has cluster support disabled");
        } else if (bytes_equal(arguments[1], BYTES("NODES"))) {
            say_nodes(node, reply);
        } else if (node->knows_no_shards && bytes_equal(arguments[1], BYTES("SHARDS"))) {
            say(reply, "-ERR Unknown subcommand or wrong number of arguments for 'SHARDS'");
        } else {
            node->shards_count++;
            say_shards(node, reply, bytes_equal(arguments[1], BYTES("SLOTS")));
        }
    } else if (bytes_equal(arguments[0], BYTES("ROLE"))) {
        say_role(node, reply);
    } else {
        run_keyed(connection, arguments, count, reply, was_asking);
    }
}

/* ---- connections ------------------------------------------------------------------------------------- */

static inline void connection_init(struct connection *connection, const struct link_address *address)
{
    *connection = (struct connection){.address = *address, .node = node_at(address)};
    list_init(&connection->sent);
    list_append(&world.connections, &connection->in_world);
}

static inline enum err connection_send(struct connection *connection, struct link_request *request,
                                       struct bytes bytes, uint32_t reply_count)
{
    struct sent *sent;
    uint32_t count = 0;

    if (!connection->is_open || connection->is_ending)
        return ERR_CANCELLED;
    for (struct list *node = connection->sent.next; node != &connection->sent; node = node->next)
        count++;
    if (count >= world.options.in_flight_max)
        return ERR_FULL;
    servers_depth++;
    sent = malloc(sizeof *sent + bytes.size);
    servers_depth--;
    *sent = (struct sent){
        .request = request, .bytes = (char *)(sent + 1), .size = bytes.size, .reply_count = reply_count};
    memcpy(sent->bytes, bytes.data, bytes.size);
    list_append(&connection->sent, &sent->in_connection);
    request->left_count = reply_count;
    request->sent_ms = world.now_ms;
    return OK;
}

static inline void connection_forget(struct connection *connection, struct link_request *request)
{
    for (struct list *node = connection->sent.next; node != &connection->sent; node = node->next) {
        struct sent *sent = CONTAINER_OF(node, struct sent, in_connection);
        if (sent->request == request)
            sent->request = NULL;
    }
}

/* The next argument array at the front of `*bytes`. */
static inline uint32_t take_command(struct bytes *bytes, struct bytes *arguments, uint32_t capacity)
{
    uint32_t count = (uint32_t)strtoul(bytes->data + 1, NULL, 10);
    const char *at = memchr(bytes->data, '\n', bytes->size);

    EXPECT(bytes->data[0] == '*' && count <= capacity);
    at++;
    for (uint32_t i = 0; i < count; i++) {
        size_t size;
        EXPECT(at[0] == '$');
        size = strtoul(at + 1, NULL, 10);
        at = strchr(at, '\n') + 1;
        arguments[i] = bytes_of(at, size);
        at += size + 2;
    }
    *bytes = bytes_after(*bytes, (size_t)(at - bytes->data));
    return count;
}

static inline void tell(struct sent *sent, struct buffer *text, uint32_t left)
{
    static const struct resp_reply_limits limits = {
        .reply_bytes_max = 1 << 20, .nodes_max = 100000, .depth_max = RESP_DEPTH_MAX};
    struct resp_reply_parser parser = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;

    servers_depth++;
    EXPECT_EQ(resp_reply_parse(&parser, &limits, buffer_bytes(text), &reply, &consumed, &error),
              PARSE_DONE);
    servers_depth--;
    EXPECT_EQ(consumed, text->size);
    if (sent->request != NULL) {
        sent->request->left_count = left;
        sent->request->replied(sent->request, &reply);
    }
    resp_reply_parser_fini(&parser);
}

/* Runs the first of what was sent and tells the replies. False: there was none. */
static inline bool connection_deliver_one(struct connection *connection)
{
    struct sent *sent;
    struct bytes bytes;

    if (!connection->is_open || connection->node->is_frozen || list_is_empty(&connection->sent))
        return false;
    sent = CONTAINER_OF(connection->sent.next, struct sent, in_connection);
    list_remove(&sent->in_connection);
    bytes = bytes_of(sent->bytes, sent->size);
    if (sent->is_fenced) {
        world.deliver_fenced(connection, sent);
        free(sent);
        return true;
    }
    for (uint32_t left = sent->reply_count; left > 0; left--) {
        struct bytes arguments[8];
        struct buffer text = {0};
        uint32_t count = take_command(&bytes, arguments, 8);
        servers_depth++;
        run_command(connection, arguments, count, &text);
        servers_depth--;
        /* `tell` may end the connection, or forget the request */
        list_append(&connection->sent, &sent->in_connection);
        while (connection->sent.next != &sent->in_connection) { /* to the front */
            struct list *last = connection->sent.next;
            list_remove(last);
            list_append(&connection->sent, last);
        }
        tell(sent, &text, left - 1);
        list_remove(&sent->in_connection);
        buffer_fini(&text);
    }
    free(sent);
    return true;
}

static inline void connection_drop_sent(struct connection *connection)
{
    while (!list_is_empty(&connection->sent)) {
        struct sent *sent = CONTAINER_OF(connection->sent.next, struct sent, in_connection);
        list_remove(&sent->in_connection);
        free(sent);
    }
}

static inline void connection_fail_sent(struct connection *connection, enum err why, bool was_sent)
{
    struct list lost;

    list_init(&lost);
    while (!list_is_empty(&connection->sent)) {
        struct list *node = connection->sent.next;
        list_remove(node);
        list_append(&lost, node);
    }
    while (!list_is_empty(&lost)) {
        struct sent *sent = CONTAINER_OF(lost.next, struct sent, in_connection);
        list_remove(&sent->in_connection);
        if (sent->request != NULL)
            sent->request->failed(sent->request, why, was_sent);
        free(sent);
    }
}

/* ---- source.h ---------------------------------------------------------------------------------------- */

enum err source_create(const struct valkey_options *options, const struct link_address *address,
                       bool is_replica, struct loop *loop, struct source_state *state, uint32_t index,
                       const struct source_callbacks *callbacks, void *owner, struct source **source)
{
    (void)options;
    (void)loop;
    *source = calloc(1, sizeof **source);
    if (*source == NULL)
        return ERR_NO_MEMORY;
    (*source)->state = state;
    (*source)->index = index;
    (*source)->callbacks = callbacks;
    (*source)->owner = owner;
    connection_init(&(*source)->connection, address);
    (*source)->connection.is_replica = is_replica;
    return OK;
}

void source_destroy(struct source *source)
{
    atomic_store(&source->state->generation, 0);
    connection_drop_sent(&source->connection);
    list_remove(&source->connection.in_world);
    free(source);
}

enum err source_send(struct source *source, struct link_request *request, struct bytes bytes,
                     uint32_t reply_count, bool is_untracked)
{
    (void)is_untracked;
    return connection_send(&source->connection, request, bytes, reply_count);
}

void source_forget(struct source *source, struct link_request *request)
{
    connection_forget(&source->connection, request);
}

void source_set_canary(struct source *source, struct bytes key)
{
    EXPECT(key.size < sizeof source->canary_key);
    memcpy(source->canary_key, key.data, key.size);
    source->canary_key[key.size] = '\0';
}

void source_reconnect(struct source *source) { source->reconnect_count++; }
void source_change_role(struct source *source, bool is_replica)
{
    source->connection.is_replica = is_replica;
    atomic_store(&source->state->generation, ++source->state->last_generation);
    source->callbacks->flushed(source->owner, source, SOURCE_CHANGED_ROLE);
}
bool source_is_open(const struct source *source) { return source->connection.is_open; }
bool source_is_tracked(const struct source *source) { return source->connection.is_open; }
bool source_is_left_alone(const struct source *source)
{
    return source->failure_count >= world.options.breaker_failures;
}
uint32_t source_generation(const struct source *source) { return atomic_load(&source->state->generation); }

static inline void source_lose(struct source *source, bool was_sent)
{
    if (!source->connection.is_open)
        return;
    source->connection.is_open = source->connection.is_asking = false;
    atomic_store(&source->state->generation, 0);
    source->callbacks->flushed(source->owner, source, SOURCE_LOST);
    connection_fail_sent(&source->connection, ERR_CLOSED, was_sent);
}

/* Null: there is none. */
static inline struct source *find_source(int node)
{
    for (struct list *at = world.connections.next; at != &world.connections; at = at->next) {
        struct connection *connection = CONTAINER_OF(at, struct connection, in_world);
        if (connection->link_callbacks == NULL && connection->node == &world.nodes[node])
            return CONTAINER_OF(connection, struct source, connection);
    }
    return NULL;
}

static inline struct source *source_to(int node)
{
    struct source *source = find_source(node);

    if (source == NULL)
        abort(); /* of a test that thinks there is one nothing is left to see */
    return source;
}

/* ---- link.h ------------------------------------------------------------------------------------------ */

enum err link_open(const struct valkey_options *options, const struct link_address *address,
                   struct loop *loop, const struct link_callbacks *callbacks, void *owner,
                   struct link **link)
{
    (void)options;
    (void)loop;
    *link = calloc(1, sizeof **link);
    if (*link == NULL)
        return ERR_NO_MEMORY;
    connection_init(&(*link)->connection, address);
    (*link)->connection.link_callbacks = callbacks;
    (*link)->connection.link_owner = owner;
    return OK;
}

enum err link_send(struct link *link, struct link_request *request, struct bytes bytes,
                   uint32_t reply_count)
{
    return connection_send(&link->connection, request, bytes, reply_count);
}
enum err link_send_subscriptions(struct link *link, struct link_request *request, struct bytes bytes)
{
    enum err err = connection_send(&link->connection, request, bytes, 1);

    if (err == OK)
        CONTAINER_OF(link->connection.sent.previous, struct sent, in_connection)->is_fenced = true;
    return err;
}
void link_forget(struct link *link, struct link_request *request)
{
    connection_forget(&link->connection, request);
}
void link_close(struct link *link) { link->connection.is_ending = true; }
void link_break(struct link *link, enum err why, struct bytes text)
{
    (void)why;
    (void)text;
    link_close(link);
}
bool link_is_open(const struct link *link)
{
    return link->connection.is_open && !link->connection.is_ending;
}
int64_t link_silence_ms(const struct link *link)
{
    const struct list *first = link->connection.sent.next;

    if (list_is_empty(&link->connection.sent))
        return 0;
    return world.now_ms - CONTAINER_OF(first, struct sent, in_connection)->request->sent_ms;
}
int64_t link_no_reply_ms(const struct link *link) { return link_silence_ms(link); }
const char *link_peer(const struct link *link) { return link->connection.address.host; }

/* ---- the world --------------------------------------------------------------------------------------- */

static inline void link_step(struct link *link)
{
    struct connection *connection = &link->connection;
    bool is_refused = connection->node == NULL || !connection->node->is_up;

    if (connection->is_ending || is_refused) {
        list_remove(&connection->in_world);
        if (connection->link_callbacks->ending != NULL)
            connection->link_callbacks->ending(connection->link_owner);
        connection_fail_sent(connection, ERR_CANCELLED, true);
        if (world.forget_connection != NULL)
            world.forget_connection(connection);
        connection->link_callbacks->closed(
            connection->link_owner, is_refused ? ERR_REFUSED : ERR_CANCELLED,
            bytes_of_text(err_text(is_refused ? ERR_REFUSED : ERR_CANCELLED)));
        free(link);
    } else if (!connection->is_open && !connection->node->is_frozen) {
        connection->is_open = true;
        connection->node->connection_count++;
        connection->link_callbacks->opened(connection->link_owner);
    } else {
        (void)connection_deliver_one(connection);
    }
}

static inline void source_step(struct source *source)
{
    struct connection *connection = &source->connection;
    bool is_refused = connection->node == NULL || !connection->node->is_up;

    if (connection->is_open && is_refused) {
        source_lose(source, true);
    } else if (!connection->is_open && world.now_ms >= source->retry_ms) {
        source->retry_ms = world.now_ms + 20;
        if (is_refused) {
            source->failure_count++;
            source->callbacks->failed(source->owner, source, ERR_REFUSED,
                                      bytes_of_text(err_text(ERR_REFUSED)));
        } else if (!connection->node->is_frozen) {
            connection->is_open = true;
            connection->node->connection_count++;
            source->failure_count = 0;
            atomic_store(&source->state->generation, ++source->state->last_generation);
            source->callbacks->opened(source->owner, source);
        }
    } else if (connection->is_open && (world.may_deliver == NULL || world.may_deliver(connection))) {
        (void)connection_deliver_one(connection);
    }
}

static inline struct now read_world_clock(void *context)
{
    (void)context;
    return (struct now){.mono_ms = world.now_ms, .wall_ms = world.now_ms};
}

static inline void stop_loop(struct task *task)
{
    (void)task;
    loop_stop(world.loop);
}

static inline void turn(void)
{
    struct task task = {.run = stop_loop};
    loop_post(world.loop, &task);
    loop_run(world.loop);
}

/* One millisecond: every connection is delivered one thing, timers fire, tasks run. */
static inline void step(void)
{
    struct list todo;

    list_init(&todo);
    while (!list_is_empty(&world.connections)) {
        struct list *node = world.connections.next;
        list_remove(node);
        list_append(&todo, node);
    }
    while (!list_is_empty(&todo)) {
        struct connection *connection = CONTAINER_OF(todo.next, struct connection, in_world);
        list_remove(&connection->in_world);
        list_append(&world.connections, &connection->in_world);
        if (connection->link_callbacks != NULL)
            link_step(CONTAINER_OF(connection, struct link, connection));
        else
            source_step(CONTAINER_OF(connection, struct source, connection));
    }
    world.now_ms++;
    turn();
}

static inline void run_ms(int ms)
{
    while (ms-- > 0)
        step();
}

static inline void on_invalidated(void *owner, struct source *source, struct bytes key)
{
    (void)owner;
    (void)source;
    (void)key;
}
static inline void on_flushed(void *owner, struct source *source, enum source_flush why)
{
    (void)owner;
    (void)source;
    (void)why;
    world.flushed_count++;
}
static inline void on_slot_moved(void *owner, uint16_t slot)
{
    (void)owner;
    world.moved_count++;
    world.last_moved = slot;
}
static inline void on_came(void *owner)
{
    (void)owner;
    world.came_count++;
}
static inline void on_went(void *owner)
{
    (void)owner;
    world.went_count++;
}
static inline void on_stopped(void *owner)
{
    (void)owner;
    world.stopped_count++;
}

/* A cluster of `primary_count` primaries with equal parts of the slots, and no client yet. */
static inline void world_begin(int primary_count)
{
    static const struct clock clock = {read_world_clock, NULL};
    struct loop_options options = {.kind = LOOP_EPOLL, .clock = &clock};

    memset(&world, 0, sizeof world);
    world.now_ms = 1000000;
    EXPECT_EQ(loop_create(&options, &world.loop), OK);
    list_init(&world.connections);
    world.node_count = primary_count;
    for (int i = 0; i < NODES_MAX; i++) {
        struct node *node = &world.nodes[i];
        memcpy(node->host, "127.0.0.1", sizeof "127.0.0.1");
        node->port = (uint16_t)(BEGIN_PORT + i);
        node->is_up = true;
        node->replica_of = NOBODY;
        node->epoch = (uint64_t)i + 1;
    }
    for (int slot = 0; slot < VALKEY_SLOT_COUNT; slot++) {
        world.owner[slot] = (int)(slot * primary_count / VALKEY_SLOT_COUNT);
        world.migrating_to[slot] = NOBODY;
    }
    world.options = (struct valkey_options){
        .seeds = {{"127.0.0.1", BEGIN_PORT}},
        .seed_count = 1,
        .connect_timeout_ms = 500,
        .call_timeout_ms = 1000,
        .redirections_max = 8,
        .in_flight_max = 1000,
        .queued_bytes_max = 1 << 20,
        .breaker_failures = 3,
        .seed = 7,
    };
}

static inline void world_connect(void)
{
    static const struct valkey_callbacks callbacks = {.invalidated = on_invalidated,
                                                      .flushed = on_flushed,
                                                      .slot_moved = on_slot_moved,
                                                      .came = on_came,
                                                      .went = on_went};
    EXPECT_EQ(valkey_create(&world.options, world.loop, &world.counters, world.states, 0, 64, &callbacks,
                            NULL, &world.valkey),
              OK);
}

static inline void world_open(int primary_count)
{
    world_begin(primary_count);
    world_connect();
    run_ms(30);
    EXPECT_EQ(world.came_count, 1);
}

static inline void world_end(void)
{
    valkey_stop(world.valkey, on_stopped);
    run_ms(10);
    EXPECT_EQ(world.stopped_count, 1);
    valkey_destroy(world.valkey);
    EXPECT(list_is_empty(&world.connections));
    loop_destroy(world.loop);
}

static inline uint64_t counted(enum metric metric) { return counters_read(&world.counters, metric); }

/* ---- asking ------------------------------------------------------------------------------------------ */

/* A call and what came of it. */
struct asked {
    struct valkey_call call;
    bool is_done;
    enum err err;
    bool may_have_run, may_be_kept;
    char text[256];
    char replies[512]; /* each one's bytes or number, with a space behind it */
    int order;         /* the how manyth to end */
};

static int asked_end_count;

static inline void asked_done(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);

    EXPECT(!asked->is_done);
    asked->is_done = true;
    asked->order = ++asked_end_count;
    asked->err = answer->err;
    asked->may_have_run = answer->may_have_run;
    asked->may_be_kept = answer->source != NULL;
    snprintf(asked->text, sizeof asked->text, "%.*s", BYTES_PRINTF(answer->text));
}

/* As asked_done, and notes the replies of as many commands as were asked. */
#define ASK_MANY(number)                                                                                   \
    static inline void asked_done_##number(struct valkey_call *call, const struct valkey_answer *answer)   \
    {                                                                                                      \
        struct asked *asked = CONTAINER_OF(call, struct asked, call);                                      \
        size_t size = 0;                                                                                   \
        asked_done(call, answer);                                                                          \
        for (int i = 0; i < (number) && answer->err == OK; i++) {                                          \
            const struct resp_node *node = answer->replies[i].nodes;                                       \
            size += (size_t)snprintf(asked->replies + size, sizeof asked->replies - size, "%.*s%s",        \
                                     node->type == RESP_NULL ? 4 : (int)node->bytes.size,                  \
                                     node->type == RESP_NULL ? "null" : node->bytes.data,                  \
                                     i + 1 < (number) ? " " : "");                                         \
        }                                                                                                  \
    }
ASK_MANY(1)
ASK_MANY(2)
ASK_MANY(3)

/* Asks commands written as words, separated by ';'. */
static inline void ask_order(struct asked *asked, const char *text, struct valkey_order order)
{
    struct bytes arguments[4][8];
    struct valkey_command commands[4];
    char words[512];
    uint32_t count = 0;
    char *rest = words, *part;

    *asked = (struct asked){0};
    snprintf(words, sizeof words, "%s", text);
    while ((part = strsep(&rest, ";")) != NULL) {
        char *word;
        uint32_t argument_count = 0;
        while ((word = strsep(&part, " ")) != NULL)
            if (word[0] != '\0')
                arguments[count][argument_count++] = bytes_of_text(word);
        commands[count] = (struct valkey_command){arguments[count], argument_count};
        count++;
    }
    asked->call.done = count == 1 ? asked_done_1 : count == 2 ? asked_done_2 : asked_done_3;
    order.commands = commands;
    order.command_count = count;
    valkey_ask(world.valkey, &asked->call, &order);
    EXPECT(!asked->is_done);
}

/* With the slot of the first command's first key. */
static inline void ask(struct asked *asked, const char *text, unsigned flags)
{
    char key[64] = "";
    sscanf(text, "%*s %63[^ ;]", key);
    ask_order(asked, text,
              (struct valkey_order){
                  .target = VALKEY_SLOT, .slot = valkey_slot(bytes_of_text(key)), .flags = flags});
}
