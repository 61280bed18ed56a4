/* links: nuthatch-net */
#include "net/listen.h"
#include "net/loop.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Every test runs over both back ends. The loop has its own thread; the test is the client, with blocking
 * sockets, and looks into the loop's world only by tasks that run there. */

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

static struct account *account_of(struct conn *conn) { return &conn->world->accounts[conn->index]; }

static void received(struct stream *stream, struct bytes bytes)
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

static void ended(struct stream *stream)
{
    struct account *account = account_of(CONTAINER_OF(stream, struct conn, stream));
    account->received_while_paused |= stream->paused;
    account->ended_count++;
}

static void drained(struct stream *stream)
{
    account_of(CONTAINER_OF(stream, struct conn, stream))->drained_count++;
}

static void closed(struct stream *stream, enum err why)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    struct account *account = account_of(conn);
    account->conn = NULL;
    account->closed_count++;
    account->why = why;
    free(conn);
}

static const struct stream_callbacks callbacks = {received, ended, drained, closed};

static void accepted(struct listener *listener, int fd)
{
    struct world *world = CONTAINER_OF(listener, struct world, listener);
    struct conn *conn = calloc(1, sizeof *conn);

    conn->world = world;
    conn->index = world->conn_count++;
    *account_of(conn) = (struct account){.conn = conn, .in_order = true};
    stream_open(world->loop, &conn->stream, fd, &callbacks);
}

static void *run(void *world)
{
    loop_run(((struct world *)world)->loop);
    return NULL;
}

static struct now read_fake(void *context)
{
    struct fake_clock *fake = context;
    return (struct now){.mono_ms = atomic_load(&fake->mono_ms), .wall_ms = 0};
}

static bool have_uring(void)
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

static struct world *world_create_with(enum loop_kind kind, bool fake_clock)
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

static struct world *world_create(enum loop_kind kind) { return world_create_with(kind, false); }

/* A call that is made on the loop's thread. */
struct call {
    struct task task;
    struct world *world;
    void (*function)(struct world *world, void *argument);
    void *argument;
    sem_t done;
};

static void run_call(struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    call->function(call->world, call->argument);
    sem_post(&call->done);
}

static void on_loop(struct world *world, void (*function)(struct world *world, void *argument),
                    void *argument)
{
    struct call call = {.task.run = run_call, .world = world, .function = function, .argument = argument};
    sem_init(&call.done, 0, 0);
    loop_post(world->loop, &call.task);
    while (sem_wait(&call.done) != 0)
        continue;
    sem_destroy(&call.done);
}

static void sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

struct question {
    bool (*is_so)(struct world *world);
    bool answer;
};

static void ask(struct world *world, void *argument)
{
    struct question *question = argument;
    question->answer = question->is_so(world);
}

static bool comes_true(struct world *world, bool (*is_so)(struct world *world))
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

static bool all_closed(struct world *world)
{
    for (int i = 0; i < world->conn_count; i++)
        if (world->accounts[i].conn != NULL)
            return false;
    return true;
}

static void stop_everything(struct world *world, void *argument)
{
    (void)argument;
    listener_stop(&world->listener);
    for (int i = 0; i < world->conn_count; i++)
        if (world->accounts[i].conn != NULL)
            stream_abort(&world->accounts[i].conn->stream);
}

static void world_destroy(struct world *world)
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

static int client_socket(int receive_buffer_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    if (receive_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    return fd;
}

static void client_connect(struct world *world, int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};

    if (connect(fd, (struct sockaddr *)&world->address.storage, world->address.size) != 0)
        fail_msg("connect: %s", strerror(errno));
    /* Only now: a connect with a time limit is interrupted for good where one without is restarted. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static int client(struct world *world)
{
    int fd = client_socket(0);
    client_connect(world, fd);
    return fd;
}

static void send_all(int fd, const void *data, size_t size)
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
static size_t receive_all(int fd, void *data, size_t size)
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
static unsigned char *counting(size_t size)
{
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)i;
    return bytes;
}

static bool is_counting(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)i)
            return false;
    return true;
}

static void append_counting(struct stream *stream, size_t size)
{
    unsigned char *bytes = counting(size);
    buffer_append(stream_output(stream), bytes_of(bytes, size));
    free(bytes);
}

static void echo(struct conn *conn, struct bytes bytes)
{
    buffer_append(stream_output(&conn->stream), bytes);
}

static int64_t thread_cpu_us(pthread_t thread)
{
    struct timespec time;
    clockid_t clock_id;
    EXPECT_EQ(pthread_getcpuclockid(thread, &clock_id), 0);
    EXPECT_EQ(clock_gettime(clock_id, &time), 0);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    setrlimit(RLIMIT_NOFILE, &limit);
}

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

/* ---- streams ----------------------------------------------------------------------------------- */

ON_BOTH(many_pipelining_connections_get_every_byte_back_in_order)
{
    enum { COUNT = 150, ROUNDS = 5, SIZE = 10240 };
    struct world *world = world_create(kind);
    unsigned char *bytes = counting(SIZE), *back = malloc(SIZE);
    int fds[COUNT];

    raise_descriptor_limit();
    world->on_received = echo;
    for (int i = 0; i < COUNT; i++)
        fds[i] = client(world);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            for (size_t sent = 0; sent < SIZE; sent += SIZE / 16)
                send_all(fds[i], bytes + sent, SIZE / 16);
        for (int i = 0; i < COUNT; i++) {
            EXPECT_EQ(receive_all(fds[i], back, SIZE), SIZE);
            EXPECT(is_counting(back, SIZE));
        }
    }
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    world_destroy(world);
    free(bytes);
    free(back);
}

static void hold_for_200_ms(struct world *world, void *argument)
{
    (void)world;
    (void)argument;
    sleep_ms(200);
}

ON_BOTH(more_connections_sending_at_once_than_there_are_buffers_are_all_served)
{
    enum { COUNT = 700, SIZE = 9000 };
    struct world *world = world_create(kind);
    unsigned char *bytes = counting(SIZE), *back = malloc(SIZE);
    struct call hold = {.task.run = run_call, .world = world, .function = hold_for_200_ms};
    int *fds = calloc(COUNT, sizeof *fds);

    raise_descriptor_limit();
    world->on_received = echo;
    for (int i = 0; i < COUNT; i++)
        fds[i] = client(world);
    for (int round = 0; round < 3; round++) {
        sem_init(&hold.done, 0, 0);
        loop_post(world->loop, &hold.task); /* meanwhile all of it piles up */
        for (int i = 0; i < COUNT; i++)
            send_all(fds[i], bytes, SIZE);
        for (int i = 0; i < COUNT; i++) {
            EXPECT_EQ(receive_all(fds[i], back, SIZE), SIZE);
            EXPECT(is_counting(back, SIZE));
        }
        sem_wait(&hold.done);
        sem_destroy(&hold.done);
    }
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    world_destroy(world);
    free(fds);
    free(bytes);
    free(back);
}

static void answer_ten_mebibytes(struct conn *conn, struct bytes bytes)
{
    (void)bytes;
    append_counting(&conn->stream, 10 * MEBIBYTE);
    stream_want_drained(&conn->stream);
}

struct output_state {
    size_t queued_bytes;
    uint64_t sent_bytes;
    int64_t progress_ms;
    int drained_count;
    bool holds_buffer;
};

static void look_at_output(struct world *world, void *argument)
{
    struct output_state *state = argument;
    struct stream *stream = &world->accounts[0].conn->stream;
    *state =
        (struct output_state){stream_queued_bytes(stream), stream->sent_bytes, stream->progress_ms,
                              world->accounts[0].drained_count,
                              stream->output != NULL || stream->sending != NULL || stream->stash != NULL};
}

static bool is_drained(struct world *world) { return world->accounts[0].drained_count > 0; }

ON_BOTH(a_large_output_reaches_a_slow_reader_whole_and_the_accounts_are_exact)
{
    struct world *world = world_create_with(kind, true);
    unsigned char *back = malloc(10 * MEBIBYTE);
    struct output_state before, state;
    int fd = client_socket(65536);

    world->on_received = answer_ten_mebibytes;
    client_connect(world, fd);
    send_all(fd, "\0", 1);
    EXPECT_EQ(receive_all(fd, back, 1), 1);
    sleep_ms(50);
    on_loop(world, look_at_output, &before);
    EXPECT(before.queued_bytes > 0); /* the reader stalls: the kernel cannot hold it all */
    EXPECT_EQ(before.queued_bytes + before.sent_bytes, 10 * MEBIBYTE);
    EXPECT_EQ(before.drained_count, 0);
    sleep_ms(50);
    on_loop(world, look_at_output, &state);
    EXPECT_EQ(state.queued_bytes, before.queued_bytes);

    atomic_fetch_add(&world->fake.mono_ms, 5000);
    for (size_t got = 1; got < 10 * MEBIBYTE; got += 256 * 1024) {
        size_t size = 10 * MEBIBYTE - got < 256 * 1024 ? 10 * MEBIBYTE - got : 256 * 1024;
        EXPECT_EQ(receive_all(fd, back + got, size), size);
        on_loop(world, look_at_output, &state);
        EXPECT_EQ(state.queued_bytes + state.sent_bytes, 10 * MEBIBYTE);
        EXPECT(got < 6 * MEBIBYTE || state.progress_ms == before.progress_ms + 5000);
    }
    EXPECT(is_counting(back, 10 * MEBIBYTE));
    EXPECT(comes_true(world, is_drained));
    on_loop(world, look_at_output, &state);
    EXPECT_EQ(state.drained_count, 1);
    EXPECT_EQ(state.queued_bytes, 0);
    EXPECT(!state.holds_buffer);
    close(fd);
    world_destroy(world);
    free(back);
}

static void append_more(struct world *world, void *argument)
{
    size_t *next = argument;
    struct buffer *output = stream_output(&world->accounts[0].conn->stream);
    for (int i = 0; i < 100000; i++)
        buffer_append_byte(output, (char)(*next)++);
}

ON_BOTH(output_appended_while_earlier_output_waits_follows_it_in_order)
{
    enum { PIECES = 80 };
    struct world *world = world_create(kind);
    unsigned char *back = malloc(PIECES * 100000);
    size_t next = 0;
    int fd = client_socket(65536);

    world->on_received = NULL;
    client_connect(world, fd);
    send_all(fd, "\0", 1);
    sleep_ms(20);
    for (int i = 0; i < PIECES; i++)
        on_loop(world, append_more, &next);
    EXPECT_EQ(receive_all(fd, back, PIECES * 100000), PIECES * 100000);
    EXPECT(is_counting(back, PIECES * 100000));
    close(fd);
    world_destroy(world);
    free(back);
}

struct resumption {
    struct timer timer;
    struct conn *conn;
};

static void resume_now(struct timer *timer)
{
    struct resumption *resumption = CONTAINER_OF(timer, struct resumption, timer);
    struct account *account = account_of(resumption->conn);
    size_t before = account->received_bytes;
    stream_resume(&resumption->conn->stream);
    account->in_order &= before == account->received_bytes; /* nothing came from inside resume */
    free(resumption);
}

static void pause_for_a_while(struct conn *conn, struct bytes bytes)
{
    struct resumption *resumption = calloc(1, sizeof *resumption);
    (void)bytes;
    stream_pause(&conn->stream);
    resumption->conn = conn;
    timer_init(&resumption->timer, resume_now);
    timer_set(conn->world->loop, &resumption->timer, loop_now(conn->world->loop).mono_ms + rand() % 3);
}

static bool has_ended(struct world *world)
{
    return world->conn_count > 0 && world->accounts[0].ended_count > 0;
}

ON_BOTH(pausing_and_resuming_loses_no_byte_and_holds_all_back_meanwhile)
{
    enum { SIZE = 600000 };
    struct world *world = world_create(kind);
    unsigned char *bytes = counting(SIZE);
    int fd = client(world);

    srand(3);
    world->on_received = pause_for_a_while;
    for (size_t sent = 0, size; sent < SIZE; sent += size) {
        size = 1 + (size_t)rand() % 20000;
        if (size > SIZE - sent)
            size = SIZE - sent;
        send_all(fd, bytes + sent, size);
    }
    shutdown(fd, SHUT_WR);
    EXPECT(comes_true(world, has_ended));
    EXPECT_EQ(world->accounts[0].received_bytes, SIZE);
    EXPECT(world->accounts[0].in_order);
    EXPECT(!world->accounts[0].received_while_paused);
    EXPECT_EQ(world->accounts[0].ended_count, 1);
    close(fd);
    world_destroy(world);
    free(bytes);
}

static void pause_first(struct world *world, void *argument)
{
    (void)argument;
    stream_pause(&world->accounts[0].conn->stream);
    stream_pause(&world->accounts[0].conn->stream);
}

static void resume_first(struct world *world, void *argument)
{
    (void)argument;
    stream_resume(&world->accounts[0].conn->stream);
    stream_resume(&world->accounts[0].conn->stream);
}

static bool is_accepted(struct world *world) { return world->conn_count > 0; }

ON_BOTH(a_paused_stream_leaves_the_peer_to_the_sockets_own_flow_control)
{
    struct world *world = world_create(kind);
    unsigned char *bytes = counting(256 * 1024);
    size_t sent = 0;
    int fd = client(world);

    EXPECT(comes_true(world, is_accepted));
    on_loop(world, pause_first, NULL);
    for (int stalled = 0; stalled < 20;) { /* until nothing more goes in */
        ssize_t count = send(fd, bytes + sent % 256, 128 * 1024, MSG_NOSIGNAL | MSG_DONTWAIT);
        stalled = count > 0 ? 0 : stalled + 1;
        sent += count > 0 ? (size_t)count : 0;
        EXPECT(sent < 64 * MEBIBYTE);
        if (count <= 0)
            sleep_ms(5);
    }
    EXPECT_EQ(world->accounts[0].received_bytes, 0);
    on_loop(world, resume_first, NULL);
    shutdown(fd, SHUT_WR);
    EXPECT(comes_true(world, has_ended));
    EXPECT_EQ(world->accounts[0].received_bytes, sent);
    EXPECT(world->accounts[0].in_order);
    close(fd);
    world_destroy(world);
    free(bytes);
}

static void answer_first_and_close(struct world *world, void *argument)
{
    (void)argument;
    buffer_append_literal(stream_output(&world->accounts[0].conn->stream), "goodbye");
    stream_close(&world->accounts[0].conn->stream);
    buffer_append_literal(stream_output(&world->accounts[0].conn->stream), "not sent any more");
}

ON_BOTH(a_peer_that_has_ended_can_still_be_answered)
{
    struct world *world = world_create(kind);
    char back[100];
    int fd = client(world);

    send_all(fd, "\0\1\2", 3);
    shutdown(fd, SHUT_WR);
    EXPECT(comes_true(world, has_ended));
    EXPECT_EQ(world->accounts[0].received_bytes, 3);
    on_loop(world, answer_first_and_close, NULL);
    EXPECT_TEXT(bytes_of(back, receive_all(fd, back, sizeof back)), BYTES("goodbye"));
    EXPECT(comes_true(world, all_closed)); /* with no lingering: there is nothing to wait for */
    EXPECT_EQ(world->accounts[0].why, OK);
    EXPECT_EQ(world->accounts[0].ended_count, 1);
    close(fd);
    world_destroy(world);
}

static bool first_is_closed(struct world *world) { return world->conn_count > 0 && all_closed(world); }

static bool has_received(struct world *world) { return world->accounts[0].received_bytes > 0; }

static void reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

ON_BOTH(a_reset_closes_the_stream_with_what_broke_it)
{
    struct world *world = world_create(kind);
    int fd = client(world);

    send_all(fd, "\0", 1);
    EXPECT(comes_true(world, has_received));
    reset(fd);
    EXPECT(comes_true(world, first_is_closed));
    EXPECT_EQ(world->accounts[0].why, ERR_CLOSED);
    world_destroy(world);
}

static void answer_first(struct world *world, void *argument)
{
    (void)argument;
    if (world->accounts[0].conn != NULL)
        append_counting(&world->accounts[0].conn->stream, 1000);
}

ON_BOTH(output_to_a_peer_that_is_gone_closes_the_stream)
{
    struct world *world = world_create(kind);
    int fd = client(world);

    EXPECT(comes_true(world, is_accepted));
    on_loop(world, pause_first, NULL); /* so that only the sending can notice */
    close(fd);
    for (int i = 0; i < 3; i++) {
        on_loop(world, answer_first, NULL);
        sleep_ms(10);
    }
    EXPECT(comes_true(world, first_is_closed));
    EXPECT_EQ(world->accounts[0].why, ERR_CLOSED);
    world_destroy(world);
}

static void last_words(struct conn *conn, struct bytes bytes)
{
    (void)bytes;
    append_counting(&conn->stream, MEBIBYTE);
    stream_close(&conn->stream);
    stream_close(&conn->stream);
}

ON_BOTH(closing_delivers_the_last_words_to_a_peer_that_is_still_sending)
{
    struct world *world = world_create(kind);
    unsigned char *bytes = counting(MEBIBYTE), *back = malloc(MEBIBYTE + 1);
    int fd = client(world);

    world->on_received = last_words;
    for (int i = 0; i < 10; i++) {
        send_all(fd, bytes, 10000);
        sleep_ms(2);
    }
    EXPECT_EQ(receive_all(fd, back, MEBIBYTE + 1), MEBIBYTE);
    EXPECT(is_counting(back, MEBIBYTE));
    send_all(fd, bytes, 10000); /* a lingering stream takes it */
    close(fd);
    EXPECT(comes_true(world, first_is_closed));
    EXPECT_EQ(world->accounts[0].why, OK);
    EXPECT_EQ(world->accounts[0].ended_count, 0);
    EXPECT_EQ(world->accounts[0].received_count, 1); /* nothing of what came to the lingering stream */
    world_destroy(world);
    free(bytes);
    free(back);
}

static bool first_is_lingering(struct world *world)
{
    return world->accounts[0].conn != NULL && world->accounts[0].conn->stream.lingering;
}

static void do_nothing(struct world *world, void *argument)
{
    (void)world;
    (void)argument;
}

ON_BOTH(lingering_ends_after_two_seconds)
{
    struct world *world = world_create_with(kind, true);
    unsigned char back[10];
    int fd = client(world);

    EXPECT(comes_true(world, is_accepted));
    on_loop(world, answer_first_and_close, NULL);
    EXPECT_EQ(receive_all(fd, back, sizeof back), 7);
    EXPECT(comes_true(world, first_is_lingering));
    atomic_fetch_add(&world->fake.mono_ms, 1900);
    on_loop(world, do_nothing, NULL);
    sleep_ms(30);
    EXPECT(comes_true(world, first_is_lingering));
    atomic_fetch_add(&world->fake.mono_ms, 120);
    EXPECT(comes_true(world, first_is_closed));
    EXPECT_EQ(world->accounts[0].why, OK);
    close(fd);
    world_destroy(world);
}

ON_BOTH(lingering_ends_when_too_much_is_sent)
{
    struct world *world = world_create_with(kind, true);
    unsigned char *bytes = counting(65536);
    int fd = client(world);

    EXPECT(comes_true(world, is_accepted));
    on_loop(world, pause_first, NULL); /* paused or not, the rest is read and dropped */
    on_loop(world, answer_first_and_close, NULL);
    for (int i = 0; i < 1000; i++)
        if (send(fd, bytes, 65536, MSG_NOSIGNAL) < 0 && errno != EINTR)
            break;
    EXPECT(errno == EPIPE || errno == ECONNRESET);
    EXPECT(comes_true(world, first_is_closed));
    EXPECT_EQ(world->accounts[0].why, OK);
    EXPECT_EQ(world->accounts[0].received_bytes, 0);
    close(fd);
    world_destroy(world);
    free(bytes);
}

static void abort_first(struct world *world, void *argument)
{
    (void)argument;
    stream_abort(&world->accounts[0].conn->stream);
    stream_abort(&world->accounts[0].conn->stream);
    stream_resume(&world->accounts[0].conn->stream);
    buffer_append_literal(stream_output(&world->accounts[0].conn->stream), "not sent any more");
}

ON_BOTH(aborting_works_while_output_waits_for_a_peer_that_never_reads)
{
    static void (*const befores[])(struct world *, void *) = {do_nothing, pause_first,
                                                              answer_first_and_close};
    for (size_t i = 0; i < COUNT_OF(befores); i++) {
        struct world *world = world_create(kind);
        struct output_state state;
        int fd = client_socket(65536);

        world->on_received = answer_ten_mebibytes;
        client_connect(world, fd);
        send_all(fd, "\0", 1);
        EXPECT(comes_true(world, has_received));
        sleep_ms(30);
        on_loop(world, look_at_output, &state);
        EXPECT(state.queued_bytes > 0);
        on_loop(world, befores[i], NULL);
        on_loop(world, abort_first, NULL);
        EXPECT(comes_true(world, first_is_closed));
        EXPECT_EQ(world->accounts[0].why, ERR_CANCELLED);
        EXPECT_EQ(world->accounts[0].drained_count, 0);
        close(fd);
        world_destroy(world);
    }
}

static void answer_and_abort(struct conn *conn, struct bytes bytes)
{
    buffer_append(stream_output(&conn->stream), bytes);
    stream_abort(&conn->stream);
}

ON_BOTH(aborting_inside_received_drops_the_output)
{
    struct world *world = world_create(kind);
    char back[10];
    int fd = client(world);

    world->on_received = answer_and_abort;
    send_all(fd, "\0", 1);
    EXPECT(comes_true(world, first_is_closed));
    EXPECT(recv(fd, back, sizeof back, 0) <= 0);
    close(fd);
    world_destroy(world);
}

static void want_drained(struct world *world, void *argument)
{
    (void)argument;
    stream_want_drained(&world->accounts[0].conn->stream);
}

ON_BOTH(drained_is_called_also_when_nothing_was_queued)
{
    struct world *world = world_create(kind);
    int fd = client(world);

    EXPECT(comes_true(world, is_accepted));
    on_loop(world, want_drained, NULL);
    EXPECT(comes_true(world, is_drained));
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(world->accounts[0].drained_count, 1);
    close(fd);
    world_destroy(world);
}

static void answer_and_want_drained(struct conn *conn, struct bytes bytes)
{
    echo(conn, bytes);
    stream_want_drained(&conn->stream);
}

ON_BOTH(drained_follows_a_short_answer_without_another_event)
{
    struct world *world = world_create(kind);
    char back[1];
    int fd = client(world);

    world->on_received = answer_and_want_drained;
    send_all(fd, "\0", 1);
    EXPECT_EQ(receive_all(fd, back, 1), 1);
    sleep_ms(100); /* without asking, which would wake the loop */
    EXPECT_EQ(world->accounts[0].drained_count, 1);
    close(fd);
    world_destroy(world);
}

static void answer_and_close(struct conn *conn, struct bytes bytes)
{
    echo(conn, bytes);
    stream_close(&conn->stream);
}

ON_BOTH(a_closing_stream_says_so_without_another_event)
{
    struct world *world = world_create(kind);
    char back[2];
    int fd = client(world);

    world->on_received = answer_and_close;
    send_all(fd, "\0", 1);
    EXPECT_EQ(receive_all(fd, back, 2), 1); /* and then the end */
    close(fd);
    world_destroy(world);
}

static void look_for_buffers(struct world *world, void *argument)
{
    int *held_count = argument;
    for (int i = 0; i < world->conn_count; i++) {
        struct stream *stream = &world->accounts[i].conn->stream;
        *held_count += stream->output != NULL || stream->sending != NULL || stream->stash != NULL;
    }
}

ON_BOTH(an_idle_loop_takes_no_time_and_its_streams_hold_no_buffers)
{
    enum { COUNT = 20 };
    struct world *world = world_create(kind);
    int64_t before_us, used_us;
    int fds[COUNT], held_count = 0;
    char back[3];

    world->on_received = echo;
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client(world);
        send_all(fds[i], "\0\1\2", 3);
        EXPECT_EQ(receive_all(fds[i], back, 3), 3);
    }
    on_loop(world, look_for_buffers, &held_count);
    EXPECT_EQ(held_count, 0);
    sleep_ms(20);
    before_us = thread_cpu_us(world->thread);
    sleep_ms(500);
    used_us = thread_cpu_us(world->thread) - before_us;
    EXPECT(used_us < 5000);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    world_destroy(world);
}

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
          ROWS(many_pipelining_connections_get_every_byte_back_in_order),
          ROWS(more_connections_sending_at_once_than_there_are_buffers_are_all_served),
          ROWS(a_large_output_reaches_a_slow_reader_whole_and_the_accounts_are_exact),
          ROWS(output_appended_while_earlier_output_waits_follows_it_in_order),
          ROWS(pausing_and_resuming_loses_no_byte_and_holds_all_back_meanwhile),
          ROWS(a_paused_stream_leaves_the_peer_to_the_sockets_own_flow_control),
          ROWS(a_peer_that_has_ended_can_still_be_answered),
          ROWS(a_reset_closes_the_stream_with_what_broke_it),
          ROWS(output_to_a_peer_that_is_gone_closes_the_stream),
          ROWS(closing_delivers_the_last_words_to_a_peer_that_is_still_sending),
          ROWS(lingering_ends_after_two_seconds), ROWS(lingering_ends_when_too_much_is_sent),
          ROWS(aborting_works_while_output_waits_for_a_peer_that_never_reads),
          ROWS(aborting_inside_received_drops_the_output),
          ROWS(drained_is_called_also_when_nothing_was_queued),
          ROWS(drained_follows_a_short_answer_without_another_event),
          ROWS(a_closing_stream_says_so_without_another_event),
          ROWS(an_idle_loop_takes_no_time_and_its_streams_hold_no_buffers),
          ROWS(a_fake_clock_that_is_moved_and_a_posted_task_have_due_timers_fire_in_order),
          ROWS(a_timer_wakes_the_loop_by_itself),
          ROWS(tasks_of_several_threads_all_run_those_of_one_in_its_order),
          ROWS(a_loop_can_be_stopped_and_run_again),
          ROWS(without_descriptors_accepting_pauses_without_spinning_and_goes_on_later),
          ROWS(a_stopped_listener_accepts_nothing_and_its_socket_can_be_closed),
          ROWS(a_destroyed_loop_holds_on_to_no_socket),
          ROWS(a_watch_tells_of_readiness_for_as_long_as_it_lasts))
