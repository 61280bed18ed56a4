#include "upstream.h"
#include "base/compiler.h"
#include "health_check.h"
#include "message/plain_target.h"
#include <stdlib.h>

enum { OUT_MS_MAX = 5 * 60 * 1000, CHECKS_TO_DECIDE = 2 };

/* ---- what was asked for -------------------------------------------------------------------------- */

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* False if there is no memory; what has been copied is there. */
static bool copy_text(const char *from, char **to)
{
    *to = from != NULL ? strdup(from) : NULL;
    return (from == NULL) == (*to == NULL);
}

#define COPY_integer(field)  true
#define COPY_size(field)     true
#define COPY_duration(field) true
#define COPY_answer(field)   true
#define COPY_url(field)      copy_text(from->field, &to->field)
#define COPY_text(field)     copy_text(from->field, &to->field)
#define COPY_path(field)     copy_text(from->field, &to->field)
#define COPY_rates(field)    copy_text(from->field, &to->field)

static bool policy_copy(const struct upstream_policy *from, struct upstream_policy *to)
{
    bool is_copied = true;

    *to = *from;
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) is_copied &= COPY_##type(field);
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
    return is_copied;
}

#define FREE_integer(field)
#define FREE_size(field)
#define FREE_duration(field)
#define FREE_answer(field)
#define FREE_url(field)   free(policy->field);
#define FREE_text(field)  free(policy->field);
#define FREE_path(field)  free(policy->field);
#define FREE_rates(field) free(policy->field);

static void policy_fini(struct upstream_policy *policy)
{
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) FREE_##type(field)
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
}

#define SAME_integer(field)  a->field == b->field
#define SAME_size(field)     a->field == b->field
#define SAME_duration(field) a->field == b->field
#define SAME_answer(field)   a->field == b->field
#define SAME_url(field)      is_same_text(a->field, b->field)
#define SAME_text(field)     is_same_text(a->field, b->field)
#define SAME_path(field)     is_same_text(a->field, b->field)
#define SAME_rates(field)    is_same_text(a->field, b->field)

static bool policy_is_same(const struct upstream_policy *a, const struct upstream_policy *b)
{
    return true
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) &&SAME_##type(field)
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
        ;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static bool is_path(const char *text)
{
    return text[0] == '/' && target_is_plain(bytes_of_text(text), (struct bytes){0});
}

static enum err take_origins(struct upstream *upstream, struct log *log)
{
    const struct upstream_policy *policy = &upstream->policy;
    struct health_policy health = {
        .failures_max = policy->failures_max,
        .out_ms = policy->out_ms,
        .out_ms_max = policy->out_ms > OUT_MS_MAX ? policy->out_ms : OUT_MS_MAX,
        .slow_start_ms = policy->slow_start_ms,
        .checks_to_fail = CHECKS_TO_DECIDE,
        .checks_to_pass = CHECKS_TO_DECIDE,
    };
    const struct origin_place *first;
    enum err err;

    if (policy->origin_urls == NULL || (policy->check_path != NULL && !is_path(policy->check_path)))
        return ERR_SYNTAX;
    err = origin_set_init(&upstream->origins, bytes_of_text(policy->origin_urls), &health, log);
    if (err != OK)
        return err;
    first = &upstream->origins.places[0];
    buffer_append(&upstream->base_url, buffer_bytes(&first->base_url));
    if (upstream->base_url.failed)
        return ERR_NO_MEMORY;
    upstream->authority = bytes_of(upstream->base_url.data + (first->authority.data - first->base_url.data),
                                   first->authority.size);
    return OK;
}

/* But for its limits. */
static void upstream_free(struct upstream *upstream)
{
    policy_fini(&upstream->policy);
    free(upstream->name);
    if (upstream->origins.places != NULL)
        origin_set_fini(&upstream->origins);
    buffer_fini(&upstream->base_url);
    free(upstream);
}

static enum err take_limits(struct upstream *upstream)
{
    const struct upstream_policy *policy = &upstream->policy;
    struct quota_policy quota = {
        .burst = policy->rate_burst,
        .wait_ms = policy->rate_wait_ms,
        .learns = policy->learns_rates != 0,
        .has_free_304 = policy->has_free_304 != 0,
        .concurrency_least = policy->concurrency_least,
        .concurrency_most = policy->concurrency_most,
        .breaker = {.failures_max = policy->breaker_failures_max,
                    .percent_max = policy->breaker_percent_max,
                    .open_ms = policy->breaker_ms},
    };

    if (policy->rate_limits != NULL &&
        !rate_specs_read(bytes_of_text(policy->rate_limits), quota.specs, &quota.spec_count))
        return ERR_SYNTAX;
    if (policy->hedge_after != NULL &&
        !hedge_read(bytes_of_text(policy->hedge_after), &upstream->hedge_after_ms))
        return ERR_SYNTAX;
    quota_init(&upstream->quota, &quota);
    return OK;
}

enum err upstream_create(const struct upstream_spec *spec, struct log *log, struct upstream **upstream)
{
    const struct upstream_policy *policy = &spec->policy;
    struct upstream *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->reference_count = 1;
    err = policy_copy(policy, &made->policy) && copy_text(spec->name, &made->name) ? OK : ERR_NO_MEMORY;
    if (err == OK)
        err = take_limits(made);
    if (err != OK) {
        upstream_free(made);
        return err;
    }
    err = take_origins(made, log);
    if (err != OK) {
        upstream_release(made);
        return err;
    }
    *upstream = made;
    return OK;
}

struct upstream *upstream_hold(struct upstream *upstream)
{
    atomic_fetch_add(&upstream->reference_count, 1);
    return upstream;
}

void upstream_release(struct upstream *upstream)
{
    if (atomic_fetch_sub(&upstream->reference_count, 1) > 1)
        return;
    quota_fini(&upstream->quota);
    upstream_free(upstream);
}

bool upstream_is(const struct upstream *upstream, const struct upstream_spec *spec)
{
    return is_same_text(upstream->name, spec->name) && policy_is_same(&upstream->policy, &spec->policy);
}

/* ---- one worker's part --------------------------------------------------------------------------- */

enum err upstream_worker_create(struct upstream *upstream, struct loop *loop,
                                struct upstream_worker **worker)
{
    const struct upstream_policy *policy = &upstream->policy;
    struct origin_options options = {.loop = loop,
                                     .connections_max = (uint32_t)policy->origin_connections_max,
                                     .offers_http2 = policy->offers_http2,
                                     .http2_held_max = (uint32_t)policy->http2_held_max,
                                     .authorities_path = policy->authorities_path};
    struct upstream_worker *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    err = origin_create(&options, &made->origin);
    if (err != OK) {
        free(made);
        return err;
    }
    made->upstream = upstream_hold(upstream);
    list_init(&made->in_worker);
    *worker = made;
    return OK;
}

void upstream_worker_destroy(struct upstream_worker *worker)
{
    list_remove(&worker->in_worker);
    health_checks_destroy(worker->checks);
    origin_destroy(worker->origin);
    if (worker->tunnels != NULL)
        origin_destroy(worker->tunnels);
    upstream_release(worker->upstream);
    free(worker);
}

bool upstream_worker_is_idle(const struct upstream_worker *worker)
{
    return origin_call_count(worker->origin) == 0 &&
           (worker->tunnels == NULL || origin_call_count(worker->tunnels) == 0);
}

enum err upstream_worker_make_tunnels(struct upstream_worker *worker, struct loop *loop)
{
    const struct upstream_policy *policy = &worker->upstream->policy;
    uint32_t tunnels_max = (uint32_t)policy->tunnels_max;

    if (worker->tunnels == NULL)
        return origin_create(&(struct origin_options){.loop = loop,
                                                      .connections_max = tunnels_max,
                                                      .authorities_path = policy->authorities_path},
                             &worker->tunnels);
    return origin_call_count(worker->tunnels) < tunnels_max ? OK : ERR_FULL;
}
