/* errands.h — what would keep a worker's loop from its clients is done by a thread, one errand after the
 * other, and the loop hears of it. Bounded: so many wait, others are refused. */
#pragma once
#include "base/list.h"
#include "net/loop.h"
#include <stdbool.h>

enum { ERRANDS_WAITING_MAX = 16 };

struct errands; /* opaque: errands.c */

/* One errand; embedded in its owner's struct, which is not touched any more once `done` is called. */
struct errand {
    void (*run)(struct errand *errand);  /* on the thread, which may block */
    void (*done)(struct errand *errand); /* then, on the thread of `loop` */
    struct loop *loop;
    /* the thread's */
    struct task task;
    struct list in_waiting;
};

/* The thread is made for the first errand. Null without memory. */
struct errands *errands_create(void);

/* When none is left. Any thread. May be given null. */
void errands_destroy(struct errands *errands);

/* Has it done, and takes it over until `done` is called. False if as many wait as may, or if there is no
 * thread to be had: then nothing has happened. Any thread. */
bool errands_add(struct errands *errands, struct errand *errand);

/* Takes one back that was added and whose `done` has not been called, and never will be: its loop has
 * ended. Waits for its end if it is under way. Any thread. */
void errands_take_back(struct errands *errands, struct errand *errand);
