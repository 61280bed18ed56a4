/* links: nuthatch-client nuthatch-net nuthatch-message nuthatch-base
 *
 * Calls to an origin that are held back, that share connections and that end before their time. */
#include "origin_world.h"

/* ---- back-pressure ----------------------------------------------------------------------------- */

TEST(a_held_response_stays_with_the_origin_and_comes_whole_after_all)
{
    struct fixture f;
    struct call *call;
    int64_t sent_bytes;

    fixture_with(&f, state);
    call = new_call(&f);
    call->drops_body = call->pauses_in_head = true;
    start(call, "GET", "/large", HTTP_BODY_NONE);
    pass_time(&f, 300);
    EXPECT_EQ(call->head_count, 1);
    EXPECT_EQ(call->received_bytes, 0);
    f.pending_count = 0; /* only the next call is waited for */
    {
        struct call *progress = get(&f, "/large-progress");
        buffer_append_byte(&progress->body, '\0');
        sent_bytes = strtoll(progress->body.data, NULL, 10);
    }
    EXPECT(sent_bytes > 0 && sent_bytes < 12 * 1024 * 1024); /* of 50 MiB: what the kernel holds */
    f.pending_count = 1;
    resume(&call->timer);
    run(&f);
    EXPECT_EQ(call->err, OK);
    EXPECT_EQ(call->received_bytes, 50 * 1024 * 1024);
    EXPECT(!call->pattern_broken);
    fixture_fini(&f);
}

TEST(a_response_held_after_each_piece_comes_whole_and_in_order)
{
    static const char *const paths[] = {"/large?2000000", "/large-chunked?2000000"};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct call *call = new_call(&f);
        call->drops_body = true;
        call->pause_every_piece_ms = 1; /* the loop's timers make it a few milliseconds */
        start(call, "GET", paths[i], HTTP_BODY_NONE);
        run(&f);
        EXPECT_EQ(call->err, OK);
        EXPECT_EQ(call->received_bytes, 2000000);
        EXPECT(!call->pattern_broken);
        EXPECT(!call->got_body_while_paused);
    }
    fixture_fini(&f);
}

TEST(a_response_may_be_held_and_let_go_from_outside_again_and_again)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = new_call(&f);
    call->drops_body = true;
    start(call, "GET", "/large", HTTP_BODY_NONE);
    for (int i = 0; i < 20 && call->handle != NULL; i++) {
        pass_time(&f, 2);
        if (call->handle == NULL)
            break;
        origin_pause(call->handle);
        call->is_paused = true;
        if (i % 3 == 0) { /* at once: nothing has changed */
            resume(&call->timer);
            origin_pause(call->handle);
            call->is_paused = true;
        }
        pass_time(&f, 2);
        resume(&call->timer);
    }
    run(&f);
    EXPECT_EQ(call->err, OK);
    EXPECT_EQ(call->received_bytes, 50 * 1024 * 1024);
    EXPECT(!call->pattern_broken);
    EXPECT(!call->got_body_while_paused);
    fixture_fini(&f);
}

TEST(a_small_response_held_in_its_head_comes_after_resume)
{
    static const char *const paths[] = {"/plain", "/drip"};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct call *call = new_call(&f);
        call->pauses_in_head = true;
        start(call, "GET", paths[i], HTTP_BODY_NONE);
        pass_time(&f, 150);
        EXPECT_EQ(call->received_bytes, 0);
        EXPECT_EQ(call->done_count, 0);
        resume(&call->timer);
        run(&f);
        expect_response(call, 200, i == 0 ? "hello" : "abcde");
    }
    fixture_fini(&f);
}

/* ---- connections ------------------------------------------------------------------------------- */

TEST(calls_one_after_another_share_a_connection)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int i = 0; i < 10; i++)
        expect_response(get(&f, "/plain"), 200, "hello");
    EXPECT_EQ(number_of(&f, "accepted"), 1);
    fixture_fini(&f);
}

TEST(fifty_calls_over_four_connections_all_end)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int i = 0; i < 50; i++)
        start(new_call(&f), "GET", "/busy", HTTP_BODY_NONE);
    EXPECT_EQ(origin_call_count(f.origin), 50);
    run(&f);
    for (int i = 0; i < 50; i++)
        expect_response(&f.calls[i], 200, "held");
    EXPECT_EQ(number_of(&f, "busy_peak"), 4);
    EXPECT_EQ(number_of(&f, "accepted"), 4);
    fixture_fini(&f);
}

TEST(idle_connections_make_room_for_another_server)
{
    struct fixture f;
    struct server other;
    struct call *call;
    int port;

    fixture_init(&f, state, 1, 5000, 5000, 0);
    other = server_start(NULL);
    expect_response(get(&f, "/plain"), 200, "hello");
    port = f.server.port;
    f.server.port = other.port;
    call = get(&f, "/plain");
    expect_response(call, 200, "hello");
    EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("X-Connection: 1\n"));
    f.server.port = port;
    EXPECT_EQ(number_of(&f, "accepted"), 2);
    server_stop(&other);
    fixture_fini(&f);
}

TEST(a_kept_connection_that_dies_is_replaced_only_for_what_may_be_sent_twice)
{
    static const struct {
        const char *method;
        enum err err;
    } cases[] = {{"GET", OK},
                 {"HEAD", OK},
                 {"PUT", OK},
                 {"DELETE", OK},
                 {"POST", ERR_TRUNCATED},
                 {"PATCH", ERR_TRUNCATED},
                 {"PURGE", ERR_TRUNCATED}};
    struct fixture f;
    int run_count = 0;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call;
        expect_response(get(&f, "/dies"), 200, "dying");
        call = new_call(&f);
        start(call, cases[i].method, "/count", HTTP_BODY_NONE);
        run(&f);
        EXPECT_EQ(call->err, cases[i].err);
        EXPECT_EQ(call->done_count, 1);
        run_count += cases[i].err == OK;
        EXPECT_EQ(number_of(&f, "runs"), run_count);
    }
    fixture_fini(&f);
}

TEST(a_body_is_never_sent_twice)
{
    static const struct bytes pieces[] = {BYTES_INIT("body")};
    static const char *const methods[] = {"PUT", "POST"};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(methods) * 2; i++) {
        struct call *call;
        expect_response(get(&f, "/dies"), 200, "dying");
        call = new_call(&f);
        call->pieces = pieces;
        call->piece_count = 1;
        start(call, methods[i / 2], "/count", i % 2 ? HTTP_BODY_UNKNOWN : 4);
        run(&f);
        EXPECT_EQ(call->err, ERR_TRUNCATED);
        EXPECT(call->want_count <= 2); /* the piece and the end: nothing anew */
        EXPECT_EQ(number_of(&f, "runs"), 0);
    }
    fixture_fini(&f);
}

TEST(calls_may_be_started_in_every_callback)
{
    static const struct bytes pieces[] = {BYTES_INIT("piece")};
    struct fixture f;
    struct call *call;

    fixture_init(&f, state, 1, 5000, 5000, 0); /* one place: each waits for the one before */
    call = new_call(&f);
    call->starts_others = true;
    call->pieces = pieces;
    call->piece_count = 1;
    start(call, "POST", "/plain", 5);
    run(&f);
    EXPECT_EQ(f.call_count, 5);
    for (size_t i = 0; i < f.call_count; i++)
        expect_response(&f.calls[i], 200, "hello");
    fixture_fini(&f);
}

/* ---- giving up --------------------------------------------------------------------------------- */

TEST(a_call_may_be_cancelled_in_every_callback_of_its_own_and_of_another)
{
    static const struct bytes pieces[] = {BYTES_INIT("piece")};
    struct fixture f;

    fixture_with(&f, state);
    for (int i = 0; i < 6; i++) {
        struct call *canceller = new_call(&f), *other = new_call(&f);
        canceller->cancels_in_head = i % 3 == 0;
        canceller->cancels_in_body = i % 3 == 1;
        canceller->cancels_in_want = i % 3 == 2;
        canceller->victim = i >= 3 ? other : NULL;
        canceller->pieces = pieces;
        canceller->piece_count = 1;
        start(other, "GET", i % 2 ? "/stall" : "/large", HTTP_BODY_NONE);
        other->drops_body = other->pauses_in_head = true;
        pass_time(&f, 30);
        start(canceller, "POST", "/echo", 5);
        if (i < 3) {
            f.pending_count--; /* the other one goes on for ever */
            run(&f);
            EXPECT_EQ(canceller->done_count, 0);
            f.pending_count++;
            canceller->victim = other;
            cancel_victim(canceller);
        } else {
            run(&f);
            EXPECT_EQ(canceller->done_count, 1);
            EXPECT_EQ(canceller->err, OK);
        }
        EXPECT_EQ(other->done_count, 0);
    }
    expect_response(get(&f, "/plain"), 200, "hello");
    fixture_fini(&f);
}

TEST(a_call_may_be_cancelled_before_it_begins_and_while_it_waits_for_the_origin)
{
    struct fixture f;

    fixture_init(&f, state, 1, 5000, 5000, 0);
    for (int i = 0; i < 4; i++)
        start(new_call(&f), "GET", "/silence", HTTP_BODY_NONE);
    cancel_victim(&f.calls[0]);
    pass_time(&f, 50);
    cancel_victim(&f.calls[3]); /* waits for a place */
    cancel_victim(&f.calls[1]); /* waits for an answer */
    pass_time(&f, 50);
    cancel_victim(&f.calls[2]);
    EXPECT_EQ(origin_call_count(f.origin), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(f.calls[i].done_count, 0);
    expect_response(get(&f, "/plain"), 200, "hello");
    fixture_fini(&f);
}

TEST(an_origin_may_be_destroyed_right_after_its_calls_were_cancelled)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int i = 0; i < 8; i++)
        start(new_call(&f), "GET", i % 2 ? "/silence" : "/stall", HTTP_BODY_NONE);
    pass_time(&f, 50);
    start(new_call(&f), "GET", "/plain", HTTP_BODY_NONE);
    for (int i = 0; i < 9; i++)
        cancel_victim(&f.calls[i]);
    fixture_fini(&f);
}

/* Cancels, holds or lets go, as the dice say; then does it again a little later. */
static void meddle(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    struct fixture *f = call->fixture;

    if (call->handle == NULL)
        return;
    switch (rand_r(&f->dice) % 4) {
    case 0: cancel_victim(call); return;
    case 1:
        origin_pause(call->handle);
        call->is_paused = true;
        break;
    default: resume(timer); break;
    }
    timer_set(f->loop, timer, loop_now(f->loop).mono_ms + rand_r(&f->dice) % 20);
}

TEST(calls_held_let_go_and_cancelled_at_random_all_end_and_spoil_nothing_for_the_next)
{
    static const char *const paths[] = {
        "/plain", "/large?300000", "/large-chunked?200000", "/busy", "/stall", "/drip", "/close"};
    struct fixture f;

    fixture_with(&f, state);
    f.dice = 1;
    for (size_t i = 0; i < CALLS_MAX - 4; i++) {
        struct call *call = new_call(&f);
        call->drops_body = true;
        start(call, "GET", paths[i % COUNT_OF(paths)], HTTP_BODY_NONE);
        timer_init(&call->timer, meddle);
        timer_set(f.loop, &call->timer, clock_read(&clock_system).mono_ms + rand_r(&f.dice) % 50);
    }
    run(&f);
    for (size_t i = 0; i < f.call_count; i++) {
        EXPECT(!f.calls[i].got_body_while_paused);
        EXPECT(f.calls[i].done_count == 0 || f.calls[i].err == OK ||
               strcmp(paths[i % COUNT_OF(paths)], "/close") == 0);
    }
    expect_response(get(&f, "/plain"), 200, "hello");
    fixture_fini(&f);
}

RUN_TESTS(ON_BOTH(a_held_response_stays_with_the_origin_and_comes_whole_after_all),
          ON_BOTH(a_response_held_after_each_piece_comes_whole_and_in_order),
          ON_BOTH(a_response_may_be_held_and_let_go_from_outside_again_and_again),
          ON_BOTH(a_small_response_held_in_its_head_comes_after_resume),
          ON_BOTH(calls_one_after_another_share_a_connection),
          ON_BOTH(fifty_calls_over_four_connections_all_end),
          ON_BOTH(idle_connections_make_room_for_another_server),
          ON_BOTH(a_kept_connection_that_dies_is_replaced_only_for_what_may_be_sent_twice),
          ON_BOTH(a_body_is_never_sent_twice), ON_BOTH(calls_may_be_started_in_every_callback),
          ON_BOTH(a_call_may_be_cancelled_in_every_callback_of_its_own_and_of_another),
          ON_BOTH(a_call_may_be_cancelled_before_it_begins_and_while_it_waits_for_the_origin),
          ON_BOTH(an_origin_may_be_destroyed_right_after_its_calls_were_cancelled),
          ON_BOTH(calls_held_let_go_and_cancelled_at_random_all_end_and_spoil_nothing_for_the_next))
