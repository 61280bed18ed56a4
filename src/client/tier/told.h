/* told.h — what a worker's connections tell it, and what this process writes itself: both end that what is
 * near is given. */
#pragma once
#include "client/tier/tier.h"

/* The owner of them is a struct tier_worker. */
extern const struct valkey_callbacks tier_told;
