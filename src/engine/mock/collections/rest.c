#include "rest.h"
#include "engine/mock/json/json_text.h"

static void refuse_method(struct answer *answer, enum place place)
{
    answer_refuse(answer, 405, BYTES("This place does not take that method"));
    buffer_append_literal(&answer->lines, "Allow: GET, HEAD, OPTIONS");
    switch (place) {
    case PLACE_NOTHING:
    case PLACE_ROOT: break;
    case PLACE_COLLECTION: buffer_append_literal(&answer->lines, ", POST"); break;
    case PLACE_ITEM: buffer_append_literal(&answer->lines, ", PUT, PATCH, DELETE"); break;
    case PLACE_OBJECT: buffer_append_literal(&answer->lines, ", PUT, PATCH"); break;
    }
    buffer_append_literal(&answer->lines, "\r\n");
}

/* The refusal for what the documents, or the making of a text, could not do. */
static void refuse_err(struct answer *answer, enum err err)
{
    if (err == ERR_MISSING)
        answer_json(answer, 404, BYTES("{\"error\":\"Not Found\"}"));
    else if (err == ERR_FULL)
        answer_refuse(answer, 507, BYTES("The documents have no more room"));
    else
        answer_refuse(answer, 503, bytes_of_text(err_text(err)));
}

/* ---- preconditions (RFC 9110 §13.1) ------------------------------------------------------------ */

/* Whether the list `tags` has `etag`. Anything malformed ends the list: what follows matches nothing. */
static bool tags_have(struct bytes tags, struct bytes etag, bool weakly)
{
    if (bytes_equal(bytes_trim(tags), BYTES("*")))
        return true;
    while (tags.size > 0) {
        bool weak = bytes_start_with(tags, BYTES("W/"));
        const char *end;
        if (tags.data[0] == ' ' || tags.data[0] == '\t' || tags.data[0] == ',') {
            tags = bytes_after(tags, 1);
            continue;
        }
        if (weak)
            tags = bytes_after(tags, 2);
        if (tags.size < 2 || tags.data[0] != '"' ||
            (end = memchr(tags.data + 1, '"', tags.size - 1)) == NULL)
            return false;
        if ((weakly || !weak) && bytes_equal(bytes_first(tags, (size_t)(end - tags.data) + 1), etag))
            return true;
        tags = bytes_after(tags, (size_t)(end - tags.data) + 1);
    }
    return false;
}

/* True if the field is absent, leaving `*has`, or else with `*has` set to whether a line of it has the tag.
 */
static bool is_absent(const struct http_request *request, enum http_header header, struct bytes etag,
                      bool *has)
{
    bool absent = true;

    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        if (field->header != header)
            continue;
        if (absent)
            *has = false;
        absent = false;
        *has |= tags_have(field->value, etag, header == HTTP_HEADER_IF_NONE_MATCH);
    }
    return absent;
}

static bool may_change(const struct http_request *request, const struct text *current)
{
    bool has = false;
    return is_absent(request, HTTP_HEADER_IF_MATCH, text_etag(current), &has) || has;
}

static bool is_not_modified(const struct http_request *request, const struct text *current)
{
    bool has = false;
    return !is_absent(request, HTTP_HEADER_IF_NONE_MATCH, text_etag(current), &has) && has;
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static const struct http_field *field_named(const struct http_request *request, struct bytes name)
{
    for (size_t i = 0; i < request->fields.count; i++)
        if (bytes_equal_nocase(request->fields.list[i].name, name))
            return &request->fields.list[i];
    return NULL;
}

/* The body as an object of the caller's; null with `answer` refused. */
static json_t *parse_object(const struct http_request *request, struct bytes body, struct answer *answer)
{
    const struct http_field *coding = field_named(request, BYTES("Content-Encoding"));
    struct buffer sentence = {0};
    json_t *object = NULL;
    enum err err;

    if (coding != NULL && !bytes_equal_nocase(coding->value, BYTES("identity"))) {
        answer_refuse(answer, 415, BYTES("Body must have no content coding"));
        buffer_append_literal(&answer->lines, "Accept-Encoding: identity\r\n");
        return NULL;
    }
    if (body.size == 0) {
        object = json_object();
        if (object == NULL)
            refuse_err(answer, ERR_NO_MEMORY);
        return object;
    }
    buffer_append_literal(&sentence, "Body is not JSON: ");
    err = json_text_parse(body, &object, &sentence);
    if (err == ERR_SYNTAX)
        answer_refuse(answer, 400, buffer_bytes(&sentence));
    else if (err != OK)
        refuse_err(answer, err);
    buffer_fini(&sentence);
    if (object != NULL && !json_is_object(object)) {
        answer_json(answer, 400, BYTES("{\"error\":\"Body must be a JSON object\"}"));
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* The text of `object` with its id, unless that is empty, set to `id`. Null without memory. */
static struct text *make_text(json_t *object, struct bytes id)
{
    struct buffer json = {0};
    struct text *text = NULL;

    if (id.size > 0 && json_object_set_new(object, "id", json_stringn(id.data, id.size)) != 0)
        return NULL;
    json_text_append(&json, object);
    if (!json.failed)
        text = text_create(buffer_bytes(&json));
    buffer_fini(&json);
    return text;
}

/* ---- methods ----------------------------------------------------------------------------------- */

static void read_place(struct documents *documents, const struct http_request *request,
                       const struct locator *locator, struct answer *answer)
{
    enum err err = documents_read(documents, locator, &answer->text);

    if (err != OK) {
        refuse_err(answer, err);
        return;
    }
    answer->status = 200;
    answer->is_read = true;
    if (is_not_modified(request, answer->text))
        answer->status = 304;
}

/* Appends `part` as a path segment: all but unreserved characters percent-encoded (RFC 3986 §2.3). */
static void append_segment(struct buffer *line, struct bytes part)
{
    buffer_append_byte(line, '/');
    for (size_t i = 0; i < part.size; i++) {
        unsigned char c = (unsigned char)part.data[i], lower = c | 0x20;
        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
            (c != '\0' && strchr("-._~", c) != NULL))
            buffer_append_byte(line, (char)c);
        else
            buffer_append_format(line, "%%%02X", c);
    }
}

static void create_item(struct documents *documents, const struct http_request *request, struct bytes body,
                        const struct locator *locator, struct answer *answer)
{
    json_t *object = parse_object(request, body, answer);
    char random[RANDOM_ID_BYTES];
    struct bytes id = bytes_of(random, sizeof random);
    enum err err;

    if (object == NULL)
        return;
    do {
        text_release(answer->text);
        random_id_make(random);
        answer->text = make_text(object, id);
        err = answer->text == NULL ? ERR_NO_MEMORY
                                   : documents_insert(documents, locator->name, id, answer->text);
    } while (err == ERR_EXISTS);
    json_decref(object);
    if (err != OK) {
        refuse_err(answer, err);
        return;
    }
    answer->status = 201;
    buffer_append_literal(&answer->lines, "Location: ");
    append_segment(&answer->lines, locator->name);
    append_segment(&answer->lines, id);
    buffer_append_literal(&answer->lines, "\r\n");
}

/* The item at `current` with the members of `object` put over its own; null without memory. */
static struct text *merge(const struct text *current, json_t *object, struct bytes id)
{
    struct buffer message = {0};
    struct text *text = NULL;
    json_t *merged;

    /* We wrote what is parsed here, so that only memory can be wanting. */
    if (json_text_parse(text_bytes(current), &merged, &message) == OK) {
        if (json_object_update(merged, object) == 0)
            text = make_text(merged, id);
        json_decref(merged);
    }
    buffer_fini(&message);
    return text;
}

/* PUT, PATCH and DELETE: read, make, swap in; again if somebody else was faster. */
static void change_place(struct documents *documents, const struct http_request *request, struct bytes body,
                         const struct locator *locator, struct answer *answer)
{
    bool removes = request->method == HTTP_METHOD_DELETE;
    json_t *object = removes ? NULL : parse_object(request, body, answer);
    struct text *current, *text = NULL;
    enum err err;

    if (object == NULL && !removes)
        return;
    do {
        err = documents_read(documents, locator, &current);
        if (err != OK)
            break;
        if (!may_change(request, current)) {
            text_release(current);
            json_decref(object);
            answer_refuse(answer, 412, BYTES("It is not, or no longer, what If-Match names"));
            return;
        }
        if (removes)
            text = text_hold(current);
        else if (request->method == HTTP_METHOD_PATCH)
            text = merge(current, object, locator->id);
        else
            text = make_text(object, locator->id);
        if (text == NULL)
            err = ERR_NO_MEMORY;
        else if (removes)
            err = documents_remove(documents, locator, current);
        else
            err = documents_swap(documents, locator, current, text);
        text_release(current);
        if (err != OK)
            text_release(text);
    } while (err == ERR_CHANGED);
    json_decref(object);
    if (err != OK) {
        refuse_err(answer, err);
        return;
    }
    answer->status = 200;
    answer->text = text;
}

static void answer_options(const struct http_request *request, struct answer *answer)
{
    const struct http_field *wanted = field_named(request, BYTES("Access-Control-Request-Headers"));

    answer->status = 204;
    buffer_append_literal(&answer->lines,
                          "Access-Control-Allow-Methods: GET, HEAD, PUT, PATCH, POST, DELETE\r\n"
                          "Access-Control-Allow-Headers: ");
    buffer_append(&answer->lines,
                  wanted != NULL && wanted->value.size > 0 ? wanted->value : BYTES("content-type"));
    buffer_append_literal(&answer->lines, "\r\nVary: Access-Control-Request-Headers\r\n");
}

/* The first parameter that would have to change the answer and does not yet; empty if there is none. */
static struct bytes unsupported_parameter(const struct http_request *request, enum place place)
{
    struct bytes query = request->query;

    while (query.size > 0) {
        const char *end = memchr(query.data, '&', query.size);
        struct bytes name = bytes_first(query, end != NULL ? (size_t)(end - query.data) : query.size);
        const char *equals = memchr(name.data, '=', name.size);
        query = end != NULL ? bytes_after(query, name.size + 1) : bytes_of(NULL, 0);
        if (equals != NULL)
            name.size = (size_t)(equals - name.data);
        if (name.size > 0 && (place == PLACE_COLLECTION || bytes_equal(name, BYTES("_embed")) ||
                              bytes_equal(name, BYTES("_expand"))))
            return name;
    }
    return (struct bytes){0};
}

static void answer_get(struct documents *documents, const struct http_request *request,
                       const struct locator *locator, struct answer *answer)
{
    struct bytes parameter = {0};

    if (request->query.size > 0)
        parameter = unsupported_parameter(request, documents_place(documents, locator));
    if (parameter.size == 0) {
        read_place(documents, request, locator, answer);
        return;
    }
    struct buffer sentence = {0};
    buffer_append_literal(&sentence, "Query parameter not supported: ");
    for (size_t i = 0; i < parameter.size; i++) /* as it was sent, but for bytes that need not be UTF-8 */
        buffer_append_byte(&sentence,
                           parameter.data[i] >= ' ' && parameter.data[i] <= '~' ? parameter.data[i] : '?');
    answer_refuse(answer, 400, buffer_bytes(&sentence));
    buffer_fini(&sentence);
}

void rest_answer(struct documents *documents, const struct http_request *request, struct bytes body,
                 struct answer *answer)
{
    struct locator locator;
    enum place place;
    enum err err;

    *answer = (struct answer){0};
    if (request->method == HTTP_METHOD_OPTIONS) { /* of "*" too */
        answer_options(request, answer);
        return;
    }
    err = locator_parse(request->path, &locator);
    if (err != OK) {
        if (err == ERR_SYNTAX)
            answer_refuse(answer, 400, BYTES("Malformed percent-encoding in the path"));
        else
            refuse_err(answer, err);
        return;
    }
    if (request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD) {
        answer_get(documents, request, &locator, answer);
        return;
    }
    place = documents_place(documents, &locator);
    if (place == PLACE_NOTHING)
        refuse_err(answer, ERR_MISSING);
    else if (place == PLACE_COLLECTION && request->method == HTTP_METHOD_POST)
        create_item(documents, request, body, &locator, answer);
    else if ((place == PLACE_ITEM || place == PLACE_OBJECT) &&
             (request->method == HTTP_METHOD_PUT || request->method == HTTP_METHOD_PATCH ||
              (request->method == HTTP_METHOD_DELETE && place == PLACE_ITEM)))
        change_place(documents, request, body, &locator, answer);
    else
        refuse_method(answer, place);
}
