/* links: nuthatch-net
 *
 * A loop's timers, tasks, listeners and watches, over both back ends. */
#include "loop_world.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- timers and tasks -------------------------------------------------------------------------- */

struct alarm {
    struct timer timer;
    struct world *world;
    int order, *fired_count;
    int64_t at_ms;
};

static void note_alarm(struct timer *timer)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    alarm->order = ++*alarm->fired_count;
    alarm->at_ms = loop_now(alarm->world->loop).mono_ms;
}

static void set_alarms(struct world *world, void *argument)
{
    static const int64_t delays_ms[] = {3000, 1000, 2000, 4000};
    struct alarm *alarms = argument;
    for (int i = 0; i < 4; i++) {
        timer_init(&alarms[i].timer, note_alarm);
        alarms[i].world = world;
        timer_set(world->loop, &alarms[i].timer, loop_now(world->loop).mono_ms + delays_ms[i]);
    }
    timer_set(world->loop, &alarms[0].timer, loop_now(world->loop).mono_ms + 500); /* moved to the front */
    timer_cancel(world->loop, &alarms[2].timer);
}

ON_BOTH(a_fake_clock_that_is_moved_and_a_posted_task_have_due_timers_fire_in_order)
{
    struct world *world = world_create_with(kind, true);
    struct alarm alarms[4] = {0};
    int fired_count = 0;
    int64_t before_us;

    for (int i = 0; i < 4; i++)
        alarms[i].fired_count = &fired_count;
    on_loop(world, set_alarms, alarms);
    before_us = thread_cpu_us(world->thread);
    sleep_ms(200);
    EXPECT(thread_cpu_us(world->thread) - before_us < 20000); /* does not spin though time stands still */
    EXPECT_EQ(fired_count, 0);
    atomic_fetch_add(&world->fake.mono_ms, 3600000);
    on_loop(world, do_nothing, NULL);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(fired_count, 3);
    EXPECT_EQ(alarms[0].order, 1);
    EXPECT_EQ(alarms[1].order, 2);
    EXPECT_EQ(alarms[2].order, 0);
    EXPECT_EQ(alarms[3].order, 3);
    world_destroy(world);
}

static void set_one_alarm(struct world *world, void *argument)
{
    struct alarm *alarm = argument;
    timer_init(&alarm->timer, note_alarm);
    alarm->world = world;
    timer_set(world->loop, &alarm->timer, loop_now(world->loop).mono_ms + 50);
    alarm->at_ms = -loop_now(world->loop).mono_ms;
}

ON_BOTH(a_timer_wakes_the_loop_by_itself)
{
    struct world *world = world_create(kind);
    struct alarm alarm = {0};
    int fired_count = 0;
    int64_t start_ms;

    alarm.fired_count = &fired_count;
    on_loop(world, set_one_alarm, &alarm);
    start_ms = -alarm.at_ms;
    sleep_ms(400);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(fired_count, 1);
    EXPECT(alarm.at_ms >= start_ms + 50);
    EXPECT(alarm.at_ms <= start_ms + 300); /* generous: the machine is shared */
    world_destroy(world);
}

enum { POSTERS = 4, POSTS = 20000 };

struct numbered_task {
    struct task task;
    int poster, number;
    int *next_numbers, *out_of_order_count;
};

struct poster {
    pthread_t thread;
    struct loop *loop;
    struct numbered_task *tasks;
};

static void run_numbered(struct task *task)
{
    struct numbered_task *numbered = CONTAINER_OF(task, struct numbered_task, task);
    *numbered->out_of_order_count += numbered->next_numbers[numbered->poster]++ != numbered->number;
}

static void *post_all(void *argument)
{
    struct poster *poster = argument;
    for (int i = 0; i < POSTS; i++) {
        loop_post(poster->loop, &poster->tasks[i].task);
        if (i % 1000 == 0)
            sleep_ms(1); /* so that the loop falls asleep now and then */
    }
    return NULL;
}

ON_BOTH(tasks_of_several_threads_all_run_those_of_one_in_its_order)
{
    struct world *world = world_create(kind);
    struct poster posters[POSTERS];
    int next_numbers[POSTERS] = {0}, out_of_order_count = 0;

    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = world->loop;
        posters[i].tasks = calloc(POSTS, sizeof *posters[i].tasks);
        for (int j = 0; j < POSTS; j++)
            posters[i].tasks[j] = (struct numbered_task){.task.run = run_numbered,
                                                         .poster = i,
                                                         .number = j,
                                                         .next_numbers = next_numbers,
                                                         .out_of_order_count = &out_of_order_count};
    }
    for (int i = 0; i < POSTERS; i++)
        EXPECT_EQ(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    on_loop(world, do_nothing, NULL);
    for (int i = 0; i < POSTERS; i++) {
        EXPECT_EQ(next_numbers[i], POSTS);
        free(posters[i].tasks);
    }
    EXPECT_EQ(out_of_order_count, 0);
    world_destroy(world);
}

static void stop_listening(struct world *world, void *argument)
{
    (void)argument;
    listener_stop(&world->listener);
    listener_stop(&world->listener);
    memset(&world->listener, 0, sizeof world->listener); /* which would not do if the loop still knew it */
}

static void stop_from_task(struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    loop_stop(call->world->loop);
}

ON_BOTH(a_loop_can_be_stopped_and_run_again)
{
    struct world *world = world_create(kind);
    struct call stop = {.task.run = stop_from_task, .world = world};
    char back[1];
    int fd;

    world->on_received = echo;
    on_loop(world, stop_listening, NULL);
    loop_post(world->loop, &stop.task);
    pthread_join(world->thread, NULL);
    loop_destroy(world->loop);

    /* A loop belongs to one thread: this one's runs are all on the test's. */
    struct loop_options options = {.kind = kind, .clock = &clock_system};
    EXPECT_EQ(loop_create(&options, &world->loop), OK);
    for (int i = 0; i < 3; i++) {
        loop_post(world->loop, &stop.task);
        loop_run(world->loop);
    }
    loop_stop(world->loop);
    loop_run(world->loop); /* a stop that came early counts */
    loop_destroy(world->loop);

    EXPECT_EQ(loop_create(&options, &world->loop), OK);
    listener_start(world->loop, &world->listener, world->listen_fd, accepted);
    pthread_create(&world->thread, NULL, run, world);
    fd = client(world);
    send_all(fd, "\0", 1);
    EXPECT_EQ(receive_all(fd, back, 1), 1);
    close(fd);
    world_destroy(world);
}

/* ---- listeners --------------------------------------------------------------------------------- */

static int lowest_free_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static int count_log_lines(struct world *world, const char *word)
{
    char line[1024];
    int count = 0;
    rewind(world->log_stream);
    while (fgets(line, sizeof line, world->log_stream) != NULL)
        count += strstr(line, word) != NULL;
    return count;
}

/* io_uring looks at the limit when a request to accept is made, not when it is served. */
static void listen_anew(struct world *world, void *argument)
{
    (void)argument;
    listener_stop(&world->listener);
    listener_start(world->loop, &world->listener, world->listen_fd, accepted);
}

ON_BOTH(without_descriptors_accepting_pauses_without_spinning_and_goes_on_later)
{
    enum { COUNT = 12 };
    struct world *world = world_create(kind);
    struct rlimit before, low;
    int64_t before_us, used_us;
    int fds[COUNT];
    char back[1];

    world->on_received = echo;
    EXPECT(world->log_stream != NULL);
    for (int i = 0; i < COUNT; i++)
        fds[i] = client_socket(0);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)lowest_free_descriptor() + 2; /* room for two */
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    on_loop(world, listen_anew, NULL);
    on_loop(world, do_nothing, NULL);
    for (int i = 0; i < COUNT; i++)
        client_connect(world, fds[i]); /* the kernel completes them, accepted or not */
    sleep_ms(50);
    before_us = thread_cpu_us(world->thread);
    sleep_ms(500);
    used_us = thread_cpu_us(world->thread) - before_us;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT(used_us < 50000);
    for (int i = 0; i < COUNT; i++) {
        send_all(fds[i], "\0", 1);
        EXPECT_EQ(receive_all(fds[i], back, 1), 1);
        close(fds[i]);
    }
    EXPECT(count_log_lines(world, "cannot accept") >= 1);
    EXPECT(count_log_lines(world, "cannot accept") <= 3);
    world_destroy(world);
}

ON_BOTH(a_stopped_listener_accepts_nothing_and_its_socket_can_be_closed)
{
    struct world *world = world_create(kind);
    struct address again = world->address;
    int fd = client_socket(0), other_fd;

    on_loop(world, stop_listening, NULL);
    on_loop(world, do_nothing, NULL);
    client_connect(world, fd);
    sleep_ms(50);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(world->conn_count, 0);
    close(world->listen_fd);
    EXPECT_EQ(listen_open(&again, false, &other_fd), OK); /* the loop holds on to nothing */
    world->listen_fd = other_fd;
    close(fd);
    world_destroy(world);
}

static void stop_listening_and_the_loop(struct world *world, void *argument)
{
    stop_listening(world, argument);
    loop_stop(world->loop);
}

ON_BOTH(a_destroyed_loop_holds_on_to_no_socket)
{
    for (int i = 0; i < 20; i++) {
        struct world *world = world_create(kind);
        struct loop_options options = {.kind = kind, .clock = &clock_system};
        int fd = client(world);

        EXPECT(comes_true(world, is_accepted));
        close(fd);
        on_loop(world, abort_first, NULL);
        EXPECT(comes_true(world, first_is_closed));
        on_loop(world, stop_listening_and_the_loop, NULL);
        pthread_join(world->thread, NULL);
        loop_destroy(world->loop);
        close(world->listen_fd);
        EXPECT_EQ(listen_open(&world->address, false, &world->listen_fd), OK);
        EXPECT_EQ(loop_create(&options, &world->loop), OK);
        pthread_create(&world->thread, NULL, run, world);
        world_destroy(world);
    }
}

/* ---- watches ----------------------------------------------------------------------------------- */

struct pipe_watch {
    struct watch watch;
    int calls, read_bytes, events;
    size_t take;
};

struct pipe_world {
    struct pipe_watch *reader, *writer;
    int fds[2];
};

static void on_pipe_readable(struct watch *watch, int events)
{
    struct pipe_watch *reader = CONTAINER_OF(watch, struct pipe_watch, watch);
    char bytes[64];
    ssize_t count = read(watch->fd, bytes, reader->take);
    reader->calls++;
    reader->events |= events;
    if (count > 0)
        reader->read_bytes += (int)count;
    else
        watch_set(watch, 0);
}

static void on_pipe_writable(struct watch *watch, int events)
{
    struct pipe_watch *writer = CONTAINER_OF(watch, struct pipe_watch, watch);
    writer->events |= events;
    if (++writer->calls == 5) { /* level-triggered: it is called again though nothing was written */
        watch_set(watch, 0);
        free(writer);
    }
}

static void watch_pipe(struct world *world, void *argument)
{
    struct pipe_world *pipes = argument;
    watch_init(world->loop, &pipes->reader->watch, pipes->fds[0], on_pipe_readable);
    watch_set(&pipes->reader->watch, WATCH_READABLE);
    watch_set(&pipes->reader->watch, WATCH_WRITABLE);
    watch_set(&pipes->reader->watch, WATCH_READABLE);
    watch_init(world->loop, &pipes->writer->watch, pipes->fds[1], on_pipe_writable);
    watch_set(&pipes->writer->watch, WATCH_WRITABLE);
}

static void mute_reader(struct world *world, void *argument)
{
    (void)world;
    watch_set(&((struct pipe_world *)argument)->reader->watch, 0);
}

static void unmute_reader(struct world *world, void *argument)
{
    (void)world;
    watch_set(&((struct pipe_world *)argument)->reader->watch, WATCH_READABLE);
}

ON_BOTH(a_watch_tells_of_readiness_for_as_long_as_it_lasts)
{
    struct world *world = world_create(kind);
    struct pipe_world pipes = {.reader = calloc(1, sizeof *pipes.reader),
                               .writer = calloc(1, sizeof *pipes.writer)};
    int64_t before_us;

    EXPECT_EQ(pipe2(pipes.fds, O_NONBLOCK | O_CLOEXEC), 0);
    pipes.reader->take = 3;
    on_loop(world, watch_pipe, &pipes);
    EXPECT_EQ(write(pipes.fds[1], "0123456789", 10), 10);
    sleep_ms(100);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(pipes.reader->read_bytes, 10);
    EXPECT_EQ(pipes.reader->calls, 4); /* 3 + 3 + 3 + 1 */

    on_loop(world, mute_reader, &pipes);
    EXPECT_EQ(write(pipes.fds[1], "0123456789", 10), 10);
    before_us = thread_cpu_us(world->thread);
    sleep_ms(100);
    EXPECT(thread_cpu_us(world->thread) - before_us < 20000);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(pipes.reader->calls, 4);
    on_loop(world, unmute_reader, &pipes);
    sleep_ms(100);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(pipes.reader->read_bytes, 20);

    close(pipes.fds[1]); /* the end is readable too */
    sleep_ms(100);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(pipes.reader->calls, 9);
    EXPECT_EQ(pipes.reader->events, WATCH_READABLE);
    free(pipes.reader);
    close(pipes.fds[0]);
    world_destroy(world);
}

/* ---- choosing ---------------------------------------------------------------------------------- */

static void forbid_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(filter), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

/* Returns the number of what is wrong, or 0. */
static int choose_without_io_uring(void)
{
    struct loop_options options = {.kind = LOOP_URING, .clock = &clock_system};
    FILE *stream = tmpfile();
    char line[1024] = "";
    struct loop *loop;

    options.log = log_create(stream, LOG_INFO, &clock_system);
    if (loop_create(&options, &loop) != ERR_UNSUPPORTED)
        return 1;
    rewind(stream);
    if (fgets(line, sizeof line, stream) != NULL)
        return 2;
    options.kind = LOOP_AUTO;
    if (loop_create(&options, &loop) != OK)
        return 3;
    if (loop_kind(loop) != LOOP_EPOLL)
        return 4;
    loop_stop(loop);
    loop_run(loop);
    loop_destroy(loop);
    rewind(stream);
    if (fgets(line, sizeof line, stream) == NULL ||
        strstr(line, "io_uring is not available here (") == NULL)
        return 5;
    if (fgets(line, sizeof line, stream) != NULL)
        return 6;
    log_destroy(options.log);
    fclose(stream);
    return 0;
}

TEST(where_io_uring_is_forbidden_auto_says_so_once_and_takes_epoll)
{
    int status;
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        forbid_io_uring();
        _exit(choose_without_io_uring());
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* no seccomp to test with */
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

RUN_TESTS(TEST_ROW(where_io_uring_is_forbidden_auto_says_so_once_and_takes_epoll),
          ROWS(a_fake_clock_that_is_moved_and_a_posted_task_have_due_timers_fire_in_order),
          ROWS(a_timer_wakes_the_loop_by_itself),
          ROWS(tasks_of_several_threads_all_run_those_of_one_in_its_order),
          ROWS(a_loop_can_be_stopped_and_run_again),
          ROWS(without_descriptors_accepting_pauses_without_spinning_and_goes_on_later),
          ROWS(a_stopped_listener_accepts_nothing_and_its_socket_can_be_closed),
          ROWS(a_destroyed_loop_holds_on_to_no_socket),
          ROWS(a_watch_tells_of_readiness_for_as_long_as_it_lasts))
