#include "errand.h"
#include "base/compiler.h"
#include "engine/gateway/policy/upstream_fields.h"
#include <stdlib.h>

struct errand {
    struct list in_worker;
    struct gateway_worker *worker;
    struct task task; /* asks: who orders it may be in the middle of an exchange */
    struct http_request *request;
    struct errand_order order;
    struct inquiry *inquiry; /* once asked */
    bool is_cancelled;
};

static void free_errand(struct errand *errand)
{
    list_remove(&errand->in_worker);
    errand->worker->errand_count--;
    free(errand->request);
    free(errand);
}

/* Whatever came of it: who asks next will see. */
static void on_done(void *owner, const struct inquiry_answer *answer)
{
    struct errand *errand = owner;

    if (answer->terms->has_asked)
        counters_add(errand->worker->counters, errand->order.metric, 1);
    free_errand(errand);
}

static void run(struct task *task)
{
    struct errand *errand = CONTAINER_OF(task, struct errand, task);

    if (!errand->is_cancelled)
        errand->inquiry =
            inquiry_begin(errand->worker,
                          &(struct inquiry_order){.request = errand->request,
                                                  .urgency = errand->order.urgency,
                                                  .confirmed_within_ms = errand->order.confirmed_within_ms,
                                                  .page_number = errand->order.page_number,
                                                  .page_set = errand->order.page_set,
                                                  .wants_no_body = true,
                                                  .timeout_ms = ERRAND_MS,
                                                  .done = on_done,
                                                  .owner = errand});
    if (errand->inquiry == NULL)
        free_errand(errand);
}

/* A condition or a range of the client who led to it is not the cache's, nor is its word on age, nor what
 * is between it and us. */
static bool is_left_out(const struct http_fields *fields, const struct http_field *field)
{
    enum http_header header = field->header;

    return is_precondition(header) || header == HTTP_HEADER_CACHE_CONTROL || header == HTTP_HEADER_PRAGMA ||
           (header != HTTP_HEADER_OTHER && http_header_kind(header) == HTTP_HEADER_HOP_BY_HOP) ||
           http_connection_names(fields, field->name);
}

static struct http_request *copy_of(const struct http_request *request)
{
    struct http_request plain = *request;
    struct http_request *copy = NULL;

    plain.fields = (struct http_fields){calloc(request->fields.count + 1, sizeof *plain.fields.list), 0};
    if (plain.fields.list == NULL)
        return NULL;
    for (size_t i = 0; i < request->fields.count; i++)
        if (!is_left_out(&request->fields, &request->fields.list[i]))
            plain.fields.list[plain.fields.count++] = request->fields.list[i];
    copy = http_request_copy(&plain);
    free(plain.fields.list);
    return copy;
}

static bool is_under_way(const struct gateway_worker *worker, uint64_t hash)
{
    for (const struct list *node = worker->errands.next; node != &worker->errands; node = node->next)
        if (CONTAINER_OF((uintptr_t)node, struct errand, in_worker)->order.hash == hash)
            return true;
    return false;
}

bool errand_begin(struct gateway_worker *worker, const struct errand_order *order)
{
    struct errand *errand;

    if (worker->is_stopping || worker->errand_count >= ERRANDS_MAX || is_under_way(worker, order->hash))
        return false;
    errand = calloc(1, sizeof *errand);
    if (errand == NULL)
        return false;
    errand->request = copy_of(order->request);
    if (errand->request == NULL) {
        free(errand);
        return false;
    }
    errand->worker = worker;
    errand->order = *order;
    errand->task.run = run;
    list_append(&worker->errands, &errand->in_worker);
    worker->errand_count++;
    loop_post(worker->loop, &errand->task);
    return true;
}

void gateway_errands_cancel(struct gateway_worker *worker)
{
    for (struct list *node = worker->errands.next, *next; node != &worker->errands; node = next) {
        struct errand *errand = CONTAINER_OF(node, struct errand, in_worker);
        next = node->next;
        if (errand->inquiry == NULL) {
            errand->is_cancelled = true; /* its task is on its way, and frees it */
            continue;
        }
        inquiry_cancel(errand->inquiry);
        free_errand(errand);
    }
}

void gateway_errands_destroy(struct gateway_worker *worker)
{
    for (struct list *node = worker->errands.next, *next; node != &worker->errands; node = next) {
        next = node->next;
        free_errand(CONTAINER_OF(node, struct errand, in_worker)); /* its inquiry goes with the others */
    }
}
