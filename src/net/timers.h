/* timers.h — a hashed timer wheel: setting, moving and cancelling are a few stores each.
 *
 * (1) A slot holds the timers to be looked at in one tick of WHEEL_TICK_MS; slot t % WHEEL_SLOTS stands for
 *     the one tick t in tick + 1 … tick + WHEEL_SLOTS - 1.
 * (2) A timer waits in a slot whose tick is not after its due time rounded up. One that was moved to later
 *     stays where it is, and one too far away waits in the last slot: both are put in their place when the
 *     slot's tick comes.
 * (3) No timer waits in a slot whose tick is before nearest_tick, and every slot with a timer has its bit
 * in `occupied` (an empty one may have it too). */
#pragma once
#include "net/loop.h"

enum { WHEEL_SLOTS = 4096, WHEEL_TICK_MS = 8 };

struct wheel {
    int64_t tick;         /* the last one looked at */
    int64_t nearest_tick; /* INT64_MAX when there is none */
    struct list overdue;  /* was in the past when set: fires in the next turn */
    struct list slots[WHEEL_SLOTS];
    uint64_t occupied[WHEEL_SLOTS / 64];
};

/* Moves all of `from` to the end of `to`. */
static inline void list_move(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

void wheel_init(struct wheel *wheel, int64_t now_ms);

/* As timer_set and timer_cancel. */
void wheel_set(struct wheel *wheel, struct timer *timer, int64_t now_ms, int64_t due_ms);
void wheel_cancel(struct timer *timer);

/* Calls `fired` of every timer that is due, the earliest first. */
void wheel_advance(struct wheel *wheel, int64_t now_ms);

/* When wheel_advance has something to do next, which may be a false alarm; -1 for never. */
int64_t wheel_next_ms(const struct wheel *wheel);
