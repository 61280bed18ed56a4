/* prometheus.h — what the server counts, in the text format that Prometheus reads. Pure. */
#pragma once
#include "base/buffer.h"
#include "engine/kv/kv.h"
#include "nuthatch.h"
#include "server/tier_board.h"

/* Appends the rows of tables/metrics.def as counters, and what the process and the store are at now. */
void prometheus_append(struct buffer *out, const struct kv_facts *facts, const nh_stats *store,
                       int64_t now_mono_ms);

/* Appends how each server of the shared tier is. */
void prometheus_append_tier(struct buffer *out, const struct tier_board_node *nodes, size_t count);

/* The Content-Type of that. */
#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"
