/* route.h — how the requests of one route are dealt with, and where they go. Immutable while it is in use.
 */
#pragma once
#include "upstream.h"

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

struct route {
    struct route_policy policy;
    struct upstream *upstream;
};
