#include "server/poll_plan.h"
#include <stdlib.h>

enum err poll_plan_follow(struct polls *polls, const struct role_options *role)
{
    struct poll_spec *specs = calloc(role->poll_count + 1, sizeof *specs);
    enum err err;

    if (specs == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < role->poll_count; i++)
        specs[i] = role->polls[i].spec;
    err = polls_follow(polls, specs, role->poll_count);
    free(specs);
    return err;
}
