#include "rules_reader.h"
#include "base/number.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 4 << 20 };

static void report_at(struct rules_reader *reader, yaml_mark_t mark, const char *text)
{
    if (++reader->problem_count <= RULES_PROBLEMS_MAX)
        buffer_append_format(reader->message, "%s:%zu:%zu: %s\n", reader->path, mark.line + 1,
                             mark.column + 1, text);
}

void rules_report(struct rules_reader *reader, const yaml_node_t *node, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    report_at(reader, node->start_mark, text);
}

/* libyaml leaves the mark of bytes that are no UTF-8 at the beginning, and their offset elsewhere. */
static yaml_mark_t mark_of_problem(const yaml_parser_t *parser, struct bytes text)
{
    yaml_mark_t mark = parser->problem_mark;

    if (parser->error != YAML_READER_ERROR)
        return mark;
    mark = (yaml_mark_t){0};
    for (size_t i = 0; i < parser->problem_offset && i < text.size; i++) {
        mark.column++;
        if (text.data[i] == '\n') {
            mark.line++;
            mark.column = 0;
        }
    }
    return mark;
}

static enum err load(struct rules_reader *reader, yaml_parser_t *parser, struct bytes text)
{
    char problem[256];

    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)text.data, text.size);
    if (yaml_parser_load(parser, &reader->document))
        return OK;
    if (parser->error == YAML_MEMORY_ERROR)
        return ERR_NO_MEMORY;
    snprintf(problem, sizeof problem, "not YAML: %s%s%s",
             parser->problem != NULL ? parser->problem : "unreadable", parser->context != NULL ? " " : "",
             parser->context != NULL ? parser->context : "");
    report_at(reader, mark_of_problem(parser, text), problem);
    return ERR_SYNTAX;
}

enum err rules_reader_init(struct rules_reader *reader, const char *path, struct bytes text,
                           struct buffer *message)
{
    yaml_parser_t parser;
    enum err err;

    *reader = (struct rules_reader){.path = path, .message = message};
    if (text.size > FILE_BYTES_MAX) {
        buffer_append_format(message, "%s: larger than a rules file can be (4 MiB)\n", path);
        return ERR_SYNTAX;
    }
    if (!yaml_parser_initialize(&parser))
        return ERR_NO_MEMORY;
    err = load(reader, &parser, text);
    yaml_parser_delete(&parser);
    return err;
}

void rules_reader_fini(struct rules_reader *reader)
{
    yaml_document_delete(&reader->document);
    buffer_fini(&reader->files);
}

yaml_node_t *rules_reader_top(struct rules_reader *reader)
{
    return yaml_document_get_root_node(&reader->document);
}

/* ---- lists and mappings -------------------------------------------------------------------------- */

size_t rules_item_count(const yaml_node_t *node)
{
    if (!rules_is_list(node))
        return 1;
    return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

yaml_node_t *rules_item(struct rules_reader *reader, yaml_node_t *node, size_t index)
{
    return rules_is_list(node)
               ? yaml_document_get_node(&reader->document, node->data.sequence.items.start[index])
               : node;
}

size_t rules_pair_count(const yaml_node_t *node)
{
    return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
}

static struct bytes scalar_text(const yaml_node_t *node)
{
    return bytes_of(node->data.scalar.value, node->data.scalar.length);
}

bool rules_pair(struct rules_reader *reader, yaml_node_t *node, size_t index, struct bytes *key,
                yaml_node_t **value)
{
    const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[index];
    const yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);

    if (!rules_is_scalar(name)) {
        rules_report(reader, name, "a key must be a word");
        return false;
    }
    *key = scalar_text(name);
    *value = yaml_document_get_node(&reader->document, pair->value);
    return true;
}

static void report_unknown(struct rules_reader *reader, yaml_node_t *node, size_t index, struct bytes name,
                           const char *what, const struct rules_key *keys, size_t key_count)
{
    const yaml_node_t *at =
        yaml_document_get_node(&reader->document, node->data.mapping.pairs.start[index].key);
    struct buffer known = {0};

    for (size_t i = 0; i < key_count; i++)
        buffer_append_format(&known, "%s%s", i > 0 ? ", " : "", keys[i].name);
    rules_report(reader, at, "%s has no %.*s; it may have %.*s", what, name.size < 60 ? (int)name.size : 60,
                 name.data, BYTES_PRINTF(buffer_bytes(&known)));
    buffer_fini(&known);
}

bool rules_read_keys(struct rules_reader *reader, yaml_node_t *node, const char *what,
                     struct rules_key *keys, size_t key_count)
{
    if (!rules_is_mapping(node)) {
        rules_report(reader, node, "%s is a mapping, such as `%s: …`", what, keys[0].name);
        return false;
    }
    for (size_t i = 0; i < rules_pair_count(node); i++) {
        struct bytes name;
        yaml_node_t *value;
        size_t k = 0;
        if (!rules_pair(reader, node, i, &name, &value))
            continue;
        while (k < key_count && !bytes_equal(bytes_of_text(keys[k].name), name))
            k++;
        if (k == key_count)
            report_unknown(reader, node, i, name, what, keys, key_count);
        else if (keys[k].value != NULL)
            rules_report(reader, value, "%s is there twice; keep one", keys[k].name);
        else
            keys[k].value = value;
    }
    return true;
}

/* ---- scalars ------------------------------------------------------------------------------------- */

bool rules_read_text(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                     struct bytes *text)
{
    if (!rules_is_scalar(node)) {
        rules_report(reader, node, "%s is one value, not a list or a mapping", what);
        return false;
    }
    *text = scalar_text(node);
    if (memchr(text->data, '\0', text->size) != NULL) {
        rules_report(reader, node, "%s: a byte of 0 cannot be part of it", what);
        return false;
    }
    return true;
}

bool rules_read_integer(struct rules_reader *reader, const yaml_node_t *node, const char *what, int64_t low,
                        int64_t high, int64_t *value)
{
    struct bytes text;
    int64_t read;

    if (!rules_read_text(reader, node, what, &text))
        return false;
    if (!int64_parse(text, &read) || read < low || read > high) {
        rules_report(reader, node, "%s is a whole number from %lld to %lld", what, (long long)low,
                     (long long)high);
        return false;
    }
    *value = read;
    return true;
}

/* A decimal number without exponent at the front of `text`; `*rest` is what follows it. */
static bool take_number(struct bytes text, double *value, struct bytes *rest)
{
    char digits[32];
    size_t size = 0;

    while (size < text.size && size < sizeof digits - 1 &&
           ((text.data[size] >= '0' && text.data[size] <= '9') || text.data[size] == '.' ||
            (size == 0 && text.data[size] == '-'))) {
        digits[size] = text.data[size];
        size++;
    }
    if (size == 0 || digits[size - 1] == '.' || digits[size - 1] == '-' || digits[0] == '.' ||
        memchr(digits, '.', size) != memrchr(digits, '.', size))
        return false;
    digits[size] = '\0';
    *value = strtod(digits, NULL); /* the program never leaves the C locale */
    *rest = bytes_after(text, size);
    return true;
}

bool rules_read_number(struct rules_reader *reader, const yaml_node_t *node, const char *what, double low,
                       double high, double *value)
{
    struct bytes text, rest;
    double read;

    if (!rules_read_text(reader, node, what, &text))
        return false;
    if (!take_number(text, &read, &rest) || rest.size > 0 || read < low || read > high) {
        rules_report(reader, node, "%s is a number from %g to %g", what, low, high);
        return false;
    }
    *value = read;
    return true;
}

bool rules_read_answer(struct rules_reader *reader, const yaml_node_t *node, const char *what, bool *value)
{
    struct bytes text;

    if (!rules_read_text(reader, node, what, &text))
        return false;
    if (bytes_equal(text, BYTES("true")) || bytes_equal(text, BYTES("yes")))
        *value = true;
    else if (bytes_equal(text, BYTES("false")) || bytes_equal(text, BYTES("no")))
        *value = false;
    else {
        rules_report(reader, node, "%s is true or false", what);
        return false;
    }
    return true;
}

struct unit {
    const char *name;
    double factor;
};

/* A number with one of `units`, at most `highest`. */
static bool read_measure(const struct unit *units, size_t unit_count, struct bytes text, double highest,
                         int64_t *value)
{
    struct bytes unit;
    double number;

    if (!take_number(text, &number, &unit) || number < 0)
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (!bytes_equal(bytes_of_text(units[i].name), unit))
            continue;
        if (number * units[i].factor > highest)
            return false;
        *value = (int64_t)llround(number * units[i].factor);
        return true;
    }
    return number == 0 && unit.size == 0;
}

bool rules_read_duration(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                         int64_t *ms)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 36e5}, {"d", 864e5}};
    struct bytes text;

    if (!rules_read_text(reader, node, what, &text))
        return false;
    *ms = 0;
    if (read_measure(units, COUNT_OF(units), text, 864e5, ms))
        return true;
    rules_report(reader, node, "%s is a duration of at most a day, such as 200ms, 1.5s or 2m", what);
    return false;
}

bool rules_read_size(struct rules_reader *reader, const yaml_node_t *node, const char *what, int64_t *bytes)
{
    static const struct unit units[] = {{"", 1},        {"k", 1 << 10},   {"K", 1 << 10}, {"KiB", 1 << 10},
                                        {"M", 1 << 20}, {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}};
    struct bytes text;

    if (!rules_read_text(reader, node, what, &text))
        return false;
    *bytes = 0;
    if (read_measure(units, COUNT_OF(units), text, 1e12, bytes))
        return true;
    rules_report(reader, node, "%s is a number of bytes, such as 500, 64k or 10M", what);
    return false;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

json_t *rules_scalar_json(const yaml_node_t *node)
{
    struct bytes text = scalar_text(node);

    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        int64_t integer;
        if (text.size == 0 || bytes_equal(text, BYTES("null")) || bytes_equal(text, BYTES("~")))
            return json_null();
        if (bytes_equal(text, BYTES("true")))
            return json_true();
        if (bytes_equal(text, BYTES("false")))
            return json_false();
        if (int64_parse(text, &integer))
            return json_integer(integer);
        /* A real is what JSON takes for one: 1.5, -2e3; not 01.5, .5 or .inf. */
        if (text.size < 40 && (text.data[0] == '-' || (text.data[0] >= '0' && text.data[0] <= '9'))) {
            json_t *value = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
            if (json_is_real(value))
                return value;
            json_decref(value);
        }
    }
    return json_stringn(text.data, text.size);
}

static json_t *read_json(struct rules_reader *reader, yaml_node_t *node, unsigned depth, unsigned *count);

static json_t *read_json_list(struct rules_reader *reader, yaml_node_t *node, unsigned depth,
                              unsigned *count)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < rules_item_count(node); i++) {
        json_t *item = read_json(reader, rules_item(reader, node, i), depth, count);
        if (item == NULL || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *read_json_object(struct rules_reader *reader, yaml_node_t *node, unsigned depth,
                                unsigned *count)
{
    json_t *object = json_object();

    for (size_t i = 0; object != NULL && i < rules_pair_count(node); i++) {
        struct bytes name;
        yaml_node_t *value;
        json_t *member = NULL;
        if (rules_pair(reader, node, i, &name, &value)) {
            if (memchr(name.data, '\0', name.size) != NULL || json_object_get(object, name.data) != NULL)
                rules_report(reader, value, "a name twice in one object, or with a byte of 0");
            else
                member = read_json(reader, value, depth, count);
        }
        if (member == NULL || json_object_set_new(object, name.data, member) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *read_json(struct rules_reader *reader, yaml_node_t *node, unsigned depth, unsigned *count)
{
    if (depth >= RULES_DEPTH_MAX || ++*count > RULES_VALUES_MAX) {
        rules_report(reader, node, "nested too deeply, or too large: at most %d levels and %d values",
                     RULES_DEPTH_MAX, RULES_VALUES_MAX);
        return NULL;
    }
    if (rules_is_list(node))
        return read_json_list(reader, node, depth + 1, count);
    if (rules_is_mapping(node))
        return read_json_object(reader, node, depth + 1, count);
    return rules_scalar_json(node);
}

json_t *rules_read_json(struct rules_reader *reader, yaml_node_t *node)
{
    unsigned count = 0, problems_before = reader->problem_count;
    json_t *value = read_json(reader, node, 0, &count);

    if (value == NULL && reader->problem_count == problems_before)
        reader->no_memory = true;
    return value;
}

bool rules_beside(struct rules_reader *reader, struct bytes name, struct buffer *full)
{
    const char *slash = strrchr(reader->path, '/');

    if (name.size > 0 && name.data[0] != '/' && slash != NULL)
        buffer_append(full, bytes_of(reader->path, (size_t)(slash + 1 - reader->path)));
    buffer_append(full, name);
    buffer_append_byte(full, '\0');
    buffer_append(&reader->files, buffer_bytes(full));
    reader->no_memory |= full->failed || reader->files.failed;
    return !full->failed;
}
