#include "rule_answer.h"
#include "engine/mock/json/json_text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS_MAX = 50, FILE_BYTES_MAX = 16 << 20 };

enum { KEY_STATUS, KEY_HEADERS, KEY_JSON, KEY_TEXT, KEY_FILE, KEY_TEMPLATE };

bool rule_template_add(struct rules_reader *reader, const yaml_node_t *node,
                       const struct template_scope *scope, struct bytes text, enum template_place place,
                       struct template *template)
{
    struct buffer why = {0};
    bool is_good = template_add(template, scope, text, place, &why);

    if (template->no_memory || why.failed)
        reader->no_memory = true;
    else if (!is_good)
        rules_report(reader, node, "%.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return is_good;
}

/* ---- header fields ------------------------------------------------------------------------------- */

static bool read_field(struct rules_reader *reader, struct bytes name, yaml_node_t *node,
                       const struct template_scope *scope, bool is_template, struct rule_field *field)
{
    enum http_header header = http_header_find(name);
    struct bytes text;

    field->name = name;
    if (!http_is_token(name)) {
        rules_report(reader, node, "headers: a name has letters, digits and '-'");
        return false;
    }
    if (header == HTTP_HEADER_CONTENT_LENGTH ||
        (header != HTTP_HEADER_OTHER && http_header_kind(header) == HTTP_HEADER_HOP_BY_HOP)) {
        rules_report(reader, node, "headers: %.*s belongs to the connection, which makes its own",
                     BYTES_PRINTF(name));
        return false;
    }
    if (!rules_read_text(reader, node, "a header field", &text))
        return false;
    if (!http_is_field_value(text)) {
        rules_report(reader, node, "headers: a value has no line ends or other control bytes");
        return false;
    }
    if (is_template)
        return rule_template_add(reader, node, scope, text, TEMPLATE_FIELD, &field->value);
    template_add_literal(&field->value, text);
    return true;
}

static bool read_fields(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                        bool is_template, struct rule_answer *answer)
{
    size_t pair_count, count = 0;
    bool is_good = true;

    if (!rules_is_mapping(node)) {
        rules_report(reader, node, "headers is a mapping from names to values; a value may be a list");
        return false;
    }
    pair_count = rules_pair_count(node);
    for (size_t i = 0; i < pair_count; i++) {
        struct bytes name;
        yaml_node_t *value;
        if (rules_pair(reader, node, i, &name, &value))
            count += rules_item_count(value);
    }
    if (count > FIELDS_MAX) {
        rules_report(reader, node, "headers: at most %d", FIELDS_MAX);
        return false;
    }
    answer->fields = calloc(count + 1, sizeof *answer->fields);
    if (answer->fields == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < pair_count; i++) {
        struct bytes name;
        yaml_node_t *value;
        if (!rules_pair(reader, node, i, &name, &value)) {
            is_good = false;
            continue;
        }
        for (size_t j = 0; j < rules_item_count(value); j++)
            is_good &= read_field(reader, name, rules_item(reader, value, j), scope, is_template,
                                  &answer->fields[answer->field_count++]);
    }
    return is_good;
}

bool rule_answer_has_field(const struct rule_answer *answer, struct bytes name)
{
    for (size_t i = 0; i < answer->field_count; i++)
        if (bytes_equal_nocase(answer->fields[i].name, name))
            return true;
    return false;
}

/* ---- bodies -------------------------------------------------------------------------------------- */

static bool add_json(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                     bool is_template, unsigned depth, struct template *template);

static bool add_json_scalar(struct rules_reader *reader, yaml_node_t *node,
                            const struct template_scope *scope, bool is_template, struct template *template)
{
    json_t *value = rules_scalar_json(node);
    struct bytes text = bytes_of(node->data.scalar.value, node->data.scalar.length);
    struct buffer rendered = {0};
    bool is_good = true;

    if (value == NULL) {
        rules_report(reader, node, "json: text must be UTF-8");
        return false;
    }
    if (!json_is_string(value) || !is_template) {
        json_text_append(&rendered, value);
        template_add_literal(template, buffer_bytes(&rendered));
        reader->no_memory |= rendered.failed;
    } else if (template_is_alone(text)) {
        is_good = rule_template_add(reader, node, scope, text, TEMPLATE_JSON_VALUE, template);
    } else {
        template_add_literal(template, BYTES("\""));
        is_good = rule_template_add(reader, node, scope, text, TEMPLATE_JSON_STRING, template);
        template_add_literal(template, BYTES("\""));
    }
    json_decref(value);
    buffer_fini(&rendered);
    return is_good;
}

static bool add_json_name(struct rules_reader *reader, const yaml_node_t *node, struct bytes name,
                          struct template *template)
{
    struct buffer text = {0};

    if (memchr(name.data, '\0', name.size) != NULL) {
        rules_report(reader, node, "json: a name with a byte of 0");
        return false;
    }
    buffer_append_byte(&text, '"');
    template_append_json_text(&text, name);
    buffer_append_literal(&text, "\":");
    template_add_literal(template, buffer_bytes(&text));
    reader->no_memory |= text.failed;
    buffer_fini(&text);
    return true;
}

static bool has_name_before(struct rules_reader *reader, yaml_node_t *node, size_t index, struct bytes name)
{
    for (size_t i = 0; i < index; i++) {
        struct bytes other;
        yaml_node_t *value;
        if (rules_pair(reader, node, i, &other, &value) && bytes_equal(name, other))
            return true;
    }
    return false;
}

static bool add_json(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                     bool is_template, unsigned depth, struct template *template)
{
    bool is_good = true;

    if (depth > RULES_DEPTH_MAX || template->text.size > TEMPLATE_OUTPUT_BYTES_MAX) {
        rules_report(reader, node, "json: nested too deeply, or too large");
        return false;
    }
    if (rules_is_scalar(node))
        return add_json_scalar(reader, node, scope, is_template, template);
    template_add_literal(template, rules_is_list(node) ? BYTES("[") : BYTES("{"));
    for (size_t i = 0; is_good && rules_is_list(node) && i < rules_item_count(node); i++) {
        if (i > 0)
            template_add_literal(template, BYTES(","));
        is_good = add_json(reader, rules_item(reader, node, i), scope, is_template, depth + 1, template);
    }
    for (size_t i = 0; is_good && rules_is_mapping(node) && i < rules_pair_count(node); i++) {
        struct bytes name;
        yaml_node_t *value;
        if (!rules_pair(reader, node, i, &name, &value))
            return false;
        if (rules_pair_count(node) <= 1000 && has_name_before(reader, node, i, name)) {
            rules_report(reader, value, "json: a name twice in one object");
            return false;
        }
        if (i > 0)
            template_add_literal(template, BYTES(","));
        is_good = add_json_name(reader, value, name, template) &&
                  add_json(reader, value, scope, is_template, depth + 1, template);
    }
    template_add_literal(template, rules_is_list(node) ? BYTES("]") : BYTES("}"));
    return is_good;
}

bool rule_template_add_json(struct rules_reader *reader, yaml_node_t *node,
                            const struct template_scope *scope, struct template *template)
{
    return add_json(reader, node, scope, true, 0, template);
}

static bool read_file(struct rules_reader *reader, const yaml_node_t *node, struct buffer *contents)
{
    struct buffer path = {0};
    struct bytes name;
    FILE *file;
    int error = 0;

    if (!rules_read_text(reader, node, "file", &name) || !rules_beside(reader, name, &path)) {
        buffer_fini(&path);
        return false;
    }
    file = fopen(path.data, "re");
    if (file == NULL)
        error = errno;
    while (file != NULL && error == 0 && !feof(file) && contents->size <= FILE_BYTES_MAX) {
        enum { PIECE_BYTES = 65536 };
        char *end = buffer_reserve(contents, PIECE_BYTES);
        if (end == NULL)
            error = ENOMEM;
        else
            buffer_commit(contents, fread(end, 1, PIECE_BYTES, file));
        if (ferror(file))
            error = errno;
    }
    if (file != NULL)
        fclose(file);
    if (error != 0)
        rules_report(reader, node, "file: cannot read %s: %s", path.data, strerror(error));
    else if (contents->size > FILE_BYTES_MAX)
        rules_report(reader, node, "file: %s is larger than a body can be here (16 MiB)", path.data);
    buffer_fini(&path);
    return error == 0 && contents->size <= FILE_BYTES_MAX;
}

/* The media type of a file, by the end of its name. */
static struct bytes type_of_name(struct bytes name)
{
    static const struct {
        struct bytes end, type;
    } types[] = {{BYTES_INIT(".json"), BYTES_INIT("application/json")},
                 {BYTES_INIT(".xml"), BYTES_INIT("application/xml")},
                 {BYTES_INIT(".html"), BYTES_INIT("text/html; charset=utf-8")},
                 {BYTES_INIT(".txt"), BYTES_INIT("text/plain; charset=utf-8")},
                 {BYTES_INIT(".csv"), BYTES_INIT("text/csv; charset=utf-8")}};

    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (name.size > types[i].end.size && bytes_end_with_nocase(name, types[i].end))
            return types[i].type;
    return BYTES("application/octet-stream");
}

/* Whether the body is JSON, so that what templates put in must be escaped. */
static bool is_json(const struct rule_answer *answer)
{
    struct bytes type = answer->type;
    size_t size = 0;

    for (size_t i = 0; i < answer->field_count; i++)
        if (bytes_equal_nocase(answer->fields[i].name, BYTES("Content-Type")))
            type = buffer_bytes(&answer->fields[i].value.text);
    while (size < type.size && type.data[size] != ';' && type.data[size] != ' ')
        size++;
    type.size = size;
    return bytes_equal_nocase(type, BYTES("application/json")) ||
           (size > 5 && bytes_equal_nocase(bytes_after(type, size - 5), BYTES("+json")));
}

static bool read_body(struct rules_reader *reader, struct rules_key *keys,
                      const struct template_scope *scope, struct rule_answer *answer)
{
    yaml_node_t *json = keys[KEY_JSON].value, *text = keys[KEY_TEXT].value, *file = keys[KEY_FILE].value;
    bool is_template = file == NULL;
    struct bytes body = {0};

    if ((json != NULL) + (text != NULL) + (file != NULL) > 1) {
        rules_report(reader, file != NULL ? file : text, "one of json, text and file, not two");
        return false;
    }
    if (keys[KEY_TEMPLATE].value != NULL &&
        !rules_read_answer(reader, keys[KEY_TEMPLATE].value, "template", &is_template))
        return false;
    if (keys[KEY_HEADERS].value != NULL &&
        !read_fields(reader, keys[KEY_HEADERS].value, scope,
                     is_template || keys[KEY_TEMPLATE].value == NULL, answer))
        return false;
    if (json != NULL) {
        answer->type = BYTES("application/json");
        return add_json(reader, json, scope, is_template, 0, &answer->body);
    }
    if (text != NULL) {
        answer->type = BYTES("text/plain; charset=utf-8");
        if (!rules_read_text(reader, text, "text", &body))
            return false;
    } else if (file != NULL) {
        if (!read_file(reader, file, &answer->file))
            return false;
        body = buffer_bytes(&answer->file);
        answer->type = type_of_name(bytes_of(file->data.scalar.value, file->data.scalar.length));
    }
    if (is_template)
        return rule_template_add(reader, file != NULL ? file : text, scope, body,
                                 is_json(answer) ? TEMPLATE_JSON_TEXT : TEMPLATE_TEXT, &answer->body);
    template_add_literal(&answer->body, body);
    return true;
}

bool rule_answer_read(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      struct rule_answer *answer)
{
    struct rules_key keys[] = {RULE_ANSWER_KEY_NAMES};
    int64_t status = 200;
    bool is_good;

    *answer = (struct rule_answer){0};
    if (!rules_read_keys(reader, node, "an answer", keys, COUNT_OF(keys)))
        return false;
    is_good = keys[KEY_STATUS].value == NULL ||
              rules_read_integer(reader, keys[KEY_STATUS].value, "status", 200, 599, &status);
    answer->status = (int)status;
    is_good = read_body(reader, keys, scope, answer) && is_good;
    if ((status == 204 || status == 304) && answer->body.count > 0) {
        rules_report(reader, node, "an answer with status %lld has no body", (long long)status);
        is_good = false;
    }
    if (rule_answer_has_field(answer, BYTES("Content-Type")))
        answer->type = (struct bytes){0};
    return is_good;
}

void rule_answer_fini(struct rule_answer *answer)
{
    for (size_t i = 0; i < answer->field_count; i++)
        template_fini(&answer->fields[i].value);
    free(answer->fields);
    template_fini(&answer->body);
    buffer_fini(&answer->file);
}

/* `Content-Type: ""`: the body is to have no type, rather than the one that its kind has. */
static bool is_no_type(const struct rule_field *field)
{
    return field->value.text.size == 0 && field->value.count == 0 &&
           bytes_equal_nocase(field->name, BYTES("Content-Type"));
}

bool rule_answer_render(const struct rule_answer *answer, const struct template_facts *facts,
                        struct buffer *lines, struct buffer *body)
{
    for (size_t i = 0; i < answer->field_count; i++) {
        if (is_no_type(&answer->fields[i]))
            continue;
        buffer_append(lines, answer->fields[i].name);
        buffer_append_literal(lines, ": ");
        if (!template_render(&answer->fields[i].value, facts, lines))
            return false;
        while (lines->data[lines->size - 1] == ' ' || lines->data[lines->size - 1] == '\t')
            lines->size--; /* no white space at a value's end */
        buffer_append_literal(lines, "\r\n");
    }
    if (answer->type.size > 0) {
        buffer_append_literal(lines, "Content-Type: ");
        buffer_append(lines, answer->type);
        buffer_append_literal(lines, "\r\n");
    }
    return template_render(&answer->body, facts, body) && !lines->failed && lines->size <= 65536;
}
