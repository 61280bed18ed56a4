/* upstream_report.h — how the upstreams of a gateway stand, for people. */
#pragma once
#include "engine/gateway/quota/quota.h"
#include "gateway.h"

struct upstream_report {
    const char *name; /* null: the one without a name */
    struct bytes authority;
    struct quota_facts facts;
};

/* What has come of a route's conditional requests since the plan is in force. */
struct route_report {
    const char *host, *path; /* that it takes; null: any */
    const char *upstream;    /* as in struct upstream_report */
    uint64_t revalidations, not_modified;
};

/* Calls `tell` for each upstream of the present plan; what it is told is readable during the call. Any
 * thread. */
void upstreams_report(struct gateway *gateway, int64_t now_mono_ms,
                      void (*tell)(void *context, const struct upstream_report *report), void *context);

/* Likewise for each route, in their order; for all requests, if there are none. */
void routes_report(struct gateway *gateway, void (*tell)(void *context, const struct route_report *report),
                   void *context);
