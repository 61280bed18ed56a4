/* json_value.h — JSON values as JSON Schema sees them: 1 and 1.0 are the same integer, members have no
 * order. */
#pragma once
#include "base/bytes.h"
#include <jansson.h>
#include <stdint.h>

/* What a value is, or several may be: a mask. An integer is KIND_INTEGER alone; "number" allows both. */
enum kind {
    KIND_NULL = 1 << 0,
    KIND_BOOLEAN = 1 << 1,
    KIND_INTEGER = 1 << 2,
    KIND_FRACTION = 1 << 3, /* a number that is no integer */
    KIND_STRING = 1 << 4,
    KIND_ARRAY = 1 << 5,
    KIND_OBJECT = 1 << 6,
    KIND_NUMBER = KIND_INTEGER | KIND_FRACTION,
    KIND_ANY = (1 << 7) - 1,
};

enum kind json_value_kind(const json_t *value);

/* The mask for a `type` of JSON Schema; 0 if there is none of that name. */
unsigned kind_named(const char *name);

/* Words for a mask in `words`, such as "a string or null". */
enum { KIND_WORDS_BYTES = 96 };
void kind_describe(unsigned kinds, char words[static KIND_WORDS_BYTES]);

/* A number, exactly: the type holds every int64_t and every double. */
long double json_value_number(const json_t *value);

/* Whether the two are equal as JSON Schema 2020-12 (4.2.2) has it; what is equal has the same hash. */
bool json_value_equal(const json_t *a, const json_t *b);
uint64_t json_value_hash(const json_t *value);

static inline struct bytes json_value_string(const json_t *string)
{
    return bytes_of(json_string_value(string), json_string_length(string));
}

/* How many characters valid UTF-8 has. */
size_t utf8_count(struct bytes text);
