/* mock_plan.h — from options to a mock: its data from a file or a folder, its other files read. */
#pragma once
#include "base/buffer.h"
#include "engine/mock/mock.h"
#include "server/options.h"

/* Makes the mock of `role`; without a data file it has the sample. `role` and `log` are kept by
 * reference. `is_local`: it listens at loopback alone. Returns OK; what mock_create says, or ERR_MISSING,
 * ERR_FORBIDDEN and the like if a file cannot be read, with lines for the operator appended to `message`.
 */
enum err mock_plan_create(const struct role_options *role, const char *admin_token, bool is_local,
                          struct log *log, struct mock **mock, struct buffer *message);
