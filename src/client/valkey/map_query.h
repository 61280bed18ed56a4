/* map_query.h — asks one server who has which slots: CLUSTER SHARDS, or CLUSTER SLOTS where that is not
 * known, with config epochs from CLUSTER NODES; ROLE where there is no cluster. */
#pragma once
#include "client/valkey/map_answer.h"

/* Embedded by who asks. */
struct map_query {
    /* Set by who asks, and readable until `done`: how requests get to the server, as link_send; how it was
     * reached; and who is told. */
    enum err (*send)(struct map_query *query, struct bytes bytes, uint32_t reply_count);
    struct link_address asked;
    bool with_tls;
    /* OK with query->answer, which is the owner's to take (map_answer_fini); else what went wrong, and
     * `text` for a log. Once, not after map_query_end, and never from inside map_query_begin. */
    void (*done)(struct map_query *query, enum err err, struct bytes text);
    struct map_answer answer;
    /* the query's own */
    struct link_request request; /* that `send` sends */
    enum { MAP_QUERY_SHARDS, MAP_QUERY_SLOTS, MAP_QUERY_EPOCHS, MAP_QUERY_ROLE } step;
    bool is_asking;
};

/* Begins. An error of `send`: nothing was asked. */
enum err map_query_begin(struct map_query *query);
/* `done` will not be called; who sent the request forgets it. */
void map_query_end(struct map_query *query);
