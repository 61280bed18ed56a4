/* config_yaml.c — options from a YAML file.
 *
 *   threads: 4                      The file is a mapping of server-wide options and roles. A role is a
 *   gateway:                        mapping of its options, or a list of such mappings; `listen` is an
 *     origin: https://example.com   address or a list of them. Nothing nests deeper, so that libyaml's
 *     listen: http://0.0.0.0:8080   events are walked by hand, each with its line and column.
 *
 * A problem is reported and the walk goes on behind it; broken YAML ends the walk. Aliases are refused
 * where they stand, so that a small file cannot stand for a large one. */
#include "server/nearest.h"
#include "server/options.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FILE_BYTES_MAX = 1 << 20, PROBLEMS_MAX = 20 };

struct reader {
    struct options *options;
    struct buffer *message;
    struct bytes text;
    yaml_parser_t parser;
    yaml_event_t event; /* the present one, while has_event */
    bool has_event;
    bool is_broken; /* no further event is to be had */
    bool no_memory;
    unsigned problem_count;
};

static struct place place_of_mark(yaml_mark_t mark)
{
    return (struct place){(int)mark.line + 1, (int)mark.column + 1};
}

static struct place here(const struct reader *reader) { return place_of_mark(reader->event.start_mark); }

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

#define REPORT(reader, where, ...)                                                                         \
    do {                                                                                                   \
        if ((reader)->problem_count++ < PROBLEMS_MAX)                                                      \
            options_report((reader)->options, where, (reader)->message, __VA_ARGS__);                      \
    } while (0)

/* ---- events ------------------------------------------------------------------------------------- */

static void report_broken(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    struct place where = place_of_mark(parser->problem_mark);

    if (parser->error == YAML_MEMORY_ERROR) {
        reader->no_memory = true;
        return;
    }
    if (parser->error == YAML_READER_ERROR) /* it comes without a mark */
        where = place_of_offset(reader->text, parser->problem_offset);
    REPORT(reader, where, "not YAML: %s%s%s", parser->problem != NULL ? parser->problem : "unreadable",
           parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

/* Moves to the next event. False at the end of what can be read. */
static bool advance(struct reader *reader)
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
static void skip_value(struct reader *reader)
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
    } while (advance(reader) && depth > 0);
}

static bool is_at(const struct reader *reader, yaml_event_type_t type)
{
    return reader->has_event && reader->event.type == type;
}

/* Anchors do no harm until they are used, but what nothing may refer to has none. */
static bool refuse_alias(struct reader *reader)
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
        REPORT(reader, here(reader), "anchors and aliases are not taken here; write the value out");
    else if (tag != NULL)
        REPORT(reader, here(reader), "tags are not taken here; write the plain value");
    else
        return false;
    skip_value(reader);
    return true;
}

static struct bytes scalar_bytes(const struct reader *reader)
{
    return bytes_of(reader->event.data.scalar.value, reader->event.data.scalar.length);
}

/* `key:` with nothing behind it. */
static bool is_empty_scalar(const struct reader *reader)
{
    return is_at(reader, YAML_SCALAR_EVENT) && reader->event.data.scalar.length == 0 &&
           reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* ---- options ------------------------------------------------------------------------------------ */

/* A data file is looked for beside the file that names it, wherever the program was started. */
static enum err beside_file(const struct reader *reader, struct bytes path, struct buffer *full)
{
    const char *slash = strrchr(reader->options->file, '/');

    if (path.size > 0 && path.data[0] != '/' && slash != NULL)
        buffer_append(full, bytes_of(reader->options->file, (size_t)(slash + 1 - reader->options->file)));
    buffer_append(full, path);
    return full->failed ? ERR_NO_MEMORY : OK;
}

static void read_scalar(struct reader *reader, const struct option_row *row, void *base)
{
    struct bytes text = scalar_bytes(reader);
    struct buffer why = {0}, full = {0};
    enum err err = OK;

    if (memchr(text.data, '\0', text.size) != NULL) {
        REPORT(reader, here(reader), "%s: a byte of 0 cannot be part of it", row->name);
        return;
    }
    if (is_empty_scalar(reader)) {
        struct buffer placeholder = {0};
        option_append_placeholder(&placeholder, row);
        REPORT(reader, here(reader), "%s has no value; write %s: %.*s", row->name, row->name,
               BYTES_PRINTF(buffer_bytes(&placeholder)));
        buffer_fini(&placeholder);
        return;
    }
    if (row->type == OPTION_TYPE_path) {
        err = beside_file(reader, text, &full);
        text = buffer_bytes(&full);
    }
    if (err == OK)
        err = option_set(row, base, text, here(reader), &why);
    if (err == ERR_NO_MEMORY)
        reader->no_memory = true;
    else if (err != OK)
        REPORT(reader, here(reader), "%s: %.*s", row->name, BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    buffer_fini(&full);
}

static void read_value(struct reader *reader, const struct option_row *row, void *base)
{
    if (refuse_alias(reader))
        return;
    if (is_at(reader, YAML_SCALAR_EVENT)) {
        read_scalar(reader, row, base);
        advance(reader);
        return;
    }
    if (row->type != OPTION_TYPE_listens || !is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        REPORT(reader, here(reader), "%s is one value, not a list or a mapping", row->name);
        skip_value(reader);
        return;
    }
    for (advance(reader); reader->has_event && !is_at(reader, YAML_SEQUENCE_END_EVENT);) {
        if (refuse_alias(reader))
            continue;
        if (is_at(reader, YAML_SCALAR_EVENT)) {
            read_scalar(reader, row, base);
            advance(reader);
        } else {
            REPORT(reader, here(reader), "%s is a list of addresses, nothing deeper", row->name);
            skip_value(reader);
        }
    }
    advance(reader);
}

/* ---- keys --------------------------------------------------------------------------------------- */

static void report_unknown_key(struct reader *reader, struct bytes name, bool of_role, enum role role)
{
    struct nearest nearest = {.wanted = name};
    struct shown shown = shown_text(name);
    unsigned roles = of_role ? 1u << role : 0;

    for (size_t i = 0; i < option_row_count(); i++)
        if (option_find_key(roles, bytes_of_text(option_row(i)->name)) == option_row(i))
            nearest_consider(&nearest, option_row(i)->name);
    for (int i = 0; i < ROLE_COUNT && !of_role; i++)
        nearest_consider(&nearest, role_row((enum role)i)->name);

    if (of_role && option_find_key(0, name) != NULL)
        REPORT(reader, here(reader), "%s belongs at the top of the file, not under %s", shown.text,
               role_row(role)->name);
    else if (option_find_key(ROLES_EVERY, name) != NULL) {
        struct buffer owners = {0};
        for (int i = 0; i < ROLE_COUNT; i++)
            if (option_find_key(1u << i, name) != NULL)
                buffer_append_format(&owners, "%s%s", owners.size > 0 ? " or " : "",
                                     role_row((enum role)i)->name);
        REPORT(reader, here(reader), "%s belongs under %.*s", shown.text,
               BYTES_PRINTF(buffer_bytes(&owners)));
        buffer_fini(&owners);
    } else if (nearest.name != NULL)
        REPORT(reader, here(reader), "unknown key %s; did you mean %s?", shown.text, nearest.name);
    else
        REPORT(reader, here(reader), "unknown key %s; see nuthatch %s --help for those there are",
               shown.text, of_role ? role_row(role)->name : "serve");
}

/* Of a mapping's key: its text, good until the next event. Anything else is reported and skipped, its value
 * with it. */
static bool read_key(struct reader *reader, struct bytes *name)
{
    if (!refuse_alias(reader)) {
        if (is_at(reader, YAML_SCALAR_EVENT)) {
            *name = scalar_bytes(reader);
            return true;
        }
        REPORT(reader, here(reader), "a key must be a word");
        skip_value(reader);
    }
    if (reader->has_event)
        skip_value(reader);
    return false;
}

static void skip_key_and_value(struct reader *reader)
{
    if (advance(reader))
        skip_value(reader);
}

/* True if `row` was met before; remembers it. */
static bool is_repeated(bool seen[OPTION_COUNT_MAX], const struct option_row *row)
{
    bool repeated = seen[row - option_row(0)];
    seen[row - option_row(0)] = true;
    return repeated;
}

static void read_role_mapping(struct reader *reader, struct role_options *role)
{
    bool seen[OPTION_COUNT_MAX] = {0};

    for (advance(reader); reader->has_event && !is_at(reader, YAML_MAPPING_END_EVENT);) {
        const struct option_row *row;
        struct bytes name;
        if (!read_key(reader, &name))
            continue;
        row = option_find_key(1u << role->role, name);
        if (row == NULL)
            report_unknown_key(reader, name, true, role->role);
        else if (is_repeated(seen, row))
            REPORT(reader, here(reader), "%s is there twice; keep one", row->name);
        else {
            if (advance(reader))
                read_value(reader, row, role);
            continue;
        }
        skip_key_and_value(reader);
    }
    advance(reader);
}

static void read_one_role(struct reader *reader, enum role name)
{
    struct role_options *role;

    if (refuse_alias(reader))
        return;
    if (!is_at(reader, YAML_MAPPING_START_EVENT) && !is_empty_scalar(reader)) {
        REPORT(reader, here(reader), "%s is a mapping of its options, or a list of such mappings",
               role_row(name)->name);
        skip_value(reader);
        return;
    }
    role = options_add_role(reader->options, name, here(reader));
    if (role == NULL) {
        reader->no_memory = true;
        skip_value(reader);
    } else if (is_at(reader, YAML_MAPPING_START_EVENT))
        read_role_mapping(reader, role);
    else
        advance(reader);
}

static void read_role(struct reader *reader, enum role name)
{
    if (refuse_alias(reader))
        return;
    if (!is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        read_one_role(reader, name);
        return;
    }
    for (advance(reader); reader->has_event && !is_at(reader, YAML_SEQUENCE_END_EVENT);)
        read_one_role(reader, name);
    advance(reader);
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

static void read_server_option(struct reader *reader, const struct option_row *row)
{
    struct options *options = reader->options;
    struct place *set_at = &options->set_at[row - option_row(0)];

    if (!advance(reader))
        return;
    if (set_at->line < 0) { /* the command line wins, but the file must be right all the same */
        struct options ignored;
        options_init(&ignored);
        read_value(reader, row, &ignored);
        options_fini(&ignored);
        return;
    }
    *set_at = here(reader);
    read_value(reader, row, options);
}

static void read_top(struct reader *reader)
{
    bool seen[OPTION_COUNT_MAX] = {0};
    unsigned roles_seen = 0;

    for (advance(reader); reader->has_event && !is_at(reader, YAML_MAPPING_END_EVENT);) {
        const struct option_row *row;
        struct bytes name;
        enum role role;
        if (!read_key(reader, &name))
            continue;
        row = option_find_key(0, name);
        if (row != NULL && !is_repeated(seen, row)) {
            read_server_option(reader, row);
            continue;
        }
        if (row != NULL)
            REPORT(reader, here(reader), "%s is there twice; keep one", row->name);
        else if (!find_role(name, &role))
            report_unknown_key(reader, name, false, ROLE_COUNT);
        else if ((roles_seen & 1u << role) != 0)
            REPORT(reader, here(reader), "%s is there twice; make it one key with a list",
                   role_row(role)->name);
        else {
            roles_seen |= 1u << role;
            if (advance(reader))
                read_role(reader, role);
            continue;
        }
        skip_key_and_value(reader);
    }
    advance(reader);
}

static void read_document(struct reader *reader)
{
    static const struct place start = {1, 1};

    advance(reader); /* to the stream's start */
    advance(reader); /* to the document's */
    if (is_at(reader, YAML_STREAM_END_EVENT)) {
        REPORT(reader, start, "the file is empty; name a role: cache, gateway or mock");
        return;
    }
    if (!advance(reader) || refuse_alias(reader))
        return;
    if (!is_at(reader, YAML_MAPPING_START_EVENT)) {
        REPORT(reader, here(reader), "the file must be a mapping of options and roles, such as `cache:`");
        return;
    }
    read_top(reader);
    if (is_at(reader, YAML_DOCUMENT_END_EVENT) && advance(reader) && !is_at(reader, YAML_STREAM_END_EVENT))
        REPORT(reader, here(reader), "a second document; keep one to a file");
    if (reader->problem_count == 0 && reader->options->role_count == 0)
        REPORT(reader, start, "no role; add cache, gateway or mock");
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
    struct reader reader = {.options = options, .message = message, .text = text};

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
    if (reader.problem_count > PROBLEMS_MAX)
        options_report(options, (struct place){0}, message, "and %u more problems",
                       reader.problem_count - PROBLEMS_MAX);
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
