/* gateway.c — the gateway and its workers, from begin to end. */
#include "base/compiler.h"
#include "base/hash.h"
#include "coded_exchange.h"
#include "errand.h"
#include "fleet.h"
#include "passage.h"
#include <assert.h>
#include <stdlib.h>

enum err gateway_create(const struct gateway_options *options, struct gateway **gateway)
{
    struct gateway *made = aligned_alloc(_Alignof(struct gateway), sizeof *made);
    struct plan_spec with_log = options->plan;
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct gateway){
        .store = options->store,
        .log = options->log,
        .purge_token = options->purge_token,
        .seed = hash_seed_random(),
        /* Those of an earlier life, whose markers may be gone, must not be met again. */
        .generation = hash_seed_random(),
        .space = options->space,
        .access_log = options->access_log,
        .access_format = options->access_format,
        .tier_timeout_ms = options->tier_timeout_ms,
    };
    if (options->tier != NULL) {
        made->fleet = calloc(1, sizeof *made->fleet);
        if (made->fleet == NULL) {
            free(made);
            return ERR_NO_MEMORY;
        }
        fleet_init(made->fleet, options->tier, options->near_space);
    }
    purge_rules_init(&made->purge_rules);
    with_log.log = options->log;
    err = plan_create(&with_log, NULL, &made->plan);
    if (err != OK) {
        purge_rules_fini(&made->purge_rules);
        if (made->fleet != NULL)
            fleet_fini(made->fleet, made->log);
        free(made->fleet);
        free(made);
        return err;
    }
    pthread_mutex_init(&made->plan_lock, NULL);
    list_init(&made->workers);
    for (size_t i = 0; i < FETCH_SHARDS; i++) {
        pthread_mutex_init(&made->shards[i].store_lock, NULL);
        pthread_mutex_init(&made->shards[i].lock, NULL);
        list_init(&made->shards[i].fetches);
        list_init(&made->shards[i].watches);
    }
    *gateway = made;
    return OK;
}

void gateway_destroy(struct gateway *gateway)
{
    for (size_t i = 0; i < FETCH_SHARDS; i++) {
        assert(list_is_empty(&gateway->shards[i].fetches));
        pthread_mutex_destroy(&gateway->shards[i].store_lock);
        pthread_mutex_destroy(&gateway->shards[i].lock);
    }
    assert(list_is_empty(&gateway->workers));
    pthread_mutex_destroy(&gateway->plan_lock);
    plan_release(gateway->plan);
    purge_rules_fini(&gateway->purge_rules);
    if (gateway->fleet != NULL)
        fleet_fini(gateway->fleet, gateway->log);
    free(gateway->fleet);
    free(gateway);
}

enum err gateway_worker_create(struct gateway *gateway, struct loop *loop, struct counters *counters,
                               struct gateway_worker **worker)
{
    struct gateway_worker *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->gateway = gateway;
    made->loop = loop;
    made->counters = counters;
    list_init(&made->fetches);
    list_init(&made->passages);
    list_init(&made->coded_exchanges);
    list_init(&made->tunnels);
    list_init(&made->inquiries);
    list_init(&made->errands);
    made->random = random_source_of(hash_seed_random(), 0, 0);
    list_init(&made->entry_watches);
    worker_join(made, gateway);
    *worker = made;
    return OK;
}

void gateway_worker_stop(struct gateway_worker *worker)
{
    worker->is_stopping = true;
    gateway_errands_cancel(worker);
    fetches_cancel(worker, false);
}

bool gateway_worker_is_idle(const struct gateway_worker *worker)
{
    return list_is_empty(&worker->fetches) && list_is_empty(&worker->passages) &&
           list_is_empty(&worker->tunnels) && list_is_empty(&worker->inquiries) &&
           list_is_empty(&worker->entry_watches) && list_is_empty(&worker->errands) &&
           fleet_is_idle(worker);
}

enum err gateway_worker_use_tier(struct gateway_worker *worker, struct tier_worker *tier)
{
    return worker->gateway->fleet == NULL ? OK : fleet_join(worker, tier);
}

void gateway_worker_destroy(struct gateway_worker *worker)
{
    /* The loop has ended: tasks that were on their way to it will not run. */
    gateway_errands_destroy(worker);
    inquiries_destroy(worker);
    entry_watches_destroy(worker);
    for (struct list *node = worker->passages.next, *next; node != &worker->passages; node = next) {
        struct passage *passage = CONTAINER_OF(node, struct passage, in_worker);
        next = node->next;
        assert(passage->state == STATE_done);
        passage_free(passage);
    }
    coded_exchanges_destroy(worker);
    tunnels_destroy(worker);
    fetches_cancel(worker, true);
    fleet_part(worker);
    worker_part(worker);
    edited_request_fini(&worker->edited);
    free(worker);
}
