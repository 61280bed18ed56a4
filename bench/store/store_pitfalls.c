/* store_pitfalls — runs the cases of pitfalls.h: all of them, or the one that is named. */
#include "store/pitfalls.h"
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name, *step;
    pitfall_function *function;
} cases[] = {
    {"classes", "many lifetimes in a small store", pitfall_classes},
    {"lifetimes", "lifetimes of all lengths", pitfall_lifetimes},
    {"overwriting", "a few keys written again and again", pitfall_overwriting},
    {"all-hot", "everything is hot", pitfall_all_hot},
    {"sizes", "huge values among tiny ones", pitfall_sizes},
    {"borrowers", "values borrowed and not given back", pitfall_borrowers},
    {"growth", "growing from nothing", pitfall_growth},
    {"clear", "clearing", pitfall_clear},
    {"sweep", "sweeping", pitfall_sweep},
};

void timing_init(struct timing *timing) { *timing = (struct timing){.clock_ns = clock_cost_ns()}; }

double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100 * (double)part / (double)whole;
}

void row(const char *what, const struct timing *timing, const char *format, ...)
{
    char outcome[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(outcome, sizeof outcome, format, arguments);
    va_end(arguments);
    result("{\"what\":\"%s\",\"calls\":%llu,\"median_ns\":%.0f,\"p999_ns\":%.0f,\"worst_ns\":%llu,"
           "\"outcome\":\"%s\"}",
           what, (unsigned long long)timing->latencies.count, latencies_us(&timing->latencies, 0.5) * 1000,
           latencies_us(&timing->latencies, 0.999) * 1000, (unsigned long long)timing->latencies.worst_ns,
           outcome);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    int64_t share_percent = 100;
    const struct load_option options[] = {
        {"case", "the only case to run", NULL, &name},
        {"percent", "how much of the full work to do (100)", &share_percent, NULL},
    };
    bool found = false;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    pin_to_cpu(cpu_allowed(0));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (name != NULL && strcmp(cases[i].name, name) != 0)
            continue;
        found = true;
        step("%s", cases[i].step);
        cases[i].function((uint64_t)share_percent);
    }
    if (!found)
        stop("no case called \"%s\"", name);
    return 0;
}
