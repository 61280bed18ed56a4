/* query.h — what the part of a URL behind '?' asks of a collection; pure but for memory.
 *
 * The words of both generations are understood in both; where one word means two things, enum compat
 * decides. */
#pragma once
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/buffer.h"
#include "base/err.h"
#include "compat.h"
#include "engine/mock/json/json_scalar.h"
#include "engine/mock/json/json_scan.h"
#include <pcre2.h>

enum {
    QUERY_CONDITIONS_MAX = 16,
    QUERY_OPERANDS_MAX = 64, /* of one condition */
    QUERY_NAMES_MAX = 8,     /* of each kind: sort keys, embedded and expanded resources */
    QUERY_KEYS_MAX = 2,
    QUERY_STEPS_MAX = 1 << 27, /* of all that is looked at: a second or a few */
};

enum operation {
    OPERATION_EQ,
    OPERATION_NE,
    OPERATION_LT,
    OPERATION_LTE,
    OPERATION_GT,
    OPERATION_GTE,
    OPERATION_IN,
    OPERATION_LIKE,
    OPERATION_CONTAINS,
    OPERATION_STARTS_WITH,
    OPERATION_ENDS_WITH,
};

/* One of the values that a condition names. */
struct operand {
    struct bytes text;                 /* as it was sent, decoded */
    struct scalar scalar;              /* COMPAT_0_17: a string; COMPAT_1: whatever it looks like */
    struct bytes keys[QUERY_KEYS_MAX]; /* the canonical JSON values that it equals */
    size_t key_count;
    pcre2_code *pattern; /* of LIKE, CONTAINS, STARTS_WITH, ENDS_WITH */
    bool has_counts;     /* the pattern may have repeats that fail only at their end, as in x{1000} */
};

struct condition {
    enum operation operation;
    bool may_be_name;  /* the operation was written "_in": `name_path` may be a member of that name */
    struct bytes name; /* of the member, decoded */
    struct json_path path;
    struct json_path name_path;
    struct operand *operands; /* any of them; of NE, none of them */
    size_t operand_count;
};

struct sort_key {
    struct json_path path;
    bool descends;
};

/* An integer of a query: its absence, and text that is none, are kept apart. */
struct query_number {
    bool is_given, is_number;
    int64_t value;
};

struct query {
    enum compat compat;
    size_t condition_count, sort_key_count;
    struct bytes embeds[QUERY_NAMES_MAX], expands[QUERY_NAMES_MAX], dependents[QUERY_NAMES_MAX];
    size_t embed_count, expand_count, dependent_count;
    struct query_number page, limit, per_page, start, end;
    pcre2_code *text_pattern; /* of "q", or null */
    struct where *where;      /* of "_where", or null */
    pcre2_match_data *match_data;
    pcre2_match_context *match_context;
    struct buffer room;    /* what the above borrow from */
    struct buffer scratch; /* for matching */
    uint64_t step_count;   /* so far, of items, values and steps of patterns that were looked at */
    size_t pattern_at;     /* where in a text the last step of a pattern was */
    bool pattern_counts;   /* the operand's has_counts */
    bool gave_up;          /* there were too many: the result is not one */
    /* Large, and mostly unused: only those that are counted have been written to. */
    struct condition conditions[QUERY_CONDITIONS_MAX];
    struct sort_key sort_keys[QUERY_NAMES_MAX];
};

/* Takes `text` apart; `id_name` is the member that ids are in. Returns OK; ERR_SYNTAX with a sentence in
 * `message`; ERR_NO_MEMORY. The caller ends the query with query_fini in any case. */
enum err query_parse(struct bytes text, enum compat compat, struct bytes id_name, struct query *query,
                     struct buffer *message);

/* Adds a value, one of JSON, to a condition of the caller's: a string without its quotes, or what else
 * `text` is; copied. `as_text`: whatever its kind is. What is made belongs to `query`, but for the
 * condition, which condition_fini ends. Errors are those of query_parse. */
enum err query_add_operand(struct query *query, struct condition *condition, struct bytes text,
                           bool is_string, bool as_text, struct buffer *message);
void condition_fini(struct condition *condition);

/* False if there is no operation of that name, such as "gte". */
bool query_find_operation(struct bytes word, enum operation *operation);

/* Adds the condition that `name` is `value` as text, whatever its kind: a relation. */
enum err query_add_relation(struct query *query, struct bytes name, struct bytes value);

/* Counts what it takes to look at one text of `byte_count` bytes. False if it was too much: the query has
 * given up. */
bool query_charge(struct query *query, size_t byte_count);

/* Whether the item with the text `item` fulfils `condition`; whether it has the words of "q". One thread.
 */
bool condition_holds(struct query *query, const struct condition *condition, struct bytes item);
bool query_text_found(struct query *query, struct bytes item);

/* The keys by which a member equals `text` whatever its kind is: at most QUERY_KEYS_MAX, into `keys`, in
 * `room`, which must not move. */
size_t query_relation_keys(struct bytes text, struct buffer *room, struct bytes *keys);

void query_fini(struct query *query);
