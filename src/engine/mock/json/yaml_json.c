#include "yaml_json.h"
#include "json_text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

/* What an anchor names: the part of the JSON text that its value has become. */
struct anchor {
    char *name;
    size_t start, size;
    bool is_open; /* its value has not ended: an alias to it would be in itself */
};

enum level_kind { LEVEL_ROOT, LEVEL_SEQUENCE, LEVEL_MAPPING };

struct level {
    enum level_kind kind;
    size_t count;  /* of values, or of keys and values */
    size_t anchor; /* of this value, by number and from 1; 0: none */
};

struct converter {
    yaml_parser_t parser;
    yaml_event_t event;
    struct buffer *json, *message;
    size_t line, line_start; /* where json is by now: its line, from 0, and where that begins */
    struct anchor *anchors;
    size_t anchor_count, alias_bytes;
    size_t depth; /* of the innermost level */
    struct level levels[YAML_DEPTH_MAX + 1];
    enum err err;
};

static void refuse_at(struct converter *converter, yaml_mark_t mark, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void refuse_at(struct converter *converter, yaml_mark_t mark, const char *format, ...)
{
    char sentence[256];
    va_list arguments;

    if (converter->err != OK)
        return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    converter->err = ERR_SYNTAX;
    buffer_append_format(converter->message, "line %zu, column %zu: ", mark.line + 1, mark.column + 1);
    for (const char *c = sentence; *c != '\0'; c++) /* it quotes the input: whatever that held */
        buffer_append_byte(converter->message, *c >= ' ' && *c <= '~' ? *c : '?');
}

#define REFUSE(converter, ...) refuse_at(converter, (converter)->event.start_mark, __VA_ARGS__)

static void refuse_broken(struct converter *converter, struct bytes yaml)
{
    const yaml_parser_t *parser = &converter->parser;
    yaml_mark_t mark = parser->problem_mark;

    if (parser->error == YAML_MEMORY_ERROR) {
        converter->err = ERR_NO_MEMORY;
        return;
    }
    if (parser->error == YAML_READER_ERROR) { /* it comes without a mark */
        mark = (yaml_mark_t){0};
        for (size_t i = 0; i < parser->problem_offset && i < yaml.size; i++) {
            mark.column++;
            if (yaml.data[i] == '\n')
                mark = (yaml_mark_t){.line = mark.line + 1};
        }
    }
    refuse_at(converter, mark, "not YAML: %s%s%s", parser->problem != NULL ? parser->problem : "unreadable",
              parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

/* ---- places ------------------------------------------------------------------------------------ */

/* Goes on to the event's line, and its column if that has not passed. */
static void move_to_event(struct converter *converter)
{
    yaml_mark_t mark = converter->event.start_mark;
    struct buffer *json = converter->json;

    for (; converter->line < mark.line; converter->line++) {
        buffer_append_byte(json, '\n');
        converter->line_start = json->size;
    }
    while (converter->line == mark.line && json->size - converter->line_start < mark.column &&
           !json->failed)
        buffer_append_byte(json, ' ');
}

/* What has to stand before a value: a comma, a colon. False if no value may stand here. */
static bool begin_value(struct converter *converter)
{
    struct level *level = &converter->levels[converter->depth];

    if (level->count > 0 && level->kind == LEVEL_ROOT) {
        REFUSE(converter, "a second document; a file has one");
        return false;
    }
    if (level->kind == LEVEL_MAPPING && level->count % 2 == 1)
        buffer_append_byte(converter->json, ':');
    else if (level->count > 0)
        buffer_append_byte(converter->json, ',');
    level->count++;
    move_to_event(converter);
    return true;
}

static bool is_key(const struct converter *converter)
{
    const struct level *level = &converter->levels[converter->depth];
    return level->kind == LEVEL_MAPPING && level->count % 2 == 1; /* begin_value has counted it */
}

/* ---- anchors ----------------------------------------------------------------------------------- */

static struct anchor *find_anchor(struct converter *converter, const yaml_char_t *name)
{
    for (size_t i = 0; i < converter->anchor_count; i++)
        if (strcmp(converter->anchors[i].name, (const char *)name) == 0)
            return &converter->anchors[i];
    return NULL;
}

/* Notes that the value called `name`, if it has a name, begins here; returns its number from 1, or 0. */
static size_t open_anchor(struct converter *converter, const yaml_char_t *name)
{
    struct anchor *anchor = name != NULL ? find_anchor(converter, name) : NULL;

    if (name == NULL)
        return 0;
    if (anchor == NULL) {
        if (converter->anchor_count == YAML_ANCHORS_MAX) {
            REFUSE(converter, "more than %d anchors", YAML_ANCHORS_MAX);
            return 0;
        }
        anchor = &converter->anchors[converter->anchor_count];
        anchor->name = strdup((const char *)name);
        if (anchor->name == NULL) {
            converter->err = ERR_NO_MEMORY;
            return 0;
        }
        converter->anchor_count++;
    } else if (anchor->is_open) {
        REFUSE(converter, "anchor &%s is inside a value of that name; name one of the two otherwise",
               anchor->name);
        return 0;
    }
    anchor->start = converter->json->size;
    anchor->is_open = true;
    return (size_t)(anchor - converter->anchors) + 1;
}

static void close_anchor(struct converter *converter, size_t number)
{
    struct anchor *anchor = number > 0 ? &converter->anchors[number - 1] : NULL;

    if (anchor == NULL)
        return;
    anchor->size = converter->json->size - anchor->start;
    anchor->is_open = false;
}

/* Appends a part of the JSON text again, without the space between its values. */
static void append_again(struct converter *converter, const struct anchor *anchor)
{
    struct buffer *json = converter->json;
    size_t start = json->size;
    bool in_text = false;

    if (buffer_reserve(json, anchor->size) == NULL)
        return;
    for (size_t i = anchor->start; i < anchor->start + anchor->size; i++) {
        char c = json->data[i];
        if (!in_text && (c == ' ' || c == '\n'))
            continue;
        buffer_append_byte(json, c);
        if (c == '"')
            in_text = !in_text;
        else if (c == '\\') /* only inside of texts, and something follows */
            buffer_append_byte(json, json->data[++i]);
    }
    converter->alias_bytes += json->size - start;
}

static void take_alias(struct converter *converter)
{
    const yaml_char_t *name = converter->event.data.alias.anchor;
    const struct anchor *anchor = find_anchor(converter, name);

    if (!begin_value(converter))
        return;
    if (anchor == NULL)
        REFUSE(converter, "alias *%s: no anchor of that name comes before it", (const char *)name);
    else if (anchor->is_open)
        REFUSE(converter, "alias *%s stands inside of what it stands for", anchor->name);
    else if (is_key(converter) && converter->json->data[anchor->start] != '"')
        REFUSE(converter, "alias *%s: a key must be a text", anchor->name);
    else if (anchor->size > YAML_ALIAS_BYTES_MAX - converter->alias_bytes)
        REFUSE(converter, "aliases stand for more than %d bytes in all", YAML_ALIAS_BYTES_MAX);
    else
        append_again(converter, anchor);
}

/* ---- scalars (YAML 1.2 §10.3.2) ---------------------------------------------------------------- */

static bool is_one_of(struct bytes text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (bytes_equal(text, bytes_of_text(*words)))
            return true;
    return false;
}

static size_t count_digits(struct bytes text, size_t from)
{
    size_t i = from;

    while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9')
        i++;
    return i - from;
}

/* 0x1F and 0o17. False if `text` is neither, or beyond 64 bits. */
static bool append_in_base(struct buffer *json, struct bytes text)
{
    char digits[24];
    int base;
    char *end;

    if (bytes_start_with(text, BYTES("0x")))
        base = 16;
    else if (bytes_start_with(text, BYTES("0o")))
        base = 8;
    else
        return false;
    if (text.size < 3 || text.size - 2 >= sizeof digits || strchr("+- ", text.data[2]) != NULL)
        return false;
    memcpy(digits, text.data + 2, text.size - 2);
    digits[text.size - 2] = '\0';
    if (strncmp(digits, "0x", 2) == 0 || strncmp(digits, "0X", 2) == 0) /* which strtoull would skip */
        return false;
    if (text.size - 2 > (base == 16 ? 15U : 20U))
        return false;
    unsigned long long value = strtoull(digits, &end, base);
    if (*end != '\0')
        return false;
    buffer_append_uint64(json, value);
    return true;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? — as JSON writes it. */
static bool append_number(struct buffer *json, struct bytes text)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    struct bytes number = bytes_after(text, text.size > 0 && strchr("+-", text.data[0]) != NULL ? 1 : 0);
    size_t whole = count_digits(number, 0), at = whole, part = 0, zeros = 0;
    struct bytes exponent = {0};

    if (at < number.size && number.data[at] == '.') {
        part = count_digits(number, at + 1);
        if (whole + part == 0)
            return false;
        at += 1 + part;
        part = part == 0 ? 1 : part; /* "1." */
    } else if (whole == 0) {
        return false;
    }
    if (at < number.size) {
        size_t sign;
        exponent = bytes_after(number, at);
        if (exponent.data[0] != 'e' && exponent.data[0] != 'E')
            return false;
        sign = exponent.size > 1 && strchr("+-", exponent.data[1]) != NULL ? 1 : 0;
        if (1 + sign == exponent.size || 1 + sign + count_digits(exponent, 1 + sign) != exponent.size)
            return false;
    }
    while (zeros + 1 < whole && number.data[zeros] == '0')
        zeros++;
    if (is_negative)
        buffer_append_byte(json, '-');
    if (whole == 0)
        buffer_append_byte(json, '0');
    buffer_append(json, bytes_of(number.data + zeros, whole - zeros));
    if (part > 0) {
        size_t given = at - whole - 1;
        buffer_append_byte(json, '.');
        buffer_append(json, given > 0 ? bytes_of(number.data + whole + 1, given) : BYTES("0"));
    }
    buffer_append(json, exponent);
    return true;
}

/* What a plain scalar means, if it is no text. */
static bool append_plain(struct converter *converter, struct bytes text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const no_numbers[] = {".inf",  ".Inf",  ".INF", "-.inf", "-.Inf", "-.INF", "+.inf",
                                             "+.Inf", "+.INF", ".nan", ".NaN",  ".NAN",  NULL};
    struct buffer *json = converter->json;

    if (is_one_of(text, nulls))
        buffer_append_literal(json, "null");
    else if (is_one_of(text, trues))
        buffer_append_literal(json, "true");
    else if (is_one_of(text, falses))
        buffer_append_literal(json, "false");
    else if (is_one_of(text, no_numbers))
        REFUSE(converter, "JSON has no number for %.*s; put it in quotes to have a text",
               BYTES_PRINTF(text));
    else
        return append_in_base(json, text) || append_number(json, text);
    return true;
}

/* Whether a value may have this tag: one of the core schema's, and that it fits is seen elsewhere. */
static bool check_tag(struct converter *converter, const yaml_char_t *tag, const char *const *allowed)
{
    if (tag == NULL || is_one_of(bytes_of_text((const char *)tag), allowed))
        return true;
    REFUSE(converter, "tag %.60s means nothing in JSON; write the plain value", (const char *)tag);
    return false;
}

static void take_scalar(struct converter *converter)
{
    static const char *const tags[] = {"!",          YAML_STR_TAG,   YAML_NULL_TAG, YAML_BOOL_TAG,
                                       YAML_INT_TAG, YAML_FLOAT_TAG, NULL};
    struct bytes text = bytes_of(converter->event.data.scalar.value, converter->event.data.scalar.length);
    const char *tag = (const char *)converter->event.data.scalar.tag;
    bool is_plain = tag != NULL ? strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) != 0
                                : converter->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    size_t anchor;

    if (!check_tag(converter, converter->event.data.scalar.tag, tags) || !begin_value(converter))
        return;
    anchor = open_anchor(converter, converter->event.data.scalar.anchor);
    if (is_key(converter)) {
        if (is_plain && bytes_equal(text, BYTES("<<")))
            REFUSE(converter, "merge keys (<<) are not taken; write the members out");
        json_text_append_string(converter->json, text);
    } else if (!is_plain || !append_plain(converter, text)) {
        if (is_plain && tag != NULL)
            REFUSE(converter, "%.*s is not what its tag says", text.size < 60 ? (int)text.size : 60,
                   text.data);
        json_text_append_string(converter->json, text);
    }
    close_anchor(converter, anchor);
}

/* ---- sequences and mappings -------------------------------------------------------------------- */

static void take_start(struct converter *converter, enum level_kind kind, const yaml_char_t *name,
                       const yaml_char_t *tag)
{
    static const char *const tags[] = {YAML_SEQ_TAG, YAML_MAP_TAG, "!", NULL};
    size_t anchor;

    if (!check_tag(converter, tag, tags) || !begin_value(converter))
        return;
    if (is_key(converter)) {
        REFUSE(converter, "a key must be a text");
        return;
    }
    if (converter->depth == YAML_DEPTH_MAX) {
        REFUSE(converter, "deeper than %d sequences and mappings", YAML_DEPTH_MAX);
        return;
    }
    anchor = open_anchor(converter, name);
    buffer_append_byte(converter->json, kind == LEVEL_MAPPING ? '{' : '[');
    converter->levels[++converter->depth] = (struct level){.kind = kind, .anchor = anchor};
}

static void take_end(struct converter *converter)
{
    const struct level *level = &converter->levels[converter->depth--];

    buffer_append_byte(converter->json, level->kind == LEVEL_MAPPING ? '}' : ']');
    close_anchor(converter, level->anchor);
}

/* Takes one event up. True at the end of the file. */
static bool take_event(struct converter *converter)
{
    const yaml_event_t *event = &converter->event;

    switch (event->type) {
    case YAML_STREAM_END_EVENT: return true;
    case YAML_ALIAS_EVENT: take_alias(converter); return false;
    case YAML_SCALAR_EVENT: take_scalar(converter); return false;
    case YAML_SEQUENCE_START_EVENT:
        take_start(converter, LEVEL_SEQUENCE, event->data.sequence_start.anchor,
                   event->data.sequence_start.tag);
        return false;
    case YAML_MAPPING_START_EVENT:
        take_start(converter, LEVEL_MAPPING, event->data.mapping_start.anchor,
                   event->data.mapping_start.tag);
        return false;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: take_end(converter); return false;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return false;
    }
    UNREACHABLE();
}

static void convert(struct converter *converter, struct bytes yaml)
{
    bool is_over = false;

    while (converter->err == OK && !is_over) {
        if (!yaml_parser_parse(&converter->parser, &converter->event)) {
            refuse_broken(converter, yaml);
            return;
        }
        is_over = take_event(converter);
        yaml_event_delete(&converter->event);
        if (converter->json->failed || converter->message->failed)
            converter->err = ERR_NO_MEMORY;
    }
    if (converter->err == OK && converter->levels[0].count == 0)
        refuse_at(converter, (yaml_mark_t){0}, "the file is empty");
}

enum err yaml_json_convert(struct bytes yaml, struct buffer *json, struct buffer *message)
{
    struct converter *converter = calloc(1, sizeof *converter);
    enum err err;

    if (converter == NULL)
        return ERR_NO_MEMORY;
    converter->json = json;
    converter->message = message;
    converter->line_start = json->size;
    converter->anchors = calloc(YAML_ANCHORS_MAX, sizeof *converter->anchors);
    if (converter->anchors == NULL || !yaml_parser_initialize(&converter->parser)) {
        free(converter->anchors);
        free(converter);
        return ERR_NO_MEMORY;
    }
    yaml_parser_set_input_string(&converter->parser,
                                 (const unsigned char *)(yaml.size > 0 ? yaml.data : ""), yaml.size);
    convert(converter, yaml);
    yaml_parser_delete(&converter->parser);
    err = message->failed ? ERR_NO_MEMORY : converter->err;
    for (size_t i = 0; i < converter->anchor_count; i++)
        free(converter->anchors[i].name);
    free(converter->anchors);
    free(converter);
    return err;
}

bool yaml_json_is_named(struct bytes path)
{
    static const char *const endings[] = {".yaml", ".yml"};

    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct bytes ending = bytes_of_text(endings[i]);
        if (path.size > ending.size && bytes_end_with_nocase(path, ending))
            return true;
    }
    return false;
}
