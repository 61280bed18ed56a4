/* schema.h — JSON Schema as OpenAPI 3.0 and 3.1 (2020-12) write it, taken apart once: references are
 * pointers, patterns are compiled, the two versions look the same.
 *
 * Immutable once schemas_finish has said OK; any thread. Lives as long as its schemas and the document.
 * $dynamicRef is followed as if it were $ref; content… keywords, formats without a row in format.h and
 * unknown keywords say nothing. */
#pragma once
#include "document.h"
#include "format.h"
#include "json_value.h"
#include "pattern.h"

struct schema;

struct schema_list {
    const struct schema **list;
    size_t count;
};

struct name_list {
    const char **list;
    size_t count;
};

struct schema_member {
    const char *name;
    const struct schema *schema;
};

struct schema_matching {
    const struct pattern *pattern;
    const struct schema *schema;
};

struct schema_dependency { /* where `name` is a member, these must be, and the schema must hold (or is null)
                            */
    const char *name;
    struct name_list required;
    const struct schema *schema;
};

struct schema_bound {
    bool is_set, is_exclusive;
    long double value;
};

/* Absent keywords are null, zero, KIND_ANY or SIZE_MAX. */
struct schema {
    const char *pointer; /* where it is written, such as "#/components/schemas/Pet" */
    bool is_never;       /* the schema `false` */
    unsigned kinds;
    const json_t *values; /* enum: an array */
    const json_t *constant, *fallback, *example;
    struct schema_bound lowest, highest;
    long double multiple_of;
    enum format format;
    const struct pattern *pattern;
    size_t length_min, length_max; /* in characters */

    struct schema_list prefix_items;
    const struct schema *items; /* those behind the prefix */
    size_t items_min, items_max;
    bool has_unique_items;
    const struct schema *contains;
    size_t contains_min, contains_max;
    const struct schema *unevaluated_items;

    struct schema_member *properties;
    size_t property_count;
    struct name_list required;
    struct schema_matching *pattern_properties;
    size_t pattern_property_count;
    const struct schema *additional_properties, *property_names, *unevaluated_properties;
    size_t properties_min, properties_max;
    struct schema_dependency *dependencies;
    size_t dependency_count;

    const struct schema *reference;
    struct schema_list all_of, any_of, one_of;
    const struct schema *not_, *if_, *then_, *else_;
    const char *discriminator; /* the name of a member */
    struct schema_member *discriminator_values;
    size_t discriminator_value_count;

    bool is_read_only, is_write_only;
};

struct schemas; /* opaque: all schemas of a document, each taken apart once however often it is referred to
                 */

enum schema_dialect { SCHEMA_OPENAPI_3_0, SCHEMA_2020_12 };

/* Null without memory. The document must outlive it. */
struct schemas *schemas_create(struct document *document, enum schema_dialect dialect);
void schemas_destroy(struct schemas *schemas);

/* The schema at `place`, whose fields are filled in by schemas_finish; what is wrong is complained of to
 * the document. Null only after a note there. */
const struct schema *schemas_add(struct schemas *schemas, struct place place);

/* Fills in all schemas, and those that they refer to. document_error then says whether all went well. */
void schemas_finish(struct schemas *schemas);

/* The member of `schema` itself called `name`; null if it says nothing of that. */
const struct schema *schema_property(const struct schema *schema, const char *name);
