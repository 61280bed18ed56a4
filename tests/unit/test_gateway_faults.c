/* clang-format off */
/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=nh_put,--wrap=nh_cas,--wrap=nh_borrow,--wrap=nh_peek,--wrap=nh_make_stale,--wrap=upstream_call_start */
/* clang-format on */
/* Each thing that the gateway needs for a request fails once: its n-th allocation, of our own or of
 * libcurl's, its n-th call of the store, its n-th call of an origin. Whoever asked gets the right answer,
 * an error or an end, never a wrong one and never nothing; and who asks next gets the right answer.
 *
 * One thread runs the gateway and its clients, another the origin. What leaks AddressSanitizer tells. */
#include "base/compiler.h"
#include "engine/gateway/gateway.h"
#include "engine/gateway/purge.h"
#include "engine/gateway/routing/upstream_call.h"
#include "http_text.h"
#include "message/exchange.h"
#include "test.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum { ATTEMPTS_MAX = 2000, PATIENCE_MS = 30000, LARGE_BYTES = 150000, STREAM_BYTES = 300000 };
enum { LONG_BYTES = 300 }; /* of a field: no head fits into what a buffer begins with */

/* ---- what fails ---------------------------------------------------------------------------------- */

enum fault { FAULT_MEMORY = 1, FAULT_CURL = 2, FAULT_STORE = 4, FAULT_ORIGIN = 8 };

/* How many of those of the kind still succeed before one fails; negative: all do. Of this thread alone;
 * volatile, as compilers know malloc and think that it looks at nothing of ours. */
static _Thread_local volatile int successes_left = -1;
static _Thread_local volatile unsigned failing_kind;

static bool must_fail(enum fault kind)
{
    if (successes_left < 0 || (failing_kind & kind) == 0)
        return false;
    successes_left = successes_left - 1;
    return successes_left < 0;
}

/* The linker sends the calls of the functions of these names here. */
#define WRAP(kind, type, name, failure, parameters, arguments)                                             \
    type __real_##name parameters;                                                                         \
    __attribute__((used)) type __wrap_##name parameters;                                                   \
    type __wrap_##name parameters { return must_fail(kind) ? failure : __real_##name arguments; }
WRAP(FAULT_MEMORY, void *, malloc, NULL, (size_t size), (size))
WRAP(FAULT_MEMORY, void *, calloc, NULL, (size_t count, size_t size), (count, size))
WRAP(FAULT_MEMORY, void *, realloc, NULL, (void *block, size_t size), (block, size))
WRAP(FAULT_STORE, nh_result, nh_put, NH_FULL,
     (nh_store * store, int64_t now_ms, nh_key key, nh_bytes value, const nh_put_options *options,
      uint64_t *version),
     (store, now_ms, key, value, options, version))
WRAP(FAULT_STORE, nh_result, nh_cas, NH_FULL,
     (nh_store * store, int64_t now_ms, nh_key key, nh_bytes value, const nh_put_options *options,
      uint64_t expected_version, uint64_t *version),
     (store, now_ms, key, value, options, expected_version, version))
WRAP(FAULT_STORE, nh_result, nh_borrow, NH_NO_MEMORY,
     (nh_store * store, int64_t now_ms, nh_key key, nh_value *value), (store, now_ms, key, value))
WRAP(FAULT_STORE, nh_result, nh_peek, NH_NO_MEMORY,
     (nh_store * store, int64_t now_ms, nh_key key, nh_value *value), (store, now_ms, key, value))
WRAP(FAULT_STORE, nh_result, nh_make_stale, NH_FULL, (nh_store * store, int64_t now_ms, nh_key key),
     (store, now_ms, key))
WRAP(FAULT_ORIGIN, enum err, upstream_call_start, ERR_NO_MEMORY,
     (struct upstream_call * sending, struct upstream_worker *worker, struct loop *loop,
      struct counters *counters, const struct upstream_request *request,
      const struct origin_callbacks *callbacks, void *owner, struct origin_call **call),
     (sending, worker, loop, counters, request, callbacks, owner, call))

static void *curl_malloc(size_t size) { return must_fail(FAULT_CURL) ? NULL : __real_malloc(size); }
static void *curl_calloc(size_t count, size_t size)
{
    return must_fail(FAULT_CURL) ? NULL : __real_calloc(count, size);
}
static void *curl_realloc(void *block, size_t size)
{
    return must_fail(FAULT_CURL) ? NULL : __real_realloc(block, size);
}
static char *curl_strdup(const char *text) { return must_fail(FAULT_CURL) ? NULL : strdup(text); }

/* ---- the origin: a thread for each connection ------------------------------------------------------ */

struct stub {
    int fd;
    uint16_t port;
    pthread_t thread;
    _Atomic int live_count;
};

struct visitor {
    struct stub *stub;
    int fd;
};

/* What the whole of a path's body is; the path up to its second '/' says which. */
static void append_body(struct buffer *body, const char *path)
{
    size_t bytes = strncmp(path, "/large", 6) == 0    ? LARGE_BYTES
                   : strncmp(path, "/stream", 7) == 0 ? STREAM_BYTES
                   : strncmp(path, "/coded", 6) == 0  ? 5000
                                                      : 10;

    for (size_t i = 0; i < bytes; i++)
        buffer_append_byte(body, (char)('a' + (i / 7 + i) % 23));
}

static bool send_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes = bytes_after(bytes, (size_t)sent);
    }
    return true;
}

static void answer_visitor(int fd, const char *head)
{
    struct buffer text = {0}, body = {0};
    char method[16], path[128];

    sscanf(head, "%15s %127s", method, path);
    append_body(&body, path);
    if (strcmp(method, "POST") == 0) {
        buffer_append_literal(&text, "HTTP/1.1 204 No Content\r\n");
        buffer_clear(&body);
    } else if (strcasestr(head, "\r\nIf-None-Match: ") != NULL) {
        buffer_append_literal(&text, "HTTP/1.1 304 Not Modified\r\n");
        buffer_clear(&body);
    } else if (strcasestr(head, "\r\nRange: bytes=2-5\r\n") != NULL) {
        buffer_append_literal(&text, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-5/10\r\n");
        buffer_consume(&body, 2);
        body.size = 4;
    } else {
        buffer_append_literal(&text, "HTTP/1.1 200 OK\r\n");
    }
    buffer_append_format(&text, "X-Secret: of the origin\r\nX-Long: %0*d\r\n", LONG_BYTES, 0);
    if (strncmp(path, "/stream", 7) == 0)
        buffer_append_literal(&text, "Cache-Control: no-store\r\n");
    else if (strncmp(path, "/brief", 6) == 0)
        buffer_append_literal(&text, "Cache-Control: max-age=1\r\nETag: \"v\"\r\n");
    else
        buffer_append_literal(&text, "Cache-Control: max-age=600\r\nETag: \"v\"\r\n");
    if (strncmp(path, "/pages", 6) == 0)
        buffer_append_literal(&text, "Access-Control-Allow-Origin: *\r\n");
    if (strncmp(path, "/vary", 5) == 0)
        buffer_append_literal(&text, "Vary: Accept-Language, X-Kind\r\n");
    if (strncmp(path, "/tags", 5) == 0)
        buffer_append_literal(&text, "Surrogate-Key: a b c\r\nCache-Groups: \"d\"\r\n");
    buffer_append_format(
        &text, "Content-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", body.size);
    if (strcmp(method, "HEAD") != 0)
        buffer_append(&text, buffer_bytes(&body));
    send_all(fd, buffer_bytes(&text));
    buffer_fini(&text);
    buffer_fini(&body);
}

static void *serve_visitor(void *argument)
{
    struct visitor *visitor = argument;
    char head[8192];
    size_t size = 0;
    ssize_t got;

    while (size < sizeof head - 1 &&
           (got = recv(visitor->fd, head + size, sizeof head - 1 - size, 0)) > 0) {
        size += (size_t)got;
        head[size] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL) {
            answer_visitor(visitor->fd, head);
            break;
        }
    }
    close(visitor->fd);
    visitor->stub->live_count--;
    free(visitor);
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

    stub->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(bind(stub->fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(stub->fd, 64) == 0);
    getsockname(stub->fd, (struct sockaddr *)&address, &size);
    stub->port = ntohs(address.sin_port);
    pthread_create(&stub->thread, NULL, accept_visitors, stub);
}

static void stub_stop(struct stub *stub)
{
    shutdown(stub->fd, SHUT_RDWR);
    pthread_join(stub->thread, NULL);
    close(stub->fd);
    for (int waited_ms = 0; stub->live_count > 0; waited_ms++) {
        EXPECT(waited_ms < PATIENCE_MS);
        usleep(1000);
    }
}

/* ---- the world ------------------------------------------------------------------------------------- */

struct world {
    struct stub stub;
    nh_store *store;
    struct gateway *gateway;
    bool is_plain;        /* nothing is said to pages of others, nor the request's id */
    char *key_headers;    /* what of a request is in its key */
    int64_t forward_ms;   /* of both clocks */
    int64_t wall_jump_ms; /* of the wall's alone, besides */
    struct clock clock;
    struct loop *loop;
    struct gateway_worker *worker;
    struct counters counters;
    struct timer deadline;
    bool is_late;
    const char *at; /* the path that is asked for */
};

static struct now world_now(void *context)
{
    const struct world *world = context;
    struct now now = clock_read(&clock_system);
    now.mono_ms += world->forward_ms;
    now.wall_ms += world->forward_ms + world->wall_jump_ms;
    return now;
}

static void run_out(struct timer *timer)
{
    struct world *world = CONTAINER_OF(timer, struct world, deadline);
    world->is_late = true;
    loop_stop(world->loop);
}

/* Who may see the answers; the origin's own word, which the gateway replaces, is that all may. */
static char page_origins[] = "https://a.example";

static enum err make_gateway(struct world *world, struct gateway **gateway)
{
    char url[64];
    static char secret[] = "X-Secret";
    static char *removed[] = {secret};
    struct route_policy policy = {.object_bytes_max = 1 << 20,
                                  .first_byte_timeout_ms = 20000,
                                  .coalesce_timeout_ms = 10000,
                                  .compress = 1,
                                  .compress_bytes_min = 1000,
                                  .caches_post = 0,
                                  .key_headers = world->key_headers,
                                  .cors_origins = world->is_plain ? NULL : page_origins,
                                  .request_id = !world->is_plain};

    snprintf(url, sizeof url, "http://127.0.0.1:%d/", world->stub.port);
    return gateway_create(
        &(struct gateway_options){
            .plan = {.upstreams = &(struct upstream_spec){.policy = {.origin_urls = url,
                                                                     .connect_timeout_ms = 5000,
                                                                     .origin_connections_max = 64}},
                     .upstream_count = 1,
                     .routes =
                         &(struct route_spec){.policy = policy,
                                              .response_fields = {.removed = removed, .removed_count = 1}},
                     .route_count = 1,
                     .policy = policy},
            .store = world->store,
            .space = 3},
        gateway);
}

static struct world *world_create_as(bool is_plain, char *key_headers)
{
    struct world *world = calloc(1, sizeof *world);

    world->is_plain = is_plain;
    world->key_headers = key_headers;
    stub_start(&world->stub);
    world->clock = (struct clock){world_now, world};
    timer_init(&world->deadline, run_out);
    EXPECT_EQ(nh_create(NULL, &world->store), NH_OK);
    EXPECT_EQ(make_gateway(world, &world->gateway), OK);
    EXPECT_EQ(loop_create(&(struct loop_options){.kind = LOOP_EPOLL, .clock = &world->clock}, &world->loop),
              OK);
    EXPECT_EQ(gateway_worker_create(world->gateway, world->loop, &world->counters, &world->worker), OK);
    return world;
}

static struct world *world_create(void) { return world_create_as(false, NULL); }

static void run_until(struct world *world, bool (*holds)(void *), void *argument)
{
    timer_set(world->loop, &world->deadline, clock_read(&world->clock).mono_ms + PATIENCE_MS);
    while (!holds(argument) && !world->is_late)
        loop_run(world->loop);
    timer_cancel(world->loop, &world->deadline);
    if (world->is_late)
        fail_msg("nothing happens any more: %s", world->at);
}

static void look_again(struct task *task) { (void)task; }

/* ---- clients ---------------------------------------------------------------------------------------- */

struct client {
    struct exchange x;
    struct http_request request;
    struct http_text fields;
    struct world *world;
    struct buffer body;
    struct buffer head; /* the fields that were rendered */
    int status;
    bool is_coded, has_ended, was_aborted;
};

static struct client *client_of(const struct exchange *x)
{
    return CONTAINER_OF((uintptr_t)x, struct client, x);
}

static void on_read(struct exchange *x, bool wanted) { (void)x, (void)wanted; }

static void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

/* What the test itself allocates does not fail. */
static void keep(struct buffer *buffer, struct bytes bytes)
{
    int left = successes_left;

    successes_left = -1;
    buffer_append(buffer, bytes);
    successes_left = left;
}

/* Whole lines of names and values, whatever there was no memory for. */
static void expect_well_formed(struct bytes rendered)
{
    while (rendered.size > 0) {
        const char *end = memmem(rendered.data, rendered.size, "\r\n", 2);
        const char *colon = end != NULL ? memchr(rendered.data, ':', (size_t)(end - rendered.data)) : NULL;
        if (colon == NULL || !http_is_token(bytes_of(rendered.data, (size_t)(colon - rendered.data))) ||
            !http_is_field_value(bytes_of(colon + 1, (size_t)(end - colon - 1))))
            fail_msg("no field line: %.*s", BYTES_PRINTF(rendered));
        rendered = bytes_after(rendered, (size_t)(end + 2 - rendered.data));
    }
}

static bool has_name(struct bytes rendered, const char *name)
{
    return rendered.size > 0 && memmem(rendered.data, rendered.size, name, strlen(name)) != NULL;
}

static void on_respond(struct exchange *x, const struct http_response *response)
{
    struct client *client = client_of(x);
    struct bytes rendered = response->rendered;

    expect_well_formed(rendered);
    EXPECT(!has_name(rendered, "X-Secret"));
    EXPECT(response->status != 206 || has_name(rendered, "Content-Range: "));
    EXPECT(response->status != 304 || has_name(rendered, "ETag: ") ||
           http_fields_find(&response->fields, HTTP_HEADER_CACHE_CONTROL) != NULL);
    EXPECT((response->status != 403 && response->status != 503) ||
           has_name(rendered, "Cache-Control: no-store\r\n") ||
           http_fields_find(&response->fields, HTTP_HEADER_CACHE_CONTROL) != NULL);

    client->status = response->status;
    EXPECT(client->world->is_plain || !has_name(rendered, "-Allow-Origin: *"));
    for (size_t i = 0; i < response->fields.count; i++) {
        keep(&client->head, response->fields.list[i].name);
        keep(&client->head, BYTES(": "));
        keep(&client->head, response->fields.list[i].value);
        keep(&client->head, BYTES("\r\n"));
    }
    keep(&client->head, rendered);
    client->is_coded =
        http_fields_find(&response->fields, HTTP_HEADER_CONTENT_ENCODING) != NULL ||
        (rendered.size > 0 && memmem(rendered.data, rendered.size, "Content-Encoding", 16) != NULL);
}

static void on_send(struct exchange *x, struct bytes bytes) { keep(&client_of(x)->body, bytes); }

static size_t on_room(const struct exchange *x)
{
    (void)x;
    return 100000;
}

static void on_end(struct exchange *x)
{
    client_of(x)->has_ended = true;
    loop_stop(client_of(x)->world->loop);
}

static void on_abort(struct exchange *x)
{
    client_of(x)->was_aborted = true;
    on_end(x);
}

static const struct exchange_client fake_client = {on_read, on_inform, on_respond, on_send, on_room,
                                                   on_end,  on_abort,  NULL,       NULL};

static bool has_ended(void *client) { return ((struct client *)client)->has_ended; }

struct start {
    struct task task;
    struct client *client;
    int successes;
    enum fault kind;
};

/* On the loop, as a connection would. */
static void start(struct task *task)
{
    struct start *begun = CONTAINER_OF(task, struct start, task);
    struct client *client = begun->client;

    client->x.now = loop_now(client->world->loop);
    failing_kind = begun->kind;
    successes_left = begun->successes;
    client->x.engine->begin(client->world->worker, &client->x);
}

static void expect_body(const struct client *client, const char *path, const char *method)
{
    struct buffer wanted = {0};

    append_body(&wanted, path);
    if (strcmp(method, "HEAD") == 0 || client->status == 204) {
        buffer_clear(&wanted);
    } else if (client->status == 206) {
        buffer_consume(&wanted, 2);
        wanted.size = 4;
    }
    if (client->is_coded && wanted.size > 0) {
        char plain[8192];
        z_stream stream = {.next_in = (Bytef *)client->body.data,
                           .avail_in = (uInt)client->body.size,
                           .next_out = (Bytef *)plain,
                           .avail_out = sizeof plain};
        EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
        EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
        EXPECT_TEXT(bytes_of(plain, stream.total_out), buffer_bytes(&wanted));
        inflateEnd(&stream);
    } else {
        if (!bytes_equal(buffer_bytes(&client->body), buffer_bytes(&wanted)))
            fail_msg("%s %s: %zu bytes that are not the %zu wanted\n%.*s", method, path, client->body.size,
                     wanted.size, BYTES_PRINTF(buffer_bytes(&client->head)));
    }
    buffer_fini(&wanted);
}

static void client_destroy(struct client *client)
{
    buffer_fini(&client->head);
    buffer_fini(&client->body);
    free(client);
}

static struct client *client_create(struct world *world, const char *method, const char *path,
                                    const char *fields)
{
    struct client *client = calloc(1, sizeof *client);

    http_text_read(&client->fields, fields);
    client->world = world;
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

/* Asks with the call after `successes` of the kind failing, if that is not negative. True if it came to
 * that. */
static bool ask(struct world *world, const char *method, const char *path, const char *fields,
                int successes, enum fault kind)
{
    struct client *client = client_create(world, method, path, fields);
    struct start begun = {.task = {.run = start}, .client = client, .successes = successes, .kind = kind};
    bool has_failed;

    world->at = path;
    loop_post(world->loop, &begun.task);
    run_until(world, has_ended, client);
    has_failed = successes >= 0 && successes_left < 0;
    successes_left = -1;
    if (!has_failed && (client->was_aborted || client->status < 200 ||
                        (client->status >= 300 && client->status != 304 && client->status != 403 &&
                         client->status != 416)))
        fail_msg("%s %s (%s), kind %d, %d before the fault: %d, %saborted\n%.*s", method, path, fields,
                 (int)kind, successes, client->status, client->was_aborted ? "" : "not ",
                 BYTES_PRINTF(buffer_bytes(&client->head)));
    if (!client->was_aborted && client->status < 300)
        expect_body(client, path, method);
    else if (client->status == 304 || client->status == 416)
        EXPECT_EQ(client->body.size, 0);
    else
        EXPECT(client->was_aborted || client->status == 403 || client->status == 502 ||
               client->status == 503 || client->status == 504);
    client_destroy(client);
    return has_failed;
}

static bool is_idle(void *argument)
{
    struct world *world = argument;
    static struct task again = {.run = look_again};

    gateway_worker_stop(world->worker);
    if (gateway_worker_is_idle(world->worker))
        return true;
    loop_post(world->loop, &again);
    loop_stop(world->loop);
    return false;
}

static void world_destroy(struct world *world)
{
    run_until(world, is_idle, world);
    gateway_worker_destroy(world->worker);
    loop_destroy(world->loop);
    gateway_destroy(world->gateway);
    nh_destroy(world->store);
    stub_stop(&world->stub);
    free(world);
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static const struct row {
    const char *path, *method, *fields;
    const char *before; /* fields of a GET that is asked first; null: none is */
    int64_t forward_ms; /* the clock's step before the request */
} rows[] = {
    {"/fresh", "GET", "", NULL, 0},
    {"/fresh", "GET", "", "", 0}, /* a hit */
    {"/fresh", "HEAD", "", "", 0},
    {"/fresh", "HEAD", "", NULL, 0},
    {"/fresh", "POST", "", "", 0},
    {"/fresh", "GET", "Cache-Control: no-cache\n", "", 0},
    {"/tags", "GET", "", NULL, 0},
    {"/pages", "GET", "Origin: https://b.example\n", NULL, 0},
    {"/pages", "GET", "Origin: https://a.example\n", "", 0},
    {"/pages", "OPTIONS", "Origin: https://a.example\nAccess-Control-Request-Method: GET\n", NULL, 0},
    {"/pages", "OPTIONS", "Origin: https://no.example\nAccess-Control-Request-Method: GET\n", NULL,
     0}, /* 403 */
    {"/vary", "GET", "Accept-Language: de\nX-Kind: a\n", NULL, 0},
    {"/vary", "GET", "Accept-Language: de\nX-Kind: a\n", "Accept-Language: en\nX-Kind: b\n", 0},
    {"/vary", "GET", "Accept-Language: de\nX-Kind: a\n", "Accept-Language: de\nX-Kind: a\n", 0},
    {"/brief", "GET", "", "", 5000},                      /* validated */
    {"/fresh", "GET", "If-None-Match: \"v\"\n", "", 0},   /* 304 from the store */
    {"/fresh", "GET", "If-None-Match: \"v\"\n", NULL, 0}, /* and of what is fetched */
    {"/fresh", "GET", "Range: bytes=90-\n", "", 0},       /* 416 */
    {"/parts", "GET", "Range: bytes=2-5\n", NULL, 0},
    {"/parts", "GET", "Range: bytes=2-5\n", "Range: bytes=2-5\n", 0},
    {"/parts", "GET", "Range: bytes=2-5\n", "", 0},
    {"/coded", "GET", "Accept-Encoding: gzip\n", NULL, 0},
    {"/coded", "GET", "Accept-Encoding: gzip\n", "Accept-Encoding: gzip\n", 0},
    {"/coded", "GET", "", "Accept-Encoding: gzip\n", 0},
    {"/large", "GET", "", NULL, 0},
    {"/large", "GET", "", "", 0},
    {"/stream", "GET", "", NULL, 0},
};

/* Each call of the kind that the row's request leads to fails once. Returns how many there are. */
static int sweep(struct world *world, const struct row *row, size_t number, enum fault kind)
{
    for (int n = 0;; n++) {
        char path[64];
        bool has_failed;

        EXPECT(n < ATTEMPTS_MAX);
        snprintf(path, sizeof path, "%s/%zu-%d-%d", row->path, number, (int)kind, n);
        if (row->before != NULL)
            ask(world, "GET", path, row->before, -1, kind);
        world->forward_ms += row->forward_ms;
        has_failed = ask(world, row->method, path, row->fields, n, kind);
        ask(world, row->method, path, row->fields, -1, kind);
        ask(world, "GET", path, row->fields, -1, kind); /* what is kept by then is whole and right */
        if (!has_failed)
            return n;
    }
}

static void sweep_all(enum fault kind, bool is_plain)
{
    struct world *world = world_create_as(is_plain, NULL);
    int count = 0;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        count += sweep(world, &rows[i], i, kind);
    world_destroy(world);
    EXPECT(count > 0);
}

TEST(an_allocation_that_fails_costs_one_answer_at_most) { sweep_all(FAULT_MEMORY, false); }

TEST(an_allocation_that_fails_lets_no_field_through_that_the_route_removes)
{
    sweep_all(FAULT_MEMORY, true);
}

TEST(a_store_that_fails_costs_nothing_but_the_hit) { sweep_all(FAULT_STORE, false); }

TEST(an_origin_that_cannot_be_asked_costs_one_answer_at_most) { sweep_all(FAULT_ORIGIN, false); }

/* libcurl allocates some hundred times for a request. */
TEST(an_allocation_of_libcurl_that_fails_costs_one_answer_at_most)
{
    struct world *world = world_create();

    EXPECT(sweep(world, &rows[0], 0, FAULT_CURL) > 10);
    world_destroy(world);
}

TEST(a_gateway_is_made_or_not)
{
    struct world *world = world_create();
    bool has_failed = true;

    for (int n = 0; has_failed; n++) {
        struct gateway *gateway = NULL;
        struct gateway_worker *worker = NULL;
        enum err err;

        EXPECT(n < ATTEMPTS_MAX);
        failing_kind = FAULT_MEMORY;
        successes_left = n;
        err = make_gateway(world, &gateway);
        if (err == OK)
            err = gateway_worker_create(gateway, world->loop, &world->counters, &worker);
        has_failed = successes_left < 0;
        successes_left = -1;
        EXPECT_EQ(err, has_failed ? ERR_NO_MEMORY : OK);
        if (worker != NULL)
            gateway_worker_destroy(worker);
        if (gateway != NULL)
            gateway_destroy(gateway);
    }
    world_destroy(world);
}

TEST(a_purge_is_carried_out_or_refused)
{
    static const struct purge_order orders[] = {
        {.kind = PURGE_URL, .text = BYTES_INIT("/fresh/x")},
        {.kind = PURGE_PREFIX, .text = BYTES_INIT("/fresh/")},
        {.kind = PURGE_PREFIX, .is_soft = true, .text = BYTES_INIT("/")},
        {.kind = PURGE_TAG, .text = BYTES_INIT("a")},
        {.kind = PURGE_ALL}};
    struct world *world = world_create();

    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        bool has_failed = true;
        for (int n = 0; has_failed; n++) {
            int64_t now_mono_ms = clock_read(&world->clock).mono_ms;
            enum err err;
            EXPECT(n < ATTEMPTS_MAX);
            ask(world, "GET", "/fresh/x", "", -1, FAULT_MEMORY);
            ask(world, "GET", "/tags/x", "", -1, FAULT_MEMORY);
            failing_kind = FAULT_MEMORY;
            successes_left = n;
            err = gateway_purge(world->worker, now_mono_ms, &orders[i]);
            gateway_sweep(world->gateway, now_mono_ms, 100);
            has_failed = successes_left < 0;
            successes_left = -1;
            EXPECT(err == OK || (has_failed && err == ERR_NO_MEMORY));
            gateway_sweep_all(world->gateway, now_mono_ms); /* it goes on where it was */
        }
    }
    world_destroy(world);
}

/* Asks for the path: whether it comes from the store, and then how old it is said to be. */
static bool is_hit(struct world *world, const char *path, long *age_s)
{
    struct client *client = client_create(world, "GET", path, "");
    struct start begun = {.task = {.run = start}, .client = client, .successes = -1};
    const char *age;
    bool is_hit;

    loop_post(world->loop, &begun.task);
    run_until(world, has_ended, client);
    EXPECT_EQ(client->status, 200);
    buffer_append_byte(&client->head, '\0');
    age = strstr(client->head.data, "Age: ");
    *age_s = age != NULL ? strtol(age + 5, NULL, 10) : -1;
    is_hit = strstr(client->head.data, "; hit") != NULL;
    client_destroy(client);
    return is_hit;
}

/* Its age counts on by the clock that only goes forward; dates are compared once, when it comes. */
TEST(a_wall_clock_that_jumps_leaves_what_is_stored_as_old_as_it_is)
{
    static const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    static const int64_t jumps_ms[] = {day_ms, -day_ms, 400 * day_ms, -20000 * day_ms, 2900000 * day_ms, 0};
    struct world *world = world_create();
    long age_s;

    EXPECT(!is_hit(world, "/fresh", &age_s));
    for (size_t i = 0; i < COUNT_OF(jumps_ms); i++) {
        world->wall_jump_ms = jumps_ms[i];
        world->forward_ms += 50000;
        EXPECT(is_hit(world, "/fresh", &age_s));
        EXPECT(age_s >= (long)(i + 1) * 50 && age_s <= (long)(i + 1) * 50 + 20);
    }
    for (size_t i = 0; i < COUNT_OF(jumps_ms); i++) { /* what comes then is good for as long as it says */
        char path[32];
        snprintf(path, sizeof path, "/fresh/%zu", i);
        world->wall_jump_ms = jumps_ms[i];
        EXPECT(!is_hit(world, path, &age_s));
        world->wall_jump_ms = 0;
        world->forward_ms += 500000;
        EXPECT(is_hit(world, path, &age_s));
        EXPECT(age_s >= 500 && age_s <= 520);
        world->forward_ms += 100000;
        EXPECT(!is_hit(world, path, &age_s));
    }
    world_destroy(world);
}

static size_t count_stored(struct world *world)
{
    size_t count = 0;
    nh_cursor *cursor;
    nh_key key;
    nh_value value;

    EXPECT_EQ(nh_cursor_create(world->store, 0, &cursor), NH_OK);
    while (nh_cursor_next(cursor, clock_read(&world->clock).mono_ms, &key, &value) == NH_OK)
        count++;
    nh_cursor_destroy(cursor);
    return count;
}

TEST(an_answer_that_is_not_stored_leaves_nothing_for_long_where_fields_are_in_keys)
{
    static char key_headers[] = "X-Tenant";
    struct world *world = world_create_as(true, key_headers);
    long age_s;

    for (int i = 0; i < 20; i++) {
        char path[32];
        snprintf(path, sizeof path, "/stream/%d", i);
        ask(world, "GET", path, "X-Tenant: a\n", -1, FAULT_MEMORY);
    }
    world->forward_ms += 55000; /* the origin has 20 s for its head, and we 30 more */
    EXPECT_EQ(count_stored(world), 0);
    EXPECT(!is_hit(world, "/fresh", &age_s)); /* what is stored is found to its end */
    world->forward_ms += 500000;
    EXPECT(is_hit(world, "/fresh", &age_s));
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(a_gateway_is_made_or_not),
        TEST_ROW(an_allocation_that_fails_costs_one_answer_at_most),
        TEST_ROW(an_allocation_that_fails_lets_no_field_through_that_the_route_removes),
        TEST_ROW(an_allocation_of_libcurl_that_fails_costs_one_answer_at_most),
        TEST_ROW(a_store_that_fails_costs_nothing_but_the_hit),
        TEST_ROW(an_origin_that_cannot_be_asked_costs_one_answer_at_most),
        TEST_ROW(a_purge_is_carried_out_or_refused),
        TEST_ROW(a_wall_clock_that_jumps_leaves_what_is_stored_as_old_as_it_is),
        TEST_ROW(an_answer_that_is_not_stored_leaves_nothing_for_long_where_fields_are_in_keys),
    };
    int status;

    /* The first call decides; the gateway's own only count. */
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, free, curl_realloc, curl_strdup,
                             curl_calloc) != CURLE_OK)
        return 1;
    status = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return status;
}
