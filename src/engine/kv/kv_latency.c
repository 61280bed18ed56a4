/* kv_latency.c — LATENCY: when commands took longer than a threshold, and how long each kind takes. */
#include "engine/kv/kv_latency.h"
#include "base/buffer.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_care.h"

static const char *const event_names[KV_LATENCY_EVENTS] = {
    [KV_LATENCY_COMMAND] = "command",
    [KV_LATENCY_FAST_COMMAND] = "fast-command",
};

void kv_latency_set(struct kv_hub *hub, int64_t threshold_ms)
{
    atomic_store(&hub->admin->latency.threshold_ms, threshold_ms);
    kv_care_update(hub);
}

/* The `back`th sample from the newest, which is the 0th. */
static struct kv_latency_sample *sample_at(struct kv_latency_series *series, unsigned back)
{
    return &series->samples[(series->next + KV_LATENCY_SAMPLES - 1 - back) % KV_LATENCY_SAMPLES];
}

void kv_latency_note(const struct kv_call *call, uint64_t time_us)
{
    struct kv_latency *latency = &call->kv->hub->admin->latency;
    int64_t threshold_ms = atomic_load_explicit(&latency->threshold_ms, memory_order_relaxed);
    int64_t wall_s = call->now.wall_ms / 1000;
    uint64_t time_ms = time_us / 1000;
    bool is_fast = (command_row(call->id)->flags & COMMAND_FAST) != 0;
    struct kv_latency_series *series;
    uint32_t ms = time_ms < UINT32_MAX ? (uint32_t)time_ms : UINT32_MAX;

    if (LIKELY(threshold_ms == 0 || time_ms < (uint64_t)threshold_ms))
        return;
    pthread_mutex_lock(&latency->lock);
    series = &latency->series[is_fast ? KV_LATENCY_FAST_COMMAND : KV_LATENCY_COMMAND];
    if (ms > series->longest_ms)
        series->longest_ms = ms;
    if (series->count > 0 && sample_at(series, 0)->wall_s == wall_s) {
        if (ms > sample_at(series, 0)->ms)
            sample_at(series, 0)->ms = ms;
    } else {
        series->samples[series->next] = (struct kv_latency_sample){wall_s, ms};
        series->next = (series->next + 1) % KV_LATENCY_SAMPLES;
        series->count += series->count < KV_LATENCY_SAMPLES;
    }
    pthread_mutex_unlock(&latency->lock);
}

/* ---- events ------------------------------------------------------------------------------------ */

/* The series of the event that argument `index` names, or null. */
static struct kv_latency_series *series_called(const struct kv_call *call, uint32_t index)
{
    for (int event = 0; event < KV_LATENCY_EVENTS; event++)
        if (kv_argument_is(call, index, bytes_of_text(event_names[event])))
            return &call->kv->hub->admin->latency.series[event];
    return NULL;
}

static void latency_latest(const struct kv_call *call)
{
    struct kv_latency *latency = &call->kv->hub->admin->latency;
    size_t count = 0;

    pthread_mutex_lock(&latency->lock);
    for (int event = 0; event < KV_LATENCY_EVENTS; event++)
        count += latency->series[event].count > 0;
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (int event = 0; event < KV_LATENCY_EVENTS; event++) {
        struct kv_latency_series *series = &latency->series[event];
        if (series->count == 0)
            continue;
        reply_aggregate(call->reply, OUTCOME_array, 4);
        reply_value(call->reply, bytes_of_text(event_names[event]));
        reply_integer(call->reply, sample_at(series, 0)->wall_s);
        reply_integer(call->reply, sample_at(series, 0)->ms);
        reply_integer(call->reply, series->longest_ms);
    }
    pthread_mutex_unlock(&latency->lock);
}

static void latency_history(const struct kv_call *call)
{
    struct kv_latency *latency = &call->kv->hub->admin->latency;
    struct kv_latency_series *series = series_called(call, 2);

    if (series == NULL) {
        reply_aggregate(call->reply, OUTCOME_array, 0);
        return;
    }
    pthread_mutex_lock(&latency->lock);
    reply_aggregate(call->reply, OUTCOME_array, series->count);
    for (unsigned back = series->count; back-- > 0;) {
        reply_aggregate(call->reply, OUTCOME_array, 2);
        reply_integer(call->reply, sample_at(series, back)->wall_s);
        reply_integer(call->reply, sample_at(series, back)->ms);
    }
    pthread_mutex_unlock(&latency->lock);
}

static bool reset(struct kv_latency_series *series)
{
    bool had_samples = series->count > 0;
    *series = (struct kv_latency_series){.count = 0};
    return had_samples;
}

static void latency_reset(const struct kv_call *call)
{
    struct kv_latency *latency = &call->kv->hub->admin->latency;
    int64_t count = 0;

    pthread_mutex_lock(&latency->lock);
    for (int event = 0; event < KV_LATENCY_EVENTS && call->argument_count == 2; event++)
        count += reset(&latency->series[event]);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        struct kv_latency_series *series = series_called(call, i);
        count += series != NULL && reset(series);
    }
    pthread_mutex_unlock(&latency->lock);
    reply_integer(call->reply, count);
}

static void say_text(const struct kv_call *call, struct buffer *text)
{
    if (text->failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_verbatim, .bytes = buffer_bytes(text)});
    buffer_fini(text);
}

/* One column a sample, the oldest first, by its share of the longest. */
static void latency_graph(const struct kv_call *call)
{
    enum { COLUMNS = 80 };
    static const char heights[] = "_.-=*#";
    struct kv_latency *latency = &call->kv->hub->admin->latency;
    struct kv_latency_series *series = series_called(call, 2);
    uint32_t low_ms = UINT32_MAX, high_ms = 0;
    struct buffer text = {0};

    pthread_mutex_lock(&latency->lock);
    if (series == NULL || series->count == 0) {
        pthread_mutex_unlock(&latency->lock);
        kv_error(call, "ERR No samples available for event '%.*s'",
                 (int)(call->arguments[2].size < 128 ? call->arguments[2].size : 128),
                 call->arguments[2].data);
        return;
    }
    for (unsigned back = 0; back < series->count; back++) {
        uint32_t ms = sample_at(series, back)->ms;
        low_ms = ms < low_ms ? ms : low_ms;
        high_ms = ms > high_ms ? ms : high_ms;
    }
    buffer_append_format(&text, "%.*s - high %u ms, low %u ms (all time high %u ms)\n",
                         BYTES_PRINTF(call->arguments[2]), high_ms, low_ms, series->longest_ms);
    for (unsigned back = series->count < COLUMNS ? series->count : COLUMNS; back-- > 0;) {
        uint32_t ms = sample_at(series, back)->ms;
        size_t height = high_ms > 0 ? (size_t)((uint64_t)ms * (sizeof heights - 2) / high_ms) : 0;
        buffer_append_byte(&text, heights[height]);
    }
    buffer_append_byte(&text, '\n');
    pthread_mutex_unlock(&latency->lock);
    say_text(call, &text);
}

static void latency_doctor(const struct kv_call *call)
{
    struct kv_latency *latency = &call->kv->hub->admin->latency;
    int64_t threshold_ms = atomic_load_explicit(&latency->threshold_ms, memory_order_relaxed);
    struct buffer text = {0};

    if (threshold_ms == 0) {
        buffer_append_literal(&text, "Latency monitoring is off: start the server with "
                                     "--latency-monitor-threshold MILLISECONDS.\n");
        say_text(call, &text);
        return;
    }
    pthread_mutex_lock(&latency->lock);
    for (int event = 0; event < KV_LATENCY_EVENTS; event++) {
        const struct kv_latency_series *series = &latency->series[event];
        if (series->count > 0)
            buffer_append_format(&text, "%s: %u seconds with one of %lld ms or more, the longest %u ms.\n",
                                 event_names[event], series->count, (long long)threshold_ms,
                                 series->longest_ms);
    }
    pthread_mutex_unlock(&latency->lock);
    if (text.size == 0)
        buffer_append_format(&text, "No command took %lld ms or more.\n", (long long)threshold_ms);
    else
        buffer_append_literal(&text,
                              "SLOWLOG GET tells which commands were slow; a fast command that was slow "
                              "points at the machine: too few cores, or memory that is swapped out.\n");
    say_text(call, &text);
}

/* ---- the distribution of times ------------------------------------------------------------------ */

/* Cumulative, as Redis says it: {bound in microseconds: how many took at most that long}. Scaled from the
 * calls that were timed to all. */
static void say_histogram(const struct kv_call *call, enum command_id id,
                          const struct kv_command_counts *counts)
{
    uint64_t sum = 0;
    size_t used = 0;

    for (int bucket = 0; bucket < KV_TIME_BUCKETS; bucket++)
        used += counts->times[bucket] > 0;
    reply_value(call->reply, bytes_of_text(command_row(id)->name));
    reply_aggregate(call->reply, OUTCOME_map, 2);
    reply_value(call->reply, BYTES("calls"));
    reply_integer(call->reply, (int64_t)counts->calls);
    reply_value(call->reply, BYTES("histogram_usec"));
    reply_aggregate(call->reply, OUTCOME_map, used);
    for (int bucket = 0; bucket < KV_TIME_BUCKETS; bucket++) {
        if (counts->times[bucket] == 0)
            continue;
        sum += counts->times[bucket];
        reply_integer(call->reply, INT64_C(1) << bucket);
        reply_integer(call->reply,
                      (int64_t)((double)sum / (double)counts->timed * (double)counts->calls + 0.5));
    }
}

static bool is_asked_for(const struct kv_call *call, enum command_id id)
{
    if (command_row(id)->dialect != DIALECT_resp)
        return false;
    if (call->argument_count == 2)
        return true;
    for (uint32_t i = 2; i < call->argument_count; i++)
        if (kv_argument_is(call, i, bytes_of_text(command_row(id)->name)))
            return true;
    return false;
}

static void latency_histogram(const struct kv_call *call)
{
    size_t count = 0;

    kv_go_alone(call->kv); /* so that the counts do not move between the two looks */
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++)
        count += is_asked_for(call, id) && kv_counts_of(call->kv->hub, id).timed > 0;
    reply_aggregate(call->reply, OUTCOME_map, count);
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++) {
        struct kv_command_counts counts;
        if (!is_asked_for(call, id))
            continue;
        counts = kv_counts_of(call->kv->hub, id);
        if (counts.timed > 0)
            say_histogram(call, id, &counts);
    }
    kv_go_together(call->kv);
}

static void latency_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies of the specified commands.",
        "    If no commands are specified then all histograms are replied.",
        "HELP",
        "    Prints this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_latency(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"latest", 2, latency_latest}, {"history", 3, latency_history},
        {"reset", -2, latency_reset},  {"doctor", 2, latency_doctor},
        {"graph", 3, latency_graph},   {"histogram", -2, latency_histogram},
        {"help", 2, latency_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
