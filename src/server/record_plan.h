/* record_plan.h — from options to a mock that passes everything on and records it: `nuthatch mock
 * --record`. */
#pragma once
#include "base/buffer.h"
#include "engine/mock/record/recorder.h"
#include "server/options.h"

/* Makes it; `role`, which has a record_url, and `log` are kept by reference; `is_local`: it listens on
 * loopback alone. Returns OK; ERR_SYNTAX if the options do not go together; what recording_open says; with
 * lines for the operator appended to `message`.
 */
enum err record_plan_create(const struct role_options *role, bool is_local, struct log *log,
                            struct recorder **recorder, struct buffer *message);
