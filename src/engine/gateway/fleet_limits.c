#include "fleet_limits.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "engine/gateway/routing/upstream.h"
#include <inttypes.h>
#include <stdlib.h>

enum { NAME_SEED = 2, NUMBER_BYTES = 24, HERE_MS = 5000 }; /* the seed is the same at all nodes */
#define NODE_GONE_MS "20000" /* after which one that has said nothing is not there */

struct asking {
    struct fleet_worker *fleet;
    struct upstream *upstream; /* held */
    uint64_t credential;
    struct list in_worker;
};

static void end(struct asking *asking, const struct share_reply *reply)
{
    quota_share_told(&asking->upstream->quota, asking->credential, reply,
                     loop_now(asking->fleet->worker->loop).mono_ms);
    list_remove(&asking->in_worker);
    upstream_release(asking->upstream);
    free(asking);
}

static void on_told(void *owner, enum err err, int64_t number)
{
    struct share_reply reply;
    bool is_told = err == OK && share_reply_read(&reply, number);

    end(owner, is_told ? &reply : NULL);
}

/* The same at all nodes that have the same limits. */
static uint64_t name_of(const struct upstream *upstream)
{
    uint64_t name = hash_bytes(buffer_bytes(&upstream->base_url), NAME_SEED);

    name = hash_bytes(bytes_of_text(upstream->policy.rate_limits), name);
    return hash_bytes(bytes_of(&upstream->policy.rate_burst, sizeof upstream->policy.rate_burst), name);
}

static bool run(struct asking *asking, const struct quota_question *question)
{
    struct fleet_worker *fleet = asking->fleet;
    const struct quota_policy *policy = &asking->upstream->quota.policy;
    struct share_limits limits = {
        .specs = policy->specs, .spec_count = policy->spec_count, .burst = policy->burst};
    int64_t numbers[3 + 2 * RATE_SPECS_MAX] = {question->share.count, question->share.own_count,
                                               question->share.is_remembered};
    char texts[COUNT_OF(numbers)][NUMBER_BYTES];
    struct bytes arguments[COUNT_OF(numbers)];
    struct fleet_key key;
    size_t count = 3;

    for (size_t i = 0; i < limits.spec_count; i++) {
        struct token_bucket bucket;
        share_bucket(&bucket, &limits, i);
        numbers[count++] = bucket.burst;
        numbers[count++] = bucket.interval_us;
    }
    for (size_t i = 0; i < count; i++)
        arguments[i] =
            bytes_of(texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "%" PRId64, numbers[i]));
    key.size = (size_t)snprintf(key.text, sizeof key.text, "nh:{r%016" PRIx64 "%016" PRIx64 "}:b",
                                name_of(asking->upstream), question->asker);
    return fleet_script_run(fleet, fleet_script_share, &key, 1, arguments, count,
                            loop_now(fleet->worker->loop).mono_ms + FLEET_ASK_MS, on_told, asking) != NULL;
}

void fleet_limits_ask(struct fleet_worker *fleet, struct upstream *upstream,
                      const struct quota_ticket *ticket, enum quota_verdict verdict)
{
    bool is_about_share = verdict == QUOTA_GO || verdict == QUOTA_WAIT || verdict == QUOTA_LIMITED;
    struct quota_question question;
    struct asking *asking;

    if (!is_about_share || !quota_question(&upstream->quota, ticket, atomic_load(&fleet->fleet->node_count),
                                           loop_now(fleet->worker->loop).mono_ms, &question))
        return;
    asking = calloc(1, sizeof *asking);
    if (asking == NULL) {
        quota_share_told(&upstream->quota, question.credential, NULL,
                         loop_now(fleet->worker->loop).mono_ms);
        return;
    }
    *asking = (struct asking){
        .fleet = fleet, .upstream = upstream_hold(upstream), .credential = question.credential};
    list_init(&asking->in_worker);
    list_append(&fleet->limits, &asking->in_worker);
    if (!run(asking, &question))
        end(asking, NULL);
}

/* ---- how many nodes there are -------------------------------------------------------------------- */

static void on_counted(void *owner, enum err err, int64_t number)
{
    struct fleet_worker *fleet = owner;

    if (err == OK && number > 0)
        atomic_store(&fleet->fleet->node_count, number);
}

/* One worker of each node says that it is there. */
static void say_here(struct timer *timer)
{
    struct fleet_worker *fleet = CONTAINER_OF(timer, struct fleet_worker, here_timer);
    int64_t now_mono_ms = loop_now(fleet->worker->loop).mono_ms;
    char node[NUMBER_BYTES];
    const struct bytes arguments[] = {
        bytes_of(node, (size_t)snprintf(node, sizeof node, "%016" PRIx64, fleet->fleet->node)),
        BYTES_INIT(NODE_GONE_MS)};
    struct fleet_key key;

    if (!fleet->worker->checks_health)
        return;
    timer_set(fleet->worker->loop, timer, now_mono_ms + HERE_MS);
    key.size = (size_t)snprintf(key.text, sizeof key.text, "nh:{nodes}");
    fleet_script_run(fleet, fleet_script_here, &key, 1, arguments, COUNT_OF(arguments),
                     now_mono_ms + FLEET_ASK_MS, on_counted, fleet);
}

void fleet_limits_init(struct fleet_worker *fleet)
{
    list_init(&fleet->limits);
    timer_init(&fleet->here_timer, say_here);
    timer_set(fleet->worker->loop, &fleet->here_timer, loop_now(fleet->worker->loop).mono_ms + 1);
}

void fleet_limits_destroy(struct fleet_worker *fleet)
{
    timer_cancel(fleet->worker->loop, &fleet->here_timer);
    for (struct list *node = fleet->limits.next, *next; node != &fleet->limits; node = next) {
        struct asking *asking = CONTAINER_OF(node, struct asking, in_worker);
        next = node->next;
        end(asking, NULL);
    }
}
