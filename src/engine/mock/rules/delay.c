#include "delay.h"
#include <math.h>

enum { DELAY_MS_MAX = 3600 * 1000 };

/* What a distribution wants beside its name, by key. */
static const struct {
    const char *name, *center, *spread;
    enum delay_kind kind;
} distributions[] = {
    {"uniform", "low", "high", DELAY_UNIFORM},
    {"normal", "mean", "deviation", DELAY_NORMAL},
    {"lognormal", "median", "sigma", DELAY_LOGNORMAL},
};

enum { KEY_DISTRIBUTION, KEY_MAX, KEY_LOW, KEY_HIGH, KEY_MEAN, KEY_DEVIATION, KEY_MEDIAN, KEY_SIGMA, KEYS };

static yaml_node_t *value_of(const struct rules_key *keys, const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].value;
    return NULL;
}

static bool read_duration(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                          double *value)
{
    int64_t ms = 0;
    bool is_good = rules_read_duration(reader, node, what, &ms);

    *value = (double)ms;
    return is_good;
}

static bool read_spread(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                        struct delay *delay)
{
    if (delay->kind == DELAY_LOGNORMAL)
        return rules_read_number(reader, node, what, 0, 5, &delay->spread);
    if (!read_duration(reader, node, what, &delay->spread))
        return false;
    if (delay->kind != DELAY_UNIFORM || delay->spread >= delay->center)
        return true;
    rules_report(reader, node, "high is below low");
    return false;
}

bool delay_read(struct rules_reader *reader, yaml_node_t *node, struct delay *delay)
{
    struct rules_key keys[KEYS] = {[KEY_DISTRIBUTION] = {"distribution", NULL},
                                   [KEY_MAX] = {"max", NULL},
                                   [KEY_LOW] = {"low", NULL},
                                   [KEY_HIGH] = {"high", NULL},
                                   [KEY_MEAN] = {"mean", NULL},
                                   [KEY_DEVIATION] = {"deviation", NULL},
                                   [KEY_MEDIAN] = {"median", NULL},
                                   [KEY_SIGMA] = {"sigma", NULL}};
    struct bytes name = {0};
    size_t row = 0;
    bool is_good = true;

    *delay = (struct delay){.most_ms = DELAY_MS_MAX};
    if (rules_is_scalar(node))
        return read_duration(reader, node, "latency", &delay->center);
    if (!rules_read_keys(reader, node, "latency", keys, COUNT_OF(keys)))
        return false;
    if (keys[KEY_DISTRIBUTION].value == NULL) {
        rules_report(reader, node, "latency needs a distribution: uniform, normal or lognormal");
        return false;
    }
    if (!rules_read_text(reader, keys[KEY_DISTRIBUTION].value, "distribution", &name))
        return false;
    while (row < COUNT_OF(distributions) && !bytes_equal(bytes_of_text(distributions[row].name), name))
        row++;
    if (row == COUNT_OF(distributions)) {
        rules_report(reader, keys[KEY_DISTRIBUTION].value,
                     "distribution is uniform, normal or lognormal; a fixed delay is `latency: 200ms`");
        return false;
    }
    for (size_t i = KEY_LOW; i < KEYS; i++)
        if (keys[i].value != NULL && strcmp(keys[i].name, distributions[row].center) != 0 &&
            strcmp(keys[i].name, distributions[row].spread) != 0) {
            rules_report(reader, keys[i].value, "%s is not of a %s distribution, which has %s and %s",
                         keys[i].name, distributions[row].name, distributions[row].center,
                         distributions[row].spread);
            is_good = false;
        }
    delay->kind = distributions[row].kind;
    if (value_of(keys, distributions[row].center) == NULL ||
        value_of(keys, distributions[row].spread) == NULL) {
        rules_report(reader, node, "a %s distribution needs %s and %s", distributions[row].name,
                     distributions[row].center, distributions[row].spread);
        return false;
    }
    if (keys[KEY_MAX].value != NULL)
        is_good &= rules_read_duration(reader, keys[KEY_MAX].value, "max", &delay->most_ms);
    return read_duration(reader, value_of(keys, distributions[row].center), distributions[row].center,
                         &delay->center) &&
           read_spread(reader, value_of(keys, distributions[row].spread), distributions[row].spread,
                       delay) &&
           is_good;
}

/* Mean 0, deviation 1 (Box and Muller). */
static double random_normal(struct random_source *source)
{
    double radius = sqrt(-2 * log(1 - random_unit(source))),
           angle = 6.283185307179586 * random_unit(source);
    return radius * cos(angle);
}

int64_t delay_draw_ms(const struct delay *delay, struct random_source *source)
{
    double ms = delay->center;

    switch (delay->kind) {
    case DELAY_FIXED: break;
    case DELAY_UNIFORM: ms += random_unit(source) * (delay->spread - delay->center); break;
    case DELAY_NORMAL: ms += random_normal(source) * delay->spread; break;
    case DELAY_LOGNORMAL: ms *= exp(random_normal(source) * delay->spread); break;
    }
    if (!(ms > 0))
        return 0;
    return ms < (double)delay->most_ms ? (int64_t)ms : delay->most_ms;
}
