/* links: nuthatch-client nuthatch-net nuthatch-message nuthatch-base
 *
 * Calls to tests/clients/origin_server.py, on every kind of loop. */
#include "base/buffer.h"
#include "client/origin.h"
#include "test.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 120000, ROOM_BYTES = 64 * 1024, CALLS_MAX = 64 };

/* ---- the server -------------------------------------------------------------------------------- */

struct server {
    pid_t pid;
    int keeper_fd; /* the server ends when this is closed */
    int port;
};

static struct server server_start(const char *argument)
{
    static const char script[] = "/../clients/origin_server.py";
    char path[4096];
    int to_server[2], from_server[2];
    struct server server;
    FILE *said;

    EXPECT(snprintf(path, sizeof path, "%s", __FILE__) < (int)(sizeof path - sizeof script));
    strcpy(strrchr(path, '/'), script);
    EXPECT(pipe(to_server) == 0 && pipe(from_server) == 0);
    server.pid = fork();
    if (server.pid == 0) {
        dup2(to_server[0], STDIN_FILENO);
        dup2(from_server[1], STDOUT_FILENO);
        close(to_server[1]);
        execl("/usr/bin/python3", "python3", path, argument, NULL);
        _exit(127);
    }
    close(to_server[0]);
    close(from_server[1]);
    server.keeper_fd = to_server[1];
    said = fdopen(from_server[0], "r");
    EXPECT_EQ(fscanf(said, "%d", &server.port), 1);
    fclose(said);
    return server;
}

static void server_stop(struct server *server)
{
    close(server->keeper_fd);
    waitpid(server->pid, NULL, 0);
}

/* ---- a loop, an origin and its calls ----------------------------------------------------------- */

struct fixture;

/* One call and all that came of it. A test sets the wishes before it starts the call. */
struct call {
    struct fixture *fixture;
    struct origin_call *handle;
    /* wishes */
    const struct bytes *pieces; /* of the request's body, one for each want_body; then the end */
    size_t piece_count;
    bool sends_later; /* from a timer instead of from inside want_body */
    bool never_sends;
    bool cancels_in_head, cancels_in_body, cancels_in_want;
    struct call *victim; /* whom to cancel there; null: itself */
    bool pauses_in_head;
    bool starts_others;           /* one in each callback */
    int64_t pause_every_piece_ms; /* 0: does not pause */
    /* what came */
    int status, head_count, done_count;
    struct buffer reason;
    struct buffer fields; /* "name: value\n" each */
    int64_t body_bytes;   /* as the head said */
    struct buffer body;
    bool drops_body; /* count and check instead of keeping */
    uint64_t received_bytes;
    bool pattern_broken, got_body_while_paused, is_paused;
    size_t want_count, least_room;
    int interim_statuses[4]; /* in the order they came */
    size_t interim_count;
    enum err err;
    enum origin_reach reach;
    struct timer timer;
};

struct fixture {
    struct loop *loop;
    struct origin *origin;
    struct server server;
    struct origin_timeouts timeouts; /* of the calls that a test starts */
    struct timer patience, stopper;
    size_t pending_count;
    struct call calls[CALLS_MAX];
    size_t call_count;
    unsigned dice;
    bool is_running; /* the loop */
    bool in_origin_function;
    bool was_called_back_inside;
};

static void patience_lost(struct timer *timer)
{
    (void)timer;
    fprintf(stderr, "still waiting\n");
    abort();
}

static void fixture_init(struct fixture *f, void **state, uint32_t connections_max, int64_t connect_ms,
                         int64_t first_byte_ms, int64_t total_ms)
{
    struct loop_options loop_options = {.kind = *(const enum loop_kind *)*state, .clock = &clock_system};
    struct origin_options options = {.connections_max = connections_max};
    enum err err;

    *f = (struct fixture){
        .timeouts = {.connect_ms = connect_ms, .first_byte_ms = first_byte_ms, .total_ms = total_ms}};
    err = loop_create(&loop_options, &f->loop);
    if (err == ERR_UNSUPPORTED)
        skip();
    EXPECT_EQ(err, OK);
    options.loop = f->loop;
    EXPECT_EQ(origin_create(&options, &f->origin), OK);
    f->server = server_start(NULL);
    timer_init(&f->patience, patience_lost);
}

static void fixture_with(struct fixture *f, void **state) { fixture_init(f, state, 4, 5000, 10000, 0); }

static void fixture_fini(struct fixture *f)
{
    EXPECT_EQ(origin_call_count(f->origin), 0);
    EXPECT(!f->was_called_back_inside);
    for (size_t i = 0; i < f->call_count; i++) {
        timer_cancel(f->loop, &f->calls[i].timer);
        buffer_fini(&f->calls[i].body);
        buffer_fini(&f->calls[i].reason);
        buffer_fini(&f->calls[i].fields);
    }
    origin_destroy(f->origin);
    loop_destroy(f->loop);
    server_stop(&f->server);
}

static void ended(struct fixture *f)
{
    if (--f->pending_count == 0 && f->is_running)
        loop_stop(f->loop);
}

/* Cancels the call's victim, which then has ended as far as the test is concerned. */
static void cancel_victim(struct call *call)
{
    struct call *victim = call->victim != NULL ? call->victim : call;
    if (victim->handle == NULL)
        return;
    origin_cancel(victim->handle);
    victim->handle = NULL;
    ended(call->fixture);
}

static struct call *new_call(struct fixture *f);
static void start(struct call *call, const char *method, const char *path, int64_t body_bytes);

static void note_callback(struct call *call)
{
    EXPECT(call->handle != NULL); /* not after the end */
    call->fixture->was_called_back_inside |= call->fixture->in_origin_function;
    if (call->starts_others)
        start(new_call(call->fixture), "GET", "/plain", HTTP_BODY_NONE);
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct call *call = owner;

    note_callback(call);
    call->head_count++;
    call->status = status;
    buffer_append(&call->reason, reason);
    call->body_bytes = body_bytes;
    for (size_t i = 0; i < fields->count; i++)
        buffer_append_format(&call->fields, "%.*s: %.*s\n", BYTES_PRINTF(fields->list[i].name),
                             BYTES_PRINTF(fields->list[i].value));
    if (call->pauses_in_head) {
        origin_pause(call->handle);
        call->is_paused = true;
    }
    if (call->cancels_in_head)
        cancel_victim(call);
}

static void resume(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    if (call->handle == NULL)
        return;
    call->is_paused = false;
    call->fixture->in_origin_function = true;
    origin_resume(call->handle);
    call->fixture->in_origin_function = false;
}

static void on_body(void *owner, struct bytes bytes)
{
    struct call *call = owner;

    note_callback(call);
    call->got_body_while_paused |= call->is_paused;
    if (call->drops_body)
        for (size_t i = 0; i < bytes.size; i++)
            call->pattern_broken |=
                (unsigned char)bytes.data[i] != (unsigned char)(call->received_bytes + i);
    else
        buffer_append(&call->body, bytes);
    call->received_bytes += bytes.size;
    if (call->pause_every_piece_ms > 0) {
        origin_pause(call->handle);
        call->is_paused = true;
        timer_init(&call->timer, resume);
        timer_set(call->fixture->loop, &call->timer,
                  loop_now(call->fixture->loop).mono_ms + call->pause_every_piece_ms);
    }
    if (call->cancels_in_body)
        cancel_victim(call);
}

static void send_next_piece(struct call *call)
{
    if (call->piece_count == 0) {
        origin_send_body(call->handle, BYTES(""), true);
        return;
    }
    origin_send_body(call->handle, call->pieces[0], false);
    call->pieces++;
    call->piece_count--;
}

static void piece_is_there(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    if (call->handle == NULL)
        return;
    call->fixture->in_origin_function = true;
    send_next_piece(call);
    call->fixture->in_origin_function = false;
}

static void on_want_body(void *owner, size_t room)
{
    struct call *call = owner;

    note_callback(call);
    if (call->want_count++ == 0 || room < call->least_room)
        call->least_room = room;
    if (call->cancels_in_want)
        cancel_victim(call);
    if (call->handle == NULL || call->never_sends)
        return;
    if (call->sends_later) {
        timer_init(&call->timer, piece_is_there);
        timer_set(call->fixture->loop, &call->timer, loop_now(call->fixture->loop).mono_ms + 5);
    } else {
        send_next_piece(call);
    }
}

static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct call *call = owner;

    note_callback(call);
    if (call->interim_count < COUNT_OF(call->interim_statuses))
        call->interim_statuses[call->interim_count] = status;
    call->interim_count++;
    if (status == 103)
        EXPECT(fields->count == 1 && fields->list[0].header == http_header_find(BYTES("Link")));
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct call *call = owner;

    note_callback(call);
    call->done_count++;
    call->err = err;
    call->reach = reach;
    call->handle = NULL;
    ended(call->fixture);
}

static const struct origin_callbacks callbacks = {on_interim, on_head, on_body, on_want_body, on_done};

static struct call *new_call(struct fixture *f)
{
    EXPECT(f->call_count < CALLS_MAX);
    f->calls[f->call_count].fixture = f;
    f->calls[f->call_count].err = (enum err) - 1;
    return &f->calls[f->call_count++];
}

static enum err try_request(struct call *call, const struct origin_request *request)
{
    struct fixture *f = call->fixture;
    struct origin_request with_timeouts = *request;
    enum err err;

    with_timeouts.timeouts = f->timeouts;
    f->in_origin_function = true;
    err = origin_start(f->origin, &with_timeouts, &callbacks, call, &call->handle);
    f->in_origin_function = false;
    if (err == OK)
        f->pending_count++;
    return err;
}

static void start_with(struct call *call, const char *method, const char *path, int64_t body_bytes,
                       struct http_fields fields)
{
    char url[256];
    struct origin_request request = {
        .method = bytes_of_text(method), .body_bytes = body_bytes, .fields = fields};

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", call->fixture->server.port, path);
    request.url = bytes_of_text(url);
    EXPECT_EQ(try_request(call, &request), OK);
}

static void start(struct call *call, const char *method, const char *path, int64_t body_bytes)
{
    start_with(call, method, path, body_bytes, (struct http_fields){0});
}

static struct http_field field(const char *name, const char *value)
{
    return (struct http_field){.name = bytes_of_text(name), .value = bytes_of_text(value)};
}

/* A GET whose answer will be exactly `response`, after which the server closes or, if `stays`, does not. */
static void start_raw(struct call *call, const char *method, const char *response, bool stays)
{
    struct buffer digits = {0};
    struct http_field list[2];

    for (const char *at = response; *at != '\0'; at++)
        buffer_append_format(&digits, "%02x", (unsigned char)*at);
    buffer_append_byte(&digits, '\0');
    list[0] = field("X-Raw", digits.data);
    list[1] = field("X-Stay", "yes");
    start_with(call, method, "/raw", HTTP_BODY_NONE, (struct http_fields){list, stays ? 2 : 1});
    buffer_fini(&digits);
}

/* Runs until every call has ended. */
static void run(struct fixture *f)
{
    if (f->pending_count == 0)
        return;
    timer_set(f->loop, &f->patience, clock_read(&clock_system).mono_ms + PATIENCE_MS);
    f->is_running = true;
    loop_run(f->loop);
    f->is_running = false;
    timer_cancel(f->loop, &f->patience);
    EXPECT_EQ(f->pending_count, 0);
}

static void time_is_over(struct timer *timer)
{
    loop_stop(CONTAINER_OF(timer, struct fixture, stopper)->loop);
}

/* Runs for a while, or until every call has ended. */
static void pass_time(struct fixture *f, int64_t ms)
{
    timer_init(&f->stopper, time_is_over);
    timer_set(f->loop, &f->stopper, clock_read(&clock_system).mono_ms + ms);
    f->is_running = true;
    loop_run(f->loop);
    f->is_running = false;
    timer_cancel(f->loop, &f->stopper);
}

static struct call *get(struct fixture *f, const char *path)
{
    struct call *call = new_call(f);
    start(call, "GET", path, HTTP_BODY_NONE);
    run(f);
    return call;
}

/* What the server counts under `name`. */
static int64_t number_of(struct fixture *f, const char *name)
{
    struct call *call = get(f, "/numbers");
    const char *at;

    buffer_append_byte(&call->body, '\0');
    at = strstr(call->body.data, name);
    EXPECT(at != NULL);
    return strtoll(at + strlen(name) + 1, NULL, 10);
}

static void expect_response(struct call *call, int status, const char *body)
{
    EXPECT_EQ(call->err, OK);
    EXPECT_EQ(call->head_count, 1);
    EXPECT_EQ(call->done_count, 1);
    EXPECT_EQ(call->status, status);
    EXPECT_TEXT(buffer_bytes(&call->body), bytes_of_text(body));
}

/* ---- requests ---------------------------------------------------------------------------------- */

TEST(a_get_brings_status_fields_length_and_body)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = get(&f, "/plain");
    expect_response(call, 200, "hello");
    EXPECT_EQ(call->body_bytes, 5);
    EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("X-Connection: 1\n"));
    fixture_fini(&f);
}

TEST(a_request_goes_out_as_it_was_given_and_nothing_is_added)
{
    struct fixture f;
    struct call *call;
    struct http_field list[] = {field("B-Field", "2"), field("Accept", "*/*"), field("Empty", ""),
                                field("a-field", "1; x=\"y\""), field("B-Field", "3")};
    char wanted[512];

    fixture_with(&f, state);
    call = new_call(&f);
    start_with(call, "GET", "/a/../b//%7e?c=d&e=%2F?", HTTP_BODY_NONE,
               (struct http_fields){list, COUNT_OF(list)});
    run(&f);
    snprintf(wanted, sizeof wanted,
             "GET /a/../b//%%7e?c=d&e=%%2F? HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nB-Field: 2\r\nAccept: */*\r\n"
             "Empty:\r\na-field: 1; x=\"y\"\r\nB-Field: 3\r\n\r\n",
             f.server.port);
    expect_response(call, 200, wanted);
    fixture_fini(&f);
}

TEST(a_given_host_is_sent_and_a_url_without_a_path_asks_for_the_root)
{
    static const struct {
        const char *tail, *target;
    } cases[] = {{"", "/"}, {"?", "/?"}, {"?q", "/?q"}, {"/", "/"}, {"/?", "/?"}};

    struct fixture f;
    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char url[128], wanted[128];
        struct call *call = new_call(&f);
        struct origin_request request = {.method = BYTES("GET"), .host = BYTES("api.example.com")};
        snprintf(url, sizeof url, "http://127.0.0.1:%d%s", f.server.port, cases[i].tail);
        snprintf(wanted, sizeof wanted, "GET %s HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
                 cases[i].target);
        request.url = bytes_of_text(url);
        EXPECT_EQ(try_request(call, &request), OK);
        run(&f);
        expect_response(call, 200, wanted);
    }
    fixture_fini(&f);
}

TEST(what_cannot_be_sent_is_refused_at_once)
{
    static const struct {
        const char *method, *url, *name, *value;
        int64_t body_bytes;
    } cases[] = {
        {"GET", "", NULL, NULL, 0},
        {"GET", "127.0.0.1", NULL, NULL, 0},
        {"GET", "ftp://127.0.0.1/", NULL, NULL, 0},
        {"GET", "file:///etc/passwd", NULL, NULL, 0},
        {"GET", "http://", NULL, NULL, 0},
        {"GET", "http:///path", NULL, NULL, 0},
        {"GET", "http://127.0.0.1:99999/", NULL, NULL, 0},
        {"GET", "http://user:password@127.0.0.1/", NULL, NULL, 0},
        {"GET", "http://127.0.0.1/a b", NULL, NULL, 0},
        {"GET", "http://127.0.0.1/a\r\nX: y", NULL, NULL, 0},
        {"GET", "http://127.0.0.1/#fragment", NULL, NULL, 0},
        {"", "http://127.0.0.1/", NULL, NULL, 0},
        {"GE T", "http://127.0.0.1/", NULL, NULL, 0},
        {"GET /x HTTP/1.1\r\nX:", "http://127.0.0.1/", NULL, NULL, 0},
        {"CONNECT", "http://127.0.0.1/", NULL, NULL, 0},
        {"HEAD", "http://127.0.0.1/", NULL, NULL, 5},
        {"GET", "http://127.0.0.1/", "Na me", "value", 0},
        {"GET", "http://127.0.0.1/", "", "value", 0},
        {"GET", "http://127.0.0.1/", "Name", "a\r\nX: y", 0},
        {"GET", "http://127.0.0.1/", "Host", "other", 0},
        {"POST", "http://127.0.0.1/", "Content-Length", "5", 4},
        {"POST", "http://127.0.0.1/", "transfer-encoding", "chunked", 4},
        {"GET", "http://127.0.0.1/", "Connection", "close", 0},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_field list[1];
        struct origin_request request = {.method = bytes_of_text(cases[i].method),
                                         .url = bytes_of_text(cases[i].url),
                                         .body_bytes = cases[i].body_bytes};
        if (cases[i].name != NULL) {
            list[0] = field(cases[i].name, cases[i].value);
            request.fields = (struct http_fields){list, 1};
        }
        EXPECT_EQ(try_request(new_call(&f), &request), ERR_SYNTAX);
    }
    EXPECT_EQ(origin_call_count(f.origin), 0);
    fixture_fini(&f);
}

TEST(a_method_without_a_body_says_a_length_of_0_only_where_a_body_is_expected)
{
    static const struct {
        const char *method, *framing;
    } cases[] = {{"GET", ""},    {"POST", "Content-Length: 0\r\n"},  {"PUT", "Content-Length: 0\r\n"},
                 {"DELETE", ""}, {"PATCH", "Content-Length: 0\r\n"}, {"OPTIONS", ""},
                 {"PURGE", ""}};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char wanted[128];
        struct call *call = new_call(&f);
        start(call, cases[i].method, "/echo", HTTP_BODY_NONE);
        run(&f);
        snprintf(wanted, sizeof wanted, "%s /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n",
                 cases[i].method, f.server.port, cases[i].framing);
        expect_response(call, 200, wanted);
        EXPECT_EQ(call->want_count, 0);
    }
    fixture_fini(&f);
}

TEST(a_body_is_sent_in_pieces_with_its_length_or_chunked_by_any_method)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"};
    static const struct bytes pieces[] = {BYTES_INIT("one "), BYTES_INIT("two "), BYTES_INIT("three")};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(methods) * 4; i++) {
        bool is_chunked = i & 1;
        char wanted[256];
        struct call *call = new_call(&f);
        call->sends_later = i & 2;
        call->pieces = pieces;
        call->piece_count = COUNT_OF(pieces);
        start(call, methods[i / 4], "/echo", is_chunked ? HTTP_BODY_UNKNOWN : 13);
        run(&f);
        snprintf(wanted, sizeof wanted,
                 "%s /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n\r\none two three", methods[i / 4],
                 f.server.port, is_chunked ? "Transfer-Encoding: chunked" : "Content-Length: 13");
        expect_response(call, 200, wanted);
        EXPECT_EQ(call->least_room, ROOM_BYTES);
    }
    fixture_fini(&f);
}

TEST(a_long_body_is_asked_for_no_faster_than_the_origin_reads_it)
{
    enum { PIECES = 320 }; /* 20 MiB */
    static char zeros[ROOM_BYTES];
    static struct bytes pieces[PIECES];
    struct fixture f;
    struct call *call;

    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = bytes_of(zeros, sizeof zeros);
    fixture_with(&f, state);
    call = new_call(&f);
    call->pieces = pieces;
    call->piece_count = PIECES;
    start(call, "PUT", "/slow-reader", (int64_t)PIECES * ROOM_BYTES);
    pass_time(&f, 100);
    EXPECT(call->want_count < PIECES / 2); /* what the kernel's socket buffers hold, and little more */
    run(&f);
    expect_response(call, 200, "20971520");
    EXPECT_EQ(call->least_room, ROOM_BYTES);
    fixture_fini(&f);
}

TEST(a_body_of_another_length_than_declared_ends_the_call_and_its_connection)
{
    static const struct bytes pieces[] = {BYTES_INIT("abc"), BYTES_INIT("def")};
    static const int64_t declared_bytes[] = {7, 5, 1, 100000};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(declared_bytes) * 2; i++) {
        struct call *call = new_call(&f);
        call->sends_later = i & 1;
        call->pieces = pieces;
        call->piece_count = COUNT_OF(pieces);
        start(call, "POST", "/echo", declared_bytes[i / 2]);
        run(&f);
        EXPECT_EQ(call->err, ERR_TRUNCATED);
        EXPECT_EQ(call->head_count, 0);
    }
    EXPECT_EQ(number_of(&f, "accepted"), COUNT_OF(declared_bytes) * 2 + 1);
    fixture_fini(&f);
}

TEST(a_refusal_before_the_body_was_read_arrives)
{
    static char zeros[ROOM_BYTES];
    static const struct bytes pieces[] = {
        {zeros, sizeof zeros}, {zeros, sizeof zeros}, {zeros, sizeof zeros}};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < 3; i++) {
        struct call *call = new_call(&f);
        call->sends_later = i > 0;
        call->pieces = pieces;
        call->piece_count = COUNT_OF(pieces);
        start(call, "POST", "/too-large", i == 1 ? 3 * ROOM_BYTES : HTTP_BODY_UNKNOWN);
        run(&f);
        expect_response(call, 413, "no");
    }
    fixture_fini(&f);
}

TEST(a_refusal_ends_the_call_though_the_owner_never_sends_its_body)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = new_call(&f);
    call->never_sends = true;
    start(call, "POST", "/too-large", 10);
    run(&f);
    expect_response(call, 413, "no");
    fixture_fini(&f);
}

/* ---- responses --------------------------------------------------------------------------------- */

TEST(the_answer_to_head_says_the_length_and_has_no_body)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    for (int i = 0; i < 2; i++) {
        call = new_call(&f);
        start(call, "HEAD", "/head", HTTP_BODY_NONE);
        run(&f);
        expect_response(call, 200, "");
        EXPECT_EQ(call->body_bytes, 1234);
        EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("Content-Type: text/plain\n"));
    }
    EXPECT_EQ(number_of(&f, "accepted"), 1);
    fixture_fini(&f);
}

#define HEAD "HTTP/1.1 200 OK\r\n"

TEST(each_way_to_frame_a_response_is_read)
{
    static const struct {
        const char *method, *response;
        int status;
        int64_t body_bytes;
        const char *fields, *body;
    } cases[] = {
        {"GET", HEAD "Content-Length: 3\r\n\r\nabc", 200, 3, "", "abc"},
        {"GET", HEAD "Content-Length: 0\r\n\r\n", 200, 0, "", ""},
        {"GET", HEAD "Content-Length: 03\r\nContent-Length: 3\r\n\r\nabc", 200, 3, "", "abc"},
        {"GET", HEAD "\r\nuntil the end", 200, HTTP_BODY_UNKNOWN, "", "until the end"},
        {"GET", "HTTP/1.0 200 OK\r\n\r\nold", 200, HTTP_BODY_UNKNOWN, "", "old"},
        {"GET", HEAD "Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200,
         HTTP_BODY_UNKNOWN, "", "abc"},
        {"GET", HEAD "Transfer-Encoding: chunked\r\nA: b\r\n\r\n1\r\nx\r\n0\r\nTrailer: t\r\nA: z\r\n\r\n",
         200, HTTP_BODY_UNKNOWN, "A: b\n", "x"},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, HTTP_BODY_NONE, "", ""},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"e\"\r\n\r\n", 304,
         HTTP_BODY_NONE, "ETag: \"e\"\n", ""},
        {"GET", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, 0, "", ""},
        {"GET", "HTTP/1.1 503 \r\nRetry-After:  5 \t\r\nEmpty:\r\nContent-Length: 0\r\n\r\n", 503, 0,
         "Retry-After: 5\nEmpty: \n", ""},
        {"GET", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, 0,
         "Location: http://127.0.0.1:1/\n", ""},
        {"GET", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", 401, 0,
         "WWW-Authenticate: Basic\n", ""},
        {"GET",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" HEAD
         "Content-Length: 1\r\n\r\nx",
         200, 1, "", "x"},
        {"GET",
         HEAD
         "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nx-hop: 1\r\nProxy-Connection: x\r\n"
         "Upgrade: h2c\r\nTrailer: T\r\nTE: x\r\nStays: 2\r\nContent-Length: 0\r\n\r\n",
         200, 0, "Stays: 2\n", ""},
        {"HEAD", HEAD "Transfer-Encoding: chunked\r\n\r\n", 200, HTTP_BODY_UNKNOWN, "", ""},
        {"HEAD", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, HTTP_BODY_NONE, "", ""},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, cases[i].method, cases[i].response, false);
        run(&f);
        expect_response(call, cases[i].status, cases[i].body);
        EXPECT_EQ(call->body_bytes, cases[i].body_bytes);
        EXPECT_TEXT(buffer_bytes(&call->fields), bytes_of_text(cases[i].fields));
    }
    fixture_fini(&f);
}

TEST(interim_responses_are_told_but_for_100)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = new_call(&f);
    start_raw(call, "GET",
              "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
              "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n" HEAD
              "Content-Length: 0\r\n\r\n",
              false);
    run(&f);
    expect_response(call, 200, "");
    EXPECT_EQ(call->interim_count, 2);
    EXPECT_EQ(call->interim_statuses[0], 102);
    EXPECT_EQ(call->interim_statuses[1], 103);
    fixture_fini(&f);
}

TEST(any_status_and_reason_is_handed_on)
{
    static const struct {
        const char *response;
        int status;
        const char *reason;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "OK"},
        {"HTTP/1.1 200 Fine by me\r\nContent-Length: 0\r\n\r\n", 200, "Fine by me"},
        {"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", 299, ""},
        {"HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", 299, ""},
        {"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", 600, "What"},
        {"HTTP/1.1 999 Whatever \xe9\r\nContent-Length: 0\r\n\r\n", 999, "Whatever \xe9"},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", cases[i].response, false);
        run(&f);
        expect_response(call, cases[i].status, "");
        EXPECT_TEXT(buffer_bytes(&call->reason), bytes_of_text(cases[i].reason));
    }
    fixture_fini(&f);
}

TEST(a_response_in_doubt_is_refused_and_its_connection_not_used_again)
{
    static const struct {
        const char *response;
        enum err err;
    } cases[] = {
        {HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", ERR_SYNTAX},
        {HEAD "Content-Length: 1, 1\r\n\r\na", ERR_SYNTAX},
        {HEAD "Content-Length: 1a\r\n\r\na", ERR_SYNTAX},
        {HEAD "Content-Length: -1\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: +1\r\n\r\na", ERR_SYNTAX},
        {HEAD "Content-Length:\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: 99999999999999999999\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: identity\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding:\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", ERR_SYNTAX},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A : b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD ": b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A(: b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\x01\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\x7f\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\rc\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "\rA: b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: 0\r\n\n", ERR_SYNTAX},
        {"HTTP/1.1 200 OK\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1  200 OK\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 200OK\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 2000 OK\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/3 200\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 103 Early Hints\r\nA b\r\n\r\n" HEAD "Content-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"ICY 200 OK\r\n\r\n", ERR_SYNTAX},
        {"just some text, as HTTP/0.9 had it", ERR_SYNTAX},
        {"SSH-2.0-OpenSSH_9.2\r\n", ERR_SYNTAX},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", cases[i].response, true);
        run(&f);
        if (call->err != cases[i].err || call->head_count != 0)
            fail_msg("%s: %d, %d", cases[i].response, (int)call->err, call->status);
    }
    EXPECT_EQ(number_of(&f, "accepted"), COUNT_OF(cases) + 1);
    fixture_fini(&f);
}

TEST(a_response_that_ends_too_early_is_never_taken_for_a_whole_one)
{
    static const struct {
        const char *response;
        int head_count;
        const char *body;
    } cases[] = {
        {HEAD "Content-Length: 10\r\n\r\nabc", 1, "abc"},
        {HEAD "Content-Length: 10\r\n\r\n", 1, ""},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 1, "abc"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nab", 1, "ab"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", 1, "abc"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrail", 1, "abc"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n", 1, ""},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 1, "abc"},
        {HEAD "Content-Le", 0, ""},
        {HEAD "A: b\r\n", 0, ""},
        {"HTT", 0, ""},
        {"HTTP/1.1 100 Continue\r\n\r\n", 0, ""},
        {"", 0, ""},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", cases[i].response, false);
        run(&f);
        if (call->err != ERR_TRUNCATED || call->head_count != cases[i].head_count)
            fail_msg("%s: %d, %d heads", cases[i].response, (int)call->err, call->head_count);
        EXPECT_TEXT(buffer_bytes(&call->body), bytes_of_text(cases[i].body));
    }
    fixture_fini(&f);
}

TEST(what_follows_a_response_is_not_taken_for_the_next_one)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int i = 0; i < 3; i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", HEAD "Content-Length: 1\r\n\r\na" HEAD "Content-Length: 4\r\n\r\nevil",
                  true);
        run(&f);
        expect_response(call, 200, "a");
        expect_response(get(&f, "/plain"), 200, "hello");
    }
    fixture_fini(&f);
}

TEST(heads_interim_heads_and_trailers_without_end_are_cut_off)
{
    static const char *const paths[] = {"/large-head", "/large-line", "/endless-interim",
                                        "/endless-trailers"};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct call *call = get(&f, paths[i]);
        EXPECT_EQ(call->err, ERR_TOO_LARGE);
        EXPECT_EQ(call->head_count, i == 3);
    }
    fixture_fini(&f);
}

TEST(two_hundred_fields_are_read_and_one_more_is_refused)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int count = 200; count <= 201; count++) {
        struct buffer response = {0};
        struct call *call = new_call(&f);
        buffer_append_literal(&response, HEAD "Content-Length: 0\r\n");
        for (int i = 1; i < count; i++)
            buffer_append_format(&response, "F%d: x\r\n", i);
        buffer_append(&response, bytes_of("\r\n", 3));
        start_raw(call, "GET", response.data, true);
        run(&f);
        EXPECT_EQ(call->err, count == 200 ? OK : ERR_TOO_LARGE);
        buffer_fini(&response);
    }
    fixture_fini(&f);
}

TEST(a_response_that_comes_byte_by_byte_is_the_same)
{
    struct fixture f;
    fixture_with(&f, state);
    expect_response(get(&f, "/drip"), 200, "abcde");
    fixture_fini(&f);
}

TEST(a_compressed_body_passes_untouched)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = get(&f, "/zipped");
    expect_response(call, 200, "\x1f\x8bnot really gzip");
    EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("X-Connection: 1\nContent-Encoding: gzip\n"));
    fixture_fini(&f);
}

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
    EXPECT(took_ms >= 149 && took_ms < 1500);
}

TEST(a_stalled_body_ends_with_the_total_timeout_and_not_with_the_first_byte_timeout)
{
    int64_t took_ms = time_call(state, 5000, 50, 250, "/stall", 0, ERR_TIMEOUT);
    EXPECT(took_ms >= 249 && took_ms < 1500);
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
        connect(fillers[i], (struct sockaddr *)&address, size);
    }
    took_ms = time_call(state, 150, 5000, 0, "/", ntohs(address.sin_port), ERR_TIMEOUT);
    EXPECT(took_ms >= 140 && took_ms < 1500);
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

static enum loop_kind kinds[] = {LOOP_EPOLL, LOOP_URING};

#define ON_BOTH(sentence)                                                                                  \
    {#sentence " (epoll)", sentence, NULL, NULL, &kinds[0]},                                               \
    {                                                                                                      \
#sentence " (uring)", sentence, NULL, NULL, &kinds[1]                                              \
    }

RUN_TESTS(ON_BOTH(a_get_brings_status_fields_length_and_body),
          ON_BOTH(a_request_goes_out_as_it_was_given_and_nothing_is_added),
          ON_BOTH(a_given_host_is_sent_and_a_url_without_a_path_asks_for_the_root),
          ON_BOTH(what_cannot_be_sent_is_refused_at_once),
          ON_BOTH(a_method_without_a_body_says_a_length_of_0_only_where_a_body_is_expected),
          ON_BOTH(a_body_is_sent_in_pieces_with_its_length_or_chunked_by_any_method),
          ON_BOTH(a_long_body_is_asked_for_no_faster_than_the_origin_reads_it),
          ON_BOTH(a_body_of_another_length_than_declared_ends_the_call_and_its_connection),
          ON_BOTH(a_refusal_before_the_body_was_read_arrives),
          ON_BOTH(a_refusal_ends_the_call_though_the_owner_never_sends_its_body),
          ON_BOTH(the_answer_to_head_says_the_length_and_has_no_body),
          ON_BOTH(each_way_to_frame_a_response_is_read), ON_BOTH(interim_responses_are_told_but_for_100),
          ON_BOTH(any_status_and_reason_is_handed_on),
          ON_BOTH(a_response_in_doubt_is_refused_and_its_connection_not_used_again),
          ON_BOTH(a_response_that_ends_too_early_is_never_taken_for_a_whole_one),
          ON_BOTH(what_follows_a_response_is_not_taken_for_the_next_one),
          ON_BOTH(heads_interim_heads_and_trailers_without_end_are_cut_off),
          ON_BOTH(two_hundred_fields_are_read_and_one_more_is_refused),
          ON_BOTH(a_response_that_comes_byte_by_byte_is_the_same),
          ON_BOTH(a_compressed_body_passes_untouched),
          ON_BOTH(a_held_response_stays_with_the_origin_and_comes_whole_after_all),
          ON_BOTH(a_response_held_after_each_piece_comes_whole_and_in_order),
          ON_BOTH(a_response_may_be_held_and_let_go_from_outside_again_and_again),
          ON_BOTH(a_small_response_held_in_its_head_comes_after_resume),
          ON_BOTH(calls_one_after_another_share_a_connection),
          ON_BOTH(fifty_calls_over_four_connections_all_end),
          ON_BOTH(idle_connections_make_room_for_another_server),
          ON_BOTH(a_kept_connection_that_dies_is_replaced_only_for_what_may_be_sent_twice),
          ON_BOTH(a_body_is_never_sent_twice), ON_BOTH(calls_may_be_started_in_every_callback),
          ON_BOTH(a_server_that_closes_without_an_answer_is_an_error),
          ON_BOTH(a_port_nobody_listens_on_refuses), ON_BOTH(the_end_says_how_far_the_call_had_come),
          ON_BOTH(a_host_that_does_not_exist_is_unreachable), ON_BOTH(a_self_signed_certificate_is_refused),
          ON_BOTH(silence_ends_with_the_first_byte_timeout),
          ON_BOTH(a_stalled_body_ends_with_the_total_timeout_and_not_with_the_first_byte_timeout),
          ON_BOTH(a_connection_that_does_not_come_about_ends_with_the_connect_timeout),
          ON_BOTH(a_tls_handshake_without_an_answer_ends_with_the_connect_timeout),
          ON_BOTH(a_proxy_in_the_environment_is_not_asked),
          ON_BOTH(without_descriptors_a_call_fails_and_a_later_one_works),
          ON_BOTH(a_call_that_waits_for_a_place_ends_with_the_total_timeout),
          ON_BOTH(the_first_byte_timeout_does_not_run_while_the_owner_keeps_the_origin_waiting),
          ON_BOTH(a_call_may_be_cancelled_in_every_callback_of_its_own_and_of_another),
          ON_BOTH(a_call_may_be_cancelled_before_it_begins_and_while_it_waits_for_the_origin),
          ON_BOTH(an_origin_may_be_destroyed_right_after_its_calls_were_cancelled),
          ON_BOTH(calls_held_let_go_and_cancelled_at_random_all_end_and_spoil_nothing_for_the_next))
