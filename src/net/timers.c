#include "net/timers.h"
#include "net/loop_common.h"
#include <assert.h>

static_assert((WHEEL_SLOTS & (WHEEL_SLOTS - 1)) == 0, "(1): a tick's slot is found with a mask");

/* The first tick at which a timer due at `due_ms` may fire. */
static int64_t tick_of_due(int64_t due_ms)
{
    return due_ms / WHEEL_TICK_MS + (due_ms % WHEEL_TICK_MS > 0 ? 1 : 0);
}

/* The last tick that has begun at `now_ms`. */
static int64_t tick_of_now(int64_t now_ms)
{
    return now_ms / WHEEL_TICK_MS - (now_ms % WHEEL_TICK_MS < 0 ? 1 : 0);
}

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    *wheel = (struct wheel){.tick = tick_of_now(now_ms), .nearest_tick = INT64_MAX};
    list_init(&wheel->overdue);
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
}

static void insert(struct wheel *wheel, struct timer *timer)
{
    int64_t tick = tick_of_due(timer->due_ms);
    size_t slot;

    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    if (tick > wheel->tick + WHEEL_SLOTS - 1) /* (2) */
        tick = wheel->tick + WHEEL_SLOTS - 1;
    slot = (size_t)tick & (WHEEL_SLOTS - 1);
    list_append(&wheel->slots[slot], &timer->in_wheel);
    wheel->occupied[slot / 64] |= (uint64_t)1 << slot % 64;
    if (tick < wheel->nearest_tick)
        wheel->nearest_tick = tick;
}

void wheel_set(struct wheel *wheel, struct timer *timer, int64_t now_ms, int64_t due_ms)
{
    if (due_ms == 0) /* which would say "not set" */
        due_ms = -1;
    if (timer_is_set(timer)) {
        if (due_ms >= timer->due_ms) { /* (2) */
            timer->due_ms = due_ms;
            return;
        }
        list_remove(&timer->in_wheel);
    }
    timer->due_ms = due_ms;
    if (due_ms <= now_ms)
        list_append(&wheel->overdue, &timer->in_wheel);
    else
        insert(wheel, timer);
}

void wheel_cancel(struct timer *timer)
{
    if (!timer_is_set(timer))
        return;
    timer->due_ms = 0;
    list_remove(&timer->in_wheel);
}

static int64_t due_of(const struct list *node)
{
    return CONTAINER_OF(node, struct timer, in_wheel)->due_ms;
}

/* Sorts by due time; timers due at the same time keep their order. */
static void sort(struct list *list)
{
    struct list first, second;
    struct list *middle = list, *end = list->next;

    if (end == list || end->next == list)
        return;
    while (end != list && end->next != list) {
        middle = middle->next;
        end = end->next->next;
    }
    list_init(&first);
    list_init(&second);
    while (middle->next != list) {
        struct list *node = middle->next;
        list_remove(node);
        list_append(&second, node);
    }
    list_move(&first, list);
    sort(&first);
    sort(&second);
    while (!list_is_empty(&first) && !list_is_empty(&second)) {
        struct list *node = due_of(second.next) < due_of(first.next) ? second.next : first.next;
        list_remove(node);
        list_append(list, node);
    }
    list_move(list, &first);
    list_move(list, &second);
}

/* The nearest tick whose slot is marked; INT64_MAX for none. */
static int64_t find_nearest(const struct wheel *wheel)
{
    size_t start = (size_t)(wheel->tick + 1) & (WHEEL_SLOTS - 1);

    /* One word more than there are, because the first may have to be looked at from both sides. */
    for (size_t i = 0; i <= WHEEL_SLOTS / 64; i++) {
        size_t word = (start / 64 + i) % (WHEEL_SLOTS / 64);
        uint64_t bits = wheel->occupied[word];
        if (i == 0)
            bits &= ~(uint64_t)0 << start % 64;
        if (bits != 0) {
            size_t slot = word * 64 + (size_t)__builtin_ctzll(bits);
            return wheel->tick + 1 + (int64_t)((slot - start) & (WHEEL_SLOTS - 1));
        }
    }
    return INT64_MAX;
}

void wheel_advance(struct wheel *wheel, int64_t now_ms)
{
    int64_t now_tick = tick_of_now(now_ms);
    struct list visited, due;

    if (now_tick < wheel->tick) /* a clock never goes back, but a test may hand in one that does */
        now_tick = wheel->tick;
    if (now_tick < wheel->nearest_tick && list_is_empty(&wheel->overdue)) {
        wheel->tick = now_tick;
        return;
    }
    list_init(&visited);
    list_init(&due);
    list_move(&visited, &wheel->overdue);
    while (wheel->nearest_tick <= now_tick) {
        size_t slot = (size_t)wheel->nearest_tick & (WHEEL_SLOTS - 1);
        list_move(&visited, &wheel->slots[slot]);
        wheel->occupied[slot / 64] &= ~((uint64_t)1 << slot % 64);
        wheel->tick = wheel->nearest_tick;
        wheel->nearest_tick = find_nearest(wheel);
    }
    wheel->tick = now_tick;
    while (!list_is_empty(&visited)) {
        struct timer *timer = CONTAINER_OF(visited.next, struct timer, in_wheel);
        list_remove(&timer->in_wheel);
        if (timer->due_ms <= now_ms)
            list_append(&due, &timer->in_wheel);
        else
            insert(wheel, timer);
    }
    sort(&due);
    while (!list_is_empty(&due)) {
        struct timer *timer = CONTAINER_OF(due.next, struct timer, in_wheel);
        list_remove(&timer->in_wheel);
        if (timer->due_ms > now_ms) { /* moved by one that fired before it */
            insert(wheel, timer);
            continue;
        }
        timer->due_ms = 0;
        timer->fired(timer);
    }
}

int64_t wheel_next_ms(const struct wheel *wheel)
{
    if (!list_is_empty(&wheel->overdue))
        return wheel->tick * WHEEL_TICK_MS;
    return wheel->nearest_tick == INT64_MAX ? -1 : wheel->nearest_tick * WHEEL_TICK_MS;
}

void timer_init(struct timer *timer, void (*fired)(struct timer *timer))
{
    *timer = (struct timer){.fired = fired};
    list_init(&timer->in_wheel);
}

void timer_set(struct loop *loop, struct timer *timer, int64_t due_ms)
{
    wheel_set(&loop->wheel, timer, loop->now.mono_ms, due_ms);
}

void timer_cancel(struct loop *loop, struct timer *timer)
{
    (void)loop;
    wheel_cancel(timer);
}
