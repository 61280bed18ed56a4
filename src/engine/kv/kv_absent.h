/* kv_absent.h — Redis's commands that this server has not got: an error that says so, where "unknown
 * command" would leave a reader to wonder. */
#pragma once
#include "engine/kv/kv_call.h"

/* Says it, if argument 0 names one. False: it names nothing in Redis either. */
bool kv_say_absent(const struct kv_call *call);

/* Whether it is one's name, in any case. */
bool kv_is_absent(struct bytes name);
