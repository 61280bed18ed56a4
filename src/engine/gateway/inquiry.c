#include "inquiry.h"
#include "base/hash.h"
#include "gateway_state.h"
#include <assert.h>
#include <stdlib.h>

struct inquiry {
    struct exchange x;
    struct inquiry_terms terms;
    struct http_request *request;
    struct gateway_worker *worker;
    struct list in_worker;
    struct timer deadline;
    struct task task; /* calls `done` */
    struct buffer fields, body;
    struct hash_stream *hash; /* null: not wanted */
    size_t body_bytes_max;
    void (*done)(void *owner, const struct inquiry_answer *answer);
    void *owner;
    enum err err;
    int status;
    bool wants_no_body;
    bool is_posted;
    bool is_over; /* the exchange has ended */
    bool is_cancelled;
};

static struct inquiry *inquiry_of(const struct exchange *x)
{
    return CONTAINER_OF((uintptr_t)x, struct inquiry, x);
}

static void free_inquiry(struct inquiry *inquiry)
{
    timer_cancel(inquiry->worker->loop, &inquiry->deadline);
    list_remove(&inquiry->in_worker);
    buffer_fini(&inquiry->fields);
    buffer_fini(&inquiry->body);
    hash_stream_destroy(inquiry->hash);
    free(inquiry->request);
    free(inquiry);
}

/* Leaves the exchange, if it goes on. Not from inside of it. */
static void leave(struct inquiry *inquiry)
{
    if (inquiry->is_over)
        return;
    inquiry->is_over = true;
    inquiry->x.engine->gone(&inquiry->x);
}

static uint64_t body_hash(const struct inquiry *inquiry)
{
    return inquiry->hash != NULL ? hash_stream_value(inquiry->hash) : 0;
}

static void tell(struct inquiry *inquiry)
{
    leave(inquiry);
    if (!inquiry->is_cancelled) {
        if (inquiry->err == OK && (inquiry->fields.failed || inquiry->body.failed))
            inquiry->err = ERR_NO_MEMORY;
        inquiry->done(inquiry->owner, &(struct inquiry_answer){.err = inquiry->err,
                                                               .status = inquiry->status,
                                                               .fields = buffer_bytes(&inquiry->fields),
                                                               .body = &inquiry->body,
                                                               .body_hash = body_hash(inquiry),
                                                               .terms = &inquiry->terms});
    }
    free_inquiry(inquiry);
}

static void run_task(struct task *task) { tell(CONTAINER_OF(task, struct inquiry, task)); }

/* No more is wanted: who asked is told in a turn to come. */
static void conclude(struct inquiry *inquiry, enum err err)
{
    if (inquiry->is_posted)
        return;
    inquiry->is_posted = true;
    inquiry->err = err;
    timer_cancel(inquiry->worker->loop, &inquiry->deadline);
    loop_post(inquiry->worker->loop, &inquiry->task);
}

static void on_deadline(struct timer *timer)
{
    struct inquiry *inquiry = CONTAINER_OF(timer, struct inquiry, deadline);

    inquiry->err = ERR_TIMEOUT;
    tell(inquiry);
}

/* ---- what the gateway sees of us ----------------------------------------------------------------- */

static void on_read(struct exchange *x, bool wanted) { (void)x, (void)wanted; }

static void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

static void append_line(struct buffer *lines, const struct http_field *field)
{
    buffer_append(lines, field->name);
    buffer_append_literal(lines, ": ");
    buffer_append(lines, field->value);
    buffer_append_literal(lines, "\r\n");
}

/* Nothing will stay in the cache, and that was all it was for. */
static bool is_in_vain(const struct inquiry *inquiry)
{
    return inquiry->wants_no_body && inquiry->terms.is_told && inquiry->terms.unkept_because != NULL;
}

static void on_respond(struct exchange *x, const struct http_response *response)
{
    struct inquiry *inquiry = inquiry_of(x);

    inquiry->status = response->status;
    for (size_t i = 0; i < response->fields.count; i++)
        append_line(&inquiry->fields, &response->fields.list[i]);
    buffer_append(&inquiry->fields, response->rendered);
    if (x->request->method != HTTP_METHOD_HEAD && response->body_bytes > 0 && !inquiry->wants_no_body &&
        (uint64_t)response->body_bytes > inquiry->body_bytes_max)
        conclude(inquiry, ERR_TOO_LARGE);
    if (is_in_vain(inquiry))
        conclude(inquiry, OK);
}

static void on_send(struct exchange *x, struct bytes bytes)
{
    struct inquiry *inquiry = inquiry_of(x);

    if (inquiry->hash != NULL)
        hash_stream_add(inquiry->hash, bytes);
    if (is_in_vain(inquiry))
        conclude(inquiry, OK);
    if (inquiry->is_posted || inquiry->wants_no_body)
        return;
    if (bytes.size > inquiry->body_bytes_max - inquiry->body.size)
        conclude(inquiry, ERR_TOO_LARGE);
    else
        buffer_append(&inquiry->body, bytes);
}

/* A byte more than is wanted, so that it is seen where there are more. */
static size_t on_room(const struct exchange *x)
{
    const struct inquiry *inquiry = inquiry_of(x);

    return inquiry->is_posted       ? 0
           : inquiry->wants_no_body ? SIZE_MAX
                                    : inquiry->body_bytes_max - inquiry->body.size + 1;
}

static void on_end(struct exchange *x)
{
    inquiry_of(x)->is_over = true;
    conclude(inquiry_of(x), OK);
}

static void on_abort(struct exchange *x)
{
    inquiry_of(x)->is_over = true;
    conclude(inquiry_of(x), ERR_TRUNCATED);
}

static const struct exchange_client client = {on_read, on_inform, on_respond, on_send, on_room,
                                              on_end,  on_abort,  NULL,       NULL};

/* ---- from begin to end --------------------------------------------------------------------------- */

struct inquiry *inquiry_begin(struct gateway_worker *worker, const struct inquiry_order *order)
{
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);

    assert(order->request->body_bytes == HTTP_BODY_NONE && order->body_bytes_max < SIZE_MAX);
    if (inquiry == NULL)
        return NULL;
    assert(order->wants_no_body || !order->wants_hash);
    inquiry->request = http_request_copy(order->request);
    inquiry->hash = order->wants_hash ? hash_stream_create(worker->gateway->seed) : NULL;
    if (inquiry->request == NULL || (order->wants_hash && inquiry->hash == NULL)) {
        hash_stream_destroy(inquiry->hash);
        free(inquiry->request);
        free(inquiry);
        return NULL;
    }
    inquiry->terms = (struct inquiry_terms){.urgency = order->urgency,
                                            .confirmed_within_ms = order->confirmed_within_ms,
                                            .fresh_will_do = order->fresh_will_do,
                                            .asks_nobody = order->asks_nobody,
                                            .page_number = order->page_number,
                                            .page_set = order->page_set};
    inquiry->worker = worker;
    inquiry->task.run = run_task;
    inquiry->wants_no_body = order->wants_no_body;
    inquiry->body_bytes_max = order->body_bytes_max;
    inquiry->done = order->done;
    inquiry->owner = order->owner;
    inquiry->x = (struct exchange){.engine = order->engine != NULL ? order->engine : &gateway_engine,
                                   .client = &client,
                                   .request = inquiry->request,
                                   .now = loop_now(worker->loop),
                                   .inquiry = &inquiry->terms,
                                   .client_fd = -1};
    timer_init(&inquiry->deadline, on_deadline);
    timer_set(worker->loop, &inquiry->deadline, inquiry->x.now.mono_ms + order->timeout_ms);
    list_append(&worker->inquiries, &inquiry->in_worker);
    inquiry->x.engine->begin(order->engine != NULL ? order->engine_worker : worker, &inquiry->x);
    return inquiry;
}

void inquiry_cancel(struct inquiry *inquiry)
{
    leave(inquiry);
    if (inquiry->is_posted)
        inquiry->is_cancelled = true;
    else
        free_inquiry(inquiry);
}

void inquiries_destroy(struct gateway_worker *worker)
{
    for (struct list *node = worker->inquiries.next, *next; node != &worker->inquiries; node = next) {
        struct inquiry *inquiry = CONTAINER_OF(node, struct inquiry, in_worker);
        next = node->next;
        leave(inquiry);
        free_inquiry(inquiry);
    }
}
