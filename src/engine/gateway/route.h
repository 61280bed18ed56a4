/* route.h — which requests a route takes, how they are dealt with, and where they go. Part of a plan, and
 * as immutable. */
#pragma once
#include "route_match.h"
#include "upstream.h"

/* The C type of a field by the type of its row. */
#define ROUTE_FIELD_integer(field)  int64_t field;
#define ROUTE_FIELD_size(field)     int64_t field;
#define ROUTE_FIELD_duration(field) int64_t field;
#define ROUTE_FIELD_answer(field)   int field; /* 0: no, 1: yes */

/* What the operator may say of a route: the rows of tables/route_options.def. */
struct route_policy {
#define ROUTE_OPTION(type, name, field, fallback, low, high, help) ROUTE_FIELD_##type(field)
#include "tables/route_options.def"
#undef ROUTE_OPTION
};

/* A route as it is asked for; the texts are the asker's. */
struct route_spec {
    struct match_spec match;
    char *upstream; /* its name; null: the one without a name */
    struct route_policy policy;
};

struct route {
    struct route_plan *plan; /* it is part of: see plan.h */
    struct route_policy policy;
    struct route_match match;
    struct upstream *upstream; /* the plan's; null: no route at all took the request */
};
