#include "json_pick.h"
#include "base/number.h"
#include "base/utf8.h"

struct scanner {
    struct bytes text;
    size_t at;
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The byte that comes next; 0, which no JSON has outside of texts, at the end. */
static char look(const struct scanner *scanner)
{
    return scanner->at < scanner->text.size ? scanner->text.data[scanner->at] : '\0';
}

static bool take(struct scanner *scanner, char c)
{
    if (look(scanner) != c || c == '\0')
        return false;
    scanner->at++;
    return true;
}

static void skip_space(struct scanner *scanner)
{
    for (char c = look(scanner); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = look(scanner))
        scanner->at++;
}

/* ---- is it JSON? --------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    char lower = byte_to_lower(c);

    if (is_digit(c))
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Behind the backslash. */
static bool take_escape(struct scanner *scanner)
{
    char c = look(scanner);

    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
        return false;
    scanner->at++;
    for (int digits = 0; c == 'u' && digits < 4; digits++) {
        if (hex_value(look(scanner)) < 0)
            return false;
        scanner->at++;
    }
    return true;
}

static bool take_string(struct scanner *scanner)
{
    struct utf8 utf8 = {0};

    if (!take(scanner, '"'))
        return false;
    while (scanner->at < scanner->text.size) {
        char c = scanner->text.data[scanner->at++];
        if (!utf8_take(&utf8, (uint8_t)c))
            return false;
        if (c == '"')
            return true;
        if ((unsigned char)c < ' ' || (c == '\\' && !take_escape(scanner)))
            return false;
    }
    return false;
}

static bool take_digits(struct scanner *scanner)
{
    size_t before = scanner->at;

    while (is_digit(look(scanner)))
        scanner->at++;
    return scanner->at > before;
}

static bool take_number(struct scanner *scanner)
{
    take(scanner, '-');
    if (!take(scanner, '0') && !take_digits(scanner))
        return false;
    if (take(scanner, '.') && !take_digits(scanner))
        return false;
    if (!take(scanner, 'e') && !take(scanner, 'E'))
        return true;
    if (!take(scanner, '+'))
        take(scanner, '-');
    return take_digits(scanner);
}

static bool take_word(struct scanner *scanner, struct bytes word)
{
    if (!bytes_start_with(bytes_after(scanner->text, scanner->at), word))
        return false;
    scanner->at += word.size;
    return true;
}

static bool take_scalar(struct scanner *scanner)
{
    switch (look(scanner)) {
    case '"': return take_string(scanner);
    case 't': return take_word(scanner, BYTES("true"));
    case 'f': return take_word(scanner, BYTES("false"));
    case 'n': return take_word(scanner, BYTES("null"));
    default: return take_number(scanner);
    }
}

/* A member's name and the colon behind it. */
static bool take_name(struct scanner *scanner)
{
    skip_space(scanner);
    if (!take_string(scanner))
        return false;
    skip_space(scanner);
    return take(scanner, ':');
}

/* The arrays and objects that have begun and not ended, by what ends them. */
struct nest {
    char ends[JSON_DEPTH_MAX];
    size_t depth;
};

/* Takes what begins a value, or all of one that has none inside; `*has_ended` says which. */
static bool begin_value(struct scanner *scanner, struct nest *nest, bool *has_ended)
{
    char first = look(scanner), last = first == '{' ? '}' : ']';

    *has_ended = first != '{' && first != '[';
    if (*has_ended)
        return take_scalar(scanner);
    if (nest->depth == JSON_DEPTH_MAX)
        return false;
    scanner->at++;
    skip_space(scanner);
    *has_ended = take(scanner, last);
    if (*has_ended)
        return true;
    nest->ends[nest->depth++] = last;
    return first == '[' || take_name(scanner);
}

/* Behind a value: takes what ends others, up to the comma behind which one begins. `*is_over`: that was the
 * last. */
static bool end_values(struct scanner *scanner, struct nest *nest, bool *is_over)
{
    for (;;) {
        char last;
        skip_space(scanner);
        *is_over = nest->depth == 0;
        if (*is_over)
            return scanner->at == scanner->text.size;
        last = nest->ends[nest->depth - 1];
        if (take(scanner, ','))
            return last == ']' || take_name(scanner);
        if (!take(scanner, last))
            return false;
        nest->depth--;
    }
}

bool json_is_whole(struct bytes text)
{
    struct scanner scanner = {text, 0};
    struct nest nest = {.depth = 0};
    bool has_ended, is_over = false;

    while (!is_over) {
        skip_space(&scanner);
        if (!begin_value(&scanner, &nest, &has_ended) ||
            (has_ended && !end_values(&scanner, &nest, &is_over)))
            return false;
    }
    return true;
}

/* ---- what is in it: from here on it is ------------------------------------------------------------ */

static void pass_string(struct scanner *scanner)
{
    scanner->at++;
    while (scanner->at < scanner->text.size) {
        char c = scanner->text.data[scanner->at++];
        if (c == '"')
            return;
        if (c == '\\')
            scanner->at++;
    }
}

/* The value that begins here. */
static struct bytes pass_value(struct scanner *scanner)
{
    size_t begin = scanner->at, depth = 0;

    do {
        char c = look(scanner);
        if (c == '"') {
            pass_string(scanner);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        scanner->at++;
        /* A number or a word goes on to what cannot be in one. */
        while (depth == 0 && c != '}' && c != ']' && scanner->at < scanner->text.size &&
               strchr(",]} \t\r\n", look(scanner)) == NULL)
            scanner->at++;
    } while (depth > 0 && scanner->at < scanner->text.size);
    return bytes_of(scanner->text.data + begin, scanner->at - begin);
}

/* A text's bytes one by one, its escapes being what they stand for. */
struct unescaped {
    struct bytes text; /* between the quotes */
    size_t at;
    char bytes[4]; /* of the escape at hand */
    size_t byte_count, byte_at;
};

static uint32_t read_hex(const struct unescaped *unescaped, size_t at)
{
    uint32_t code = 0;

    for (size_t i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)hex_value(unescaped->text.data[at + i]);
    return code;
}

/* Of "\uXXXX", whose digits are next; two of them are one character where they make a pair. Half a pair
 * alone is no character, and as its bytes are no UTF-8 it is equal to nothing that a pointer says. */
static uint32_t take_code(struct unescaped *unescaped)
{
    uint32_t code = read_hex(unescaped, unescaped->at), low;

    unescaped->at += 4;
    if (code < 0xd800 || code > 0xdbff || unescaped->text.size - unescaped->at < 6 ||
        unescaped->text.data[unescaped->at] != '\\' || unescaped->text.data[unescaped->at + 1] != 'u')
        return code;
    low = read_hex(unescaped, unescaped->at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return code;
    unescaped->at += 6;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

static void write_code(struct unescaped *unescaped, uint32_t code)
{
    char *bytes = unescaped->bytes;
    size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = count; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(marks[count] | code);
    unescaped->byte_count = count;
    unescaped->byte_at = 0;
}

/* False at the end. */
static bool next_byte(struct unescaped *unescaped, char *byte)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *letter;

    if (unescaped->byte_at < unescaped->byte_count) {
        *byte = unescaped->bytes[unescaped->byte_at++];
        return true;
    }
    if (unescaped->at >= unescaped->text.size)
        return false;
    *byte = unescaped->text.data[unescaped->at++];
    if (*byte != '\\')
        return true;
    *byte = unescaped->text.data[unescaped->at++];
    if (*byte == 'u') {
        write_code(unescaped, take_code(unescaped));
        *byte = unescaped->bytes[unescaped->byte_at++];
        return true;
    }
    letter = strchr(letters, *byte);
    if (letter != NULL)
        *byte = meant[letter - letters];
    return true;
}

/* Whether `name`, between its quotes, is what `token` of a pointer says (RFC 6901 §4). */
static bool is_named(struct bytes name, struct bytes token)
{
    struct unescaped unescaped = {.text = name};
    char byte;

    for (size_t at = 0; at < token.size; at++) {
        char wanted = token.data[at];
        if (wanted == '~')
            wanted = token.data[++at] == '0' ? '~' : '/';
        if (!next_byte(&unescaped, &byte) || byte != wanted)
            return false;
    }
    return !next_byte(&unescaped, &byte);
}

/* The next member or element; `*name`, between its quotes, of a member. `scanner` is behind the bracket
 * that begins it, or behind the last one. False at the end. */
static bool next_in(struct scanner *scanner, bool is_object, struct bytes *name, struct bytes *value)
{
    skip_space(scanner);
    if (take(scanner, ','))
        skip_space(scanner);
    if (scanner->at >= scanner->text.size || look(scanner) == '}' || look(scanner) == ']')
        return false;
    if (is_object) {
        size_t begin = scanner->at + 1;
        pass_string(scanner);
        *name = bytes_of(scanner->text.data + begin, scanner->at - 1 - begin);
        skip_space(scanner);
        take(scanner, ':');
        skip_space(scanner);
    }
    *value = pass_value(scanner);
    return true;
}

static bool pick_member(struct bytes object, struct bytes token, struct bytes *value)
{
    struct scanner scanner = {object, 1};
    struct bytes name, member;
    bool has_one = false;

    while (next_in(&scanner, true, &name, &member))
        if (is_named(name, token)) {
            *value = member;
            has_one = true;
        }
    return has_one;
}

static bool pick_element(struct bytes array, struct bytes token, struct bytes *value)
{
    struct scanner scanner = {array, 1};
    struct bytes ignored;
    uint64_t index;

    /* RFC 6901 §4: no zero before other digits; "-" is the element behind the last, which is none. */
    if (!digits_parse(token, INT64_MAX, &index) || (token.size > 1 && token.data[0] == '0'))
        return false;
    while (next_in(&scanner, false, &ignored, value))
        if (index-- == 0)
            return true;
    return false;
}

const char *json_pointer_is_wrong(struct bytes pointer)
{
    if (pointer.size > 0 && pointer.data[0] != '/')
        return "is no JSON Pointer: it begins with /, such as /items/0/name";
    for (size_t i = 0; i < pointer.size; i++)
        if (pointer.data[i] == '~' &&
            (i + 1 == pointer.size || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
            return "is no JSON Pointer: write ~0 for ~, and ~1 for a / within a name";
    return utf8_is_whole(pointer) ? NULL : "is not UTF-8";
}

bool json_pick(struct bytes text, struct bytes pointer, struct bytes *value)
{
    struct scanner scanner = {text, 0};
    struct bytes found;

    skip_space(&scanner);
    found = pass_value(&scanner);
    while (pointer.size > 0) {
        const char *slash = pointer.size > 1 ? memchr(pointer.data + 1, '/', pointer.size - 1) : NULL;
        size_t size = slash != NULL ? (size_t)(slash - pointer.data) : pointer.size;
        struct bytes token = bytes_of(pointer.data + 1, size - 1);
        bool has_one = found.data[0] == '{'   ? pick_member(found, token, &found)
                       : found.data[0] == '[' ? pick_element(found, token, &found)
                                              : false;
        if (!has_one)
            return false;
        pointer = bytes_after(pointer, size);
    }
    *value = found;
    return true;
}
