/* Objects and arrays. */
#include "generate_state.h"
#include <stdio.h>

/* ---- objects ----------------------------------------------------------------------------------- */

enum { NAMES_MAX = 512, NAME_BYTES_MAX = 128 };

struct planned {
    const char *name;
    bool is_required;
};

/* The members of the object that is being made. */
struct plan {
    struct planned list[NAMES_MAX];
    size_t count;
    size_t count_max;
};

static bool plan_has(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->list[i].name, name) == 0)
            return true;
    return false;
}

static bool plan_add(struct plan *plan, const char *name, bool is_required)
{
    if (plan_has(plan, name))
        return true;
    if (plan->count == NAMES_MAX)
        return false;
    plan->list[plan->count++] = (struct planned){name, is_required};
    return true;
}

static bool is_required_by(const struct wanted *wanted, const char *name)
{
    for (size_t i = 0; i < wanted->count; i++)
        for (size_t j = 0; j < wanted->list[i]->required.count; j++)
            if (strcmp(wanted->list[i]->required.list[j], name) == 0)
                return true;
    return wanted->forced_name != NULL && strcmp(wanted->forced_name, name) == 0;
}

/* Whether the member is left out on this way: what is only read is not written, and the other way. */
static bool goes_the_other_way(const struct generator *generator, const struct schema *property)
{
    while (property->reference != NULL && !property->is_read_only && !property->is_write_only)
        property = property->reference;
    return generator->direction == SCHEMA_TO_CLIENT ? property->is_write_only : property->is_read_only;
}

/* Adds to `into` all that is said of the member `name`. False if it cannot be there, or there is too much.
 */
static bool want_member(struct generator *generator, const struct wanted *wanted, const char *name,
                        struct wanted *into)
{
    uint32_t steps = 0;

    *into = (struct wanted){0};
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i], *property = schema_property(schema, name);
        bool is_known = property != NULL;
        if (property != NULL && !wanted_add(generator, into, property))
            return false;
        for (size_t j = 0; j < schema->pattern_property_count; j++) {
            const struct schema_matching *matching = &schema->pattern_properties[j];
            if (pattern_match(matching->pattern, bytes_of_text(name), &steps) != PATTERN_MATCHES)
                continue;
            is_known = true;
            if (!wanted_add(generator, into, matching->schema))
                return false;
        }
        if (!is_known && schema->additional_properties != NULL &&
            !wanted_add(generator, into, schema->additional_properties))
            return false;
    }
    for (size_t i = 0; into->count == 0 && i < wanted->count; i++)
        if (wanted->list[i]->unevaluated_properties != NULL &&
            !wanted_add(generator, into, wanted->list[i]->unevaluated_properties))
            return false;
    for (size_t i = 0; i < into->count; i++)
        if (into->list[i]->is_never)
            return false;
    return true;
}

static bool takes_optional(struct generator *generator)
{
    if (is_late(generator) || generator->takes == TAKES_REQUIRED)
        return false;
    return generator->takes == TAKES_ALL || !random_once_in(&generator->random, 4);
}

/* The members that schemas name; those that depend on others come with them. */
static bool plan_named(struct generator *generator, struct wanted *wanted, struct plan *plan)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        for (size_t j = 0; j < schema->property_count; j++) {
            const char *name = schema->properties[j].name;
            bool is_required = is_required_by(wanted, name);
            if (goes_the_other_way(generator, schema->properties[j].schema))
                continue;
            if ((is_required || takes_optional(generator)) && !plan_add(plan, name, is_required))
                return false;
        }
    }
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        for (size_t j = 0; j < schema->required.count; j++) {
            const char *name = schema->required.list[j];
            const struct schema *property = schema_property(schema, name);
            if ((property == NULL || !goes_the_other_way(generator, property)) &&
                !plan_add(plan, name, true))
                return false;
        }
    }
    if (wanted->forced_name != NULL && !plan_add(plan, wanted->forced_name, true))
        return false;
    for (size_t i = 0; i < wanted->count; i++) { /* the list may grow meanwhile */
        for (size_t j = 0; j < wanted->list[i]->dependency_count; j++) {
            const struct schema_dependency *dependency = &wanted->list[i]->dependencies[j];
            if (!plan_has(plan, dependency->name))
                continue;
            for (size_t k = 0; k < dependency->required.count; k++)
                if (!plan_add(plan, dependency->required.list[k], true))
                    return false;
            if (dependency->schema == NULL)
                continue;
            if (!wanted_add(generator, wanted, dependency->schema))
                return false;
            for (size_t k = 0; k < dependency->schema->required.count; k++)
                if (!plan_add(plan, dependency->schema->required.list[k], true))
                    return false;
        }
    }
    return true;
}

static void bound_members(const struct wanted *wanted, size_t *min, size_t *max)
{
    *min = 0;
    *max = SIZE_MAX;
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->list[i]->properties_min > *min)
            *min = wanted->list[i]->properties_min;
        if (wanted->list[i]->properties_max < *max)
            *max = wanted->list[i]->properties_max;
    }
}

/* Makes up a name for one more member: from patternProperties, as propertyNames says, or any. */
static bool invent_name(struct generator *generator, const struct wanted *wanted, size_t number,
                        char name[static NAME_BYTES_MAX])
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        if (schema->property_names != NULL) {
            struct wanted names = {0};
            json_t *text = wanted_add(generator, &names, schema->property_names)
                               ? make_value(generator, &names)
                               : NULL;
            bool is_name = json_is_string(text) && json_string_length(text) < NAME_BYTES_MAX;
            if (is_name)
                snprintf(name, NAME_BYTES_MAX, "%s", json_string_value(text));
            json_decref(text);
            return is_name;
        }
        if (schema->pattern_property_count > 0) {
            size_t which = random_index(&generator->random, schema->pattern_property_count);
            struct buffer made = {0};
            bool is_name = generate_matching(&generator->random,
                                             pattern_text(schema->pattern_properties[which].pattern),
                                             2 + number, &made) &&
                           !made.failed && made.size < NAME_BYTES_MAX;
            if (is_name)
                snprintf(name, NAME_BYTES_MAX, "%.*s", BYTES_PRINTF(buffer_bytes(&made)));
            buffer_fini(&made);
            return is_name;
        }
    }
    snprintf(name, NAME_BYTES_MAX, "key%zu", number + 1);
    return true;
}

/* How many members without a name of their own a map gets. */
static size_t count_invented(struct generator *generator, const struct wanted *wanted, size_t named,
                             size_t min, size_t max)
{
    bool is_map = false;
    size_t count = min > named ? min - named : 0;

    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        is_map |= schema->pattern_property_count > 0 ||
                  (schema->additional_properties != NULL && !schema->additional_properties->is_never &&
                   schema->property_count == 0);
    }
    if (is_map && count == 0 && takes_optional(generator))
        count = 1 + random_index(&generator->random, 2);
    if (named >= max)
        return 0;
    return count < max - named ? count : max - named;
}

/* Makes the member and puts it in. False if it has to be there and cannot be made. */
static bool put_member(struct generator *generator, const struct wanted *wanted, json_t *object,
                       const char *name, bool is_required)
{
    struct wanted member;
    json_t *value = NULL;

    if (json_object_get(object, name) != NULL)
        return true;
    if (want_member(generator, wanted, name, &member)) {
        if (wanted->forced_name != NULL && strcmp(wanted->forced_name, name) == 0)
            value = json_string(wanted->forced_value);
        else
            value = make_value(generator, &member);
    }
    if (value == NULL)
        return !is_required;
    return json_object_set_new(object, name, value) == 0;
}

json_t *make_object(struct generator *generator, struct wanted *wanted)
{
    struct plan plan = {0};
    json_t *object = json_object();
    size_t min, required_count = 0, optional_count = 0;

    bound_members(wanted, &min, &plan.count_max);
    if (object == NULL || !plan_named(generator, wanted, &plan))
        goto fail;
    for (size_t i = 0; i < plan.count; i++)
        required_count += plan.list[i].is_required;
    for (size_t i = 0; i < plan.count; i++) {
        const struct planned *planned = &plan.list[i];
        if (!planned->is_required && required_count + optional_count >= plan.count_max)
            continue;
        optional_count += !planned->is_required;
        if (!put_member(generator, wanted, object, planned->name, planned->is_required))
            goto fail;
    }
    for (size_t i = 0,
                count = count_invented(generator, wanted, json_object_size(object), min, plan.count_max);
         i < count + 8 && count > 0 && json_object_size(object) < plan.count_max; i++) {
        char name[NAME_BYTES_MAX];
        if (i >= count && json_object_size(object) >= min)
            break;
        if (invent_name(generator, wanted, i, name) && json_object_get(object, name) == NULL &&
            !put_member(generator, wanted, object, name, false))
            goto fail;
    }
    if (json_object_size(object) >= min)
        return object;
    /* Too few: those that were left out by chance. */
    for (size_t i = 0; i < wanted->count; i++)
        for (size_t j = 0; j < wanted->list[i]->property_count && json_object_size(object) < min; j++)
            if (!goes_the_other_way(generator, wanted->list[i]->properties[j].schema) &&
                !put_member(generator, wanted, object, wanted->list[i]->properties[j].name, false))
                goto fail;
    if (json_object_size(object) >= min)
        return object;

fail:
    json_decref(object);
    return NULL;
}

/* ---- arrays ------------------------------------------------------------------------------------ */

struct array_bounds {
    size_t min, max;
    size_t prefix_count; /* how many items have schemas of their own */
    size_t contains_count;
    const struct schema *contains;
    bool is_unique;
};

static struct array_bounds bound_items(const struct wanted *wanted)
{
    struct array_bounds bounds = {.max = SIZE_MAX};

    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        bool ends = (schema->items != NULL && schema->items->is_never) ||
                    (schema->items == NULL && schema->unevaluated_items != NULL &&
                     schema->unevaluated_items->is_never);
        if (schema->items_min > bounds.min)
            bounds.min = schema->items_min;
        if (schema->items_max < bounds.max)
            bounds.max = schema->items_max;
        if (schema->prefix_items.count > bounds.prefix_count)
            bounds.prefix_count = schema->prefix_items.count;
        if (ends && schema->prefix_items.count < bounds.max)
            bounds.max = schema->prefix_items.count;
        if (schema->contains != NULL && schema->contains_min > 0) {
            bounds.contains = schema->contains;
            bounds.contains_count = schema->contains_min;
        }
        bounds.is_unique |= schema->has_unique_items;
    }
    return bounds;
}

static bool want_item(struct generator *generator, const struct wanted *wanted, size_t index,
                      const struct schema *contains, struct wanted *into)
{
    *into = (struct wanted){0};
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        const struct schema *item =
            index < schema->prefix_items.count ? schema->prefix_items.list[index] : schema->items;
        if (item == NULL)
            item = schema->unevaluated_items;
        if (item != NULL && !wanted_add(generator, into, item))
            return false;
    }
    return contains == NULL || wanted_add(generator, into, contains);
}

static bool array_has(const json_t *array, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (json_value_equal(json_array_get(array, i), value))
            return true;
    return false;
}

/* One item, other than those that are there if it must be; null if it cannot be made. */
static json_t *make_item(struct generator *generator, const struct wanted *wanted, size_t index,
                         const struct array_bounds *bounds, const json_t *array)
{
    enum { TRIES_MAX = 20 };
    bool is_contained = bounds->contains != NULL && index >= bounds->prefix_count &&
                        index - bounds->prefix_count < bounds->contains_count;

    if (bounds->contains != NULL && bounds->max != SIZE_MAX &&
        bounds->max < bounds->prefix_count + bounds->contains_count)
        is_contained = index < bounds->contains_count;
    for (int i = 0; i < (bounds->is_unique ? TRIES_MAX : 1); i++) {
        bool uses_examples = generator->uses_examples;
        struct wanted item;
        json_t *value;
        if (!want_item(generator, wanted, index, is_contained ? bounds->contains : NULL, &item))
            return NULL;
        generator->uses_examples &= i == 0; /* an example is the same each time */
        value = make_value(generator, &item);
        generator->uses_examples = uses_examples;
        if (value == NULL || !bounds->is_unique || !array_has(array, value))
            return value;
        json_decref(value);
    }
    return NULL;
}

json_t *make_array(struct generator *generator, const struct wanted *wanted)
{
    struct array_bounds bounds = bound_items(wanted);
    json_t *array = json_array();
    size_t count = bounds.min;

    if (array == NULL || bounds.min > bounds.max)
        goto fail;
    if (!is_late(generator) && generator->takes != TAKES_REQUIRED)
        count += 1 + random_index(&generator->random, 2);
    if (count < bounds.prefix_count && !is_late(generator))
        count = bounds.prefix_count;
    if (bounds.contains != NULL && count < bounds.prefix_count + bounds.contains_count)
        count = bounds.prefix_count + bounds.contains_count;
    if (count > bounds.max)
        count = bounds.max;
    for (size_t i = 0; i < count; i++) {
        json_t *item = make_item(generator, wanted, i, &bounds, array);
        if (item == NULL && i >= bounds.min)
            break;
        if (item == NULL || json_array_append_new(array, item) != 0)
            goto fail;
    }
    return array;

fail:
    json_decref(array);
    return NULL;
}
