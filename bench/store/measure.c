#include "store/measure.h"
#include "load.h"
#include "store/random.h"
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CLOCK_READINGS = 1001 };

void step(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("{\"step\":\"", stdout);
    vprintf(format, arguments);
    puts("\"}");
    fflush(stdout);
    va_end(arguments);
}

void result(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
}

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double median_of(double *numbers, uint64_t count)
{
    if (count == 0)
        return 0;
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    return count % 2 == 1 ? numbers[count / 2] : (numbers[count / 2 - 1] + numbers[count / 2]) / 2;
}

uint64_t clock_cost_ns(void)
{
    double readings[CLOCK_READINGS];

    for (int i = 0; i < CLOCK_READINGS; i++) {
        uint64_t before_ns = now_ns();
        readings[i] = (double)(now_ns() - before_ns);
    }
    return (uint64_t)median_of(readings, CLOCK_READINGS);
}

int cpu_allowed(int index)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        stop("cannot tell on which processors we may run");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && index-- == 0)
            return cpu;
    stop("not enough processors");
}

void pin_to_cpu(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        stop("cannot stay on processor %d", cpu);
}

uint64_t kept_waiting_ns(void)
{
    FILE *file = fopen("/proc/thread-self/schedstat", "r");
    unsigned long long ran_ns, waited_ns = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &ran_ns, &waited_ns) != 2)
        waited_ns = 0;
    fclose(file);
    return waited_ns;
}

double load_wait_ns(uint64_t bytes, bool huge_pages)
{
    enum { LOADS = 4000000, LINE_WORDS = 8 };
    uint64_t line_count = bytes / (LINE_WORDS * sizeof(uint64_t)), begun_ns, found = 0;
    uint64_t *lines = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    double wait_ns;

    if (line_count == 0 || lines == MAP_FAILED)
        stop("no %llu bytes of memory", (unsigned long long)bytes);
    if (huge_pages)
        madvise(lines, bytes, MADV_HUGEPAGE);
    for (uint64_t i = 0; i < line_count; i++)
        lines[i * LINE_WORDS] = i;
    begun_ns = now_ns();
    for (uint64_t i = 0; i < LOADS; i++)
        found = lines[mix64(found + i) % line_count * LINE_WORDS];
    wait_ns = (double)(now_ns() - begun_ns) / LOADS;
    munmap(lines, bytes);
    return found == UINT64_MAX ? 0 : wait_ns; /* `found` is used, so that the loads are made */
}

uint64_t rss_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long all_pages, resident_pages;

    if (file == NULL || fscanf(file, "%llu %llu", &all_pages, &resident_pages) != 2)
        stop("cannot tell how much memory is resident");
    fclose(file);
    return resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
