/* links: nuthatch-net */
#include "net/timers.h"
#include "test.h"
#include <stdlib.h>

struct fired {
    struct timer timer;
    int64_t wanted_ms, at_ms;
    int order;
};

struct world {
    struct wheel wheel;
    int64_t now_ms;
    int fired_count;
    struct fired *last;
};

static struct world *world_of_test; /* timers have no context of their own but their struct */

static void note(struct timer *timer)
{
    struct fired *fired = CONTAINER_OF(timer, struct fired, timer);
    fired->at_ms = world_of_test->now_ms;
    fired->order = ++world_of_test->fired_count;
    world_of_test->last = fired;
}

static struct world *world_create(int64_t now_ms)
{
    struct world *world = calloc(1, sizeof *world);
    world->now_ms = now_ms;
    wheel_init(&world->wheel, now_ms);
    world_of_test = world;
    return world;
}

static void set(struct world *world, struct fired *fired, int64_t due_ms)
{
    fired->wanted_ms = due_ms;
    wheel_set(&world->wheel, &fired->timer, world->now_ms, due_ms);
}

static void go_to(struct world *world, int64_t now_ms)
{
    world->now_ms = now_ms;
    wheel_advance(&world->wheel, now_ms);
}

TEST(a_timer_fires_once_and_never_before_its_time)
{
    static const int64_t starts[] = {0, 1, 7, 8, 1000003, -5, -4096 * 8};
    static const int64_t delays[] = {1,    2,     7,     8,     9,     15,    100,
                                     1000, 32759, 32760, 32768, 32769, 60000, 3600000};
    for (size_t i = 0; i < COUNT_OF(starts); i++)
        for (size_t j = 0; j < COUNT_OF(delays); j++) {
            struct world *world = world_create(starts[i]);
            struct fired fired = {.at_ms = INT64_MIN};
            timer_init(&fired.timer, note);
            set(world, &fired, starts[i] + delays[j]);
            while (world->fired_count == 0) {
                int64_t next_ms = wheel_next_ms(&world->wheel);
                EXPECT(next_ms > world->now_ms);
                go_to(world, next_ms);
            }
            EXPECT(fired.at_ms >= fired.wanted_ms);
            EXPECT(fired.at_ms <= fired.wanted_ms + WHEEL_TICK_MS);
            EXPECT(!timer_is_set(&fired.timer));
            go_to(world, world->now_ms + 7200000);
            EXPECT_EQ(world->fired_count, 1);
            EXPECT_EQ(wheel_next_ms(&world->wheel), -1);
            free(world);
        }
}

TEST(timers_fire_in_the_order_of_their_due_times_after_a_leap)
{
    enum { COUNT = 500 };
    struct world *world = world_create(12345);
    struct fired *fired = calloc(COUNT, sizeof *fired);
    srand(7);
    for (int i = 0; i < COUNT; i++) {
        timer_init(&fired[i].timer, note);
        set(world, &fired[i], 12345 + rand() % 100000);
    }
    for (int i = 0; i < COUNT; i += 3) /* moved to later, which leaves them where they are in the wheel */
        set(world, &fired[i], fired[i].wanted_ms + rand() % 50000);
    go_to(world, 12345 + 3600000);
    EXPECT_EQ(world->fired_count, COUNT);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            if (fired[i].wanted_ms != fired[j].wanted_ms)
                EXPECT((fired[i].wanted_ms < fired[j].wanted_ms) == (fired[i].order < fired[j].order));
    free(fired);
    free(world);
}

TEST(moved_and_cancelled_timers_keep_to_a_simple_model)
{
    enum { COUNT = 64 };
    struct world *world = world_create(500);
    struct fired *fired = calloc(COUNT, sizeof *fired);
    srand(11);
    for (int i = 0; i < COUNT; i++)
        timer_init(&fired[i].timer, note);
    for (int step = 0; step < 200000; step++) {
        struct fired *one = &fired[rand() % COUNT];
        switch (rand() % 4) {
        case 0: wheel_cancel(&one->timer); break;
        case 1:
        case 2: set(world, one, world->now_ms - 5 + rand() % (rand() % 50 == 0 ? 100000 : 200)); break;
        default: {
            int64_t before_ms = world->now_ms;
            bool was_set[COUNT];
            for (int i = 0; i < COUNT; i++)
                was_set[i] = timer_is_set(&fired[i].timer);
            go_to(world, before_ms + rand() % (rand() % 100 == 0 ? 50000 : 30));
            for (int i = 0; i < COUNT; i++) {
                if (was_set[i] && !timer_is_set(&fired[i].timer))
                    EXPECT(fired[i].wanted_ms <= world->now_ms);
                else if (was_set[i])
                    EXPECT(fired[i].wanted_ms > world->now_ms - WHEEL_TICK_MS);
                else
                    EXPECT(!timer_is_set(&fired[i].timer));
            }
        }
        }
    }
    free(fired);
    free(world);
}

static void set_again_in_the_past(struct timer *timer)
{
    note(timer);
    wheel_set(&world_of_test->wheel, timer, world_of_test->now_ms, world_of_test->now_ms - 1);
}

TEST(a_timer_set_to_the_past_fires_in_the_next_turn_and_not_in_this_one)
{
    struct world *world = world_create(100);
    struct fired fired = {0};
    timer_init(&fired.timer, set_again_in_the_past);
    set(world, &fired, 0);
    for (int turn = 1; turn <= 3; turn++) {
        EXPECT(wheel_next_ms(&world->wheel) >= 0 && wheel_next_ms(&world->wheel) <= world->now_ms);
        go_to(world, 100);
        EXPECT_EQ(world->fired_count, turn);
    }
    wheel_cancel(&fired.timer);
    EXPECT_EQ(wheel_next_ms(&world->wheel), -1);
    free(world);
}

static struct fired *victim;

static void cancel_the_victim(struct timer *timer)
{
    note(timer);
    wheel_cancel(&victim->timer);
}

TEST(a_timer_cancelled_by_one_that_fires_before_it_does_not_fire)
{
    struct world *world = world_create(0);
    struct fired first = {0}, second = {0};
    timer_init(&first.timer, cancel_the_victim);
    timer_init(&second.timer, note);
    victim = &second;
    set(world, &second, 20);
    set(world, &first, 10);
    go_to(world, 1000);
    EXPECT_EQ(world->fired_count, 1);
    EXPECT(world->last == &first);
    free(world);
}

TEST(cancelling_a_timer_that_is_not_set_does_nothing)
{
    struct world *world = world_create(0);
    struct fired fired = {0};
    timer_init(&fired.timer, note);
    wheel_cancel(&fired.timer);
    set(world, &fired, 10);
    wheel_cancel(&fired.timer);
    wheel_cancel(&fired.timer);
    go_to(world, 100000);
    EXPECT_EQ(world->fired_count, 0);
    free(world);
}

RUN_TESTS(TEST_ROW(a_timer_fires_once_and_never_before_its_time),
          TEST_ROW(timers_fire_in_the_order_of_their_due_times_after_a_leap),
          TEST_ROW(moved_and_cancelled_timers_keep_to_a_simple_model),
          TEST_ROW(a_timer_set_to_the_past_fires_in_the_next_turn_and_not_in_this_one),
          TEST_ROW(a_timer_cancelled_by_one_that_fires_before_it_does_not_fire),
          TEST_ROW(cancelling_a_timer_that_is_not_set_does_nothing))
