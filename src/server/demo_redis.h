/* demo_redis.h — a Valkey or Redis cluster on loopback for the tour: three primaries with a replica each,
 * in a temporary folder. Its servers are ended by their process numbers, and by the kernel if we die. */
#pragma once
#include "base/buffer.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { DEMO_PRIMARIES = 3, DEMO_REDIS_NODES = 2 * DEMO_PRIMARIES };

struct demo_redis_node {
    pid_t pid; /* 0: none runs */
    uint16_t port, bus_port;
    char id[41];
};

struct demo_redis {
    const char *program;                            /* "valkey-server" or "redis-server" */
    char folder[64];                                /* empty: none was made */
    struct demo_redis_node nodes[DEMO_REDIS_NODES]; /* the primaries first */
};

/* Starts the servers and makes them a cluster that has all slots and all replicas. False with a sentence on
 * what to do appended to `why`; stop is due in any case. Blocks for some seconds. */
bool demo_redis_start(struct demo_redis *redis, struct buffer *why);

/* The first and the last slot of the primary at `index`. */
void demo_redis_slots(size_t index, unsigned *first, unsigned *last);

/* Ends one server at once, as a machine that loses its power does. */
void demo_redis_kill(struct demo_redis *redis, size_t index);

/* Whether the replica of the primary at `index` has taken its place, and the others know. */
bool demo_redis_has_taken_over(const struct demo_redis *redis, size_t index);

/* Ends all that runs still and removes the folder. */
void demo_redis_stop(struct demo_redis *redis);
