#include "template.h"
#include "base/utf8.h"
#include "template_word.h"
#include <stdlib.h>

struct template_piece {
    size_t offset, size;        /* in the template's text; used if `call` is null */
    struct template_call *call; /* owned */
    enum template_place place;
};

static struct template_piece *add_piece(struct template *template)
{
    if (template->pieces == NULL || template->count == template->capacity) {
        size_t capacity = template->capacity > 0 ? template->capacity * 2 : 4;
        struct template_piece *grown = realloc(template->pieces, capacity * sizeof *grown);
        if (grown == NULL) {
            template->no_memory = true;
            return NULL;
        }
        template->pieces = grown;
        template->capacity = capacity;
    }
    template->pieces[template->count] = (struct template_piece){.offset = template->text.size};
    return &template->pieces[template->count++];
}

/* The piece that text is added to: the last one, if it is text. */
static struct template_piece *text_piece(struct template *template)
{
    struct template_piece *last = template->count > 0 ? &template->pieces[template->count - 1] : NULL;
    return last != NULL && last->call == NULL ? last : add_piece(template);
}

static void note_quotes(struct template *template, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (template->after_slash)
            template->after_slash = false;
        else if (text.data[i] == '"')
            template->in_string = !template->in_string;
        else
            template->after_slash = template->in_string &&text.data[i] == '\\';
    }
}

static void add_text(struct template *template, struct bytes text, enum template_place place)
{
    struct template_piece *piece = text.size > 0 ? text_piece(template) : NULL;

    if (piece == NULL)
        return;
    if (place == TEMPLATE_JSON_STRING)
        template_append_json_text(&template->text, text);
    else
        buffer_append(&template->text, text);
    if (place == TEMPLATE_JSON_TEXT)
        note_quotes(template, text);
    piece->size = template->text.size - piece->offset;
    template->no_memory |= template->text.failed;
}

void template_add_literal(struct template *template, struct bytes text)
{
    add_text(template, text, TEMPLATE_TEXT);
}

bool template_is_constant(const struct template *template)
{
    return template->count == 0 || (template->count == 1 && template->pieces[0].call == NULL);
}

static size_t find_pair(struct bytes text, size_t from, char c)
{
    for (size_t i = from; i + 1 < text.size; i++)
        if (text.data[i] == c && text.data[i + 1] == c)
            return i;
    return text.size;
}

bool template_is_alone(struct bytes text)
{
    return text.size > 4 && find_pair(text, 0, '{') == 0 && find_pair(text, 2, '}') == text.size - 2;
}

bool template_add(struct template *template, const struct template_scope *scope, struct bytes text,
                  enum template_place place, struct buffer *why)
{
    while (text.size > 0) {
        size_t open = find_pair(text, 0, '{'), close;
        struct template_piece *piece;
        add_text(template, bytes_first(text, open), place);
        if (open == text.size)
            break;
        close = find_pair(text, open + 2, '}');
        if (close == text.size) {
            buffer_append_literal(why, "a {{ without }}; where no word is meant, say `template: false`");
            return false;
        }
        piece = add_piece(template);
        if (piece == NULL || (piece->call = malloc(sizeof *piece->call)) == NULL) {
            template->no_memory = true;
            return false;
        }
        piece->place = place != TEMPLATE_JSON_TEXT ? place
                       : template->in_string       ? TEMPLATE_JSON_STRING
                                                   : TEMPLATE_JSON_VALUE;
        if (!template_call_read(bytes_of(text.data + open + 2, close - open - 2), scope, piece->call, why))
            return false;
        text = bytes_after(text, close + 2);
    }
    return !template->no_memory;
}

void template_append_json_text(struct buffer *out, struct bytes text)
{
    size_t start = 0; /* of the character in hand */
    struct utf8 utf8 = {0};

    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (!utf8_take(&utf8, byte)) {
            buffer_append_literal(out, "\xef\xbf\xbd");
            utf8 = (struct utf8){0};
            if (i > start) /* the byte that does not go on with a character may begin one */
                i--;
            start = i + 1;
            continue;
        }
        if (utf8.left > 0)
            continue;
        if (byte == '"' || byte == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (char)byte);
        } else if (byte < 0x20)
            buffer_append_format(out, "\\u%04x", byte);
        else
            buffer_append(out, bytes_of(text.data + start, i + 1 - start));
        start = i + 1;
    }
    if (utf8.left > 0)
        buffer_append_literal(out, "\xef\xbf\xbd");
}

static void append_field_text(struct buffer *out, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        buffer_append_byte(out, byte < 0x20 || byte == 0x7f ? ' ' : (char)byte);
    }
}

static void append_value(struct buffer *out, enum template_place place, enum template_kind kind,
                         struct bytes value)
{
    switch (place) {
    case TEMPLATE_TEXT:
    case TEMPLATE_JSON_TEXT: buffer_append(out, value); return;
    case TEMPLATE_FIELD: append_field_text(out, value); return;
    case TEMPLATE_JSON_STRING: template_append_json_text(out, value); return;
    case TEMPLATE_JSON_VALUE:
        if (kind == TEMPLATE_VALUE_MISSING)
            buffer_append_literal(out, "null");
        else if (kind == TEMPLATE_VALUE_JSON)
            buffer_append(out, value);
        else {
            buffer_append_byte(out, '"');
            template_append_json_text(out, value);
            buffer_append_byte(out, '"');
        }
        return;
    }
}

bool template_render(const struct template *template, const struct template_facts *facts,
                     struct buffer *out)
{
    struct buffer value = {0};
    size_t start = out->size;

    for (size_t i = 0; i < template->count && !out->failed && !value.failed; i++) {
        const struct template_piece *piece = &template->pieces[i];
        if (piece->call == NULL) {
            buffer_append(out, bytes_of(template->text.data + piece->offset, piece->size));
        } else {
            enum template_kind kind;
            buffer_clear(&value);
            kind = template_call_evaluate(piece->call, facts, &value);
            append_value(out, piece->place, kind, buffer_bytes(&value));
        }
        if (out->size - start > TEMPLATE_OUTPUT_BYTES_MAX)
            break;
    }
    out->failed |= value.failed;
    buffer_fini(&value);
    return !out->failed && out->size - start <= TEMPLATE_OUTPUT_BYTES_MAX;
}

void template_fini(struct template *template)
{
    for (size_t i = 0; i < template->count; i++)
        free(template->pieces[i].call);
    free(template->pieces);
    buffer_fini(&template->text);
}
