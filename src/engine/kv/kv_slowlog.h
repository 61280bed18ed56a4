/* kv_slowlog.h — the last commands that took longer than a threshold, as SLOWLOG tells them. */
#pragma once
#include "base/buffer.h"
#include "base/list.h"
#include <pthread.h>
#include <stdatomic.h>

struct kv_call;
struct kv_hub;

struct kv_slowlog {
    pthread_mutex_t lock;
    struct list entries; /* the newest first */
    uint64_t entry_count, next_id;
    _Atomic uint64_t entry_count_max;
    _Atomic int64_t slower_than_us; /* 0: every command; below 0: none */
};

void kv_slowlog_init(struct kv_slowlog *slowlog);
void kv_slowlog_fini(struct kv_slowlog *slowlog);

/* Sets what is slow, and how many entries are kept. Any thread. */
void kv_slowlog_set(struct kv_hub *hub, int64_t slower_than_us, uint64_t entry_count_max);

/* Keeps the command if `time_us` is slow. Without memory it is not kept. */
void kv_slowlog_note(const struct kv_call *call, uint64_t time_us);
