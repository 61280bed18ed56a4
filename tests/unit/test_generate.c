/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* Whatever the schema and the seed: a value is made, it fits, and it is the same each time. */
#include "engine/mock/json/json_text.h"
#include "engine/mock/schema/generate.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

enum { SEEDS = 25 };

static json_t *read_rows(const char *path)
{
    json_error_t error;
    json_t *rows = json_load_file(path, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (rows == NULL)
        fail_msg("%s: line %d: %s", path, error.line, error.text);
    return rows;
}

static bool check_seed(const struct schema *schema, const char *shown, uint64_t seed, bool uses_examples)
{
    for (int direction = SCHEMA_TO_CLIENT; direction <= SCHEMA_TO_SERVER; direction++) {
        struct generate_options options = {seed, (enum schema_direction)direction, uses_examples};
        json_t *value = generate_value(schema, &options), *again;
        if (value == NULL) {
            print_error("nothing was made of %s with seed %llu\n", shown, (unsigned long long)seed);
            return false;
        }
        EXPECT(schema_fits(schema, value, options.direction, NULL, "", ""));
        again = generate_value(schema, &options);
        EXPECT(json_value_equal(value, again));
        json_decref(value);
        json_decref(again);
    }
    return true;
}

static void check_rows(const char *path, enum schema_dialect dialect)
{
    json_t *rows = read_rows(path), *row;
    size_t index;
    int failures = 0;

    json_array_foreach(rows, index, row)
    {
        json_t *valid = json_object_get(row, "valid");
        char *text = json_dumps(json_object_get(row, "schema"), JSON_ENCODE_ANY);
        struct document *document = NULL;
        struct schemas *schemas;
        const struct schema *schema;
        struct buffer message = {0};
        EXPECT_EQ(document_create("x", bytes_of_text(text), &document, &message), OK);
        schemas = schemas_create(document, dialect);
        schema = schemas_add(schemas, document_root(document));
        schemas_finish(schemas);
        if (document_error(document, &message) != OK)
            fail_msg("%s: %.*s", text, BYTES_PRINTF(buffer_bytes(&message)));
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            bool uses_examples = seed % 5 == 0;
            if (!json_is_false(json_object_get(row, "made")) &&
                (valid == NULL || json_array_size(valid) > 0))
                failures += !check_seed(schema, text, seed, uses_examples);
        }
        schemas_destroy(schemas);
        document_destroy(document);
        buffer_fini(&message);
        free(text);
    }
    json_decref(rows);
    EXPECT_EQ(failures, 0);
}

TEST(a_value_is_made_for_each_schema_that_has_one)
{
    check_rows(SCHEMA_FOLDER "/rows_generate.json", SCHEMA_2020_12);
    check_rows(SCHEMA_FOLDER "/rows_2020_12.json", SCHEMA_2020_12);
    check_rows(SCHEMA_FOLDER "/rows_3_0.json", SCHEMA_OPENAPI_3_0);
}

static json_t *make(const char *text, uint64_t seed, bool uses_examples)
{
    struct document *document = NULL;
    struct buffer message = {0};
    struct schemas *schemas;
    const struct schema *schema;
    json_t *value;
    struct generate_options options = {seed, SCHEMA_TO_CLIENT, uses_examples};

    EXPECT_EQ(document_create("x", bytes_of_text(text), &document, &message), OK);
    schemas = schemas_create(document, SCHEMA_OPENAPI_3_0);
    schema = schemas_add(schemas, document_root(document));
    schemas_finish(schemas);
    EXPECT_EQ(document_error(document, &message), OK);
    value = generate_value(schema, &options);
    schemas_destroy(schemas);
    document_destroy(document);
    buffer_fini(&message);
    return value;
}

TEST(examples_and_defaults_are_taken_where_that_is_wanted)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"example\":\"Ada\"},"
        "\"b\":{\"type\":\"integer\",\"default\":7},\"c\":{\"type\":\"integer\",\"example\":"
        "\"wrong\"},\"secret\":{\"type\":\"string\",\"writeOnly\":true}}}";
    json_t *value = make(schema, 1, true);

    EXPECT_TEXT(bytes_of_text(json_string_value(json_object_get(value, "a"))), BYTES("Ada"));
    EXPECT_EQ(json_integer_value(json_object_get(value, "b")), 7);
    EXPECT(json_is_integer(json_object_get(value, "c")));
    EXPECT(json_object_get(value, "secret") == NULL);
    json_decref(value);
}

TEST(another_seed_makes_another_value)
{
    json_t *a = make("{\"type\":\"string\",\"format\":\"uuid\"}", 1, false);
    json_t *b = make("{\"type\":\"string\",\"format\":\"uuid\"}", 2, false);

    EXPECT(!json_value_equal(a, b));
    json_decref(a);
    json_decref(b);
}

TEST(what_no_value_fits_makes_none_and_ends)
{
    static const char *const schemas[] = {
        "{\"not\":{}}",
        "{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}",
        "{\"type\":\"string\",\"minLength\":5,\"maxLength\":4}",
        "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"$ref\":\"#\"}}}",
        "{\"type\":\"array\",\"minItems\":2,\"items\":{\"$ref\":\"#\"}}",
        "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}",
        "{\"type\":\"array\",\"minItems\":100000000}",
        "{\"type\":\"string\",\"minLength\":1000000000}",
    };
    for (size_t i = 0; i < COUNT_OF(schemas); i++) {
        json_t *value = make(schemas[i], 1, false);
        EXPECT(value == NULL);
    }
}

TEST(a_repeated_nothing_ends)
{
    struct random_source random = {1};
    struct buffer text = {0};

    EXPECT(!generate_matching(&random, "((((a{0}){9999}){9999}){9999}){9999}", 3, &text));
    buffer_fini(&text);
}

RUN_TESTS(TEST_ROW(a_value_is_made_for_each_schema_that_has_one),
          TEST_ROW(examples_and_defaults_are_taken_where_that_is_wanted),
          TEST_ROW(another_seed_makes_another_value), TEST_ROW(what_no_value_fits_makes_none_and_ends),
          TEST_ROW(a_repeated_nothing_ends))
