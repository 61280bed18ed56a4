/* loop_world.h — a loop on a thread of its own, its listener and its connections. The test is the client,
 * with blocking sockets, and looks into the loop's world only by tasks that run there. */
#pragma once
#include "net/listen.h"
#include "net/loop.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { CONNS_MAX = 1024, PATIENCE_MS = 30000, MEBIBYTE = 1024 * 1024 };

struct world;

struct conn {
    struct stream stream;
    struct world *world;
    int index;
};

/* What is known of a connection, also after its struct is freed. */
struct account {
    struct conn *conn; /* null when closed */
    size_t received_bytes;
    unsigned char next_byte;
    bool in_order, received_while_paused;
    int received_count, ended_count, closed_count;
    atomic_int drained_count; /* also looked at from outside */
    enum err why;
};

struct fake_clock {
    atomic_llong mono_ms;
};

struct world {
    struct loop *loop;
    struct log *log;
    FILE *log_stream;
    pthread_t thread;
    struct listener listener;
    int listen_fd;
    struct address address;
    struct clock clock;
    struct fake_clock fake;
    void (*_Atomic on_received)(struct conn *conn, struct bytes bytes);
    int conn_count;
    struct account accounts[CONNS_MAX];
};

static inline struct account *account_of(struct conn *conn) { return &conn->world->accounts[conn->index]; }

static inline void received(struct stream *stream, struct bytes bytes)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    struct account *account = account_of(conn);
    void (*on_received)(struct conn *, struct bytes);

    account->received_while_paused |= stream->paused;
    for (size_t i = 0; i < bytes.size; i++)
        account->in_order &= (unsigned char)bytes.data[i] == account->next_byte++;
    account->received_bytes += bytes.size;
    account->received_count++;
    on_received = conn->world->on_received;
    if (on_received != NULL)
        on_received(conn, bytes);
}

static inline void ended(struct stream *stream)
{
    struct account *account = account_of(CONTAINER_OF(stream, struct conn, stream));
    account->received_while_paused |= stream->paused;
    account->ended_count++;
}

static inline void drained(struct stream *stream)
{
    account_of(CONTAINER_OF(stream, struct conn, stream))->drained_count++;
}

static inline void closed(struct stream *stream, enum err why)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    struct account *account = account_of(conn);
    account->conn = NULL;
    account->closed_count++;
    account->why = why;
    free(conn);
}

static const struct stream_callbacks callbacks = {received, ended, drained, closed};

static inline void accepted(struct listener *listener, int fd)
{
    struct world *world = CONTAINER_OF(listener, struct world, listener);
    struct conn *conn = calloc(1, sizeof *conn);

    conn->world = world;
    conn->index = world->conn_count++;
    *account_of(conn) = (struct account){.conn = conn, .in_order = true};
    stream_open(world->loop, &conn->stream, fd, &callbacks);
}

static inline void *run(void *world)
{
    loop_run(((struct world *)world)->loop);
    return NULL;
}

static inline struct now read_fake(void *context)
{
    struct fake_clock *fake = context;
    return (struct now){.mono_ms = atomic_load(&fake->mono_ms), .wall_ms = 0};
}

static inline bool have_uring(void)
{
    struct loop_options options = {.kind = LOOP_URING, .clock = &clock_system};
    struct loop *loop;
    enum err err = loop_create(&options, &loop);

    if (err == OK)
        loop_destroy(loop);
    else
        print_message("skipped: this kernel refuses io_uring\n");
    return err == OK;
}

static inline struct world *world_create_with(enum loop_kind kind, bool fake_clock)
{
    struct world *world = calloc(1, sizeof *world);
    struct loop_options options = {.kind = kind};

    world->log_stream = tmpfile();
    world->clock = (struct clock){read_fake, &world->fake};
    atomic_store(&world->fake.mono_ms, 1000000);
    options.clock = fake_clock ? &world->clock : &clock_system;
    options.log = world->log = log_create(world->log_stream, LOG_DEBUG, &clock_system);
    EXPECT_EQ(loop_create(&options, &world->loop), OK);
    EXPECT_EQ(loop_kind(world->loop), kind);
    EXPECT_EQ(address_parse(BYTES("127.0.0.1:0"), &world->address), OK);
    EXPECT_EQ(listen_open(&world->address, false, &world->listen_fd), OK);
    listener_start(world->loop, &world->listener, world->listen_fd, accepted);
    EXPECT_EQ(pthread_create(&world->thread, NULL, run, world), 0);
    return world;
}

static inline struct world *world_create(enum loop_kind kind) { return world_create_with(kind, false); }

/* A call that is made on the loop's thread. */
struct call {
    struct task task;
    struct world *world;
    void (*function)(struct world *world, void *argument);
    void *argument;
    sem_t done;
};

static inline void run_call(struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    call->function(call->world, call->argument);
    sem_post(&call->done);
}

static inline void on_loop(struct world *world, void (*function)(struct world *world, void *argument),
                           void *argument)
{
    struct call call = {.task.run = run_call, .world = world, .function = function, .argument = argument};
    sem_init(&call.done, 0, 0);
    loop_post(world->loop, &call.task);
    while (sem_wait(&call.done) != 0)
        continue;
    sem_destroy(&call.done);
}

static inline void sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

struct question {
    bool (*is_so)(struct world *world);
    bool answer;
};

static inline void ask(struct world *world, void *argument)
{
    struct question *question = argument;
    question->answer = question->is_so(world);
}

static inline bool comes_true(struct world *world, bool (*is_so)(struct world *world))
{
    struct question question = {.is_so = is_so};
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 2) {
        on_loop(world, ask, &question);
        if (question.answer)
            return true;
        sleep_ms(2);
    }
    return false;
}

static inline bool all_closed(struct world *world)
{
    for (int i = 0; i < world->conn_count; i++)
        if (world->accounts[i].conn != NULL)
            return false;
    return true;
}

static inline void stop_everything(struct world *world, void *argument)
{
    (void)argument;
    listener_stop(&world->listener);
    for (int i = 0; i < world->conn_count; i++)
        if (world->accounts[i].conn != NULL)
            stream_abort(&world->accounts[i].conn->stream);
}

static inline void world_destroy(struct world *world)
{
    on_loop(world, stop_everything, NULL);
    EXPECT(comes_true(world, all_closed));
    for (int i = 0; i < world->conn_count; i++)
        EXPECT_EQ(world->accounts[i].closed_count, 1);
    loop_stop(world->loop);
    EXPECT_EQ(pthread_join(world->thread, NULL), 0);
    loop_destroy(world->loop);
    close(world->listen_fd);
    log_destroy(world->log);
    fclose(world->log_stream);
    free(world);
}

static inline int client_socket(int receive_buffer_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    if (receive_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    return fd;
}

static inline void client_connect(struct world *world, int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};

    if (connect(fd, (struct sockaddr *)&world->address.storage, world->address.size) != 0)
        fail_msg("connect: %s", strerror(errno));
    /* Only now: a connect with a time limit is interrupted for good where one without is restarted. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static inline int client(struct world *world)
{
    int fd = client_socket(0);
    client_connect(world, fd);
    return fd;
}

static inline void send_all(int fd, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t count = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        EXPECT(count > 0);
        sent += (size_t)count;
    }
}

/* Reads until `size` bytes or the end; returns how many. */
static inline size_t receive_all(int fd, void *data, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t count = recv(fd, (char *)data + got, size - got, 0);
        if (count < 0 && errno == EINTR) /* taking a ring down on this thread may do that */
            continue;
        if (count < 0)
            fail_msg("recv after %zu bytes: %s", got, strerror(errno));
        if (count == 0)
            break;
        got += (size_t)count;
    }
    return got;
}

/* 0, 1, 2, … 255, 0, …: what the accounts take for in order. */
static inline unsigned char *counting(size_t size)
{
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)i;
    return bytes;
}

static inline bool is_counting(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)i)
            return false;
    return true;
}

static inline void append_counting(struct stream *stream, size_t size)
{
    unsigned char *bytes = counting(size);
    buffer_append(stream_output(stream), bytes_of(bytes, size));
    free(bytes);
}

static inline void echo(struct conn *conn, struct bytes bytes)
{
    buffer_append(stream_output(&conn->stream), bytes);
}

static inline int64_t thread_cpu_us(pthread_t thread)
{
    struct timespec time;
    clockid_t clock_id;
    EXPECT_EQ(pthread_getcpuclockid(thread, &clock_id), 0);
    EXPECT_EQ(clock_gettime(clock_id, &time), 0);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static inline void do_nothing(struct world *world, void *argument)
{
    (void)world;
    (void)argument;
}

static inline bool is_accepted(struct world *world) { return world->conn_count > 0; }

static inline bool first_is_closed(struct world *world)
{
    return world->conn_count > 0 && all_closed(world);
}

static inline void abort_first(struct world *world, void *argument)
{
    (void)argument;
    stream_abort(&world->accounts[0].conn->stream);
    stream_abort(&world->accounts[0].conn->stream);
    stream_resume(&world->accounts[0].conn->stream);
    buffer_append_literal(stream_output(&world->accounts[0].conn->stream), "not sent any more");
}

/* A test over both back ends, and its rows. */
#define ON_BOTH(sentence)                                                                                  \
    static void sentence(enum loop_kind kind);                                                             \
    TEST(sentence##__over_epoll) { sentence(LOOP_EPOLL); }                                                 \
    TEST(sentence##__over_uring)                                                                           \
    {                                                                                                      \
        if (!have_uring())                                                                                 \
            skip();                                                                                        \
        sentence(LOOP_URING);                                                                              \
    }                                                                                                      \
    static void sentence(enum loop_kind kind)
#define ROWS(sentence) TEST_ROW(sentence##__over_epoll), TEST_ROW(sentence##__over_uring)
