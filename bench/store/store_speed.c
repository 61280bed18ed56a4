/* store_speed — ns per operation, one thread: items of 32-byte keys and 100-byte values that all fit, asked
 * for by a Zipf distribution, beside a map with mutexes and an LRU list.
 *
 * Operations are timed in groups of 16, so that reading the clock costs little; the median and the 99th
 * percentile are those of the groups' means. Rounds of one and the other alternate; the figure is the
 * median of the rounds. */
#include "load.h"
#include "store/measure.h"
#include "store/subject.h"
#include <assert.h>

enum { GROUP_OPS = 16, ROUNDS_MAX = 99, SEQUENCE_LENGTH = 1 << 22 };
static_assert(CHUNK_OPS % GROUP_OPS == 0 && GROUP_OPS % BATCH_KEYS == 0, "groups divide chunks");

static const struct work {
    const char *name;
    work_function *function;
    bool map_too; /* the neighbour can do it as well */
} works[] = {
    {"GET", work_get, true},
    {"GET, 8 at once", work_get_many, false},
    {"peek and release", work_peek, false},
    {"borrow and release", work_borrow, false},
    {"90 % GET, 10 % PUT", work_90_10, true},
    {"PUT over what is there", work_put, true},
};
enum { WORK_COUNT = sizeof works / sizeof works[0], SUBJECTS_MAX = 3 };

/* What the command line says, and what follows from it. */
struct bench {
    int64_t keys, round_ops, rounds, memory_bytes, huge_pages, with_map, with_insight;
    uint32_t *sequence;
    uint64_t at; /* in the sequence; the rounds go through it and begin again */
    uint64_t clock_ns;
    struct subject subjects[SUBJECTS_MAX];
    int subject_count;
    const char *only; /* the name of a work; null: all */
};

struct round {
    double mean_ns, median_ns, p99_ns, missing_share;
};

static struct round measure(struct bench *bench, struct subject *subject, work_function *work)
{
    static struct latencies latencies;
    static struct chunk chunk;
    int64_t done = 0;
    uint64_t all_ns = 0;

    latencies = (struct latencies){0};
    chunk.missing = 0;
    while (done < bench->round_ops) {
        if (bench->at + CHUNK_OPS > SEQUENCE_LENGTH)
            bench->at = 0;
        chunk_write(&chunk, bench->sequence + bench->at);
        bench->at += CHUNK_OPS;
        for (size_t i = 0; i < CHUNK_OPS; i += GROUP_OPS) {
            uint64_t ns, begun_ns = now_ns();
            work(subject, &chunk, i, GROUP_OPS);
            ns = now_ns() - begun_ns;
            ns = ns > bench->clock_ns ? ns - bench->clock_ns : 0;
            latencies_add(&latencies, ns, 1);
            all_ns += ns;
        }
        done += CHUNK_OPS;
    }
    return (struct round){(double)all_ns / (double)done, latencies_us(&latencies, 0.5) * 1000 / GROUP_OPS,
                          latencies_us(&latencies, 0.99) * 1000 / GROUP_OPS,
                          (double)chunk.missing / (double)done};
}

static void measure_all_rounds(struct bench *bench, const struct work *work)
{
    double means[SUBJECTS_MAX][ROUNDS_MAX], medians[SUBJECTS_MAX][ROUNDS_MAX],
        p99s[SUBJECTS_MAX][ROUNDS_MAX], missing_share[SUBJECTS_MAX] = {0};
    int subject_count = work->map_too ? bench->subject_count : 1;

    for (int64_t round = 0; round < bench->rounds; round++)
        for (int i = 0; i < subject_count; i++) {
            struct round found = measure(bench, &bench->subjects[i], work->function);
            means[i][round] = found.mean_ns;
            medians[i][round] = found.median_ns;
            p99s[i][round] = found.p99_ns;
            missing_share[i] = found.missing_share;
        }
    for (int i = 0; i < subject_count; i++)
        result("{\"work\":\"%s\",\"subject\":\"%s\",\"mean_ns\":%.1f,\"median_ns\":%.1f,\"p99_ns\":%.1f,"
               "\"missing\":%.6f}",
               work->name, bench->subjects[i].name, median_of(means[i], (uint64_t)bench->rounds),
               median_of(medians[i], (uint64_t)bench->rounds), median_of(p99s[i], (uint64_t)bench->rounds),
               missing_share[i]);
}

/* The machine's own share: what is told of it as if it were a subject. */
static void measure_memory(const struct bench *bench)
{
    double waits_ns[ROUNDS_MAX];

    for (int64_t round = 0; round < bench->rounds; round++)
        waits_ns[round] = load_wait_ns((uint64_t)bench->memory_bytes / 2, bench->huge_pages != 0);
    result("{\"work\":\"one load from memory\",\"subject\":\"the machine%s\",\"median_ns\":%.1f}",
           bench->huge_pages != 0 ? ", huge pages" : "", median_of(waits_ns, (uint64_t)bench->rounds));
}

int main(int argc, char **argv)
{
    struct bench bench = {.keys = 10000000,
                          .round_ops = 2000000,
                          .rounds = 7,
                          .memory_bytes = (int64_t)3 << 30,
                          .with_map = 1};
    const struct load_option options[] = {
        {"keys", "how many items (10000000)", &bench.keys, NULL},
        {"round-ops", "operations of a round (2000000)", &bench.round_ops, NULL},
        {"rounds", "rounds of each (7)", &bench.rounds, NULL},
        {"memory-bytes", "the store's limit (3 GiB)", &bench.memory_bytes, NULL},
        {"huge-pages", "1: with huge pages (0)", &bench.huge_pages, NULL},
        {"with-insight", "1: beside a store with insight (0)", &bench.with_insight, NULL},
        {"with-map", "0: without the neighbour (1)", &bench.with_map, NULL},
        {"only", "the only operation to do, as the results name it", NULL, &bench.only},
    };

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (bench.rounds < 1 || bench.rounds > ROUNDS_MAX)
        stop("1 to %d rounds", ROUNDS_MAX);
    pin_to_cpu(cpu_allowed(0));
    bench.clock_ns = clock_cost_ns();
    bench.sequence = zipf_ids(0.99, (uint64_t)bench.keys, 1, SEQUENCE_LENGTH);
    bench.subjects[bench.subject_count++] =
        subject_store((uint64_t)bench.memory_bytes, bench.huge_pages != 0);
    if (bench.with_insight != 0)
        bench.subjects[bench.subject_count++] =
            subject_store_with_insight((uint64_t)bench.memory_bytes, bench.huge_pages != 0);
    if (bench.with_map != 0)
        bench.subjects[bench.subject_count++] = subject_map(UINT64_MAX);
    for (int i = 0; i < bench.subject_count; i++) {
        step("filling %s", bench.subjects[i].name);
        subject_fill(&bench.subjects[i], (uint32_t)bench.keys);
        measure(&bench, &bench.subjects[i], work_get); /* to warm up */
    }
    step("one load from memory");
    measure_memory(&bench);
    for (size_t i = 0; i < WORK_COUNT; i++) {
        if (bench.only != NULL && strcmp(works[i].name, bench.only) != 0)
            continue;
        step("%s", works[i].name);
        measure_all_rounds(&bench, &works[i]);
    }
    return 0; /* the process ends: giving back 20 million pieces of memory would only take time */
}
