/* measure.h — clocks, processors and memory as a measurement needs them, and how it tells what it found:
 * one JSON object a line, of which those with "step" only say what comes next. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Tells what comes next; `format` must need no escaping. */
void step(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints one result; `format` is the JSON object. */
void result(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What an empty measurement with now_ns shows: to be taken off. */
uint64_t clock_cost_ns(void);

/* The middle one. Sorts. */
double median_of(double *numbers, uint64_t count);

/* The `index`th processor that we may run on; stops if there are not so many. */
int cpu_allowed(int index);
/* Keeps this thread on one processor. */
void pin_to_cpu(int cpu);
/* For how long this thread has been ready and another had its processor: not the fault of what is measured.
 * 0 if the kernel does not say. */
uint64_t kept_waiting_ns(void);

/* What one load costs that waits for memory: the mean of many, each of whose addresses depends on the one
 * before, all over `bytes`. No look-up in so much memory can be faster than the loads that it must wait
 * for. */
double load_wait_ns(uint64_t bytes, bool huge_pages);

/* Resident memory of this process. */
uint64_t rss_bytes(void);
