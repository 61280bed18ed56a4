/* purge_client.h — `nuthatch purge`: asks the administrator's API of a running gateway for purges. */
#pragma once
#include "server/options.h"
#include <stdio.h>

/* Does what the options say, which are complete and of that command. Says on `out` what was purged, or on
 * `errors` why it was not and what to do. Returns the exit status (VERB_STATUS of tables/roles.def). */
int purge_run(const struct options *options, FILE *out, FILE *errors);
