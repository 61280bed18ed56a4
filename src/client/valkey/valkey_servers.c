/* valkey_servers.c — the servers of the tier: who has which slots, and who is connected to. */
#include "base/compiler.h"
#include "client/valkey/valkey_parts.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { UNUSED_MS_MAX = 10000 };

/* ---- addresses --------------------------------------------------------------------------------------- */

static bool permits(void *owner, const struct sockaddr *address)
{
    const struct valkey *valkey = owner;
    return valkey_permits(valkey->options, valkey->classes, address);
}

/* Whether the operator has named it. */
static bool is_seed(const struct valkey *valkey, const struct link_address *address)
{
    for (size_t i = 0; i < valkey->options->seed_count; i++)
        if (valkey->options->seeds[i].port == address->port &&
            strcmp(valkey->options->seeds[i].host, address->host) == 0)
            return true;
    return false;
}

static bool is_number_refused(const struct valkey *valkey, const char *host)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1)
        return !valkey_permits(valkey->options, valkey->classes, (struct sockaddr *)&ipv4);
    if (inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1)
        return !valkey_permits(valkey->options, valkey->classes, (struct sockaddr *)&ipv6);
    return false; /* a name: its addresses are looked at when it is connected to */
}

static void refuse(struct server *server)
{
    int size;

    size = snprintf(server->why.data, sizeof server->why.data,
                    "%s port %u, named by the tier, may not be connected to", server->address.host,
                    server->address.port);
    server->why.size = size < (int)sizeof server->why.data ? (size_t)size : sizeof server->why.data - 1;
    if (server->is_refused)
        return;
    server->is_refused = true;
    log_write(
        server->valkey->options->log, LOG_WARNING,
        "tier: a server names %s port %u as one of the tier's, which is not in a permitted range: it is "
        "not connected to. If it should be, allow its range (--tier-allow)",
        server->address.host, server->address.port);
}

/* ---- a server ---------------------------------------------------------------------------------------- */

static void server_destroy(struct server *server)
{
    if (server->source != NULL)
        source_destroy(server->source);
    server->valkey->servers[server->number] = NULL;
    for (uint32_t i = 0; i < server->valkey->server_end; i++) {
        struct server *other = server->valkey->servers[i];
        if (other != NULL && other->primary == server->number)
            other->primary = MAP_NOBODY;
    }
    free(server);
}

static bool is_needed(const struct server *server)
{
    return server->slot_count > 0 || server->call_count > 0 || server->primary != MAP_NOBODY;
}

static void link_replicas(struct valkey *valkey);

/* Whether an inquiry asks through it. */
static bool is_inquired(const struct server *server)
{
    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX; i++)
        if (server->valkey->inquiries[i].is_active && server->valkey->inquiries[i].server == server)
            return true;
    return false;
}

/* Lets go of those that have been of no use for `unused_ms`. */
static void drop_unused(struct valkey *valkey, int64_t unused_ms)
{
    for (uint32_t i = 0; i < valkey->server_end; i++) {
        struct server *server = valkey->servers[i];
        if (server != NULL && !is_needed(server) && !is_inquired(server) &&
            valkey_now_ms(valkey) - server->used_ms >= unused_ms)
            server_destroy(server);
    }
}

static int free_number(const struct valkey *valkey)
{
    for (uint32_t i = 0; i < valkey->server_capacity; i++)
        if (valkey->servers[i] == NULL)
            return (int)i;
    return -1;
}

struct server *server_known(const struct valkey *valkey, const struct link_address *address)
{
    for (uint32_t i = 0; i < valkey->server_end; i++) {
        struct server *server = valkey->servers[i];
        if (server != NULL && server->address.port == address->port &&
            strcmp(server->address.host, address->host) == 0)
            return server;
    }
    return NULL;
}

struct server *server_at(struct valkey *valkey, const struct link_address *address)
{
    struct server *server = server_known(valkey, address);
    int number;

    if (server != NULL) {
        server->used_ms = valkey_now_ms(valkey);
        return server;
    }
    number = free_number(valkey);
    if (number < 0) {
        drop_unused(valkey, 1);
        number = free_number(valkey);
    }
    server = number >= 0 ? malloc(sizeof *server) : NULL;
    if (server == NULL) {
        log_write_limited(valkey->options->log, LOG_WARNING, LOG_KIND_TIER,
                          "tier: no room for another server, %s port %u: it is not connected to",
                          address->host, address->port);
        return NULL;
    }
    *server = (struct server){.valkey = valkey,
                              .address = *address,
                              .number = (uint16_t)number,
                              .primary = MAP_NOBODY,
                              .used_ms = valkey_now_ms(valkey)};
    if (!is_seed(valkey, address)) {
        server->address.permits = permits;
        server->address.permits_owner = valkey;
        if (is_number_refused(valkey, address->host))
            refuse(server);
    }
    valkey->servers[number] = server;
    if ((uint32_t)number >= valkey->server_end)
        valkey->server_end = (uint32_t)number + 1;
    return server;
}

/* ---- canaries ---------------------------------------------------------------------------------------- */

/* Gives its source a key to read of a slot that it has. */
static void choose_canary(struct server *server)
{
    const struct valkey *valkey = server->valkey;
    uint16_t owner = server->primary != MAP_NOBODY ? server->primary : server->number;
    char key[] = "nh:canary:{....}";

    if (server->source == NULL || (server->has_canary && valkey->map.owner[server->canary_slot] == owner))
        return;
    server->has_canary = false;
    for (uint32_t slot = 0;
         slot < VALKEY_SLOT_COUNT && !server->has_canary && valkey->servers[owner]->slot_count > 0;
         slot++) {
        server->canary_slot = (uint16_t)slot;
        server->has_canary = valkey->map.owner[slot] == owner;
    }
    valkey_slot_tag(server->canary_slot, strchr(key, '.'));
    source_set_canary(server->source, bytes_of(key, server->has_canary ? sizeof key - 1 : 0));
}

static void choose_canaries(struct valkey *valkey)
{
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL)
            choose_canary(valkey->servers[i]);
}

/* ---- what sources tell ------------------------------------------------------------------------------- */

/* Counts those that calls can go to, and tells the owner of the first and the last. */
static void count_open(struct valkey *valkey)
{
    uint32_t before = valkey->open_count;

    valkey->open_count = 0;
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL && valkey->servers[i]->slot_count > 0 &&
            server_is_open(valkey->servers[i]))
            valkey->open_count++;
    if (valkey->is_stopping)
        return;
    if (before == 0 && valkey->open_count > 0)
        valkey->callbacks->came(valkey->owner);
    else if (before > 0 && valkey->open_count == 0)
        valkey->callbacks->went(valkey->owner);
}

static void source_opened(void *owner, struct source *source)
{
    struct server *server = owner;

    (void)source;
    server->why.size = 0;
    count_open(server->valkey);
    gates_kick_all(server->valkey);
}

static void source_invalidated(void *owner, struct source *source, struct bytes key)
{
    struct valkey *valkey = ((struct server *)owner)->valkey;
    valkey->callbacks->invalidated(valkey->owner, source, key);
}

static void source_flushed(void *owner, struct source *source, enum source_flush why)
{
    struct valkey *valkey = ((struct server *)owner)->valkey;

    valkey->callbacks->flushed(valkey->owner, source, why);
    if (why != SOURCE_LOST)
        return;
    count_open(valkey);
    refresh_want(valkey);
}

static void source_doubted(void *owner, struct source *source, struct bytes text)
{
    struct server *server = owner;
    struct redirection redirection = redirection_read(text, server->address.host);

    (void)source;
    servers_note(server->valkey, &redirection);
    refresh_want(server->valkey);
}

static void source_failed(void *owner, struct source *source, enum err why, struct bytes text)
{
    struct server *server = owner;

    (void)source;
    if (why == ERR_FORBIDDEN && server->address.permits != NULL)
        refuse(server);
    valkey_text_set_failure(&server->why, &server->address, why, text);
    log_write_limited(server->valkey->options->log, LOG_WARNING, LOG_KIND_TIER,
                      "tier: cannot connect to %.*s", (int)server->why.size, server->why.data);
    refresh_want(server->valkey);
    gates_kick_all(server->valkey); /* who need not wait any longer is told */
}

static const struct source_callbacks source_callbacks = {.opened = source_opened,
                                                         .invalidated = source_invalidated,
                                                         .flushed = source_flushed,
                                                         .doubted = source_doubted,
                                                         .failed = source_failed};

void server_want(struct server *server, bool is_primary)
{
    struct valkey *valkey = server->valkey;
    uint32_t index = valkey->first_state + server->number;
    enum err err;

    if (server->source != NULL) {
        if (server->is_primary != is_primary)
            source_change_role(server->source, !is_primary);
        server->is_primary = is_primary;
        return;
    }
    server->is_primary = is_primary;
    if (server->is_refused || valkey->is_stopping)
        return;
    err = source_create(valkey->options, &server->address, !is_primary, valkey->loop,
                        &valkey->states[index], index, &source_callbacks, server, &server->source);
    if (err != OK) {
        server->source = NULL;
        valkey_text_set(&server->why, bytes_of_text(err_text(err)));
        refresh_want(valkey); /* after which it is tried again */
    }
}

/* ---- who has which slots ----------------------------------------------------------------------------- */

/* After map.owner[slot] has become another. */
static void slot_changed(void *context, uint16_t slot, uint16_t owner_before)
{
    struct valkey *valkey = context;
    struct server *server = server_of_slot(valkey, slot);

    valkey->change_count++;
    if (server != NULL) {
        server->slot_count++;
        server->used_ms = valkey_now_ms(valkey);
    }
    gate_guard(valkey, slot);
    if (owner_before == MAP_NOBODY)
        return;
    valkey->servers[owner_before]->slot_count--;
    valkey->servers[owner_before]->used_ms = valkey_now_ms(valkey);
    valkey->callbacks->slot_moved(valkey->owner, slot);
}

void servers_move_slot(struct valkey *valkey, uint16_t slot, struct server *server)
{
    uint16_t before = valkey->map.owner[slot];

    /* Where it must not be followed to, it is nobody's, until the map is learnt anew. */
    if (!slot_map_move(&valkey->map, slot, server->is_refused ? MAP_NOBODY : server->number))
        return;
    slot_changed(valkey, slot, before);
    server->primary = MAP_NOBODY;
    server_want(server, true);
    choose_canary(server);
    if (before != MAP_NOBODY)
        choose_canary(valkey->servers[before]);
    if (valkey->options->reads_from_replicas)
        link_replicas(valkey);
    count_open(valkey);
}

void servers_note(struct valkey *valkey, const struct redirection *redirection)
{
    struct server *server;

    if (redirection->kind != REDIRECTION_MOVED)
        return;
    refresh_want(valkey);
    if (redirection->address.host[0] == '\0' || !valkey->is_cluster)
        return;
    server = server_at(valkey, &redirection->address);
    if (server != NULL)
        servers_move_slot(valkey, redirection->slot, server);
}

/* Notes for each primary who copies it. */
static void link_replicas(struct valkey *valkey)
{
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL)
            valkey->servers[i]->replica_count = 0;
    for (uint32_t i = 0; i < valkey->server_end; i++) {
        struct server *server = valkey->servers[i], *primary;
        if (server == NULL || server->primary == MAP_NOBODY)
            continue;
        primary = valkey->servers[server->primary];
        if (primary != NULL && primary->replica_count < VALKEY_REPLICAS_MAX)
            primary->replicas[primary->replica_count++] = server->number;
    }
}

/* Gives the nodes that have slots, and their replicas if these are wanted, their servers. */
static void number_nodes(struct valkey *valkey, struct map_answer *answer)
{
    for (size_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++) {
        uint16_t number = answer->node_of_slot[slot];
        struct map_node *node;
        struct server *server;
        if (number == MAP_NOBODY)
            continue;
        node = &answer->nodes[number];
        if (node->server != MAP_NOBODY || node->address.host[0] == '\0')
            continue;
        server = server_at(valkey, &node->address);
        if (server != NULL)
            node->server = server->number;
        else
            node->address.host[0] = '\0'; /* not for each of its slots again */
    }
}

static void learn_replicas(struct valkey *valkey, const struct map_answer *answer)
{
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL)
            valkey->servers[i]->primary = MAP_NOBODY;
    if (!valkey->options->reads_from_replicas)
        return;
    for (size_t i = 0; i < answer->node_count; i++) {
        const struct map_node *node = &answer->nodes[i], *primary = &answer->nodes[node->primary];
        struct server *server;
        if (node->primary == i || primary->server == MAP_NOBODY || node->is_failed ||
            node->address.host[0] == '\0')
            continue;
        server = server_at(valkey, &node->address);
        if (server != NULL && server->slot_count == 0)
            server->primary = primary->server;
    }
}

void servers_learn(struct valkey *valkey)
{
    for (size_t i = 0; i < valkey->answer_count; i++)
        number_nodes(valkey, &valkey->answers[i]);
    valkey->is_cluster = valkey->answers[0].is_cluster;
    slot_map_merge(&valkey->map, valkey->answers, valkey->answer_count, slot_changed, valkey);
    valkey->has_map = true;
    learn_replicas(valkey, &valkey->answers[0]);
    for (uint32_t i = 0; i < valkey->server_end; i++) {
        struct server *server = valkey->servers[i];
        if (server != NULL && server->slot_count > 0)
            server_want(server, true);
        else if (server != NULL && server->primary != MAP_NOBODY)
            server_want(server, false);
    }
    drop_unused(valkey, UNUSED_MS_MAX);
    link_replicas(valkey);
    choose_canaries(valkey);
    count_open(valkey);
}

/* ---- some server ------------------------------------------------------------------------------------- */

struct server *servers_primary(const struct valkey *valkey, size_t index)
{
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL && valkey->servers[i]->slot_count > 0 && index-- == 0)
            return valkey->servers[i];
    return NULL;
}

struct server *servers_any(struct valkey *valkey)
{
    struct server *any = NULL;
    uint32_t begin = (uint32_t)random_below(&valkey->dice, valkey->server_end + 1);

    for (uint32_t i = 0; i < valkey->server_end; i++) {
        struct server *server = valkey->servers[(begin + i) % valkey->server_end];
        if (server == NULL || server->slot_count == 0)
            continue;
        if (server_is_open(server))
            return server;
        any = server;
    }
    return any;
}

void servers_fini(struct valkey *valkey)
{
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL)
            server_destroy(valkey->servers[i]);
}
