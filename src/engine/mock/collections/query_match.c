#include "engine/mock/json/json_text.h"
#include "query.h"

enum { SCANNED_BYTES_PER_STEP = 64, MATCHED_BYTES_PER_STEP = 32, COUNTED_BYTES_PER_STEP = 16 };

bool query_charge(struct query *query, size_t byte_count)
{
    query->step_count += 1 + byte_count / SCANNED_BYTES_PER_STEP;
    if (query->step_count > QUERY_STEPS_MAX)
        query->gave_up = true;
    return !query->gave_up;
}

/* Called before each item of a pattern, in all of its attempts. What lies between two calls is one run over
 * the text, whose length is told by where it led; but not if it failed. */
static int on_step(pcre2_callout_block *block, void *argument)
{
    struct query *query = argument;
    size_t at = block->current_position;
    size_t moved = at > query->pattern_at ? at - query->pattern_at : query->pattern_at - at;

    query->pattern_at = at;
    query->step_count += 1 + moved / MATCHED_BYTES_PER_STEP;
    if (query->pattern_counts)
        query->step_count += (block->subject_length - at) / COUNTED_BYTES_PER_STEP;
    return query->step_count > QUERY_STEPS_MAX ? PCRE2_ERROR_CALLOUT : 0;
}

static bool matches(struct query *query, const pcre2_code *pattern, struct bytes text)
{
    int found;

    query->pattern_at = 0;
    pcre2_set_callout(query->match_context, on_step, query);
    found = pcre2_match(pattern, (PCRE2_SPTR)(text.size > 0 ? text.data : ""), text.size, 0, 0,
                        query->match_data, query->match_context);

    if (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_DEPTHLIMIT ||
        found == PCRE2_ERROR_HEAPLIMIT || found == PCRE2_ERROR_CALLOUT)
        query->gave_up = true;
    return found >= 0;
}

/* Appends what JavaScript's toString makes of a value that is no array, or is an element of one. */
static void append_text(struct buffer *out, struct bytes value, bool is_element)
{
    struct buffer room = {0};
    struct scalar scalar = scalar_of(value, &room);

    if (value.data[0] == '{')
        buffer_append_literal(out, "[object Object]");
    else if (scalar.kind == SCALAR_NUMBER)
        scalar_append_canonical(out, value);
    else if (scalar.kind != SCALAR_NULL || !is_element)
        buffer_append(out, scalar.text);
    out->failed |= room.failed;
    buffer_fini(&room);
}

/* The same of an array: all that is in it and in the arrays that are in it, with its commas. */
static void append_elements(struct buffer *out, struct bytes array)
{
    struct bytes value;

    for (size_t at = 0; at < array.size;) {
        char c = array.data[at];
        if (c == ',')
            buffer_append_byte(out, ',');
        if (c == '[' || c == ']' || c == ',')
            at++;
        else if (json_scan_value(array, &at, &value) && value.size > 0)
            append_text(out, value, true);
        else
            return;
    }
}

/* A value as text; valid until the next one is asked for. */
static struct bytes as_text(struct query *query, struct bytes value)
{
    buffer_clear(&query->scratch);
    if (value.data[0] == '"' && memchr(value.data, '\\', value.size) == NULL)
        return scalar_of(value, &query->scratch).text;
    if (value.data[0] == '[')
        append_elements(&query->scratch, value);
    else
        append_text(&query->scratch, value, false);
    return query->scratch.size > 0 ? buffer_bytes(&query->scratch) : bytes_of("", 0);
}

static bool equals(struct query *query, const struct operand *operand, struct bytes value)
{
    if (value.data[0] == '[' || value.data[0] == '{')
        return query->compat == COMPAT_0_17 && bytes_equal(as_text(query, value), operand->text);
    if (value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9')) {
        buffer_clear(&query->scratch);
        scalar_append_canonical(&query->scratch, value);
        value = buffer_bytes(&query->scratch);
    }
    for (size_t i = 0; i < operand->key_count; i++)
        if (bytes_equal(operand->keys[i], value))
            return true;
    return false;
}

static bool has_order(struct query *query, const struct operand *operand, struct bytes value,
                      enum operation operation)
{
    struct scalar scalar;
    int order;

    if (value.data[0] == '[' || value.data[0] == '{') {
        scalar = scalar_string(as_text(query, value));
    } else {
        buffer_clear(&query->scratch);
        scalar = scalar_of(value, &query->scratch);
    }
    if (!scalar_compare(&scalar, &operand->scalar, &order))
        return false;
    switch (operation) {
    case OPERATION_LT: return order < 0;
    case OPERATION_LTE: return order <= 0;
    case OPERATION_GT: return order > 0;
    default: return order >= 0;
    }
}

static bool operand_holds(struct query *query, const struct operand *operand, enum operation operation,
                          struct bytes value)
{
    if (!query_charge(query, value.size))
        return false;
    query->pattern_counts = operand->has_counts;
    switch (operation) {
    case OPERATION_EQ:
    case OPERATION_NE:
    case OPERATION_IN: return equals(query, operand, value);
    case OPERATION_LT:
    case OPERATION_LTE:
    case OPERATION_GT:
    case OPERATION_GTE: return has_order(query, operand, value, operation);
    case OPERATION_CONTAINS:
    case OPERATION_STARTS_WITH:
    case OPERATION_ENDS_WITH:
        if (value.data[0] != '"')
            return false;
        return matches(query, operand->pattern, as_text(query, value));
    case OPERATION_LIKE: return matches(query, operand->pattern, as_text(query, value));
    }
    UNREACHABLE();
}

bool condition_holds(struct query *query, const struct condition *condition, struct bytes item)
{
    bool is_ne = condition->operation == OPERATION_NE;
    struct bytes value;

    if (!query_charge(query, item.size) || !json_scan_path(item, &condition->path, &value) ||
        value.size == 0)
        return false;
    if (value.data[0] == 'n' && query->compat == COMPAT_0_17)
        return false; /* null is nothing there */
    for (size_t i = 0; i < condition->operand_count && !query->gave_up; i++)
        if (operand_holds(query, &condition->operands[i], condition->operation, value))
            return !is_ne;
    return is_ne;
}

/* Every string, number and true in the text is looked at, names are not. */
bool query_text_found(struct query *query, struct bytes item)
{
    size_t at = 0;

    query->pattern_counts = false;
    while (at < item.size && query_charge(query, 0)) {
        struct bytes value;
        char c = item.data[at];
        if (c == '{' || c == '}' || c == '[' || c == ']' || c == ',' || c == ':') {
            at++;
            continue;
        }
        if (!json_scan_value(item, &at, &value))
            return false;
        if (at < item.size && item.data[at] == ':')
            continue; /* a name */
        if (c == 'n' || c == 'f' || bytes_equal(value, BYTES("0")))
            continue; /* as in json-server, what is false has no text */
        if (matches(query, query->text_pattern, as_text(query, value)))
            return true;
    }
    return false;
}
