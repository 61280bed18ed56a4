/* config_yaml.c — options from a YAML file.
 *
 *   threads: 4                      The file is a mapping of server-wide options and roles. A role is a
 *   gateway:                        mapping of its options, or a list of such mappings; `listen` is an
 *     origin: https://example.com   address or a list of them. Nothing nests deeper, so that libyaml's
 *     listen: http://0.0.0.0:8080   events are walked by hand, each with its line and column.
 *
 * A problem is reported and the walk goes on behind it; broken YAML ends the walk. Aliases are refused
 * where they stand, so that a small file cannot stand for a large one. */
#include "server/config_yaml.h"
#include "server/nearest.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20 };

static struct place place_of_mark(yaml_mark_t mark)
{
    return (struct place){(int)mark.line + 1, (int)mark.column + 1};
}

struct place config_here(const struct config_reader *reader)
{
    return place_of_mark(reader->event.start_mark);
}

static struct place place_of_offset(struct bytes text, size_t offset)
{
    struct place place = {1, 1};

    for (size_t i = 0; i < offset && i < text.size; i++) {
        place.column++;
        if (text.data[i] == '\n')
            place = (struct place){place.line + 1, 1};
    }
    return place;
}

/* ---- events ------------------------------------------------------------------------------------- */

static void report_broken(struct config_reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    struct place where = place_of_mark(parser->problem_mark);

    if (parser->error == YAML_MEMORY_ERROR) {
        reader->no_memory = true;
        return;
    }
    if (parser->error == YAML_READER_ERROR) /* it comes without a mark */
        where = place_of_offset(reader->text, parser->problem_offset);
    CONFIG_REPORT(reader, where, "not YAML: %s%s%s",
                  parser->problem != NULL ? parser->problem : "unreadable",
                  parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

/* Moves to the next event. False at the end of what can be read. */
bool config_advance(struct config_reader *reader)
{
    if (reader->has_event)
        yaml_event_delete(&reader->event);
    reader->has_event = false;
    if (reader->is_broken)
        return false;
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        report_broken(reader);
        reader->is_broken = true;
        return false;
    }
    reader->has_event = true;
    return true;
}

/* Moves behind the value that the present event begins. */
void config_skip(struct config_reader *reader)
{
    size_t depth = 0;

    do {
        switch (reader->event.type) {
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT: depth++; break;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: depth--; break;
        default: break;
        }
    } while (config_advance(reader) && depth > 0);
}

bool config_is_at(const struct config_reader *reader, yaml_event_type_t type)
{
    return reader->has_event && reader->event.type == type;
}

/* Anchors do no harm until they are used, but what nothing may refer to has none. */
bool config_refuse_alias(struct config_reader *reader)
{
    yaml_char_t *anchor = NULL, *tag = NULL;

    switch (reader->event.type) {
    case YAML_ALIAS_EVENT: anchor = reader->event.data.alias.anchor; break;
    case YAML_SCALAR_EVENT:
        anchor = reader->event.data.scalar.anchor;
        tag = reader->event.data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = reader->event.data.sequence_start.anchor;
        tag = reader->event.data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = reader->event.data.mapping_start.anchor;
        tag = reader->event.data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor != NULL)
        CONFIG_REPORT(reader, config_here(reader),
                      "anchors and aliases are not taken here; write the value out");
    else if (tag != NULL)
        CONFIG_REPORT(reader, config_here(reader), "tags are not taken here; write the plain value");
    else
        return false;
    config_skip(reader);
    return true;
}

struct bytes config_scalar(const struct config_reader *reader)
{
    return bytes_of(reader->event.data.scalar.value, reader->event.data.scalar.length);
}

/* `key:` with nothing behind it. */
bool config_is_empty(const struct config_reader *reader)
{
    return config_is_at(reader, YAML_SCALAR_EVENT) && reader->event.data.scalar.length == 0 &&
           reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* ---- options ------------------------------------------------------------------------------------ */

/* A data file is looked for beside the file that names it, wherever the program was started. */
enum err config_beside_file(const struct config_reader *reader, struct bytes path, struct buffer *full)
{
    const char *slash = strrchr(reader->options->file, '/');

    if (path.size > 0 && path.data[0] != '/' && slash != NULL)
        buffer_append(full, bytes_of(reader->options->file, (size_t)(slash + 1 - reader->options->file)));
    buffer_append(full, path);
    return full->failed ? ERR_NO_MEMORY : OK;
}

static bool is_of_policy(const struct option_row *row)
{
    return row->scope == OPTION_OF_UPSTREAM || row->scope == OPTION_OF_ROUTE;
}

/* Under `tier:` an option may have a shorter name than on the command line. */
static const char *name_of(const struct option_row *row)
{
    return row->key != NULL && row->type != OPTION_TYPE_tier ? row->key : row->name;
}

/* Sets the option from `text`, which is where the reader is. */
static void set_from(struct config_reader *reader, const struct option_row *row, void *base,
                     struct bytes text)
{
    struct buffer why = {0}, full = {0};
    enum err err = OK;

    if (memchr(text.data, '\0', text.size) != NULL) {
        CONFIG_REPORT(reader, config_here(reader), "%s: a byte of 0 cannot be part of it", name_of(row));
        return;
    }
    if (config_is_empty(reader)) {
        struct buffer placeholder = {0};
        option_append_placeholder(&placeholder, row);
        CONFIG_REPORT(reader, config_here(reader), "%s has no value; write %s: %.*s", name_of(row),
                      name_of(row), BYTES_PRINTF(buffer_bytes(&placeholder)));
        buffer_fini(&placeholder);
        return;
    }
    if (option_is_path(row) &&
        !bytes_equal(text, BYTES("-"))) { /* which is no file but a stream, where it means something */
        err = config_beside_file(reader, text, &full);
        text = buffer_bytes(&full);
    }
    if (err == OK)
        err = is_of_policy(row) ? option_set_policy(row, base, text, config_here(reader), &why)
                                : option_set(row, base, text, config_here(reader), &why);
    if (err == ERR_NO_MEMORY)
        reader->no_memory = true;
    else if (err != OK)
        CONFIG_REPORT(reader, config_here(reader), "%s: %.*s", name_of(row),
                      BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    buffer_fini(&full);
}

static void read_scalar(struct config_reader *reader, const struct option_row *row, void *base)
{
    set_from(reader, row, base, config_scalar(reader));
}

/* Reads `{404: 30s, 5xx: 0}` as the items 404=30s and 5xx=0. */
static void read_item_mapping(struct config_reader *reader, const struct option_row *row, void *base)
{
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);) {
        struct buffer item = {0};
        struct bytes name;

        if (!config_read_key(reader, &name))
            continue;
        buffer_append(&item, name);
        buffer_append_byte(&item, '=');
        if (config_advance(reader) && !config_refuse_alias(reader)) {
            if (config_is_at(reader, YAML_SCALAR_EVENT)) {
                buffer_append(&item, config_scalar(reader));
                if (item.failed || item.data == NULL)
                    reader->no_memory = true;
                else
                    set_from(reader, row, base, buffer_bytes(&item));
                config_advance(reader);
            } else {
                CONFIG_REPORT(reader, config_here(reader),
                              "%s is a mapping of plain values, nothing deeper", row->name);
                config_skip(reader);
            }
        }
        buffer_fini(&item);
    }
    config_advance(reader);
}

void config_read_value(struct config_reader *reader, const struct option_row *row, void *base)
{
    if (config_refuse_alias(reader))
        return;
    if (config_is_at(reader, YAML_SCALAR_EVENT)) {
        read_scalar(reader, row, base);
        config_advance(reader);
        return;
    }
    if (row->type == OPTION_TYPE_list && row->fallback == ROUTE_LIST_TTLS &&
        config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        read_item_mapping(reader, row, base);
        return;
    }
    if (!option_is_list(row) || !config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "%s is one value%s", name_of(row),
                      row->type == OPTION_TYPE_list ? " or a list, not a mapping"
                                                    : ", not a list or a mapping");
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);) {
        if (config_refuse_alias(reader))
            continue;
        if (config_is_at(reader, YAML_SCALAR_EVENT)) {
            read_scalar(reader, row, base);
            config_advance(reader);
        } else {
            CONFIG_REPORT(reader, config_here(reader), "%s is a list of plain values, nothing deeper",
                          name_of(row));
            config_skip(reader);
        }
    }
    config_advance(reader);
}

/* ---- keys --------------------------------------------------------------------------------------- */

static void report_unknown_key(struct config_reader *reader, struct bytes name, bool of_role,
                               enum role role)
{
    struct nearest nearest = {.wanted = name};
    struct shown shown = shown_text(name);
    unsigned roles = of_role ? 1u << role : 0;

    for (size_t i = 0; i < option_row_count(); i++)
        if (option_find_key(roles, bytes_of_text(option_row(i)->name)) == option_row(i))
            nearest_consider(&nearest, option_row(i)->name);
    if (of_role && role == ROLE_GATEWAY)
        config_consider_gateway_keys(&nearest);
    for (int i = 0; i < ROLE_COUNT && !of_role; i++)
        nearest_consider(&nearest, role_row((enum role)i)->name);
    if (!of_role)
        nearest_consider(&nearest, "tier");

    if (config_tier_key_of(name) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s belongs under tier, as %s", shown.text,
                      config_tier_key_of(name));
    else if (of_role && option_find_key(0, name) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s belongs at the top of the file, not under %s",
                      shown.text, role_row(role)->name);
    else if (option_find_key(ROLES_EVERY, name) != NULL) {
        struct buffer owners = {0};
        for (int i = 0; i < ROLE_COUNT; i++)
            if (option_find_key(1u << i, name) != NULL)
                buffer_append_format(&owners, "%s%s", owners.size > 0 ? " or " : "",
                                     role_row((enum role)i)->name);
        CONFIG_REPORT(reader, config_here(reader), "%s belongs under %.*s", shown.text,
                      BYTES_PRINTF(buffer_bytes(&owners)));
        buffer_fini(&owners);
    } else if (nearest.name != NULL)
        CONFIG_REPORT(reader, config_here(reader), "unknown key %s; did you mean %s?", shown.text,
                      nearest.name);
    else
        CONFIG_REPORT(reader, config_here(reader),
                      "unknown key %s; see nuthatch %s --help for those there are", shown.text,
                      of_role ? role_row(role)->name : "serve");
}

/* Of a mapping's key: its text, good until the next event. Anything else is reported and skipped, its value
 * with it. */
bool config_read_key(struct config_reader *reader, struct bytes *name)
{
    if (!config_refuse_alias(reader)) {
        if (config_is_at(reader, YAML_SCALAR_EVENT)) {
            *name = config_scalar(reader);
            return true;
        }
        CONFIG_REPORT(reader, config_here(reader), "a key must be a word");
        config_skip(reader);
    }
    if (reader->has_event)
        config_skip(reader);
    return false;
}

void config_skip_pair(struct config_reader *reader)
{
    if (config_advance(reader))
        config_skip(reader);
}

/* True if `row` was met before; remembers it. */
static bool is_repeated(bool seen[OPTION_COUNT_MAX], const struct option_row *row)
{
    bool repeated = seen[row - option_row(0)];
    seen[row - option_row(0)] = true;
    return repeated;
}

/* The struct of the row's scope in `role`. */
static void *base_of(const struct option_row *row, struct role_options *role)
{
    switch (row->scope) {
    case OPTION_OF_SERVER:
    case OPTION_OF_ROLE: return role;
    case OPTION_OF_UPSTREAM: return &role->upstream_policy;
    case OPTION_OF_ROUTE: return &role->route_policy;
    }
    UNREACHABLE();
}

static void read_role_mapping(struct config_reader *reader, struct role_options *role)
{
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);) {
        const struct option_row *row;
        struct bytes name;
        if (!config_read_key(reader, &name))
            continue;
        row = option_find_key(1u << role->role, name);
        if (row == NULL && role->role == ROLE_GATEWAY && config_read_gateway_key(reader, role, name))
            continue;
        if (row == NULL)
            report_unknown_key(reader, name, true, role->role);
        else if (is_repeated(role->is_given, row))
            CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one", row->name);
        else {
            if (config_advance(reader))
                config_read_value(reader, row, base_of(row, role));
            continue;
        }
        config_skip_pair(reader);
    }
    if (role->role == ROLE_GATEWAY)
        config_check_gateway(reader, role);
    config_advance(reader);
}

static void read_one_role(struct config_reader *reader, enum role name)
{
    struct role_options *role;

    if (config_refuse_alias(reader))
        return;
    if (!config_is_at(reader, YAML_MAPPING_START_EVENT) && !config_is_empty(reader)) {
        CONFIG_REPORT(reader, config_here(reader),
                      "%s is a mapping of its options, or a list of such mappings", role_row(name)->name);
        config_skip(reader);
        return;
    }
    role = options_add_role(reader->options, name, config_here(reader));
    if (role == NULL) {
        reader->no_memory = true;
        config_skip(reader);
    } else if (config_is_at(reader, YAML_MAPPING_START_EVENT))
        read_role_mapping(reader, role);
    else
        config_advance(reader);
}

static void read_role(struct config_reader *reader, enum role name)
{
    if (config_refuse_alias(reader))
        return;
    if (!config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        read_one_role(reader, name);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);)
        read_one_role(reader, name);
    config_advance(reader);
}

static bool find_role(struct bytes name, enum role *role)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (!bytes_equal(bytes_of_text(role_row((enum role)i)->name), name))
            continue;
        *role = (enum role)i;
        return true;
    }
    return false;
}

void config_read_server_option(struct config_reader *reader, const struct option_row *row)
{
    struct options *options = reader->options;
    struct place *set_at = &options->set_at[row - option_row(0)];

    if (set_at->line < 0) { /* the command line wins, but the file must be right all the same */
        struct options ignored;
        options_init(&ignored);
        config_read_value(reader, row, &ignored);
        options_fini(&ignored);
        return;
    }
    *set_at = config_here(reader);
    config_read_value(reader, row, options);
}

static void read_top(struct config_reader *reader)
{
    bool seen[OPTION_COUNT_MAX] = {0};
    bool has_tier = false;
    unsigned roles_seen = 0;

    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);) {
        const struct option_row *row;
        struct bytes name;
        enum role role;
        if (!config_read_key(reader, &name))
            continue;
        row = option_find_key(0, name);
        if (row != NULL && !is_repeated(seen, row)) {
            if (config_advance(reader))
                config_read_server_option(reader, row);
            continue;
        }
        if (bytes_equal(name, BYTES("tier")) && !has_tier) {
            has_tier = true;
            if (config_advance(reader))
                config_read_tier(reader);
            continue;
        }
        if (row != NULL || bytes_equal(name, BYTES("tier")))
            CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one",
                          row != NULL ? row->name : "tier");
        else if (!find_role(name, &role))
            report_unknown_key(reader, name, false, ROLE_COUNT);
        else if ((roles_seen & 1u << role) != 0)
            CONFIG_REPORT(reader, config_here(reader), "%s is there twice; make it one key with a list",
                          role_row(role)->name);
        else {
            roles_seen |= 1u << role;
            if (config_advance(reader))
                read_role(reader, role);
            continue;
        }
        config_skip_pair(reader);
    }
    config_advance(reader);
}

static void read_document(struct config_reader *reader)
{
    static const struct place start = {1, 1};

    config_advance(reader); /* to the stream's start */
    config_advance(reader); /* to the document's */
    if (config_is_at(reader, YAML_STREAM_END_EVENT)) {
        CONFIG_REPORT(reader, start, "the file is empty; name a role: cache, gateway or mock");
        return;
    }
    if (!config_advance(reader) || config_refuse_alias(reader))
        return;
    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader),
                      "the file must be a mapping of options and roles, such as `cache:`");
        return;
    }
    read_top(reader);
    if (config_is_at(reader, YAML_DOCUMENT_END_EVENT) && config_advance(reader) &&
        !config_is_at(reader, YAML_STREAM_END_EVENT))
        CONFIG_REPORT(reader, config_here(reader), "a second document; keep one to a file");
    if (reader->problem_count == 0 && reader->options->role_count == 0)
        CONFIG_REPORT(reader, start, "no role; add cache, gateway or mock");
}

/* ---- the file ----------------------------------------------------------------------------------- */

static enum err read_file(const char *path, struct buffer *text)
{
    FILE *file = fopen(path, "re");
    enum err err = OK;

    if (file == NULL)
        return err_from_errno(errno);
    while (err == OK && !feof(file)) {
        enum { PIECE_BYTES = 16384 };
        char *end = buffer_reserve(text, PIECE_BYTES);
        size_t size = end != NULL ? fread(end, 1, PIECE_BYTES, file) : 0;
        if (end == NULL)
            err = ERR_NO_MEMORY;
        else if (ferror(file))
            err = errno == EISDIR ? ERR_TYPE : err_from_errno(errno);
        else
            buffer_commit(text, size);
        if (err == OK && text->size > FILE_BYTES_MAX)
            err = ERR_TOO_LARGE;
    }
    fclose(file);
    return err;
}

static enum err read_events(struct options *options, struct bytes text, struct buffer *message)
{
    struct config_reader reader = {.options = options, .message = message, .text = text};

    if (!yaml_parser_initialize(&reader.parser))
        return ERR_NO_MEMORY;
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text.data, text.size);
    read_document(&reader);
    if (reader.has_event)
        yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    if (reader.no_memory)
        return ERR_NO_MEMORY;
    if (reader.problem_count > CONFIG_PROBLEMS_MAX)
        options_report(options, (struct place){0}, message, "and %u more problems",
                       reader.problem_count - CONFIG_PROBLEMS_MAX);
    return reader.problem_count == 0 ? OK : ERR_SYNTAX;
}

enum err options_read_yaml(struct options *options, const char *path, struct bytes text,
                           struct buffer *message)
{
    enum err err;

    if (path != options->file) {
        char *copy = strdup(path);
        if (copy == NULL)
            return ERR_NO_MEMORY;
        free(options->file);
        options->file = copy;
    }
    err = read_events(options, text, message);
    return err == OK ? options_complete(options, message) : err;
}

enum err options_load_yaml(struct options *options, const char *path, struct buffer *message)
{
    struct buffer text = {0};
    enum err err = read_file(path, &text);

    if (err == OK)
        err = options_read_yaml(options, path, buffer_bytes(&text), message);
    else if (err == ERR_TYPE)
        options_report(options, (struct place){0}, message, "%s: a folder, not a file", path);
    else if (err == ERR_TOO_LARGE)
        options_report(options, (struct place){0}, message,
                       "%s: larger than a configuration can be (1 MiB)", path);
    else
        options_report(options, (struct place){0}, message, "%s: %s", path, err_text(err));
    buffer_fini(&text);
    return err;
}
