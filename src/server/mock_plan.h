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

/* Where it listens, as http_guard_pages has it; the texts are those of `listens`. The caller frees the
 * list; null without memory. */
struct bytes *mock_plan_list_hosts(const struct listen_list *listens, size_t *count);

/* ---- for mock_watch.c ---- */

/* Reads the role's rules, and those of a recording if its data are one, into `rules`, which are ended by
 * the caller in any case. `paths` gets the files that they are from. Errors as above. */
enum err mock_plan_read_rules(const struct role_options *role, struct rules *rules, struct buffer *paths,
                              struct buffer *message);

/* Reads the role's data as JSON text; the same of `paths`. */
enum err mock_plan_read_document(const struct role_options *role, struct buffer *json, struct buffer *paths,
                                 struct buffer *message);

/* Appends "FILE: why", and if that is one thing, the line of `text` that it is about and a pointer. */
void mock_plan_report(struct buffer *message, const char *path, struct bytes sentence, struct bytes text);
