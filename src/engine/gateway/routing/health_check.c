#include "health_check.h"
#include <stdlib.h>

struct check {
    struct health_checks *checks;
    struct timer due;
    struct origin_call *call; /* or null */
    size_t place;
    int status; /* of the answer, once there is one */
};

struct health_checks {
    struct upstream_worker *by;
    struct loop *loop;
    struct counters *counters;
    size_t count;
    struct check of[]; /* one for each origin */
};

static void set_due(struct check *check, int64_t in_ms)
{
    timer_set(check->checks->loop, &check->due, loop_now(check->checks->loop).mono_ms + in_ms);
}

static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    (void)owner, (void)status, (void)fields;
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct check *check = owner;

    (void)reason, (void)fields, (void)body_bytes;
    check->status = status;
}

static void on_body(void *owner, struct bytes bytes) { (void)owner, (void)bytes; }

static void on_want_body(void *owner, size_t room) { (void)owner, (void)room; }

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct check *check = owner;
    struct health_checks *checks = check->checks;
    struct upstream *upstream = checks->by->upstream;
    char failure[64];
    bool is_good = err == OK && check->status == (int)upstream->policy.check_status;

    check->call = NULL;
    set_due(check, upstream->policy.check_interval_ms);
    if (err != OK && (reach == ORIGIN_WAITING || err == ERR_NO_DESCRIPTOR || err == ERR_NO_MEMORY))
        return; /* which says nothing of the origin */
    if (err != OK)
        snprintf(failure, sizeof failure, "its check: %s", err_text(err));
    else
        snprintf(failure, sizeof failure, "its check was answered %d", check->status);
    if (!is_good)
        counters_add(checks->counters, METRIC_gateway_checks_failed, 1);
    if (origin_set_note_check(&upstream->origins, check->place, loop_now(checks->loop).mono_ms,
                              is_good ? NULL : failure))
        counters_add(checks->counters, METRIC_gateway_origins_left_out, 1);
}

static void on_due(struct timer *timer)
{
    static const struct origin_callbacks callbacks = {.interim = on_interim,
                                                      .head = on_head,
                                                      .body = on_body,
                                                      .want_body = on_want_body,
                                                      .done = on_done};
    struct check *check = CONTAINER_OF(timer, struct check, due);
    const struct upstream *upstream = check->checks->by->upstream;
    const struct origin_place *place = &upstream->origins.places[check->place];
    int64_t interval_ms = upstream->policy.check_interval_ms;
    struct buffer url = {0};

    buffer_append(&url, buffer_bytes(&place->base_url));
    buffer_append(&url, bytes_of_text(upstream->policy.check_path));
    check->status = 0;
    if (url.failed || origin_start(check->checks->by->origin,
                                   &(struct origin_request){
                                       .method = BYTES("GET"),
                                       .url = buffer_bytes(&url),
                                       .host = place->authority,
                                       .body_bytes = HTTP_BODY_NONE,
                                       .timeouts = {.connect_ms = upstream->policy.connect_timeout_ms,
                                                    .first_byte_ms = interval_ms,
                                                    .total_ms = interval_ms}},
                                   &callbacks, check, &check->call) != OK)
        set_due(check, interval_ms); /* no memory: later there may be */
    buffer_fini(&url);
}

enum err health_checks_create(struct upstream_worker *by, struct loop *loop, struct counters *counters,
                              struct health_checks **checks)
{
    size_t count = by->upstream->origins.count;
    struct health_checks *made = calloc(1, sizeof *made + count * sizeof made->of[0]);

    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct health_checks){.by = by, .loop = loop, .counters = counters, .count = count};
    for (size_t i = 0; i < count; i++) {
        struct check *check = &made->of[i];
        *check = (struct check){.checks = made, .place = i};
        timer_init(&check->due, on_due);
        /* The first at once; spread over the interval, so that they do not come as a burst for ever. */
        set_due(check, 1 + by->upstream->policy.check_interval_ms * (int64_t)i / (int64_t)count);
    }
    *checks = made;
    return OK;
}

void health_checks_destroy(struct health_checks *checks)
{
    if (checks == NULL)
        return;
    for (size_t i = 0; i < checks->count; i++) {
        timer_cancel(checks->loop, &checks->of[i].due);
        if (checks->of[i].call != NULL)
            origin_cancel(checks->of[i].call);
    }
    free(checks);
}
