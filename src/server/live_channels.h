/* live_channels.h — resources that are watched, as channels of the cache in the same process: who does
 * SUBSCRIBE nuthatch:live:/scores is told what a WebSocket that watches /scores is told of changes. */
#pragma once
#include "server/worker.h"

/* Has the worker's sessions hear of what its gateways have. Once its engines are made. */
void live_channels_begin(struct worker *worker);
