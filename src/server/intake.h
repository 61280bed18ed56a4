/* intake.h — connections that one worker accepted for another.
 *
 * Of a TCP port each worker has a socket of its own and the kernel spreads the clients. A Unix socket is
 * one for all: the first worker accepts and gives each worker its turn. */
#pragma once
#include "net/loop.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct worker;

struct intake {
    pthread_mutex_t lock; /* over `items`, `count` and `capacity` */
    struct intake_item *items;
    size_t count, capacity;
    struct task task; /* posted while `count` is not 0 */
};

void intake_init(struct intake *intake);

/* Closes what the worker did not come to take. Its loop has ended. */
void intake_fini(struct intake *intake);

/* The `accepted` of a listener that one worker has for all. */
void intake_accept(struct listener *listener, int fd);
