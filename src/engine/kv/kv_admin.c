#include "engine/kv/kv_admin.h"
#include "base/hash.h"
#include "engine/kv/kv_care.h"
#include "engine/kv/kv_monitor.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct kv_admin *kv_admin_create(unsigned worker_count)
{
    struct kv_admin *admin = calloc(1, sizeof *admin);

    if (admin == NULL)
        return NULL;
    admin->monitor_counts = calloc(worker_count, sizeof *admin->monitor_counts);
    admin->engines = calloc(worker_count, sizeof *admin->engines);
    if (admin->monitor_counts == NULL || admin->engines == NULL) {
        free(admin->monitor_counts);
        free(admin->engines);
        free(admin);
        return NULL;
    }
    pthread_mutex_init(&admin->clients.lock, NULL);
    list_init(&admin->clients.sessions);
    pthread_mutex_init(&admin->latency.lock, NULL);
    pthread_mutex_init(&admin->errors.lock, NULL);
    kv_slowlog_init(&admin->slowlog);
    snprintf(admin->run_id, sizeof admin->run_id, "%016llx%016llx%08llx",
             (unsigned long long)hash_seed_random(), (unsigned long long)hash_seed_random(),
             (unsigned long long)(hash_seed_random() & UINT32_MAX));
    return admin;
}

void kv_admin_destroy(struct kv_admin *admin)
{
    if (admin == NULL)
        return;
    kv_slowlog_fini(&admin->slowlog);
    pthread_mutex_destroy(&admin->clients.lock);
    pthread_mutex_destroy(&admin->latency.lock);
    pthread_mutex_destroy(&admin->errors.lock);
    free(admin->monitor_counts);
    free(admin->engines);
    free(admin);
}

void kv_join(struct kv *kv) { kv->hub->admin->engines[kv->number] = kv; }

void kv_care_update(struct kv_hub *hub)
{
    enum { COARSE_US = 8000 }; /* what takes longer than this is no fast command */
    const struct kv_admin *admin = hub->admin;
    int64_t slow_us = atomic_load_explicit(&admin->slowlog.slower_than_us, memory_order_relaxed);
    int64_t long_us = 1000 * atomic_load_explicit(&admin->latency.threshold_ms, memory_order_relaxed);
    uint32_t care = KV_CARE_SLOW;

    if ((slow_us >= 0 && slow_us < COARSE_US) || (long_us > 0 && long_us < COARSE_US))
        care |= KV_CARE_FAST;
    for (unsigned i = 0; i < hub->worker_count; i++)
        if (atomic_load_explicit(&admin->monitor_counts[i], memory_order_relaxed) > 0)
            care |= KV_CARE_SHOWN;
    atomic_store_explicit(&hub->care, care, memory_order_relaxed);
}

/* ---- counts ------------------------------------------------------------------------------------ */

uint64_t kv_stopwatch_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

struct kv_command_counts kv_counts_of(const struct kv_hub *hub, enum command_id id)
{
    struct kv_command_counts sums = {0};

    for (unsigned i = 0; i < hub->worker_count; i++) {
        const struct kv *kv = hub->admin->engines[i];
        if (kv == NULL)
            continue;
        sums.calls += atomic_load_explicit(&kv->counts.calls[id], memory_order_relaxed);
        sums.rejected += atomic_load_explicit(&kv->counts.rejected[id], memory_order_relaxed);
        sums.failed += atomic_load_explicit(&kv->counts.failed[id], memory_order_relaxed);
        sums.timed += atomic_load_explicit(&kv->counts.timed[id], memory_order_relaxed);
        sums.timed_ns += atomic_load_explicit(&kv->counts.timed_ns[id], memory_order_relaxed);
        for (int bucket = 0; bucket < KV_TIME_BUCKETS; bucket++)
            sums.times[bucket] += atomic_load_explicit(&kv->counts.times[id][bucket], memory_order_relaxed);
    }
    return sums;
}

void kv_reset_counts(struct kv *kv)
{
    struct kv_admin *admin = kv->hub->admin;

    for (unsigned i = 0; i < kv->hub->worker_count; i++) {
        struct kv_counts *counts = admin->engines[i] != NULL ? &admin->engines[i]->counts : NULL;
        for (int id = 0; counts != NULL && id < COMMAND_COUNT; id++) {
            atomic_store_explicit(&counts->calls[id], 0, memory_order_relaxed);
            atomic_store_explicit(&counts->rejected[id], 0, memory_order_relaxed);
            atomic_store_explicit(&counts->failed[id], 0, memory_order_relaxed);
            atomic_store_explicit(&counts->timed[id], 0, memory_order_relaxed);
            atomic_store_explicit(&counts->timed_ns[id], 0, memory_order_relaxed);
            for (int bucket = 0; bucket < KV_TIME_BUCKETS; bucket++)
                atomic_store_explicit(&counts->times[id][bucket], 0, memory_order_relaxed);
        }
    }
    pthread_mutex_lock(&admin->errors.lock);
    admin->errors.total = admin->errors.kind_count = 0;
    pthread_mutex_unlock(&admin->errors.lock);
}

void kv_note_error(struct kv *kv, struct bytes text)
{
    struct kv_errors *errors = &kv->hub->admin->errors;
    struct kv_error_kind *kind;
    size_t size = 0;
    unsigned i;

    if (kv->running != COMMAND_UNKNOWN)
        kv_count(&kv->counts.failed[kv->running], 1);
    while (size < text.size && text.data[size] != ' ' && size < KV_ERROR_NAME_BYTES - 1)
        size++;
    pthread_mutex_lock(&errors->lock);
    errors->total++;
    for (i = 0; i < errors->kind_count; i++)
        if (bytes_equal(bytes_of_text(errors->kinds[i].name), bytes_first(text, size)))
            break;
    if (i == KV_ERROR_KINDS)
        i = KV_ERROR_KINDS - 1;
    kind = &errors->kinds[i];
    if (i == errors->kind_count) {
        errors->kind_count++;
        kind->count = 0;
        if (size > 0)
            memcpy(kind->name, text.data, size);
        kind->name[size] = '\0';
    }
    kind->count++;
    pthread_mutex_unlock(&errors->lock);
}

/* ---- the pulse --------------------------------------------------------------------------------- */

void kv_tick(struct kv *kv, struct now now)
{
    struct kv_pulse *pulse = &kv->hub->admin->pulse;
    int64_t passed_ms = now.mono_ms - pulse->at_ms;
    nh_stats stats = {.size = sizeof stats};
    struct kv_facts facts;
    uint64_t commands, received, sent;

    if (passed_ms < 1000 || kv->read_facts == NULL)
        return;
    kv->read_facts(kv->facts_context, &facts);
    commands = facts.metrics[METRIC_commands];
    received = facts.metrics[METRIC_bytes_received];
    sent = facts.metrics[METRIC_bytes_sent];
    if (pulse->at_ms != 0) {
        uint64_t ms = (uint64_t)passed_ms;
        atomic_store_explicit(&pulse->commands_per_s, (commands - pulse->commands) * 1000 / ms,
                              memory_order_relaxed);
        atomic_store_explicit(&pulse->received_bytes_per_s, (received - pulse->received_bytes) * 1000 / ms,
                              memory_order_relaxed);
        atomic_store_explicit(&pulse->sent_bytes_per_s, (sent - pulse->sent_bytes) * 1000 / ms,
                              memory_order_relaxed);
    }
    pulse->at_ms = now.mono_ms;
    pulse->commands = commands;
    pulse->received_bytes = received;
    pulse->sent_bytes = sent;
    if (nh_stats_read(kv->store, &stats) == NH_OK &&
        stats.memory_bytes > atomic_load_explicit(&pulse->memory_bytes_peak, memory_order_relaxed))
        atomic_store_explicit(&pulse->memory_bytes_peak, stats.memory_bytes, memory_order_relaxed);
}
