#include "journal.h"
#include "engine/mock/json/json_text.h"

void journal_append_base(struct buffer *journal, const struct file_identity *base)
{
    buffer_append_literal(journal, "[\"base\",");
    buffer_append_int64(journal, (int64_t)base->number);
    buffer_append_byte(journal, ',');
    buffer_append_int64(journal, (int64_t)base->size);
    buffer_append_byte(journal, ',');
    buffer_append_int64(journal, base->changed_ns);
    buffer_append_literal(journal, "]\n");
}

static void replace_all(struct bytes text, char from, char to)
{
    char *at;

    while (text.size > 0 && (at = memchr(text.data, from, text.size)) != NULL) {
        *at = to;
        text = bytes_after(text, (size_t)(at + 1 - text.data));
    }
}

/* Line breaks in JSON text are only ever space between its values. */
static void append_on_one_line(struct buffer *journal, struct bytes json)
{
    size_t start = journal->size;

    buffer_append(journal, json);
    replace_all(bytes_after(buffer_bytes(journal), start), '\n', ' ');
    replace_all(bytes_after(buffer_bytes(journal), start), '\r', ' ');
}

void journal_append_change(struct buffer *journal, const struct journal_change *change)
{
    buffer_append(journal, change->kind == JOURNAL_PUT ? BYTES("[\"put\",") : BYTES("[\"remove\","));
    json_text_append_string(journal, change->name);
    buffer_append_byte(journal, ',');
    if (change->id.data != NULL)
        json_text_append_string(journal, change->id);
    else
        buffer_append_literal(journal, "null");
    if (change->kind == JOURNAL_PUT) {
        buffer_append_byte(journal, ',');
        append_on_one_line(journal, change->json);
    }
    buffer_append_literal(journal, "]\n");
}

/* ---- reading ------------------------------------------------------------------------------------ */

static bool next_line(struct bytes *journal, struct bytes *line)
{
    const char *end = journal->size > 0 ? memchr(journal->data, '\n', journal->size) : NULL;

    if (end == NULL)
        return false;
    *line = bytes_first(*journal, (size_t)(end - journal->data));
    *journal = bytes_after(*journal, line->size + 1);
    return true;
}

/* An array that begins with a text, or null. */
static json_t *parse_line(struct bytes line)
{
    struct buffer ignored = {0};
    json_t *value = NULL;

    if (json_text_parse(line, &value, &ignored) != OK)
        value = NULL;
    buffer_fini(&ignored);
    if (json_is_array(value) && json_is_string(json_array_get(value, 0)))
        return value;
    json_decref(value);
    return NULL;
}

static bool line_is(const json_t *line, const char *word)
{
    return strcmp(json_string_value(json_array_get(line, 0)), word) == 0;
}

bool journal_is_about(struct bytes journal, const struct file_identity *base, size_t *begin)
{
    struct bytes rest = journal, text;
    bool is_about = false;

    while (next_line(&rest, &text)) {
        json_t *line = bytes_start_with(text, BYTES("[\"base\",")) ? parse_line(text) : NULL;
        if (line != NULL && json_array_size(line) == 4) {
            struct file_identity written = {.number = (uint64_t)json_integer_value(json_array_get(line, 1)),
                                            .size = (uint64_t)json_integer_value(json_array_get(line, 2)),
                                            .changed_ns = json_integer_value(json_array_get(line, 3))};
            if (file_identity_equal(&written, base)) {
                is_about = true;
                *begin = journal.size - rest.size;
            }
        }
        json_decref(line);
    }
    return is_about;
}

static struct bytes text_of(const json_t *value)
{
    return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value))
                                 : (struct bytes){0};
}

/* False if the line says no change. `json` is where its text goes. */
static bool read_change(const json_t *line, struct bytes id_name, struct buffer *json,
                        struct journal_change *change)
{
    const json_t *item = json_array_get(line, 3), *id = json_array_get(line, 2), *member;
    char name[256];

    *change = (struct journal_change){.name = text_of(json_array_get(line, 1)), .id = text_of(id)};
    if (change->name.data == NULL || (change->id.data == NULL && !json_is_null(id)) ||
        id_name.size >= sizeof name)
        return false;
    if (line_is(line, "remove")) {
        change->kind = JOURNAL_REMOVE;
        return change->id.data != NULL;
    }
    if (!line_is(line, "put") || !json_is_object(item))
        return false;
    memcpy(name, id_name.data, id_name.size);
    name[id_name.size] = '\0';
    member = json_object_get(item, name);
    change->kind = JOURNAL_PUT;
    change->id_is_number = json_is_number(member);
    json_text_append(json, item);
    change->json = buffer_bytes(json);
    return true;
}

enum err journal_replay(struct bytes journal, struct bytes id_name,
                        enum err (*make)(void *context, const struct journal_change *change), void *context,
                        size_t *change_count, size_t *good_bytes)
{
    struct buffer json = {0};
    struct bytes rest = journal, text;
    bool is_torn = false;
    enum err err = OK;

    *change_count = *good_bytes = 0;
    while (err == OK && !is_torn && next_line(&rest, &text)) {
        json_t *line = parse_line(text);
        struct journal_change change;
        buffer_clear(&json);
        if (line == NULL || (!line_is(line, "base") && !read_change(line, id_name, &json, &change))) {
            is_torn = true;
        } else if (!line_is(line, "base")) {
            err = json.failed ? ERR_NO_MEMORY : make(context, &change);
            *change_count += err == OK;
        }
        if (err == OK && !is_torn)
            *good_bytes = journal.size - rest.size;
        json_decref(line);
    }
    buffer_fini(&json);
    return err;
}
