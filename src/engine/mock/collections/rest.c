#include "rest.h"
#include "base/compiler.h"
#include "base/number.h"
#include "base/utf8.h"
#include "engine/mock/json/json_plain.h"
#include "engine/mock/json/json_scan.h"
#include "engine/mock/json/json_text.h"
#include "message/entity_tag.h"

static void refuse_method(struct answer *answer, enum place place, enum compat compat)
{
    answer_refuse(answer, 405, BYTES("This place does not take that method"));
    buffer_append_literal(&answer->lines, "Allow: GET, HEAD, OPTIONS");
    switch (place) {
    case PLACE_NOTHING:
    case PLACE_DATABASE:
    case PLACE_ROOT: break;
    case PLACE_NESTED:
    case PLACE_COLLECTION: buffer_append_literal(&answer->lines, ", POST"); break;
    case PLACE_ITEM: buffer_append_literal(&answer->lines, ", PUT, PATCH, DELETE"); break;
    case PLACE_OBJECT:
        buffer_append(&answer->lines,
                      compat == COMPAT_0_17 ? BYTES(", POST, PUT, PATCH") : BYTES(", PUT, PATCH"));
        break;
    }
    buffer_append_literal(&answer->lines, "\r\n");
}

/* The refusal for what the documents, or the making of a text, could not do. */
static void refuse_err(struct documents *documents, struct answer *answer, enum err err)
{
    if (err == ERR_MISSING)
        answer_json(answer, 404,
                    documents_compat(documents) == COMPAT_0_17 ? BYTES("{}")
                                                               : BYTES("{\"error\":\"Not Found\"}"));
    else if (err == ERR_FULL)
        answer_refuse(answer, 507, BYTES("The documents have no more room"));
    else if (err == ERR_EXISTS)
        answer_refuse(answer, 409, BYTES("There is an item with that id"));
    else if (err == ERR_RANGE)
        answer_refuse(
            answer, 400,
            BYTES("The query takes too many steps; make its patterns simpler or its conditions fewer"));
    else if (err == ERR_TOO_LARGE)
        answer_refuse(answer, 400,
                      BYTES("The answer would be too large; ask for a part of it with _limit or _page"));
    else
        answer_refuse(answer, 503, bytes_of_text(err_text(err)));
}

/* ---- preconditions (RFC 9110 §13.1) ------------------------------------------------------------ */

static bool may_change(const struct http_request *request, const struct text *current)
{
    bool has;
    return !entity_tag_condition(&request->fields, HTTP_HEADER_IF_MATCH, text_etag(current), &has) || has;
}

static bool is_not_modified(const struct http_request *request, const struct text *current)
{
    bool has;
    return entity_tag_condition(&request->fields, HTTP_HEADER_IF_NONE_MATCH, text_etag(current), &has) &&
           has;
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static bool refuse_coding(const struct http_request *request, struct answer *answer)
{
    const struct http_field *coding = http_fields_find_name(&request->fields, BYTES("Content-Encoding"));

    if (coding == NULL || bytes_equal_nocase(coding->value, BYTES("identity")))
        return false;
    answer_refuse(answer, 415, BYTES("Body must have no content coding"));
    buffer_append_literal(&answer->lines, "Accept-Encoding: identity\r\n");
    return true;
}

/* The body as an object of the caller's; null with `answer` refused. */
static json_t *parse_object(struct documents *documents, const struct http_request *request,
                            struct bytes body, struct answer *answer)
{
    struct buffer sentence = {0};
    json_t *object = NULL;
    enum err err;

    if (refuse_coding(request, answer))
        return NULL;
    if (body.size == 0) {
        object = json_object();
        if (object == NULL)
            refuse_err(documents, answer, ERR_NO_MEMORY);
        return object;
    }
    buffer_append_literal(&sentence, "Body is not JSON: ");
    err = json_text_parse(body, &object, &sentence);
    if (err == ERR_SYNTAX)
        answer_refuse(answer, 400, buffer_bytes(&sentence));
    else if (err != OK)
        refuse_err(documents, answer, err);
    buffer_fini(&sentence);
    if (object != NULL && !json_is_object(object)) {
        answer_json(answer, 400, BYTES("{\"error\":\"Body must be a JSON object\"}"));
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* The text of `object`; null without memory. */
static struct text *make_text(const json_t *object)
{
    struct buffer json = {0};
    struct text *text = NULL;

    json_text_append(&json, object);
    if (!json.failed)
        text = text_create(buffer_bytes(&json));
    buffer_fini(&json);
    return text;
}

/* Sets the id of `object`, as it stands in JSON. */
static bool set_id(struct documents *documents, json_t *object, struct item_id id)
{
    struct bytes name = documents_id_name(documents);
    int64_t number;
    json_t *value = id.is_number && int64_parse(id.text, &number)
                        ? json_integer(number)
                        : json_stringn(id.text.data, id.text.size);

    return json_object_setn_new(object, name.data, name.size, value) == 0;
}

/* The id that `object` brings itself, in `text`; an empty one if it brings none that counts. False, with
 * `answer` refused, if it cannot be one. */
static bool own_id(struct documents *documents, const json_t *object, struct buffer *text,
                   struct item_id *id, struct answer *answer)
{
    struct bytes name = documents_id_name(documents);
    const json_t *value = json_object_getn(object, name.data, name.size);

    *id = (struct item_id){0};
    if (documents_compat(documents) == COMPAT_1 || value == NULL || json_is_null(value) ||
        (json_is_integer(value) && json_integer_value(value) == 0))
        return true; /* json-server 1 gives its own whatever the body says */
    if (json_is_string(value))
        buffer_append(text, bytes_of(json_string_value(value), json_string_length(value)));
    else if (json_is_integer(value))
        buffer_append_int64(text, json_integer_value(value));
    else if (json_is_real(value))
        scalar_append_number(text, json_real_value(value));
    if ((text->size == 0 && !json_is_string(value)) || text->size > LOCATOR_PART_BYTES_MAX) {
        answer_refuse(answer, 400, BYTES("An id must be a string of at most 512 bytes or a number"));
        return false;
    }
    *id = (struct item_id){buffer_bytes(text), json_is_number(value)};
    return true;
}

/* ---- writes ------------------------------------------------------------------------------------ */

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

/* What is to become an item. */
struct draft {
    json_t *object;      /* null: it is */
    struct buffer plain; /* the text, up to its last brace, of an object that has no id */
};

static void draft_fini(struct draft *draft)
{
    json_decref(draft->object);
    buffer_fini(&draft->plain);
}

/* The body as a draft; false with `answer` refused. */
static bool draft_begin(struct documents *documents, const struct http_request *request, struct bytes body,
                        bool may_be_plain, struct draft *draft, struct answer *answer)
{
    struct bytes id;

    *draft = (struct draft){0};
    if (may_be_plain && !refuse_coding(request, answer) &&
        json_plain_append(&draft->plain, body, documents_id_name(documents), &id) && id.size == 0) {
        draft->plain.size--;
        return true;
    }
    buffer_fini(&draft->plain);
    if (answer->status == 0)
        draft->object = parse_object(documents, request, body, answer);
    return draft->object != NULL;
}

/* The text of a plain draft with `id` behind its other members; null without memory. */
static struct text *make_plain_text(struct documents *documents, struct buffer *plain, struct item_id id)
{
    size_t size = plain->size;
    struct text *text;

    if (size > 1)
        buffer_append_byte(plain, ',');
    json_text_append_string(plain, documents_id_name(documents));
    buffer_append_byte(plain, ':');
    if (id.is_number)
        buffer_append(plain, id.text);
    else
        json_text_append_string(plain, id.text);
    buffer_append_byte(plain, '}');
    text = plain->failed ? NULL : text_create(buffer_bytes(plain));
    plain->size = size; /* another id may be tried */
    return text;
}

/* The text of what the draft is with an id of our choice, or without one with what it has; null without
 * memory. */
static struct text *draft_text(struct documents *documents, struct draft *draft, struct item_id chosen)
{
    if (draft->object == NULL)
        return make_plain_text(documents, &draft->plain, chosen);
    if (chosen.text.size > 0 && !set_id(documents, draft->object, chosen))
        return NULL;
    return make_text(draft->object);
}

/* Adds what `draft` says, with an id of its own or of our choice, to the collection `name`. */
static enum err insert_draft(struct documents *documents, struct bytes name, struct draft *draft,
                             struct buffer *id_text, struct item_id id, struct answer *answer)
{
    enum { TRIES_MAX = 1000 }; /* each is lost to another writer that took the id meanwhile */
    bool is_chosen = id.text.size == 0;
    int try_count = 0;
    enum err err;

    do {
        text_release(answer->text);
        answer->text = NULL;
        if (is_chosen) {
            err = documents_choose_id(documents, name, id_text, &id.is_number);
            if (err != OK)
                return err;
            id.text = buffer_bytes(id_text);
        }
        answer->text = draft_text(documents, draft, is_chosen ? id : (struct item_id){0});
        if (answer->text == NULL)
            return ERR_NO_MEMORY;
        err = documents_insert(documents, name, id, answer->text);
    } while (err == ERR_EXISTS && is_chosen && ++try_count < TRIES_MAX);
    return err == ERR_EXISTS && is_chosen ? ERR_CHANGED : err;
}

/* Has the draft, which is values, refer to the item that the path names. */
static enum err refer(struct documents *documents, const struct locator *locator, struct draft *draft)
{
    struct buffer key = {0};
    enum err err = OK;

    documents_foreign_key(documents, locator->name, &key);
    if (key.failed || json_object_setn_new(draft->object, key.data, key.size,
                                           json_stringn(locator->id.data, locator->id.size)) != 0)
        err = ERR_NO_MEMORY;
    buffer_fini(&key);
    return err;
}

/* POST to a collection, or to the items of one that refer to an item of another. */
static void create_item(struct documents *documents, const struct http_request *request, struct bytes body,
                        const struct locator *locator, struct answer *answer)
{
    struct bytes name = locator->has_nested ? locator->nested : locator->name;
    struct item_id id = {0};
    struct buffer id_text = {0};
    struct draft draft;
    enum err err = OK;

    if (locator->has_nested && !utf8_is_whole(locator->id)) { /* it is to stand in JSON */
        answer_refuse(answer, 400, BYTES("An id must be UTF-8"));
        return;
    }
    if (!draft_begin(documents, request, body, !locator->has_nested, &draft, answer))
        return;
    if (locator->has_nested)
        err = refer(documents, locator, &draft);
    if (err == OK && draft.object != NULL && !own_id(documents, draft.object, &id_text, &id, answer)) {
        draft_fini(&draft);
        buffer_fini(&id_text);
        return;
    }
    if (err == OK)
        err = insert_draft(documents, name, &draft, &id_text, id, answer);
    draft_fini(&draft);
    if (err != OK) {
        refuse_err(documents, answer, err);
    } else {
        answer->status = 201;
        buffer_append_literal(&answer->lines, "Location: ");
        append_segment(&answer->lines, name);
        append_segment(&answer->lines, id.text.size > 0 ? id.text : buffer_bytes(&id_text));
        buffer_append_literal(&answer->lines, "\r\nAccess-Control-Expose-Headers: Location\r\n");
    }
    buffer_fini(&id_text);
}

/* Gives `object` the id that the item with the text `current` has. */
static bool keep_id(struct documents *documents, const struct text *current, json_t *object)
{
    struct bytes name = documents_id_name(documents), value;
    struct buffer quoted = {0}, message = {0};
    json_t *id;
    bool ok = false;

    json_text_append_string(&quoted, name);
    if (!quoted.failed && json_scan_member(text_bytes(current), buffer_bytes(&quoted), &value) &&
        json_text_parse(value, &id, &message) == OK)
        ok = json_object_setn_new(object, name.data, name.size, id) == 0;
    buffer_fini(&quoted);
    buffer_fini(&message);
    return ok;
}

/* What is to be where `current` is, of `object`; null without memory. */
static struct text *renew(struct documents *documents, const struct http_request *request, bool is_item,
                          const struct text *current, json_t *object)
{
    struct buffer message = {0};
    struct text *text = NULL;
    json_t *merged = NULL;

    if (request->method != HTTP_METHOD_PATCH)
        return !is_item || keep_id(documents, current, object) ? make_text(object) : NULL;
    /* We wrote what is parsed here, so that only memory can be wanting. */
    if (json_text_parse(text_bytes(current), &merged, &message) == OK &&
        json_object_update(merged, object) == 0 && (!is_item || keep_id(documents, current, merged)))
        text = make_text(merged);
    json_decref(merged);
    buffer_fini(&message);
    return text;
}

/* PUT, PATCH and DELETE, and POST to a single object: read, make, swap in; again if somebody else was
 * faster. `object` is null for DELETE. */
static void change_place(struct documents *documents, const struct http_request *request,
                         const struct query *query, json_t *object, const struct locator *locator,
                         struct answer *answer)
{
    struct text *current, *text = NULL;
    enum err err;

    do {
        err = documents_read(documents, locator, &current);
        if (err != OK)
            break;
        if (!may_change(request, current)) {
            text_release(current);
            answer_refuse(answer, 412, BYTES("It is not, or no longer, what If-Match names"));
            return;
        }
        text = object == NULL ? text_hold(current)
                              : renew(documents, request, locator->has_id, current, object);
        if (text == NULL)
            err = ERR_NO_MEMORY;
        else if (object == NULL)
            err = documents_remove(documents, locator, current, query);
        else
            err = documents_swap(documents, locator, current, text);
        text_release(current);
        if (err != OK)
            text_release(text);
    } while (err == ERR_CHANGED);
    if (err != OK) {
        refuse_err(documents, answer, err);
        return;
    }
    answer->status = request->method == HTTP_METHOD_POST ? 201 : 200;
    answer->text = text;
    if (object == NULL && documents_compat(documents) == COMPAT_0_17) {
        text_release(text);
        answer->text = text_create(BYTES("{}"));
    }
}

static void write_place(struct documents *documents, const struct http_request *request, struct bytes body,
                        const struct locator *locator, struct answer *answer)
{
    json_t *object = parse_object(documents, request, body, answer);

    if (object != NULL)
        change_place(documents, request, NULL, object, locator, answer);
    json_decref(object);
}

static bool parse_query(struct documents *documents, const struct http_request *request,
                        struct query *query, struct answer *answer)
{
    struct buffer message = {0};
    enum err err = query_parse(request->query, documents_compat(documents), documents_id_name(documents),
                               query, &message);

    if (err == ERR_SYNTAX && !message.failed)
        answer_refuse(answer, 400, buffer_bytes(&message));
    else if (err != OK)
        refuse_err(documents, answer, ERR_NO_MEMORY);
    buffer_fini(&message);
    return err == OK;
}

static void remove_item(struct documents *documents, const struct http_request *request,
                        const struct locator *locator, struct answer *answer)
{
    struct query query;

    if (parse_query(documents, request, &query, answer))
        change_place(documents, request, &query, NULL, locator, answer);
    query_fini(&query);
}

/* ---- reads ------------------------------------------------------------------------------------- */

/* `answer` has the text of what was asked for, unless `err` says why not. */
static void answer_read(struct documents *documents, const struct http_request *request, enum err err,
                        struct answer *answer)
{
    if (err != OK) {
        refuse_err(documents, answer, err);
        return;
    }
    answer->status = 200;
    answer->is_read = true;
    if (is_not_modified(request, answer->text))
        answer->status = 304;
}

/* Appends `<URL>; rel="name"` for another page than this: the URL as it was asked for, but for "_page". */
static void append_link(struct buffer *line, const struct http_request *request, int64_t page,
                        const char *name)
{
    struct bytes query = request->query;
    bool first = true;

    if (line->data[line->size - 1] != ' ') /* of "Link: " */
        buffer_append_literal(line, ", ");
    buffer_append_byte(line, '<');
    if (request->authority.size > 0) {
        buffer_append(line, request->scheme.size > 0 ? request->scheme : BYTES("http"));
        buffer_append_literal(line, "://");
        buffer_append(line, request->authority);
    }
    buffer_append(line, request->path);
    while (query.size > 0) {
        const char *end = memchr(query.data, '&', query.size);
        struct bytes pair = bytes_first(query, end != NULL ? (size_t)(end - query.data) : query.size);
        query = end != NULL ? bytes_after(query, pair.size + 1) : (struct bytes){0};
        buffer_append_byte(line, first ? '?' : '&');
        first = false;
        if (bytes_start_with(pair, BYTES("_page="))) {
            buffer_append_format(line, "_page=%lld", (long long)page);
            continue;
        }
        for (size_t i = 0; i < pair.size; i++) /* what may not stand between < and > is encoded */
            if (pair.data[i] > ' ' && pair.data[i] < 0x7f && strchr("<>\"", pair.data[i]) == NULL)
                buffer_append_byte(line, pair.data[i]);
            else
                buffer_append_format(line, "%%%02X", (unsigned char)pair.data[i]);
    }
    buffer_append_format(line, ">; rel=\"%s\"", name);
}

/* What 0.17 says of the whole beside a part of it. */
static void append_counts(const struct http_request *request, const struct found *found,
                          struct buffer *lines)
{
    struct buffer link = {0};

    buffer_append_format(lines, "X-Total-Count: %zu\r\nAccess-Control-Expose-Headers: X-Total-Count%s\r\n",
                         found->total_count, found->is_paged ? ", Link" : "");
    if (!found->is_paged || found->is_empty_page || found->page_count <= 1)
        return;
    buffer_append_literal(&link, "Link: ");
    append_link(&link, request, 1, "first");
    if (found->page > 1)
        append_link(&link, request, found->page - 1, "prev");
    if (found->page < found->page_count)
        append_link(&link, request, found->page + 1, "next");
    append_link(&link, request, found->page_count, "last");
    if (!link.failed) {
        buffer_append(lines, buffer_bytes(&link));
        buffer_append_literal(lines, "\r\n");
    }
    buffer_fini(&link);
}

/* A list: of a collection, or of those of its items that refer to an item of another. */
static void list_items(struct documents *documents, const struct http_request *request,
                       const struct locator *locator, struct query *query, struct answer *answer)
{
    struct buffer key = {0};
    struct found found;
    enum err err = OK;

    if (locator->has_nested) {
        documents_foreign_key(documents, locator->name, &key);
        err = key.failed ? ERR_NO_MEMORY : query_add_relation(query, buffer_bytes(&key), locator->id);
        buffer_fini(&key);
    }
    if (err == OK)
        err = documents_list(documents, locator->has_nested ? locator->nested : locator->name, query,
                             &answer->text, &found);
    answer_read(documents, request, err, answer);
    if (err == OK && found.is_counted)
        append_counts(request, &found, &answer->lines);
}

static void answer_get(struct documents *documents, const struct http_request *request,
                       const struct locator *locator, struct answer *answer)
{
    enum place place = PLACE_NOTHING;
    struct query query;

    if (request->query.size > 0 || locator->has_nested)
        place = documents_place(documents, locator);
    if (place != PLACE_COLLECTION && place != PLACE_ITEM && place != PLACE_NESTED) {
        answer_read(documents, request, documents_read(documents, locator, &answer->text), answer);
        return;
    }
    if (parse_query(documents, request, &query, answer)) {
        if (place != PLACE_ITEM)
            list_items(documents, request, locator, &query, answer);
        else if (query.embed_count + query.expand_count > 0)
            answer_read(documents, request,
                        documents_read_related(documents, locator, &query, &answer->text), answer);
        else
            answer_read(documents, request, documents_read(documents, locator, &answer->text), answer);
    }
    query_fini(&query);
}

static void answer_options(const struct http_request *request, struct answer *answer)
{
    const struct http_field *wanted =
        http_fields_find_name(&request->fields, BYTES("Access-Control-Request-Headers"));

    answer->status = 204;
    buffer_append_literal(&answer->lines,
                          "Access-Control-Allow-Methods: GET, HEAD, PUT, PATCH, POST, DELETE\r\n"
                          "Access-Control-Allow-Headers: ");
    buffer_append(&answer->lines,
                  wanted != NULL && wanted->value.size > 0 ? wanted->value : BYTES("content-type"));
    buffer_append_literal(&answer->lines, "\r\nVary: Access-Control-Request-Headers\r\n");
}

/* The method that a POST asks for with X-HTTP-Method-Override, for clients that can send no other. */
static enum http_method overriding(const struct http_request *request)
{
    const struct http_field *field =
        http_fields_find_name(&request->fields, BYTES("X-HTTP-Method-Override"));
    enum http_method method = field != NULL ? http_method_find(field->value) : HTTP_METHOD_OTHER;

    return method == HTTP_METHOD_PUT || method == HTTP_METHOD_PATCH || method == HTTP_METHOD_DELETE
               ? method
               : request->method;
}

static void answer_write(struct documents *documents, const struct http_request *request, struct bytes body,
                         const struct locator *locator, struct answer *answer)
{
    enum place place = documents_place(documents, locator);
    enum compat compat = documents_compat(documents);
    bool changes = request->method == HTTP_METHOD_PUT || request->method == HTTP_METHOD_PATCH;

    if (place == PLACE_NOTHING)
        refuse_err(documents, answer, ERR_MISSING);
    else if ((place == PLACE_COLLECTION || place == PLACE_NESTED) && request->method == HTTP_METHOD_POST)
        create_item(documents, request, body, locator, answer);
    else if ((place == PLACE_ITEM || place == PLACE_OBJECT) && changes)
        write_place(documents, request, body, locator, answer);
    else if (place == PLACE_OBJECT && request->method == HTTP_METHOD_POST && compat == COMPAT_0_17)
        write_place(documents, request, body, locator, answer);
    else if (place == PLACE_ITEM && request->method == HTTP_METHOD_DELETE)
        remove_item(documents, request, locator, answer);
    else
        refuse_method(answer, place, compat);
}

void rest_answer(struct documents *documents, const struct http_request *request, struct bytes body,
                 struct answer *answer)
{
    struct http_request overridden;
    struct locator locator;
    enum err err;

    *answer = (struct answer){0};
    if (request->method == HTTP_METHOD_OPTIONS) { /* of "*" too */
        answer_options(request, answer);
        return;
    }
    err = locator_parse(request->path, &locator);
    if (err == ERR_SYNTAX) {
        answer_refuse(answer, 400, BYTES("Malformed percent-encoding in the path"));
    } else if (err != OK) {
        refuse_err(documents, answer, err);
    } else if (request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD) {
        answer_get(documents, request, &locator, answer);
    } else {
        overridden = *request;
        if (request->method == HTTP_METHOD_POST)
            overridden.method = overriding(request);
        answer_write(documents, &overridden, body, &locator, answer);
    }
}
