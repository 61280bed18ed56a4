/* gateway_world.h — a gateway between clients made of memory and an origin that is a thread with a socket:
 * two workers, each with its own loop on its own thread, and a clock that can be put forward. */
#pragma once
#include "base/compiler.h"
#include "engine/gateway/fetch.h"
#include "engine/gateway/gateway.h"
#include "http_text.h"
#include "message/exchange.h"
#include "test.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WORKERS = 2,
    PATIENCE_MS = 180000,
    OBJECT_BYTES_MAX = 100000,
    SIZEABLE_BYTES = 600000, /* where objects may be larger */
    STREAM_BYTES = 32 * 1024 * 1024,
    COALESCE_TIMEOUT_MS = 10000,
    TIER_TIMEOUT_MS = 1000
};

static inline void sleep_ms(int ms) { usleep((useconds_t)ms * 1000); }

/* ---- the origin ---------------------------------------------------------------------------------- */

struct stub {
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held, is_failing;     /* under the lock; GETs are held back, */
    _Atomic int free_number;      /* but for the one with this number, if not 0 */
    const char *_Atomic scripted; /* all that /scripted… is answered, to the end of the connection */
    _Atomic int request_count, conditional_count, live_count, closed_early_count;
    _Atomic int named_count; /* requests with X-Named */
    _Atomic bool halts;      /* /slow-pages in the middle of their first */
    _Atomic size_t streamed_bytes;
    _Atomic int list_version; /* of /pages: a first page that is fresh for 10 s, and others for ten minutes;
                               * less than 0: the first is no-store */
    char state[256];          /* under the lock: what /state is; empty: it is not there */
    int state_number;
};

struct visitor {
    struct stub *stub;
    int fd;
};

static inline bool send_text(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        text += sent;
        size -= (size_t)sent;
    }
    return true;
}

static inline void header_value(const char *head, const char *name, char *value, size_t size)
{
    const char *found = strcasestr(head, name);
    value[0] = '\0';
    if (found != NULL)
        snprintf(value, size, "%.*s", (int)strcspn(found + strlen(name), "\r"), found + strlen(name));
}

static inline void send_zeroes(struct stub *stub, int fd, size_t count)
{
    static const char zeroes[16384];
    for (size_t sent = 0; sent < count; sent += sizeof zeroes) {
        if (!send_text(fd, zeroes, count - sent < sizeof zeroes ? count - sent : sizeof zeroes)) {
            stub->closed_early_count++;
            return;
        }
        stub->streamed_bytes += sizeof zeroes;
    }
}

#define ANSWER(status, fields, body_format, ...)                                                           \
    snprintf(text, sizeof text, "HTTP/1.1 " status "\r\nConnection: close\r\n" fields "\r\n" body_format,  \
             ##__VA_ARGS__)

/* What each path answers. */
static inline void answer_visitor(struct stub *stub, int fd, const char *head, int number,
                                  size_t body_bytes, bool is_failing)
{
    char text[1024], value[128];
    char method[16], path[128];

    sscanf(head, "%15s %127s", method, path);
    ANSWER("404 Not Found", "Content-Length: 0\r\n", "");
    if (is_failing) {
        ANSWER("500 Internal Server Error", "Content-Length: 6\r\n", "broken");
    } else if (strcmp(method, "POST") == 0 || strcmp(method, "PURGE") == 0) {
        snprintf(value, sizeof value, "%zu", body_bytes);
        ANSWER("201 Created", "Location: http://elsewhere.example/count\r\n", "%s", value);
    } else if (strncmp(path, "/scripted", 9) == 0) {
        const char *scripted = stub->scripted;
        snprintf(text, sizeof text, "%s", scripted);
    } else if (strncmp(path, "/pages", 6) == 0) {
        int page = 1;
        sscanf(path, "/pages?n=%d", &page);
        ANSWER("200 OK", "Cache-Control: max-age=%d%s\r\n%sLink: <?n=%d>; rel=\"next\"\r\n",
               "page %d of list %d", page == 1 ? 10 : 600,
               page == 1 && stub->list_version < 0 ? ", no-store" : "",
               strstr(path, "utm=") != NULL ? "No-Vary-Search: params=(\"utm\")\r\n" : "", page + 1, page,
               stub->list_version);
    } else if (strcmp(path, "/slow-pages") == 0) {
        ANSWER("200 OK",
               "Cache-Control: max-age=600\r\nETag: \"v1\"\r\nLink: <?n=2>; rel=\"next\"\r\n"
               "Content-Length: 11\r\n",
               "first ");
        send_text(fd, text, strlen(text));
        while (stub->halts)
            sleep_ms(1);
        snprintf(text, sizeof text, "page.");
    } else if (strcmp(path, "/slow-pages?n=2") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=600\r\n", "second page");
    } else if (strcmp(path, "/fresh") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=60\r\nETag: \"v1\"\r\nContent-Length: 5\r\n", "fresh");
    } else if (strcmp(path, "/count") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=60\r\n", "%d", number);
    } else if (strcmp(path, "/private") == 0) {
        ANSWER("200 OK", "Cache-Control: private, max-age=60\r\n", "%d", number);
    } else if (strncmp(path, "/brief", 6) == 0) {
        header_value(head, "If-None-Match: ", value, sizeof value);
        stub->conditional_count += value[0] != '\0';
        if (strcmp(value, "\"v1\"") == 0)
            ANSWER("304 Not Modified", "Cache-Control: max-age=10\r\nETag: \"v1\"\r\nX-New: yes\r\n", "");
        else if (strcmp(path, "/brief-strict") == 0)
            ANSWER("200 OK", "Cache-Control: max-age=1, must-revalidate\r\n", "old");
        else
            ANSWER("200 OK", "Cache-Control: max-age=1\r\nETag: \"v1\"\r\nX-Old: yes\r\n", "old");
    } else if (strcmp(path, "/tag-of-token") == 0 || strcmp(path, "/tag-of-all") == 0) {
        char token[128];
        header_value(head, "If-None-Match: ", value, sizeof value);
        header_value(head, "Authorization: ", token, sizeof token);
        if (strcmp(path, "/tag-of-all") == 0)
            snprintf(token, sizeof token, "all");
        stub->conditional_count += value[0] != '\0';
        if (strlen(value) == strlen(token) + 2 && strncmp(value + 1, token, strlen(token)) == 0)
            ANSWER("304 Not Modified", "Cache-Control: public, max-age=1\r\nETag: \"%s\"\r\n", "", token);
        else
            ANSWER("200 OK", "Cache-Control: public, max-age=1\r\nETag: \"%s\"\r\n", "same", token);
    } else if (strcmp(path, "/cut") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=60\r\nContent-Length: 100\r\n", "short");
    } else if (strcmp(path, "/vary") == 0) {
        header_value(head, "Accept-Language: ", value, sizeof value);
        ANSWER("200 OK", "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n", "%s%d", value, number);
    } else if (strcmp(path, "/cookie") == 0) {
        ANSWER("200 OK", "Cache-Control: public, max-age=60\r\nETag: \"c\"\r\nSet-Cookie: who=you\r\n",
               "ok");
    } else if (strcmp(path, "/cdn") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=60\r\nCache-Status: cdn; hit\r\n", "ok");
    } else if (strcmp(path, "/swr") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=1, stale-while-revalidate=60\r\n", "%d", number);
    } else if (strcmp(path, "/state") == 0) {
        char state[256];
        int version;
        pthread_mutex_lock(&stub->lock);
        memcpy(state, stub->state, sizeof state);
        version = stub->state_number;
        pthread_mutex_unlock(&stub->lock);
        if (state[0] != '\0')
            ANSWER("200 OK", "Cache-Control: max-age=1\r\nETag: \"%d\"\r\n", "%s", version, state);
    } else if (strcmp(path, "/stream") == 0 || strcmp(path, "/stream-for-all") == 0) {
        if (strcmp(path, "/stream") == 0)
            ANSWER("200 OK", "Cache-Control: no-store\r\n", "");
        else
            ANSWER("200 OK", "Cache-Control: max-age=60\r\n", "");
        if (send_text(fd, text, strlen(text)))
            send_zeroes(stub, fd, STREAM_BYTES);
        return;
    } else if (strcmp(path, "/sizeable") == 0) {
        ANSWER("200 OK", "Cache-Control: max-age=60\r\nContent-Length: 600000\r\n", "");
        if (send_text(fd, text, strlen(text)))
            send_zeroes(stub, fd, SIZEABLE_BYTES);
        return;
    } else if (strcmp(path, "/large") == 0 || strcmp(path, "/large-unsaid") == 0) {
        if (strcmp(path, "/large") == 0)
            ANSWER("200 OK", "Cache-Control: max-age=60\r\nContent-Length: 300000\r\n", "");
        else
            ANSWER("200 OK", "Cache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n", "493e0\r\n");
        if (send_text(fd, text, strlen(text)))
            send_zeroes(stub, fd, 300000);
        if (strcmp(path, "/large-unsaid") == 0)
            send_text(fd, "\r\n0\r\n\r\n", 7);
        return;
    }
    send_text(fd, text, strlen(text));
}

static inline void *serve_visitor(void *argument)
{
    struct visitor *visitor = argument;
    struct stub *stub = visitor->stub;
    char head[8192];
    size_t size = 0, wanted = 0;
    const char *end = NULL;
    char length[32];

    while (end == NULL || size < wanted) {
        ssize_t got = recv(visitor->fd, head + size, sizeof head - 1 - size, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        head[size] = '\0';
        end = strstr(head, "\r\n\r\n");
        if (end != NULL) {
            header_value(head, "Content-Length: ", length, sizeof length);
            wanted = (size_t)(end + 4 - head) + strtoul(length, NULL, 10);
        }
    }
    if (end != NULL && size >= wanted) {
        int number = ++stub->request_count;
        bool is_failing;
        stub->named_count += strcasestr(head, "\nX-Named: ") != NULL;
        pthread_mutex_lock(&stub->lock);
        while (stub->is_held && strncmp(head, "GET ", 4) == 0 && number != stub->free_number)
            pthread_cond_wait(&stub->changed, &stub->lock);
        is_failing = stub->is_failing;
        pthread_mutex_unlock(&stub->lock);
        answer_visitor(stub, visitor->fd, head, number, wanted - (size_t)(end + 4 - head), is_failing);
    }
    shutdown(visitor->fd, SHUT_WR);
    while (recv(visitor->fd, head, sizeof head, 0) > 0)
        ;
    close(visitor->fd);
    free(visitor);
    stub->live_count--;
    return NULL;
}

static inline void *accept_visitors(void *argument)
{
    struct stub *stub = argument;
    int fd;

    while ((fd = accept(stub->fd, NULL, NULL)) >= 0) {
        struct visitor *visitor = malloc(sizeof *visitor);
        pthread_t thread;
        *visitor = (struct visitor){stub, fd};
        stub->live_count++;
        pthread_create(&thread, NULL, serve_visitor, visitor);
        pthread_detach(thread);
    }
    return NULL;
}

static inline void stub_start(struct stub *stub)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;

    *stub = (struct stub){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    pthread_mutex_init(&stub->lock, NULL);
    pthread_cond_init(&stub->changed, NULL);
    EXPECT(bind(stub->fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(stub->fd, 1024) == 0);
    getsockname(stub->fd, (struct sockaddr *)&address, &size);
    stub->port = ntohs(address.sin_port);
    pthread_create(&stub->thread, NULL, accept_visitors, stub);
}

static inline void stub_set(struct stub *stub, bool is_held, bool is_failing)
{
    pthread_mutex_lock(&stub->lock);
    stub->is_held = is_held;
    stub->is_failing = is_failing;
    pthread_cond_broadcast(&stub->changed);
    pthread_mutex_unlock(&stub->lock);
}

static inline void stub_set_state(struct stub *stub, const char *state)
{
    pthread_mutex_lock(&stub->lock);
    snprintf(stub->state, sizeof stub->state, "%s", state);
    stub->state_number++;
    pthread_mutex_unlock(&stub->lock);
}

/* From here on connections are refused. */
static inline void stub_stop(struct stub *stub)
{
    if (stub->fd < 0)
        return;
    stub_set(stub, false, stub->is_failing);
    shutdown(stub->fd, SHUT_RDWR);
    pthread_join(stub->thread, NULL);
    close(stub->fd);
    stub->fd = -1;
}

/* ---- the world ----------------------------------------------------------------------------------- */

/* A worker's part of a tier, made by a test that has one. */
typedef struct tier_worker *make_tier_worker(struct tier *tier, struct loop *loop, nh_store *store);

struct world {
    struct stub stub; /* not used if it has another's origin */
    nh_store *store;
    struct gateway *gateway;
    _Atomic int64_t forward_ms; /* how far the clock was put forward */
    struct clock clock;
    struct runner {
        struct world *world;
        struct loop *loop;
        struct gateway_worker *worker;
        struct counters counters;
        pthread_t thread;
    } runners[WORKERS];
};

static inline struct now world_now(void *context)
{
    struct world *world = context;
    struct now now = clock_read(&clock_system);
    now.mono_ms += world->forward_ms;
    now.wall_ms += world->forward_ms;
    return now;
}

static inline void *run_loop(void *argument)
{
    loop_run(((struct runner *)argument)->loop);
    return NULL;
}

/* `more_origins` follow the stub, which may be another world's, each after a new line. */
static inline struct world *world_create_full(int64_t stale_if_error_ms, const char *more_origins,
                                              const struct world *other, struct tier *tier,
                                              make_tier_worker *make)
{
    struct world *world = calloc(1, sizeof *world);
    char url[128];

    if (other == NULL)
        stub_start(&world->stub);
    else
        world->stub.fd = -1;
    world->clock = (struct clock){world_now, world};
    EXPECT_EQ(nh_create(NULL, &world->store), NH_OK);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", (other != NULL ? other : world)->stub.port,
             more_origins);
    EXPECT_EQ(
        gateway_create(
            &(struct gateway_options){
                .plan = {.upstreams = &(struct upstream_spec){.policy = {.origin_urls = url,
                                                                         .connect_timeout_ms = 5000,
                                                                         .retries_max = 1,
                                                                         .failures_max = 3,
                                                                         .out_ms = 500,
                                                                         .origin_connections_max = 64}},
                         .upstream_count = 1,
                         .policy = {.object_bytes_max = tier != NULL ? 1000000 : OBJECT_BYTES_MAX,
                                    .first_byte_timeout_ms = 60000000,
                                    .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                    .stale_if_error_ms = stale_if_error_ms,
                                    .live = 1,
                                    .live_interval_ms = 10000,
                                    .live_bytes_max = 4096,
                                    .live_ring_count = 4,
                                    .live_ring_bytes = 100000,
                                    .live_watchers_max = 100,
                                    .live_topics_max = 3}},
                .store = world->store,
                .tier = tier,
                .space = 3,
                .near_space = 9,
                .tier_timeout_ms = TIER_TIMEOUT_MS},
            &world->gateway),
        OK);
    for (size_t i = 0; i < WORKERS; i++) {
        struct runner *runner = &world->runners[i];
        runner->world = world;
        EXPECT_EQ(
            loop_create(&(struct loop_options){.kind = LOOP_EPOLL, .clock = &world->clock}, &runner->loop),
            OK);
        EXPECT_EQ(gateway_worker_create(world->gateway, runner->loop, &runner->counters, &runner->worker),
                  OK);
        if (tier != NULL)
            EXPECT_EQ(gateway_worker_use_tier(runner->worker, make(tier, runner->loop, world->store)), OK);
        pthread_create(&runner->thread, NULL, run_loop, runner);
    }
    return world;
}

static inline struct world *world_create_with(int64_t stale_if_error_ms, const char *more_origins)
{
    return world_create_full(stale_if_error_ms, more_origins, NULL, NULL, NULL);
}

static inline struct world *world_create(void) { return world_create_with(60000, ""); }

static inline void wait_until_true(bool (*holds)(void *), void *argument)
{
    for (int waited_ms = 0; !holds(argument); waited_ms++) {
        if (waited_ms > PATIENCE_MS)
            fail_msg("it did not come about");
        sleep_ms(1);
    }
}

struct call {
    struct task task;
    void (*function)(void *);
    void *argument;
    _Atomic bool is_done;
};

static inline void run_call(struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    call->function(call->argument);
    call->is_done = true;
}

static inline bool is_call_done(void *argument) { return ((struct call *)argument)->is_done; }

/* Runs `function` on the worker's thread and waits for it. */
static inline void on_worker(struct runner *runner, void (*function)(void *), void *argument)
{
    struct call *call = calloc(1, sizeof *call);
    *call = (struct call){.task = {.run = run_call}, .function = function, .argument = argument};
    loop_post(runner->loop, &call->task);
    wait_until_true(is_call_done, call);
    free(call);
}

struct idle_question {
    struct runner *runner;
    bool is_idle;
};
static inline void ask_idle(void *argument)
{
    struct idle_question *question = argument;
    gateway_worker_stop(question->runner->worker);
    question->is_idle = gateway_worker_is_idle(question->runner->worker);
}
static inline bool is_idle(void *argument)
{
    struct idle_question question = {argument, false};
    on_worker(argument, ask_idle, &question);
    return question.is_idle;
}

static inline void end_worker(struct runner *runner)
{
    if (runner->worker == NULL)
        return;
    loop_stop(runner->loop);
    pthread_join(runner->thread, NULL);
    gateway_worker_destroy(runner->worker);
    loop_destroy(runner->loop);
    runner->worker = NULL;
}

static inline bool are_visitors_gone(void *argument) { return ((struct stub *)argument)->live_count == 0; }

/* Everything has to come to rest by itself. */
static inline void world_destroy(struct world *world)
{
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < WORKERS; i++)
        if (world->runners[i].worker != NULL)
            wait_until_true(is_idle, &world->runners[i]);
    for (size_t i = 0; i < WORKERS; i++)
        end_worker(&world->runners[i]);
    stub_stop(&world->stub);
    wait_until_true(are_visitors_gone, &world->stub);
    gateway_destroy(world->gateway);
    nh_destroy(world->store);
    pthread_mutex_destroy(&world->stub.lock);
    pthread_cond_destroy(&world->stub.changed);
    free(world);
}

static inline void do_nothing(void *argument) { (void)argument; }

/* From now on requests begin under that plan, whose only upstream is the stub, on all workers. */
static inline void world_follow_plan(struct world *world, uint32_t retries_max, struct plan_spec spec)
{
    struct route_plan *plan;
    char url[128];

    snprintf(url, sizeof url, "http://127.0.0.1:%d/", world->stub.port);
    spec.upstreams = &(struct upstream_spec){.policy = {.origin_urls = url,
                                                        .connect_timeout_ms = 5000,
                                                        .retries_max = retries_max,
                                                        .failures_max = 3,
                                                        .out_ms = 500,
                                                        .origin_connections_max = 64}};
    spec.upstream_count = 1;
    EXPECT_EQ(gateway_plan(world->gateway, &spec, &plan), OK);
    gateway_follow(world->gateway, plan);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < WORKERS; i++)
            on_worker(&world->runners[i], do_nothing, NULL);
}

/* The same of a policy alone. */
static inline void world_follow(struct world *world, const struct route_policy *policy)
{
    world_follow_plan(world, 0, (struct plan_spec){.policy = *policy});
}

/* ---- clients ------------------------------------------------------------------------------------- */

struct client {
    struct exchange x;
    struct http_request request;
    struct http_text fields;
    struct runner *runner;
    struct bytes upload; /* the request's body */
    struct buffer head;  /* the answer's fields, as lines */
    struct buffer body;
    size_t room_bytes; /* what it takes before it stops reading */
    int status;
    _Atomic size_t received_bytes;
    _Atomic bool has_head, has_ended, was_aborted;
    bool was_promised; /* a length */
};

static inline struct client *client_of(const struct exchange *x)
{
    return CONTAINER_OF((uintptr_t)x, struct client, x);
}

static inline void on_read(struct exchange *x, bool wanted)
{
    struct client *client = client_of(x);
    struct bytes upload = client->upload;

    if (!wanted || upload.size == 0)
        return;
    client->upload.size = 0;
    x->engine->body(x, upload);
    x->engine->body_end(x);
}

static inline void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

static inline void on_respond(struct exchange *x, const struct http_response *response)
{
    struct client *client = client_of(x);

    client->status = response->status;
    client->was_promised = response->body_bytes >= 0;
    for (size_t i = 0; i < response->fields.count; i++)
        buffer_append_format(&client->head, "%.*s: %.*s\r\n", BYTES_PRINTF(response->fields.list[i].name),
                             BYTES_PRINTF(response->fields.list[i].value));
    buffer_append(&client->head, response->rendered);
    buffer_append_byte(&client->head, '\0');
    client->has_head = true;
}

static inline void on_send(struct exchange *x, struct bytes bytes)
{
    struct client *client = client_of(x);

    if (client->body.size < 4096)
        buffer_append(&client->body, bytes);
    client->received_bytes += bytes.size;
    client->room_bytes -= bytes.size < client->room_bytes ? bytes.size : client->room_bytes;
}

static inline size_t on_room(const struct exchange *x) { return client_of(x)->room_bytes; }
static inline void on_end(struct exchange *x) { client_of(x)->has_ended = true; }
static inline void on_abort(struct exchange *x)
{
    client_of(x)->was_aborted = true;
    client_of(x)->has_ended = true;
}

static const struct exchange_client fake_client = {on_read, on_inform, on_respond, on_send, on_room,
                                                   on_end,  on_abort,  NULL,       NULL};

static inline void begin_client(void *argument)
{
    struct client *client = argument;
    client->x.now = loop_now(client->runner->loop);
    client->x.engine->begin(client->runner->worker, &client->x);
}

static inline struct client *client_create(struct world *world, size_t worker, const char *method,
                                           const char *path, const char *fields)
{
    struct client *client = calloc(1, sizeof *client);

    http_text_read(&client->fields, fields);
    client->runner = &world->runners[worker];
    client->room_bytes = SIZE_MAX;
    client->request = (struct http_request){.method = http_method_find(bytes_of_text(method)),
                                            .method_name = bytes_of_text(method),
                                            .authority = BYTES("client.example"),
                                            .path = bytes_of_text(path),
                                            .minor_version = 1,
                                            .fields = client->fields.fields};
    client->x =
        (struct exchange){.engine = &gateway_engine, .client = &fake_client, .request = &client->request};
    return client;
}

static inline bool has_ended(void *client) { return ((struct client *)client)->has_ended; }
static inline bool has_head(void *client) { return ((struct client *)client)->has_head; }

static inline void client_start(struct client *client) { on_worker(client->runner, begin_client, client); }

static inline void client_destroy(struct client *client)
{
    buffer_fini(&client->head);
    buffer_fini(&client->body);
    free(client);
}

/* Sends a request and waits for the whole answer. */
static inline struct client *ask(struct world *world, const char *method, const char *path,
                                 const char *fields)
{
    struct client *client = client_create(world, 0, method, path, fields);
    client_start(client);
    wait_until_true(has_ended, client);
    return client;
}

static inline bool head_has(const struct client *client, const char *text)
{
    return strstr(client->head.data, text) != NULL;
}

/* Asks, and expects this of the answer; `in_head` may be null. */
static inline void expect_answer(struct world *world, const char *method, const char *path,
                                 const char *fields, int status, const char *body, const char *in_head)
{
    struct client *client = ask(world, method, path, fields);
    EXPECT_EQ(client->status, status);
    EXPECT(!client->was_aborted);
    if (body != NULL)
        EXPECT_TEXT(buffer_bytes(&client->body), bytes_of_text(body));
    if (in_head != NULL && !head_has(client, in_head))
        fail_msg("no \"%s\" in:\n%s", in_head, client->head.data);
    client_destroy(client);
}

struct count_wanted {
    _Atomic int *count;
    int wanted;
};
static inline bool has_count(void *argument)
{
    struct count_wanted *question = argument;
    return *question->count >= question->wanted;
}
static inline void wait_for_requests(struct world *world, int count)
{
    struct count_wanted question = {&world->stub.request_count, count};
    wait_until_true(has_count, &question);
}

static inline void leave(void *argument)
{
    struct client *client = argument;
    client->x.engine->gone(&client->x);
}
