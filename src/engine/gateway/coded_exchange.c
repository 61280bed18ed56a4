#include "coded_exchange.h"
#include "base/compiler.h"
#include "coding/coder.h"
#include "engine/gateway/policy/coded.h"
#include "lend.h"
#include <stdlib.h>

enum {
    CODERS_MAX = 64,         /* at once on a worker: some 50 MiB at most */
    TURN_BYTES = 128 * 1024, /* of a body in one turn of the loop: a few milliseconds */
    LEASE_MS = 60000,
    KEPT_MS = 24 * 3600 * 1000 /* a coding is made anew once a day at most */
};

enum mode {
    MODE_PLAIN,  /* what the engine says goes through */
    MODE_CODING, /* the coder is at work */
    MODE_STORED, /* the coded body is in the store; what the engine sends is not needed */
};

struct coded_exchange {
    struct gateway_worker *worker;
    const struct route *route; /* held */
    struct exchange *x;        /* null once it is over */
    const struct exchange_client *client;
    const struct exchange_engine *engine;
    struct list in_worker;
    struct task task;
    bool is_posted;
    bool wants_room; /* the engine waits for `writable` */
    bool is_ended;   /* by the engine: what is left of the stored coding is ours to send */
    bool flushes;    /* a piece may be all there is for a while */
    bool is_unflushed;
    enum mode mode;
    size_t turn_bytes;
    struct coder *coder;
    struct buffer coded; /* on its way to the client */
    struct buffer kept;  /* all of it, to be stored; while there is a lease */
    uint64_t lease;
    char key_text[CODED_KEY_BYTES];
    struct bytes key;
    nh_value stored; /* while MODE_STORED */
    struct lender *lender;
    uint64_t sent_bytes; /* of it */
};

static struct coded_exchange *coded_of(const struct exchange *x) { return x->filter; }

static int64_t now_mono_ms(const struct coded_exchange *coded)
{
    return loop_now(coded->worker->loop).mono_ms;
}

/* ---- ends --------------------------------------------------------------------------------------- */

static void give_up_lease(struct coded_exchange *coded)
{
    struct gateway *gateway = coded->worker->gateway;

    if (coded->lease != 0)
        nh_give_up(gateway->store, gateway_key(gateway, coded->key), coded->lease);
    coded->lease = 0;
    buffer_fini(&coded->kept);
}

static void stop_coding(struct coded_exchange *coded)
{
    if (coded->coder == NULL)
        return;
    coder_destroy(coded->coder);
    coded->coder = NULL;
    coded->worker->coder_count--;
}

/* From now on the body, if any is to come, goes as it is. */
static void be_plain(struct coded_exchange *coded)
{
    stop_coding(coded);
    give_up_lease(coded);
    if (coded->mode == MODE_STORED)
        value_release(coded->worker->gateway->store, &coded->stored, &coded->lender);
    coded->mode = MODE_PLAIN;
}

/* Lets go of everything but the struct itself, which goes when its task has run. */
static void retire(struct coded_exchange *coded)
{
    be_plain(coded);
    buffer_fini(&coded->coded);
    coded->x = NULL;
    if (coded->is_posted)
        return;
    list_remove(&coded->in_worker);
    route_release(coded->route);
    free(coded);
}

/* ---- coding ------------------------------------------------------------------------------------- */

static void call_again(struct coded_exchange *coded)
{
    if (coded->is_posted)
        return;
    coded->is_posted = true;
    loop_post(coded->worker->loop, &coded->task);
}

static void keep(struct coded_exchange *coded)
{
    if (coded->lease == 0)
        return;
    buffer_append(&coded->kept, buffer_bytes(&coded->coded));
    if (coded->kept.failed || coded->kept.size > (uint64_t)coded->route->policy.object_bytes_max)
        give_up_lease(coded);
}

/* False if there was no memory: the answer cannot be completed. */
static bool code(struct coded_exchange *coded, struct bytes bytes, enum coder_flush flush)
{
    bool is_good = coder_feed(coded->coder, bytes, flush, &coded->coded);

    if (is_good && coded->coded.size > 0) {
        keep(coded);
        coded->client->send(coded->x, buffer_bytes(&coded->coded));
    }
    buffer_clear(&coded->coded);
    coded->is_unflushed = flush == CODER_MORE && (coded->is_unflushed || bytes.size > 0);
    return is_good;
}

/* The body is whole, and so is its coding. */
static void store(struct coded_exchange *coded)
{
    struct gateway *gateway = coded->worker->gateway;
    nh_put_options options = {.size = sizeof options, .ttl_ms = KEPT_MS};

    if (coded->lease == 0)
        return;
    nh_fill(gateway->store, now_mono_ms(coded), gateway_key(gateway, coded->key), coded->lease,
            (nh_bytes){coded->kept.data, coded->kept.size}, &options, NULL);
    coded->lease = 0;
}

static void run_task(struct task *task)
{
    struct coded_exchange *coded = CONTAINER_OF(task, struct coded_exchange, task);

    coded->is_posted = false;
    if (coded->x == NULL) {
        retire(coded);
        return;
    }
    coded->turn_bytes = 0;
    if (coded->coder != NULL && coded->flushes && coded->is_unflushed &&
        !code(coded, (struct bytes){0}, CODER_FLUSH))
        stop_coding(coded); /* and the end will be none: see end */
    if (coded->wants_room) {
        coded->wants_room = false;
        coded->engine->writable(coded->x);
    }
}

/* ---- the head ----------------------------------------------------------------------------------- */

/* Finds the coded body or gets the right to make it. False if another exchange is making it. */
static bool find_or_lease(struct coded_exchange *coded, uint64_t body_number, enum coding coding)
{
    struct gateway *gateway = coded->worker->gateway;
    nh_fetch_options options = {.size = sizeof options, .lease_ms = LEASE_MS};
    nh_fetch_state state;
    uint64_t lease;

    coded->key = coded_key(coded->key_text, body_number, coding);
    if (nh_fetch(gateway->store, now_mono_ms(coded), gateway_key(gateway, coded->key), &options, &state,
                 &lease, &coded->stored) != NH_OK)
        return false;
    switch (state) {
    case NH_FETCH_HIT:
    case NH_FETCH_STALE: coded->mode = MODE_STORED; return true;
    case NH_FETCH_MISS_LEASE: coded->lease = lease; return true;
    default: return false; /* MISS_WAIT; leases for what is there are not given without soft_ttl */
    }
}

/* Decides how the body is sent. */
static void choose_mode(struct coded_exchange *coded, const struct http_response *response,
                        enum coding coding)
{
    bool has_body = coded->x->request->method != HTTP_METHOD_HEAD;

    if (coding == CODING_IDENTITY)
        return;
    if (response->body_number != 0 && !find_or_lease(coded, response->body_number, coding))
        return;
    if (coded->mode == MODE_STORED)
        return;
    if (has_body && coded->worker->coder_count < CODERS_MAX)
        coded->coder = coder_create(coding);
    if (coded->coder == NULL) {
        give_up_lease(coded);
        return;
    }
    coded->worker->coder_count++;
    coded->mode = MODE_CODING;
    coded->flushes = response->body_bytes == HTTP_BODY_UNKNOWN;
}

/* The client has our coding of it: RFC 9110 §15.4.5 wants the fields that a 200 would have had. */
static bool has_weakened(const struct exchange *x, struct bytes rendered)
{
    const struct http_field *condition = http_fields_find(&x->request->fields, HTTP_HEADER_IF_NONE_MATCH);
    struct http_field field;

    while (condition != NULL && rendered_next(&rendered, &field)) {
        const char *found;
        if (field.header != HTTP_HEADER_ETAG || field.value.size == 0)
            continue;
        found = memmem(condition->value.data, condition->value.size, field.value.data, field.value.size);
        return found != NULL && found >= condition->value.data + 2 && found[-1] == '/';
    }
    return false;
}

static void respond(struct exchange *x, const struct http_response *response)
{
    struct coded_exchange *coded = coded_of(x);
    struct http_response changed = *response;
    struct buffer fields = {0};
    enum coding coding = CODING_IDENTITY;
    struct coding_plan plan = coding_plan_of(&coded->route->policy, &x->request->fields, response->status,
                                             response->rendered, response->body_bytes);

    if (response->status == 304 && has_weakened(x, response->rendered)) {
        coded_fields_append_validated(&fields, response->rendered);
    } else if (plan.may_be_coded) {
        choose_mode(coded, response, plan.coding);
        if (coded->mode != MODE_PLAIN)
            coding = plan.coding;
        coded_fields_append(&fields, response->rendered, coding);
    }
    if (fields.failed)
        be_plain(coded); /* a coded body must not go out behind fields that do not say so */
    if (fields.size == 0 || fields.failed) {
        coded->client->respond(x, response);
    } else {
        changed.rendered = buffer_bytes(&fields);
        if (coded->mode == MODE_STORED)
            changed.body_bytes = (int64_t)coded->stored.size;
        if (coded->mode == MODE_CODING)
            changed.body_bytes = HTTP_BODY_UNKNOWN;
        coded->client->respond(x, &changed);
    }
    buffer_fini(&fields);
}

/* ---- what the engine calls ---------------------------------------------------------------------- */

static void read_body(struct exchange *x, bool wanted) { coded_of(x)->client->read(x, wanted); }

static void inform(struct exchange *x, int status, const struct http_fields *fields)
{
    coded_of(x)->client->inform(x, status, fields);
}

static void send_body(struct exchange *x, struct bytes bytes)
{
    struct coded_exchange *coded = coded_of(x);

    switch (coded->mode) {
    case MODE_PLAIN: coded->client->send(x, bytes); return;
    case MODE_STORED:
        if (coded->is_ended)
            coded->client->send(x, bytes);
        return;
    case MODE_CODING:
        coded->turn_bytes += bytes.size;
        if (coded->coder != NULL && !code(coded, bytes, CODER_MORE))
            stop_coding(coded); /* for want of memory: the end will tell */
        if (coded->flushes && coded->is_unflushed)
            call_again(coded);
        return;
    }
    UNREACHABLE();
}

/* What the coder has to look at is sent, not lent. */
static bool lend_body(struct exchange *x, struct loan *loan)
{
    struct coded_exchange *coded = coded_of(x);

    return (coded->mode == MODE_PLAIN || coded->is_ended) && coded->client->lend != NULL &&
           coded->client->lend(x, loan);
}

static size_t room(const struct exchange *x)
{
    struct coded_exchange *coded = coded_of(x);
    size_t room_bytes;

    switch (coded->mode) {
    case MODE_PLAIN: return coded->client->room(x);
    case MODE_STORED: return SIZE_MAX;
    case MODE_CODING:
        if (coded->turn_bytes >= TURN_BYTES) {
            coded->wants_room = true;
            call_again(coded);
            return 0;
        }
        room_bytes = coded->client->room(x);
        return room_bytes < TURN_BYTES - coded->turn_bytes ? room_bytes : TURN_BYTES - coded->turn_bytes;
    }
    UNREACHABLE();
}

/* The exchange is the connection's alone again. */
static const struct exchange_client *step_aside(struct coded_exchange *coded, struct exchange *x)
{
    const struct exchange_client *client = coded->client;

    x->client = client;
    x->engine = coded->engine;
    x->filter = NULL;
    retire(coded);
    return client;
}

/* Sends what of the stored coding the connection has room for, and ends with its last byte. */
static void send_stored(struct coded_exchange *coded)
{
    struct exchange *x = coded->x;
    bool has_body = x->request->method != HTTP_METHOD_HEAD;

    while (has_body && coded->sent_bytes < coded->stored.size) {
        uint64_t size = coded->client->room(x), left = coded->stored.size - coded->sent_bytes;
        if (size == 0)
            return;
        if (size > left)
            size = left;
        value_send(coded->worker->gateway->store, &coded->stored, &coded->lender, x, coded->sent_bytes,
                   size);
        coded->sent_bytes += size;
    }
    step_aside(coded, x)->end(x);
}

static void end(struct exchange *x)
{
    struct coded_exchange *coded = coded_of(x);

    switch (coded->mode) {
    case MODE_PLAIN: step_aside(coded, x)->end(x); return;
    case MODE_STORED:
        coded->is_ended = true;
        send_stored(coded);
        return;
    case MODE_CODING:
        if (coded->coder == NULL || !code(coded, (struct bytes){0}, CODER_END)) {
            step_aside(coded, x)->abort(x);
            return;
        }
        store(coded);
        step_aside(coded, x)->end(x);
        return;
    }
    UNREACHABLE();
}

static void cut(struct exchange *x) { step_aside(coded_of(x), x)->abort(x); }

static const struct exchange_client client = {read_body, inform, respond,   send_body, room,
                                              end,       cut,    lend_body, NULL};

/* ---- what the connection calls ------------------------------------------------------------------ */

static void body(struct exchange *x, struct bytes bytes) { coded_of(x)->engine->body(x, bytes); }
static void body_end(struct exchange *x) { coded_of(x)->engine->body_end(x); }
static void writable(struct exchange *x)
{
    struct coded_exchange *coded = coded_of(x);

    if (coded->is_ended)
        send_stored(coded);
    else
        coded->engine->writable(x);
}

static void gone(struct exchange *x)
{
    struct coded_exchange *coded = coded_of(x);
    bool is_ended = coded->is_ended;

    step_aside(coded, x);
    if (!is_ended)
        x->engine->gone(x);
}

static const struct exchange_engine engine = {NULL, body, body_end, writable, gone};

void coded_exchange_begin(struct gateway_worker *worker, const struct route *route, struct exchange *x)
{
    struct coded_exchange *coded = calloc(1, sizeof *coded);

    if (coded == NULL)
        return;
    coded->worker = worker;
    coded->route = route_hold(route);
    coded->x = x;
    coded->client = x->client;
    coded->engine = x->engine;
    coded->task.run = run_task;
    list_append(&worker->coded_exchanges, &coded->in_worker);
    x->filter = coded;
    x->client = &client;
    x->engine = &engine;
}

void coded_exchanges_destroy(struct gateway_worker *worker)
{
    for (struct list *node = worker->coded_exchanges.next, *next; node != &worker->coded_exchanges;
         node = next) {
        struct coded_exchange *coded = CONTAINER_OF(node, struct coded_exchange, in_worker);
        next = node->next;
        coded->is_posted = false;
        retire(coded);
    }
}
