/* check_upstream.h — what no single option of an upstream can know. */
#pragma once
#include "server/options.h"

/* False, with a line for the operator, if some of the options of an upstream of `role` do not go together:
 * those of the role's are filled in already. */
bool check_upstreams(const struct options *options, const struct role_options *role,
                     struct buffer *message);
