/* map_answer.c — CLUSTER SHARDS, CLUSTER SLOTS, CLUSTER NODES and ROLE. */
#include "client/valkey/map_answer.h"
#include "base/number.h"
#include "client/valkey/map_index.h"
#include "client/valkey/redirection.h"
#include <stdio.h>
#include <stdlib.h>

/* Slots written in all, so that an answer of ranges that lie upon each other ends. */
enum { SLOTS_WRITTEN_MAX = 4 * VALKEY_SLOT_COUNT };

struct reading {
    struct map_answer *answer;
    const struct link_address *asked;
    bool with_tls;
    uint32_t slots_written;
    struct map_index *index; /* of CLUSTER SLOTS, where a node comes with each of its ranges */
};

static enum err begin(struct reading *reading)
{
    struct map_answer *answer = reading->answer;

    *answer = (struct map_answer){.is_cluster = true};
    answer->node_of_slot = malloc(VALKEY_SLOT_COUNT * sizeof *answer->node_of_slot);
    if (answer->node_of_slot == NULL)
        return ERR_NO_MEMORY;
    for (size_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        answer->node_of_slot[slot] = MAP_NOBODY;
    return OK;
}

void map_answer_fini(struct map_answer *answer)
{
    free(answer->nodes);
    free(answer->node_of_slot);
    *answer = (struct map_answer){0};
}

static enum err end(struct map_answer *answer, enum err err)
{
    if (err != OK)
        map_answer_fini(answer);
    return err;
}

static enum err add_node(struct map_answer *answer, const struct map_node *node, uint16_t *number)
{
    if (answer->node_count == MAP_NODES_MAX)
        return ERR_RANGE;
    if (answer->node_count == answer->node_capacity) {
        size_t capacity = answer->node_capacity > 0 ? 2 * answer->node_capacity : 8;
        struct map_node *nodes = realloc(answer->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return ERR_NO_MEMORY;
        answer->nodes = nodes;
        answer->node_capacity = capacity;
    }
    *number = (uint16_t)answer->node_count++;
    answer->nodes[*number] = *node;
    return OK;
}

static enum err set_range(struct reading *reading, const struct resp_node *first,
                          const struct resp_node *last, uint16_t node)
{
    if (first->type != RESP_INTEGER || last->type != RESP_INTEGER)
        return ERR_SYNTAX;
    if (first->integer < 0 || last->integer >= VALKEY_SLOT_COUNT || first->integer > last->integer)
        return ERR_RANGE;
    reading->slots_written += (uint32_t)(last->integer - first->integer + 1);
    if (reading->slots_written > SLOTS_WRITTEN_MAX)
        return ERR_RANGE;
    for (int64_t slot = first->integer; slot <= last->integer; slot++)
        reading->answer->node_of_slot[slot] = node;
    return OK;
}

static bool is_text(const struct resp_node *node)
{
    return node->type == RESP_BULK || node->type == RESP_SIMPLE || node->type == RESP_VERBATIM;
}

/* How many pairs of name and value `node` has: a map's, or those of a flat array. -1: it is neither. */
static int64_t pair_count(const struct resp_node *node)
{
    if (node->type == RESP_MAP)
        return node->integer;
    return node->type == RESP_ARRAY && node->integer % 2 == 0 ? node->integer / 2 : -1;
}

/* Null or "": the host that was asked. "?": it is not known. */
static enum err read_host(const struct reading *reading, const struct resp_node *value,
                          struct link_address *address)
{
    if (value->type == RESP_NULL || (is_text(value) && value->bytes.size == 0)) {
        memcpy(address->host, reading->asked->host, sizeof address->host);
        return OK;
    }
    if (!is_text(value))
        return ERR_SYNTAX;
    return redirection_read_host(value->bytes, address->host) || bytes_equal(value->bytes, BYTES("?"))
               ? OK
               : ERR_SYNTAX;
}

static void read_id(const struct resp_node *value, struct map_node *node)
{
    if (is_text(value) && value->bytes.size <= MAP_ID_BYTES)
        memcpy(node->id, value->bytes.data, value->bytes.size);
}

static enum err read_port(const struct resp_node *value, uint16_t *port)
{
    if (value->type != RESP_INTEGER)
        return ERR_SYNTAX;
    if (value->integer < 0 || value->integer > UINT16_MAX)
        return ERR_RANGE;
    *port = (uint16_t)value->integer;
    return OK;
}

/* One node of a shard: names and values. */
static enum err read_shard_node(const struct reading *reading, const struct resp_node *told,
                                struct map_node *node, bool *is_primary)
{
    int64_t count = pair_count(told);
    const struct resp_node *name = resp_first_member(told), *value, *endpoint = NULL, *ip = NULL;
    uint16_t port = 0, tls_port = 0;
    enum err err = OK;

    if (count < 0)
        return ERR_SYNTAX;
    *node = (struct map_node){.server = MAP_NOBODY};
    *is_primary = false;
    for (int64_t i = 0; i < count && err == OK; i++, name = resp_next(value)) {
        value = resp_next(name);
        if (bytes_equal(name->bytes, BYTES("id")))
            read_id(value, node);
        else if (bytes_equal(name->bytes, BYTES("port")))
            err = read_port(value, &port);
        else if (bytes_equal(name->bytes, BYTES("tls-port")))
            err = read_port(value, &tls_port);
        else if (bytes_equal(name->bytes, BYTES("endpoint")))
            endpoint = value;
        else if (bytes_equal(name->bytes, BYTES("ip")))
            ip = value;
        else if (bytes_equal(name->bytes, BYTES("role")))
            *is_primary =
                bytes_equal(value->bytes, BYTES("master")) || bytes_equal(value->bytes, BYTES("primary"));
        else if (bytes_equal(name->bytes, BYTES("health")))
            node->is_failed = bytes_equal(value->bytes, BYTES("fail"));
    }
    if (err == OK && endpoint != NULL)
        err = read_host(reading, endpoint, &node->address);
    if (err == OK && node->address.host[0] == '\0' && ip != NULL) /* "?": no name, but an address */
        err = read_host(reading, ip, &node->address);
    node->address.port = reading->with_tls && tls_port != 0 ? tls_port : port;
    if (node->address.port == 0)
        node->address.host[0] = '\0';
    return err;
}

/* The members of a shard, and of its slots that primary which is well. */
static enum err read_shard(struct reading *reading, const struct resp_node *slots,
                           const struct resp_node *nodes)
{
    struct map_answer *answer = reading->answer;
    const struct resp_node *told = resp_first_member(nodes), *first;
    uint16_t begin_number = (uint16_t)answer->node_count, owner = MAP_NOBODY;
    enum err err = OK;

    if (nodes->type != RESP_ARRAY || slots->type != RESP_ARRAY || slots->integer % 2 != 0)
        return ERR_SYNTAX;
    for (int64_t i = 0; i < nodes->integer && err == OK; i++, told = resp_next(told)) {
        struct map_node node;
        bool is_primary;
        uint16_t number;
        err = read_shard_node(reading, told, &node, &is_primary);
        if (err == OK)
            err = add_node(answer, &node, &number);
        if (err != OK)
            break;
        answer->nodes[number].primary = is_primary ? number : MAP_NOBODY;
        if (is_primary && (owner == MAP_NOBODY || (answer->nodes[owner].is_failed && !node.is_failed)))
            owner = number;
    }
    if (err != OK)
        return err;
    for (size_t i = begin_number; i < answer->node_count; i++)
        if (answer->nodes[i].primary == MAP_NOBODY)
            answer->nodes[i].primary = owner != MAP_NOBODY ? owner : (uint16_t)i;
    first = resp_first_member(slots);
    for (int64_t i = 0; i + 1 < slots->integer && err == OK; i += 2, first = resp_next(resp_next(first)))
        err = set_range(reading, first, resp_next(first), owner);
    return err;
}

enum err map_answer_read_shards(struct map_answer *answer, const struct resp_node *reply,
                                const struct link_address *asked, bool with_tls)
{
    struct reading reading = {.answer = answer, .asked = asked, .with_tls = with_tls};
    const struct resp_node *shard = resp_first_member(reply), *name, *value;
    enum err err = begin(&reading);

    if (err == OK && reply->type != RESP_ARRAY)
        err = ERR_SYNTAX;
    for (int64_t i = 0; err == OK && i < reply->integer; i++, shard = resp_next(shard)) {
        const struct resp_node *slots = NULL, *nodes = NULL;
        int64_t count = pair_count(shard);
        name = resp_first_member(shard);
        for (int64_t k = 0; k < count; k++, name = resp_next(value)) {
            value = resp_next(name);
            if (bytes_equal(name->bytes, BYTES("slots")))
                slots = value;
            else if (bytes_equal(name->bytes, BYTES("nodes")))
                nodes = value;
        }
        err = slots != NULL && nodes != NULL ? read_shard(&reading, slots, nodes) : ERR_SYNTAX;
    }
    return end(answer, err);
}

static bool is_same(const struct map_node *node, const struct map_node *wanted)
{
    return node->address.port == wanted->address.port &&
           strcmp(node->address.host, wanted->address.host) == 0 && strcmp(node->id, wanted->id) == 0;
}

/* A node of CLUSTER SLOTS: host, port, and since Redis 4 its id; the same one comes with every range. */
static enum err read_slots_node(struct reading *reading, const struct resp_node *told, uint16_t *number)
{
    struct map_node node = {.server = MAP_NOBODY};
    const struct resp_node *host = resp_first_member(told), *port;
    char name[VALKEY_HOST_BYTES_MAX + MAP_ID_BYTES + 16];
    uint32_t place;
    enum err err;
    int size;

    if (told->type != RESP_ARRAY || told->integer < 2)
        return ERR_SYNTAX;
    port = resp_next(host);
    err = read_host(reading, host, &node.address);
    if (err == OK)
        err = read_port(port, &node.address.port);
    if (err != OK)
        return err;
    if (told->integer > 2)
        read_id(resp_next(port), &node);
    size = snprintf(name, sizeof name, "%s %u %s", node.address.host, node.address.port, node.id);
    *number = map_index_find(reading->index, bytes_of(name, (size_t)size), reading->answer->nodes, &node,
                             is_same, &place);
    if (*number != MAP_NOBODY)
        return OK;
    err = add_node(reading->answer, &node, number);
    if (err == OK)
        map_index_add(reading->index, place, *number);
    return err;
}

enum err map_answer_read_slots(struct map_answer *answer, const struct resp_node *reply,
                               const struct link_address *asked)
{
    struct map_index index = {.places = NULL};
    struct reading reading = {.answer = answer, .asked = asked, .index = &index};
    const struct resp_node *range = resp_first_member(reply), *first, *last, *told;
    enum err err = begin(&reading);

    if (err == OK && reply->type != RESP_ARRAY)
        err = ERR_SYNTAX;
    if (err == OK && !map_index_init(&index))
        err = ERR_NO_MEMORY;
    for (int64_t i = 0; err == OK && i < reply->integer; i++, range = resp_next(range)) {
        uint16_t owner, number;
        if (range->type != RESP_ARRAY || range->integer < 3) {
            err = ERR_SYNTAX;
            break;
        }
        first = resp_first_member(range);
        last = resp_next(first);
        told = resp_next(last);
        err = read_slots_node(&reading, told, &owner);
        if (err == OK) {
            answer->nodes[owner].primary = owner;
            err = set_range(&reading, first, last, owner);
        }
        for (int64_t k = 3; k < range->integer && err == OK; k++) {
            told = resp_next(told);
            err = read_slots_node(&reading, told, &number);
            if (err == OK)
                answer->nodes[number].primary = owner;
        }
    }
    answer->look_count += index.look_count;
    map_index_fini(&index);
    return end(answer, err);
}

/* All slots are those of node 0. */
static void give_all_to_first(struct map_answer *answer)
{
    for (size_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        answer->node_of_slot[slot] = 0;
}

enum err map_answer_set_lone(struct map_answer *answer, const struct link_address *asked)
{
    struct reading reading = {.answer = answer, .asked = asked};
    struct map_node node = {.address = *asked, .server = MAP_NOBODY};
    uint16_t number;
    enum err err = begin(&reading);

    if (err == OK)
        err = add_node(answer, &node, &number);
    if (err != OK)
        return end(answer, err);
    answer->is_cluster = false;
    give_all_to_first(answer);
    return OK;
}

/* A replica as its primary tells: address, port as text, offset. */
static enum err read_replica(const struct reading *reading, const struct resp_node *told)
{
    struct map_node node = {.server = MAP_NOBODY, .primary = 0};
    const struct resp_node *host = resp_first_member(told);
    uint64_t port;
    uint16_t number;
    enum err err;

    if (told->type != RESP_ARRAY || told->integer < 2)
        return ERR_SYNTAX;
    err = read_host(reading, host, &node.address);
    if (err != OK)
        return err;
    if (!uint64_parse(resp_next(host)->bytes, &port) || port > UINT16_MAX)
        return ERR_RANGE;
    node.address.port = (uint16_t)port;
    return add_node(reading->answer, &node, &number);
}

enum err map_answer_read_role(struct map_answer *answer, const struct resp_node *reply,
                              const struct link_address *asked)
{
    struct reading reading = {.answer = answer, .asked = asked};
    const struct resp_node *word = resp_first_member(reply), *value;
    enum err err;

    *answer = (struct map_answer){0};
    if (reply->type != RESP_ARRAY || reply->integer < 1 || !is_text(word))
        return ERR_SYNTAX;
    if (bytes_equal(word->bytes, BYTES("sentinel")))
        return ERR_TYPE;
    if (reply->integer < 3)
        return ERR_SYNTAX;
    err = map_answer_set_lone(answer, asked);
    if (err != OK)
        return err;
    value = resp_next(word);
    if (bytes_equal(word->bytes, BYTES("slave"))) {
        answer->is_replica = true;
        err = read_host(&reading, value, &answer->nodes[0].address);
        if (err == OK)
            err = read_port(resp_next(value), &answer->nodes[0].address.port);
    } else if (bytes_equal(word->bytes, BYTES("master"))) {
        const struct resp_node *replicas = resp_next(value), *told = resp_first_member(replicas);
        if (replicas->type != RESP_ARRAY)
            err = ERR_SYNTAX;
        for (int64_t i = 0; err == OK && i < replicas->integer; i++, told = resp_next(told))
            err = read_replica(&reading, told);
    } else {
        err = ERR_SYNTAX;
    }
    return end(answer, err);
}

/* Takes what is before the next `separator` from the front of `*text`. */
static struct bytes take_until(struct bytes *text, char separator)
{
    const char *at = text->size > 0 ? memchr(text->data, separator, text->size) : NULL;
    struct bytes taken = at != NULL ? bytes_first(*text, (size_t)(at - text->data)) : *text;

    *text = bytes_after(*text, at != NULL ? taken.size + 1 : taken.size);
    return taken;
}

static bool has_same_id(const struct map_node *node, const struct map_node *wanted)
{
    return strcmp(node->id, wanted->id) == 0;
}

/* The answer's nodes by their ids; of two with the same, which no server tells of, the first. */
static bool index_ids(struct map_index *index, const struct map_answer *answer)
{
    uint32_t place;

    if (!map_index_init(index))
        return false;
    for (size_t i = 0; i < answer->node_count; i++) {
        const struct map_node *node = &answer->nodes[i];
        if (map_index_find(index, bytes_of_text(node->id), answer->nodes, node, has_same_id, &place) ==
            MAP_NOBODY)
            map_index_add(index, place, (uint16_t)i);
    }
    return true;
}

void map_answer_read_epochs(struct map_answer *answer, struct bytes text)
{
    /* id address flags primary ping pong config-epoch link-state slots… */
    enum { EPOCH_WORD = 6 };
    struct map_index index;

    if (!index_ids(&index, answer))
        return; /* without them all are alike */
    while (text.size > 0) {
        struct bytes line = take_until(&text, '\n'), id = take_until(&line, ' '), word = {NULL, 0};
        struct map_node wanted = {.id = ""};
        uint64_t epoch;
        uint32_t place;
        uint16_t number;
        for (int i = 1; i <= EPOCH_WORD; i++)
            word = take_until(&line, ' ');
        if (id.size == 0 || id.size > MAP_ID_BYTES || !uint64_parse(word, &epoch))
            continue;
        memcpy(wanted.id, id.data, id.size);
        number = map_index_find(&index, id, answer->nodes, &wanted, has_same_id, &place);
        if (number != MAP_NOBODY)
            answer->nodes[number].epoch = epoch < UINT32_MAX ? (uint32_t)epoch : UINT32_MAX;
    }
    answer->look_count += index.look_count;
    map_index_fini(&index);
}
