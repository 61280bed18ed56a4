/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* Rows of schemas with values that fit and values that do not are in tests/schema; here is what rows cannot
 * say. */
#include "engine/mock/json/json_text.h"
#include "engine/mock/schema/schema_check.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

struct compiled {
    struct document *document;
    struct schemas *schemas;
    const struct schema *schema;
    struct buffer message;
    enum err err;
};

static struct compiled compile(struct bytes text, enum schema_dialect dialect)
{
    struct compiled compiled = {0};

    compiled.err = document_create("schema.json", text, &compiled.document, &compiled.message);
    if (compiled.err != OK)
        return compiled;
    compiled.schemas = schemas_create(compiled.document, dialect);
    compiled.schema = schemas_add(compiled.schemas, document_root(compiled.document));
    schemas_finish(compiled.schemas);
    compiled.err = document_error(compiled.document, &compiled.message);
    return compiled;
}

static void drop(struct compiled *compiled)
{
    schemas_destroy(compiled->schemas);
    document_destroy(compiled->document);
    buffer_fini(&compiled->message);
}

static json_t *parse(struct bytes text)
{
    struct buffer message = {0};
    json_t *value = NULL;

    if (json_text_parse(text, &value, &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    buffer_fini(&message);
    return value;
}

static struct bytes read_file(const char *path, struct buffer *contents)
{
    FILE *file = fopen(path, "r");
    char piece[4096];
    size_t size;

    assert_non_null(file);
    while ((size = fread(piece, 1, sizeof piece, file)) > 0)
        buffer_append(contents, bytes_of(piece, size));
    fclose(file);
    return buffer_bytes(contents);
}

static void check_values(const struct compiled *compiled, const json_t *row, const char *which, bool fits)
{
    json_t *values = json_object_get(row, which), *value;
    size_t index;

    json_array_foreach(values, index, value)
    {
        struct violations violations = {0};
        bool is = schema_fits(compiled->schema, value, SCHEMA_TO_CLIENT, &violations, "body", "");
        bool is_quietly = schema_fits(compiled->schema, value, SCHEMA_TO_CLIENT, NULL, "body", "");
        if (is != fits || is_quietly != fits || is != (violations.count == 0)) {
            char *schema = json_dumps(json_object_get(row, "schema"), JSON_ENCODE_ANY);
            char *shown = json_dumps(value, JSON_ENCODE_ANY);
            print_error("%s should %sfit %s: %.*s\n", shown, fits ? "" : "not ", schema,
                        BYTES_PRINTF(buffer_bytes(&violations.json)));
            free(schema);
            free(shown);
            fail();
        }
        violations_fini(&violations);
    }
}

static void check_rows(const char *path, enum schema_dialect dialect)
{
    struct buffer contents = {0};
    json_t *rows = parse(read_file(path, &contents)), *row;
    size_t index;

    json_array_foreach(rows, index, row)
    {
        struct buffer text = {0};
        struct compiled compiled;
        json_text_append(&text, json_object_get(row, "schema"));
        compiled = compile(buffer_bytes(&text), dialect);
        if (compiled.err != OK)
            fail_msg("%.*s: %.*s", BYTES_PRINTF(buffer_bytes(&text)),
                     BYTES_PRINTF(buffer_bytes(&compiled.message)));
        check_values(&compiled, row, "valid", true);
        check_values(&compiled, row, "invalid", false);
        drop(&compiled);
        buffer_fini(&text);
    }
    json_decref(rows);
    buffer_fini(&contents);
}

TEST(values_fit_a_schema_of_2020_12_or_not)
{
    check_rows(SCHEMA_FOLDER "/rows_2020_12.json", SCHEMA_2020_12);
}
TEST(values_fit_a_schema_of_openapi_3_0_or_not)
{
    check_rows(SCHEMA_FOLDER "/rows_3_0.json", SCHEMA_OPENAPI_3_0);
}

TEST(what_does_not_fit_is_said_with_its_pointer)
{
    static const struct {
        const char *schema, *value, *said;
    } cases[] = {
        {"{\"type\":\"integer\"}", "\"x\"", "\"pointer\":\"\",\"detail\":\"must be an integer\""},
        {"{\"type\":[\"string\",\"null\"]}", "1", "must be a string or null"},
        {"{\"required\":[\"name\"]}", "{}", "must have \\\"name\\\""},
        {"{\"properties\":{\"a/b\":{\"items\":{\"type\":\"string\"}}}}", "{\"a/b\":[\"x\",2]}",
         "\"pointer\":\"/a~1b/1\",\"detail\":\"must be a string\""},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"b\":1}",
         "\"pointer\":\"/b\",\"detail\":\"is not known here\""},
        {"{\"enum\":[\"a\",\"b\"]}", "\"c\"", "must be one of [\\\"a\\\",\\\"b\\\"]"},
        {"{\"minimum\":0.1}", "0", "must be at least 0.1"},
        {"{\"format\":\"date\"}", "\"x\"", "must be a date such as 2026-01-31"},
        {"{\"pattern\":\"^a+$\"}", "\"b\"", "must match ^a+$"},
        {"{\"uniqueItems\":true}", "[1,2,1]", "0 and 2 are equal"},
        {"{\"minLength\":1}", "\"\"", "must have at least 1 character\""},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1", "at least one of the 2 schemas"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct compiled compiled = compile(bytes_of_text(cases[i].schema), SCHEMA_2020_12);
        json_t *value = parse(bytes_of_text(cases[i].value));
        struct violations violations = {0};
        EXPECT(!schema_fits(compiled.schema, value, SCHEMA_TO_SERVER, &violations, "body", ""));
        EXPECT_EQ(violations.count, 1);
        buffer_append_byte(&violations.json, '\0');
        if (strstr(violations.json.data, cases[i].said) == NULL)
            fail_msg("%s lacks %s", violations.json.data, cases[i].said);
        violations_fini(&violations);
        json_decref(value);
        drop(&compiled);
    }
}

TEST(a_schema_that_is_wrong_is_refused_with_its_place)
{
    static const struct {
        const char *schema, *said;
    } cases[] = {
        {"{\"type\":\"strng\"}", "line 1, column 2, at /type: type must be string"},
        {"{\n \"properties\": {\n  \"a\": {\"minimum\": \"1\"}}}",
         "line 3, column 9, at /properties/a/minimum: minimum must be a number"},
        {"{\"$ref\":\"#/nowhere\"}", "refers to \"/nowhere\", but \"nowhere\" is not there"},
        {"{\"$ref\":\"#nowhere\"}", "no such $anchor"},
        {"{\"$ref\":\"#\"}", "refers to itself in a circle"},
        {"{\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/b\"}]},\"b\":{\"$ref\":\"#/$defs/"
         "a\"}},\"$ref\":\"#/$defs/"
         "a\"}",
         "in a circle"},
        {"{\"pattern\":\"(\"}", "at /pattern: not a regular expression"},
        {"{\"patternProperties\":{\"[\":{}}}", "not a regular expression"},
        {"{\"minLength\":-1}", "must not be negative"},
        {"{\"multipleOf\":0}", "must be above 0"},
        {"{\"items\":5}", "a schema must be an object, true or false"},
        {"{\"required\":[1]}", "a name must be a string"},
        {"{\"$ref\":\"http://example.com/x\"}", "only files in the document's folder"},
        {"{\"$ref\":\"../x.json\"}", "only files in the document's folder"},
        {"{\"$ref\":\"/etc/passwd\"}", "only files in the document's folder"},
        {"{\"$ref\":\"no-such-file.json\"}", "cannot read no-such-file.json: not found"},
        {"{\"$ref\":\"#/%zz\"}", "'%' needs two digits"},
        {"{\"type\":\"strng\",\"minLength\":\"x\"}", "\n  line 1, column 17, at /minLength"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct compiled compiled = compile(bytes_of_text(cases[i].schema), SCHEMA_2020_12);
        EXPECT_EQ(compiled.err, ERR_SYNTAX);
        buffer_append_byte(&compiled.message, '\0');
        if (strstr(compiled.message.data, cases[i].said) == NULL)
            fail_msg("%s lacks %s", compiled.message.data, cases[i].said);
        drop(&compiled);
    }
}

TEST(what_is_read_only_need_not_come_from_the_client)
{
    struct compiled compiled =
        compile(BYTES("{\"required\":[\"id\",\"password\"],\"properties\":{\"id\":{\"readOnly\":true},"
                      "\"password\":{\"writeOnly\":true}}}"),
                SCHEMA_OPENAPI_3_0);
    json_t *sent = parse(BYTES("{\"password\":\"x\"}")), *shown = parse(BYTES("{\"id\":1}"));

    EXPECT(schema_fits(compiled.schema, sent, SCHEMA_TO_SERVER, NULL, "body", ""));
    EXPECT(!schema_fits(compiled.schema, sent, SCHEMA_TO_CLIENT, NULL, "body", ""));
    EXPECT(schema_fits(compiled.schema, shown, SCHEMA_TO_CLIENT, NULL, "body", ""));
    EXPECT(!schema_fits(compiled.schema, shown, SCHEMA_TO_SERVER, NULL, "body", ""));
    json_decref(sent);
    json_decref(shown);
    drop(&compiled);
}

TEST(a_check_ends_however_deep_or_twisted_the_value_is)
{
    /* Each level is checked twice over: 2^300 checks, if nothing stopped them. */
    struct compiled compiled =
        compile(BYTES("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"},\"minItems\":2},{\"items\":{"
                      "\"$ref\":\"#\"},\"minItems\":3}]}"),
                SCHEMA_2020_12);
    struct buffer text = {0};
    struct violations violations = {0};
    json_t *value;

    for (int i = 0; i < 100; i++)
        buffer_append_byte(&text, '[');
    for (int i = 0; i < 100; i++)
        buffer_append_byte(&text, ']');
    value = parse(buffer_bytes(&text));
    EXPECT(!schema_fits(compiled.schema, value, SCHEMA_TO_SERVER, &violations, "body", ""));
    EXPECT(violations.count >= 1);
    violations_fini(&violations);
    json_decref(value);
    buffer_clear(&text);
    for (int i = 0; i < 2000; i++)
        buffer_append_byte(&text, '[');
    for (int i = 0; i < 2000; i++)
        buffer_append_byte(&text, ']');
    value = parse(buffer_bytes(&text));
    EXPECT(!schema_fits(compiled.schema, value, SCHEMA_TO_SERVER, &violations, "body", ""));
    violations_fini(&violations);
    json_decref(value);
    buffer_fini(&text);
    drop(&compiled);
}

TEST(violations_are_counted_beyond_those_that_are_told)
{
    struct compiled compiled = compile(BYTES("{\"items\":{\"type\":\"string\"}}"), SCHEMA_2020_12);
    json_t *value = json_array();
    struct violations violations = {0};
    json_t *told;
    struct buffer text = {0};

    for (int i = 0; i < 1000; i++)
        json_array_append_new(value, json_integer(i));
    EXPECT(!schema_fits(compiled.schema, value, SCHEMA_TO_SERVER, &violations, "body", ""));
    EXPECT_EQ(violations.count, 1000);
    buffer_append_format(&text, "[%.*s]", BYTES_PRINTF(buffer_bytes(&violations.json)));
    told = parse(buffer_bytes(&text));
    EXPECT_EQ(json_array_size(told), VIOLATIONS_MAX);
    json_decref(told);
    json_decref(value);
    buffer_fini(&text);
    violations_fini(&violations);
    drop(&compiled);
}

RUN_TESTS(TEST_ROW(values_fit_a_schema_of_2020_12_or_not),
          TEST_ROW(values_fit_a_schema_of_openapi_3_0_or_not),
          TEST_ROW(what_does_not_fit_is_said_with_its_pointer),
          TEST_ROW(a_schema_that_is_wrong_is_refused_with_its_place),
          TEST_ROW(what_is_read_only_need_not_come_from_the_client),
          TEST_ROW(a_check_ends_however_deep_or_twisted_the_value_is),
          TEST_ROW(violations_are_counted_beyond_those_that_are_told))
