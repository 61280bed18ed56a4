/* resp_reply.c — bytes to replies.
 *
 * Nodes are written in the order of the wire; a level for each aggregate that is not complete counts what
 * is missing of it.
 *   (1) offset is where the next value's first line begins. While bytes are missing, each call looks again
 *       at one length at most, and at no byte of a longer line twice (scanned).
 *   (2) nodes grow with what has come: each took at least three bytes of input.
 *   (3) What is wrong is found at the same byte however the input is split: a byte at reply_bytes_max or
 *       beyond is never looked at, and what stands before it is judged first.
 *   (4) An attribute, and all that is in it, has a level and no node. */
#include "protocol/resp/resp_reply.h"
#include "base/compiler.h"
#include "base/number.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_NODES = 16,
    KEPT_NODES = 4096,     /* memory for more is given back when their reply has been read */
    SHORT_LINE_BYTES = 32, /* of a length, a number or a word: type, 20 digits, CRLF */
    VALUE_BYTES_MIN = 3,   /* "_\r\n" */
    FORMAT_BYTES = 4,      /* "txt:" */
};
/* Levels without a node. */
#define OF_ATTRIBUTE        UINT32_MAX       /* its members are keys and values beside what follows */
#define WITHIN_AN_ATTRIBUTE (UINT32_MAX - 1) /* an aggregate that is one of them */

/* What reading one more value came to. */
enum step { STEP_MORE, STEP_TAKEN, STEP_WRONG };

struct reading {
    struct resp_reply_parser *parser;
    const struct resp_reply_limits *limits;
    struct bytes input;
};

static enum step wrong(struct reading *reading, const char *text)
{
    snprintf(reading->parser->error_text, sizeof reading->parser->error_text, "%s", text);
    return STEP_WRONG;
}

static enum step too_large(struct reading *reading)
{
    snprintf(reading->parser->error_text, sizeof reading->parser->error_text,
             "a reply of more than %llu bytes", (unsigned long long)reading->limits->reply_bytes_max);
    return STEP_WRONG;
}

/* ---- lines -------------------------------------------------------------------------------------- */

/* Reads the line whose type byte is at the parser's offset: `*line` is what is between that byte and CRLF,
 * `*behind` the offset behind it. A line of more than `bytes_max`, type and CRLF included, is refused. */
static enum step read_line(struct reading *reading, size_t bytes_max, struct bytes *line, size_t *behind)
{
    struct resp_reply_parser *parser = reading->parser;
    const char *data = reading->input.data;
    uint64_t reply_left = reading->limits->reply_bytes_max - parser->offset;
    bool is_reply_limit = reply_left <= bytes_max;
    size_t end = parser->offset + (is_reply_limit ? (size_t)reply_left : bytes_max);
    size_t seen = end < reading->input.size ? end : reading->input.size;
    size_t at = parser->scanned > parser->offset ? parser->scanned : parser->offset + 1;

    while (at < seen && data[at] != '\r' && data[at] != '\n')
        at++;
    parser->scanned = at;
    if (at < seen && data[at] == '\n')
        return wrong(reading, "a line that ends without a carriage return");
    if (at + 1 < seen) {
        if (data[at + 1] != '\n')
            return wrong(reading, "a line with a carriage return inside");
        *line = bytes_of(data + parser->offset + 1, at - parser->offset - 1);
        *behind = at + 2;
        return STEP_TAKEN;
    }
    if (seen < end)
        return STEP_MORE;
    return is_reply_limit ? too_large(reading) : wrong(reading, "a line that is too long for its type");
}

/* A short line that is a number. */
static enum step read_number(struct reading *reading, int64_t *number, size_t *behind)
{
    struct bytes line;
    enum step step = read_line(reading, SHORT_LINE_BYTES, &line, behind);

    if (step == STEP_TAKEN && !int64_parse(line, number))
        return wrong(reading, "a number that is none, or does not fit in 64 bits");
    return step;
}

static size_t skip_digits(struct bytes text, size_t at)
{
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at;
}

static size_t skip_sign(struct bytes text, size_t at)
{
    return at < text.size && (text.data[at] == '-' || text.data[at] == '+') ? at + 1 : at;
}

static bool is_whole_number(struct bytes text)
{
    size_t begin = skip_sign(text, 0);
    return begin < text.size && skip_digits(text, begin) == text.size;
}

/* Sign, digits, point and digits, exponent; or a word. "-nan" is what Redis before 7.2 may say. */
static bool is_floating_number(struct bytes text)
{
    size_t begin = skip_sign(text, 0), at = skip_digits(text, begin), digits;
    struct bytes word = bytes_after(text, begin);

    if (bytes_equal(word, BYTES("inf")) || bytes_equal(word, BYTES("nan")))
        return true;
    if (at == begin)
        return false;
    if (at < text.size && text.data[at] == '.') {
        digits = at + 1;
        at = skip_digits(text, digits);
        if (at == digits)
            return false;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        digits = skip_sign(text, at + 1);
        at = skip_digits(text, digits);
        if (at == digits)
            return false;
    }
    return at == text.size;
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static bool is_in_attribute(const struct resp_reply_parser *parser)
{
    return parser->depth > 0 && parser->levels[parser->depth - 1].node >= WITHIN_AN_ATTRIBUTE;
}

static enum step add_node(struct reading *reading, struct resp_node node)
{
    struct resp_reply_parser *parser = reading->parser;

    if (is_in_attribute(parser))
        return STEP_TAKEN; /* (4) */
    if (parser->node_count >= reading->limits->nodes_max)
        return wrong(reading, "a reply of too many values");
    if (parser->node_count == parser->node_capacity) {
        uint32_t capacity = parser->node_capacity > 0 ? parser->node_capacity * 2 : FIRST_NODES;
        struct resp_node *nodes = realloc(parser->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return wrong(reading, "a reply that there is no memory for");
        parser->nodes = nodes;
        parser->node_capacity = capacity;
    }
    if (parser->node_count == 0)
        parser->begin = parser->offset;
    parser->nodes[parser->node_count++] = node;
    return STEP_TAKEN;
}

/* One value is complete: so may be those that it is in. */
static enum step close_levels(struct reading *reading)
{
    struct resp_reply_parser *parser = reading->parser;

    while (parser->depth > 0) {
        struct resp_level *level = &parser->levels[parser->depth - 1];
        if (--level->left_count > 0)
            return STEP_TAKEN;
        parser->depth--;
        if (level->node == OF_ATTRIBUTE)
            return STEP_TAKEN; /* which is no value: what it is about follows */
        if (level->node == WITHIN_AN_ATTRIBUTE)
            continue;
        parser->nodes[level->node].span = parser->node_count - level->node;
    }
    return STEP_TAKEN;
}

static enum step take_scalar(struct reading *reading, struct resp_node node, size_t behind)
{
    enum step step;

    node.span = 1;
    step = add_node(reading, node);
    if (step != STEP_TAKEN)
        return step;
    reading->parser->offset = behind;
    return close_levels(reading);
}

/* Bytes are remembered by where they are: the input may lie elsewhere at the next call. */
static struct resp_node node_of(enum resp_type type, const struct reading *reading, struct bytes bytes)
{
    return (struct resp_node){.type = type,
                              .integer = bytes.data - reading->input.data,
                              .bytes = {.data = NULL, .size = bytes.size}};
}

/* ---- values by their type ----------------------------------------------------------------------- */

static enum step read_text_line(struct reading *reading, enum resp_type type)
{
    struct bytes line;
    size_t behind;
    enum step step = read_line(reading, SIZE_MAX, &line, &behind);

    if (step != STEP_TAKEN)
        return step;
    if ((type == RESP_DOUBLE && !is_floating_number(line)) ||
        (type == RESP_BIG_NUMBER && !is_whole_number(line)))
        return wrong(reading, "a number that is none");
    return take_scalar(reading, node_of(type, reading, line), behind);
}

static enum step read_integer(struct reading *reading)
{
    struct resp_node node = {.type = RESP_INTEGER};
    size_t behind;
    enum step step = read_number(reading, &node.integer, &behind);

    return step == STEP_TAKEN ? take_scalar(reading, node, behind) : step;
}

/* "_", "#t" and "#f". */
static enum step read_word(struct reading *reading, enum resp_type type)
{
    struct resp_node node = {.type = type};
    struct bytes line;
    size_t behind;
    enum step step = read_line(reading, SHORT_LINE_BYTES, &line, &behind);

    if (step != STEP_TAKEN)
        return step;
    if (type == RESP_NULL && line.size > 0)
        return wrong(reading, "a null with something in it");
    if (type == RESP_BOOLEAN) {
        node.integer = bytes_equal(line, BYTES("t"));
        if (node.integer == 0 && !bytes_equal(line, BYTES("f")))
            return wrong(reading, "a boolean that is neither true nor false");
    }
    return take_scalar(reading, node, behind);
}

/* "$", "!" and "=": a length and that many bytes. */
static enum step read_sized(struct reading *reading, enum resp_type type)
{
    const char *data = reading->input.data;
    int64_t size;
    size_t begin, end;
    enum step step = read_number(reading, &size, &begin);

    if (step != STEP_TAKEN)
        return step;
    if (size == -1 && type == RESP_BULK)
        return take_scalar(reading, (struct resp_node){.type = RESP_NULL}, begin);
    if (size < 0)
        return wrong(reading, "a negative length");
    if ((uint64_t)size > reading->limits->reply_bytes_max - begin ||
        reading->limits->reply_bytes_max - begin - (uint64_t)size < 2)
        return too_large(reading);
    end = begin + (size_t)size;
    if (reading->input.size < end + 1)
        return STEP_MORE;
    if (data[end] != '\r' || (reading->input.size >= end + 2 && data[end + 1] != '\n'))
        return wrong(reading, "a string that is not as long as it says");
    if (reading->input.size < end + 2)
        return STEP_MORE;
    if (type == RESP_VERBATIM) {
        if (size < FORMAT_BYTES || data[begin + FORMAT_BYTES - 1] != ':')
            return wrong(reading, "a verbatim string without its format");
        begin += FORMAT_BYTES;
    }
    return take_scalar(reading, node_of(type, reading, bytes_of(data + begin, end - begin)), end + 2);
}

/* Whether `count` values can still come, by what they would take at least. */
static bool is_possible(const struct reading *reading, uint64_t count, size_t offset)
{
    return count <= reading->limits->nodes_max &&
           count * VALUE_BYTES_MIN <= reading->limits->reply_bytes_max - offset;
}

static enum step read_aggregate(struct reading *reading, enum resp_type type, bool is_attribute)
{
    struct resp_reply_parser *parser = reading->parser;
    uint32_t depth_max =
        reading->limits->depth_max < RESP_DEPTH_MAX ? reading->limits->depth_max : RESP_DEPTH_MAX;
    struct resp_node node = {.type = type, .span = 1};
    struct resp_level level = {.node = is_attribute ? OF_ATTRIBUTE : parser->node_count};
    size_t behind;
    enum step step = read_number(reading, &node.integer, &behind);

    if (step != STEP_TAKEN)
        return step;
    if (node.integer == -1 && type == RESP_ARRAY)
        return take_scalar(reading, (struct resp_node){.type = RESP_NULL_ARRAY}, behind);
    if (node.integer < 0)
        return wrong(reading, "a negative count");
    if (type == RESP_PUSH && (parser->depth > 0 || node.integer == 0))
        return wrong(reading, node.integer == 0 ? "a push without a kind" : "a push inside of a reply");
    if (parser->depth >= depth_max)
        return wrong(reading, "a reply with too many levels");
    level.left_count = (uint64_t)node.integer;
    if (!is_possible(reading, level.left_count, behind))
        return wrong(reading, "a reply of more values than it may have");
    if (type == RESP_MAP) {
        level.left_count *= 2;
        if (!is_possible(reading, level.left_count, behind))
            return wrong(reading, "a reply of more values than it may have");
    }
    if (!is_attribute) {
        if (is_in_attribute(parser))
            level.node = WITHIN_AN_ATTRIBUTE;
        step = add_node(reading, node);
        if (step != STEP_TAKEN)
            return step;
    }
    parser->offset = behind;
    if (level.left_count > 0)
        parser->levels[parser->depth++] = level;
    else if (!is_attribute)
        return close_levels(reading);
    return STEP_TAKEN;
}

static enum step wrong_type(struct reading *reading, char type)
{
    struct resp_reply_parser *parser = reading->parser;

    if (isprint((unsigned char)type))
        snprintf(parser->error_text, sizeof parser->error_text, "a value that begins with '%c'", type);
    else
        snprintf(parser->error_text, sizeof parser->error_text, "a value that begins with byte %u",
                 (unsigned)(unsigned char)type);
    return STEP_WRONG;
}

static enum step read_value(struct reading *reading)
{
    struct resp_reply_parser *parser = reading->parser;
    char type;

    if (parser->offset >= reading->limits->reply_bytes_max)
        return too_large(reading);
    if (parser->offset >= reading->input.size)
        return STEP_MORE;
    type = reading->input.data[parser->offset];
    switch (type) {
    case '$': return read_sized(reading, RESP_BULK);
    case '+': return read_text_line(reading, RESP_SIMPLE);
    case '-': return read_text_line(reading, RESP_ERROR);
    case ':': return read_integer(reading);
    case '*': return read_aggregate(reading, RESP_ARRAY, false);
    case '_': return read_word(reading, RESP_NULL);
    case '#': return read_word(reading, RESP_BOOLEAN);
    case ',': return read_text_line(reading, RESP_DOUBLE);
    case '(': return read_text_line(reading, RESP_BIG_NUMBER);
    case '!': return read_sized(reading, RESP_ERROR);
    case '=': return read_sized(reading, RESP_VERBATIM);
    case '%': return read_aggregate(reading, RESP_MAP, false);
    case '~': return read_aggregate(reading, RESP_SET, false);
    case '>': return read_aggregate(reading, RESP_PUSH, false);
    case '|': return read_aggregate(reading, RESP_MAP, true);
    default: return wrong_type(reading, type); /* any byte may come */
    }
}

/* ---- whole replies ------------------------------------------------------------------------------ */

static bool has_bytes(enum resp_type type)
{
    switch (type) {
    case RESP_SIMPLE:
    case RESP_ERROR:
    case RESP_BULK:
    case RESP_DOUBLE:
    case RESP_BIG_NUMBER:
    case RESP_VERBATIM: return true;
    case RESP_INTEGER:
    case RESP_NULL:
    case RESP_NULL_ARRAY:
    case RESP_BOOLEAN:
    case RESP_ARRAY:
    case RESP_MAP:
    case RESP_SET:
    case RESP_PUSH: return false;
    }
    UNREACHABLE();
}

static void point_at(struct resp_node *nodes, uint32_t count, struct bytes input)
{
    for (uint32_t i = 0; i < count; i++)
        if (has_bytes(nodes[i].type)) {
            nodes[i].bytes.data = input.data + nodes[i].integer;
            nodes[i].integer = 0;
        }
}

static void begin_anew(struct resp_reply_parser *parser)
{
    parser->node_count = parser->depth = 0;
    parser->offset = parser->scanned = parser->begin = 0;
}

void resp_reply_parser_fini(struct resp_reply_parser *parser)
{
    free(parser->nodes);
    parser->nodes = NULL;
    parser->node_capacity = 0;
    begin_anew(parser);
}

enum parse resp_reply_parse(struct resp_reply_parser *parser, const struct resp_reply_limits *limits,
                            struct bytes input, struct resp_reply *reply, size_t *consumed,
                            struct bytes *error)
{
    struct reading reading = {.parser = parser, .limits = limits, .input = input};
    enum step step;

    if (parser->offset == 0 && parser->node_capacity > KEPT_NODES)
        resp_reply_parser_fini(parser);
    do {
        step = read_value(&reading);
    } while (step == STEP_TAKEN && (parser->depth > 0 || parser->node_count == 0));
    if (step == STEP_MORE)
        return PARSE_MORE;
    if (step == STEP_TAKEN && parser->nodes[0].type == RESP_PUSH && parser->nodes[1].type != RESP_BULK &&
        parser->nodes[1].type != RESP_SIMPLE)
        step = wrong(&reading, "a push whose kind is no string");
    if (step == STEP_WRONG) {
        *error = bytes_of_text(parser->error_text);
        return PARSE_FATAL;
    }
    point_at(parser->nodes, parser->node_count, input);
    *reply = (struct resp_reply){
        .nodes = parser->nodes,
        .node_count = parser->node_count,
        .raw = bytes_of(input.data + parser->begin, parser->offset - parser->begin),
    };
    *consumed = parser->offset;
    begin_anew(parser);
    return PARSE_DONE;
}
