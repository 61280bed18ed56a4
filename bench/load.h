/* load.h — what the load generators share. They are programs of one thread that stop at the first surprise:
 * a figure from a run in which something went wrong is worth nothing. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Says why on stderr and exits with 1. */
_Noreturn void stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory, or stops. */
void *allocate(size_t size);

/* ---- options ----------------------------------------------------------------------------------- */

/* One "--name VALUE". Exactly one of the two places is set. */
struct load_option {
    const char *name, *help;
    int64_t *number;
    const char **text;
};

/* Reads the command line into the places of `options`; stops on anything else, and prints what there is
 * for --help. */
void options_read(int argc, char **argv, const struct load_option *options, size_t count);

/* ---- time -------------------------------------------------------------------------------------- */

uint64_t now_ns(void);

/* How often a latency was seen, in buckets 1.6 % wide (64 to each doubling), from 1 ns to hours. */
enum { LATENCY_STEPS = 64, LATENCY_BUCKETS = 48 * LATENCY_STEPS };
struct latencies {
    uint64_t count, worst_ns, of[LATENCY_BUCKETS];
};

void latencies_add(struct latencies *latencies, uint64_t ns, uint64_t times);
/* The latency in µs that `fraction` of all were at or below: the bucket's upper end; 0 without any. */
double latencies_us(const struct latencies *latencies, double fraction);

/* CPU time that processes have used so far, from /proc/PID/stat. */
struct cpu_time {
    double user_s, system_s;
};
/* The sum over `pids`, "12,34"; zero for "". Stops if one of them is not there. */
struct cpu_time cpu_time_of(const char *pids);

/* A run: warm up, then measure. What begins before the end and ends after it is not counted. */
struct run {
    const char *pids;
    uint64_t begins_ns, ends_ns;
    bool measuring;
    uint64_t begun_ns, request_count;
    struct cpu_time cpu_before;
    struct latencies latencies;
};

void run_begin(struct run *run, int64_t warm_up_ms, int64_t measure_ms, const char *pids);
/* Called with the present time at each turn: false once the run is over. */
bool run_goes_on(struct run *run, uint64_t at_ns);
/* Counts `times` requests that took `ns` each, if it is time to. */
void run_add(struct run *run, uint64_t ns, uint64_t times);
/* Prints one line of JSON: what bench.py reads. `extra` is more members, ",\"name\":1" each. */
void run_report(const struct run *run, const char *extra);

/* ---- connections ------------------------------------------------------------------------------- */

/* A connected, non-blocking TCP socket to 127.0.0.1. */
int connect_to(int64_t port);
/* Writes all of it, waiting as need be: what we send is small beside a socket's buffer. */
void write_all(int fd, const char *data, size_t size);

/* A random number below `bound`, from `*state`, which is not 0. */
uint32_t random_below(uint64_t *state, uint32_t bound);
