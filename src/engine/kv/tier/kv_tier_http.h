/* kv_tier_http.h — values over plain HTTP where the keys are in the shared tier. */
#pragma once
#include "engine/kv/kv_http.h"

/* Its engine is a struct kv_http whose `kv` has its commands go to the tier. */
extern const struct exchange_engine kv_tier_http_engine;
