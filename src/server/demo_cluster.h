/* demo_cluster.h — several machines in one view: a cluster of Valkey or Redis as the shared tier, two nodes
 * of nuthatch in front of it and a slow API behind them, all on loopback, played as a short tour. */
#pragma once
#include "server/options.h"
#include <stdio.h>

/* As demo_run. What it has started is ended and removed when it returns. */
int demo_cluster_run(const struct options *options, FILE *out);
