/* gateway_plan.h — from the options of a gateway to what the engine is asked for. */
#pragma once
#include "server/options.h"

/* Makes the plan that `role`, a gateway's, asks for; its texts are the options' and stay theirs, the lists
 * are freed by plan_spec_fini. ERR_NO_MEMORY. */
enum err plan_spec_init(struct plan_spec *spec, const struct role_options *role);
void plan_spec_fini(struct plan_spec *spec);
