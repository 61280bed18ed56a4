/* kv_counts.h — how often commands ran and failed, and how long they took.
 *
 * Every call is counted. Commands that Redis does not call fast are timed each; of the others those of one
 * batch in KV_TIMED_BATCHES, unless the slow log's threshold asks for more: two readings of a clock would
 * cost as much as a tenth of a GET. What is said of their time is the mean of the timed ones. */
#pragma once
#include "message/command.h"
#include <pthread.h>
#include <stdatomic.h>

enum { KV_TIMED_BATCHES = 64, KV_TIME_BUCKETS = 31 }; /* bucket i: at most 2^i microseconds */

/* Of one worker, which alone writes; any thread may read values that are a moment old. */
struct kv_counts {
    _Atomic uint64_t calls[COMMAND_COUNT];
    _Atomic uint64_t rejected[COMMAND_COUNT]; /* did not come to run */
    _Atomic uint64_t failed[COMMAND_COUNT];   /* ran, and said an error */
    _Atomic uint64_t timed[COMMAND_COUNT], timed_ns[COMMAND_COUNT];
    _Atomic uint32_t times[COMMAND_COUNT][KV_TIME_BUCKETS];
};

static inline void kv_count(_Atomic uint64_t *count, uint64_t amount)
{
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, before + amount, memory_order_relaxed);
}

/* The sums over all workers, of one command. */
struct kv_command_counts {
    uint64_t calls, rejected, failed, timed, timed_ns;
    uint64_t times[KV_TIME_BUCKETS];
};

struct kv_hub;
struct kv_command_counts kv_counts_of(const struct kv_hub *hub, enum command_id id);

/* Errors said, by their first word. */
enum { KV_ERROR_KINDS = 64, KV_ERROR_NAME_BYTES = 32 };
struct kv_errors {
    pthread_mutex_t lock;
    uint64_t total;
    unsigned kind_count;
    struct kv_error_kind {
        char name[KV_ERROR_NAME_BYTES];
        uint64_t count;
    } kinds[KV_ERROR_KINDS]; /* the last also stands for all that found no room */
};

/* The error `text` was said to a client by the command that this worker is at. */
struct kv;
void kv_note_error(struct kv *kv, struct bytes text);

/* A clock that only measures: nanoseconds. */
uint64_t kv_stopwatch_ns(void);
