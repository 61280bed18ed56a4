#include "base/counters.h"
#include "base/compiler.h"

const char *metric_name(enum metric metric)
{
    static const char *const names[METRIC_COUNT] = {
#define METRIC(name, help) #name,
#include "tables/metrics.def"
#undef METRIC
    };
    return names[metric];
}

const char *metric_help(enum metric metric)
{
    static const char *const helps[METRIC_COUNT] = {
#define METRIC(name, help) help,
#include "tables/metrics.def"
#undef METRIC
    };
    return helps[metric];
}
