/* links: nuthatch-net */
#include "base/compiler.h"
#include "net/lent.h"
#include "net/loop.h"
#include "test.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What is lent is made unreadable at its release: a byte that is sent after that is seen. */

enum { PIECES = 3, SPOILT = 0xee };

struct note {
    struct loan loan;
    char *data;
    atomic_int *released_count;
};

static struct bytes note_piece(const struct loan *loan, uint64_t offset)
{
    const struct note *note = CONTAINER_OF(loan, struct note, loan);
    uint64_t piece_bytes = loan->size / PIECES + 1, end = (offset / piece_bytes + 1) * piece_bytes;

    return bytes_of(note->data + offset, (end < loan->size ? end : loan->size) - offset);
}

static void note_release(struct loan *loan)
{
    struct note *note = CONTAINER_OF(loan, struct note, loan);

    memset(note->data, SPOILT, loan->size);
    atomic_fetch_add(note->released_count, 1);
    free(note->data);
    free(note);
}

static struct loan *note_create(size_t size, char first, atomic_int *released_count)
{
    struct note *note = malloc(sizeof *note);

    *note = (struct note){{size, note_piece, note_release}, malloc(size), released_count};
    for (size_t i = 0; i < size; i++)
        note->data[i] = (char)(first + (char)(i % 100));
    return &note->loan;
}

/* ---- the bookkeeping ----------------------------------------------------------------------------- */

static void append_note(struct buffer *flat, const struct loan *loan)
{
    for (uint64_t at = 0; at < loan->size;) {
        struct bytes piece = loan->piece(loan, at);
        buffer_append(flat, piece);
        at += piece.size;
    }
}

TEST(what_lies_between_the_bytes_of_a_buffer_is_found_from_any_offset)
{
    atomic_int released_count = 0;
    struct buffer buffer = {0}, flat = {0};
    struct lent *lent = lent_create();

    srand(1);
    for (int i = 0; i < 40; i++) {
        struct loan *loan = note_create((size_t)(rand() % 9 + 1), 'a', &released_count);
        for (int j = rand() % 4; j > 0; j--) { /* sometimes nothing lies between two loans */
            buffer_append_byte(&buffer, (char)('0' + j));
            buffer_append_byte(&flat, (char)('0' + j));
        }
        EXPECT(lent_append(lent, &buffer, loan));
        append_note(&flat, loan);
    }
    buffer_append_literal(&buffer, "end");
    buffer_append_literal(&flat, "end");
    EXPECT_EQ(buffer.size + lent->bytes, flat.size);
    for (size_t offset = 0; offset < flat.size; offset++) {
        struct buffer copy = {0};
        size_t gathered, at = offset;

        lent_sent(lent, offset);
        lent_copy(lent, &buffer, offset, &copy);
        EXPECT_TEXT(buffer_bytes(&copy), bytes_after(buffer_bytes(&flat), offset));
        gathered = lent_gather(lent, &buffer, offset);
        EXPECT(gathered > 0);
        for (size_t i = 0; i < lent->message.msg_iovlen; i++) {
            struct bytes run = bytes_of(lent->runs[i].iov_base, lent->runs[i].iov_len);
            EXPECT(run.size > 0);
            EXPECT_TEXT(run, bytes_first(bytes_after(buffer_bytes(&flat), at), run.size));
            at += run.size;
        }
        EXPECT_EQ(at, offset + gathered);
        EXPECT(at == flat.size || lent->message.msg_iovlen == LENT_RUNS_MAX);
        buffer_fini(&copy);
    }
    lent_sent(lent, flat.size);
    EXPECT_EQ(released_count, 40);
    lent_destroy(lent);
    EXPECT_EQ(released_count, 40);
    buffer_fini(&buffer);
    buffer_fini(&flat);
}

/* ---- on the loops ------------------------------------------------------------------------------- */

struct world {
    struct loop *loop;
    struct clock clock;
    atomic_llong mono_ms;
    pthread_t thread;
    struct stream stream;
    int client_fd;
    size_t loan_bytes;
    int loan_count;
    atomic_int released_count, closed_count;
};

static struct now read_fake(void *context)
{
    return (struct now){.mono_ms = atomic_load(&((struct world *)context)->mono_ms)};
}

static void received(struct stream *stream, struct bytes bytes)
{
    (void)stream;
    (void)bytes;
}

static void nothing(struct stream *stream) { (void)stream; }

static void closed(struct stream *stream, enum err why)
{
    (void)why;
    atomic_fetch_add(&CONTAINER_OF(stream, struct world, stream)->closed_count, 1);
}

static const struct stream_callbacks callbacks = {received, nothing, nothing, closed};

static void *run(void *loop)
{
    loop_run(loop);
    return NULL;
}

/* A call that is made on the loop's thread. */
struct call {
    struct task task;
    struct world *world;
    void (*function)(struct world *world);
    sem_t done;
};

static void run_call(struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    call->function(call->world);
    sem_post(&call->done);
}

static void on_loop(struct world *world, void (*function)(struct world *world))
{
    struct call call = {.task.run = run_call, .world = world, .function = function};

    sem_init(&call.done, 0, 0);
    loop_post(world->loop, &call.task);
    while (sem_wait(&call.done) != 0)
        continue;
    sem_destroy(&call.done);
}

/* False if there is no such loop here. */
static bool world_begin(struct world *world, enum loop_kind kind)
{
    struct timeval patience = {.tv_sec = 30};
    int fds[2];

    *world = (struct world){.clock = {read_fake, world}, .mono_ms = 1000000};
    if (loop_create(&(struct loop_options){.kind = kind, .clock = &world->clock}, &world->loop) != OK) {
        print_message("skipped: this kernel refuses io_uring\n");
        return false;
    }
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    world->client_fd = fds[0];
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    stream_open(world->loop, &world->stream, fds[1], &callbacks);
    EXPECT_EQ(pthread_create(&world->thread, NULL, run, world->loop), 0);
    return true;
}

static void abort_stream(struct world *world)
{
    if (world->closed_count == 0)
        stream_abort(&world->stream);
}

static void wait_for(atomic_int *count, int wanted)
{
    for (int waited_ms = 0; atomic_load(count) < wanted && waited_ms < 30000; waited_ms += 2)
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    EXPECT_EQ(atomic_load(count), wanted);
}

static void world_end(struct world *world)
{
    on_loop(world, abort_stream);
    wait_for(&world->closed_count, 1);
    loop_stop(world->loop);
    pthread_join(world->thread, NULL);
    loop_destroy(world->loop);
    close(world->client_fd);
    EXPECT_EQ(world->released_count, world->loan_count);
}

static char first_of(int i) { return (char)('a' + i % 20); }

static void lend_all(struct world *world)
{
    for (int i = 0; i < world->loan_count; i++) {
        buffer_append_format(stream_output(&world->stream), "<%d", i % 10);
        stream_lend(&world->stream, note_create(world->loan_bytes, first_of(i), &world->released_count));
        buffer_append_byte(stream_output(&world->stream), '>');
    }
}

static void lend_all_and_close(struct world *world)
{
    lend_all(world);
    stream_close(&world->stream);
}

static void receive(int fd, char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = recv(fd, data, size, 0);
        if (count < 0 && errno == EINTR) /* taking a ring down on this thread may do that */
            continue;
        if (count <= 0)
            fail_msg("recv: %s", count < 0 ? strerror(errno) : "the end");
        data += count;
        size -= (size_t)count;
    }
}

static void receive_all(struct world *world)
{
    size_t size = world->loan_bytes + 3;
    char *got = malloc(size);

    for (int i = 0; i < world->loan_count; i++) {
        receive(world->client_fd, got, size);
        EXPECT(got[0] == '<' && got[1] == '0' + i % 10 && got[size - 1] == '>');
        for (size_t j = 0; j < world->loan_bytes; j++)
            if (got[j + 2] != (char)(first_of(i) + (char)(j % 100)))
                fail_msg("byte %zu of loan %d is wrong", j, i);
    }
    free(got);
}

static void do_nothing(struct world *world) { (void)world; }

static void advance(struct world *world, int64_t ms)
{
    atomic_fetch_add(&world->mono_ms, ms);
    for (int i = 0; i < 5; i++) /* a few turns, for what one puts off to the next */
        on_loop(world, do_nothing);
}

static const enum loop_kind kinds[] = {LOOP_URING, LOOP_EPOLL};

TEST(many_loans_of_every_size_arrive_whole_and_are_released)
{
    static const struct {
        size_t bytes;
        int count;
    } cases[] = {{1, 1}, {1, 500}, {3, 33}, {70000, 1}, {70000, 40}, {3000000, 3}};

    for (size_t i = 0; i < COUNT_OF(cases) * COUNT_OF(kinds); i++) {
        struct world world;
        if (!world_begin(&world, kinds[i % COUNT_OF(kinds)]))
            continue;
        world.loan_bytes = cases[i / COUNT_OF(kinds)].bytes;
        world.loan_count = cases[i / COUNT_OF(kinds)].count;
        on_loop(&world, lend_all);
        receive_all(&world);
        wait_for(&world.released_count, world.loan_count); /* while the stream is open */
        world_end(&world);
    }
}

TEST(a_closing_stream_still_sends_what_was_lent)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct world world;
        char byte;
        if (!world_begin(&world, kinds[i]))
            continue;
        world.loan_bytes = 100000;
        world.loan_count = 20;
        on_loop(&world, lend_all_and_close);
        receive_all(&world);
        EXPECT_EQ(recv(world.client_fd, &byte, 1, 0), 0);
        world_end(&world);
    }
}

TEST(an_aborted_stream_releases_what_was_lent)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct world world;
        if (!world_begin(&world, kinds[i]))
            continue;
        world.loan_bytes = 3000000;
        world.loan_count = 3;
        on_loop(&world, lend_all);
        advance(&world, 0);
        EXPECT(world.released_count < 3); /* nobody reads */
        world_end(&world);
    }
}

/* What is queued behind what waits is lent as well. */
TEST(a_reader_that_is_slow_for_a_second_gets_copies_and_the_loans_are_released)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct world world;
        if (!world_begin(&world, kinds[i]))
            continue;
        world.loan_bytes = 3000000;
        world.loan_count = 2;
        on_loop(&world, lend_all);
        advance(&world, LOAN_MS / 2);
        on_loop(&world, lend_all);
        advance(&world, LOAN_MS / 4);
        EXPECT(world.released_count < 2); /* at least the last of the first and both of the second */
        advance(&world, LOAN_MS / 4 + 50);
        wait_for(&world.released_count, 4);
        receive_all(&world);
        receive_all(&world);
        world.loan_count = 4;
        world_end(&world);
    }
}

RUN_TESTS(TEST_ROW(what_lies_between_the_bytes_of_a_buffer_is_found_from_any_offset),
          TEST_ROW(many_loans_of_every_size_arrive_whole_and_are_released),
          TEST_ROW(a_closing_stream_still_sends_what_was_lent),
          TEST_ROW(an_aborted_stream_releases_what_was_lent),
          TEST_ROW(a_reader_that_is_slow_for_a_second_gets_copies_and_the_loans_are_released))
