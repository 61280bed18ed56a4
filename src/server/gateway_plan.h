/* gateway_plan.h — from the options of a gateway to what the engine is asked for. */
#pragma once
#include "server/options.h"

/* Makes what `role`, a gateway's, asks for; the texts are the options' and stay theirs but for the
 * credentials, which are read now. ERR_SYNTAX, with lines for the operator appended to `message`, if one
 * cannot be had; ERR_NO_MEMORY. */
enum err plan_spec_init(struct plan_spec *spec, const struct options *options,
                        const struct role_options *role, struct buffer *message);
void plan_spec_fini(struct plan_spec *spec);

/* Says, if `err` is one, why no plan could be made of what `role` asks for. */
void plan_report(const struct options *options, const struct role_options *role, enum err err,
                 struct buffer *message);
