/* demo_client.h — the demo's own clients: plain blocking sockets, so that what the tour shows has gone over
 * the wire like anybody's. */
#pragma once
#include "base/buffer.h"
#include <stdbool.h>
#include <stdint.h>

/* A connected socket to 127.0.0.1:`port`, or -1. Reads and writes on it give up after 10 seconds. */
int demo_connect(uint16_t port);

/* One HTTP answer as the demo looks at it. */
struct demo_answer {
    int status;
    long age_s;             /* of the Age field; -1 if there is none */
    char cache_status[160]; /* the Cache-Status field's value, terminated; empty if there is none */
    double milliseconds;    /* from sending the request to the last byte */
};

/* Asks for `path` on a connected socket and reads the whole answer. False if that failed. */
bool demo_get(int fd, const char *path, struct demo_answer *answer);

/* Has `count` clients, each with its own connection to `port`, ask for `path` at the same moment. Returns
 * how many got a 200; `milliseconds` is when the last one had it. */
size_t demo_crowd(uint16_t port, const char *path, size_t count, double *milliseconds);

/* Sends `request` and reads until the answer ends in `ending`. False if that failed. */
bool demo_talk(int fd, const char *request, const char *ending, struct buffer *answer);
