#include "generate_state.h"
#include <assert.h>

enum { ATTEMPTS_MAX = 40, LOCAL_ATTEMPTS_MAX = 4 };

/* ---- which schemas a value has to fit ---------------------------------------------------------- */

/* Whether a value of it holds no others. */
static bool is_plain(const struct schema *schema)
{
    while (schema->reference != NULL)
        schema = schema->reference;
    return (schema->kinds & (KIND_OBJECT | KIND_ARRAY)) == 0 || schema->values != NULL ||
           schema->constant != NULL;
}

static const struct schema *choose(struct generator *generator, const struct schema_list *list)
{
    size_t start = random_index(&generator->random, list->count);

    if (is_late(generator)) /* what ends here, if that is allowed */
        for (size_t i = 0; i < list->count; i++)
            if (is_plain(list->list[i]))
                return list->list[i];
    if (generator->takes == TAKES_ALL && generator->uses_examples)
        start = 0; /* the first is what people mean most */
    return list->list[start];
}

/* Notes the value that the discriminator of `schema` must have for `chosen`. */
static void force(struct wanted *wanted, const struct schema *schema, const char *pointer,
                  const struct schema *chosen)
{
    const char *last = strrchr(pointer, '/');

    if (wanted->forced_name != NULL || last == NULL)
        return;
    wanted->forced_name = schema->discriminator;
    wanted->forced_value = last + 1;
    for (size_t i = 0; i < schema->discriminator_value_count; i++)
        if (schema->discriminator_values[i].schema == chosen)
            wanted->forced_value = schema->discriminator_values[i].name;
}

static bool add_chosen(struct generator *generator, struct wanted *wanted, const struct schema *schema,
                       const struct schema_list *list)
{
    const struct schema *chosen, *target;

    if (list->count == 0)
        return true;
    target = chosen = choose(generator, list);
    while (target->reference != NULL)
        target = target->reference;
    if (schema->discriminator != NULL)
        force(wanted, schema, target->pointer, target);
    return wanted_add(generator, wanted, chosen);
}

bool wanted_add(struct generator *generator, struct wanted *wanted, const struct schema *schema)
{
    assert(schema != NULL);
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->list[i] == schema)
            return true;
    if (wanted->count == WANTED_MAX)
        return false;
    if (wanted->count == 0 || wanted->list[wanted->count - 1]->reference == schema)
        wanted->pointer = schema->pointer; /* of what a reference leads to, rather than of the reference */
    wanted->list[wanted->count++] = schema;
    if (schema->reference != NULL && !wanted_add(generator, wanted, schema->reference))
        return false;
    for (size_t i = 0; i < schema->all_of.count; i++)
        if (!wanted_add(generator, wanted, schema->all_of.list[i]))
            return false;
    if (!add_chosen(generator, wanted, schema, &schema->one_of) ||
        !add_chosen(generator, wanted, schema, &schema->any_of))
        return false;
    /* A parent with a discriminator names its children, who refer to it by allOf. */
    if (schema->discriminator != NULL && schema->one_of.count + schema->any_of.count == 0)
        force(wanted, schema, wanted->pointer, NULL);
    if (schema->if_ != NULL) {
        if (random_once_in(&generator->random, 2))
            return wanted_add(generator, wanted, schema->if_) &&
                   (schema->then_ == NULL || wanted_add(generator, wanted, schema->then_));
        if (schema->else_ != NULL)
            return wanted_add(generator, wanted, schema->else_);
    }
    return true;
}

static bool fits_all(const struct generator *generator, const struct wanted *wanted, size_t count,
                     const json_t *value)
{
    for (size_t i = 0; i < count; i++)
        if (!schema_fits(wanted->list[i], value, generator->direction, NULL, "", ""))
            return false;
    return true;
}

/* ---- one value --------------------------------------------------------------------------------- */

/* What can be told of the kind by the keywords of schemas without a type. */
static unsigned guess_kinds(const struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        if (schema->property_count > 0 || schema->required.count > 0 ||
            schema->additional_properties != NULL || schema->pattern_property_count > 0 ||
            schema->properties_min > 0 || schema->property_names != NULL)
            return KIND_OBJECT;
        if (schema->items != NULL || schema->prefix_items.count > 0 || schema->items_min > 0 ||
            schema->contains != NULL || schema->has_unique_items)
            return KIND_ARRAY;
        if (schema->pattern != NULL || schema->length_min > 0 || schema->length_max != SIZE_MAX)
            return KIND_STRING;
        if (schema->lowest.is_set || schema->highest.is_set || schema->multiple_of > 0 ||
            schema->format == FORMAT_INT32 || schema->format == FORMAT_INT64)
            return KIND_NUMBER;
    }
    return KIND_STRING;
}

/* One of the mask's, an integer before a fraction; null only if there is nothing else, or now and then. */
static enum kind choose_kind(struct generator *generator, const struct wanted *wanted, unsigned kinds)
{
    /* What the keywords suggest may be wrong: with each attempt it is believed less. */
    bool believes = random_index(&generator->random, ATTEMPTS_MAX) >= generator->attempt;
    unsigned guessed = kinds == KIND_ANY && believes ? guess_kinds(wanted) : kinds;
    enum kind found[8];
    size_t count = 0;

    if ((guessed & KIND_NULL) && guessed != KIND_NULL) {
        if (!generator->uses_examples && random_once_in(&generator->random, 8))
            return KIND_NULL;
        guessed &= ~(unsigned)KIND_NULL;
    }
    if (guessed & KIND_FRACTION)
        guessed &= ~(unsigned)KIND_INTEGER;
    for (unsigned kind = 1; kind < KIND_ANY; kind <<= 1)
        if (guessed & kind)
            found[count++] = (enum kind)kind;
    return found[random_index(&generator->random, count)];
}

/* One of the values that enum or const list; `*is_listed` is set if there is such a list. */
static json_t *make_listed(struct generator *generator, const struct wanted *wanted, bool *is_listed)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        size_t count = json_array_size(schema->values), start;
        if (schema->constant != NULL) {
            *is_listed = true;
            return json_deep_copy(schema->constant);
        }
        if (schema->values == NULL)
            continue;
        *is_listed = true;
        start = count > 0 && !generator->uses_examples ? random_index(&generator->random, count) : 0;
        for (size_t j = 0; j < count; j++) {
            const json_t *value = json_array_get(schema->values, (start + j) % count);
            if (fits_all(generator, wanted, wanted->count, value))
                return json_deep_copy(value);
        }
        return NULL;
    }
    return NULL;
}

/* An example or a default that fits. */
static json_t *find_example(const struct generator *generator, const struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        if (schema->example != NULL && fits_all(generator, wanted, wanted->count, schema->example))
            return json_deep_copy(schema->example);
        if (schema->fallback != NULL && fits_all(generator, wanted, wanted->count, schema->fallback))
            return json_deep_copy(schema->fallback);
    }
    return NULL;
}

static json_t *make_of_kind(struct generator *generator, struct wanted *wanted, unsigned kinds)
{
    switch (choose_kind(generator, wanted, kinds)) {
    case KIND_NULL: return json_null();
    case KIND_BOOLEAN: return json_boolean(random_once_in(&generator->random, 2));
    case KIND_INTEGER: return make_number(generator, wanted, KIND_INTEGER);
    case KIND_FRACTION: return make_number(generator, wanted, kinds & KIND_NUMBER);
    case KIND_STRING: return make_string(generator, wanted);
    case KIND_ARRAY: return make_array(generator, wanted);
    case KIND_OBJECT: return make_object(generator, wanted);
    default: return NULL; /* choose_kind gives a single kind */
    }
}

/* Whether what is made may well not fit, so that it is worth a check of its own. */
static bool is_tricky(const struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        if (schema->not_ != NULL || schema->if_ != NULL || schema->one_of.count > 1 ||
            schema->contains != NULL)
            return true;
    }
    return false;
}

json_t *make_value(struct generator *generator, struct wanted *wanted)
{
    unsigned kinds = KIND_ANY;
    bool is_listed = false;
    json_t *value = NULL;

    if (++generator->node_count > GENERATE_NODES_MAX || generator->depth >= GENERATE_DEPTH_MAX)
        return NULL;
    for (size_t i = 0; i < wanted->count; i++) {
        kinds &= wanted->list[i]->kinds;
        if (wanted->list[i]->is_never)
            return NULL;
    }
    if (kinds == 0)
        return NULL;
    value = make_listed(generator, wanted, &is_listed);
    if (is_listed)
        return value;
    if (generator->uses_examples && (value = find_example(generator, wanted)) != NULL)
        return value;
    generator->depth++;
    for (int attempt = 0; attempt < LOCAL_ATTEMPTS_MAX; attempt++) {
        value = make_of_kind(generator, wanted, kinds);
        if (value == NULL || !is_tricky(wanted) || fits_all(generator, wanted, 1, value))
            break;
        json_decref(value);
        value = NULL;
    }
    generator->depth--;
    return value;
}

json_t *generate_value(const struct schema *schema, const struct generate_options *options)
{
    size_t node_count = 0;

    for (size_t attempt = 0; attempt < ATTEMPTS_MAX && node_count < GENERATE_NODES_MAX * 2; attempt++) {
        struct generator generator = {.random = {options->seed + attempt * 0x9e3779b9},
                                      .direction = options->direction,
                                      .uses_examples = options->uses_examples && attempt < ATTEMPTS_MAX / 2,
                                      .attempt = attempt};
        struct wanted wanted = {0};
        json_t *value;
        generator.takes = options->uses_examples && attempt == 0 ? TAKES_ALL
                          : attempt % 4 == 3                     ? TAKES_REQUIRED
                                                                 : TAKES_SOME;
        value = wanted_add(&generator, &wanted, schema) ? make_value(&generator, &wanted) : NULL;
        if (value != NULL && schema_fits(schema, value, options->direction, NULL, "", ""))
            return value;
        json_decref(value);
        node_count += generator.node_count;
    }
    return NULL;
}
