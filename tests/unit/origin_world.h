/* origin_world.h — tests/clients/origin_server.py, a loop, an origin and its calls: every test on every
 * kind of loop. */
#pragma once
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

static inline struct server server_start(const char *argument)
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

static inline void server_stop(struct server *server)
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

static inline void patience_lost(struct timer *timer)
{
    (void)timer;
    fprintf(stderr, "still waiting\n");
    abort();
}

static inline void fixture_init(struct fixture *f, void **state, uint32_t connections_max,
                                int64_t connect_ms, int64_t first_byte_ms, int64_t total_ms)
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

static inline void fixture_with(struct fixture *f, void **state)
{
    fixture_init(f, state, 4, 5000, 10000, 0);
}

static inline void fixture_fini(struct fixture *f)
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

static inline void ended(struct fixture *f)
{
    if (--f->pending_count == 0 && f->is_running)
        loop_stop(f->loop);
}

/* Cancels the call's victim, which then has ended as far as the test is concerned. */
static inline void cancel_victim(struct call *call)
{
    struct call *victim = call->victim != NULL ? call->victim : call;
    if (victim->handle == NULL)
        return;
    origin_cancel(victim->handle);
    victim->handle = NULL;
    ended(call->fixture);
}

static inline struct call *new_call(struct fixture *f);
static inline void start(struct call *call, const char *method, const char *path, int64_t body_bytes);

static inline void note_callback(struct call *call)
{
    EXPECT(call->handle != NULL); /* not after the end */
    call->fixture->was_called_back_inside |= call->fixture->in_origin_function;
    if (call->starts_others)
        start(new_call(call->fixture), "GET", "/plain", HTTP_BODY_NONE);
}

static inline void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
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

static inline void resume(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    if (call->handle == NULL)
        return;
    call->is_paused = false;
    call->fixture->in_origin_function = true;
    origin_resume(call->handle);
    call->fixture->in_origin_function = false;
}

static inline void on_body(void *owner, struct bytes bytes)
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

static inline void send_next_piece(struct call *call)
{
    if (call->piece_count == 0) {
        origin_send_body(call->handle, BYTES(""), true);
        return;
    }
    origin_send_body(call->handle, call->pieces[0], false);
    call->pieces++;
    call->piece_count--;
}

static inline void piece_is_there(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    if (call->handle == NULL)
        return;
    call->fixture->in_origin_function = true;
    send_next_piece(call);
    call->fixture->in_origin_function = false;
}

static inline void on_want_body(void *owner, size_t room)
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

static inline void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct call *call = owner;

    note_callback(call);
    if (call->interim_count < COUNT_OF(call->interim_statuses))
        call->interim_statuses[call->interim_count] = status;
    call->interim_count++;
    if (status == 103)
        EXPECT(fields->count == 1 && fields->list[0].header == http_header_find(BYTES("Link")));
}

static inline void on_done(void *owner, enum err err, enum origin_reach reach)
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

static inline struct call *new_call(struct fixture *f)
{
    EXPECT(f->call_count < CALLS_MAX);
    f->calls[f->call_count].fixture = f;
    f->calls[f->call_count].err = (enum err) - 1;
    return &f->calls[f->call_count++];
}

static inline enum err try_request(struct call *call, const struct origin_request *request)
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

static inline void start_with(struct call *call, const char *method, const char *path, int64_t body_bytes,
                              struct http_fields fields)
{
    char url[256];
    struct origin_request request = {
        .method = bytes_of_text(method), .body_bytes = body_bytes, .fields = fields};

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", call->fixture->server.port, path);
    request.url = bytes_of_text(url);
    EXPECT_EQ(try_request(call, &request), OK);
}

static inline void start(struct call *call, const char *method, const char *path, int64_t body_bytes)
{
    start_with(call, method, path, body_bytes, (struct http_fields){0});
}

static inline struct http_field field(const char *name, const char *value)
{
    return (struct http_field){.name = bytes_of_text(name), .value = bytes_of_text(value)};
}

/* A GET whose answer will be exactly `response`, after which the server closes or, if `stays`, does not. */
static inline void start_raw(struct call *call, const char *method, const char *response, bool stays)
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
static inline void run(struct fixture *f)
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

static inline void time_is_over(struct timer *timer)
{
    loop_stop(CONTAINER_OF(timer, struct fixture, stopper)->loop);
}

/* Runs for a while, or until every call has ended. */
static inline void pass_time(struct fixture *f, int64_t ms)
{
    timer_init(&f->stopper, time_is_over);
    timer_set(f->loop, &f->stopper, clock_read(&clock_system).mono_ms + ms);
    f->is_running = true;
    loop_run(f->loop);
    f->is_running = false;
    timer_cancel(f->loop, &f->stopper);
}

static inline struct call *get(struct fixture *f, const char *path)
{
    struct call *call = new_call(f);
    start(call, "GET", path, HTTP_BODY_NONE);
    run(f);
    return call;
}

/* What the server counts under `name`. */
static inline int64_t number_of(struct fixture *f, const char *name)
{
    struct call *call = get(f, "/numbers");
    const char *at;

    buffer_append_byte(&call->body, '\0');
    at = strstr(call->body.data, name);
    EXPECT(at != NULL);
    return strtoll(at + strlen(name) + 1, NULL, 10);
}

static inline void expect_response(struct call *call, int status, const char *body)
{
    EXPECT_EQ(call->err, OK);
    EXPECT_EQ(call->head_count, 1);
    EXPECT_EQ(call->done_count, 1);
    EXPECT_EQ(call->status, status);
    EXPECT_TEXT(buffer_bytes(&call->body), bytes_of_text(body));
}

static enum loop_kind kinds[] = {LOOP_EPOLL, LOOP_URING};

#define ON_BOTH(sentence)                                                                                  \
    {#sentence " (epoll)", sentence, NULL, NULL, &kinds[0]},                                               \
    {                                                                                                      \
#sentence " (uring)", sentence, NULL, NULL, &kinds[1]                                              \
    }
