/* map_answer.h — what one server says of its cluster: who is there and who has which slots. Pure.
 *
 * From CLUSTER SHARDS or CLUSTER SLOTS, as RESP2 and RESP3 write them, with config epochs from CLUSTER
 * NODES; or from ROLE where there is no cluster: a primary has every slot then. Strict where a wrong guess
 * would send commands to the wrong server; names it does not know are left alone. */
#pragma once
#include "client/valkey/link.h"
#include "client/valkey/valkey.h"

enum {
    MAP_ID_BYTES = 40,
    MAP_NODES_MAX = 4096,
    MAP_NOBODY = UINT16_MAX, /* in place of a node's or a server's number */
};

struct map_node {
    struct link_address address; /* an empty host: it is not known how to reach it */
    char id[MAP_ID_BYTES + 1];   /* empty if not told */
    uint32_t epoch;              /* of its configuration; 0: not told. What does not fit is the largest */
    uint16_t primary;            /* which of the nodes it copies; its own number: it is a primary */
    bool is_failed;              /* the server that was asked thinks so */
    uint16_t server;             /* its number among who asked; MAP_NOBODY until they fill it in */
};

/* A zeroed struct holds nothing. */
struct map_answer {
    struct map_node *nodes;
    size_t node_count, node_capacity;
    uint16_t *node_of_slot; /* VALKEY_SLOT_COUNT numbers, or MAP_NOBODY; null before it is read */
    uint64_t look_count;    /* how many nodes it took to look at: of the order of the answer's length */
    bool is_cluster;
    bool is_replica; /* of ROLE: who was asked copies node 0, which has to be asked instead */
};

/* Reads the reply of a server that was reached as `asked`: where it tells no host, the same is meant.
 * `with_tls`: of two ports the one for TLS is taken. ERR_SYNTAX: it is none such; ERR_RANGE: a slot or
 * port is out of range, or too many of something; ERR_NO_MEMORY. On error the answer holds nothing. */
enum err map_answer_read_shards(struct map_answer *answer, const struct resp_node *reply,
                                const struct link_address *asked, bool with_tls);
enum err map_answer_read_slots(struct map_answer *answer, const struct resp_node *reply,
                               const struct link_address *asked);
/* ERR_TYPE: it is a Sentinel. */
enum err map_answer_read_role(struct map_answer *answer, const struct resp_node *reply,
                              const struct link_address *asked);
/* One primary, `asked`, that has every slot. */
enum err map_answer_set_lone(struct map_answer *answer, const struct link_address *asked);

/* Adds config epochs from the text of CLUSTER NODES, by node id; lines that say nothing of them are left.
 */
void map_answer_read_epochs(struct map_answer *answer, struct bytes text);

void map_answer_fini(struct map_answer *answer);
