/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* The gateway between clients made of memory and an origin that is a thread with a socket: two workers,
 * each with its own loop on its own thread, and a clock that can be put forward. */
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
    STREAM_BYTES = 32 * 1024 * 1024,
    COALESCE_TIMEOUT_MS = 10000
};

static void sleep_ms(int ms) { usleep((useconds_t)ms * 1000); }

/* ---- the origin ---------------------------------------------------------------------------------- */

struct stub {
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held, is_failing; /* under the lock; GETs are held back */
    _Atomic int request_count, conditional_count, live_count, closed_early_count;
    _Atomic size_t streamed_bytes;
};

struct visitor {
    struct stub *stub;
    int fd;
};

static bool send_text(int fd, const char *text, size_t size)
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

static void header_value(const char *head, const char *name, char *value, size_t size)
{
    const char *found = strcasestr(head, name);
    value[0] = '\0';
    if (found != NULL)
        snprintf(value, size, "%.*s", (int)strcspn(found + strlen(name), "\r"), found + strlen(name));
}

static void send_zeroes(struct stub *stub, int fd, size_t count)
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
static void answer_visitor(struct stub *stub, int fd, const char *head, int number, size_t body_bytes,
                           bool is_failing)
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
    } else if (strcmp(path, "/stream") == 0 || strcmp(path, "/stream-for-all") == 0) {
        if (strcmp(path, "/stream") == 0)
            ANSWER("200 OK", "Cache-Control: no-store\r\n", "");
        else
            ANSWER("200 OK", "Cache-Control: max-age=60\r\n", "");
        if (send_text(fd, text, strlen(text)))
            send_zeroes(stub, fd, STREAM_BYTES);
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

static void *serve_visitor(void *argument)
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
        pthread_mutex_lock(&stub->lock);
        while (stub->is_held && strncmp(head, "GET ", 4) == 0)
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

static void *accept_visitors(void *argument)
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

static void stub_start(struct stub *stub)
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

static void stub_set(struct stub *stub, bool is_held, bool is_failing)
{
    pthread_mutex_lock(&stub->lock);
    stub->is_held = is_held;
    stub->is_failing = is_failing;
    pthread_cond_broadcast(&stub->changed);
    pthread_mutex_unlock(&stub->lock);
}

/* From here on connections are refused. */
static void stub_stop(struct stub *stub)
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

struct world {
    struct stub stub;
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

static struct now world_now(void *context)
{
    struct world *world = context;
    struct now now = clock_read(&clock_system);
    now.mono_ms += world->forward_ms;
    now.wall_ms += world->forward_ms;
    return now;
}

static void *run_loop(void *argument)
{
    loop_run(((struct runner *)argument)->loop);
    return NULL;
}

/* `more_origins` follow the stub, each after a new line. */
static struct world *world_create_with(int64_t stale_if_error_ms, const char *more_origins)
{
    struct world *world = calloc(1, sizeof *world);
    char url[128];

    stub_start(&world->stub);
    world->clock = (struct clock){world_now, world};
    EXPECT_EQ(nh_create(NULL, &world->store), NH_OK);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", world->stub.port, more_origins);
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
                         .policy = {.object_bytes_max = OBJECT_BYTES_MAX,
                                    .first_byte_timeout_ms = 60000000,
                                    .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                    .stale_if_error_ms = stale_if_error_ms}},
                .store = world->store,
                .space = 3},
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
        pthread_create(&runner->thread, NULL, run_loop, runner);
    }
    return world;
}

static struct world *world_create(void) { return world_create_with(60000, ""); }

static void wait_until_true(bool (*holds)(void *), void *argument)
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

static void run_call(struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    call->function(call->argument);
    call->is_done = true;
}

static bool is_call_done(void *argument) { return ((struct call *)argument)->is_done; }

/* Runs `function` on the worker's thread and waits for it. */
static void on_worker(struct runner *runner, void (*function)(void *), void *argument)
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
static void ask_idle(void *argument)
{
    struct idle_question *question = argument;
    gateway_worker_stop(question->runner->worker);
    question->is_idle = gateway_worker_is_idle(question->runner->worker);
}
static bool is_idle(void *argument)
{
    struct idle_question question = {argument, false};
    on_worker(argument, ask_idle, &question);
    return question.is_idle;
}

static void end_worker(struct runner *runner)
{
    if (runner->worker == NULL)
        return;
    loop_stop(runner->loop);
    pthread_join(runner->thread, NULL);
    gateway_worker_destroy(runner->worker);
    loop_destroy(runner->loop);
    runner->worker = NULL;
}

static bool are_visitors_gone(void *argument) { return ((struct stub *)argument)->live_count == 0; }

/* Everything has to come to rest by itself. */
static void world_destroy(struct world *world)
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

static struct client *client_of(const struct exchange *x)
{
    return CONTAINER_OF((uintptr_t)x, struct client, x);
}

static void on_read(struct exchange *x, bool wanted)
{
    struct client *client = client_of(x);
    struct bytes upload = client->upload;

    if (!wanted || upload.size == 0)
        return;
    client->upload.size = 0;
    x->engine->body(x, upload);
    x->engine->body_end(x);
}

static void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

static void on_respond(struct exchange *x, const struct http_response *response)
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

static void on_send(struct exchange *x, struct bytes bytes)
{
    struct client *client = client_of(x);

    if (client->body.size < 4096)
        buffer_append(&client->body, bytes);
    client->received_bytes += bytes.size;
    client->room_bytes -= bytes.size < client->room_bytes ? bytes.size : client->room_bytes;
}

static size_t on_room(const struct exchange *x) { return client_of(x)->room_bytes; }
static void on_end(struct exchange *x) { client_of(x)->has_ended = true; }
static void on_abort(struct exchange *x)
{
    client_of(x)->was_aborted = true;
    client_of(x)->has_ended = true;
}

static const struct exchange_client fake_client = {on_read, on_inform, on_respond, on_send,
                                                   on_room, on_end,    on_abort,   NULL};

static void begin_client(void *argument)
{
    struct client *client = argument;
    client->x.now = loop_now(client->runner->loop);
    client->x.engine->begin(client->runner->worker, &client->x);
}

static struct client *client_create(struct world *world, size_t worker, const char *method,
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

static bool has_ended(void *client) { return ((struct client *)client)->has_ended; }
static bool has_head(void *client) { return ((struct client *)client)->has_head; }

static void client_start(struct client *client) { on_worker(client->runner, begin_client, client); }

static void client_destroy(struct client *client)
{
    buffer_fini(&client->head);
    buffer_fini(&client->body);
    free(client);
}

/* Sends a request and waits for the whole answer. */
static struct client *ask(struct world *world, const char *method, const char *path, const char *fields)
{
    struct client *client = client_create(world, 0, method, path, fields);
    client_start(client);
    wait_until_true(has_ended, client);
    return client;
}

static bool head_has(const struct client *client, const char *text)
{
    return strstr(client->head.data, text) != NULL;
}

/* Asks, and expects this of the answer; `in_head` may be null. */
static void expect_answer(struct world *world, const char *method, const char *path, const char *fields,
                          int status, const char *body, const char *in_head)
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
static bool has_count(void *argument)
{
    struct count_wanted *question = argument;
    return *question->count >= question->wanted;
}
static void wait_for_requests(struct world *world, int count)
{
    struct count_wanted question = {&world->stub.request_count, count};
    wait_until_true(has_count, &question);
}

static void leave(void *argument)
{
    struct client *client = argument;
    client->x.engine->gone(&client->x);
}

/* ---- tests --------------------------------------------------------------------------------------- */

TEST(what_is_fresh_is_asked_for_once)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/fresh", "", 200, "fresh",
                  "Cache-Status: nuthatch; fwd=uri-miss; fwd-status=200");
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "Cache-Status: nuthatch; hit; ttl=60");
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "Age: 0\r\n");
    expect_answer(world, "HEAD", "/fresh", "", 200, "", "; hit");
    expect_answer(world, "GET", "/fresh", "If-None-Match: W/\"v1\"", 304, "", "; hit");
    EXPECT_EQ(world->stub.request_count, 1);
    world->forward_ms += 59000;
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "Age: 59\r\n");
    EXPECT_EQ(world->stub.request_count, 1);
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "fwd=stale");
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(we_add_ourselves_after_the_caches_before_us)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/cdn", "", 200, "ok", "cdn; hit\r\nDate");
    for (int i = 0; i < 2; i++) {
        struct client *client = ask(world, "GET", "/cdn", "");
        EXPECT(strstr(client->head.data, "Cache-Status: cdn") <
               strstr(client->head.data, "Cache-Status: nuthatch; hit"));
        client_destroy(client);
    }
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

enum { CROWD = 1000 };

TEST(a_thousand_clients_of_two_workers_cause_one_request)
{
    struct world *world = world_create();
    struct client *clients[CROWD];
    uint64_t collapsed = 0;

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < CROWD; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/count", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 1);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < CROWD; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_EQ(clients[i]->status, 200);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("1"));
        EXPECT(i == 0 || head_has(clients[i], "; collapsed"));
        client_destroy(clients[i]);
    }
    for (size_t i = 0; i < WORKERS; i++)
        collapsed += counters_read(&world->runners[i].counters, METRIC_gateway_collapsed);
    EXPECT_EQ(collapsed, CROWD - 1);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

/* An order for /fresh by one who found nothing, or what came at `found_ms`. */
struct late_order {
    struct runner *runner;
    int64_t found_ms; /* -1: nothing */
    enum err err;
};

static void place_order(void *argument)
{
    struct late_order *late = argument;
    struct http_request request = {
        .method = HTTP_METHOD_GET, .method_name = BYTES("GET"), .path = BYTES("/fresh")};
    const struct route *route = plan_route(late->runner->worker->plan, &request);
    struct cache_key key;
    bool joined;

    EXPECT(route_key(route, &request, &key));
    late->err = fetch_join_or_begin(late->runner->worker,
                                    &(struct fetch_order){.route = route,
                                                          .request = &request,
                                                          .key = &key,
                                                          .has_found = late->found_ms >= 0,
                                                          .found_received_mono_ms = late->found_ms,
                                                          .is_shared = true},
                                    NULL, &joined);
}

/* Between a look at the store and the one at the fetches under way, one of these may have ended. */
TEST(what_has_come_since_one_looked_is_not_asked_for_again)
{
    struct world *world = world_create();
    struct late_order late = {.runner = &world->runners[1], .found_ms = -1};

    expect_answer(world, "GET", "/fresh", "", 200, "fresh", NULL);
    on_worker(late.runner, place_order, &late);
    EXPECT_EQ(late.err, ERR_CHANGED);
    late.found_ms = 1; /* another one than there is */
    on_worker(late.runner, place_order, &late);
    EXPECT_EQ(late.err, ERR_CHANGED);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

static bool has_handed_over(void *argument)
{
    struct world *world = argument;
    uint64_t count = 0;
    for (size_t i = 0; i < WORKERS; i++)
        count += counters_read(&world->runners[i].counters, METRIC_gateway_handovers);
    return count >= 5;
}

TEST(who_waits_too_long_for_anothers_request_asks_anew_once_for_all)
{
    enum { COUNT = 6 };
    struct world *world = world_create();
    struct client *clients[COUNT];

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/count", "");
        client_start(clients[i]);
        wait_for_requests(world, 1);
    }
    world->forward_ms += COALESCE_TIMEOUT_MS - 100;
    sleep_ms(50);
    EXPECT_EQ(world->stub.request_count, 1);
    world->forward_ms += 200;
    wait_for_requests(world, 2);
    wait_until_true(has_handed_over, world);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), i == 0 ? BYTES("1") : BYTES("2"));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(who_has_asked_anew_waits_for_its_own_request)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *second = client_create(world, 1, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    world->forward_ms += COALESCE_TIMEOUT_MS + 10;
    wait_for_requests(world, 2); /* by the second: now it leads, and waits for as long as it takes */
    world->forward_ms += 10 * COALESCE_TIMEOUT_MS;
    sleep_ms(50);
    EXPECT_EQ(world->stub.request_count, 2);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, first);
    wait_until_true(has_ended, second);
    EXPECT_EQ(second->status, 200);
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

TEST(who_insists_joins_no_request_from_before_it_came)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *insists = client_create(world, 1, "GET", "/count", "Cache-Control: no-cache");
    struct client *later = client_create(world, 0, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    sleep_ms(20); /* a moment is a millisecond */
    client_start(insists);
    wait_for_requests(world, 2);
    sleep_ms(20);
    client_start(later); /* any answer will do for it */
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, first);
    wait_until_true(has_ended, insists);
    wait_until_true(has_ended, later);
    EXPECT_TEXT(buffer_bytes(&first->body), BYTES("1"));
    EXPECT_TEXT(buffer_bytes(&insists->body), BYTES("2"));
    EXPECT_EQ(world->stub.request_count, 2);
    client_destroy(first);
    client_destroy(insists);
    client_destroy(later);
    world_destroy(world);
}

static void start_crowd_that_insists(void *argument)
{
    struct client **clients = argument;
    for (size_t i = 0; i < 100; i++)
        begin_client(clients[i]);
}

TEST(those_who_insist_in_the_same_moment_share_one_request)
{
    struct world *world = world_create();
    struct client *clients[100];

    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        clients[i] = client_create(world, 0, "GET", "/count", "Cache-Control: no-cache");
    on_worker(&world->runners[0], start_crowd_that_insists, clients);
    wait_for_requests(world, 2);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("2"));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(the_first_client_may_leave_and_the_others_are_served)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *second = client_create(world, 1, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    on_worker(first->runner, leave, first);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, second);
    EXPECT_TEXT(buffer_bytes(&second->body), BYTES("1"));
    EXPECT_EQ(world->stub.request_count, 1);
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

TEST(what_all_clients_left_is_stored_nevertheless)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(client);
    wait_for_requests(world, 1);
    on_worker(client->runner, leave, client);
    client_destroy(client);
    stub_set(&world->stub, false, false);
    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

TEST(a_private_answer_is_given_to_nobody_else_and_all_go_at_once)
{
    enum { COUNT = 40 };
    struct world *world = world_create();
    struct client *clients[COUNT];
    bool was_given[COUNT + 1] = {false};

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/private", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 1);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        int number;
        wait_until_true(has_ended, clients[i]);
        buffer_append_byte(&clients[i]->body, '\0');
        number = atoi(clients[i]->body.data);
        EXPECT(number >= 1 && number <= COUNT && !was_given[number]);
        was_given[number] = true;
        client_destroy(clients[i]);
    }
    /* Those who come now do not even wait for each other. */
    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/private", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 2 * COUNT);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        client_destroy(clients[i]);
    }
    world_destroy(world);
}

TEST(credentials_are_never_shared_without_permission)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/count", "Authorization: one", 200, "1", NULL);
    expect_answer(world, "GET", "/count", "Authorization: two", 200, "2", NULL);
    expect_answer(world, "GET", "/count", "Cookie: a=b", 200, "3", NULL);
    expect_answer(world, "GET", "/count", "", 200, "4", NULL);
    expect_answer(world, "GET", "/count", "", 200, "4", "; hit");
    expect_answer(world, "GET", "/count", "Authorization: one", 200, "5", NULL);
    world_destroy(world);
}

TEST(a_cookie_reaches_only_the_client_it_was_set_for)
{
    struct world *world = world_create();
    struct client *client;

    expect_answer(world, "GET", "/cookie", "", 200, "ok", "Set-Cookie: who=you\r\n");
    client = ask(world, "GET", "/cookie", "");
    EXPECT(head_has(client, "; hit") && !head_has(client, "who=you"));
    client_destroy(client);
    client = ask(world, "GET", "/cookie", "If-None-Match: \"c\"");
    EXPECT(client->status == 304 && !head_has(client, "who=you"));
    client_destroy(client);
    world_destroy(world);
}

TEST(variants_are_kept_apart_even_among_those_who_wait)
{
    static const char *const languages[] = {"Accept-Language: de", "Accept-Language: fr",
                                            "Accept-Language: de"};
    struct world *world = world_create();
    struct client *clients[COUNT_OF(languages)];

    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT_OF(languages); i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/vary", languages[i]);
        client_start(clients[i]);
    }
    wait_for_requests(world, 1);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT_OF(languages); i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(bytes_first(buffer_bytes(&clients[i]->body), 2),
                    bytes_after(bytes_of_text(languages[i]), 17));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    expect_answer(world, "GET", "/vary", "Accept-Language: de", 200, "de1", "; hit");
    expect_answer(world, "GET", "/vary", "Accept-Language: it", 200, "it3", "fwd=vary-miss");
    world_destroy(world);
}

TEST(a_write_forgets_all_variants)
{
    static const char *const methods[] = {"POST", "PURGE"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct world *world = world_create();
        expect_answer(world, "GET", "/vary", "Accept-Language: de", 200, "de1", NULL);
        expect_answer(world, "GET", "/vary", "Accept-Language: fr", 200, "fr2", NULL);
        expect_answer(world, "GET", "/count", "", 200, "3", NULL);
        expect_answer(world, methods[i], "/vary", "", 201, "0", "fwd=method");
        expect_answer(world, "GET", "/vary", "Accept-Language: de", 200, "de5", NULL);
        expect_answer(world, "GET", "/vary", "Accept-Language: fr", 200, "fr6", NULL);
        expect_answer(world, "GET", "/count", "", 200, "3", "; hit"); /* another URL, named in Location */
        world_destroy(world);
    }
}

TEST(a_write_that_failed_forgets_nothing)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/count", "", 200, "1", NULL);
    stub_set(&world->stub, false, true);
    expect_answer(world, "POST", "/count", "", 500, "broken", NULL);
    expect_answer(world, "GET", "/count", "", 200, "1", "; hit");
    world_destroy(world);
}

TEST(what_was_asked_for_before_a_write_is_not_stored_after_it)
{
    struct world *world = world_create();
    struct client *early = client_create(world, 0, "GET", "/count", ""), *late;

    stub_set(&world->stub, true, false);
    client_start(early);
    wait_for_requests(world, 1);
    expect_answer(world, "POST", "/count", "", 201, "0", NULL);
    /* Who comes after the write does not wait for what was asked before it. */
    late = client_create(world, 1, "GET", "/count", "");
    client_start(late);
    wait_for_requests(world, 3);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, early);
    wait_until_true(has_ended, late);
    EXPECT_TEXT(buffer_bytes(&late->body), BYTES("3"));
    client_destroy(early);
    client_destroy(late);
    expect_answer(world, "GET", "/count", "", 200, "3", "; hit");
    world_destroy(world);
}

TEST(a_request_s_body_reaches_the_origin)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "POST", "/count", "");

    client->upload = BYTES("a body");
    client->request.body_bytes = 6;
    client_start(client);
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), BYTES("6"));
    client_destroy(client);
    world_destroy(world);
}

TEST(a_304_freshens_the_entry_once_for_all_who_wait)
{
    enum { COUNT = 50 };
    struct world *world = world_create();
    struct client *clients[COUNT];

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    world->forward_ms += 3000;
    stub_set(&world->stub, true, false);
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_create(world, i % WORKERS, "GET", "/brief", "");
        client_start(clients[i]);
    }
    wait_for_requests(world, 2);
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_EQ(clients[i]->status, 200);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("old"));
        EXPECT(head_has(clients[i], "fwd-status=304") && head_has(clients[i], "X-New: yes") &&
               head_has(clients[i], "X-Old: yes") && head_has(clients[i], "max-age=10"));
        client_destroy(clients[i]);
    }
    expect_answer(world, "GET", "/brief", "", 200, "old", "; hit");
    EXPECT_EQ(world->stub.request_count, 2);
    EXPECT_EQ(world->stub.conditional_count, 1);
    world_destroy(world);
}

TEST(a_client_that_insists_has_its_answer_validated)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    expect_answer(world, "GET", "/brief", "Cache-Control: no-cache", 200, "old",
                  "fwd=request; fwd-status=304");
    expect_answer(world, "GET", "/brief", "Cache-Control: no-store", 200, "old",
                  "fwd=request; fwd-status=200");
    expect_answer(world, "GET", "/brief", "If-Match: \"v1\"", 200, "old", "fwd=bypass");
    world_destroy(world);
}

TEST(only_if_cached_never_reaches_the_origin)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/fresh", "Cache-Control: only-if-cached", 504, NULL,
                  "detail=only-if-cached");
    EXPECT_EQ(world->stub.request_count, 0);
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", NULL);
    expect_answer(world, "GET", "/fresh", "Cache-Control: only-if-cached", 200, "fresh", "; hit");
    world_destroy(world);
}

TEST(a_stale_answer_stands_in_for_an_origin_that_fails)
{
    struct world *world = world_create();

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    expect_answer(world, "GET", "/brief-strict", "", 200, "old", NULL);
    world->forward_ms += 5000;
    stub_set(&world->stub, false, true);
    expect_answer(world, "GET", "/brief", "", 200, "old", "fwd=stale; fwd-status=500; ttl=-4");
    expect_answer(world, "GET", "/brief-strict", "", 500, "broken", NULL);
    EXPECT_EQ(world->stub.request_count, 4);
    /* For a second it is not asked again. */
    expect_answer(world, "GET", "/brief", "", 200, "old", "detail=origin-failing");
    EXPECT_EQ(world->stub.request_count, 4);
    stub_stop(&world->stub);
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "Age: 7\r\n");
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "detail=origin-unreachable");
    expect_answer(world, "GET", "/brief", "Cache-Control: no-cache", 502, NULL, NULL);
    expect_answer(world, "GET", "/brief-strict", "", 502, NULL, "problem+json");
    expect_answer(world, "GET", "/never-seen", "", 502, NULL, "fwd=uri-miss");
    expect_answer(world, "GET", "/never-seen", "", 502, NULL, "detail=origin-failing");
    world->forward_ms += 60000; /* longer than stale_if_error_ms allows */
    expect_answer(world, "GET", "/brief", "", 502, NULL, NULL);
    EXPECT(counters_read(&world->runners[0].counters, METRIC_gateway_origin_errors) >= 4);
    world_destroy(world);
}

TEST(stale_is_not_served_on_error_unless_allowed)
{
    struct world *world = world_create_with(0, "");
    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    world->forward_ms += 5000;
    stub_set(&world->stub, false, true);
    expect_answer(world, "GET", "/brief", "", 500, "broken", NULL);
    world_destroy(world);
}

TEST(stale_is_served_while_it_is_revalidated)
{
    struct world *world = world_create();
    expect_answer(world, "GET", "/swr", "", 200, "1", NULL);
    world->forward_ms += 5000;
    expect_answer(world, "GET", "/swr", "", 200, "1", "ttl=-4; detail=stale-while-revalidate");
    wait_for_requests(world, 2);
    for (int tries = 0;; tries++) {
        struct client *client = ask(world, "GET", "/swr", "");
        bool is_new =
            bytes_equal(buffer_bytes(&client->body), BYTES("2")) && head_has(client, "; hit; ttl=1");
        client_destroy(client);
        if (is_new)
            break;
        EXPECT(tries < 1000);
        sleep_ms(1);
    }
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(a_body_cut_short_cuts_the_clients_and_is_not_stored)
{
    struct world *world = world_create();
    for (int i = 1; i <= 2; i++) {
        struct client *client = ask(world, "GET", "/cut", "");
        EXPECT(client->was_aborted);
        EXPECT_EQ(world->stub.request_count, i);
        client_destroy(client);
    }
    world_destroy(world);
}

TEST(a_body_too_large_to_store_is_passed_through)
{
    static const char *const paths[] = {"/large", "/large-unsaid"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct world *world = world_create();
        for (int j = 1; j <= 2; j++) {
            struct client *client = ask(world, "GET", paths[i], "");
            EXPECT(!client->was_aborted);
            EXPECT_EQ(client->received_bytes, 300000);
            EXPECT_EQ(world->stub.request_count, j);
            client_destroy(client);
        }
        world_destroy(world);
    }
}

static void give_room(void *argument)
{
    struct client *client = argument;
    client->room_bytes = SIZE_MAX;
    client->x.engine->writable(&client->x);
}

TEST(a_slow_client_holds_the_origin_back)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "GET", "/stream", "");
    size_t before;

    client->room_bytes = 1000;
    client_start(client);
    wait_until_true(has_head, client);
    do { /* until the sockets' own buffers are full, too */
        before = world->stub.streamed_bytes;
        sleep_ms(200);
    } while (world->stub.streamed_bytes != before);
    EXPECT(before < STREAM_BYTES / 2);
    EXPECT_EQ(client->received_bytes, 1000);
    on_worker(client->runner, give_room, client);
    wait_until_true(has_ended, client);
    EXPECT_EQ(client->received_bytes, STREAM_BYTES);
    client_destroy(client);
    world_destroy(world);
}

TEST(a_client_too_slow_for_the_others_is_cut)
{
    struct world *world = world_create();
    struct client *slow = client_create(world, 0, "GET", "/stream-for-all", "");
    struct client *fast[2];

    slow->room_bytes = 1000;
    stub_set(&world->stub, true, false);
    client_start(slow);
    for (size_t i = 0; i < COUNT_OF(fast); i++) {
        fast[i] = client_create(world, i, "GET", "/stream-for-all", "");
        client_start(fast[i]);
    }
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < COUNT_OF(fast); i++) {
        wait_until_true(has_ended, fast[i]);
        EXPECT(!fast[i]->was_aborted);
        EXPECT_EQ(fast[i]->received_bytes, STREAM_BYTES);
        client_destroy(fast[i]);
    }
    wait_until_true(has_ended, slow);
    EXPECT(slow->was_aborted);
    EXPECT_EQ(slow->received_bytes, 1000);
    EXPECT_EQ(world->stub.request_count, 1);
    EXPECT_EQ(counters_read(&world->runners[0].counters, METRIC_gateway_stragglers), 1);
    client_destroy(slow);
    world_destroy(world);
}

static bool has_closed_early(void *argument) { return ((struct stub *)argument)->closed_early_count > 0; }

TEST(what_nobody_wants_and_nobody_may_store_is_given_up)
{
    struct world *world = world_create();
    struct client *client = client_create(world, 0, "GET", "/stream", "");

    client->room_bytes = 1000;
    client_start(client);
    wait_until_true(has_head, client);
    on_worker(client->runner, leave, client);
    wait_until_true(has_closed_early, &world->stub);
    client_destroy(client);
    world_destroy(world);
}

TEST(the_end_of_a_worker_leaves_the_clients_of_others_served)
{
    struct world *world = world_create();
    struct client *first = client_create(world, 0, "GET", "/count", "");
    struct client *second = client_create(world, 1, "GET", "/count", "");

    stub_set(&world->stub, true, false);
    client_start(first);
    wait_for_requests(world, 1);
    client_start(second);
    on_worker(first->runner, leave, first);
    end_worker(&world->runners[0]); /* while its fetch is under way */
    wait_for_requests(world, 2);
    stub_set(&world->stub, false, false);
    wait_until_true(has_ended, second);
    EXPECT_EQ(second->status, 200);
    EXPECT_TEXT(buffer_bytes(&second->body), BYTES("2"));
    client_destroy(first);
    client_destroy(second);
    world_destroy(world);
}

static void leave_unless_over(void *argument)
{
    struct client *client = argument;
    if (!client->has_ended) {
        client->has_ended = true;
        client->x.engine->gone(&client->x);
    }
}

static void give_room_unless_over(void *argument)
{
    struct client *client = argument;
    if (!client->has_ended && client->room_bytes != SIZE_MAX)
        give_room(client);
}

enum { PRESENT = 40 };

/* One who reads slowly holds back all who read the same with him: when it takes long, all get room. */
static void wait_until_ended(struct client *client, struct client *const present[PRESENT])
{
    for (int waited_ms = 0; waited_ms < 100 && !has_ended(client); waited_ms++)
        sleep_ms(1);
    for (size_t i = 0; i < PRESENT && !has_ended(client); i++)
        if (present[i] != NULL)
            on_worker(present[i]->runner, give_room_unless_over, present[i]);
    wait_until_true(has_ended, client);
}

TEST(whoever_comes_and_goes_everybody_is_answered_and_all_comes_to_rest)
{
    enum { COUNT = 1500 };
    static const char *const paths[] = {"/fresh", "/count",  "/private", "/brief", "/brief-strict", "/cut",
                                        "/vary",  "/cookie", "/swr",     "/large", "/large-unsaid"};
    static const char *const fields[] = {"",
                                         "",
                                         "Accept-Language: de",
                                         "Authorization: a",
                                         "Cookie: a=b",
                                         "Cache-Control: no-cache",
                                         "If-None-Match: \"v1\"",
                                         "Range: bytes=0-1"};
    static const char *const methods[] = {"GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST"};
    struct world *world = world_create_with(60000, "\nhttp://127.0.0.1:1 weight=2"); /* which refuses */
    struct client *present[PRESENT] = {NULL};
    unsigned seed = 20261124;

    for (int i = 0; i < COUNT; i++) {
        struct client **slot = &present[(unsigned)rand_r(&seed) % PRESENT];
        unsigned chance = (unsigned)rand_r(&seed) % 100;

        if (chance < 3)
            stub_set(&world->stub, chance == 0, chance == 1);
        else if (chance < 8)
            world->forward_ms += 700;
        if (*slot != NULL) {
            if (chance < 40) {
                on_worker((*slot)->runner, leave_unless_over, *slot);
            } else {
                stub_set(&world->stub, false, chance == 41);
                on_worker((*slot)->runner, give_room_unless_over, *slot);
            }
            wait_until_ended(*slot, present);
            client_destroy(*slot);
        }
        *slot = client_create(world, (unsigned)rand_r(&seed) % WORKERS,
                              methods[(unsigned)rand_r(&seed) % COUNT_OF(methods)],
                              paths[(unsigned)rand_r(&seed) % COUNT_OF(paths)],
                              fields[(unsigned)rand_r(&seed) % COUNT_OF(fields)]);
        if (chance % 4 == 0)
            (*slot)->room_bytes = 3;
        client_start(*slot);
    }
    stub_set(&world->stub, false, false);
    for (size_t i = 0; i < PRESENT; i++) {
        if (present[i] == NULL)
            continue;
        on_worker(present[i]->runner, give_room_unless_over, present[i]);
        wait_until_ended(present[i], present);
        EXPECT(present[i]->status >= 200);
        client_destroy(present[i]);
        present[i] = NULL;
    }
    world_destroy(world);
}

TEST(an_origin_s_url_that_is_none_is_refused)
{
    static const char *const urls[] = {"",           "example.com",   "ftp://a",    "http://",
                                       "http:///",   "http://a?b",    "http://a#b", "http://u:p@a",
                                       "http://a b", "http://a/../b", "http://:80"};
    struct upstream *upstream;

    for (size_t i = 0; i < COUNT_OF(urls); i++)
        if (upstream_create(&(struct upstream_spec){.policy = {.origin_urls = (char *)(uintptr_t)urls[i]}},
                            NULL, &upstream) != ERR_SYNTAX)
            fail_msg("%s", urls[i]);
    EXPECT_EQ(
        upstream_create(&(struct upstream_spec){.policy = {.origin_urls = (char[]){"HTTPS://a:1/base/"}}},
                        NULL, &upstream),
        OK);
    upstream_release(upstream);
}

RUN_TESTS(TEST_ROW(what_is_fresh_is_asked_for_once),
          TEST_ROW(a_thousand_clients_of_two_workers_cause_one_request),
          TEST_ROW(what_has_come_since_one_looked_is_not_asked_for_again),
          TEST_ROW(who_waits_too_long_for_anothers_request_asks_anew_once_for_all),
          TEST_ROW(who_has_asked_anew_waits_for_its_own_request),
          TEST_ROW(who_insists_joins_no_request_from_before_it_came),
          TEST_ROW(those_who_insist_in_the_same_moment_share_one_request),
          TEST_ROW(the_first_client_may_leave_and_the_others_are_served),
          TEST_ROW(what_all_clients_left_is_stored_nevertheless),
          TEST_ROW(a_private_answer_is_given_to_nobody_else_and_all_go_at_once),
          TEST_ROW(credentials_are_never_shared_without_permission),
          TEST_ROW(a_cookie_reaches_only_the_client_it_was_set_for),
          TEST_ROW(variants_are_kept_apart_even_among_those_who_wait),
          TEST_ROW(a_write_forgets_all_variants), TEST_ROW(a_write_that_failed_forgets_nothing),
          TEST_ROW(what_was_asked_for_before_a_write_is_not_stored_after_it),
          TEST_ROW(a_request_s_body_reaches_the_origin),
          TEST_ROW(a_304_freshens_the_entry_once_for_all_who_wait),
          TEST_ROW(a_client_that_insists_has_its_answer_validated),
          TEST_ROW(only_if_cached_never_reaches_the_origin),
          TEST_ROW(a_stale_answer_stands_in_for_an_origin_that_fails),
          TEST_ROW(stale_is_not_served_on_error_unless_allowed),
          TEST_ROW(stale_is_served_while_it_is_revalidated),
          TEST_ROW(a_body_cut_short_cuts_the_clients_and_is_not_stored),
          TEST_ROW(a_body_too_large_to_store_is_passed_through),
          TEST_ROW(a_slow_client_holds_the_origin_back), TEST_ROW(a_client_too_slow_for_the_others_is_cut),
          TEST_ROW(what_nobody_wants_and_nobody_may_store_is_given_up),
          TEST_ROW(the_end_of_a_worker_leaves_the_clients_of_others_served),
          TEST_ROW(we_add_ourselves_after_the_caches_before_us),
          TEST_ROW(whoever_comes_and_goes_everybody_is_answered_and_all_comes_to_rest),
          TEST_ROW(an_origin_s_url_that_is_none_is_refused))
