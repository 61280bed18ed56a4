/* library.c — the library itself, measured as programs in other languages measure it through their
 * bindings:
 *
 *     bindings_library ids FILE ITEMS COUNT         writes COUNT numbers below ITEMS, Zipf 0.99, of four
 * bytes each bindings_library SUBJECT FILE ITEMS VALUE_BYTES MEMORY_BYTES THREADS OPERATIONS
 *
 * SUBJECT: peek, borrow or get. Each thread goes through numbers of the file, from a place of its own, and
 * for nine of ten reads the item's value, for the tenth it puts it anew. Prints JSON: CPU time and time per
 * operation, bytes of resident memory per item, the share of reads that found their value. */
#include "nuthatch.h"
#include "store/measure.h"
#include "store/random.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX     64
#define VALUE_BYTES_MAX 65536
#define PUT_EVERY       10

struct plan {
    const char *subject;
    const uint32_t *ids;
    uint64_t id_count, items, value_bytes, operations;
    int thread_count;
    nh_store *store;
    pthread_barrier_t start;
};

struct worker {
    struct plan *plan;
    int number;
    pthread_t thread;
    uint64_t cpu_ns, ns, reads, hits, sum;
};

static void fail(const char *what)
{
    fprintf(stderr, "bindings_library: %s\n", what);
    exit(1);
}

static uint64_t ns_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* As the bindings do it: the clock is read for every call. */
static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

struct key {
    char text[8];
    uint64_t number;
};

static nh_key key_of(struct key *key, uint64_t id)
{
    memcpy(key->text, "nuthatch", 8);
    key->number = id;
    return (nh_key){key, sizeof *key, 0};
}

static void put(const struct plan *plan, uint64_t id, unsigned char *value)
{
    struct key key;
    memset(value, (int)(id & 0xff), plan->value_bytes);
    if (nh_put(plan->store, now_ms(), key_of(&key, id), (nh_bytes){value, plan->value_bytes}, NULL, NULL) !=
        NH_OK)
        fail("nh_put");
}

static uint64_t look(const unsigned char *data, size_t size) { return (uint64_t)data[0] + data[size - 1]; }

static void read_lent(struct worker *worker, nh_result result, nh_value *value)
{
    if (result != NH_OK)
        return;
    worker->hits++;
    worker->sum += look(value->bytes.data, value->bytes.size);
    nh_release(worker->plan->store, value);
}

static void read_one(struct worker *worker, uint64_t id, unsigned char *buffer)
{
    const struct plan *plan = worker->plan;
    nh_value value;
    struct key key;
    size_t size;

    worker->reads++;
    if (plan->subject[0] == 'p') {
        read_lent(worker, nh_peek(plan->store, now_ms(), key_of(&key, id), &value), &value);
    } else if (plan->subject[0] == 'b') {
        read_lent(worker, nh_borrow(plan->store, now_ms(), key_of(&key, id), &value), &value);
    } else if (nh_get(plan->store, now_ms(), key_of(&key, id), buffer, VALUE_BYTES_MAX, &size) == NH_OK) {
        worker->hits++;
        worker->sum += look(buffer, size);
    }
}

static void go_through(struct worker *worker, uint64_t operations)
{
    static _Thread_local unsigned char buffer[VALUE_BYTES_MAX];
    const struct plan *plan = worker->plan;
    uint64_t at = plan->id_count / (uint64_t)plan->thread_count * (uint64_t)worker->number;

    for (uint64_t i = 0; i < operations; i++) {
        if (i % PUT_EVERY == PUT_EVERY - 1)
            put(plan, plan->ids[at], buffer);
        else
            read_one(worker, plan->ids[at], buffer);
        if (++at == plan->id_count)
            at = 0;
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint64_t cpu_ns, ns;

    go_through(worker, worker->plan->operations / 4); /* warms up */
    worker->reads = worker->hits = 0;
    pthread_barrier_wait(&worker->plan->start);
    cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID);
    ns = ns_of(CLOCK_MONOTONIC);
    go_through(worker, worker->plan->operations);
    worker->cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    worker->ns = ns_of(CLOCK_MONOTONIC) - ns;
    return NULL;
}

static void measure(struct plan *plan, uint64_t memory_bytes)
{
    static unsigned char value[VALUE_BYTES_MAX];
    nh_options options = {.size = sizeof options, .memory_bytes = memory_bytes};
    struct worker workers[THREADS_MAX] = {0}, sum = {0};
    uint64_t rss_before_bytes = rss_bytes(), rss_after_bytes;

    if (nh_create(&options, &plan->store) != NH_OK)
        fail("nh_create");
    for (uint64_t id = 0; id < plan->items; id++)
        put(plan, id, value);
    rss_after_bytes = rss_bytes();
    pthread_barrier_init(&plan->start, NULL, (unsigned)plan->thread_count);
    for (int i = 0; i < plan->thread_count; i++) {
        workers[i] = (struct worker){.plan = plan, .number = i};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("no thread");
    }
    for (int i = 0; i < plan->thread_count; i++) {
        pthread_join(workers[i].thread, NULL);
        sum.cpu_ns += workers[i].cpu_ns;
        sum.ns += workers[i].ns;
        sum.reads += workers[i].reads;
        sum.hits += workers[i].hits;
    }
    printf("{\"cpu_ns\": %.2f, \"ns\": %.2f, \"bytes_per_item\": %.1f, \"hit_ratio\": %.6f}\n",
           (double)sum.cpu_ns / (double)plan->operations / plan->thread_count,
           (double)sum.ns / (double)plan->operations / plan->thread_count,
           ((double)rss_after_bytes - (double)rss_before_bytes) / (double)plan->items,
           (double)sum.hits / (double)sum.reads);
    nh_destroy(plan->store);
}

static void write_ids(const char *path, uint64_t items, uint64_t count)
{
    uint32_t *ids = zipf_ids(0.99, items, 1, count);
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(ids, sizeof *ids, count, file) != count || fclose(file) != 0)
        fail(path);
    free(ids);
}

static uint32_t *read_ids(const char *path, uint64_t *count)
{
    FILE *file = fopen(path, "rb");
    uint32_t *ids;
    long bytes;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (bytes = ftell(file)) < 4)
        fail(path);
    rewind(file);
    *count = (uint64_t)bytes / sizeof *ids;
    ids = malloc((size_t)bytes);
    if (ids == NULL || fread(ids, sizeof *ids, *count, file) != *count)
        fail(path);
    fclose(file);
    return ids;
}

static uint64_t number(const char *text) { return strtoull(text, NULL, 10); }

int main(int argc, char **argv)
{
    struct plan plan = {0};

    if (argc == 5 && strcmp(argv[1], "ids") == 0) {
        write_ids(argv[2], number(argv[3]), number(argv[4]));
        return 0;
    }
    if (argc != 8)
        fail("SUBJECT FILE ITEMS VALUE_BYTES MEMORY_BYTES THREADS OPERATIONS");
    plan.subject = argv[1];
    plan.ids = read_ids(argv[2], &plan.id_count);
    plan.items = number(argv[3]);
    plan.value_bytes = number(argv[4]);
    plan.thread_count = (int)number(argv[6]);
    plan.operations = number(argv[7]);
    if (plan.value_bytes < 1 || plan.value_bytes > VALUE_BYTES_MAX || plan.thread_count < 1 ||
        plan.thread_count > THREADS_MAX || plan.items < 1 || plan.operations < 1)
        fail("out of range");
    measure(&plan, number(argv[5]));
    return 0;
}
