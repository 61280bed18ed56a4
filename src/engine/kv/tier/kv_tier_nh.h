/* kv_tier_nh.h — our own commands (NH.…) where the keys are in the shared tier. */
#pragma once
#include "engine/kv/kv_call.h"

/* Runs a command that has passed the guards: NH.GET, SET, DELIFEQ, EXPIREIFEQ, RATE and PURGE. */
void kv_tier_nh(const struct kv_call *call);
