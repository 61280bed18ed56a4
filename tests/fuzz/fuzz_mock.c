/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* Whatever is asked of the documents, one line each ("METHOD target", then a body), every answer's body is
 * strict JSON with as many bytes as it says, and every collection stays readable. A first line that begins
 * with '{' is the document itself. */
#undef NDEBUG /* the assertions are the test */
#include "engine/mock/collections/rest.h"
#include "engine/mock/json/json_text.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fallback[] =
    "{\"posts\":[{\"id\":1,\"title\":\"a\"},{\"id\":\"b/c\"}],\"tags\":[],\"profile\":{\"x\":1.5}}";

/* Cuts the bytes up to `end` off `*rest`; all of it if there is none. */
static struct bytes cut(struct bytes *rest, char end)
{
    const char *at = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;
    struct bytes piece = at != NULL ? bytes_first(*rest, (size_t)(at - rest->data)) : *rest;

    *rest = at != NULL ? bytes_after(*rest, piece.size + 1) : (struct bytes){0};
    return piece;
}

static void check_json(struct bytes text)
{
    struct buffer message = {0};
    json_t *value = NULL;

    assert(json_text_parse(text, &value, &message) == OK);
    json_decref(value);
    buffer_fini(&message);
}

static void ask(struct documents *documents, struct bytes line, struct bytes body)
{
    struct bytes method = cut(&line, ' ');
    struct bytes path = cut(&line, '?');
    struct http_request request = {.method = http_method_find(method), .method_name = method, .path = path};
    struct answer answer;

    request.query = line;
    request.has_query = line.data != NULL;
    rest_answer(documents, &request, body, &answer);
    assert(answer.status >= 200 && answer.status < 600);
    assert(!answer.is_read || answer.text != NULL);
    assert(answer.status == 204 || answer.text != NULL);
    for (size_t i = 0; i < answer.lines.size; i++)
        assert(answer.lines.data[i] != '\n' || (i > 0 && answer.lines.data[i - 1] == '\r'));
    if (answer.text != NULL)
        check_json(text_bytes(answer.text));
    answer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size), document = bytes_of_text(fallback);
    struct buffer message = {0};
    struct documents_options options = {.growth_bytes_max = 1 << 20};
    struct documents *documents = NULL;
    enum err err;

    if (size > 0 && data[0] == '{')
        document = cut(&rest, '\n');
    options.compat = size % 2 == 0 ? COMPAT_1 : COMPAT_0_17;
    err = documents_create(document, &options, &documents, &message);
    assert(err == OK || err == ERR_SYNTAX);
    assert((err == OK) == (documents != NULL) && (err == OK) == (message.size == 0));
    for (int i = 0; documents != NULL && rest.size > 0 && i < 16; i++) {
        struct bytes line = cut(&rest, '\n');
        ask(documents, line, cut(&rest, '\n'));
    }
    if (documents != NULL) {
        ask(documents, BYTES("GET /"), (struct bytes){0});
        ask(documents, BYTES("GET /posts"), (struct bytes){0});
        ask(documents, BYTES("GET /tags"), (struct bytes){0});
    }
    documents_destroy(documents);
    buffer_fini(&message);
    return 0;
}
