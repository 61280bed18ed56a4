#include "recorded_query.h"
#include "engine/mock/rules/request_view.h"
#include "engine/mock/rules/secret_names.h"
#include "yaml_quote.h"
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct recorded_parameter *left = a, *right = b;
    int difference = bytes_compare(left->name, right->name);

    return difference != 0 ? difference : bytes_compare(left->value, right->value);
}

static struct bytes keep(struct buffer *text, struct bytes kept)
{
    const char *at = text->data + text->size;

    buffer_append(text, kept);
    return bytes_of(at, kept.size);
}

/* Whether a name can be a key of YAML. */
static bool is_key(struct bytes name)
{
    struct buffer quoted = {0};
    bool is_short;

    yaml_quote_append(&quoted, name);
    is_short = quoted.size <= RECORDED_KEY_BYTES_MAX && !quoted.failed;
    buffer_fini(&quoted);
    return is_short;
}

static void drop_repeated(struct recorded_query *query)
{
    size_t count = 0;

    for (size_t i = 0; i < query->count; i++)
        if (count == 0 || compare(&query->list[count - 1], &query->list[i]) != 0)
            query->list[count++] = query->list[i];
    query->count = count;
}

bool recorded_query_init(struct recorded_query *query, const struct secret_words *words,
                         const struct http_request *request)
{
    struct buffer name = {0}, value = {0};
    struct bytes rest = request->query;
    bool is_good;

    *query = (struct recorded_query){0};
    is_good = buffer_reserve(&query->text, rest.size + 1) != NULL; /* so that it moves no more */
    while (is_good && request_next_parameter(&rest, &name, &value)) {
        bool is_secret = secret_words_have(words, buffer_bytes(&name));
        is_good = query->count < RECORDED_PARAMETERS_MAX && yaml_quote_can(buffer_bytes(&name)) &&
                  yaml_quote_can(buffer_bytes(&value)) && is_key(buffer_bytes(&name));
        query->text.failed |= name.failed || value.failed;
        if (is_good)
            query->list[query->count++] = (struct recorded_parameter){
                .name = keep(&query->text, buffer_bytes(&name)),
                .value = is_secret ? (struct bytes){0} : keep(&query->text, buffer_bytes(&value)),
                .is_secret = is_secret};
    }
    buffer_fini(&name);
    buffer_fini(&value);
    if (query->count > 0)
        qsort(query->list, query->count, sizeof query->list[0], compare);
    drop_repeated(query);
    return is_good && !query->text.failed;
}

void recorded_query_fini(struct recorded_query *query) { buffer_fini(&query->text); }

static void append_escaped(struct buffer *out, struct bytes text, bool is_name)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte == ' ')
            buffer_append_byte(out, '+');
        else if (byte < ' ' || byte == 0x7f || byte == '%' || byte == '&' || byte == '+' ||
                 (byte == '=' && is_name))
            buffer_append_format(out, "%%%02X", byte);
        else
            buffer_append_byte(out, (char)byte);
    }
}

void recorded_query_append_name(const struct recorded_query *query, struct buffer *out)
{
    for (size_t i = 0; i < query->count; i++) {
        if (i > 0)
            buffer_append_byte(out, '&');
        append_escaped(out, query->list[i].name, true);
        buffer_append_byte(out, '=');
        if (query->list[i].is_secret)
            buffer_append_literal(out, SECRET_PLACEHOLDER);
        else
            append_escaped(out, query->list[i].value, false);
    }
}

/* How many parameters from `index` on have the same name. */
static size_t count_same(const struct recorded_query *query, size_t index)
{
    size_t end = index;

    while (end < query->count && bytes_equal(query->list[end].name, query->list[index].name))
        end++;
    return end - index;
}

void recorded_query_append_match(const struct recorded_query *query, struct buffer *out)
{
    size_t count;

    for (size_t i = 0; i < query->count; i += count) {
        count = count_same(query, i);
        buffer_append(out, i == 0 ? BYTES(", query: {") : BYTES(", "));
        yaml_quote_append(out, query->list[i].name);
        buffer_append(out, count > 1 ? BYTES(": [") : BYTES(": "));
        for (size_t j = i; j < i + count; j++) {
            if (j > i)
                buffer_append_literal(out, ", ");
            if (query->list[j].is_secret)
                buffer_append_literal(out, "{present: true}");
            else
                yaml_quote_append(out, query->list[j].value);
        }
        if (count > 1)
            buffer_append_byte(out, ']');
    }
    if (query->count > 0)
        buffer_append_byte(out, '}');
}
