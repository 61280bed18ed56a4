#include "base/compiler.h"
#include "base/number.h"
#include "documents_state.h"
#include "engine/mock/json/json_plain.h"
#include "engine/mock/json/json_text.h"
#include <stdlib.h>

enum { PROGRESS_BYTES = 1 << 20 };

/* A db.json on its way into documents. Of its JSON one item at a time is parsed: the whole would take many
 * times its size. */
struct load {
    struct documents *documents;
    struct bytes json;
    struct buffer *message;
    size_t told_bytes;               /* to `progress` */
    const struct resource *foreseen; /* whose numbers that are still to come are known */
};

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_space(const struct load *load, size_t *at)
{
    while (*at < load->json.size && is_space(load->json.data[*at]))
        ++*at;
}

/* "line 3, column 7: ": where `at` is. */
static void append_position(const struct load *load, size_t at)
{
    size_t line = 1, begin = 0;

    for (size_t i = 0; i < at && i < load->json.size; i++)
        if (load->json.data[i] == '\n') {
            line++;
            begin = i + 1;
        }
    buffer_append_format(load->message, "line %zu, column %zu: ", line, at - begin + 1);
}

static enum err refuse_at(const struct load *load, size_t at, const char *sentence)
{
    append_position(load, at);
    buffer_append(load->message, bytes_of_text(sentence));
    return load->message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
}

/* `name` is the file's, so it is written as JSON. */
static enum err refuse_name(const struct load *load, size_t at, struct bytes name, const char *sentence)
{
    append_position(load, at);
    json_text_append_string(load->message, name);
    buffer_append(load->message, bytes_of_text(sentence));
    return load->message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
}

static enum err refuse_item(const struct load *load, size_t at, struct bytes name, size_t i,
                            const char *sentence)
{
    append_position(load, at);
    json_text_append_string(load->message, name);
    buffer_append_format(load->message, ", item %zu: %s", i + 1, sentence);
    return load->message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
}

static void tell_progress(struct load *load, size_t at)
{
    const struct documents_options *options = &load->documents->options;

    if (options->progress == NULL || (at < load->json.size && at - load->told_bytes < PROGRESS_BYTES))
        return;
    load->told_bytes = at;
    options->progress(options->watcher, at, load->json.size);
}

/* Parses what json_scan_value found at `at`; an error's position is that in the whole text. */
static enum err parse_part(struct load *load, size_t at, struct bytes part, json_t **value)
{
    struct buffer why = {0};
    size_t line = 1, begin = 0;
    int part_line, part_column, used = 0;
    enum err err = json_text_parse(part, value, &why);

    if (err == ERR_SYNTAX) {
        buffer_append_byte(&why, '\0');
        if (!why.failed &&
            sscanf(why.data, "line %d, column %d: %n", &part_line, &part_column, &used) == 2) {
            for (size_t i = 0; i < at; i++)
                if (load->json.data[i] == '\n') {
                    line++;
                    begin = i + 1;
                }
            buffer_append_format(load->message, "line %zu, column %zu: %s", line + (size_t)part_line - 1,
                                 part_line == 1 ? at - begin + (size_t)part_column : (size_t)part_column,
                                 why.data + used);
        }
        if (load->message->failed || why.failed)
            err = ERR_NO_MEMORY;
    }
    buffer_fini(&why);
    return err;
}

/* Finds and parses the value at `*at`. */
static enum err take_value(struct load *load, size_t *at, json_t **value)
{
    struct bytes part;
    size_t begin;

    skip_space(load, at);
    begin = *at;
    if (json_scan_value(load->json, at, &part))
        return parse_part(load, begin, part, value);
    /* Cut short, or no value at all: the parser says what is wrong with it. */
    return parse_part(load, begin, bytes_after(load->json, begin), value) == ERR_NO_MEMORY ? ERR_NO_MEMORY
                                                                                           : ERR_SYNTAX;
}

/* ---- ids --------------------------------------------------------------------------------------- */

static bool append_id(struct buffer *text, const json_t *id)
{
    if (json_is_string(id)) {
        buffer_append(text, bytes_of(json_string_value(id), json_string_length(id)));
        return true;
    }
    if (!json_is_number(id))
        return false;
    if (json_is_integer(id))
        buffer_append_int64(text, json_integer_value(id));
    else
        scalar_append_number(text, json_real_value(id));
    return true;
}

/* Items without an id get numbers above all that are ids, also of the items behind them: the text at `at`
 * on. */
static void foresee_numbers(struct load *load, struct resource *resource, size_t at)
{
    struct buffer name = {0};
    struct bytes item, id;
    int64_t number;

    load->foreseen = resource;
    json_text_append_string(&name, load->documents->options.id_name);
    while (!name.failed && json_scan_value(load->json, &at, &item)) {
        if (json_scan_member(item, buffer_bytes(&name), &id)) {
            if (id.size > 1 && id.data[0] == '"') /* "7": no number may be the same text */
                id = bytes_of(id.data + 1, id.size - 2);
            if (int64_parse(id, &number) && number > resource->number_max)
                resource->number_max = number;
        }
        skip_space(load, &at);
        if (at == load->json.size || load->json.data[at] != ',')
            break;
        at++;
    }
    buffer_fini(&name);
}

/* What the item is called, and as what it stands in JSON: the latter is put into `object`. */
static enum err settle_id(struct load *load, struct resource *resource, json_t *object, size_t at, size_t i,
                          struct buffer *text, bool *is_number)
{
    struct bytes id_name = load->documents->options.id_name;
    bool keeps_kind = load->documents->options.compat == COMPAT_0_17;
    json_t *id = json_object_getn(object, id_name.data, id_name.size);
    bool is_chosen = id == NULL || json_is_null(id);
    int64_t number;

    buffer_clear(text);
    *is_number = false;
    if (is_chosen) {
        if (keeps_kind && load->foreseen != resource)
            foresee_numbers(load, resource, at);
        resource_choose_id(load->documents, resource, keeps_kind, text, is_number);
    } else if (append_id(text, id)) {
        *is_number = keeps_kind && json_is_number(id);
    } else {
        return refuse_item(load, at, resource->name, i, "an id must be a string or a number");
    }
    if (text->failed)
        return ERR_NO_MEMORY;
    if (text->size == 0 || text->size > LOCATOR_PART_BYTES_MAX)
        return refuse_item(load, at, resource->name, i, "an id must have 1 to 512 bytes");
    if (!is_chosen && *is_number)
        return OK; /* as it stands */
    id = *is_number && int64_parse(buffer_bytes(text), &number) ? json_integer(number)
                                                                : json_stringn(text->data, text->size);
    return json_object_setn_new(object, id_name.data, id_name.size, id) == 0 ? OK : ERR_NO_MEMORY;
}

/* Adds the item that `json` says and that is called `id`. */
static enum err add_text(struct load *load, struct resource *resource, struct bytes json, struct item_id id,
                         size_t at, size_t i)
{
    struct text *text = text_create(json);
    struct item *item;
    enum err err;

    if (text == NULL)
        return ERR_NO_MEMORY;
    err = item_insert(load->documents, resource, id, text, &item);
    text_release(text);
    return err == ERR_EXISTS ? refuse_item(load, at, resource->name, i, "another item has the same id")
                             : err;
}

static enum err add_item(struct load *load, struct resource *resource, json_t *object, size_t at, size_t i,
                         struct buffer *id, struct buffer *json)
{
    bool is_number;
    enum err err;

    if (!json_is_object(object))
        return refuse_item(load, at, resource->name, i, "must be an object");
    err = settle_id(load, resource, object, at, i, id, &is_number);
    if (err != OK)
        return err;
    buffer_clear(json);
    json_text_append(json, object);
    if (json->failed)
        return ERR_NO_MEMORY;
    return add_text(load, resource, buffer_bytes(json), (struct item_id){buffer_bytes(id), is_number}, at,
                    i);
}

/* The same for an item of which no values need to be made: it is plain, and its id stays as it is. False if
 * it is not such a one; what is wrong with it, if anything is, is then said by others. */
static bool add_plain(struct load *load, struct resource *resource, struct bytes part, size_t at, size_t i,
                      struct buffer *json, enum err *err)
{
    struct item_id id;

    buffer_clear(json);
    if (!json_plain_append(json, part, load->documents->options.id_name, &id.text) || id.text.size == 0)
        return false;
    id.is_number = id.text.data[0] == '-' || (id.text.data[0] >= '0' && id.text.data[0] <= '9');
    if (id.is_number && load->documents->options.compat != COMPAT_0_17)
        return false;
    if (id.text.data[0] == '"')
        id.text = bytes_of(id.text.data + 1, id.text.size - 2);
    else if (!id.is_number)
        return false;
    if (id.text.size == 0 || id.text.size > LOCATOR_PART_BYTES_MAX)
        return false;
    *err = add_text(load, resource, buffer_bytes(json), id, at, i);
    return true;
}

/* Adds the item at `*at`. */
static enum err take_item(struct load *load, struct resource *resource, size_t *at, size_t i,
                          struct buffer *id, struct buffer *json)
{
    size_t begin = *at, end = *at;
    json_t *object = NULL;
    struct bytes part;
    enum err err;

    if (json_scan_value(load->json, &end, &part) && add_plain(load, resource, part, begin, i, json, &err)) {
        *at = end;
        return err;
    }
    err = take_value(load, at, &object);
    if (err == OK)
        err = add_item(load, resource, object, begin, i, id, json);
    json_decref(object);
    return err;
}

/* ---- the tree's outer levels ------------------------------------------------------------------- */

/* Whether another element follows: `*at` is then where it may begin. `first`: none was there yet. */
static enum err take_separator(const struct load *load, size_t *at, char end, bool first, bool *more)
{
    skip_space(load, at);
    if (*at < load->json.size && load->json.data[*at] == end) {
        ++*at;
        *more = false;
        return OK;
    }
    *more = true;
    if (first)
        return OK;
    if (*at < load->json.size && load->json.data[*at] == ',') {
        ++*at;
        return OK;
    }
    if (*at == load->json.size)
        return refuse_at(load, *at, "the file ends too early");
    return refuse_at(load, *at, end == ']' ? "',' or ']' expected" : "',' or '}' expected");
}

/* The array whose bracket is behind us. */
static enum err load_items(struct load *load, struct resource *resource, size_t *at)
{
    struct buffer id = {0}, json = {0};
    enum err err = OK;
    bool more;

    for (size_t i = 0; err == OK; i++) {
        err = take_separator(load, at, ']', i == 0, &more);
        if (err != OK || !more)
            break;
        skip_space(load, at);
        err = take_item(load, resource, at, i, &id, &json);
        tell_progress(load, *at);
    }
    resource->number_max_known = load->foreseen != resource;
    buffer_fini(&id);
    buffer_fini(&json);
    return err;
}

static enum err load_object(struct load *load, struct resource *resource, size_t *at)
{
    struct buffer json = {0};
    json_t *object = NULL;
    enum err err = take_value(load, at, &object);

    if (err != OK)
        return err;
    json_text_append(&json, object);
    json_decref(object);
    resource->text = json.failed ? NULL : text_create(buffer_bytes(&json));
    buffer_fini(&json);
    if (resource->text == NULL)
        return ERR_NO_MEMORY;
    load->documents->held_bytes += resource->text->size;
    return OK;
}

static enum err load_member(struct load *load, struct bytes name, size_t name_at, size_t *at)
{
    struct resource *resource;
    bool is_collection;
    json_t *other = NULL;
    char first;
    enum err err;

    skip_space(load, at);
    first = *at < load->json.size ? load->json.data[*at] : '\0';
    is_collection = first == '[';
    if (!is_collection && first != '{') {
        size_t begin = *at;
        err = take_value(load, at, &other);
        if (err == OK && !(bytes_equal(name, BYTES("$schema")) && json_is_string(other))) /* for editors */
            err = refuse_name(load, begin, name, ": must be an array of objects, or an object");
        json_decref(other);
        return err;
    }
    if (name.size == 0 || name.size > LOCATOR_PART_BYTES_MAX)
        return refuse_name(load, name_at, name, ": a name must have 1 to 512 bytes");
    if (resource_find(load->documents, name) != NULL)
        return refuse_name(load, name_at, name, ": there is another one of that name");
    err = resource_add(load->documents, name, is_collection, &resource);
    if (err != OK)
        return err;
    if (!is_collection) {
        err = load_object(load, resource, at);
        if (err != OK && resource->text == NULL) /* nobody may meet an object without a text */
            resource->text = text_create(BYTES("{}"));
        return err;
    }
    ++*at;
    return load_items(load, resource, at);
}

static enum err load_document(struct load *load)
{
    struct bytes json = load->json;
    size_t at = 0;
    bool more;
    enum err err = OK;

    skip_space(load, &at);
    if (at == json.size || json.data[at] != '{') {
        json_t *value = NULL;
        err = take_value(load, &at, &value);
        json_decref(value);
        if (err == OK) {
            buffer_append_literal(load->message,
                                  "the document must be a JSON object of arrays and objects");
            err = load->message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
        }
        return err;
    }
    at++;
    for (bool first = true; err == OK; first = false) {
        json_t *name = NULL;
        size_t name_at;
        err = take_separator(load, &at, '}', first, &more);
        if (err != OK || !more)
            break;
        skip_space(load, &at);
        name_at = at;
        if (at < json.size && json.data[at] != '"')
            return refuse_at(load, at, "a name in quotes expected");
        err = take_value(load, &at, &name);
        skip_space(load, &at);
        if (err == OK && (at == json.size || json.data[at] != ':'))
            err = refuse_at(load, at, "':' expected");
        at++;
        if (err == OK)
            err = load_member(load, bytes_of(json_string_value(name), json_string_length(name)), name_at,
                              &at);
        json_decref(name);
    }
    if (err != OK)
        return err;
    skip_space(load, &at);
    if (at < json.size)
        return refuse_at(load, at, "end of file expected");
    return OK;
}

enum err documents_load(struct documents *documents, struct bytes json, struct buffer *message)
{
    struct load load = {.documents = documents, .json = json, .message = message};
    enum err err = load_document(&load);

    tell_progress(&load, json.size);
    return err;
}
