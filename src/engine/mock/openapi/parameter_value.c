#include "parameter_value.h"
#include "engine/mock/json/json_text.h"
#include "query.h"
#include <math.h>
#include <stdlib.h>

enum { SEARCH_DEPTH_MAX = 12, PARTS_MAX = 1000, TEXT_BYTES_MAX = 16 << 10 };

/* ---- what a schema means ----------------------------------------------------------------------- */

static unsigned kinds_of(const struct schema *schema, int depth)
{
    unsigned kinds, any = 0;

    if (schema == NULL || depth > SEARCH_DEPTH_MAX)
        return KIND_ANY;
    kinds = schema->kinds;
    if (schema->reference != NULL)
        kinds &= kinds_of(schema->reference, depth + 1);
    for (size_t i = 0; i < schema->all_of.count; i++)
        kinds &= kinds_of(schema->all_of.list[i], depth + 1);
    for (size_t i = 0; i < schema->any_of.count; i++)
        any |= kinds_of(schema->any_of.list[i], depth + 1);
    for (size_t i = 0; i < schema->one_of.count; i++)
        any |= kinds_of(schema->one_of.list[i], depth + 1);
    return any != 0 ? kinds & any : kinds;
}

unsigned schema_kinds(const struct schema *schema) { return kinds_of(schema, 0); }

/* The schema of the member `name`, or of items if that is null, wherever `schema` says of it; null:
 * anything. */
static const struct schema *find_below(const struct schema *schema, const char *name, int depth)
{
    const struct schema_list *lists[3];
    const struct schema *found;

    if (schema == NULL || depth > SEARCH_DEPTH_MAX)
        return NULL;
    found = name != NULL ? schema_property(schema, name) : schema->items;
    if (found == NULL && schema->reference != NULL)
        found = find_below(schema->reference, name, depth + 1);
    lists[0] = &schema->all_of;
    lists[1] = &schema->any_of;
    lists[2] = &schema->one_of;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (size_t j = 0; found == NULL && j < lists[i]->count; j++)
            found = find_below(lists[i]->list[j], name, depth + 1);
    return found == NULL && name != NULL ? schema->additional_properties : found;
}

const struct schema *schema_below(const struct schema *schema, const char *name)
{
    return find_below(schema, name, 0);
}

/* A JSON number, or null. */
static json_t *number_of_text(struct bytes text)
{
    char terminated[64];
    json_t *value;

    if (text.size == 0 || text.size >= sizeof terminated || strchr("-0123456789", text.data[0]) == NULL ||
        text.data[0] == '\0')
        return NULL;
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    value = json_loads(terminated, JSON_DECODE_ANY, NULL);
    if (value != NULL && json_is_number(value))
        return value;
    json_decref(value);
    return NULL;
}

json_t *value_of_text(const struct schema *schema, struct bytes text)
{
    unsigned kinds = schema_kinds(schema);
    json_t *number = kinds != KIND_ANY && (kinds & KIND_NUMBER) ? number_of_text(text) : NULL;

    if (number != NULL)
        return number;
    if (kinds != KIND_ANY && (kinds & KIND_BOOLEAN)) {
        if (bytes_equal(text, BYTES("true")))
            return json_true();
        if (bytes_equal(text, BYTES("false")))
            return json_false();
    }
    if (kinds != KIND_ANY && (kinds & KIND_NULL) && !(kinds & KIND_STRING) &&
        (text.size == 0 || bytes_equal(text, BYTES("null"))))
        return json_null();
    return json_stringn(text.size > 0 ? text.data : "", text.size);
}

/* ---- parts ------------------------------------------------------------------------------------- */

/* How the text of a value is made up. */
struct layout {
    const char *separator;
    bool is_encoded; /* percent-encoded, as in a query */
};

/* Takes what is before the next separator off the front of `text`; false at the end. */
static bool take_part(struct bytes *text, const char *separator, struct bytes *part)
{
    size_t size = strlen(separator);
    const char *found;

    if (text->data == NULL)
        return false;
    found = text->size > 0 ? memmem(text->data, text->size, separator, size) : NULL;
    *part = found != NULL ? bytes_first(*text, (size_t)(found - text->data)) : *text;
    *text = found != NULL ? bytes_after(*text, part->size + size) : (struct bytes){0};
    return true;
}

static json_t *part_value(const struct schema *schema, struct bytes part, const struct layout *layout)
{
    char decoded[TEXT_BYTES_MAX];

    if (layout->is_encoded && !query_decode(part, decoded, sizeof decoded, &part))
        return NULL;
    return value_of_text(schema, part);
}

/* Puts the member whose name is `name` into the object; false if it cannot be. */
static bool put_part(json_t *object, const struct schema *schema, struct bytes name, struct bytes part,
                     const struct layout *layout)
{
    char decoded[256], terminated[257];
    json_t *value;

    if (layout->is_encoded && !query_decode(name, decoded, sizeof decoded, &name))
        return false;
    if (name.size >= sizeof terminated || (name.size > 0 && memchr(name.data, '\0', name.size) != NULL))
        return false;
    memcpy(terminated, name.size > 0 ? name.data : "", name.size);
    terminated[name.size] = '\0';
    value = part_value(find_below(schema, terminated, 0), part, layout);
    return value != NULL && json_object_set_new(object, terminated, value) == 0;
}

static bool split_array(const struct schema *schema, struct bytes text, const struct layout *layout,
                        json_t *array)
{
    const struct schema *items = find_below(schema, NULL, 0);
    struct bytes part;

    while (take_part(&text, layout->separator, &part)) {
        json_t *value = json_array_size(array) < PARTS_MAX ? part_value(items, part, layout) : NULL;
        if (value == NULL || json_array_append_new(array, value) != 0)
            return false;
    }
    return true;
}

/* "a,1,b,2", or exploded "a=1,b=2". */
static bool split_object(const struct schema *schema, struct bytes text, const struct layout *layout,
                         bool explodes, json_t *object)
{
    struct bytes name, value;

    while (text.size > 0 && take_part(&text, layout->separator, &name)) {
        if (json_object_size(object) >= PARTS_MAX)
            return false;
        if (explodes) {
            struct bytes pair = name;
            take_part(&pair, "=", &name);
            value = pair.data != NULL ? pair : bytes_of("", 0);
        } else if (!take_part(&text, layout->separator, &value)) {
            return false;
        }
        if (!put_part(object, schema, name, value, layout))
            return false;
    }
    return true;
}

/* A value written in one piece of text. */
static json_t *whole_value(const struct parameter *parameter, struct bytes text,
                           const struct layout *layout)
{
    unsigned kinds = schema_kinds(parameter->schema);
    json_t *value;
    bool is_good;

    if (kinds == KIND_ANY || !(kinds & (KIND_ARRAY | KIND_OBJECT)))
        return part_value(parameter->schema, text, layout);
    value = kinds & KIND_ARRAY ? json_array() : json_object();
    if (value == NULL)
        return NULL;
    if (kinds & KIND_ARRAY)
        is_good = split_array(parameter->schema, text, layout, value);
    else
        is_good = split_object(parameter->schema, text, layout, parameter->explodes, value);
    if (is_good)
        return value;
    json_decref(value);
    return NULL;
}

/* ---- in paths, fields and cookies -------------------------------------------------------------- */

static const char separator_comma[] = ",";

/* Label and matrix: takes what comes first off `text`, and says what separates the parts. */
static bool unwrap(const struct parameter *parameter, struct bytes *text, struct layout *layout)
{
    size_t name_size = strlen(parameter->name);
    bool is_exploded_object = parameter->explodes && (schema_kinds(parameter->schema) & KIND_OBJECT) &&
                              schema_kinds(parameter->schema) != KIND_ANY;

    if (parameter->style == STYLE_LABEL) {
        if (text->size == 0 || text->data[0] != '.')
            return false;
        *text = bytes_after(*text, 1);
        if (parameter->explodes)
            layout->separator = ".";
    } else if (parameter->style == STYLE_MATRIX) {
        if (text->size == 0 || text->data[0] != ';')
            return false;
        *text = bytes_after(*text, 1);
        if (parameter->explodes)
            layout->separator = ";";
        if (is_exploded_object)
            return true;
        if (text->size < name_size || memcmp(text->data, parameter->name, name_size) != 0)
            return false;
        *text = bytes_after(*text, name_size);
        if (text->size > 0 && text->data[0] == '=')
            *text = bytes_after(*text, 1);
    }
    return true;
}

bool cookie_find(const struct http_fields *fields, struct bytes name, struct bytes *value)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, pair;
        if (!bytes_equal_nocase(fields->list[i].name, BYTES("Cookie")))
            continue;
        while (take_part(&list, ";", &pair)) {
            struct bytes found;
            pair = bytes_trim(pair);
            take_part(&pair, "=", &found);
            if (bytes_equal(found, name) && pair.data != NULL) {
                *value = pair;
                return true;
            }
        }
    }
    return false;
}

static bool find_text(const struct parameter *parameter, const struct http_request *request,
                      const struct path_values *path_values, struct bytes *text)
{
    struct bytes name = bytes_of_text(parameter->name);
    const struct http_field *field;

    switch (parameter->place) {
    case IN_PATH:
        for (size_t i = 0; i < path_values->count; i++)
            if (strcmp(path_values->names[i], parameter->name) == 0) {
                *text = path_values->values[i];
                return true;
            }
        return false;
    case IN_HEADER:
        field = http_fields_find_name(&request->fields, name);
        if (field != NULL)
            *text = field->value.data != NULL ? field->value : bytes_of("", 0);
        return field != NULL;
    case IN_COOKIE: return cookie_find(&request->fields, name, text);
    case IN_QUERY: return false;
    }
    UNREACHABLE();
}

/* ---- in queries -------------------------------------------------------------------------------- */

static bool name_is(struct bytes encoded, struct bytes name)
{
    char decoded[256];
    struct bytes text;

    return query_decode(encoded, decoded, sizeof decoded, &text) && bytes_equal(text, name);
}

/* What is between brackets in "name[member]"; false if it is another name. */
static bool member_of(struct bytes encoded, struct bytes name, char decoded[static 256],
                      struct bytes *member)
{
    struct bytes text;

    if (!query_decode(encoded, decoded, 256, &text) || text.size < name.size + 3 ||
        !bytes_start_with(text, name) || text.data[name.size] != '[' || text.data[text.size - 1] != ']')
        return false;
    *member = bytes_of(text.data + name.size + 1, text.size - name.size - 2);
    return true;
}

static bool add_item(json_t **array, const struct schema *schema, struct bytes encoded)
{
    const struct layout layout = {separator_comma, true};
    json_t *value;

    if (*array == NULL)
        *array = json_array();
    value = part_value(find_below(schema, NULL, 0), encoded, &layout);
    return *array != NULL && value != NULL && json_array_size(*array) < PARTS_MAX &&
           json_array_append_new(*array, value) == 0;
}

/* Query parameters that take several pairs: exploded arrays and objects, and deepObject. */
static bool collect_pairs(const struct parameter *parameter, struct bytes query, json_t **value)
{
    const struct layout layout = {separator_comma, true};
    struct bytes name = bytes_of_text(parameter->name), encoded_name, encoded, member;
    bool is_array = (schema_kinds(parameter->schema) & KIND_ARRAY) != 0;
    char decoded[256];

    while (query_next(&query, &encoded_name, &encoded)) {
        const struct layout decoded_name = {separator_comma, true};
        if (is_array) {
            if (name_is(encoded_name, name) && !add_item(value, parameter->schema, encoded))
                return false;
            continue;
        }
        if (parameter->style == STYLE_DEEP_OBJECT) {
            char key[256];
            json_t *below;
            if (!member_of(encoded_name, name, decoded, &member))
                continue;
            memcpy(key, member.data, member.size);
            key[member.size] = '\0';
            below = part_value(find_below(parameter->schema, key, 0), encoded, &layout);
            if (*value == NULL)
                *value = json_object();
            if (below == NULL || *value == NULL || json_object_set_new(*value, key, below) != 0)
                return false;
            continue;
        }
        /* An exploded object: its members are pairs of their own, known by their names. */
        if (query_decode(encoded_name, decoded, sizeof decoded - 1, &member)) {
            char key[256];
            memcpy(key, member.size > 0 ? member.data : "", member.size);
            key[member.size] = '\0';
            if (find_below(parameter->schema, key, 0) == NULL)
                continue;
            if (*value == NULL)
                *value = json_object();
            if (*value == NULL ||
                !put_part(*value, parameter->schema, encoded_name, encoded, &decoded_name))
                return false;
        }
    }
    return true;
}

static bool query_value(const struct parameter *parameter, struct bytes query, json_t **value,
                        const char **why)
{
    static const char *const separators[] = {
        [STYLE_SIMPLE] = ",", [STYLE_LABEL] = ",", [STYLE_MATRIX] = ",",     [STYLE_FORM] = ",",
        [STYLE_SPACE] = " ",  [STYLE_PIPE] = "|",  [STYLE_DEEP_OBJECT] = ","};
    unsigned kinds = schema_kinds(parameter->schema);
    bool is_compound = kinds != KIND_ANY && (kinds & (KIND_ARRAY | KIND_OBJECT)) != 0;
    struct bytes name, encoded;

    *why = "is malformed";
    if (is_compound && (parameter->explodes || parameter->style == STYLE_DEEP_OBJECT) &&
        parameter->style != STYLE_SPACE && parameter->style != STYLE_PIPE)
        return collect_pairs(parameter, query, value);
    while (query_next(&query, &name, &encoded)) {
        char decoded[TEXT_BYTES_MAX];
        struct layout layout = {separators[parameter->style], false};
        if (!name_is(name, bytes_of_text(parameter->name)))
            continue;
        if (is_compound && parameter->style == STYLE_FORM) { /* a comma within a part is encoded */
            layout.is_encoded = true;
        } else if (!query_decode(encoded, decoded, sizeof decoded, &encoded)) {
            return false;
        }
        *value = whole_value(parameter, encoded, &layout);
        return *value != NULL;
    }
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------- */

static bool parse_json(struct bytes text, json_t **value)
{
    struct buffer message = {0};
    bool is_good = json_text_parse(text, value, &message) == OK;

    buffer_fini(&message);
    return is_good;
}

bool parameter_value(const struct parameter *parameter, const struct http_request *request,
                     const struct path_values *path_values, json_t **value, const char **why)
{
    struct layout layout = {separator_comma, false};
    struct bytes text = {0};

    *value = NULL;
    if (parameter->place == IN_QUERY && !parameter->is_json) {
        bool is_good = query_value(parameter, request->query, value, why);
        if (!is_good) {
            json_decref(*value);
            *value = NULL;
        }
        return is_good;
    }
    *why = "is not JSON";
    if (parameter->place == IN_QUERY) {
        struct bytes query = request->query, name, encoded;
        char decoded[TEXT_BYTES_MAX];
        while (query_next(&query, &name, &encoded))
            if (name_is(name, bytes_of_text(parameter->name)))
                return query_decode(encoded, decoded, sizeof decoded, &text) && parse_json(text, value);
        return true;
    }
    if (!find_text(parameter, request, path_values, &text))
        return true;
    if (parameter->is_json)
        return parse_json(text, value);
    *why = "is malformed";
    if (!unwrap(parameter, &text, &layout))
        return false;
    if (text.data == NULL)
        text = bytes_of("", 0);
    *value = whole_value(parameter, text, &layout);
    return *value != NULL;
}

bool form_value(const struct schema *schema, struct bytes form, json_t **value, const char **why)
{
    json_t *object = json_object();
    struct bytes encoded_name, encoded;

    *why = "is malformed";
    while (object != NULL && query_next(&form, &encoded_name, &encoded)) {
        const struct layout layout = {separator_comma, true};
        const struct schema *member;
        char decoded[257];
        struct bytes name;
        json_t *array;
        if (!query_decode(encoded_name, decoded, sizeof decoded - 1, &name) ||
            (name.size > 0 && memchr(name.data, '\0', name.size) != NULL) ||
            json_object_size(object) >= PARTS_MAX)
            goto fail;
        decoded[name.size] = '\0';
        member = find_below(schema, decoded, 0);
        if (schema_kinds(member) == KIND_ANY || !(schema_kinds(member) & KIND_ARRAY)) {
            if (!put_part(object, schema, encoded_name, encoded, &layout))
                goto fail;
            continue;
        }
        array = json_object_get(object, decoded);
        if (array == NULL && (json_object_set_new(object, decoded, json_array()) != 0 ||
                              (array = json_object_get(object, decoded)) == NULL))
            goto fail;
        if (!add_item(&array, member, encoded))
            goto fail;
    }
    *value = object;
    return object != NULL;

fail:
    json_decref(object);
    return false;
}
