/* memcached_parse.c — bytes to commands.
 *
 *            line ends                      data has arrived
 *   line ─────────────────► data block ────────────────────────► DONE, or REFUSED: bad data chunk
 *    │  └── no data ──────► DONE
 *    ├── too large ─────► DONE, without its data; skip that as it comes
 *    └── refused ─────────► skip the data block, if any, as it comes
 *
 * While a line has no end only new bytes are searched (`scanned`); while a data block is incomplete a call
 * looks at nothing but the size of its input. The line is taken apart again when the data is there. */
#include "base/compiler.h"
#include "base/number.h"
#include "protocol/memcached/memcached.h"
#include <stdlib.h>

#define BAD_FORMAT BYTES("CLIENT_ERROR bad command line format")

void memcached_parser_fini(struct memcached_parser *parser)
{
    free(parser->many);
    parser->many = NULL;
    parser->many_capacity = 0;
}

bool memcached_is_command_word(struct bytes word)
{
    enum command_id id = command_find(DIALECT_memcached, word);
    return id != COMMAND_UNKNOWN && memcmp(command_row(id)->name, word.data, word.size) == 0;
}

static enum parse refuse(struct memcached_parser *parser, size_t consumed_bytes, struct bytes text,
                         size_t *consumed, struct bytes *error)
{
    parser->scanned = parser->line_size = 0;
    *consumed = consumed_bytes;
    *error = text;
    return PARSE_REFUSED;
}

/* As refuse, and drops the `data_bytes` and the CRLF that will follow the line. */
static enum parse refuse_data(struct memcached_parser *parser, size_t line_size, uint64_t data_bytes,
                              struct bytes text, size_t *consumed, struct bytes *error)
{
    parser->skip_bytes = data_bytes + 2;
    return refuse(parser, line_size, text, consumed, error);
}

static enum parse fatal(struct bytes text, struct bytes *error)
{
    *error = text;
    return PARSE_FATAL;
}

/* Room for one more word than `count`, in the parser's own array. */
static bool grow_many(struct memcached_parser *parser, const struct bytes *words, size_t count)
{
    size_t capacity = 2 * count + 8;
    struct bytes *many = realloc(parser->many, capacity * sizeof *many);

    if (many == NULL)
        return false;
    if (parser->many == NULL && count > 0)
        memcpy(many, words, count * sizeof *many);
    parser->many = many;
    parser->many_capacity = capacity;
    return true;
}

struct words {
    struct bytes *at;
    size_t count, capacity;
    bool has_control; /* a byte that no key may hold */
};

static bool push(struct memcached_parser *parser, struct words *words, struct bytes word)
{
    if (UNLIKELY(words->count == words->capacity)) {
        if (!grow_many(parser, words->at, words->count))
            return false;
        words->at = parser->many;
        words->capacity = parser->many_capacity;
    }
    words->at[words->count++] = word;
    return true;
}

/* Splits at runs of spaces. False without memory. */
static bool split(struct memcached_parser *parser, struct bytes line, struct words *words)
{
    const char *byte = line.data, *end = byte + line.size;
    bool has_control = false;

    while (byte < end) {
        const char *begin;
        if (*byte == ' ') {
            byte++;
            continue;
        }
        for (begin = byte; byte < end && *byte != ' '; byte++)
            has_control |= (unsigned char)*byte < ' ' || *byte == 0x7f;
        if (!push(parser, words, bytes_of(begin, (size_t)(byte - begin))))
            return false;
    }
    words->has_control = has_control;
    return true;
}

static bool keys_are_good(const struct command_row *row, const struct words *words)
{
    size_t last = row->last_key < 0 ? words->count - 1 : (size_t)row->last_key;

    if (row->first_key == 0)
        return true;
    if (words->has_control)
        return false;
    for (size_t i = (size_t)row->first_key; i <= last && i < words->count; i++)
        if (words->at[i].size > MEMCACHED_KEY_BYTES_MAX)
            return false;
    return true;
}

/* The word that says how long the data block is; 0 for a command without one. */
static size_t data_word(enum command_id id)
{
    switch (id) {
    case COMMAND_memcached_set:
    case COMMAND_memcached_add:
    case COMMAND_memcached_replace:
    case COMMAND_memcached_append:
    case COMMAND_memcached_prepend:
    case COMMAND_memcached_cas: return 4;
    case COMMAND_memcached_ms: return 2;
    default: return 0;
    }
}

/* Meta commands have a flag for it, and what gat ends with is a key. */
static bool takes_noreply(enum command_id id)
{
    switch (id) {
    case COMMAND_memcached_delete:
    case COMMAND_memcached_incr:
    case COMMAND_memcached_decr:
    case COMMAND_memcached_touch:
    case COMMAND_memcached_flush_all:
    case COMMAND_memcached_verbosity: return true;
    default: return data_word(id) == 4;
    }
}

/* Takes a last word that is "noreply" off the line, or one too many, which memcached passes over. */
static bool take_noreply(const struct command_row *row, size_t least, struct words *words)
{
    bool is_quiet;

    if (words->count <= least)
        return false;
    is_quiet = bytes_equal(words->at[words->count - 1], BYTES("noreply"));
    if (is_quiet || (row->arity > 0 && words->count == least + 1))
        words->count--;
    return is_quiet;
}

/* A length as C's strtol reads it. */
static bool length_parse(struct bytes text, uint64_t *length)
{
    if (text.size > 0 && text.data[0] == '+') /* of a word that is there. NOLINT(*BinaryOperatorResult) */
        text = bytes_after(text, 1);
    return digits_parse(text, INT32_MAX - 2, length);
}

/* Understands a whole line of `line_size` bytes with its end. */
static enum parse parse_line(struct memcached_parser *parser, const struct memcached_limits *limits,
                             struct bytes input, size_t line_size, struct words *words,
                             struct command *command, size_t *consumed, struct bytes *error)
{
    const struct command_row *row;
    uint64_t data_bytes;
    size_t length_at, least;

    if (UNLIKELY(!split(parser, bytes_of(input.data, line_size - 2), words)))
        return fatal(BYTES("SERVER_ERROR out of memory"), error);
    if (UNLIKELY(words->count == 0 || !memcached_is_command_word(words->at[0]))) {
        if (words_are_http(words->at, words->count))
            return fatal(BYTES(""), error);
        return refuse(parser, line_size, BYTES("ERROR"), consumed, error);
    }
    command->id = command_find(DIALECT_memcached, words->at[0]);
    row = command_row(command->id);
    length_at = data_word(command->id);
    least = (size_t)abs(row->arity) - (length_at > 0); /* words of the line */

    if (takes_noreply(command->id))
        command->quiet = take_noreply(row, least, words);
    if (UNLIKELY(!command_arity_fits(row->arity, (uint32_t)(words->count + (length_at > 0)))))
        return refuse(parser, line_size,
                      command->id == COMMAND_memcached_ms && words->count > 1 ? BAD_FORMAT : BYTES("ERROR"),
                      consumed, error);
    if (length_at == 0) {
        if (UNLIKELY(!keys_are_good(row, words)))
            return refuse(parser, line_size, command->quiet ? BYTES("") : BAD_FORMAT, consumed, error);
        parser->scanned = 0;
        *consumed = line_size;
        return PARSE_DONE;
    }

    /* The word is there: the arity of every command with data asks for it. */
    if (UNLIKELY(!length_parse(words->at[length_at], &data_bytes))) /* NOLINT(*CallAndMessage) */
        return refuse(parser, line_size, command->quiet ? BYTES("") : BAD_FORMAT, consumed, error);
    if (UNLIKELY(!keys_are_good(row, words)))
        return refuse_data(parser, line_size, data_bytes, command->quiet ? BYTES("") : BAD_FORMAT, consumed,
                           error);
    if (UNLIKELY(data_bytes > limits->value_bytes_max)) {
        /* Whoever runs the command says so; what the data block would be is dropped as it comes. */
        if (!push(parser, words, bytes_of(NULL, data_bytes)))
            return fatal(BYTES("SERVER_ERROR out of memory"), error);
        parser->skip_bytes = data_bytes + 2;
        parser->scanned = parser->line_size = 0;
        *consumed = line_size;
        return PARSE_DONE;
    }
    if (input.size - line_size < data_bytes + 2) {
        parser->line_size = line_size;
        parser->data_bytes = data_bytes;
        return PARSE_MORE;
    }
    *consumed = line_size + data_bytes + 2;
    if (UNLIKELY(memcmp(input.data + *consumed - 2, "\r\n", 2) != 0))
        return refuse(parser, *consumed, command->quiet ? BYTES("") : BYTES("CLIENT_ERROR bad data chunk"),
                      consumed, error);
    if (UNLIKELY(!push(parser, words, bytes_of(input.data + line_size, data_bytes))))
        return fatal(BYTES("SERVER_ERROR out of memory"), error);
    parser->scanned = parser->line_size = 0;
    return PARSE_DONE;
}

enum parse memcached_parse(struct memcached_parser *parser, const struct memcached_limits *limits,
                           struct bytes input, struct bytes *arguments, size_t argument_capacity,
                           struct command *command, size_t *consumed, struct bytes *error)
{
    struct words words = {.at = arguments, .capacity = argument_capacity};
    size_t line_size = parser->line_size;
    enum parse parse;

    if (UNLIKELY(parser->many != NULL))
        memcached_parser_fini(parser);
    *command = (struct command){.id = COMMAND_UNKNOWN};
    if (UNLIKELY(input.size == 0))
        return PARSE_MORE;
    if (UNLIKELY((unsigned char)input.data[0] == MEMCACHED_BINARY_BYTE && parser->scanned == 0 &&
                 line_size == 0 && parser->skip_bytes == 0))
        return fatal(BYTES(""), error);
    if (UNLIKELY(parser->skip_bytes > 0)) {
        *consumed = input.size < parser->skip_bytes ? input.size : (size_t)parser->skip_bytes;
        parser->skip_bytes -= *consumed;
        *error = BYTES("");
        return PARSE_REFUSED;
    }

    if (line_size > 0) {
        if (input.size - line_size < parser->data_bytes + 2)
            return PARSE_MORE;
    } else {
        size_t window = input.size < limits->line_bytes_max ? input.size : (size_t)limits->line_bytes_max;
        const char *end = window > parser->scanned
                              ? memchr(input.data + parser->scanned, '\n', window - parser->scanned)
                              : NULL;
        if (end == NULL) {
            parser->scanned = window;
            return window == limits->line_bytes_max ? fatal(BYTES("CLIENT_ERROR line too long"), error)
                                                    : PARSE_MORE;
        }
        line_size = (size_t)(end + 1 - input.data);
        if (UNLIKELY(line_size == 1))
            return refuse(parser, line_size, BYTES("ERROR"), consumed, error);
        if (UNLIKELY(end[-1] != '\r'))
            return fatal(BYTES("CLIENT_ERROR line does not end in CRLF"), error);
    }
    parse = parse_line(parser, limits, input, line_size, &words, command, consumed, error);
    command->arguments = words.at;
    command->argument_count = (uint32_t)words.count;
    return parse;
}
