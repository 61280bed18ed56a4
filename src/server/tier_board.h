/* tier_board.h — what each thread last said of its connections to the shared tier, for who asks the whole
 * process: the administrator's API. Any thread. */
#pragma once
#include "client/tier/tier.h"

enum {
    TIER_BOARD_EVERY_MS = 1000, /* that is how often a thread should say it */
    TIER_BOARD_NODES_MAX = 256, /* that one thread tells of; further ones are left out */
};

struct tier_board; /* opaque: tier_board.c */

enum err tier_board_create(unsigned worker_count, struct tier_board **board);
void tier_board_destroy(struct tier_board *board); /* null: nothing happens */

/* The thread `number` says how its connections are, as of `now_ms`. */
void tier_board_post(struct tier_board *board, unsigned number, int64_t now_ms,
                     const struct tier_node_facts *nodes, size_t node_count);

/* A server as all threads together see it. */
struct tier_board_node {
    /* Of all threads: in_flight and round_trips are sums; p50_us, p99_us, max_us and coherence_age_ms those
     * of the thread for which they are worst. */
    struct tier_node_facts facts;
    unsigned thread_count, open_count, left_alone_count; /* that know of it; whose connection is open; … */
};

/* Fills in at most `capacity` servers, by address, and returns how many. */
size_t tier_board_read(struct tier_board *board, int64_t now_ms, struct tier_board_node *nodes,
                       size_t capacity);
