/* demo.h — nuthatch in one view: a slow API, the gateway in front of it, and the cache ports on the same
 * store, played as a short tour over real sockets. */
#pragma once
#include "server/options.h"
#include <stdio.h>

/* Plays the tour on `out`, in colour if that is a terminal, then stays up until a signal, unless
 * options->demo_once. Returns the exit status: 0 if every step held. */
int demo_run(const struct options *options, FILE *out);
