/* prometheus_upstreams.h — how the upstreams and routes of gateways stand, in the text format that
 * Prometheus reads. Pure.
 *
 * Each has a series of each metric; of more than PROMETHEUS_UPSTREAMS_MAX the first ones have. */
#pragma once
#include "base/buffer.h"
#include "engine/gateway/upstream_report.h"

enum { PROMETHEUS_UPSTREAMS_MAX = 200 };

/* Zeroed to begin with; fini is due. */
struct prometheus_upstreams {
    struct prometheus_upstream {
        struct buffer labels;
        struct quota_facts facts;
    } upstreams[PROMETHEUS_UPSTREAMS_MAX];
    struct prometheus_route {
        struct buffer labels;
        uint64_t revalidations, not_modified;
    } routes[PROMETHEUS_UPSTREAMS_MAX];
    size_t upstream_count, route_count;
};

/* What upstreams_report and routes_report call, `context` being a struct prometheus_upstreams. */
void prometheus_note_upstream(void *context, const struct upstream_report *report);
void prometheus_note_route(void *context, const struct route_report *report);

/* Appends it all. Look at `failed`. */
void prometheus_append_upstreams(struct buffer *out, const struct prometheus_upstreams *noted);
void prometheus_upstreams_fini(struct prometheus_upstreams *noted);
