/* resp_parse.c — bytes to commands.
 *
 * A command that has arrived whole goes straight into the caller's array. Of one that has not, the parser
 * remembers where the finished arguments lie, so that no byte of them is looked at twice.
 *   (1) offset is where the next argument's header begins (of an inline command: how far there is no line
 *       end). While bytes are missing, each call looks again at one header line only, which is at most
 *       LENGTH_DIGITS_MAX + 4 bytes.
 *   (2) spans grow with parsed_count, never with argument_count: a finished argument took at least six
 *       bytes of input. */
#include "base/compiler.h"
#include "protocol/resp/resp.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { LENGTH_DIGITS_MAX = 18, FIRST_SPANS = 8 }; /* 18 digits always fit in an int64 */
static_assert(sizeof(((struct resp_parser *)0)->first) / sizeof(struct resp_span) == FIRST_SPANS, "first");

static enum parse fatal(struct bytes text, struct bytes *error)
{
    *error = text;
    return PARSE_FATAL;
}

static enum parse fatal_memory(struct bytes *error) { return fatal(BYTES("ERR out of memory"), error); }

static void forget(struct resp_parser *parser)
{
    free(parser->spans);
    parser->spans = NULL;
    parser->span_capacity = 0;
    parser->offset = 0;
    parser->argument_count = parser->parsed_count = 0;
}

void resp_parser_fini(struct resp_parser *parser)
{
    forget(parser);
    free(parser->many);
    parser->many = NULL;
}

/* ---- arrays of bulk strings --------------------------------------------------------------------- */

enum line { LINE_MORE, LINE_GOOD, LINE_BAD };

/* Reads the number between the type byte at `*at` and the line end, and moves `*at` behind it. */
static inline enum line read_length(struct bytes input, size_t *at, int64_t *length)
{
    const char *byte = input.data + *at + 1, *end = input.data + input.size, *first;
    bool negative;
    int64_t number = 0;

    if (LIKELY(end - byte >= 4)) { /* nearly all: one or two digits */
        unsigned tens = (unsigned)(unsigned char)byte[0] - '0',
                 ones = (unsigned)(unsigned char)byte[1] - '0';
        if (tens <= 9 && byte[1] == '\r' && byte[2] == '\n') {
            *at += 4;
            *length = tens;
            return LINE_GOOD;
        }
        if (tens - 1 < 9 && ones <= 9 && byte[2] == '\r' && byte[3] == '\n') {
            *at += 5;
            *length = tens * 10 + ones;
            return LINE_GOOD;
        }
    }
    negative = byte < end && *byte == '-';
    first = byte += negative;
    for (unsigned digit; byte < end && (digit = (unsigned)(unsigned char)*byte - '0') <= 9; byte++) {
        if (UNLIKELY(byte - first == LENGTH_DIGITS_MAX))
            return LINE_BAD;
        number = number * 10 + digit;
    }
    if (UNLIKELY(byte - first > 1 && *first == '0'))
        return LINE_BAD;
    if (UNLIKELY(byte == end))
        return LINE_MORE;
    if (UNLIKELY(byte == first || *byte != '\r' || (negative && number == 0)))
        return LINE_BAD;
    if (UNLIKELY(byte + 1 == end))
        return LINE_MORE;
    if (UNLIKELY(byte[1] != '\n'))
        return LINE_BAD;
    *at = (size_t)(byte + 2 - input.data);
    *length = negative ? -number : number;
    return LINE_GOOD;
}

/* Remembers one finished argument. False without memory. */
static bool remember(struct resp_parser *parser, size_t offset, size_t size)
{
    struct resp_span span = {(uint32_t)offset, (uint32_t)size};

    if (parser->parsed_count < FIRST_SPANS) {
        parser->first[parser->parsed_count++] = span;
        return true;
    }
    if (parser->parsed_count >= parser->span_capacity) {
        uint32_t capacity = parser->span_capacity > 0 ? parser->span_capacity * 2 : 4 * FIRST_SPANS;
        struct resp_span *spans = realloc(parser->spans, capacity * sizeof *spans);
        if (spans == NULL)
            return false;
        if (parser->spans == NULL)
            memcpy(spans, parser->first, sizeof parser->first);
        parser->spans = spans;
        parser->span_capacity = capacity;
    }
    parser->spans[parser->parsed_count++] = span;
    return true;
}

/* Turns what was remembered into the command's arguments. False without memory. */
static bool recall(struct resp_parser *parser, struct bytes input, struct bytes *arguments,
                   size_t argument_capacity, struct command *command)
{
    const struct resp_span *spans = parser->spans != NULL ? parser->spans : parser->first;
    uint32_t count = parser->parsed_count;

    if (count > argument_capacity) {
        arguments = parser->many = malloc(count * sizeof *arguments);
        if (arguments == NULL)
            return false;
    }
    for (uint32_t i = 0; i < count; i++)
        arguments[i] = bytes_of(input.data + spans[i].offset, spans[i].size);
    command->arguments = arguments;
    return true;
}

static enum parse fatal_expected(struct resp_parser *parser, char got, struct bytes *error)
{
    int size = snprintf(parser->error_text, sizeof parser->error_text,
                        "ERR Protocol error: expected '$', got '%c'", got);
    return fatal(bytes_of(parser->error_text, (size_t)size), error);
}

static enum parse parse_array(struct resp_parser *parser, const struct resp_limits *limits,
                              struct bytes input, struct bytes *arguments, size_t argument_capacity,
                              struct command *command, size_t *consumed, struct bytes *error)
{
    size_t at = parser->offset;
    uint32_t count = parser->argument_count, done = parser->parsed_count;
    int64_t length;
    bool direct;

    if (LIKELY(count == 0)) {
        switch (read_length(input, &at, &length)) {
        case LINE_MORE: return PARSE_MORE;
        case LINE_BAD: return fatal(BYTES("ERR Protocol error: invalid multibulk length"), error);
        case LINE_GOOD: break;
        }
        if (UNLIKELY(length > (int64_t)limits->arguments_max))
            return fatal(limits->are_for_strangers && length <= INT32_MAX
                             ? BYTES("ERR Protocol error: unauthenticated multibulk length")
                             : BYTES("ERR Protocol error: invalid multibulk length"),
                         error);
        if (UNLIKELY(length <= 0)) {
            *consumed = at;
            return PARSE_DONE;
        }
        count = (uint32_t)length;
    }
    direct = done == 0 && count <= argument_capacity;

    while (done < count) {
        size_t header = at;
        if (UNLIKELY(at == input.size))
            goto more;
        if (UNLIKELY(input.data[at] != '$'))
            return fatal_expected(parser, input.data[at], error);
        switch (read_length(input, &at, &length)) {
        case LINE_MORE: goto more;
        case LINE_BAD: return fatal(BYTES("ERR Protocol error: invalid bulk length"), error);
        case LINE_GOOD: break;
        }
        if (UNLIKELY(length < 0 || (uint64_t)length > limits->bulk_bytes_max))
            return fatal(limits->are_for_strangers && length > 0
                             ? BYTES("ERR Protocol error: unauthenticated bulk length")
                             : BYTES("ERR Protocol error: invalid bulk length"),
                         error);
        if (UNLIKELY(at + (uint64_t)length > UINT32_MAX))
            return fatal(BYTES("ERR Protocol error: too big request"), error);
        if (UNLIKELY(input.size - at < (size_t)length + 2)) {
            at = header;
            goto more;
        }
        if (UNLIKELY(input.data[at + (size_t)length] != '\r' ||
                     input.data[at + (size_t)length + 1] != '\n'))
            return fatal(BYTES("ERR Protocol error: bulk string does not end in CRLF"), error);
        if (LIKELY(direct)) {
            arguments[done] = bytes_of(input.data + at, (size_t)length);
        } else if (!remember(parser, at, (size_t)length)) {
            return fatal_memory(error);
        }
        done++;
        at += (size_t)length + 2;
    }

    command->argument_count = count;
    if (LIKELY(direct)) {
        command->arguments = arguments;
        if (UNLIKELY(parser->offset != 0))
            forget(parser);
    } else {
        if (!recall(parser, input, arguments, argument_capacity, command))
            return fatal_memory(error);
        forget(parser);
    }
    command->id = command_find(DIALECT_resp, command->arguments[0]);
    *consumed = at;
    return PARSE_DONE;

more:
    if (direct)
        for (uint32_t i = 0; i < done; i++)
            if (!remember(parser, (size_t)(arguments[i].data - input.data), arguments[i].size))
                return fatal_memory(error);
    parser->offset = at;
    parser->argument_count = count;
    return PARSE_MORE;
}

/* ---- inline commands: a line of words, for people --------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = byte_to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char unescape(char c)
{
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

enum word { WORD_NONE, WORD_PLAIN, WORD_QUOTED, WORD_BAD };

/* Reads the next word of `line` from `*at` by Redis's rules (sdssplitargs): quotes may begin anywhere in a
 * word and must end it; "" knows \n \r \t \b \a \xHH, '' only \'. A quoted word's bytes go to `*text`,
 * which is moved on; a plain word is borrowed from the line. */
static enum word next_word(struct bytes line, size_t *at, char **text, struct bytes *word)
{
    size_t i = *at;
    char *begin = *text, *out = begin, quote = 0;
    bool quoted = false;

    while (i < line.size && is_space(line.data[i]))
        i++;
    if (i == line.size)
        return WORD_NONE;
    *word = bytes_of(line.data + i, 0);
    for (; i < line.size; i++) {
        char c = line.data[i];
        if (quote == 0) {
            if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
                break;
            if (c == '"' || c == '\'') {
                quoted = true;
                quote = c;
            } else {
                *out++ = c;
            }
        } else if (c == quote) {
            if (i + 1 < line.size && !is_space(line.data[i + 1]))
                return WORD_BAD;
            quote = 0;
            i++;
            break;
        } else if (quote == '\'' && c == '\\' && i + 1 < line.size && line.data[i + 1] == '\'') {
            *out++ = line.data[++i];
        } else if (quote == '"' && c == '\\' && i + 3 < line.size && line.data[i + 1] == 'x' &&
                   hex_digit(line.data[i + 2]) >= 0 && hex_digit(line.data[i + 3]) >= 0) {
            *out++ = (char)(hex_digit(line.data[i + 2]) * 16 + hex_digit(line.data[i + 3]));
            i += 3;
        } else if (quote == '"' && c == '\\' && i + 1 < line.size) {
            *out++ = unescape(line.data[++i]);
        } else {
            *out++ = c;
        }
    }
    if (quote != 0)
        return WORD_BAD;
    *at = i;
    if (!quoted) {
        word->size = (size_t)(line.data + i - word->data);
        return WORD_PLAIN;
    }
    *word = bytes_of(begin, (size_t)(out - begin));
    *text = out;
    return WORD_QUOTED;
}

static enum parse parse_inline(struct resp_parser *parser, const struct resp_limits *limits,
                               struct bytes input, struct bytes *arguments, size_t argument_capacity,
                               struct command *command, size_t *consumed, struct bytes *error)
{
    size_t window =
        input.size <= limits->inline_bytes_max ? input.size : (size_t)limits->inline_bytes_max + 1;
    const char *end = NULL;
    size_t at = 0, count = 0;
    struct bytes line, word;
    enum word kind;
    char *text;

    if (parser->offset < window)
        end = memchr(input.data + parser->offset, '\n', window - parser->offset);
    if (end == NULL) {
        parser->offset = window;
        return window > limits->inline_bytes_max
                   ? fatal(BYTES("ERR Protocol error: too big inline request"), error)
                   : PARSE_MORE;
    }
    line = bytes_of(input.data, (size_t)(end - input.data));
    *consumed = line.size + 1;
    parser->offset = 0;
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (memchr(line.data, '\0', line.size) != NULL)
        return fatal(BYTES("ERR Protocol error: zero byte in inline request"), error);

    /* A word takes at least two bytes of the line, but for the last; their text is no longer than the line.
     */
    parser->many = malloc((line.size / 2 + 1) * sizeof *parser->many + line.size);
    if (parser->many == NULL)
        return fatal_memory(error);
    text = (char *)(parser->many + line.size / 2 + 1);
    while ((kind = next_word(line, &at, &text, &word)) != WORD_NONE) {
        if (kind == WORD_BAD)
            return fatal(BYTES("ERR Protocol error: unbalanced quotes in request"), error);
        parser->many[count++] = word;
    }
    if (count > limits->arguments_max)
        return fatal(BYTES("ERR Protocol error: too big inline request"), error);
    command->argument_count = (uint32_t)count;
    command->arguments = parser->many;
    if (count <= argument_capacity && count > 0) {
        memcpy(arguments, parser->many, count * sizeof *arguments);
        command->arguments = arguments;
    }
    if (words_are_http(command->arguments, count))
        return fatal(BYTES(""), error);
    if (count > 0)
        command->id = command_find(DIALECT_resp, command->arguments[0]);
    return PARSE_DONE;
}

enum parse resp_parse(struct resp_parser *parser, const struct resp_limits *limits, struct bytes input,
                      struct bytes *arguments, size_t argument_capacity, struct command *command,
                      size_t *consumed, struct bytes *error)
{
    if (UNLIKELY(parser->many != NULL)) {
        free(parser->many);
        parser->many = NULL;
    }
    *command = (struct command){.id = COMMAND_UNKNOWN};
    if (UNLIKELY(input.size == 0))
        return PARSE_MORE;
    if (LIKELY(input.data[0] == '*'))
        return parse_array(parser, limits, input, arguments, argument_capacity, command, consumed, error);
    return parse_inline(parser, limits, input, arguments, argument_capacity, command, consumed, error);
}
