/* upstream.h — an API that the gateway stands in front of, and each worker's connections to it.
 *
 * An upstream does not change, but for what is known of it. The plans that have it hold references, as does
 * each worker's part of it; any thread may hold and release. */
#pragma once
#include "base/buffer.h"
#include "base/list.h"
#include "client/origin.h"
#include "engine/gateway/quota/quota.h"
#include "hedge.h"
#include "origin_set.h"
#include <stdatomic.h>

/* The C type of a field by the type of its row. */
#define UPSTREAM_FIELD_integer(field)  int64_t field;
#define UPSTREAM_FIELD_size(field)     int64_t field;
#define UPSTREAM_FIELD_duration(field) int64_t field;
#define UPSTREAM_FIELD_answer(field)   int field;   /* 0: no, 1: yes */
#define UPSTREAM_FIELD_url(field)      char *field; /* one a line */
#define UPSTREAM_FIELD_text(field)     char *field;
#define UPSTREAM_FIELD_path(field)     char *field;
#define UPSTREAM_FIELD_rates(field)    char *field; /* as of rate_spec.h */

/* What the operator may say of an upstream: the rows of tables/upstream_options.def. */
struct upstream_policy {
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) UPSTREAM_FIELD_##type(field)
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
};

/* An upstream as it is asked for; the texts are the asker's. */
struct upstream_spec {
    char *name; /* null for the one that needs none */
    struct upstream_policy policy;
};

struct upstream {
    atomic_uint reference_count;
    struct upstream_policy policy; /* with texts of its own */
    char *name;                    /* or null */
    struct buffer
        base_url; /* of its first origin: it names the upstream in keys, whichever origin answers */
    struct bytes authority; /* part of it */
    struct origin_set origins;
    struct quota quota;
    int64_t hedge_after_ms; /* as of hedge_read */
};

/* Makes one with one reference. Errors as of origin_set_init; ERR_SYNTAX also for limits and hedges that
 * are none.
 */
enum err upstream_create(const struct upstream_spec *spec, struct log *log, struct upstream **upstream);
struct upstream *upstream_hold(struct upstream *upstream);
void upstream_release(struct upstream *upstream);

/* True if `upstream` is what `spec` asks for, to the last option. */
bool upstream_is(const struct upstream *upstream, const struct upstream_spec *spec);

/* One worker's part of an upstream; everything in it is the worker's own. */
struct upstream_worker {
    struct list in_worker;
    struct upstream *upstream; /* held */
    struct origin *origin;
    struct origin *tunnels; /* apart, so that they leave the others their connections; null: none yet */
    struct hedge hedge;
    struct health_checks *checks; /* of the one worker that does them; else null */
    bool is_retired;              /* the worker's plan has it no more: goes once nothing is in flight */
};

/* Made and destroyed on the loop's thread, or while the loop does not run; no call of it may be alive then.
 */
enum err upstream_worker_create(struct upstream *upstream, struct loop *loop,
                                struct upstream_worker **worker);
void upstream_worker_destroy(struct upstream_worker *worker);

/* True if no call of it is alive. */
bool upstream_worker_is_idle(const struct upstream_worker *worker);

/* Whether another tunnel may be begun, for which all is then made ready. ERR_FULL: there are as many as may
 * be; errors as of origin_create. */
enum err upstream_worker_make_tunnels(struct upstream_worker *worker, struct loop *loop);
