/* kv_redact.h — which arguments are passwords, or tell whose: who looks in is shown "(redacted)" instead.
 */
#pragma once
#include "engine/kv/kv_call.h"

/* Whether argument `index` is one. A slip that may have one behind it (CONFIG SETT) is taken for one, too.
 */
bool kv_is_secret(const struct kv_call *call, uint32_t index);
