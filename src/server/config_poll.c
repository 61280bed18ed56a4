/* config_poll.c — what is to be kept warm, under `poll:` of a gateway in a YAML file.
 *
 *   poll:
 *     - url: /users/{id}                 a path as a client asks for it
 *       over: [1, 2]                     what takes the place of {id}
 *       interval: 30s                    or interval-min: and interval-max:
 *       headers: {NAME: VALUE} */
#include "server/config_mapping.h"
#include "server/option_units.h"

#define INTERVAL_MS_MIN INT64_C(100)
#define INTERVAL_MS_MAX (30 * 24 * HOURS)

static void read_interval(struct config_reader *reader, const struct config_key *key, void *into)
{
    int64_t *interval_ms = (int64_t *)(void *)((char *)into + key->offset), value;
    struct place where = config_here(reader);
    bool is_one = config_is_at(reader, YAML_SCALAR_EVENT) &&
                  option_units_parse(OPTION_TYPE_duration, config_scalar(reader), &value);

    if (!is_one)
        CONFIG_REPORT(reader, where, "%s is a time, such as 30s", key->name);
    else if (value < INTERVAL_MS_MIN || value > INTERVAL_MS_MAX)
        CONFIG_REPORT(reader, where, "%s is 100ms to 30d", key->name);
    else
        *interval_ms = value;
    config_skip(reader);
}

static const char *wrong_with_name(struct bytes text)
{
    switch (http_header_find(text)) { /* the default: any other will do */
    case HTTP_HEADER_AUTHORIZATION:
    case HTTP_HEADER_COOKIE: return "would make the answer one client's alone; use a route's credentials";
    case HTTP_HEADER_HOST: return "belongs into the url: http://host/path";
    case HTTP_HEADER_CACHE_CONTROL:
    case HTTP_HEADER_PRAGMA: return "keeps the answer out of the cache, or what is in it from being found";
    default: return credential_name_is_wrong(text);
    }
}

static const struct config_key poll_keys[] = {
    CONFIG_TEXT("url", struct poll_entry, spec.url, NULL,
                "a path as a client asks for it, such as /users?page=1"),
    CONFIG_TEXTS("over", struct poll_entry, spec.over, spec.over_count, NULL,
                 "what takes the place of {id} in the url, or a list of that"),
    {.name = "interval", .read = read_interval, .offset = offsetof(struct poll_entry, interval_ms)},
    {.name = "interval-min",
     .read = read_interval,
     .offset = offsetof(struct poll_entry, spec.interval_ms_min)},
    {.name = "interval-max",
     .read = read_interval,
     .offset = offsetof(struct poll_entry, spec.interval_ms_max)},
    CONFIG_FIELDS("headers", struct poll_entry, spec.fields, spec.field_count, wrong_with_name,
                  field_value_is_wrong, "what it is to say"),
};

/* One interval, or two bounds. */
static void check_interval(struct config_reader *reader, struct poll_entry *poll)
{
    struct poll_spec *spec = &poll->spec;
    bool has_bounds = spec->interval_ms_min != 0 || spec->interval_ms_max != 0;

    if (poll->interval_ms != 0 && has_bounds)
        CONFIG_REPORT(reader, poll->where,
                      "a poll has either an interval or interval-min and interval-max");
    else if (poll->interval_ms != 0)
        spec->interval_ms_min = spec->interval_ms_max = poll->interval_ms;
    else if (spec->interval_ms_min == 0 || spec->interval_ms_max == 0)
        CONFIG_REPORT(
            reader, poll->where,
            "a poll has an interval, such as interval: 30s, or both interval-min and interval-max");
    else if (spec->interval_ms_min > spec->interval_ms_max)
        CONFIG_REPORT(reader, poll->where, "interval-min is more than interval-max; exchange them");
}

static void check_url(struct config_reader *reader, struct poll_entry *poll)
{
    const char *wrong;
    size_t item;

    if (poll->spec.url == NULL) {
        CONFIG_REPORT(reader, poll->where, "a poll has no `url`; write a path, such as /users?page=1");
        return;
    }
    wrong = poll_spec_is_wrong(&poll->spec, &item);
    if (wrong != NULL && item < poll->spec.over_count)
        CONFIG_REPORT(reader, poll->where, "the url %s with \"%s\" %s",
                      shown_text(bytes_of_text(poll->spec.url)).text,
                      shown_text(bytes_of_text(poll->spec.over[item])).text, wrong);
    else if (wrong != NULL)
        CONFIG_REPORT(reader, poll->where, "the url %s %s", shown_text(bytes_of_text(poll->spec.url)).text,
                      wrong);
}

static void read_poll(struct config_reader *reader, struct role_options *role)
{
    struct poll_entry *poll = CONFIG_APPEND(reader, &role->polls, &role->poll_count);
    unsigned problems = reader->problem_count;

    if (poll == NULL) {
        config_skip(reader);
        return;
    }
    poll->where = config_here(reader);
    config_read_mapping(reader,
                        &(struct config_mapping){.what = "a poll",
                                                 .keys = poll_keys,
                                                 .key_count = COUNT_OF(poll_keys),
                                                 .scope = OPTION_OF_SERVER},
                        poll);
    if (problems != reader->problem_count || reader->no_memory)
        return;
    check_interval(reader, poll);
    check_url(reader, poll);
}

void config_read_polls(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct role_options *role = into;
    size_t resource_count = 0;

    (void)key;
    role->polls_at = config_here(reader);
    config_read_list(reader, "poll is a list: begin each with a dash, `- url:`", read_poll, role);
    for (size_t i = 0; i < role->poll_count; i++)
        resource_count += poll_spec_count(&role->polls[i].spec);
    if (resource_count > POLL_RESOURCES_MAX)
        CONFIG_REPORT(reader, role->polls_at, "polls are of %zu resources; at most %d can be",
                      resource_count, (int)POLL_RESOURCES_MAX);
}
