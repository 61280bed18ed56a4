#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void stop(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        stop("no memory");
    return memory;
}

void options_read(int argc, char **argv, const struct load_option *options, size_t count)
{
    for (int i = 1; i < argc; i += 2) {
        const struct load_option *found = NULL;
        char *end;
        for (size_t j = 0; j < count; j++)
            if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, options[j].name) == 0)
                found = &options[j];
        if (found == NULL) {
            fprintf(stderr, "usage: %s [--NAME VALUE]…\n", argv[0]);
            for (size_t j = 0; j < count; j++)
                fprintf(stderr, "  --%-16s %s\n", options[j].name, options[j].help);
            exit(strcmp(argv[i], "--help") == 0 ? 0 : 2);
        }
        if (i + 1 == argc)
            stop("%s needs a value", argv[i]);
        if (found->text != NULL) {
            *found->text = argv[i + 1];
            continue;
        }
        errno = 0;
        *found->number = strtoll(argv[i + 1], &end, 10);
        if (errno != 0 || end == argv[i + 1] || *end != '\0' || *found->number < 0)
            stop("%s: \"%s\" is not a number", argv[i], argv[i + 1]);
    }
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Below 64 each ns has its own bucket; above, the six bits after the leading one choose among 64. */
static size_t bucket_of(uint64_t ns)
{
    unsigned doubling;
    size_t bucket;

    if (ns < LATENCY_STEPS)
        return (size_t)ns;
    doubling = 63 - (unsigned)__builtin_clzll(ns) - 6;
    bucket = (size_t)(doubling + 1) * LATENCY_STEPS + (size_t)(ns >> doubling) - LATENCY_STEPS;
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static uint64_t bucket_end_ns(size_t bucket)
{
    unsigned doubling;

    if (bucket < LATENCY_STEPS)
        return bucket;
    doubling = (unsigned)(bucket / LATENCY_STEPS) - 1;
    return ((bucket % LATENCY_STEPS + LATENCY_STEPS + 1) << doubling) - 1;
}

void latencies_add(struct latencies *latencies, uint64_t ns, uint64_t times)
{
    latencies->of[bucket_of(ns)] += times;
    latencies->count += times;
    if (ns > latencies->worst_ns)
        latencies->worst_ns = ns;
}

double latencies_us(const struct latencies *latencies, double fraction)
{
    uint64_t below = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        below += latencies->of[i];
        if (below > 0 && (double)below >= fraction * (double)latencies->count)
            return (double)bucket_end_ns(i) / 1000;
    }
    return 0;
}

static struct cpu_time cpu_time_of_one(long pid)
{
    char path[64], text[1024];
    unsigned long long user, system;
    const char *after_name;
    size_t size;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    file = fopen(path, "r");
    if (file == NULL)
        stop("the server with pid %ld has gone", pid);
    size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    after_name = strrchr(text, ')'); /* the name may hold anything, so count from behind it */
    if (after_name == NULL ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) !=
            2)
        stop("%s is not as expected", path);
    return (struct cpu_time){(double)user / (double)sysconf(_SC_CLK_TCK),
                             (double)system / (double)sysconf(_SC_CLK_TCK)};
}

struct cpu_time cpu_time_of(const char *pids)
{
    struct cpu_time sum = {0};

    while (*pids != '\0') {
        char *end;
        long pid = strtol(pids, &end, 10);
        struct cpu_time one;
        if (end == pids || (*end != ',' && *end != '\0'))
            stop("\"%s\" is not a list of pids", pids);
        one = cpu_time_of_one(pid);
        sum.user_s += one.user_s;
        sum.system_s += one.system_s;
        pids = *end == ',' ? end + 1 : end;
    }
    return sum;
}

void run_begin(struct run *run, int64_t warm_up_ms, int64_t measure_ms, const char *pids)
{
    *run = (struct run){.pids = pids};
    run->begins_ns = now_ns() + (uint64_t)warm_up_ms * 1000000;
    run->ends_ns = run->begins_ns + (uint64_t)measure_ms * 1000000;
}

bool run_goes_on(struct run *run, uint64_t at_ns)
{
    if (!run->measuring && at_ns >= run->begins_ns) {
        run->measuring = true;
        run->cpu_before = cpu_time_of(run->pids);
        run->begun_ns = now_ns();
    }
    return at_ns < run->ends_ns;
}

void run_add(struct run *run, uint64_t ns, uint64_t times)
{
    if (!run->measuring)
        return;
    run->request_count += times;
    latencies_add(&run->latencies, ns, times);
}

void run_report(const struct run *run, const char *extra)
{
    struct cpu_time cpu = cpu_time_of(run->pids);
    double seconds = (double)(now_ns() - run->begun_ns) / 1e9;
    double count = (double)run->request_count;

    if (run->request_count == 0)
        stop("no request was answered");
    printf("{\"requests\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,\"user_us\":%.4f,\"system_us\":%.4f%s}\n",
           (unsigned long long)run->request_count, seconds, count / seconds,
           latencies_us(&run->latencies, 0.5), latencies_us(&run->latencies, 0.99),
           latencies_us(&run->latencies, 0.999), (cpu.user_s - run->cpu_before.user_s) * 1e6 / count,
           (cpu.system_s - run->cpu_before.system_s) * 1e6 / count, extra);
}

int connect_to(int64_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        stop("no socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        stop("cannot connect to port %lld: %s", (long long)port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
            continue;
        }
        if (written < 0)
            stop("cannot write: %s", strerror(errno));
        data += written;
        size -= (size_t)written;
    }
}

uint32_t random_below(uint64_t *state, uint32_t bound)
{
    *state ^= *state << 13; /* xorshift64 */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 32) * bound >> 32);
}
