/* mock_watch.h — a mock's rules and its OpenAPI document, with the files that these name, are read again
 * when somebody has changed them. A file of data has a keeper that does so: keep.h. */
#pragma once
#include "base/buffer.h"
#include "engine/mock/mock.h"
#include "server/options.h"

/* The files that a mock was made of, each path with a byte of 0 behind it. */
struct mock_files {
    struct buffer of_rules, of_document;
};
void mock_files_fini(struct mock_files *files);

/* Begins to look at them, if the role wants that. `role`, which the mock was made from, and `log` are kept
 * by reference. ERR_NO_MEMORY, ERR_SYSTEM. */
enum err mock_watch_begin(const struct role_options *role, struct mock *mock,
                          const struct mock_files *files, struct log *log);
