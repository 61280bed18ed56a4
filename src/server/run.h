/* run.h — what the process does with the options it was given, from start to exit status. */
#pragma once
#include "server/options.h"

/* Runs the roles of `options` until SIGTERM or SIGINT: then it drains, and a second signal ends it at once.
 * SIGHUP has it read its files again. Returns the exit status. */
int run_roles(const struct options *options);

/* Blocks the signals that end a process so that run_wait can wait for them; before any thread starts. Also
 * ignores SIGPIPE and takes as many file descriptors as the system allows. */
void run_prepare(void);

/* Waits for SIGTERM or SIGINT, at most `timeout_ms` (negative: for ever). True if one came. */
bool run_wait(int64_t timeout_ms);
