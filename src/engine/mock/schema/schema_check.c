#include "engine/mock/json/json_text.h"
#include "schema_check_state.h"
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { DEPTH_MAX = 400, STEPS_MAX = 2000000, DETAIL_BYTES_MAX = 400 };

/* ---- what is said ------------------------------------------------------------------------------ */

static void append_pointer(struct buffer *pointer, const struct at *at)
{
    if (at == NULL)
        return;
    append_pointer(pointer, at->parent); /* as deep as the check itself, which is bounded */
    if (at->name == NULL && at->parent == NULL && at->index == SIZE_MAX)
        return; /* the root */
    buffer_append_byte(pointer, '/');
    if (at->name == NULL)
        buffer_append_uint64(pointer, at->index);
    for (const char *c = at->name; c != NULL && *c != '\0'; c++) {
        if (*c == '~')
            buffer_append_literal(pointer, "~0");
        else if (*c == '/')
            buffer_append_literal(pointer, "~1");
        else
            buffer_append_byte(pointer, *c);
    }
}

bool check_violated(struct check *check, const struct at *at, const char *format, ...)
{
    char detail[DETAIL_BYTES_MAX];
    struct buffer pointer = {0};
    va_list arguments;
    int size;

    if (check->violations == NULL)
        return false;
    va_start(arguments, format);
    size = vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    if (size >= DETAIL_BYTES_MAX) { /* cut in front of a character, not within */
        size = DETAIL_BYTES_MAX - 4;
        while (size > 0 && ((unsigned char)detail[size] & 0xc0) == 0x80)
            size--;
        memcpy(detail + size, "...", 3);
        size += 3;
    }
    buffer_append(&pointer, bytes_of_text(check->prefix));
    append_pointer(&pointer, at);
    violations_add(check->violations, check->in, buffer_bytes(&pointer), bytes_of(detail, (size_t)size));
    buffer_fini(&pointer);
    return false;
}

bool check_may_go_on(struct check *check, const struct at *at, uint32_t steps)
{
    check->steps += steps;
    if (check->steps <= STEPS_MAX && !check->gave_up)
        return true;
    if (!check->gave_up) {
        check->gave_up = true;
        check_violated(check, at, "is too much to be checked");
    }
    return false;
}

bool check_matches(struct check *check, const struct pattern *pattern, struct bytes text,
                   const struct at *at)
{
    switch (pattern_match(pattern, text, &check->steps)) {
    case PATTERN_MATCHES: return check_may_go_on(check, at, 0);
    case PATTERN_DIFFERS: return false;
    case PATTERN_GIVEN_UP:
        check->gave_up = true;
        return check_violated(check, at, "cannot be matched against %s within bounds",
                              pattern_text(pattern));
    }
    UNREACHABLE();
}

void check_see(json_t *seen, const char *name)
{
    if (seen != NULL)
        json_object_set_new(seen, name, json_true());
}

void check_see_index(json_t *seen, size_t index)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%zu", index);
    check_see(seen, digits);
}

/* ---- scalars ----------------------------------------------------------------------------------- */

/* Whether `value` is a multiple, as far as doubles can tell: 19.99 is one of 0.01. */
static bool is_multiple(long double value, long double of)
{
    long double quotient = value / of;
    long double distance = fabsl(quotient - roundl(quotient));

    if (fabsl(value) < 0x1p63L && value == floorl(value) && of == floorl(of))
        return fmodl(value, of) == 0;
    return isfinite(quotient) && distance <= fabsl(quotient) * 2 * DBL_EPSILON;
}

static bool check_number(struct check *check, const struct schema *schema, const json_t *number,
                         const struct at *at)
{
    const struct schema_bound *low = &schema->lowest, *high = &schema->highest;
    long double value = json_value_number(number);
    bool fits = true;

    if (low->is_set && (value < low->value || (low->is_exclusive && value == low->value)))
        fits = check_violated(check, at, "must be %s%.17Lg", low->is_exclusive ? "above " : "at least ",
                              low->value);
    if (high->is_set && (value > high->value || (high->is_exclusive && value == high->value)))
        fits = check_violated(check, at, "must be %s%.17Lg", high->is_exclusive ? "below " : "at most ",
                              high->value);
    if (schema->multiple_of > 0 && !is_multiple(value, schema->multiple_of))
        fits = check_violated(check, at, "must be a multiple of %.17Lg", schema->multiple_of);
    if (value == floorl(value) && !format_fits_integer(schema->format, value))
        fits = check_violated(check, at, "must be %s", format_describe(schema->format));
    return fits;
}

static bool check_string(struct check *check, const struct schema *schema, const json_t *string,
                         const struct at *at)
{
    struct bytes text = json_value_string(string);
    bool fits = true;

    if (schema->length_min > 0 || schema->length_max != SIZE_MAX) {
        size_t length = utf8_count(text);
        if (length < schema->length_min)
            fits = check_violated(check, at, "must have at least %zu character%s", schema->length_min,
                                  schema->length_min == 1 ? "" : "s");
        if (length > schema->length_max)
            fits = check_violated(check, at, "must have at most %zu character%s", schema->length_max,
                                  schema->length_max == 1 ? "" : "s");
    }
    if (schema->format != FORMAT_NONE && !format_fits_string(schema->format, text))
        fits = check_violated(check, at, "must be %s", format_describe(schema->format));
    if (schema->pattern != NULL && !check_matches(check, schema->pattern, text, at)) {
        if (!check->gave_up)
            check_violated(check, at, "must match %s", pattern_text(schema->pattern));
        fits = false;
    }
    return fits;
}

/* Says which values would do, if that is short enough. */
static bool violate_values(struct check *check, const struct at *at, const char *words,
                           const json_t *values)
{
    struct buffer text = {0};

    json_text_append(&text, values);
    if (text.failed || text.size > DETAIL_BYTES_MAX - 50)
        check_violated(check, at, "%s the values that the schema lists", words);
    else
        check_violated(check, at, "%s %.*s", words, BYTES_PRINTF(buffer_bytes(&text)));
    buffer_fini(&text);
    return false;
}

static bool check_values(struct check *check, const struct schema *schema, const json_t *value,
                         const struct at *at)
{
    bool is_listed = schema->values == NULL;

    if (schema->constant != NULL && !json_value_equal(schema->constant, value))
        return violate_values(check, at, "must be", schema->constant);
    for (size_t i = 0; !is_listed && i < json_array_size(schema->values); i++)
        is_listed = json_value_equal(json_array_get(schema->values, i), value);
    return is_listed || violate_values(check, at, "must be one of", schema->values);
}

/* ---- compositions ------------------------------------------------------------------------------ */

/* A check whose outcome is a question only: says nothing. What it sees counts if it holds. */
static bool holds(struct check *check, const struct schema *schema, const json_t *value,
                  const struct at *at, json_t *seen)
{
    struct violations *violations = check->violations;
    json_t *own = seen != NULL ? json_object() : NULL;
    bool fits;

    check->violations = NULL;
    fits = check_schema(check, schema, value, at, own);
    check->violations = violations;
    if (fits && own != NULL)
        json_object_update(seen, own);
    json_decref(own);
    return fits;
}

/* The schema that the value names by its discriminator; null if it names none. */
static const struct schema *discriminated(const struct schema *schema, const struct schema_list *list,
                                          const json_t *value)
{
    const char *name = json_string_value(json_object_get(value, schema->discriminator));

    if (name == NULL)
        return NULL;
    for (size_t i = 0; i < schema->discriminator_value_count; i++)
        if (strcmp(schema->discriminator_values[i].name, name) == 0)
            return schema->discriminator_values[i].schema;
    for (size_t i = 0; i < list->count; i++) {
        const struct schema *target =
            list->list[i]->reference != NULL ? list->list[i]->reference : list->list[i];
        const char *last = strrchr(target->pointer, '/');
        if (last != NULL && strcmp(last + 1, name) == 0)
            return target;
    }
    return NULL;
}

static bool check_choice(struct check *check, const struct schema *schema, const struct schema_list *list,
                         bool is_one, const json_t *value, const struct at *at, json_t *seen)
{
    const struct schema *named =
        schema->discriminator != NULL && json_is_object(value) ? discriminated(schema, list, value) : NULL;
    size_t count = 0;

    if (named != NULL)
        return check_schema(check, named, value, at, seen);
    if (list->count == 1) /* its own words say more */
        return check_schema(check, list->list[0], value, at, seen);
    for (size_t i = 0; i < list->count && !check->gave_up; i++)
        if (holds(check, list->list[i], value, at, seen) && (++count > 1 || !is_one) && seen == NULL)
            break;
    if (check->gave_up)
        return check_violated(check, at, "is too much to be checked");
    if (count == 0 && schema->discriminator != NULL && json_is_object(value))
        return check_violated(check, at, "must name a known type in \"%s\"", schema->discriminator);
    if (count == 0)
        return check_violated(check, at, "must be as at least one of the %zu schemas of %s says",
                              list->count, is_one ? "oneOf" : "anyOf");
    return !is_one || count == 1 ||
           check_violated(check, at,
                          "must be as exactly one of the %zu schemas of oneOf says, not as several",
                          list->count);
}

static bool check_compositions(struct check *check, const struct schema *schema, const json_t *value,
                               const struct at *at, json_t *seen)
{
    bool fits = true;

    if (schema->reference != NULL)
        fits &= check_schema(check, schema->reference, value, at, seen);
    for (size_t i = 0; i < schema->all_of.count; i++)
        fits &= check_schema(check, schema->all_of.list[i], value, at, seen);
    if (schema->any_of.count > 0)
        fits &= check_choice(check, schema, &schema->any_of, false, value, at, seen);
    if (schema->one_of.count > 0)
        fits &= check_choice(check, schema, &schema->one_of, true, value, at, seen);
    if (schema->not_ != NULL && holds(check, schema->not_, value, at, NULL))
        fits = check_violated(check, at, "must not be as the schema of \"not\" says");
    if (schema->if_ != NULL) {
        const struct schema *next =
            holds(check, schema->if_, value, at, seen) ? schema->then_ : schema->else_;
        if (next != NULL)
            fits &= check_schema(check, next, value, at, seen);
    }
    for (size_t i = 0; i < schema->dependency_count; i++) {
        const struct schema_dependency *dependency = &schema->dependencies[i];
        if (dependency->schema != NULL && json_object_get(value, dependency->name) != NULL)
            fits &= check_schema(check, dependency->schema, value, at, seen);
    }
    return fits;
}

/* ---- one schema -------------------------------------------------------------------------------- */

static bool check_kind(struct check *check, const struct schema *schema, const json_t *value,
                       const struct at *at)
{
    char words[KIND_WORDS_BYTES];

    if (json_value_kind(value) & schema->kinds)
        return true;
    kind_describe(schema->kinds, words);
    return check_violated(check, at, "must be %s", words);
}

static bool check_here(struct check *check, const struct schema *schema, const json_t *value,
                       const struct at *at, json_t *seen)
{
    bool fits;

    if (schema->is_never)
        return check_violated(check, at, "must not be here");
    if (!check_kind(check, schema, value, at) || !check_values(check, schema, value, at))
        return false; /* what else could be said would be about another kind of value */
    switch (json_value_kind(value)) {
    case KIND_OBJECT: fits = check_object(check, schema, value, at, seen); break;
    case KIND_ARRAY: fits = check_array(check, schema, value, at, seen); break;
    case KIND_STRING: fits = check_string(check, schema, value, at); break;
    case KIND_INTEGER:
    case KIND_FRACTION: fits = check_number(check, schema, value, at); break;
    default: fits = true; /* null and booleans; a value is of no other kind, nor of several */
    }
    fits &= check_compositions(check, schema, value, at, seen);
    return check_unevaluated(check, schema, value, at, seen) && fits;
}

bool check_schema(struct check *check, const struct schema *schema, const json_t *value,
                  const struct at *at, json_t *seen)
{
    bool asks_unevaluated = schema->unevaluated_properties != NULL || schema->unevaluated_items != NULL;
    json_t *own = NULL;
    bool fits;

    if (!check_may_go_on(check, at, 1))
        return false;
    if (check->depth == DEPTH_MAX) {
        check->gave_up = true;
        return check_violated(check, at, "is nested too deep to be checked");
    }
    if (asks_unevaluated) { /* what schemas beside this one see is not its business (2020-12 §11.3) */
        own = json_object();
        if (own == NULL)
            return check_violated(check, at, "cannot be checked for want of memory");
    }
    check->depth++;
    fits = check_here(check, schema, value, at, asks_unevaluated ? own : seen);
    check->depth--;
    if (own != NULL && seen != NULL && fits)
        json_object_update(seen, own);
    json_decref(own);
    return fits;
}

bool schema_fits(const struct schema *schema, const json_t *value, enum schema_direction direction,
                 struct violations *violations, const char *in, const char *prefix)
{
    struct check check = {.violations = violations, .direction = direction, .in = in, .prefix = prefix};
    struct at root = {.index = SIZE_MAX};

    return check_schema(&check, schema, value, &root, NULL);
}
