/* store_hits — the miss ratio of one trace, get or else set, of the store and of simulated policies at
 * equal memory: the store has its limit for everything; to the policies, each object costs its key, its
 * value and
 * `--overhead` bytes. Values are 100 to 400 bytes. The first half of the trace warms up, the second counts.
 */
#include "load.h"
#include "store/item.h"
#include "store/measure.h"
#include "store/policy.h"
#include <stdlib.h>

enum { VALUE_BYTES_LOW = 100, VALUE_BYTES_HIGH = 400, NOW_MS = 1000 };

/* Requests for ids: those below `counted_ids` count, the others are there to disturb. */
struct trace {
    uint32_t *ids;
    uint64_t length;
    uint32_t id_count, counted_ids;
};

/* ---- traces ---------------------------------------------------------------------------------------- */

/* What the command line says of the trace. */
struct shape {
    int64_t keys, requests;
    int64_t exponent_percent; /* of Zipf: 99 is 0.99 */
    int64_t scan_percent;     /* of the requests are in … */
    int64_t scan_run;         /* … runs of so many keys that come once and never again */
    int64_t shift_every;      /* so many requests, … */
    int64_t shift_keys;       /* … the most popular so many become the least; 0: never */
    int64_t seed;
};

static struct trace trace_make(const struct shape *shape)
{
    uint64_t keys = (uint64_t)shape->keys, scanned = 0, shifts = 0;
    uint64_t scan_every =
        shape->scan_percent > 0 ? (uint64_t)(shape->scan_run * 100 / shape->scan_percent) : 0;
    struct trace trace = {.length = (uint64_t)shape->requests, .counted_ids = (uint32_t)keys};
    struct zipf zipf;

    zipf_init(&zipf, (double)shape->exponent_percent / 100, keys, (uint64_t)shape->seed);
    trace.ids = allocate(trace.length * sizeof *trace.ids);
    for (uint64_t i = 0; i < trace.length; i++) {
        if (scan_every > 0 && i % scan_every < (uint64_t)shape->scan_run) {
            trace.ids[i] = (uint32_t)(keys + scanned++);
            continue;
        }
        if (shape->shift_keys > 0)
            shifts = i / (uint64_t)shape->shift_every;
        trace.ids[i] = rank_to_id((zipf_rank(&zipf) + shifts * (uint64_t)shape->shift_keys) % keys, keys);
    }
    trace.id_count = (uint32_t)(keys + scanned);
    return trace;
}

/* ---- who plays it ---------------------------------------------------------------------------------- */

struct score {
    uint64_t counted, missed;
};

static void score_add(struct score *score, const struct trace *trace, uint64_t i, bool was_there)
{
    if (i < trace->length / 2 || trace->ids[i] >= trace->counted_ids)
        return;
    score->counted++;
    score->missed += !was_there;
}

static void tell(const char *policy, struct score score, uint64_t items)
{
    result("{\"policy\":\"%s\",\"miss\":%.6f,\"items\":%llu}", policy,
           (double)score.missed / (double)(score.counted > 0 ? score.counted : 1),
           (unsigned long long)items);
}

static uint32_t value_bytes(uint32_t id) { return value_bytes_of(id, VALUE_BYTES_LOW, VALUE_BYTES_HIGH); }

static uint32_t charged_bytes(uint32_t id, uint32_t overhead_bytes)
{
    return KEY_BYTES + value_bytes(id) + overhead_bytes;
}

static void play_store(const struct trace *trace, uint64_t memory_bytes)
{
    nh_store *store = store_open(memory_bytes, false);
    struct score score = {0};

    for (uint64_t i = 0; i < trace->length; i++) {
        uint32_t id = trace->ids[i];
        bool was_there = item_get(store, NOW_MS, id);
        if (!was_there)
            item_put(store, NOW_MS, id, value_bytes(id), 0);
        score_add(&score, trace, i, was_there);
    }
    tell("nuthatch", score, stats_of(store).items);
    nh_destroy(store);
}

static void play_policy(const struct trace *trace, const char *name, enum policy_kind kind,
                        uint64_t limit_bytes, uint32_t overhead_bytes)
{
    struct policy *policy = policy_create(kind, limit_bytes, trace->id_count);
    struct score score = {0};

    for (uint64_t i = 0; i < trace->length; i++)
        score_add(&score, trace, i,
                  policy_access(policy, trace->ids[i], charged_bytes(trace->ids[i], overhead_bytes)));
    tell(name, score, policy_count(policy));
    policy_destroy(policy);
}

/* The first ranks, never changed: where popularity does not change, no policy that only looks at frequency
 * does better. */
static void play_most_popular(const struct trace *trace, uint64_t limit_bytes, uint32_t overhead_bytes)
{
    bool *is_held = allocate(trace->id_count);
    struct score score = {0};
    uint64_t held_bytes = 0, items = 0;

    for (; items < trace->counted_ids; items++) {
        uint32_t id = rank_to_id(items, trace->counted_ids);
        if (held_bytes + charged_bytes(id, overhead_bytes) > limit_bytes)
            break;
        held_bytes += charged_bytes(id, overhead_bytes);
        is_held[id] = true;
    }
    for (uint64_t i = 0; i < trace->length; i++)
        score_add(&score, trace, i, is_held[trace->ids[i]]);
    tell("most popular for ever", score, items);
    free(is_held);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum policy_kind kind;
    } policies[] = {
        {"LRU", POLICY_LRU},
        {"S3-FIFO", POLICY_S3_FIFO},
        {"S3-FIFO, two hits", POLICY_S3_FIFO_TWICE},
        {"SIEVE", POLICY_SIEVE},
    };
    struct shape shape = {.keys = 1000000,
                          .requests = 8000000,
                          .exponent_percent = 99,
                          .scan_run = 40000,
                          .shift_every = 250000,
                          .seed = 42};
    int64_t memory_bytes = 32 << 20, overhead_bytes = 28;
    const struct load_option options[] = {
        {"keys", "how many (1000000)", &shape.keys, NULL},
        {"requests", "how many (8000000)", &shape.requests, NULL},
        {"exponent-percent", "of the Zipf distribution (99)", &shape.exponent_percent, NULL},
        {"scan-percent", "of the requests are for keys that never come again (0) …", &shape.scan_percent,
         NULL},
        {"scan-run", "… in runs of so many (40000)", &shape.scan_run, NULL},
        {"shift-every", "so many requests the popularity shifts (250000) …", &shape.shift_every, NULL},
        {"shift-keys", "… and the most popular so many become the least (0)", &shape.shift_keys, NULL},
        {"seed", "of the trace (42)", &shape.seed, NULL},
        {"memory-bytes", "the limit (32 MiB)", &memory_bytes, NULL},
        {"overhead", "bytes that each object costs the policies (28)", &overhead_bytes, NULL},
    };
    struct trace trace;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (shape.keys < 1 || shape.keys + shape.requests >= UINT32_MAX || shape.shift_every < 1 ||
        shape.scan_run < 1 || shape.scan_percent > 90)
        stop("no such trace");
    step("making the trace");
    trace = trace_make(&shape);
    step("nuthatch");
    play_store(&trace, (uint64_t)memory_bytes);
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        step("%s", policies[i].name);
        play_policy(&trace, policies[i].name, policies[i].kind, (uint64_t)memory_bytes,
                    (uint32_t)overhead_bytes);
    }
    if (shape.shift_keys == 0)
        play_most_popular(&trace, (uint64_t)memory_bytes, (uint32_t)overhead_bytes);
    free(trace.ids);
    return 0;
}
