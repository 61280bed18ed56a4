#include "rate_fields.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/number.h"
#include "message/http_date.h"
#include "message/structured_field.h"
#include "rate_time.h"

enum { NAME_BYTES_MAX = 64, WAIT_DAYS_MAX = 31 };
#define COUNT_MAX INT64_C(1000000000000)

/* ---- windows ------------------------------------------------------------------------------------- */

/* The window called so, which is made if there is room; null if there is none. */
static struct rate_window *window_of(struct rate_said *said, uint64_t name)
{
    for (size_t i = 0; i < said->window_count; i++)
        if (said->windows[i].name == name)
            return &said->windows[i];
    if (said->window_count == RATE_WINDOWS_MAX)
        return NULL;
    said->windows[said->window_count] = (struct rate_window){name, -1, -1, -1, -1};
    return &said->windows[said->window_count++];
}

static uint64_t hash_of(struct bytes text, uint64_t seed)
{
    uint64_t hash = hash_bytes(text, seed);
    return hash != 0 ? hash : 1;
}

/* A number of requests; fractions, such as Reddit's, are rounded down. */
static bool read_count(struct bytes text, int64_t *count)
{
    int64_t thousandths;

    if (!rate_number_read(text, &thousandths) || thousandths / 1000 > COUNT_MAX)
        return false;
    *count = thousandths / 1000;
    return true;
}

/* ---- RateLimit and RateLimit-Policy --------------------------------------------------------------- */

static bool parameter_of(const struct structured_member *member, struct bytes key,
                         struct structured_value *value)
{
    struct bytes rest = member->parameters;
    struct structured_member parameter;
    bool is_there = false;

    while (structured_parameter_next(&rest, &parameter))
        if (bytes_equal(parameter.key, key)) {
            *value = parameter.value;
            is_there = true;
        }
    return is_there;
}

static bool integer_of(const struct structured_member *member, struct bytes key, int64_t *number)
{
    struct structured_value value;

    if (!parameter_of(member, key, &value) || value.type != STRUCTURED_INTEGER || value.number < 0 ||
        value.number > COUNT_MAX)
        return false;
    *number = value.number;
    return true;
}

/* A time in seconds, in ms. */
static bool seconds_of(const struct structured_member *member, struct bytes key, int64_t *ms)
{
    int64_t seconds;

    if (!integer_of(member, key, &seconds) || seconds > WAIT_DAYS_MAX * INT64_C(86400))
        return false;
    *ms = seconds * 1000;
    return true;
}

/* By its name and the partition that it is of. */
static uint64_t name_of_member(const struct structured_member *member)
{
    struct structured_value partition;
    uint64_t seed = parameter_of(member, BYTES("pk"), &partition)
                        ? hash_bytes(partition.text, (uint64_t)partition.number)
                        : 0;

    return hash_of(member->value.text, seed);
}

static bool is_name(const struct structured_member *member)
{
    return member->value.type == STRUCTURED_STRING || member->value.type == STRUCTURED_TOKEN;
}

static bool counts_requests(const struct structured_member *member)
{
    struct structured_value unit;

    return !parameter_of(member, BYTES("qu"), &unit) || bytes_equal(unit.text, BYTES("requests"));
}

/* Whether the policy called so is for something else than requests. */
static bool is_for_other_units(struct bytes policies, struct bytes name)
{
    struct structured_member policy;

    while (structured_list_next(&policies, &policy))
        if (is_name(&policy) && bytes_equal(policy.value.text, name))
            return !counts_requests(&policy);
    return false;
}

/* Both are valid lists. */
static void read_lists(struct rate_said *said, struct bytes limits, struct bytes policies)
{
    struct structured_member member;
    struct rate_window *window;
    struct bytes rest;
    int64_t remaining, quota;

    for (rest = limits; structured_list_next(&rest, &member);) {
        if (!is_name(&member) || !integer_of(&member, BYTES("r"), &remaining) ||
            is_for_other_units(policies, member.value.text))
            continue;
        window = window_of(said, name_of_member(&member));
        if (window == NULL)
            return;
        window->remaining = remaining;
        seconds_of(&member, BYTES("t"), &window->reset_ms);
    }
    for (rest = policies; structured_list_next(&rest, &member);) {
        if (!is_name(&member) || !counts_requests(&member) || !integer_of(&member, BYTES("q"), &quota))
            continue;
        window = window_of(said, name_of_member(&member));
        if (window == NULL)
            return;
        window->limit = quota;
        seconds_of(&member, BYTES("w"), &window->window_ms);
    }
}

/* "limit=100, remaining=50, reset=30", as the draft once had it. */
static void read_dictionary(struct rate_said *said, struct bytes text)
{
    struct structured_member limit, remaining, reset;
    struct rate_window *window;

    if (!structured_dictionary_find(text, BYTES("remaining"), &remaining) ||
        remaining.value.type != STRUCTURED_INTEGER || remaining.value.number < 0)
        return;
    window = window_of(said, hash_of(BYTES("ratelimit"), 0));
    if (window == NULL)
        return;
    window->remaining = remaining.value.number;
    if (structured_dictionary_find(text, BYTES("limit"), &limit) &&
        limit.value.type == STRUCTURED_INTEGER && limit.value.number >= 0)
        window->limit = limit.value.number;
    if (structured_dictionary_find(text, BYTES("reset"), &reset) &&
        reset.value.type == STRUCTURED_INTEGER && reset.value.number >= 0 &&
        reset.value.number <= WAIT_DAYS_MAX * INT64_C(86400))
        window->reset_ms = reset.value.number * 1000;
}

static void read_structured(struct rate_said *said, const struct http_fields *fields)
{
    struct buffer limits = {0}, policies = {0};

    structured_join(&limits, fields, BYTES("RateLimit"));
    structured_join(&policies, fields, BYTES("RateLimit-Policy"));
    if (!limits.failed && !policies.failed) {
        struct bytes policy = buffer_bytes(&policies);
        if (!structured_is_list(policy))
            policy = (struct bytes){0};
        if (structured_is_list(buffer_bytes(&limits)))
            read_lists(said, buffer_bytes(&limits), policy);
        else if (structured_is_dictionary(buffer_bytes(&limits)))
            read_dictionary(said, buffer_bytes(&limits));
    }
    buffer_fini(&limits);
    buffer_fini(&policies);
}

/* ---- fields of one number each -------------------------------------------------------------------- */

enum part { PART_LIMIT, PART_REMAINING, PART_USED, PART_RESET, PART_WINDOW, PART_POOL };

/* What may stand behind a family's name, and which limit that is of. */
static const struct {
    struct bytes name;
    enum part part;
} parts[] = {{BYTES_INIT("limit"), PART_LIMIT},
             {BYTES_INIT("remaining"), PART_REMAINING},
             {BYTES_INIT("used"), PART_USED},
             {BYTES_INIT("reset"), PART_RESET},
             {BYTES_INIT("reset-after"), PART_RESET},
             {BYTES_INIT("resettime"), PART_RESET},
             {BYTES_INIT("resource"), PART_POOL},
             {BYTES_INIT("bucket"), PART_POOL},
             {BYTES_INIT("interval-seconds"), PART_WINDOW}};

static const struct {
    struct bytes name;
    int64_t window_ms; /* 0: it does not say */
} labels[] = {{BYTES_INIT("requests"), 0},
              {BYTES_INIT("second"), 1000},
              {BYTES_INIT("minute"), 60000},
              {BYTES_INIT("hour"), 3600000},
              {BYTES_INIT("day"), 86400000}};

static const struct bytes families[] = {BYTES_INIT("x-ratelimit-"), BYTES_INIT("x-rate-limit-"),
                                        BYTES_INIT("ratelimit-"), BYTES_INIT("anthropic-ratelimit-")};

static bool start_with_nocase(struct bytes text, struct bytes start)
{
    return text.size >= start.size && bytes_equal_nocase(bytes_first(text, start.size), start);
}

/* The family that a field called `name` is of; an empty one if of none. */
static struct bytes family_of(struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (start_with_nocase(name, families[i]))
            return families[i];
    return (struct bytes){0};
}

bool is_rate_field(struct bytes name)
{
    switch (name.size > 0 ? byte_to_lower(name.data[0]) : 0) {
    case 'a':
    case 'r': return family_of(name).size > 0 || bytes_equal_nocase(name, BYTES("RateLimit"));
    case 'x':
        return family_of(name).size > 0 || bytes_equal_nocase(name, BYTES("X-Shopify-Shop-Api-Call-Limit"));
    default: return false;
    }
}

/* "remaining", "requests-remaining", "remaining-minute". False if it is something else. */
static bool split_name(struct bytes rest, enum part *part, size_t *label)
{
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct bytes name = parts[i].name, left;
        *part = parts[i].part;
        *label = COUNT_OF(labels);
        if (bytes_equal_nocase(rest, name))
            return true;
        if (rest.size < name.size + 2)
            continue;
        if (start_with_nocase(rest, name) && rest.data[name.size] == '-')
            left = bytes_after(rest, name.size + 1);
        else if (bytes_end_with_nocase(rest, name) && rest.data[rest.size - name.size - 1] == '-')
            left = bytes_first(rest, rest.size - name.size - 1);
        else
            continue;
        for (*label = 0; *label < COUNT_OF(labels); ++*label)
            if (bytes_equal_nocase(left, labels[*label].name))
                return true;
    }
    return false;
}

/* "100", or "100, 100;w=60" as the draft once had it. */
static struct bytes first_of_list(struct bytes text)
{
    size_t size = 0;

    while (size < text.size && text.data[size] != ',' && text.data[size] != ';')
        size++;
    return bytes_trim(bytes_first(text, size));
}

/* A number that is written twice, or by two names, counts as the stricter one. */
static void take_least(int64_t *field, int64_t value)
{
    if (*field < 0 || value < *field)
        *field = value;
}

static void take_most(int64_t *field, int64_t value)
{
    if (value > *field)
        *field = value;
}

struct used {
    const struct rate_window *window;
    int64_t count;
};

static void read_part(struct rate_said *said, const struct http_field *field, struct bytes family,
                      int64_t there_wall_ms, struct used *used)
{
    struct bytes rest = bytes_after(field->name, family.size), value = field->value;
    struct rate_window *window;
    enum part part;
    size_t label;
    int64_t number;

    if (!split_name(rest, &part, &label))
        return;
    if (part == PART_POOL) {
        if (value.size > 0)
            said->pool = hash_of(value, 0);
        return;
    }
    if (part == PART_RESET ? !rate_time_read(value, there_wall_ms, &number)
                           : !read_count(first_of_list(value), &number))
        return;
    window = window_of(said, hash_of(family, label));
    if (window == NULL)
        return;
    if (label < COUNT_OF(labels) && labels[label].window_ms > 0)
        window->window_ms = labels[label].window_ms;
    switch (part) {
    case PART_LIMIT: take_least(&window->limit, number); return;
    case PART_REMAINING: take_least(&window->remaining, number); return;
    case PART_USED: *used = (struct used){window, number}; return;
    case PART_RESET: take_most(&window->reset_ms, number); return;
    case PART_WINDOW:
        if (number > 0 && number <= WAIT_DAYS_MAX * INT64_C(86400))
            window->window_ms = number * 1000;
        return;
    case PART_POOL: return;
    }
    UNREACHABLE();
}

/* "32/40": used and at most. */
static void read_share(struct rate_said *said, struct bytes value)
{
    const char *slash = value.size > 0 ? memchr(value.data, '/', value.size) : NULL;
    struct rate_window *window;
    int64_t used, limit;

    if (slash == NULL || !read_count(bytes_first(value, (size_t)(slash - value.data)), &used) ||
        !read_count(bytes_after(value, (size_t)(slash - value.data) + 1), &limit) || limit == 0)
        return;
    window = window_of(said, hash_of(BYTES("shopify"), 0));
    if (window == NULL)
        return;
    window->limit = limit;
    window->remaining = used < limit ? limit - used : 0;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* Their clock, as far as they tell it: a moment that they name is one of that. */
static int64_t their_wall_ms(const struct http_fields *fields, int64_t now_wall_ms)
{
    const struct http_field *date = http_fields_find(fields, HTTP_HEADER_DATE);
    int64_t wall_ms;

    return date != NULL && http_date_parse(date->value, now_wall_ms, &wall_ms) ? wall_ms : now_wall_ms;
}

static bool is_from_cache(const struct http_fields *fields)
{
    const struct http_field *age = http_fields_find(fields, HTTP_HEADER_AGE);
    uint64_t seconds;

    return age != NULL && (!digits_parse(age->value, UINT64_MAX, &seconds) || seconds > 0);
}

/* What nothing can be made of is taken out; a limit of 0 is how some say that there is none. */
static void drop_empty(struct rate_said *said)
{
    size_t kept = 0;

    for (size_t i = 0; i < said->window_count; i++)
        if (said->windows[i].remaining >= 0 && said->windows[i].limit != 0)
            said->windows[kept++] = said->windows[i];
    said->window_count = kept;
}

void rate_fields_read(struct rate_said *said, const struct http_fields *fields, int64_t now_wall_ms)
{
    int64_t there_wall_ms = their_wall_ms(fields, now_wall_ms);
    bool is_structured = false, has_limits = false;
    struct used used = {0};

    *said = (struct rate_said){.retry_after_ms = -1, .poll_interval_ms = -1};
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        int64_t ms;
        if (bytes_equal_nocase(field->name, BYTES("Retry-After"))) {
            if (rate_time_read(field->value, there_wall_ms, &ms))
                take_most(&said->retry_after_ms, ms);
        } else if (bytes_equal_nocase(field->name, BYTES("X-Poll-Interval"))) {
            if (rate_time_read(field->value, there_wall_ms, &ms))
                take_most(&said->poll_interval_ms, ms);
        } else {
            has_limits |= is_rate_field(field->name);
        }
    }
    if (!has_limits || is_from_cache(fields))
        return;
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        struct bytes family = family_of(field->name);
        if (bytes_equal_nocase(field->name, BYTES("RateLimit")))
            is_structured = true;
        else if (family.size > 0)
            read_part(said, field, family, there_wall_ms, &used);
        else if (bytes_equal_nocase(field->name, BYTES("X-Shopify-Shop-Api-Call-Limit")))
            read_share(said, field->value);
    }
    if (used.window != NULL && used.window->remaining < 0 && used.window->limit >= 0)
        said->windows[used.window - said->windows].remaining =
            used.count < used.window->limit ? used.window->limit - used.count : 0;
    if (is_structured)
        read_structured(said, fields);
    drop_empty(said);
}
