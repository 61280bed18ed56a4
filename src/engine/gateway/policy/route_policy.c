#include "route_policy.h"
#include <stdlib.h>
#include <string.h>

bool route_policy_copy(struct route_policy *to, const struct route_policy *from)
{
    bool is_copied = true;

    *to = *from;
#define ROUTE_COPY_integer(field)
#define ROUTE_COPY_size(field)
#define ROUTE_COPY_duration(field)
#define ROUTE_COPY_answer(field)
#define ROUTE_COPY_host(field)
#define ROUTE_COPY_list(field)                                                                             \
    to->field = from->field != NULL ? strdup(from->field) : NULL;                                          \
    is_copied &= (to->field == NULL) == (from->field == NULL);
#define ROUTE_OPTION(type, name, field, fallback, low, high, help) ROUTE_COPY_##type(field)
#include "tables/route_options.def"
#undef ROUTE_OPTION
    return is_copied;
}

void route_policy_fini(struct route_policy *policy)
{
#define ROUTE_FREE_integer(field)
#define ROUTE_FREE_size(field)
#define ROUTE_FREE_duration(field)
#define ROUTE_FREE_answer(field)
#define ROUTE_FREE_host(field)
#define ROUTE_FREE_list(field)                                     free(policy->field);
#define ROUTE_OPTION(type, name, field, fallback, low, high, help) ROUTE_FREE_##type(field)
#include "tables/route_options.def"
#undef ROUTE_OPTION
    *policy = (struct route_policy){0};
}
