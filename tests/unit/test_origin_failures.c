/* links: nuthatch-client nuthatch-net nuthatch-message nuthatch-base
 *
 * Calls to an origin that fails, is late or is not there. */
#include "origin_world.h"

/* ---- failures ---------------------------------------------------------------------------------- */

TEST(a_server_that_closes_without_an_answer_is_an_error)
{
    struct fixture f;
    fixture_with(&f, state);
    EXPECT_EQ(get(&f, "/close")->err, ERR_TRUNCATED);
    fixture_fini(&f);
}

TEST(a_port_nobody_listens_on_refuses)
{
    struct fixture f;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int port;

    fixture_with(&f, state);
    port = f.server.port;
    EXPECT_EQ(bind(fd, (struct sockaddr *)&address, size), 0); /* and never listens */
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    f.server.port = ntohs(address.sin_port);
    EXPECT_EQ(get(&f, "/")->err, ERR_REFUSED);
    f.server.port = port;
    close(fd);
    fixture_fini(&f);
}

TEST(the_end_says_how_far_the_call_had_come)
{
    struct fixture f;
    int port;

    fixture_init(&f, state, 1, 5000, 5000, 300);
    port = f.server.port;
    pass_time(&f, 1); /* so that the loop knows what time it is */
    start(new_call(&f), "GET", "/stall", HTTP_BODY_NONE);
    start(new_call(&f), "GET", "/plain", HTTP_BODY_NONE); /* for which there is no place */
    run(&f);
    EXPECT_EQ(f.calls[0].reach, ORIGIN_HEARD);
    EXPECT_EQ(f.calls[1].reach, ORIGIN_WAITING);
    EXPECT_EQ(get(&f, "/close")->reach, ORIGIN_SENT);
    EXPECT_EQ(get(&f, "/silence")->reach, ORIGIN_SENT);
    f.server.port = 1; /* where nobody listens */
    EXPECT_EQ(get(&f, "/")->reach, ORIGIN_CONNECTING);
    f.server.port = port;
    fixture_fini(&f);
}

TEST(a_host_that_does_not_exist_is_unreachable)
{
    struct fixture f;
    struct call *call;
    struct origin_request request = {.method = BYTES("GET"), .url = BYTES("http://nowhere.invalid/")};

    fixture_with(&f, state);
    call = new_call(&f);
    EXPECT_EQ(try_request(call, &request), OK);
    run(&f);
    EXPECT_EQ(call->err, ERR_UNREACHABLE);
    fixture_fini(&f);
}

TEST(a_self_signed_certificate_is_refused)
{
    struct fixture f;
    struct server secure;
    struct call *call;
    char url[64];
    struct origin_request request = {.method = BYTES("GET")};

    fixture_with(&f, state);
    secure = server_start("--tls");
    call = new_call(&f);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/plain", secure.port);
    request.url = bytes_of_text(url);
    EXPECT_EQ(try_request(call, &request), OK);
    run(&f);
    EXPECT_EQ(call->err, ERR_TLS);
    server_stop(&secure);
    fixture_fini(&f);
}

/* Runs one call with the given limits; returns how long it took. */
static int64_t time_call(void **state, int64_t connect_ms, int64_t first_byte_ms, int64_t total_ms,
                         const char *path, int port, enum err wanted)
{
    struct fixture f;
    struct call *call;
    int64_t start_ms;

    fixture_init(&f, state, 4, connect_ms, first_byte_ms, total_ms);
    if (port != 0)
        f.server.port = port;
    pass_time(&f, 1); /* so that the loop knows what time it is */
    start_ms = clock_read(&clock_system).mono_ms;
    call = get(&f, path);
    EXPECT_EQ(call->err, wanted);
    start_ms = clock_read(&clock_system).mono_ms - start_ms;
    fixture_fini(&f);
    return start_ms;
}

TEST(silence_ends_with_the_first_byte_timeout)
{
    int64_t took_ms = time_call(state, 5000, 150, 0, "/silence", 0, ERR_TIMEOUT);
    EXPECT(took_ms >= 149 && took_ms < 4500);
}

TEST(a_stalled_body_ends_with_the_total_timeout_and_not_with_the_first_byte_timeout)
{
    int64_t took_ms = time_call(state, 5000, 500, 900, "/stall", 0, ERR_TIMEOUT);
    EXPECT(took_ms >= 899 && took_ms < 4500);
}

TEST(a_connection_that_does_not_come_about_ends_with_the_connect_timeout)
{
    /* A listener whose queue is full: the kernel drops what else wants to connect. */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fillers[4];
    int64_t took_ms;

    EXPECT_EQ(bind(listener, (struct sockaddr *)&address, size), 0);
    EXPECT_EQ(listen(listener, 0), 0);
    EXPECT_EQ(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    for (size_t i = 0; i < COUNT_OF(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, size);
    }
    took_ms = time_call(state, 150, 5000, 0, "/", ntohs(address.sin_port), ERR_TIMEOUT);
    EXPECT(took_ms >= 140 && took_ms < 4500);
    for (size_t i = 0; i < COUNT_OF(fillers); i++)
        close(fillers[i]);
    close(listener);
}

TEST(a_tls_handshake_without_an_answer_ends_with_the_connect_timeout)
{
    struct fixture f;
    struct call *call;
    char url[64];
    struct origin_request request = {.method = BYTES("GET")};

    fixture_init(&f, state, 4, 150, 5000, 0);
    call = new_call(&f);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", f.server.port); /* which waits for a request */
    request.url = bytes_of_text(url);
    EXPECT_EQ(try_request(call, &request), OK);
    run(&f);
    EXPECT_EQ(call->err, ERR_TIMEOUT);
    fixture_fini(&f);
}

TEST(a_proxy_in_the_environment_is_not_asked)
{
    struct fixture f;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    fixture_with(&f, state);
    expect_response(get(&f, "/plain"), 200, "hello");
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    fixture_fini(&f);
}

TEST(without_descriptors_a_call_fails_and_a_later_one_works)
{
    struct fixture f;
    struct rlimit before, none;
    struct call *call;

    fixture_with(&f, state);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    call = get(&f, "/plain");
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(call->err, ERR_NO_DESCRIPTOR);
    expect_response(get(&f, "/plain"), 200, "hello");
    fixture_fini(&f);
}

TEST(a_call_that_waits_for_a_place_ends_with_the_total_timeout)
{
    struct fixture f;

    fixture_init(&f, state, 1, 5000, 5000, 150);
    start(new_call(&f), "GET", "/silence", HTTP_BODY_NONE);
    start(new_call(&f), "GET", "/plain", HTTP_BODY_NONE);
    run(&f);
    EXPECT_EQ(f.calls[0].err, ERR_TIMEOUT);
    EXPECT_EQ(f.calls[1].err, ERR_TIMEOUT);
    fixture_fini(&f);
}

TEST(the_first_byte_timeout_does_not_run_while_the_owner_keeps_the_origin_waiting)
{
    static const struct bytes pieces[] = {BYTES_INIT("late")};
    struct fixture f;
    struct call *call;

    fixture_init(&f, state, 4, 5000, 100, 0);
    call = new_call(&f);
    call->never_sends = true;
    start(call, "POST", "/plain", 4);
    pass_time(&f, 300);
    EXPECT_EQ(call->done_count, 0);
    call->pieces = pieces;
    call->piece_count = 1;
    piece_is_there(&call->timer);
    run(&f);
    expect_response(call, 200, "hello");
    fixture_fini(&f);
}

RUN_TESTS(ON_BOTH(a_server_that_closes_without_an_answer_is_an_error),
          ON_BOTH(a_port_nobody_listens_on_refuses), ON_BOTH(the_end_says_how_far_the_call_had_come),
          ON_BOTH(a_host_that_does_not_exist_is_unreachable), ON_BOTH(a_self_signed_certificate_is_refused),
          ON_BOTH(silence_ends_with_the_first_byte_timeout),
          ON_BOTH(a_stalled_body_ends_with_the_total_timeout_and_not_with_the_first_byte_timeout),
          ON_BOTH(a_connection_that_does_not_come_about_ends_with_the_connect_timeout),
          ON_BOTH(a_tls_handshake_without_an_answer_ends_with_the_connect_timeout),
          ON_BOTH(a_proxy_in_the_environment_is_not_asked),
          ON_BOTH(without_descriptors_a_call_fails_and_a_later_one_works),
          ON_BOTH(a_call_that_waits_for_a_place_ends_with_the_total_timeout),
          ON_BOTH(the_first_byte_timeout_does_not_run_while_the_owner_keeps_the_origin_waiting))
