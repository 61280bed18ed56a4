#include "shape.h"
#include "message/http.h"
#include <stdlib.h>

enum { FAULTS_MAX = 32, HANG_MS = 30000, HANG_MS_MAX = 600000 };

static const struct bytes fault_names[] = {
    [FAULT_STATUS] = BYTES_INIT("status"),     [FAULT_RESET] = BYTES_INIT("reset"),
    [FAULT_EMPTY] = BYTES_INIT("empty"),       [FAULT_HANG] = BYTES_INIT("hang"),
    [FAULT_TRUNCATE] = BYTES_INIT("truncate"), [FAULT_MALFORMED] = BYTES_INIT("malformed")};

static bool read_kind(struct rules_reader *reader, yaml_node_t *node, enum fault_kind *kind)
{
    struct bytes name;

    if (!rules_read_text(reader, node, "fault", &name))
        return false;
    for (size_t i = 0; i < COUNT_OF(fault_names); i++)
        if (bytes_equal(fault_names[i], name)) {
            *kind = (enum fault_kind)i;
            return true;
        }
    rules_report(reader, node, "fault is status, reset, empty, hang, truncate or malformed");
    return false;
}

/* A key that belongs to one kind only, or two. */
static bool is_of_kind(struct rules_reader *reader, const struct rules_key *key, bool belongs)
{
    if (key->value == NULL || belongs)
        return true;
    rules_report(reader, key->value, "%s is not of this kind of fault", key->name);
    return false;
}

static bool read_fault(struct rules_reader *reader, yaml_node_t *node, struct fault *fault)
{
    struct rules_key keys[] = {
        {"fault", NULL}, {"probability", NULL}, {"status", NULL}, {"for", NULL}, {"after", NULL}};
    int64_t status = 503;

    *fault = (struct fault){.probability = 1, .hang_ms = HANG_MS, .after_bytes = -1};
    if (!rules_read_keys(reader, node, "a fault", keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value == NULL) {
        rules_report(reader, node,
                     "a fault needs `fault`: status, reset, empty, hang, truncate or malformed");
        return false;
    }
    if (!read_kind(reader, keys[0].value, &fault->kind) ||
        !is_of_kind(reader, &keys[2], fault->kind == FAULT_STATUS) ||
        !is_of_kind(reader, &keys[3], fault->kind == FAULT_HANG) ||
        !is_of_kind(reader, &keys[4], fault->kind == FAULT_TRUNCATE || fault->kind == FAULT_MALFORMED) ||
        (keys[1].value != NULL &&
         !rules_read_number(reader, keys[1].value, "probability", 0, 1, &fault->probability)) ||
        (keys[2].value != NULL &&
         !rules_read_integer(reader, keys[2].value, "status", 400, 599, &status)) ||
        (keys[3].value != NULL && !rules_read_duration(reader, keys[3].value, "for", &fault->hang_ms)) ||
        (keys[4].value != NULL && !rules_read_size(reader, keys[4].value, "after", &fault->after_bytes)))
        return false;
    if (fault->hang_ms > HANG_MS_MAX) {
        rules_report(reader, keys[3].value, "for: at most 10m");
        return false;
    }
    fault->status = (int)status;
    return true;
}

static bool read_faults(struct rules_reader *reader, yaml_node_t *node, struct shape *shape)
{
    size_t count = rules_item_count(node);
    bool is_good = true;

    shape->fault_count = 0;
    if (count > FAULTS_MAX) {
        rules_report(reader, node, "faults: at most %d", FAULTS_MAX);
        return false;
    }
    free(shape->faults);
    shape->faults = calloc(count + 1, sizeof *shape->faults);
    if (shape->faults == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        is_good &= read_fault(reader, rules_item(reader, node, i), &shape->faults[shape->fault_count++]);
    return is_good;
}

static bool read_limit(struct rules_reader *reader, yaml_node_t *node, struct rate_limit *limit)
{
    struct rules_key keys[] = {{"requests", NULL}, {"window", NULL}, {"by", NULL}};

    if (!rules_read_keys(reader, node, "limit", keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value == NULL || keys[1].value == NULL) {
        rules_report(reader, node, "limit needs requests and window, such as {requests: 10, window: 1s}");
        return false;
    }
    if (!rules_read_integer(reader, keys[0].value, "requests", 1, 1000000000, &limit->requests) ||
        !rules_read_duration(reader, keys[1].value, "window", &limit->window_ms) ||
        (keys[2].value != NULL && !rules_read_text(reader, keys[2].value, "by", &limit->by)))
        return false;
    if (limit->window_ms < 1000) {
        rules_report(reader, keys[1].value, "window is at least 1s: its header fields speak of seconds");
        return false;
    }
    if (keys[2].value != NULL && !http_is_token(limit->by)) {
        rules_report(reader, keys[2].value, "by is the name of a header field");
        return false;
    }
    return true;
}

bool shape_read(struct rules_reader *reader, const struct rules_key keys[static SHAPE_KEYS],
                const struct shape *fallback, struct shape *shape, size_t *limit_count)
{
    bool is_good = true;

    *shape = *fallback;
    shape->faults = NULL;
    if (fallback->fault_count > 0 && keys[2].value == NULL) {
        shape->faults = calloc(fallback->fault_count, sizeof *shape->faults);
        if (shape->faults == NULL) {
            shape->fault_count = 0;
            reader->no_memory = true;
            return false;
        }
        memcpy(shape->faults, fallback->faults, fallback->fault_count * sizeof *shape->faults);
    }
    if (keys[0].value != NULL)
        is_good &= delay_read(reader, keys[0].value, &shape->latency);
    if (keys[1].value != NULL && rules_read_size(reader, keys[1].value, "bandwidth", &shape->bandwidth) &&
        shape->bandwidth == 0) {
        rules_report(reader, keys[1].value, "bandwidth is at least 1 byte a second; for none leave it out");
        is_good = false;
    }
    if (keys[2].value != NULL)
        is_good &= read_faults(reader, keys[2].value, shape);
    if (keys[3].value != NULL) {
        shape->limit = (struct rate_limit){.place = (*limit_count)++};
        is_good &= read_limit(reader, keys[3].value, &shape->limit);
    }
    return is_good;
}

void shape_fini(struct shape *shape) { free(shape->faults); }

const struct fault *shape_draw_fault(const struct shape *shape, struct random_source *source)
{
    for (size_t i = 0; i < shape->fault_count; i++)
        if (random_unit(source) < shape->faults[i].probability)
            return &shape->faults[i];
    return NULL;
}
