/* delay.h — how long an answer is held back: always the same, or drawn from a distribution. Pure. */
#pragma once
#include "base/random_source.h"
#include "rules_reader.h"

enum delay_kind { DELAY_FIXED, DELAY_UNIFORM, DELAY_NORMAL, DELAY_LOGNORMAL };

/* All in milliseconds but the sigma of a lognormal. A zeroed struct is no delay. */
struct delay {
    enum delay_kind kind;
    double center;   /* fixed value, low end, mean, median */
    double spread;   /* none, high end, standard deviation, sigma of the logarithm */
    int64_t most_ms; /* what was drawn is cut off here */
};

/* Reads "200ms", or {distribution: normal, mean: 100ms, deviation: 20ms, max: 1s}. False with a report. */
bool delay_read(struct rules_reader *reader, yaml_node_t *node, struct delay *delay);

/* At least 0 and at most `most_ms`. */
int64_t delay_draw_ms(const struct delay *delay, struct random_source *source);
