/* links: nuthatch-mock nuthatch-message nuthatch-net nuthatch-base */
/* A loop goes on while a thread does what was asked for, and so much waits at most. */
#include "base/compiler.h"
#include "engine/mock/errands.h"
#include "test.h"
#include <pthread.h>
#include <semaphore.h>

struct world {
    struct loop *loop;
    struct errands *errands;
    sem_t began, may_end; /* of errands */
    int run_count, done_count;
    pthread_t ran_on;
};

struct errand_of_world {
    struct errand errand;
    struct world *world;
};

static void on_run(struct errand *errand)
{
    struct world *world = CONTAINER_OF(errand, struct errand_of_world, errand)->world;

    sem_post(&world->began);
    sem_wait(&world->may_end);
    world->run_count++;
    world->ran_on = pthread_self();
}

static void on_done(struct errand *errand)
{
    struct world *world = CONTAINER_OF(errand, struct errand_of_world, errand)->world;

    world->done_count++;
    loop_stop(world->loop);
}

static struct errand_of_world errand_of(struct world *world)
{
    return (struct errand_of_world){{.run = on_run, .done = on_done, .loop = world->loop}, world};
}

static void world_init(struct world *world)
{
    *world = (struct world){0};
    EXPECT_EQ(loop_create(&(struct loop_options){.kind = LOOP_EPOLL, .clock = &clock_system}, &world->loop),
              OK);
    world->errands = errands_create();
    EXPECT(world->errands != NULL);
    sem_init(&world->began, 0, 0);
    sem_init(&world->may_end, 0, 0);
}

static void world_fini(struct world *world)
{
    errands_destroy(world->errands);
    loop_destroy(world->loop);
    sem_destroy(&world->began);
    sem_destroy(&world->may_end);
}

TEST(the_loop_hears_when_another_thread_has_done_it)
{
    struct world world;
    struct errand_of_world one;

    world_init(&world);
    one = errand_of(&world);
    EXPECT(errands_add(world.errands, &one.errand));
    sem_post(&world.may_end);
    loop_run(world.loop);
    EXPECT_EQ(world.run_count, 1);
    EXPECT_EQ(world.done_count, 1);
    EXPECT(!pthread_equal(world.ran_on, pthread_self()));
    world_fini(&world);
}

TEST(so_many_wait_and_those_taken_back_are_not_done)
{
    struct world world;
    struct errand_of_world all[ERRANDS_WAITING_MAX + 2];

    world_init(&world);
    for (size_t i = 0; i < COUNT_OF(all); i++)
        all[i] = errand_of(&world);
    EXPECT(errands_add(world.errands, &all[0].errand));
    sem_wait(&world.began); /* it waits no more */
    for (size_t i = 1; i <= ERRANDS_WAITING_MAX; i++)
        EXPECT(errands_add(world.errands, &all[i].errand));
    EXPECT(!errands_add(world.errands, &all[ERRANDS_WAITING_MAX + 1].errand));
    for (size_t i = 1; i <= ERRANDS_WAITING_MAX; i++)
        errands_take_back(world.errands, &all[i].errand);
    sem_post(&world.may_end);
    errands_take_back(world.errands, &all[0].errand); /* waits for its end */
    EXPECT_EQ(world.run_count, 1);
    EXPECT_EQ(world.done_count, 0);
    world_fini(&world);
}

RUN_TESTS(TEST_ROW(the_loop_hears_when_another_thread_has_done_it),
          TEST_ROW(so_many_wait_and_those_taken_back_are_not_done))
