/* reread.h — the file of a running server read again, and what in it differs from what runs. */
#pragma once
#include "server/options.h"

/* Reads the file of `running` into `fresh`, which is to be finished by options_fini in any case; what the
 * command line said is said again. Errors and `message` as of options_load_yaml. */
enum err options_reread(const struct options *running, struct options *fresh, struct buffer *message);

/* The role of `fresh` that the gateway `index` of `running` is to go on as: the one with the same
 * listeners, or else the one in the same place among those that have no such partner. Null if there is
 * none. */
const struct role_options *options_successor(const struct options *running, const struct options *fresh,
                                             size_t index);

/* Appends a line, with its place, for each difference that only a restart brings about. */
void options_report_restarts(const struct options *running, const struct options *fresh,
                             struct buffer *message);
