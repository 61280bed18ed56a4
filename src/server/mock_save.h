/* mock_save.h — a mock's data as they are now, into a file beside the file or the folder that they came
 * from: db-20261129T232218.123Z.json. */
#pragma once
#include "base/log.h"
#include "engine/mock/mock.h"
#include "server/options.h"

/* Writes it, in the folder of the option `snapshots` if there is one, and logs where it is or why not.
 * Blocks. Any thread. */
void mock_save(const struct role_options *role, struct mock *mock, int64_t wall_ms, struct log *log);
