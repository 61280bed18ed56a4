/* From the document's values to structs. Schemas wait in a queue, so that neither nesting nor references
 * recurse. */
#include "base/hash.h"
#include "base/hash_table.h"
#include "schema.h"
#include <math.h>
#include <stdlib.h>

enum { SCHEMAS_MAX = 200000, IN_PLACE_DEPTH_MAX = 100 };

struct entry {
    struct hash_node by_node;
    struct entry *next; /* in the queue, and later in the list of all */
    struct place place;
    struct schema schema;
    enum { UNSEEN, ENTERED, LEFT } visit;
};

struct owned_pattern {
    struct owned_pattern *next;
    struct pattern *pattern;
};

struct schemas {
    struct document *document;
    enum schema_dialect dialect;
    struct hash_table by_node;
    struct entry *all, **end, *waiting;
    size_t count;
    struct owned_pattern *patterns;
};

struct schemas *schemas_create(struct document *document, enum schema_dialect dialect)
{
    struct schemas *schemas = calloc(1, sizeof *schemas);

    if (schemas != NULL) {
        schemas->document = document;
        schemas->dialect = dialect;
        schemas->end = &schemas->all;
    }
    return schemas;
}

void schemas_destroy(struct schemas *schemas)
{
    if (schemas == NULL)
        return;
    for (struct entry *entry = schemas->all; entry != NULL; entry = entry->next)
        if (json_is_object(entry->place.node))
            hash_table_remove(&schemas->by_node, &entry->by_node);
    for (struct owned_pattern *owned = schemas->patterns; owned != NULL; owned = owned->next)
        pattern_destroy(owned->pattern); /* the rest is the region's */
    free(schemas);
}

const struct schema *schemas_add(struct schemas *schemas, struct place place)
{
    uint64_t hash = hash_bytes(bytes_of(&place.node, sizeof place.node), 0);
    struct entry *entry = NULL;

    if (place.node == NULL)
        return NULL;
    if (!json_is_object(place.node) && !json_is_boolean(place.node)) {
        document_complain(schemas->document, place, "a schema must be an object, true or false");
        return NULL;
    }
    for (struct hash_node *node = hash_table_first(&schemas->by_node, hash); node != NULL;
         node = hash_table_next(node)) {
        entry = CONTAINER_OF(node, struct entry, by_node);
        if (entry->place.node == place.node)
            return &entry->schema;
    }
    if (++schemas->count > SCHEMAS_MAX) {
        document_complain(schemas->document, place, "there are more than %d schemas", SCHEMAS_MAX);
        return NULL;
    }
    entry = region_take(document_region(schemas->document), sizeof *entry);
    /* true and false are one value each wherever they stand: they are not found by it */
    if (entry == NULL ||
        (json_is_object(place.node) && !hash_table_insert(&schemas->by_node, &entry->by_node, hash))) {
        document_fail(schemas->document);
        return NULL;
    }
    entry->place = place;
    entry->schema.kinds = KIND_ANY;
    entry->schema.length_max = entry->schema.items_max = entry->schema.properties_max =
        entry->schema.contains_max = SIZE_MAX;
    entry->schema.contains_min = 1;
    *schemas->end = entry;
    schemas->end = &entry->next;
    if (schemas->waiting == NULL)
        schemas->waiting = entry;
    return &entry->schema;
}

const struct schema *schema_property(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->property_count; i++)
        if (strcmp(schema->properties[i].name, name) == 0)
            return schema->properties[i].schema;
    return NULL;
}

/* ---- keywords ---------------------------------------------------------------------------------- */

/* What one schema is read with. */
struct reading {
    struct schemas *schemas;
    struct document *document;
    struct place place;
    struct schema *schema;
};

static void *take(struct reading *reading, size_t count, size_t size)
{
    void *taken = region_take(document_region(reading->document), count * size);

    if (taken == NULL)
        document_fail(reading->document);
    return taken;
}

static struct place keyword(struct reading *reading, const char *name)
{
    return document_member(reading->document, reading->place, name);
}

/* The keyword if it is of `kinds`, else without a node, after a complaint if it is there. */
static struct place keyword_of(struct reading *reading, const char *name, unsigned kinds)
{
    struct place place = keyword(reading, name);
    char words[KIND_WORDS_BYTES];

    if (place.node != NULL && !(json_value_kind(place.node) & kinds)) {
        kind_describe(kinds, words);
        document_complain(reading->document, place, "%s must be %s", name, words);
        place.node = NULL;
    }
    return place;
}

static void read_schema(struct reading *reading, const char *name, const struct schema **schema)
{
    struct place place = keyword(reading, name);

    if (place.node != NULL)
        *schema = schemas_add(reading->schemas, place);
}

static bool read_flag(struct reading *reading, const char *name)
{
    const json_t *flag = keyword_of(reading, name, KIND_BOOLEAN).node;
    return json_is_true(flag);
}

static void read_count(struct reading *reading, const char *name, size_t *count)
{
    struct place place = keyword_of(reading, name, KIND_INTEGER);

    if (place.node == NULL)
        return;
    if (json_value_number(place.node) < 0 || json_value_number(place.node) > 0x1p53L)
        document_complain(reading->document, place, "%s must not be negative", name);
    else
        *count = (size_t)json_value_number(place.node);
}

static void read_list(struct reading *reading, const char *name, struct schema_list *list)
{
    struct place place = keyword_of(reading, name, KIND_ARRAY);
    size_t count = json_array_size(place.node);

    if (place.node == NULL || (list->list = take(reading, count, sizeof *list->list)) == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct schema *schema =
            schemas_add(reading->schemas, document_item(reading->document, place, i));
        if (schema != NULL)
            list->list[list->count++] = schema;
    }
}

static void read_names(struct reading *reading, struct place place, struct name_list *names)
{
    size_t count = json_array_size(place.node);

    if (count == 0 || (names->list = take(reading, count, sizeof *names->list)) == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(place.node, i));
        if (name == NULL)
            document_complain(reading->document, document_item(reading->document, place, i),
                              "a name must be a string");
        else
            names->list[names->count++] = name;
    }
}

static const struct pattern *read_pattern(struct reading *reading, struct place place, const char *text)
{
    struct owned_pattern *owned = take(reading, 1, sizeof *owned);
    struct buffer why = {0};
    enum err err;

    if (owned == NULL)
        return NULL;
    err = pattern_compile(text, &owned->pattern, &why);
    if (err == ERR_SYNTAX)
        document_complain(reading->document, place, "not a regular expression: %.*s",
                          BYTES_PRINTF(buffer_bytes(&why)));
    else if (err != OK)
        document_fail(reading->document);
    buffer_fini(&why);
    if (err != OK)
        return NULL;
    owned->next = reading->schemas->patterns;
    reading->schemas->patterns = owned;
    return owned->pattern;
}

static void read_kinds(struct reading *reading)
{
    struct place type = keyword_of(reading, "type", KIND_STRING | KIND_ARRAY);
    unsigned kinds = 0;

    if (type.node == NULL)
        return;
    if (json_is_string(type.node)) {
        kinds = kind_named(json_string_value(type.node));
    } else {
        for (size_t i = 0; i < json_array_size(type.node); i++) {
            const char *name = json_string_value(json_array_get(type.node, i));
            unsigned kind = name != NULL ? kind_named(name) : 0;
            kinds = kind != 0 && (i == 0 || kinds != 0) ? kinds | kind : 0;
        }
    }
    if (kinds == 0)
        document_complain(reading->document, type,
                          "type must be string, number, integer, boolean, array, object or null%s",
                          reading->schemas->dialect == SCHEMA_2020_12 ? ", or an array of these" : "");
    else
        reading->schema->kinds = kinds;
    /* 3.0: only beside a type (OpenAPI 3.0.3, proposal 2019-10-31). Many write it in 3.1, too. */
    if (read_flag(reading, "nullable"))
        reading->schema->kinds |= KIND_NULL;
}

static void read_bound(struct reading *reading, const char *inclusive, const char *exclusive, int sign,
                       struct schema_bound *bound)
{
    struct place limit = keyword_of(reading, inclusive, KIND_NUMBER);
    struct place other = keyword_of(reading, exclusive, KIND_NUMBER | KIND_BOOLEAN);

    if (limit.node != NULL)
        *bound = (struct schema_bound){true, json_is_true(other.node), json_value_number(limit.node)};
    if (json_is_number(other.node)) {
        long double value = json_value_number(other.node);
        if (!bound->is_set || (value - bound->value) * sign <= 0)
            *bound = (struct schema_bound){true, true, value};
    }
}

static void read_numbers(struct reading *reading)
{
    struct schema *schema = reading->schema;
    struct place multiple = keyword_of(reading, "multipleOf", KIND_NUMBER);

    read_bound(reading, "minimum", "exclusiveMinimum", -1, &schema->lowest);
    read_bound(reading, "maximum", "exclusiveMaximum", 1, &schema->highest);
    if (multiple.node != NULL && json_value_number(multiple.node) <= 0)
        document_complain(reading->document, multiple, "multipleOf must be above 0");
    else if (multiple.node != NULL)
        schema->multiple_of = json_value_number(multiple.node);
}

static void read_strings(struct reading *reading)
{
    struct schema *schema = reading->schema;
    struct place format = keyword_of(reading, "format", KIND_STRING);
    struct place pattern = keyword_of(reading, "pattern", KIND_STRING);

    if (format.node != NULL)
        schema->format = format_named(json_string_value(format.node));
    if (pattern.node != NULL)
        schema->pattern = read_pattern(reading, pattern, json_string_value(pattern.node));
    read_count(reading, "minLength", &schema->length_min);
    read_count(reading, "maxLength", &schema->length_max);
}

static void read_arrays(struct reading *reading)
{
    struct schema *schema = reading->schema;
    const json_t *items = json_object_get(reading->place.node, "items");

    read_list(reading, "prefixItems", &schema->prefix_items);
    if (json_is_array(items)) { /* before 2020-12 */
        read_list(reading, "items", &schema->prefix_items);
        read_schema(reading, "additionalItems", &schema->items);
    } else {
        read_schema(reading, "items", &schema->items);
    }
    read_count(reading, "minItems", &schema->items_min);
    read_count(reading, "maxItems", &schema->items_max);
    schema->has_unique_items = read_flag(reading, "uniqueItems");
    read_schema(reading, "contains", &schema->contains);
    read_count(reading, "minContains", &schema->contains_min);
    read_count(reading, "maxContains", &schema->contains_max);
    read_schema(reading, "unevaluatedItems", &schema->unevaluated_items);
}

static void read_members(struct reading *reading, struct place place, struct schema_member **members,
                         size_t *count)
{
    const char *name;
    json_t *node;

    if (place.node == NULL ||
        (*members = take(reading, json_object_size(place.node), sizeof **members)) == NULL)
        return;
    json_object_foreach((json_t *)place.node, name, node)
    {
        const struct schema *schema =
            schemas_add(reading->schemas, document_member(reading->document, place, name));
        if (schema != NULL)
            (*members)[(*count)++] = (struct schema_member){name, schema};
    }
}

static void read_pattern_properties(struct reading *reading)
{
    struct place place = keyword_of(reading, "patternProperties", KIND_OBJECT);
    struct schema *schema = reading->schema;
    const char *name;
    json_t *node;

    if (place.node == NULL ||
        (schema->pattern_properties =
             take(reading, json_object_size(place.node), sizeof *schema->pattern_properties)) == NULL)
        return;
    json_object_foreach((json_t *)place.node, name, node)
    {
        struct place member = document_member(reading->document, place, name);
        const struct pattern *pattern = read_pattern(reading, member, name);
        const struct schema *below = schemas_add(reading->schemas, member);
        if (pattern != NULL && below != NULL)
            schema->pattern_properties[schema->pattern_property_count++] =
                (struct schema_matching){pattern, below};
    }
}

/* dependentRequired, dependentSchemas, and `dependencies`, which was both before 2019-09. */
static void read_dependencies(struct reading *reading, const char *keyword_name)
{
    struct place place = keyword_of(reading, keyword_name, KIND_OBJECT);
    struct schema *schema = reading->schema;
    struct schema_dependency *list;
    const char *name;
    json_t *node;

    if (place.node == NULL)
        return;
    list = take(reading, schema->dependency_count + json_object_size(place.node), sizeof *list);
    if (list == NULL)
        return;
    for (size_t i = 0; i < schema->dependency_count; i++)
        list[i] = schema->dependencies[i];
    schema->dependencies = list;
    json_object_foreach((json_t *)place.node, name, node)
    {
        struct schema_dependency *dependency = &list[schema->dependency_count++];
        struct place member = document_member(reading->document, place, name);
        dependency->name = name;
        if (json_is_array(node))
            read_names(reading, member, &dependency->required);
        else
            dependency->schema = schemas_add(reading->schemas, member);
    }
}

static void read_objects(struct reading *reading)
{
    struct schema *schema = reading->schema;
    const json_t *required = json_object_get(reading->place.node, "required");

    read_members(reading, keyword_of(reading, "properties", KIND_OBJECT), &schema->properties,
                 &schema->property_count);
    /* A boolean here is of a draft before 4, and some still write it in a property: it says nothing. */
    if (!json_is_boolean(required))
        read_names(reading, keyword_of(reading, "required", KIND_ARRAY), &schema->required);
    read_pattern_properties(reading);
    read_schema(reading, "additionalProperties", &schema->additional_properties);
    read_schema(reading, "propertyNames", &schema->property_names);
    read_schema(reading, "unevaluatedProperties", &schema->unevaluated_properties);
    read_count(reading, "minProperties", &schema->properties_min);
    read_count(reading, "maxProperties", &schema->properties_max);
    read_dependencies(reading, "dependentRequired");
    read_dependencies(reading, "dependentSchemas");
    read_dependencies(reading, "dependencies");
}

/* The mapping says which schema a value of the discriminator stands for; the last part of a schema's place
 * does so by itself (OpenAPI 3.1 §4.8.25). */
static void read_discriminator(struct reading *reading)
{
    struct place place = keyword_of(reading, "discriminator", KIND_OBJECT);
    struct place mapping = document_member(reading->document, place, "mapping");
    struct schema *schema = reading->schema;
    const char *value;
    json_t *node;

    schema->discriminator = json_string_value(json_object_get(place.node, "propertyName"));
    if (schema->discriminator == NULL || !json_is_object(mapping.node))
        return;
    schema->discriminator_values =
        take(reading, json_object_size(mapping.node), sizeof *schema->discriminator_values);
    if (schema->discriminator_values == NULL)
        return;
    json_object_foreach((json_t *)mapping.node, value, node)
    {
        struct place from = document_member(reading->document, mapping, value), target;
        const char *name = json_string_value(node);
        const char *reference = name;
        if (name != NULL && strpbrk(name, "#/.") == NULL)
            reference = region_format(document_region(reading->document), "#/components/schemas/%s", name);
        if (reference == NULL)
            continue;
        target = document_follow(reading->document, from, reference);
        if (target.node != NULL)
            schema->discriminator_values[schema->discriminator_value_count++] =
                (struct schema_member){value, schemas_add(reading->schemas, target)};
    }
}

static void read_reference(struct reading *reading)
{
    static const char *const keywords[] = {"$ref", "$dynamicRef"};

    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        struct place place = keyword_of(reading, keywords[i], KIND_STRING);
        if (place.node != NULL)
            reading->schema->reference = schemas_add(
                reading->schemas, document_follow(reading->document, place, json_string_value(place.node)));
    }
}

static void read_compositions(struct reading *reading)
{
    struct schema *schema = reading->schema;

    read_list(reading, "allOf", &schema->all_of);
    read_list(reading, "anyOf", &schema->any_of);
    read_list(reading, "oneOf", &schema->one_of);
    read_schema(reading, "not", &schema->not_);
    read_schema(reading, "if", &schema->if_);
    read_schema(reading, "then", &schema->then_);
    read_schema(reading, "else", &schema->else_);
    read_discriminator(reading);
}

static void read_entry(struct schemas *schemas, struct entry *entry)
{
    struct reading reading = {schemas, schemas->document, entry->place, &entry->schema};
    struct schema *schema = &entry->schema;

    schema->pointer = document_describe(schemas->document, entry->place);
    if (schema->pointer == NULL)
        document_fail(schemas->document);
    if (!json_is_object(entry->place.node)) {
        schema->is_never = json_is_false(entry->place.node);
        return;
    }
    read_reference(&reading);
    if (schema->reference != NULL && schemas->dialect == SCHEMA_OPENAPI_3_0)
        return; /* 3.0: what stands beside $ref is ignored */
    read_kinds(&reading);
    schema->values = keyword_of(&reading, "enum", KIND_ARRAY).node;
    schema->constant = keyword(&reading, "const").node;
    schema->fallback = keyword(&reading, "default").node;
    schema->example = keyword(&reading, "example").node;
    if (schema->example == NULL)
        schema->example = json_array_get(keyword(&reading, "examples").node, 0);
    read_numbers(&reading);
    read_strings(&reading);
    read_arrays(&reading);
    read_objects(&reading);
    read_compositions(&reading);
    schema->is_read_only = read_flag(&reading, "readOnly");
    schema->is_write_only = read_flag(&reading, "writeOnly");
}

/* ---- circles ----------------------------------------------------------------------------------- */

static void visit(struct schemas *schemas, const struct schema *schema, int depth);

static void visit_list(struct schemas *schemas, const struct schema_list *list, int depth)
{
    for (size_t i = 0; i < list->count; i++)
        visit(schemas, list->list[i], depth);
}

/* Complains if a schema applies itself to the same value again, which would never end. */
static void visit(struct schemas *schemas, const struct schema *schema, int depth)
{
    struct entry *entry;

    if (schema == NULL)
        return;
    entry = CONTAINER_OF(schema, struct entry, schema);
    if (entry->visit == ENTERED) {
        document_complain(schemas->document, entry->place, "the schema refers to itself in a circle");
        return;
    }
    if (depth > IN_PLACE_DEPTH_MAX) {
        document_complain(schemas->document, entry->place, "schemas refer to each other more than %d deep",
                          IN_PLACE_DEPTH_MAX);
        return;
    }
    if (entry->visit == LEFT)
        return;
    entry->visit = ENTERED;
    visit(schemas, schema->reference, depth + 1);
    visit_list(schemas, &schema->all_of, depth + 1);
    visit_list(schemas, &schema->any_of, depth + 1);
    visit_list(schemas, &schema->one_of, depth + 1);
    visit(schemas, schema->not_, depth + 1);
    visit(schemas, schema->if_, depth + 1);
    visit(schemas, schema->then_, depth + 1);
    visit(schemas, schema->else_, depth + 1);
    for (size_t i = 0; i < schema->dependency_count; i++)
        visit(schemas, schema->dependencies[i].schema, depth + 1);
    entry->visit = LEFT;
}

void schemas_finish(struct schemas *schemas)
{
    while (schemas->waiting != NULL) {
        struct entry *entry = schemas->waiting;
        read_entry(schemas, entry);
        schemas->waiting = entry->next;
    }
    for (struct entry *entry = schemas->all; entry != NULL; entry = entry->next)
        visit(schemas, &entry->schema, 0);
}
