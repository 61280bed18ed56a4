#include "base/number.h"
#include "base/utf8.h"
#include "engine/mock/json/json_text.h"
#include "message/percent.h"
#include "query.h"
#include "where.h"
#include <assert.h>
#include <stdlib.h>

enum {
    PATTERN_STEPS_MAX = 200000, /* of one match: some milliseconds */
    PATTERN_HEAP_KIB_MAX = 1024,
    ROOM_PER_BYTE = 32, /* a byte is kept decoded, as JSON (six bytes at worst) with quotes, and as a key;
                         * of _where decoded again, and a number of few digits as one of 21 */
};

static const struct {
    struct bytes word;
    enum operation operation;
} operations[] = {
    {BYTES_INIT("eq"), OPERATION_EQ},
    {BYTES_INIT("ne"), OPERATION_NE},
    {BYTES_INIT("lt"), OPERATION_LT},
    {BYTES_INIT("lte"), OPERATION_LTE},
    {BYTES_INIT("gt"), OPERATION_GT},
    {BYTES_INIT("gte"), OPERATION_GTE},
    {BYTES_INIT("in"), OPERATION_IN},
    {BYTES_INIT("like"), OPERATION_LIKE},
    {BYTES_INIT("contains"), OPERATION_CONTAINS},
    {BYTES_INIT("startsWith"), OPERATION_STARTS_WITH},
    {BYTES_INIT("endsWith"), OPERATION_ENDS_WITH},
};

bool query_find_operation(struct bytes word, enum operation *operation)
{
    for (size_t i = 0; i < COUNT_OF(operations); i++)
        if (bytes_equal(operations[i].word, word)) {
            *operation = operations[i].operation;
            return true;
        }
    return false;
}

/* ---- pieces of text ---------------------------------------------------------------------------- */

/* All that a query keeps is in one room that was made large enough at the beginning, so that it never
 * moves. */
static struct bytes keep(struct query *query, struct bytes text)
{
    size_t begin = query->room.size;
    buffer_append(&query->room, text);
    return bytes_of(query->room.data + begin, query->room.size - begin);
}

static bool decode(struct query *query, struct bytes part, struct bytes *decoded)
{
    size_t begin = query->room.size;

    for (size_t at = 0; at < part.size;) {
        bool is_plus = part.data[at] == '+';
        char c;
        if (!percent_take(part, &at, &c))
            return false;
        buffer_append_byte(&query->room, is_plus ? ' ' : c);
    }
    *decoded = bytes_of(query->room.data + begin, query->room.size - begin);
    return true;
}

/* Cuts what is before `end`, or all, off `*rest`. */
static struct bytes cut(struct bytes *rest, char end)
{
    const char *at = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;
    struct bytes piece = at != NULL ? bytes_first(*rest, (size_t)(at - rest->data)) : *rest;

    *rest = at != NULL ? bytes_after(*rest, piece.size + 1) : (struct bytes){0};
    return piece;
}

/* As JavaScript's parseInt: digits at the front, whatever follows. */
static struct query_number number_of(struct bytes text)
{
    struct query_number number = {.is_given = text.size > 0};
    bool negative;

    text = bytes_trim(text);
    negative = text.size > 0 && text.data[0] == '-';
    if (text.size > 0 && (negative || text.data[0] == '+'))
        text = bytes_after(text, 1);
    for (size_t i = 0; i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        number.is_number = true;
        if (number.value < INT64_C(1) << 40) /* more than any collection has */
            number.value = number.value * 10 + (text.data[i] - '0');
    }
    if (negative)
        number.value = -number.value;
    return number;
}

/* ---- operands ---------------------------------------------------------------------------------- */

static struct bytes quoted(struct buffer *room, struct bytes text)
{
    size_t begin = room->size;
    json_text_append_string(room, text);
    return bytes_of(room->data + begin, room->size - begin);
}

/* True if a number, true or false is written exactly as `text`. */
static bool is_canonical(struct bytes text)
{
    struct scalar scalar = scalar_coerce(text);
    struct buffer canonical = {0};
    int64_t integer;
    bool same;

    if (scalar.kind != SCALAR_NUMBER)
        return scalar.kind == SCALAR_TRUE || scalar.kind == SCALAR_FALSE;
    if (text.data[0] != '-' && (text.data[0] < '0' || text.data[0] > '9'))
        return false;
    if (int64_parse(text, &integer))
        return true; /* as it stands: a double might be another one */
    scalar_append_number(&canonical, scalar.number);
    same = bytes_equal(buffer_bytes(&canonical), text);
    buffer_fini(&canonical);
    return same;
}

size_t query_relation_keys(struct bytes text, struct buffer *room, struct bytes *keys)
{
    size_t count = 0;

    keys[count++] = quoted(room, text);
    if (is_canonical(text))
        keys[count++] = text;
    return count;
}

/* `of_any_kind`: a number and a string are equal if their texts are. */
static void set_keys(struct query *query, struct operand *operand, bool of_any_kind)
{
    size_t begin = query->room.size;

    if (of_any_kind) {
        operand->key_count = query_relation_keys(operand->text, &query->room, operand->keys);
        return;
    }
    operand->key_count = 1;
    if (operand->scalar.kind == SCALAR_STRING) {
        operand->keys[0] = quoted(&query->room, operand->text);
    } else if (operand->scalar.kind != SCALAR_NUMBER || is_canonical(operand->text)) {
        operand->keys[0] = operand->text;
    } else {
        scalar_append_number(&query->room, operand->scalar.number);
        operand->keys[0] = bytes_of(query->room.data + begin, query->room.size - begin);
    }
}

static enum err compile(struct bytes text, uint32_t options, pcre2_code **pattern, struct buffer *message)
{
    PCRE2_UCHAR why[128];
    PCRE2_SIZE at;
    int error;

    *pattern = pcre2_compile((PCRE2_SPTR)text.data, text.size,
                             options | PCRE2_CASELESS | PCRE2_UTF | PCRE2_AUTO_CALLOUT, &error, &at, NULL);
    if (*pattern != NULL)
        return OK;
    pcre2_get_error_message(error, why, sizeof why);
    buffer_append_format(message, "The pattern is not one, at its byte %zu: %s", at + 1, (const char *)why);
    return ERR_SYNTAX;
}

/* Whether a pattern may have repeats that run far and fail only at their end: x{1000}, or (x*)\1. */
static bool has_counts(struct bytes pattern)
{
    for (size_t i = 0; i < pattern.size; i++)
        if (pattern.data[i] == '{' || (pattern.data[i] == '\\' && i + 1 < pattern.size &&
                                       memchr("123456789gk", pattern.data[i + 1], 11)))
            return true;
    return false;
}

static enum err add_operand(struct query *query, struct condition *condition, struct scalar scalar,
                            bool of_any_kind, struct buffer *message)
{
    struct bytes text = scalar.text;
    struct operand *operand;

    if (condition->operands == NULL &&
        (condition->operands = calloc(QUERY_OPERANDS_MAX, sizeof *condition->operands)) == NULL)
        return ERR_NO_MEMORY;
    if (condition->operand_count == QUERY_OPERANDS_MAX) {
        buffer_append_format(message, "A query may name at most %d values of one member",
                             QUERY_OPERANDS_MAX);
        return ERR_SYNTAX;
    }
    operand = &condition->operands[condition->operand_count++];
    operand->text = text;
    operand->scalar = scalar;
    set_keys(query, operand, of_any_kind);
    switch (condition->operation) {
    case OPERATION_LIKE:
        operand->has_counts = has_counts(text);
        return compile(text, PCRE2_NEVER_BACKSLASH_C, &operand->pattern, message);
    case OPERATION_CONTAINS: return compile(text, PCRE2_LITERAL, &operand->pattern, message);
    case OPERATION_STARTS_WITH:
        return compile(text, PCRE2_LITERAL | PCRE2_ANCHORED, &operand->pattern, message);
    case OPERATION_ENDS_WITH:
        return compile(text, PCRE2_LITERAL | PCRE2_ENDANCHORED, &operand->pattern, message);
    case OPERATION_EQ:
    case OPERATION_NE:
    case OPERATION_LT:
    case OPERATION_LTE:
    case OPERATION_GT:
    case OPERATION_GTE:
    case OPERATION_IN: return OK;
    }
    UNREACHABLE();
}

/* A value that was written in the query: in COMPAT_1 it is whatever it looks like. */
static enum err add_written(struct query *query, struct condition *condition, struct bytes text,
                            bool as_text, struct buffer *message)
{
    bool of_any_kind = as_text || query->compat == COMPAT_0_17;
    return add_operand(query, condition, of_any_kind ? scalar_string(text) : scalar_coerce(text),
                       of_any_kind, message);
}

enum err query_add_operand(struct query *query, struct condition *condition, struct bytes text,
                           bool is_string, bool as_text, struct buffer *message)
{
    text = keep(query, text);
    return add_operand(query, condition, is_string || as_text ? scalar_string(text) : scalar_coerce(text),
                       as_text, message);
}

/* ---- conditions -------------------------------------------------------------------------------- */

static struct condition *find_condition(struct query *query, struct bytes name, enum operation operation)
{
    for (size_t i = 0; i < query->condition_count; i++)
        if (query->conditions[i].operation == operation && bytes_equal(query->conditions[i].name, name))
            return &query->conditions[i];
    return NULL;
}

static void drop_operands(struct condition *condition)
{
    for (size_t i = 0; i < condition->operand_count; i++)
        pcre2_code_free(condition->operands[i].pattern);
    if (condition->operands != NULL)
        memset(condition->operands, 0, condition->operand_count * sizeof *condition->operands);
    condition->operand_count = 0;
}

/* The condition on `name`, made if there is none yet; null with `message` written if it cannot be. */
static struct condition *take_condition(struct query *query, struct bytes name, enum operation operation,
                                        struct buffer *message)
{
    struct condition *condition = find_condition(query, name, operation);

    if (condition != NULL)
        return condition;
    if (query->condition_count == QUERY_CONDITIONS_MAX) {
        buffer_append_format(message, "A query may have at most %d conditions", QUERY_CONDITIONS_MAX);
        return NULL;
    }
    condition = &query->conditions[query->condition_count++];
    *condition = (struct condition){.name = name, .operation = operation};
    if (!json_path_parse(name, &condition->path)) {
        buffer_append_format(message, "The name of a member may have at most %d parts",
                             JSON_PATH_PARTS_MAX);
        return NULL;
    }
    return condition;
}

/* The operation at the end of `name`, which is cut off: ":gte" or "_gte". False for ":nosuch". */
static bool take_operation(struct bytes *name, enum operation *operation, bool *was_underscore)
{
    const char *colon, *bar;

    assert(name->data != NULL); /* it was decoded into room that is there */
    colon = memrchr(name->data, ':', name->size);
    bar = memrchr(name->data, '_', name->size);
    *operation = OPERATION_EQ;
    *was_underscore = false;
    if (colon != NULL && colon + 1 < name->data + name->size) {
        size_t size = (size_t)(colon - name->data);
        if (!query_find_operation(bytes_after(*name, size + 1), operation))
            return false;
        name->size = size;
        return true;
    }
    if (bar != NULL && bar > name->data) {
        size_t size = (size_t)(bar - name->data);
        if (query_find_operation(bytes_after(*name, size + 1), operation)) {
            name->size = size;
            *was_underscore = true;
        }
    }
    return true;
}

static enum err add_condition(struct query *query, struct bytes name, struct bytes value,
                              struct bytes id_name, struct buffer *message)
{
    struct bytes whole = name;
    struct condition *condition;
    enum operation operation;
    bool was_underscore, as_text;
    enum err err = OK;

    if (!take_operation(&name, &operation, &was_underscore))
        return OK; /* as json-server: an operation that nobody knows asks nothing */
    if (name.size > 2 && name.data[name.size - 1] == ']' && name.data[name.size - 2] == '[')
        name.size -= 2; /* how some clients write that there may be several */
    condition = take_condition(query, name, operation, message);
    if (condition == NULL)
        return ERR_SYNTAX;
    if (was_underscore && condition->operand_count == 0 && !condition->may_be_name) {
        condition->may_be_name = true;
        if (!json_path_parse(whole, &condition->name_path))
            return ERR_NO_MEMORY;
    }
    if (query->compat == COMPAT_1)
        drop_operands(condition); /* the last one counts */
    as_text = bytes_equal(name, id_name) && operation != OPERATION_LT && operation != OPERATION_LTE &&
              operation != OPERATION_GT && operation != OPERATION_GTE;
    if (operation != OPERATION_IN)
        return add_written(query, condition, value, as_text, message);
    do {
        err = add_written(query, condition, bytes_trim(cut(&value, ',')), as_text, message);
    } while (err == OK && value.data != NULL);
    return err;
}

enum err query_add_relation(struct query *query, struct bytes name, struct bytes value)
{
    struct buffer message = {0};
    struct condition *condition;
    enum err err = ERR_NO_MEMORY;

    if (query->condition_count == QUERY_CONDITIONS_MAX)
        return ERR_NO_MEMORY;
    condition = &query->conditions[query->condition_count];
    *condition = (struct condition){0};
    if (buffer_reserve(&query->scratch, 1) != NULL && json_path_parse(name, &condition->path)) {
        query->condition_count++;
        condition->name = keep(query, name);
        err = add_written(query, condition, keep(query, value), true, &message);
    }
    buffer_fini(&message);
    return err;
}

/* ---- the rest ---------------------------------------------------------------------------------- */

/* Whether a member of an object may be called so: UTF-8 without a NUL, as everything that is read. */
static bool is_member_name(struct bytes name)
{
    return memchr(name.data, '\0', name.size) == NULL && utf8_is_whole(name);
}

/* Adds the elements of a list with commas. */
static enum err add_names(struct bytes list, struct bytes *names, size_t *count, struct buffer *message)
{
    while (list.size > 0) {
        struct bytes name = bytes_trim(cut(&list, ','));
        if (name.size == 0)
            continue;
        if (*count == QUERY_NAMES_MAX) {
            buffer_append_format(message, "A query may have at most %d names in one list", QUERY_NAMES_MAX);
            return ERR_SYNTAX;
        }
        if (!is_member_name(name)) {
            buffer_append_literal(message, "A name in a query must be UTF-8 without a NUL");
            return ERR_SYNTAX;
        }
        names[(*count)++] = name;
    }
    return OK;
}

static enum err add_sort(struct query *query, struct bytes list, struct buffer *message)
{
    struct bytes names[QUERY_NAMES_MAX];
    size_t count = 0;
    enum err err = add_names(list, names, &count, message);

    if (query->sort_key_count > 0)
        return OK; /* the first one counts */
    for (size_t i = 0; err == OK && i < count; i++) {
        struct sort_key *key = &query->sort_keys[query->sort_key_count];
        *key = (struct sort_key){0};
        key->descends = names[i].size > 1 && names[i].data[0] == '-';
        if (!json_path_parse(bytes_after(names[i], key->descends), &key->path)) {
            json_path_fini(&key->path);
            buffer_append_literal(message, "The name to sort by has too many parts");
            return ERR_SYNTAX;
        }
        query->sort_key_count++;
    }
    return err;
}

static void set_order(struct query *query, struct bytes list)
{
    for (size_t i = 0; i < query->sort_key_count && list.size > 0; i++)
        if (bytes_equal_nocase(bytes_trim(cut(&list, ',')), BYTES("desc")))
            query->sort_keys[i].descends = true;
}

static enum err set_text(struct query *query, struct bytes text, struct buffer *message)
{
    if (query->text_pattern != NULL || text.size == 0)
        return OK;
    return compile(text, PCRE2_LITERAL, &query->text_pattern, message);
}

/* True if `name` is one of the words of queries, whose `value` is then taken. */
static bool take_word(struct query *query, struct bytes name, struct bytes value, struct bytes id_name,
                      struct bytes *order, enum err *err, struct buffer *message)
{
    const struct {
        struct bytes name;
        struct query_number *number;
    } numbers[] = {{BYTES("_page"), &query->page},
                   {BYTES("_limit"), &query->limit},
                   {BYTES("_per_page"), &query->per_page},
                   {BYTES("_start"), &query->start},
                   {BYTES("_end"), &query->end}};

    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (bytes_equal(name, numbers[i].name)) {
            *numbers[i].number = number_of(value);
            return true;
        }
    if (bytes_equal(name, BYTES("_sort")))
        *err = add_sort(query, value, message);
    else if (bytes_equal(name, BYTES("_order")))
        *order = value;
    else if (bytes_equal(name, BYTES("_embed")))
        *err = add_names(value, query->embeds, &query->embed_count, message);
    else if (bytes_equal(name, BYTES("_expand")))
        *err = add_names(value, query->expands, &query->expand_count, message);
    else if (bytes_equal(name, BYTES("_dependent")))
        *err = add_names(value, query->dependents, &query->dependent_count, message);
    else if (bytes_equal(name, BYTES("q")))
        *err = set_text(query, value, message);
    else if (bytes_equal(name, BYTES("_where")))
        *err = query->where == NULL ? where_create(query, value, id_name, &query->where, message) : OK;
    else /* jQuery's "_" keeps caches away; "_delay" is not ours to heed here */
        return bytes_equal(name, BYTES("_")) || bytes_equal(name, BYTES("_delay")) ||
               bytes_equal(name, BYTES("callback"));
    return true;
}

enum err query_parse(struct bytes text, enum compat compat, struct bytes id_name, struct query *query,
                     struct buffer *message)
{
    struct bytes order = {0}, name, value;
    enum err err = OK;

    memset(query, 0, offsetof(struct query, conditions));
    query->compat = compat;
    if (buffer_reserve(&query->room, ROOM_PER_BYTE * text.size + 4096) == NULL)
        return ERR_NO_MEMORY;
    query->match_context = pcre2_match_context_create(NULL);
    query->match_data = pcre2_match_data_create(1, NULL);
    if (query->match_context == NULL || query->match_data == NULL)
        return ERR_NO_MEMORY;
    pcre2_set_match_limit(query->match_context, PATTERN_STEPS_MAX);
    pcre2_set_heap_limit(query->match_context, PATTERN_HEAP_KIB_MAX);

    while (err == OK && text.size > 0) {
        struct bytes pair = cut(&text, '&');
        struct bytes raw_name = cut(&pair, '=');
        if (raw_name.size == 0)
            continue;
        if (!decode(query, raw_name, &name) || !decode(query, pair, &value)) {
            buffer_append_literal(message, "Malformed percent-encoding in the query");
            return ERR_SYNTAX;
        }
        if (!take_word(query, name, value, id_name, &order, &err, message))
            err = add_condition(query, name, value, id_name, message);
    }
    set_order(query, order);
    return err;
}

void condition_fini(struct condition *condition)
{
    drop_operands(condition);
    free(condition->operands);
    json_path_fini(&condition->path);
    json_path_fini(&condition->name_path);
}

void query_fini(struct query *query)
{
    for (size_t i = 0; i < query->condition_count; i++)
        condition_fini(&query->conditions[i]);
    where_destroy(query->where);
    for (size_t i = 0; i < query->sort_key_count; i++)
        json_path_fini(&query->sort_keys[i].path);
    pcre2_code_free(query->text_pattern);
    pcre2_match_data_free(query->match_data);
    pcre2_match_context_free(query->match_context);
    buffer_fini(&query->room);
    buffer_fini(&query->scratch);
}
