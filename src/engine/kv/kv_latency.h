/* kv_latency.h — when commands took long: LATENCY's events. Nothing is kept while the threshold is 0. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kv_call;
struct kv_hub;

enum kv_latency_event {
    KV_LATENCY_COMMAND,      /* one that Redis does not call fast */
    KV_LATENCY_FAST_COMMAND, /* one that it does */
    KV_LATENCY_EVENTS
};

enum { KV_LATENCY_SAMPLES = 160 }; /* Redis's */

struct kv_latency {
    pthread_mutex_t lock;
    _Atomic int64_t threshold_ms; /* 0: off */
    struct kv_latency_series {
        struct kv_latency_sample {
            int64_t wall_s;
            uint32_t ms; /* the longest of that second */
        } samples[KV_LATENCY_SAMPLES];
        unsigned next, count; /* a ring */
        uint32_t longest_ms;
    } series[KV_LATENCY_EVENTS];
};

/* Sets what is worth keeping. Any thread. */
void kv_latency_set(struct kv_hub *hub, int64_t threshold_ms);

/* Keeps the time of the command if it is long. */
void kv_latency_note(const struct kv_call *call, uint64_t time_us);
