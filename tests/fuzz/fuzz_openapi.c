/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* Whatever the document says, it is refused with a sentence, or every one of its operations answers; what
 * is made of a schema fits it. The first line is a request ("METHOD target", then its body), the rest the
 * document. */
#undef NDEBUG /* the assertions are the test */
#include "engine/mock/json/json_text.h"
#include "engine/mock/openapi/openapi.h"
#include "engine/mock/schema/generate.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the bytes up to `end` off `*rest`; all of it if there is none. */
static struct bytes cut(struct bytes *rest, char end)
{
    const char *at = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;
    struct bytes piece = at != NULL ? bytes_first(*rest, (size_t)(at - rest->data)) : *rest;

    *rest = at != NULL ? bytes_after(*rest, piece.size + 1) : (struct bytes){0};
    return piece;
}

static void ask(struct openapi *openapi, struct bytes line)
{
    struct bytes method = cut(&line, ' '), target = cut(&line, ' '), path = cut(&target, '?');
    struct http_request request = {.method = http_method_find(method), .method_name = method, .path = path};
    struct answer answer;

    request.query = target;
    request.has_query = target.data != NULL;
    openapi_answer(openapi, &request, line, &answer);
    assert(answer.status >= 100 && answer.status < 600);
    for (size_t i = 0; i < answer.lines.size; i++)
        assert(answer.lines.data[i] != '\n' || (i > 0 && answer.lines.data[i - 1] == '\r'));
    answer_fini(&answer);
}

/* The document as a schema, and the line as a value. */
static void check(struct bytes line, struct bytes text)
{
    struct document *document = NULL;
    struct buffer message = {0};
    struct schemas *schemas;
    const struct schema *schema;
    json_t *value = NULL;

    if (document_create("", text, &document, &message) == OK) {
        schemas = schemas_create(document, SCHEMA_2020_12);
        assert(schemas != NULL);
        schema = schemas_add(schemas, document_root(document));
        schemas_finish(schemas);
        if (document_error(document, &message) == OK) {
            struct generate_options options = {.seed = line.size};
            if (json_text_parse(line, &value, &message) == OK)
                schema_fits(schema, value, SCHEMA_TO_SERVER, NULL, "", "");
            json_decref(value);
            value = generate_value(schema, &options);
            json_decref(value);
        }
        schemas_destroy(schemas);
        document_destroy(document);
    }
    buffer_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size), line = cut(&rest, '\n');
    struct openapi_options options = {.path = "/nowhere/openapi.yaml", .is_dynamic = size % 2 == 0};
    struct openapi *openapi = NULL;
    struct buffer message = {0};
    enum err err;

    check(line, rest);
    err = openapi_create(rest, &options, &openapi, &message);
    assert(err == OK || err == ERR_SYNTAX);
    assert((err == OK) == (openapi != NULL) && (err == OK) == (message.size == 0));
    if (openapi != NULL)
        ask(openapi, line);
    openapi_release(openapi);
    buffer_fini(&message);
    return 0;
}
