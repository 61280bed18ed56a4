#include "json_value.h"
#include "base/compiler.h"
#include "base/hash.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>

static_assert(sizeof(long double) > sizeof(double), "holds every int64_t and every double");

static const struct {
    const char *name, *words;
    unsigned kinds;
} names[] = {
    /* "number" before its parts, so that a mask of both is described by it. */
    {"string", "a string", KIND_STRING},
    {"number", "a number", KIND_NUMBER},
    {"integer", "an integer", KIND_INTEGER},
    {"boolean", "true or false", KIND_BOOLEAN},
    {"array", "an array", KIND_ARRAY},
    {"object", "an object", KIND_OBJECT},
    {"null", "null", KIND_NULL},
};

enum kind json_value_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return KIND_OBJECT;
    case JSON_ARRAY: return KIND_ARRAY;
    case JSON_STRING: return KIND_STRING;
    case JSON_INTEGER: return KIND_INTEGER;
    case JSON_REAL:
        return floor(json_real_value(value)) == json_real_value(value) ? KIND_INTEGER : KIND_FRACTION;
    case JSON_TRUE:
    case JSON_FALSE: return KIND_BOOLEAN;
    case JSON_NULL: return KIND_NULL;
    }
    UNREACHABLE();
}

unsigned kind_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].kinds;
    return 0;
}

void kind_describe(unsigned kinds, char words[static KIND_WORDS_BYTES])
{
    size_t size = 0;

    words[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(names) && kinds != 0; i++) {
        if ((kinds & names[i].kinds) != names[i].kinds)
            continue;
        kinds &= ~names[i].kinds;
        size += (size_t)snprintf(words + size, KIND_WORDS_BYTES - size, "%s%s", size > 0 ? " or " : "",
                                 names[i].words);
    }
}

long double json_value_number(const json_t *value)
{
    return json_is_integer(value) ? (long double)json_integer_value(value)
                                  : (long double)json_real_value(value);
}

static bool objects_equal(const json_t *a, const json_t *b)
{
    const char *name;
    json_t *member;

    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach((json_t *)a, name, member)
    {
        const json_t *other = json_object_get(b, name);
        if (other == NULL || !json_value_equal(member, other))
            return false;
    }
    return true;
}

bool json_value_equal(const json_t *a, const json_t *b)
{
    if (a == b)
        return true;
    if (json_is_number(a) && json_is_number(b))
        return json_value_number(a) == json_value_number(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    switch (json_typeof(a)) {
    case JSON_OBJECT: return objects_equal(a, b);
    case JSON_ARRAY:
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!json_value_equal(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    case JSON_STRING: return bytes_equal(json_value_string(a), json_value_string(b));
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: return true; /* of one type; numbers are above */
    }
    UNREACHABLE();
}

static uint64_t hash_two(uint64_t a, uint64_t b)
{
    uint64_t both[2] = {a, b};
    return hash_bytes(bytes_of(both, sizeof both), 0);
}

uint64_t json_value_hash(const json_t *value)
{
    uint64_t hash = (uint64_t)json_typeof(value);
    const char *name;
    json_t *member;
    double number;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach((json_t *)value, name, member) hash +=
            hash_two(hash_bytes(bytes_of_text(name), 1), json_value_hash(member));
        return hash;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++)
            hash = hash_two(hash, json_value_hash(json_array_get(value, i)));
        return hash;
    case JSON_STRING: return hash_bytes(json_value_string(value), 2);
    case JSON_INTEGER:
    case JSON_REAL:
        number = json_number_value(value) + 0.0; /* no -0 */
        return hash_bytes(bytes_of(&number, sizeof number), 3);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: return hash_two(hash, 4);
    }
    UNREACHABLE();
}

size_t utf8_count(struct bytes text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}
