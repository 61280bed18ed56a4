/* replan.c — from one plan to the next, without a request noticing.
 *
 * The gateway has the newest plan; each worker has the one it goes by, and changes it between two turns, on
 * its own thread, so that a request costs no lock. A worker's connections to an upstream that its plan has
 * no more stay until the last fetch over them has ended. */
#include "base/compiler.h"
#include "engine/gateway/routing/health_check.h"
#include "gateway_state.h"

struct upstream_worker *worker_upstream(struct gateway_worker *worker, struct upstream *upstream)
{
    struct upstream_worker *made;

    for (struct list *node = worker->upstreams.next; node != &worker->upstreams; node = node->next) {
        struct upstream_worker *present = CONTAINER_OF(node, struct upstream_worker, in_worker);
        if (present->upstream == upstream)
            return present;
    }
    if (upstream_worker_create(upstream, worker->loop, &made) != OK)
        return NULL;
    made->is_retired = !plan_has_upstream(worker->plan, upstream);
    list_append(&worker->upstreams, &made->in_worker);
    return made;
}

size_t worker_call_count(const struct gateway_worker *worker, const struct upstream *upstream)
{
    for (const struct list *node = worker->upstreams.next; node != &worker->upstreams; node = node->next) {
        const struct upstream_worker *present = CONTAINER_OF(node, struct upstream_worker, in_worker);
        if (present->upstream == upstream)
            return origin_call_count(present->origin);
    }
    return 0;
}

static void look_through_upstreams(struct gateway_worker *worker)
{
    for (struct list *node = worker->upstreams.next, *next; node != &worker->upstreams; node = next) {
        struct upstream_worker *present = CONTAINER_OF(node, struct upstream_worker, in_worker);
        next = node->next;
        present->is_retired = !plan_has_upstream(worker->plan, present->upstream);
        if (present->is_retired) {
            health_checks_destroy(present->checks);
            present->checks = NULL;
        }
        if (present->is_retired && upstream_worker_is_idle(present))
            upstream_worker_destroy(present);
    }
}

/* The upstreams of its plan that are to be checked are. Without memory for it they are all asked. */
static void check_upstreams(struct gateway_worker *worker)
{
    for (size_t i = 0; i < worker->plan->upstream_count; i++) {
        struct upstream *upstream = worker->plan->upstreams[i];
        struct upstream_worker *by;
        if (upstream->policy.check_path == NULL)
            continue;
        by = worker_upstream(worker, upstream);
        if (by != NULL && by->checks == NULL)
            health_checks_create(by, worker->loop, worker->counters, &by->checks);
    }
}

static void follow(struct task *task)
{
    struct gateway_worker *worker = CONTAINER_OF(task, struct gateway_worker, follow);
    struct route_plan *before = worker->plan;

    atomic_store(&worker->is_told, false);
    worker->plan = gateway_hold_plan(worker->gateway);
    plan_release(before);
    look_through_upstreams(worker);
    if (worker->checks_health)
        check_upstreams(worker);
}

void worker_tell(struct gateway_worker *worker)
{
    if (!atomic_exchange(&worker->is_told, true))
        loop_post(worker->loop, &worker->follow);
}

void worker_join(struct gateway_worker *worker, struct gateway *gateway)
{
    worker->follow.run = follow;
    list_init(&worker->upstreams);
    list_init(&worker->in_gateway);
    pthread_mutex_lock(&gateway->plan_lock);
    worker->plan = plan_hold(gateway->plan);
    worker->checks_health = list_is_empty(&gateway->workers);
    list_append(&gateway->workers, &worker->in_gateway);
    pthread_mutex_unlock(&gateway->plan_lock);
    if (worker->checks_health)
        worker_tell(worker); /* the checks begin once the loop runs */
}

void worker_part(struct gateway_worker *worker)
{
    pthread_mutex_lock(&worker->gateway->plan_lock);
    list_remove(&worker->in_gateway);
    pthread_mutex_unlock(&worker->gateway->plan_lock);
    while (!list_is_empty(&worker->upstreams))
        upstream_worker_destroy(CONTAINER_OF(worker->upstreams.next, struct upstream_worker, in_worker));
    plan_release(worker->plan);
}

struct route_plan *gateway_hold_plan(struct gateway *gateway)
{
    struct route_plan *plan;

    pthread_mutex_lock(&gateway->plan_lock);
    plan = plan_hold(gateway->plan);
    pthread_mutex_unlock(&gateway->plan_lock);
    return plan;
}

enum err gateway_plan(struct gateway *gateway, const struct plan_spec *spec, struct route_plan **plan)
{
    struct route_plan *before = gateway_hold_plan(gateway);
    struct plan_spec with_log = *spec;
    enum err err;

    with_log.log = gateway->log;
    err = plan_create(&with_log, before, plan);

    plan_release(before);
    return err;
}

void gateway_follow(struct gateway *gateway, struct route_plan *plan)
{
    struct route_plan *before;

    pthread_mutex_lock(&gateway->plan_lock);
    before = gateway->plan;
    gateway->plan = plan;
    for (struct list *node = gateway->workers.next; node != &gateway->workers; node = node->next)
        worker_tell(CONTAINER_OF(node, struct gateway_worker, in_gateway));
    pthread_mutex_unlock(&gateway->plan_lock);
    plan_release(before);
}
