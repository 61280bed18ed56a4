/* config_compose.c — what stands behind `compose:` of a gateway: its composed routes.
 *
 *   compose:
 *     - path: /overview/{id}
 *       parts:                             in the order in which the answer has them
 *         user: /users/{id}                short for {target: /users/{id}}
 *         repos:
 *           target: /repos?user={id}&page={query.page}
 *           pointer: /items                or select: {NAME: POINTER}
 *           optional: yes|no
 *           timeout: TIME
 *       on-failure: null|fail
 *       pass-headers: [Accept-Language]
 *       timeout: TIME
 *       compose-max: SIZE
 *       …                                  those options of tables/route_options.def that it has
 */
#include "engine/compose/json_pick.h"
#include "server/config_mapping.h"
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS_USUAL = 10 * 1000, BYTES_MAX_USUAL = 1024 * 1024 };

const struct option_row compose_timeout_row = {.name = "timeout",
                                               .type = OPTION_TYPE_duration,
                                               .scope = OPTION_OF_ROUTE,
                                               .offset = offsetof(struct composition_spec, timeout_ms),
                                               .fallback = TIMEOUT_MS_USUAL,
                                               .low = 1,
                                               .high = 3600 * 1000};

const struct option_row compose_max_row = {.name = "compose-max",
                                           .type = OPTION_TYPE_size,
                                           .scope = OPTION_OF_ROUTE,
                                           .offset = offsetof(struct composition_spec, body_bytes_max),
                                           .fallback = BYTES_MAX_USUAL,
                                           .low = 1,
                                           .high = 64 * 1024 * 1024};

const struct option_row part_timeout_row = {.name = "timeout",
                                            .type = OPTION_TYPE_duration,
                                            .scope = OPTION_OF_ROUTE,
                                            .offset = offsetof(struct part_spec, timeout_ms),
                                            .low = 1,
                                            .high = 3600 * 1000};

/* ---- values -------------------------------------------------------------------------------------- */

static const char *wrong_with_path(struct bytes text)
{
    struct path_pattern ignored;
    return path_pattern_parse(&ignored, text);
}

static const char *wrong_with_answer(struct bytes text)
{
    return bytes_equal(text, BYTES("yes")) || bytes_equal(text, BYTES("no")) ? NULL
                                                                             : "is neither yes nor no";
}

static const char *wrong_with_failure(struct bytes text)
{
    return bytes_equal(text, BYTES("null")) || bytes_equal(text, BYTES("fail"))
               ? NULL
               : "is neither null (the part is null) nor fail (so does the whole)";
}

static void read_part_timeout(struct config_reader *reader, const struct config_key *key, void *into)
{
    (void)key;
    config_read_value(reader, &part_timeout_row, into);
}

static void read_timeout(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct compose_entry *entry = into;

    (void)key;
    config_read_value(reader, &compose_timeout_row, &entry->spec);
}

static void read_max(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct compose_entry *entry = into;

    (void)key;
    config_read_value(reader, &compose_max_row, &entry->spec);
}

/* ---- parts --------------------------------------------------------------------------------------- */

#define TARGET_LIKE "a path of one of the routes, such as \"/users/{id}\""

static const struct config_key part_keys[] = {
    CONFIG_TEXT("target", struct part_spec, target, NULL, TARGET_LIKE),
    CONFIG_TEXT("pointer", struct part_spec, pointer, json_pointer_is_wrong,
                "what of the answer is wanted, such as /items/0"),
    CONFIG_FIELDS("select", struct part_spec, selected, selected_count, member_name_is_wrong,
                  json_pointer_is_wrong, "where it is in the answer, such as /name"),
    CONFIG_TEXT("optional", struct part_spec, optional, wrong_with_answer, "yes or no"),
    {.name = "timeout", .read = read_part_timeout},
};

/* Of a part that has been said to be wrong nothing more is said. */
static const struct place nowhere;

static void read_part_value(struct config_reader *reader, struct part_spec *part, struct place where)
{
    static const struct config_key target =
        CONFIG_TEXT("the part", struct part_spec, target, NULL, TARGET_LIKE);

    if (config_is_at(reader, YAML_SCALAR_EVENT)) {
        config_read_text(reader, &target, part);
        return;
    }
    config_read_mapping(reader,
                        &(struct config_mapping){.what = "a part",
                                                 .keys = part_keys,
                                                 .key_count = COUNT_OF(part_keys),
                                                 .scope = OPTION_OF_SERVER},
                        part);
    if (part->pointer != NULL && part->selected_count > 0)
        CONFIG_REPORT(reader, where, "the part %s has a pointer and select; leave out the one or the other",
                      part->name);
}

/* Why there can be no part of that name; null if there can. */
static const char *name_is_wrong(const struct compose_entry *entry, struct bytes name)
{
    for (size_t i = 0; i < entry->spec.part_count; i++)
        if (bytes_equal(bytes_of_text(entry->spec.parts[i].name), name))
            return "is there twice; keep one";
    if (entry->spec.part_count == COMPOSED_PARTS_MAX)
        return "is one too many: a composed answer has at most 32 parts";
    return part_name_is_wrong(name);
}

static void read_part(struct config_reader *reader, struct compose_entry *entry, struct bytes name)
{
    const char *wrong = name_is_wrong(entry, name);
    struct place where = config_here(reader), *place = NULL;
    struct part_spec *part = NULL;
    unsigned problem_count;

    if (wrong != NULL)
        CONFIG_REPORT(reader, where, "the part %s %s", shown_text(name).text, wrong);
    else
        place = CONFIG_APPEND(reader, &entry->part_places, &entry->part_place_count);
    if (place != NULL) {
        *place = where;
        part = CONFIG_APPEND(reader, &entry->spec.parts, &entry->spec.part_count);
    }
    if (part != NULL) {
        part->name = strndup(name.data, name.size);
        reader->no_memory |= part->name == NULL;
    }
    problem_count = reader->problem_count;
    if (part == NULL || part->name == NULL) {
        if (part != NULL)
            entry->spec.part_count--;
        if (place != NULL)
            entry->part_place_count--;
        config_skip_pair(reader);
        return;
    }
    if (config_advance(reader) && !config_refuse_alias(reader))
        read_part_value(reader, part, where);
    if (reader->problem_count > problem_count)
        *place = nowhere;
}

static void read_parts(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct compose_entry *entry = into;
    struct bytes name;

    (void)key;
    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader),
                      "parts is a mapping of names, such as `user: \"/users/{id}\"`");
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_part(reader, entry, name);
    config_advance(reader);
}

/* ---- composed routes ----------------------------------------------------------------------------- */

static const struct config_key compose_keys[] = {
    {.name = "path",
     .read = config_read_text,
     .offset = offsetof(struct compose_entry, spec.path),
     .at_offset = offsetof(struct compose_entry, path_at),
     .wrong = wrong_with_path,
     .like = "a path, such as \"/overview/{id}\""},
    {.name = "parts", .read = read_parts},
    CONFIG_TEXT("on-failure", struct compose_entry, spec.on_failure, wrong_with_failure, "null or fail"),
    CONFIG_TEXTS("pass-headers", struct compose_entry, spec.passed, spec.passed_count,
                 passed_field_is_wrong, "a field's name, such as Accept-Language, or a list of them"),
    {.name = "timeout", .read = read_timeout},
    {.name = "compose-max", .read = read_max},
};

static void read_entry(struct config_reader *reader, struct role_options *role)
{
    struct compose_entry *entry = CONFIG_APPEND(reader, &role->compositions, &role->composition_count);

    if (entry == NULL) {
        config_skip(reader);
        return;
    }
    entry->where = config_here(reader);
    entry->spec.timeout_ms = TIMEOUT_MS_USUAL;
    entry->spec.body_bytes_max = BYTES_MAX_USUAL;
    config_read_mapping(reader,
                        &(struct config_mapping){.what = "a composed route",
                                                 .keys = compose_keys,
                                                 .key_count = COUNT_OF(compose_keys),
                                                 .scope = OPTION_OF_ROUTE,
                                                 .takes = option_is_of_composition,
                                                 .policy = &entry->spec.policy,
                                                 .is_set = entry->is_set},
                        entry);
}

void config_read_compose(struct config_reader *reader, struct role_options *role)
{
    role->compose_at = config_here(reader);
    config_read_list(reader, "compose is a list: begin each with a dash, `- path:`", read_entry, role);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* The composed route that would answer what a part asks for, or null. */
static const struct compose_entry *composed_by(const struct role_options *role, const char *target)
{
    for (size_t i = 0; i < role->composition_count; i++) {
        const char *path = role->compositions[i].spec.path;
        struct path_pattern pattern;
        if (path != NULL && path_pattern_parse(&pattern, bytes_of_text(path)) == NULL &&
            part_target_fits(bytes_of_text(target), &pattern))
            return &role->compositions[i];
    }
    return NULL;
}

/* The one that answers requests for `path`, or null. */
static const struct compose_entry *composed_as(const struct role_options *role, struct bytes path)
{
    for (size_t i = 0; i < role->composition_count; i++) {
        const char *text = role->compositions[i].spec.path;
        struct path_pattern pattern;
        if (text != NULL && path_pattern_parse(&pattern, bytes_of_text(text)) == NULL &&
            path_pattern_fits(&pattern, path, NULL))
            return &role->compositions[i];
    }
    return NULL;
}

static void check_part(struct config_reader *reader, const struct role_options *role,
                       const struct part_spec *part, struct place where, const struct path_pattern *pattern)
{
    const struct compose_entry *other;
    const char *wrong;

    if (where.line == nowhere.line)
        return;
    if (part->target == NULL) {
        CONFIG_REPORT(reader, where, "the part %s has no `target`; write " TARGET_LIKE, part->name);
        return;
    }
    wrong = part_target_is_wrong(bytes_of_text(part->target), pattern);
    if (wrong != NULL) {
        CONFIG_REPORT(reader, where, "the target of the part %s %s", part->name, wrong);
        return;
    }
    other = composed_by(role, part->target);
    if (other != NULL)
        CONFIG_REPORT(reader, where,
                      "the target of the part %s is composed itself, as %s; name what that is made of",
                      part->name, shown_text(bytes_of_text(other->spec.path)).text);
}

static void check_entry(struct config_reader *reader, const struct role_options *role,
                        const struct compose_entry *entry)
{
    const struct composition_spec *spec = &entry->spec;
    struct path_pattern pattern;

    if (entry->path_at.line == 0)
        CONFIG_REPORT(reader, entry->where, "the composed route has no `path`; write path: /overview");
    if (spec->part_count == 0)
        CONFIG_REPORT(reader, entry->where,
                      "the composed route has no `parts`; write at least one, such as `user: /users/1`");
    if (spec->path == NULL || path_pattern_parse(&pattern, bytes_of_text(spec->path)) != NULL)
        return;
    for (size_t i = 0; i < spec->part_count; i++)
        check_part(reader, role, &spec->parts[i], entry->part_places[i], &pattern);
    for (const struct compose_entry *before = role->compositions; before < entry; before++)
        if (before->spec.path != NULL && strcmp(before->spec.path, spec->path) == 0)
            CONFIG_REPORT(reader, entry->path_at, "path: %s is composed twice; keep one",
                          shown_text(bytes_of_text(spec->path)).text);
}

/* A poll asks the gateway's routes, and what is composed is not kept. */
static void check_poll(struct config_reader *reader, const struct role_options *role,
                       const struct poll_entry *poll)
{
    const struct compose_entry *composed = NULL;

    if (poll->spec.url == NULL)
        return;
    for (size_t i = 0; i < poll_spec_count(&poll->spec) && composed == NULL; i++) {
        struct poll_target target;
        if (poll_target_init(&target, &poll->spec, i))
            composed = composed_as(role, target.path);
        poll_target_fini(&target);
    }
    if (composed != NULL)
        CONFIG_REPORT(reader, poll->where, "what is polled is composed, as %s; poll what that is made of",
                      shown_text(bytes_of_text(composed->spec.path)).text);
}

void config_check_compose(struct config_reader *reader, const struct role_options *role)
{
    for (size_t i = 0; i < role->composition_count; i++)
        check_entry(reader, role, &role->compositions[i]);
    for (size_t i = 0; i < role->poll_count && role->composition_count > 0; i++)
        check_poll(reader, role, &role->polls[i]);
}
