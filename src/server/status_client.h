/* status_client.h — `nuthatch status`: asks the administrator's API of a running nuthatch how it is doing.
 */
#pragma once
#include "server/options.h"
#include <stdio.h>

/* Says on `out` what the API says, as a page or as the JSON that it is, or on `errors` why there is nothing
 * to say. Returns the exit status (VERB_STATUS of tables/roles.def). */
int status_run(const struct options *options, FILE *out, FILE *errors);
