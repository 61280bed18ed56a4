#include "server/config_mapping.h"
#include "server/nearest.h"
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 16 };

void *config_append(struct config_reader *reader, void **items, size_t *count, size_t size)
{
    bool is_full = (*count & (*count - 1)) == 0; /* there is room for a power of two of them */
    char *grown = is_full ? reallocarray(*items, *count > 0 ? *count * 2 : 1, size) : *items;

    if (grown == NULL) {
        reader->no_memory = true;
        return NULL;
    }
    *items = grown;
    memset(grown + *count * size, 0, size);
    return grown + (*count)++ * size;
}

/* ---- keys -------------------------------------------------------------------------------------- */

/* The option of that name, if the mapping has it. */
static const struct option_row *find_option(const struct config_mapping *mapping, struct bytes name)
{
    const struct option_row *row =
        mapping->scope != OPTION_OF_SERVER ? option_find_scoped(mapping->scope, name) : NULL;

    return row != NULL && mapping->takes != NULL && !mapping->takes(row) ? NULL : row;
}

/* True if it is said that the key belongs elsewhere: to the other of upstreams and routes, or to routes
 * that are not composed. */
static bool report_misplaced(struct config_reader *reader, const struct config_mapping *mapping,
                             struct bytes name)
{
    bool is_upstream = mapping->scope == OPTION_OF_UPSTREAM;

    if (mapping->takes != NULL && option_find_scoped(mapping->scope, name) != NULL) {
        CONFIG_REPORT(reader, config_here(reader),
                      "%s belongs under a route that leads to an upstream, not under %s",
                      shown_text(name).text, mapping->what);
        return true;
    }
    if (mapping->scope == OPTION_OF_SERVER ||
        option_find_scoped(is_upstream ? OPTION_OF_ROUTE : OPTION_OF_UPSTREAM, name) == NULL)
        return false;
    CONFIG_REPORT(reader, config_here(reader), "%s belongs under %s or the gateway, not under %s",
                  shown_text(name).text, is_upstream ? "a route" : "an upstream", mapping->what);
    return true;
}

static void report_unknown(struct config_reader *reader, const struct config_mapping *mapping,
                           struct bytes name)
{
    struct nearest nearest = {.wanted = name};
    struct shown shown = shown_text(name);
    struct buffer all = {0};

    for (size_t i = 0; i < mapping->key_count; i++) {
        nearest_consider(&nearest, mapping->keys[i].name);
        buffer_append_format(&all, "%s%s", i > 0 ? ", " : "", mapping->keys[i].name);
    }
    for (size_t i = 0; i < option_row_count() && mapping->scope != OPTION_OF_SERVER; i++)
        if (option_row(i)->scope == mapping->scope &&
            (mapping->takes == NULL || mapping->takes(option_row(i))))
            nearest_consider(&nearest, option_row(i)->name);
    if (report_misplaced(reader, mapping, name))
        ; /* said */
    else if (nearest.name != NULL)
        CONFIG_REPORT(reader, config_here(reader), "unknown key %s; did you mean %s?", shown.text,
                      nearest.name);
    else if (mapping->scope != OPTION_OF_SERVER)
        CONFIG_REPORT(reader, config_here(reader), "%s is no key of %s; see docs/%s.md", shown.text,
                      mapping->what, mapping->takes != NULL ? "compose" : "options");
    else
        CONFIG_REPORT(reader, config_here(reader), "%s is no key of %s; write %.*s", shown.text,
                      mapping->what, BYTES_PRINTF(buffer_bytes(&all)));
    buffer_fini(&all);
}

static const struct config_key *find_key(const struct config_mapping *mapping, struct bytes name)
{
    for (size_t i = 0; i < mapping->key_count; i++)
        if (bytes_equal(bytes_of_text(mapping->keys[i].name), name))
            return &mapping->keys[i];
    return NULL;
}

/* Reads the key and its value. */
static void read_pair(struct config_reader *reader, const struct config_mapping *mapping,
                      bool seen[KEYS_MAX], struct bytes name, void *into)
{
    const struct config_key *key = find_key(mapping, name);
    const struct option_row *row = find_option(mapping, name);
    bool *is_seen = key != NULL   ? &seen[key - mapping->keys]
                    : row != NULL ? &mapping->is_set[row - option_row(0)]
                                  : NULL;

    if (is_seen == NULL) {
        report_unknown(reader, mapping, name);
    } else if (*is_seen) {
        CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one",
                      key != NULL ? key->name : row->name);
    } else {
        *is_seen = true;
        if (!config_advance(reader))
            return;
        if (row != NULL)
            config_read_value(reader, row, mapping->policy);
        else if (!config_refuse_alias(reader))
            key->read(reader, key, into);
        return;
    }
    config_skip_pair(reader);
}

void config_read_mapping(struct config_reader *reader, const struct config_mapping *mapping, void *into)
{
    bool seen[KEYS_MAX] = {0};
    struct bytes name;

    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "%s is a mapping of its keys and their values",
                      mapping->what);
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_pair(reader, mapping, seen, name, into);
    config_advance(reader);
}

/* ---- values ------------------------------------------------------------------------------------ */

static void note_place(const struct config_reader *reader, const struct config_key *key, void *into)
{
    if (key->at_offset != 0)
        *(struct place *)(void *)((char *)into + key->at_offset) = config_here(reader);
}

/* Reads the present value as a text; `like` is what to write instead of none; `wrong_with`, which may be
 * null, says what is wrong with it, or null. */
static void read_text(struct config_reader *reader, const char *what, const char *like,
                      const char *(*wrong_with)(struct bytes text), char **to)
{
    struct bytes text;
    const char *wrong = NULL;

    if (!config_is_at(reader, YAML_SCALAR_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "%s is one value, not a list or a mapping; write %s",
                      what, like);
        config_skip(reader);
        return;
    }
    text = config_scalar(reader);
    if (text.size > 0 && wrong_with != NULL)
        wrong = wrong_with(text);
    if (text.size == 0)
        CONFIG_REPORT(reader, config_here(reader), "%s has no value; write %s", what, like);
    else if (memchr(text.data, '\0', text.size) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s: a byte of 0 cannot be part of it", what);
    else if (wrong != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s: \"%s\" %s", what, shown_text(text).text, wrong);
    else {
        free(*to);
        *to = strndup(text.data, text.size);
        reader->no_memory |= *to == NULL;
    }
    config_advance(reader);
}

void config_read_text(struct config_reader *reader, const struct config_key *key, void *into)
{
    note_place(reader, key, into);
    read_text(reader, key->name, key->like, key->wrong, (char **)(void *)((char *)into + key->offset));
}

/* One more of a list. */
static void read_one(struct config_reader *reader, const struct config_key *key, char ***items,
                     size_t *count)
{
    char **item = CONFIG_APPEND(reader, items, count);

    if (item == NULL) {
        config_skip(reader);
        return;
    }
    read_text(reader, key->name, key->like, key->wrong, item);
    if (*item == NULL)
        --*count;
}

void config_read_texts(struct config_reader *reader, const struct config_key *key, void *into)
{
    char ***items = (char ***)(void *)((char *)into + key->offset);
    size_t *count = (size_t *)(void *)((char *)into + key->count_offset);

    if (!config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        read_one(reader, key, items, count);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);)
        if (!config_refuse_alias(reader))
            read_one(reader, key, items, count);
    config_advance(reader);
}

void config_read_list(struct config_reader *reader, const char *otherwise,
                      void (*read_item)(struct config_reader *reader, struct role_options *role),
                      struct role_options *role)
{
    if (!config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "%s", otherwise);
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);)
        if (!config_refuse_alias(reader))
            read_item(reader, role);
    config_advance(reader);
}

/* Reads "name: value" into one more field. */
static void read_field(struct config_reader *reader, const struct config_key *key, struct bytes name,
                       struct field_spec **fields, size_t *count)
{
    const char *what = key->name, *wrong = key->wrong_name(name);
    struct field_spec *field;

    if (wrong != NULL) {
        CONFIG_REPORT(reader, config_here(reader), "%s: \"%s\" %s", what, shown_text(name).text, wrong);
        config_skip_pair(reader);
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if (bytes_equal_nocase(name, bytes_of_text((*fields)[i].name))) {
            CONFIG_REPORT(reader, config_here(reader), "%s: %s is there twice; keep one", what,
                          (*fields)[i].name);
            config_skip_pair(reader);
            return;
        }
    field = CONFIG_APPEND(reader, fields, count);
    if (field != NULL)
        field->name = strndup(name.data, name.size);
    if (field == NULL || field->name == NULL) {
        reader->no_memory = true;
        config_skip_pair(reader);
        return;
    }
    if (config_advance(reader) && !config_refuse_alias(reader))
        read_text(reader, field->name, key->like, key->wrong, &field->value);
    if (field->value == NULL) {
        free(field->name);
        --*count;
    }
}

void config_read_fields(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct field_spec **fields = (struct field_spec **)(void *)((char *)into + key->offset);
    size_t *count = (size_t *)(void *)((char *)into + key->count_offset);
    struct bytes name;

    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader),
                      "%s is a mapping of names and values, such as {X-Kind: \"a\"}", key->name);
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_field(reader, key, name, fields, count);
    config_advance(reader);
}

void config_read_inner(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct config_mapping mapping = {
        .what = key->name, .keys = key->keys, .key_count = key->key_count, .scope = OPTION_OF_SERVER};

    note_place(reader, key, into);
    config_read_mapping(reader, &mapping, (char *)into + key->offset);
}
