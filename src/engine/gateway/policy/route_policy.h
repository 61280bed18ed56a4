/* route_policy.h — what the operator may say of how a route's answers are kept, reused and sent: numbers,
 * and lists that stay as they are written, see route_list.h. */
#pragma once
#include "route_list.h"
#include <stdint.h>

/* Which Host an origin is sent. */
enum route_host {
    ROUTE_HOST_ORIGIN, /* its own */
    ROUTE_HOST_PASS,   /* the client's */
};

/* The C type of a field by the type of its row. */
#define ROUTE_FIELD_integer(field)  int64_t field;
#define ROUTE_FIELD_size(field)     int64_t field;
#define ROUTE_FIELD_duration(field) int64_t field;
#define ROUTE_FIELD_answer(field)   int field; /* 0: no, 1: yes */
#define ROUTE_FIELD_host(field)     enum route_host field;
#define ROUTE_FIELD_list(field)     char *field; /* null: none */

/* What the operator may say of a route: the rows of tables/route_options.def. */
struct route_policy {
#define ROUTE_OPTION(type, name, field, fallback, low, high, help) ROUTE_FIELD_##type(field)
#include "tables/route_options.def"
#undef ROUTE_OPTION
};

/* A copy with lists of its own. False if there is no memory; fini is due in any case. */
bool route_policy_copy(struct route_policy *to, const struct route_policy *from);
void route_policy_fini(struct route_policy *policy);
