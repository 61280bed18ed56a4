/* poll_plan.h — from the options of a gateway to what it polls. */
#pragma once
#include "engine/poll/polls.h"
#include "server/options.h"

/* Has `polls` follow what `role`, a gateway's, says; errors as of polls_follow. Any thread. */
enum err poll_plan_follow(struct polls *polls, const struct role_options *role);
