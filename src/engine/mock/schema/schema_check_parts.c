/* Objects and arrays. */
#include "schema_check_state.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- objects ----------------------------------------------------------------------------------- */

/* Whether a member that is required may be left out on this way. */
static bool is_excused(const struct check *check, const struct schema *schema, const char *name)
{
    const struct schema *property = schema_property(schema, name);

    if (property != NULL && property->reference != NULL && !property->is_read_only &&
        !property->is_write_only)
        property = property->reference;
    return property != NULL &&
           (check->direction == SCHEMA_TO_SERVER ? property->is_read_only : property->is_write_only);
}

static bool check_required(struct check *check, const struct schema *schema, const json_t *object,
                           const struct at *at)
{
    bool fits = true;

    for (size_t i = 0; i < schema->required.count; i++)
        if (json_object_get(object, schema->required.list[i]) == NULL &&
            !is_excused(check, schema, schema->required.list[i]))
            fits = check_violated(check, at, "must have \"%s\"", schema->required.list[i]);
    for (size_t i = 0; i < schema->dependency_count; i++) {
        const struct schema_dependency *dependency = &schema->dependencies[i];
        if (json_object_get(object, dependency->name) == NULL)
            continue;
        for (size_t j = 0; j < dependency->required.count; j++)
            if (json_object_get(object, dependency->required.list[j]) == NULL)
                fits = check_violated(check, at, "must have \"%s\" where it has \"%s\"",
                                      dependency->required.list[j], dependency->name);
    }
    return fits;
}

static bool check_name(struct check *check, const struct schema *schema, const char *name,
                       const struct at *at)
{
    struct violations *violations = check->violations;
    json_t *text = json_string(name);
    bool fits;

    if (text == NULL)
        return check_violated(check, at, "cannot be checked for want of memory");
    check->violations = NULL;
    fits = check_schema(check, schema, text, at, NULL);
    check->violations = violations;
    json_decref(text);
    return fits ||
           check_violated(check, at, "must have another name: propertyNames does not allow \"%s\"", name);
}

static bool check_member(struct check *check, const struct schema *schema, const char *name,
                         const json_t *member, const struct at *at, json_t *seen)
{
    const struct schema *property = schema_property(schema, name);
    bool fits = true, is_known = property != NULL;

    if (property != NULL)
        fits &= check_schema(check, property, member, at, NULL);
    for (size_t i = 0; i < schema->pattern_property_count; i++) {
        const struct schema_matching *matching = &schema->pattern_properties[i];
        if (!check_matches(check, matching->pattern, bytes_of_text(name), at))
            continue;
        is_known = true;
        fits &= check_schema(check, matching->schema, member, at, NULL);
    }
    if (!is_known && schema->additional_properties != NULL) {
        is_known = true;
        fits &= schema->additional_properties->is_never
                    ? check_violated(check, at, "is not known here")
                    : check_schema(check, schema->additional_properties, member, at, NULL);
    }
    if (schema->property_names != NULL)
        fits &= check_name(check, schema->property_names, name, at);
    if (is_known)
        check_see(seen, name);
    return fits && !check->gave_up;
}

bool check_object(struct check *check, const struct schema *schema, const json_t *object,
                  const struct at *at, json_t *seen)
{
    size_t count = json_object_size(object);
    bool looks_at_members = schema->property_count > 0 || schema->pattern_property_count > 0 ||
                            schema->additional_properties != NULL || schema->property_names != NULL;
    bool fits = check_required(check, schema, object, at);
    const char *name;
    json_t *member;

    if (count < schema->properties_min)
        fits = check_violated(check, at, "must have at least %zu member%s", schema->properties_min,
                              schema->properties_min == 1 ? "" : "s");
    if (count > schema->properties_max)
        fits = check_violated(check, at, "must have at most %zu member%s", schema->properties_max,
                              schema->properties_max == 1 ? "" : "s");
    if (!looks_at_members)
        return fits;
    json_object_foreach((json_t *)object, name, member)
    {
        struct at below = {.parent = at, .name = name};
        if (!check_may_go_on(check, at, 1 + (uint32_t)schema->property_count / 8))
            return false;
        fits &= check_member(check, schema, name, member, &below, seen);
    }
    return fits;
}

/* ---- arrays ------------------------------------------------------------------------------------ */

struct hashed {
    uint64_t hash;
    size_t index;
};

static int compare_hashed(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* By hashes, so that a long array costs no more than sorting it. */
static bool check_unique(struct check *check, const json_t *array, const struct at *at)
{
    size_t count = json_array_size(array);
    struct hashed *list = count > 1 ? malloc(count * sizeof *list) : NULL;
    bool fits = true;

    if (count < 2)
        return true;
    if (list == NULL)
        return check_violated(check, at, "cannot be checked for want of memory");
    for (size_t i = 0; i < count; i++)
        list[i] = (struct hashed){json_value_hash(json_array_get(array, i)), i};
    qsort(list, count, sizeof *list, compare_hashed);
    for (size_t i = 0; fits && i < count; i++)
        for (size_t j = i + 1; fits && j < count && list[j].hash == list[i].hash; j++) {
            if (!check_may_go_on(check, at, 1))
                fits = false;
            else if (json_value_equal(json_array_get(array, list[i].index),
                                      json_array_get(array, list[j].index)))
                fits = check_violated(check, at, "must have each item once: %zu and %zu are equal",
                                      list[i].index, list[j].index);
        }
    free(list);
    return fits;
}

static bool check_contains(struct check *check, const struct schema *schema, const json_t *array,
                           const struct at *at, json_t *seen)
{
    struct violations *violations = check->violations;
    size_t count = 0;

    check->violations = NULL;
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct at below = {.parent = at, .index = i};
        if (check_schema(check, schema->contains, json_array_get(array, i), &below, NULL)) {
            count++;
            check_see_index(seen, i);
        }
    }
    check->violations = violations;
    if (check->gave_up)
        return check_violated(check, at, "is too much to be checked");
    if (count < schema->contains_min)
        return check_violated(check, at, "must contain at least %zu item%s as \"contains\" says, not %zu",
                              schema->contains_min, schema->contains_min == 1 ? "" : "s", count);
    return count <= schema->contains_max ||
           check_violated(check, at, "must contain at most %zu items as \"contains\" says, not %zu",
                          schema->contains_max, count);
}

bool check_array(struct check *check, const struct schema *schema, const json_t *array, const struct at *at,
                 json_t *seen)
{
    size_t count = json_array_size(array);
    bool fits = true;

    if (count < schema->items_min)
        fits = check_violated(check, at, "must have at least %zu item%s", schema->items_min,
                              schema->items_min == 1 ? "" : "s");
    if (count > schema->items_max)
        fits = check_violated(check, at, "must have at most %zu item%s", schema->items_max,
                              schema->items_max == 1 ? "" : "s");
    for (size_t i = 0; i < count && !check->gave_up; i++) {
        const struct schema *item =
            i < schema->prefix_items.count ? schema->prefix_items.list[i] : schema->items;
        struct at below = {.parent = at, .index = i};
        if (item == NULL)
            break;
        fits &= check_schema(check, item, json_array_get(array, i), &below, NULL);
        check_see_index(seen, i);
    }
    if (schema->has_unique_items)
        fits &= check_unique(check, array, at);
    if (schema->contains != NULL)
        fits &= check_contains(check, schema, array, at, seen);
    return fits && !check->gave_up;
}

/* ---- what nothing else has looked at ----------------------------------------------------------- */

static bool check_unevaluated_items(struct check *check, const struct schema *schema, const json_t *array,
                                    const struct at *at, json_t *seen)
{
    bool fits = true;

    for (size_t i = 0; i < json_array_size(array); i++) {
        struct at below = {.parent = at, .index = i};
        char digits[24];
        snprintf(digits, sizeof digits, "%zu", i);
        if (json_object_get(seen, digits) != NULL)
            continue;
        fits &= check_schema(check, schema->unevaluated_items, json_array_get(array, i), &below, NULL);
        check_see(seen, digits);
    }
    return fits;
}

static bool check_unevaluated_properties(struct check *check, const struct schema *schema,
                                         const json_t *object, const struct at *at, json_t *seen)
{
    bool fits = true;
    const char *name;
    json_t *member;

    json_object_foreach((json_t *)object, name, member)
    {
        struct at below = {.parent = at, .name = name};
        if (json_object_get(seen, name) != NULL)
            continue;
        fits &= schema->unevaluated_properties->is_never
                    ? check_violated(check, &below, "is not known here")
                    : check_schema(check, schema->unevaluated_properties, member, &below, NULL);
        check_see(seen, name);
    }
    return fits;
}

bool check_unevaluated(struct check *check, const struct schema *schema, const json_t *value,
                       const struct at *at, json_t *seen)
{
    if (schema->unevaluated_items != NULL && json_is_array(value))
        return check_unevaluated_items(check, schema, value, at, seen);
    if (schema->unevaluated_properties != NULL && json_is_object(value))
        return check_unevaluated_properties(check, schema, value, at, seen);
    return true;
}
