/* store_threads — what a second thread adds: operations a second of one thread and of two, each on a
 * processor of its own, on one store, beside a map with mutexes and an LRU list.
 *
 * A round is: one thread on the first processor, one on the second, both; the ratio is that of both to the
 * mean of the single ones. Time in which another program had the processor does not count. */
#include "load.h"
#include "store/measure.h"
#include "store/subject.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { THREADS = 2, ROUNDS_MAX = 99, SEQUENCE_LENGTH = 1 << 22 };

static const struct work {
    const char *name;
    work_function *function;
    bool map_too;
} works[] = {
    {"GET", work_get, true},
    {"GET, 8 at once", work_get_many, false},
    {"90 % GET, 10 % PUT", work_90_10, true},
    {"50 % GET, 50 % PUT", work_50_50, true},
};
enum { WORK_COUNT = sizeof works / sizeof works[0], SUBJECTS_MAX = 2 };

/* One thread's part of a round. */
struct part {
    pthread_t thread;
    int cpu;
    work_function *work;
    struct subject *subject;
    const uint32_t *sequence;
    uint64_t at;
    atomic_int *ready_count;
    atomic_bool *go, *over;
    double ops_per_second;
    struct chunk chunk;
};

static void *run_part(void *argument)
{
    struct part *part = argument;
    uint64_t begun_ns, waited_ns, ops = 0;

    pin_to_cpu(part->cpu);
    atomic_fetch_add(part->ready_count, 1);
    while (!atomic_load(part->go))
        ;
    waited_ns = kept_waiting_ns();
    begun_ns = now_ns();
    while (!atomic_load_explicit(part->over, memory_order_relaxed)) {
        if (part->at + CHUNK_OPS > SEQUENCE_LENGTH)
            part->at = 0;
        chunk_write(&part->chunk, part->sequence + part->at);
        part->at += CHUNK_OPS;
        part->work(part->subject, &part->chunk, 0, CHUNK_OPS);
        ops += CHUNK_OPS;
    }
    part->ops_per_second =
        (double)ops * 1e9 / (double)(now_ns() - begun_ns - (kept_waiting_ns() - waited_ns));
    return NULL;
}

static void sleep_ms(int64_t ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Operations a second of `count` parts at the same time. */
static double run_parts(struct part *parts, int count, int64_t ms)
{
    atomic_int ready_count = 0;
    atomic_bool go = false, over = false;
    double sum = 0;

    for (int i = 0; i < count; i++) {
        parts[i].ready_count = &ready_count;
        parts[i].go = &go;
        parts[i].over = &over;
        if (pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) != 0)
            stop("no thread");
    }
    while (atomic_load(&ready_count) < count)
        sleep_ms(1);
    atomic_store(&go, true);
    sleep_ms(ms);
    atomic_store(&over, true);
    for (int i = 0; i < count; i++) {
        pthread_join(parts[i].thread, NULL);
        sum += parts[i].ops_per_second;
    }
    return sum;
}

struct figures {
    double one[ROUNDS_MAX], two[ROUNDS_MAX], ratio[ROUNDS_MAX];
};

static void run_round(struct part *parts, struct figures *figures, int64_t round, int64_t ms)
{
    double first = run_parts(&parts[0], 1, ms), second = run_parts(&parts[1], 1, ms);

    figures->one[round] = (first + second) / 2;
    figures->two[round] = run_parts(parts, THREADS, ms);
    figures->ratio[round] = figures->two[round] / figures->one[round];
}

int main(int argc, char **argv)
{
    static struct part parts[THREADS];
    static struct figures figures[SUBJECTS_MAX];
    int64_t keys = 10000000, ms = 1000, rounds = 5, memory_bytes = (int64_t)3 << 30;
    const char *only = NULL;
    const struct load_option options[] = {
        {"keys", "how many items (10000000)", &keys, NULL},
        {"ms", "of each measurement (1000)", &ms, NULL},
        {"rounds", "rounds of each (5)", &rounds, NULL},
        {"memory-bytes", "the store's limit (3 GiB)", &memory_bytes, NULL},
        {"only", "the only operations to do, as the results name them", NULL, &only},
    };
    struct subject subjects[SUBJECTS_MAX];

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (rounds < 1 || rounds > ROUNDS_MAX)
        stop("1 to %d rounds", ROUNDS_MAX);
    for (int i = 0; i < THREADS; i++) {
        parts[i].cpu = cpu_allowed(i);
        parts[i].sequence = zipf_ids(0.99, (uint64_t)keys, (uint64_t)i + 1, SEQUENCE_LENGTH);
    }
    subjects[0] = subject_store((uint64_t)memory_bytes, false);
    subjects[1] = subject_map(UINT64_MAX);
    for (int i = 0; i < SUBJECTS_MAX; i++) {
        step("filling %s", subjects[i].name);
        subject_fill(&subjects[i], (uint32_t)keys);
    }
    for (size_t i = 0; i < WORK_COUNT; i++) {
        int subject_count = works[i].map_too ? SUBJECTS_MAX : 1;
        if (only != NULL && strcmp(works[i].name, only) != 0)
            continue;
        step("%s", works[i].name);
        for (int64_t round = 0; round < rounds; round++)
            for (int j = 0; j < subject_count; j++) {
                for (int k = 0; k < THREADS; k++) {
                    parts[k].subject = &subjects[j];
                    parts[k].work = works[i].function;
                }
                run_round(parts, &figures[j], round, ms);
            }
        for (int j = 0; j < subject_count; j++)
            result("{\"work\":\"%s\",\"subject\":\"%s\",\"one\":%.0f,\"two\":%.0f,\"ratio\":%.3f}",
                   works[i].name, subjects[j].name, median_of(figures[j].one, (uint64_t)rounds),
                   median_of(figures[j].two, (uint64_t)rounds),
                   median_of(figures[j].ratio, (uint64_t)rounds));
    }
    return 0;
}
