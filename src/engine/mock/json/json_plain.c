#include "json_plain.h"
#include "base/utf8.h"

enum {
    NESTING_MAX = 16,
    NAMES_MAX = 48, /* of the objects that are open */
    DIGITS_MAX = 18 /* so that it fits into 64 bits */
};

struct reader {
    const char *at, *end;
    char *to;                   /* there is room for all that is left */
    struct bytes wanted, value; /* a name at the top; what it has, as it was written */
    struct bytes names[NAMES_MAX];
    size_t name_count, nesting;
};

static bool read_value(struct reader *reader);

/* The byte that is next behind space; 0, which no JSON has, at the end. */
static char next(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
    return reader->at < reader->end ? *reader->at : '\0';
}

static void take(struct reader *reader) { *reader->to++ = *reader->at++; }

static bool take_if(struct reader *reader, char wanted)
{
    if (next(reader) != wanted)
        return false;
    take(reader);
    return true;
}

/* Copies what was read from `from` on. */
static void copy(struct reader *reader, const char *from)
{
    size_t size = (size_t)(reader->at - from);

    memcpy(reader->to, from, size);
    reader->to += size;
}

/* Whether eight bytes are all of a text and none of them is special: a quote, a backslash, a control or
 * more than ASCII. A subtraction borrows only from a byte that is special itself. */
static bool is_ordinary(const char *at)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t word, quote, slash;

    memcpy(&word, at, sizeof word);
    quote = word ^ ones * '"';
    slash = word ^ ones * '\\';
    return ((word | (word - ones * ' ') | (quote - ones) | (slash - ones)) & ones * 0x80) == 0;
}

/* A text without escapes; `*text` is what is between its quotes. */
static bool read_text(struct reader *reader, struct bytes *text)
{
    struct utf8 utf8 = {0};
    const char *from, *at;

    if (next(reader) != '"')
        return false;
    from = reader->at;
    for (at = from + 1; at < reader->end; at++) {
        unsigned char c;
        while (utf8.left == 0 && reader->end - at > 8 && is_ordinary(at))
            at += 8;
        c = (unsigned char)*at;
        if (c >= 0x80 || utf8.left > 0) {
            if (!utf8_take(&utf8, c))
                return false;
        } else if (c == '"') {
            *text = bytes_of(from + 1, (size_t)(at - from) - 1);
            reader->at = at + 1;
            copy(reader, from);
            return true;
        } else if (c < ' ' || c == '\\') {
            return false;
        }
    }
    return false;
}

static bool read_number(struct reader *reader)
{
    const char *from = reader->at, *digits;

    if (*reader->at == '-')
        reader->at++;
    digits = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    if (reader->at == digits || reader->at - digits > DIGITS_MAX)
        return false;
    if (*digits == '0' && (digits > from || reader->at - digits > 1)) /* "-0" is written as 0 */
        return false;
    if (reader->at < reader->end && (*reader->at == '.' || (*reader->at | 0x20) == 'e'))
        return false;
    copy(reader, from);
    return true;
}

static bool read_word(struct reader *reader, struct bytes word)
{
    const char *from = reader->at;

    if (!bytes_start_with(bytes_of(from, (size_t)(reader->end - from)), word))
        return false;
    reader->at += word.size;
    copy(reader, from);
    return true;
}

/* A member, whose name is none of the names from `first` on: those of the same object. */
static bool read_member(struct reader *reader, size_t first)
{
    struct bytes name;
    const char *value;

    if (reader->name_count == NAMES_MAX || !read_text(reader, &name) || !take_if(reader, ':'))
        return false;
    for (size_t i = first; i < reader->name_count; i++)
        if (bytes_equal(reader->names[i], name))
            return false;
    reader->names[reader->name_count++] = name;
    value = reader->to;
    if (!read_value(reader))
        return false;
    if (reader->nesting == 1 && bytes_equal(name, reader->wanted))
        reader->value = bytes_of(value, (size_t)(reader->to - value));
    return true;
}

static bool read_object(struct reader *reader)
{
    size_t first = reader->name_count;

    take(reader);
    if (!take_if(reader, '}')) {
        do
            if (!read_member(reader, first))
                return false;
        while (take_if(reader, ','));
        if (!take_if(reader, '}'))
            return false;
    }
    reader->name_count = first;
    return true;
}

static bool read_array(struct reader *reader)
{
    take(reader);
    if (take_if(reader, ']'))
        return true;
    do
        if (!read_value(reader))
            return false;
    while (take_if(reader, ','));
    return take_if(reader, ']');
}

static bool read_container(struct reader *reader, bool (*read)(struct reader *reader))
{
    bool is_good;

    if (reader->nesting == NESTING_MAX)
        return false;
    reader->nesting++;
    is_good = read(reader);
    reader->nesting--;
    return is_good;
}

static bool read_value(struct reader *reader)
{
    struct bytes ignored;

    switch (next(reader)) {
    case '{': return read_container(reader, read_object);
    case '[': return read_container(reader, read_array);
    case '"': return read_text(reader, &ignored);
    case 't': return read_word(reader, BYTES("true"));
    case 'f': return read_word(reader, BYTES("false"));
    case 'n': return read_word(reader, BYTES("null"));
    default: return next(reader) != '\0' && read_number(reader);
    }
}

bool json_plain_append(struct buffer *out, struct bytes json, struct bytes name, struct bytes *value)
{
    char *to = json.size > 0 ? buffer_reserve(out, json.size) : NULL;
    struct reader reader;

    if (to == NULL)
        return false;
    reader.at = json.data;
    reader.end = json.data + json.size;
    reader.to = to;
    reader.wanted = name;
    reader.value = (struct bytes){0};
    reader.name_count = reader.nesting = 0;
    if (next(&reader) != '{' || !read_value(&reader) || next(&reader) != '\0' || reader.at < reader.end)
        return false;
    buffer_commit(out, (size_t)(reader.to - to));
    *value = reader.value;
    return true;
}
