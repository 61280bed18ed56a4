/* kv_info_commands.c — INFO commandstats, latencystats and errorstats.
 *
 * Calls are exact. Times are those of the calls that were timed (see kv_counts.h), stretched to all. */
#include "engine/kv/kv_info.h"

void kv_info_commandstats(struct kv_info *info)
{
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++) {
        struct kv_command_counts counts;
        double call_us;

        if (command_row(id)->dialect != DIALECT_resp)
            continue;
        counts = kv_counts_of(info->call->kv->hub, id);
        if (counts.calls + counts.rejected == 0)
            continue;
        call_us = counts.timed > 0 ? (double)counts.timed_ns / 1000 / (double)counts.timed : 0;
        INFO_LINE(
            info,
            "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu",
            command_row(id)->name, (unsigned long long)counts.calls,
            (unsigned long long)(call_us * (double)counts.calls), call_us,
            (unsigned long long)counts.rejected, (unsigned long long)counts.failed);
    }
}

/* The bound of the bucket in which the time lies that `share` of the calls did not exceed. */
static double percentile_us(const struct kv_command_counts *counts, double share)
{
    uint64_t sum = 0;

    for (int bucket = 0; bucket < KV_TIME_BUCKETS; bucket++) {
        sum += counts->times[bucket];
        if ((double)sum >= share * (double)counts->timed)
            return (double)(INT64_C(1) << bucket);
    }
    return (double)(INT64_C(1) << (KV_TIME_BUCKETS - 1));
}

void kv_info_latencystats(struct kv_info *info)
{
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++) {
        struct kv_command_counts counts;

        if (command_row(id)->dialect != DIALECT_resp)
            continue;
        counts = kv_counts_of(info->call->kv->hub, id);
        if (counts.timed > 0)
            INFO_LINE(info, "latency_percentiles_usec_%s:p50=%.3f,p99=%.3f,p99.9=%.3f",
                      command_row(id)->name, percentile_us(&counts, 0.5), percentile_us(&counts, 0.99),
                      percentile_us(&counts, 0.999));
    }
}

void kv_info_errorstats(struct kv_info *info)
{
    struct kv_errors *errors = &info->call->kv->hub->admin->errors;

    pthread_mutex_lock(&errors->lock);
    for (unsigned i = 0; i < errors->kind_count; i++)
        INFO_LINE(info, "errorstat_%s:count=%llu", errors->kinds[i].name,
                  (unsigned long long)errors->kinds[i].count);
    pthread_mutex_unlock(&errors->lock);
}

uint64_t kv_info_error_count(struct kv_info *info)
{
    struct kv_errors *errors = &info->call->kv->hub->admin->errors;
    uint64_t total;

    pthread_mutex_lock(&errors->lock);
    total = errors->total;
    pthread_mutex_unlock(&errors->lock);
    return total;
}
