/* links: nuthatch-net
 *
 * Streams, over both back ends: input, output, closing. */
#include "loop_world.h"

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

static void look_at_waiting(struct world *world, void *argument)
{
    *(int64_t *)argument = stream_waited_ms(&world->accounts[0].conn->stream);
}

ON_BOTH(output_that_is_taken_at_once_has_not_waited_however_long_the_loop_sleeps_then)
{
    struct world *world = world_create_with(kind, true);
    int fd = client(world);
    int64_t waited_ms;
    char back[4];

    world->on_received = echo;
    for (int i = 0; i < 3; i++) {
        send_all(fd, "abc", 4);
        EXPECT_EQ(receive_all(fd, back, 4), 4);
        sleep_ms(20); /* the loop sleeps by now */
        atomic_fetch_add(&world->fake.mono_ms, 5000);
    }
    on_loop(world, look_at_waiting, &waited_ms);
    EXPECT_EQ(waited_ms, 0);
    close(fd);
    world_destroy(world);
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

RUN_TESTS(ROWS(many_pipelining_connections_get_every_byte_back_in_order),
          ROWS(more_connections_sending_at_once_than_there_are_buffers_are_all_served),
          ROWS(a_large_output_reaches_a_slow_reader_whole_and_the_accounts_are_exact),
          ROWS(output_that_is_taken_at_once_has_not_waited_however_long_the_loop_sleeps_then),
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
          ROWS(an_idle_loop_takes_no_time_and_its_streams_hold_no_buffers))
