/* links: nuthatch-http nuthatch-message nuthatch-base */
/* Whatever a client of HTTP/2 sends, and in whatever order an engine and the socket answer: every exchange
 * ends once, in the engine's way or by `gone`, and no body is longer than its window allows to be kept.
 *
 * The first byte of the input says in how large pieces the rest comes and how much room there is for
 * output; the second letter of a request's path what the engine does with it. */
#undef NDEBUG /* the assertions are the test */
#include "base/compiler.h"
#include "base/list.h"
#include "protocol/http/http2_session.h"
#include <assert.h>
#include <stdlib.h>

enum { FIELDS_MAX = 100 };

struct world {
    struct http2_session *session;
    struct buffer output;
    size_t output_most;
    struct list calls;
    int64_t now_ms;
    bool goes_on, was_full, is_over;
};

/* ---- an engine --------------------------------------------------------------------------------- */

struct call {
    struct exchange *x;
    struct list in_world;
    char what;
    size_t left_bytes; /* of the answer */
    uint64_t body_bytes;
    bool has_responded, is_reading;
};

static void forget(struct call *call)
{
    list_remove(&call->in_world);
    free(call);
}

static void respond(struct call *call, int64_t body_bytes)
{
    struct http_field field = {HTTP_HEADER_ETAG, BYTES("ETag"), BYTES("\"a\"")};
    struct http_response response = {.status = 200,
                                     .body_bytes = body_bytes,
                                     .fields = {&field, 1},
                                     .rendered = BYTES("X-One: 1\r\nCache-Status:  two\r\n")};

    call->has_responded = true;
    exchange_respond(call->x, &response);
}

static void end(struct call *call, void (*finish)(struct exchange *))
{
    struct exchange *x = call->x;

    forget(call);
    finish(x);
}

/* One step of an answer that takes several. */
static void step(struct call *call)
{
    static const char bytes[3000] = "hello";
    size_t room;

    switch (call->what) {
    case 'l': /* a long one, as there is room */
        if (!call->has_responded) {
            call->left_bytes = 300000;
            respond(call, HTTP_BODY_UNKNOWN);
            return;
        }
        while (call->left_bytes > 0 && (room = exchange_room(call->x)) > 0) {
            size_t size = room < sizeof bytes ? room : sizeof bytes;
            size = size < call->left_bytes ? size : call->left_bytes;
            exchange_send(call->x, bytes_of(bytes, size));
            call->left_bytes -= size;
        }
        if (call->left_bytes == 0)
            end(call, exchange_end);
        return;
    case 'e': /* whole, and its end is said later */
        if (call->has_responded) {
            end(call, exchange_end);
            return;
        }
        respond(call, 5);
        exchange_send(call->x, bytes_of(bytes, 5));
        return;
    case 'a': /* begun, and broken off */
        if (call->has_responded)
            end(call, exchange_abort);
        else
            respond(call, 100);
        return;
    case 'r': /* reads the body with pauses; `body_end` answers */
        call->is_reading = !call->is_reading;
        exchange_read(call->x, call->is_reading);
        return;
    default: return; /* never answers */
    }
}

static void begin(void *engine, struct exchange *x)
{
    struct world *world = engine;
    struct call *call = calloc(1, sizeof *call);

    assert(call != NULL && x->request->authority.data != NULL);
    assert(x->request->method == HTTP_METHOD_CONNECT || x->request->path.size > 0);
    for (size_t i = 0; i < x->request->fields.count; i++)
        assert(http_is_token(x->request->fields.list[i].name) &&
               http_is_field_value(x->request->fields.list[i].value));
    call->x = x;
    call->what = '?';
    if (x->request->path.size > 1)
        call->what = x->request->path.data[1];
    list_append(&world->calls, &call->in_world);
    x->engine_state = call;
    switch (call->what) {
    case 'h': /* at once */
        respond(call, 5);
        exchange_send(x, BYTES("hello"));
        end(call, exchange_end);
        return;
    case 'c': /* at once, its length not told */
        respond(call, HTTP_BODY_UNKNOWN);
        exchange_send(x, BYTES("hello"));
        end(call, exchange_end);
        return;
    case 'x': end(call, exchange_abort); return;
    case 'r': step(call); return; /* which may answer */
    default: return;
    }
}

static void body(struct exchange *x, struct bytes bytes)
{
    struct call *call = x->engine_state;

    assert(call->is_reading && bytes.size > 0 && bytes.size <= HTTP2_STREAM_WINDOW_BYTES);
    call->body_bytes += bytes.size;
    call->is_reading = false;
    exchange_read(x, false);
}

static void body_end(struct exchange *x)
{
    struct call *call = x->engine_state;

    assert(x->request->body_bytes == HTTP_BODY_UNKNOWN ||
           (uint64_t)x->request->body_bytes == call->body_bytes);
    respond(call, 0);
    end(call, exchange_end);
}

static void writable(struct exchange *x)
{
    assert(exchange_room(x) > 0);
    step(x->engine_state);
}

static void gone(struct exchange *x) { forget(x->engine_state); }

static const struct exchange_engine engine = {begin, body, body_end, writable, gone};

/* ---- an owner ---------------------------------------------------------------------------------- */

static struct now now(void *owner)
{
    struct world *world = owner;
    return (struct now){.mono_ms = world->now_ms, .wall_ms = world->now_ms};
}

static const char *date(void *owner)
{
    (void)owner;
    return "Thu, 01 Jan 2026 00:00:00 GMT";
}

static struct buffer *output(void *owner) { return &((struct world *)owner)->output; }

static size_t room(void *owner)
{
    struct world *world = owner;

    if (world->output.size < world->output_most)
        return world->output_most - world->output.size;
    world->was_full = true;
    return 0;
}

static void go_on(void *owner) { ((struct world *)owner)->goes_on = true; }
static void nothing(void *owner) { (void)owner; }
static void refused(void *owner, struct bytes why) { assert(owner != NULL && why.size > 0); }
static void too_slow(void *owner, const char *why) { assert(owner != NULL && why != NULL); }

static void over(void *owner)
{
    struct world *world = owner;

    assert(!world->is_over && list_is_empty(&world->calls));
    world->is_over = true;
}

static const struct http2_callbacks callbacks = {now,     date,    output,  room,     go_on,
                                                 nothing, nothing, refused, too_slow, over};

/* What happens between two pieces of input. */
static void turn(struct world *world)
{
    struct list waiting;

    world->now_ms += 10;
    list_init(&waiting);
    while (!list_is_empty(&world->calls)) {
        struct list *node = world->calls.next;
        list_remove(node);
        list_append(&waiting, node);
    }
    while (!list_is_empty(&waiting)) {
        struct call *call = CONTAINER_OF(waiting.next, struct call, in_world);
        list_remove(&call->in_world);
        list_append(&world->calls, &call->in_world);
        step(call);
    }
    if (world->goes_on) {
        world->goes_on = false;
        http2_session_receive(world->session, (struct bytes){NULL, 0});
    }
    if (http2_session_due_ms(world->session) <= world->now_ms)
        http2_session_look_at_time(world->session);
    if (world->was_full) {
        world->was_full = false;
        buffer_clear(&world->output);
        http2_session_drained(world->session);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 9, 100, 70000};
    static const struct http1_limits limits = {1024, 4096, FIELDS_MAX};
    static struct http_field fields[FIELDS_MAX];
    struct world world = {.output_most = 1000, .now_ms = 1000};
    struct bytes input;
    size_t piece;

    if (size == 0)
        return 0;
    piece = pieces[data[0] & 3];
    world.output_most = data[0] & 4 ? 100 : 100000;
    list_init(&world.calls);
    world.session = http2_session_create(&(struct http2_options){.callbacks = &callbacks,
                                                                 .owner = &world,
                                                                 .engine = &engine,
                                                                 .engine_worker = &world,
                                                                 .limits = &limits,
                                                                 .fields = fields,
                                                                 .idle_ms = 5000,
                                                                 .head_ms = 1000,
                                                                 .body_ms = 2000,
                                                                 .body_rate = data[0] & 64 ? 100 : 0,
                                                                 .write_ms = 3000,
                                                                 .answer_rate = data[0] & 64 ? 100 : 0});
    assert(world.session != NULL);
    http2_session_receive(world.session, BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    for (input = bytes_of(data + 1, size - 1); input.size > 0 && !world.is_over;) {
        struct bytes next = bytes_first(input, piece < input.size ? piece : input.size);
        /* What is read has been copied: whoever keeps a pointer into it is found out. */
        char *copy = malloc(next.size);
        assert(copy != NULL);
        memcpy(copy, next.data, next.size);
        http2_session_receive(world.session, bytes_of(copy, next.size));
        free(copy);
        input = bytes_after(input, next.size);
        turn(&world);
    }
    if (data[0] & 8)
        http2_session_drain(world.session);
    if (data[0] & 16)
        http2_session_ended(world.session);
    for (int i = 0; i < 20 && !world.is_over; i++) {
        world.now_ms += data[0] & 32 ? 1000 : 0;
        turn(&world);
    }
    http2_session_destroy(world.session);
    assert(list_is_empty(&world.calls));
    buffer_fini(&world.output);
    return 0;
}
