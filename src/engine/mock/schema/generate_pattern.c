/* From a regular expression to a text that it might match: taken apart into nodes, then said at random. */
#include "generate.h"

enum { NODES_MAX = 400, RANGES_MAX = 400, DEPTH_MAX = 30, TEXT_BYTES_MAX = 64 << 10, STEPS_MAX = 300000 };

struct char_range {
    uint32_t low, high;
};

struct node {
    enum { NODE_NOTHING, NODE_CHARS, NODE_SEQUENCE, NODE_CHOICE, NODE_REPEAT } kind;
    uint16_t next;        /* among the parts of its parent; 0: the last */
    uint16_t first;       /* of a sequence, a choice, or what is repeated; of characters: the first range */
    uint16_t range_count; /* of characters */
    size_t low, high;     /* repetitions */
};

struct parser {
    const char *at;
    struct node nodes[NODES_MAX]; /* 0 is not used */
    size_t node_count;
    struct char_range ranges[RANGES_MAX];
    size_t range_count;
    int depth;
    size_t step_count; /* while it is said: a repeated nothing makes no text longer */
};

static uint16_t new_node(struct parser *parser, struct node node)
{
    if (parser->node_count + 1 >= NODES_MAX)
        return 0;
    parser->nodes[++parser->node_count] = node;
    return (uint16_t)parser->node_count;
}

static bool add_range(struct parser *parser, uint32_t low, uint32_t high)
{
    if (parser->range_count == RANGES_MAX)
        return false;
    parser->ranges[parser->range_count++] = (struct char_range){low, high};
    return true;
}

/* The next character of the expression, in UTF-8, which is valid. */
static uint32_t take_character(struct parser *parser)
{
    const unsigned char *at = (const unsigned char *)parser->at;
    int more = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0xc0 ? 1 : 0;
    uint32_t character = more == 0 ? *at : *at & (0x3fU >> more);

    for (int i = 1; i <= more && at[i] != '\0'; i++)
        character = character << 6 | (at[i] & 0x3f);
    parser->at += 1 + more;
    return character;
}

/* ---- classes ----------------------------------------------------------------------------------- */

/* The ranges of \d and its like, within what is easily read. */
static bool add_class(struct parser *parser, char letter)
{
    switch (letter) {
    case 'd': return add_range(parser, '0', '9');
    case 'w':
        return add_range(parser, 'a', 'z') && add_range(parser, 'A', 'Z') && add_range(parser, '0', '9') &&
               add_range(parser, '_', '_');
    case 's': return add_range(parser, ' ', ' ');
    case 'D': return add_range(parser, 'a', 'z') && add_range(parser, '-', '-');
    case 'W':
        return add_range(parser, '-', '-') && add_range(parser, ' ', ' ') && add_range(parser, '!', '!');
    case 'S': return add_range(parser, 'a', 'z') && add_range(parser, '0', '9');
    default: return false;
    }
}

/* \p{…}: of the categories that are in use. */
static bool add_category(struct parser *parser, bool is_negated)
{
    static const struct {
        const char *name;
        uint32_t low, high;
    } categories[] = {
        {"{L}", 'a', 'z'},  {"{Letter}", 'a', 'z'}, {"{Ll}", 'a', 'z'},    {"{Lu}", 'A', 'Z'},
        {"{N}", '0', '9'},  {"{Nd}", '0', '9'},     {"{P}", '!', '!'},     {"{Z}", ' ', ' '},
        {"{Zs}", ' ', ' '}, {"{S}", '+', '+'},      {"{Alpha}", 'a', 'z'}, {"{Punct}", '!', '!'},
    };
    for (size_t i = 0; !is_negated && i < COUNT_OF(categories); i++) {
        size_t size = strlen(categories[i].name);
        if (strncmp(parser->at, categories[i].name, size) != 0)
            continue;
        parser->at += size;
        return add_range(parser, categories[i].low, categories[i].high);
    }
    return false;
}

static bool take_hex(struct parser *parser, int digits, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++, parser->at++) {
        char c = byte_to_lower(*parser->at);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *value = *value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* Behind a backslash: one character in `*character`, or a class whose ranges are added, `*is_class`. */
static bool take_escape(struct parser *parser, uint32_t *character, bool *is_class)
{
    char c = *parser->at;

    *is_class = false;
    if (c == '\0')
        return false;
    if (strchr("dwsDWS", c) != NULL) {
        parser->at++;
        *is_class = true;
        return add_class(parser, c);
    }
    if (c == 'p' || c == 'P') {
        parser->at++;
        *is_class = true;
        return add_category(parser, c == 'P');
    }
    if (c >= '1' && c <= '9') /* a back reference */
        return false;
    *character = take_character(parser);
    switch (c) {
    case 't': *character = '\t'; return true;
    case 'n': *character = '\n'; return true;
    case 'r': *character = '\r'; return true;
    case 'f': *character = '\f'; return true;
    case 'v': *character = '\v'; return true;
    case '0': return false; /* NUL is in no text that is made */
    case 'x': return take_hex(parser, 2, character);
    case 'u': return take_hex(parser, 4, character) && (*character & 0xf800) != 0xd800;
    default: return true;
    }
}

/* Readable characters that none of the ranges from `first` on has, put in their place. */
static bool negate(struct parser *parser, size_t first)
{
    bool is_taken[127] = {0};
    size_t count = 0;

    for (size_t i = first; i < parser->range_count; i++)
        for (uint32_t c = parser->ranges[i].low; c <= parser->ranges[i].high && c < sizeof is_taken; c++)
            is_taken[c] = true;
    parser->range_count = first;
    for (uint32_t c = ' '; c < sizeof is_taken; c++)
        if (!is_taken[c]) {
            count++;
            if (!add_range(parser, c, c))
                return false;
        }
    return count > 0;
}

/* Behind the '[' of a class. */
static uint16_t parse_class(struct parser *parser)
{
    size_t first = parser->range_count;
    bool is_negated = *parser->at == '^', is_class;

    parser->at += is_negated;
    while (*parser->at != ']') {
        uint32_t low, high;
        if (*parser->at == '\0')
            return 0;
        low = take_character(parser);
        if (low == '\\') {
            if (*parser->at == 'b') {
                parser->at++;
                low = '\b';
            } else if (!take_escape(parser, &low, &is_class)) {
                return 0;
            } else if (is_class) {
                continue;
            }
        }
        high = low;
        if (parser->at[0] == '-' && parser->at[1] != ']' && parser->at[1] != '\0') {
            parser->at++;
            high = take_character(parser);
            if (high == '\\' && (!take_escape(parser, &high, &is_class) || is_class))
                return 0;
        }
        if (low > high || !add_range(parser, low, high))
            return 0;
    }
    parser->at++;
    if ((is_negated && !negate(parser, first)) || parser->range_count == first)
        return 0;
    return new_node(parser, (struct node){.kind = NODE_CHARS,
                                          .first = (uint16_t)first,
                                          .range_count = (uint16_t)(parser->range_count - first)});
}

/* ---- the rest ---------------------------------------------------------------------------------- */

static uint16_t parse_choice(struct parser *parser);

/* Behind the '(' of a group. Look-around is passed over: whoever asks for the text checks it. */
static uint16_t parse_group(struct parser *parser)
{
    bool is_look_around = false;
    uint16_t inner;

    if (*parser->at == '?') {
        parser->at++;
        is_look_around = *parser->at == '=' || *parser->at == '!' ||
                         (*parser->at == '<' && (parser->at[1] == '=' || parser->at[1] == '!'));
        if (is_look_around) {
            parser->at += *parser->at == '<' ? 2 : 1;
        } else if (*parser->at == '<') {
            parser->at = strchrnul(parser->at, '>');
            if (*parser->at == '\0')
                return 0;
            parser->at++;
        } else if (*parser->at == ':') {
            parser->at++;
        } else {
            return 0;
        }
    }
    inner = parse_choice(parser);
    if (inner == 0 || *parser->at != ')')
        return 0;
    parser->at++;
    return is_look_around ? new_node(parser, (struct node){.kind = NODE_NOTHING}) : inner;
}

static uint16_t single(struct parser *parser, uint32_t low, uint32_t high)
{
    size_t first = parser->range_count;

    if (!add_range(parser, low, high))
        return 0;
    return new_node(parser, (struct node){.kind = NODE_CHARS, .first = (uint16_t)first, .range_count = 1});
}

static uint16_t parse_atom(struct parser *parser)
{
    size_t first = parser->range_count;
    uint32_t character = take_character(parser);
    bool is_class;

    switch (character) {
    case '(': return parse_group(parser);
    case '[': return parse_class(parser);
    case '.': return single(parser, 'a', 'z');
    case '^':
    case '$': return new_node(parser, (struct node){.kind = NODE_NOTHING});
    case '*':
    case '+':
    case '?': return 0;
    case '\\':
        if (*parser->at == 'b' || *parser->at == 'B') {
            parser->at++;
            return new_node(parser, (struct node){.kind = NODE_NOTHING});
        }
        if (!take_escape(parser, &character, &is_class))
            return 0;
        if (!is_class)
            return single(parser, character, character);
        return new_node(parser, (struct node){.kind = NODE_CHARS,
                                              .first = (uint16_t)first,
                                              .range_count = (uint16_t)(parser->range_count - first)});
    default: return single(parser, character, character);
    }
}

static bool take_number(struct parser *parser, size_t *number)
{
    const char *start = parser->at;

    for (*number = 0; *parser->at >= '0' && *parser->at <= '9' && *number < 100000; parser->at++)
        *number = *number * 10 + (size_t)(*parser->at - '0');
    return parser->at > start;
}

/* "{2}", "{2,}" or "{2,3}"; anything else is text. */
static bool take_braces(struct parser *parser, size_t *low, size_t *high)
{
    const char *start = parser->at++;

    if (take_number(parser, low)) {
        *high = *low;
        if (*parser->at == ',') {
            parser->at++;
            if (!take_number(parser, high))
                *high = SIZE_MAX;
        }
        if (*parser->at == '}') {
            parser->at++;
            return true;
        }
    }
    parser->at = start;
    return false;
}

static uint16_t parse_repeat(struct parser *parser)
{
    uint16_t inner = parse_atom(parser);
    size_t low, high;

    switch (inner == 0 ? '\0' : *parser->at) {
    case '*': low = 0, high = SIZE_MAX, parser->at++; break;
    case '+': low = 1, high = SIZE_MAX, parser->at++; break;
    case '?': low = 0, high = 1, parser->at++; break;
    case '{':
        if (!take_braces(parser, &low, &high))
            return inner;
        break;
    default: return inner;
    }
    if (*parser->at == '?' || *parser->at == '+') /* lazy, or possessive */
        parser->at++;
    return new_node(parser, (struct node){.kind = NODE_REPEAT, .first = inner, .low = low, .high = high});
}

/* Puts `part` behind the others of `whole`. */
static bool add_part(struct parser *parser, uint16_t whole, uint16_t *last, uint16_t part)
{
    if (part == 0)
        return false;
    if (*last == 0)
        parser->nodes[whole].first = part;
    else
        parser->nodes[*last].next = part;
    *last = part;
    return true;
}

static uint16_t parse_sequence(struct parser *parser)
{
    uint16_t whole = new_node(parser, (struct node){.kind = NODE_SEQUENCE}), last = 0;

    if (whole == 0)
        return 0;
    while (*parser->at != '\0' && *parser->at != '|' && *parser->at != ')')
        if (!add_part(parser, whole, &last, parse_repeat(parser)))
            return 0;
    return whole;
}

static uint16_t parse_choice(struct parser *parser)
{
    uint16_t whole = new_node(parser, (struct node){.kind = NODE_CHOICE}), last = 0;

    if (whole == 0 || ++parser->depth > DEPTH_MAX)
        return 0;
    do {
        if (*parser->at == '|')
            parser->at++;
        if (!add_part(parser, whole, &last, parse_sequence(parser)))
            return 0;
    } while (*parser->at == '|');
    parser->depth--;
    return whole;
}

/* ---- saying it --------------------------------------------------------------------------------- */

static void append_character(struct buffer *text, uint32_t c)
{
    if (c < 0x80) {
        buffer_append_byte(text, (char)c);
        return;
    }
    if (c >= 0x10000)
        buffer_append_byte(text, (char)(0xf0 | c >> 18));
    if (c >= 0x800)
        buffer_append_byte(text, (char)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3f) : 0xe0 | c >> 12));
    buffer_append_byte(text, (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6));
    buffer_append_byte(text, (char)(0x80 | (c & 0x3f)));
}

static void append_chars(const struct parser *parser, const struct node *node, struct random_source *random,
                         struct buffer *text)
{
    const struct char_range *range = &parser->ranges[node->first];
    uint32_t count = 0, which;

    for (size_t i = 0; i < node->range_count; i++)
        count += range[i].high - range[i].low + 1;
    which = (uint32_t)random_index(random, count);
    for (; which > range->high - range->low; range++)
        which -= range->high - range->low + 1;
    which += range->low;
    append_character(text, (which & 0xfff800) == 0xd800 ? range->low : which); /* no surrogates in UTF-8 */
}

static void append_node(struct parser *parser, uint16_t index, struct random_source *random, size_t stretch,
                        struct buffer *text)
{
    const struct node *node = &parser->nodes[index];
    size_t count = 0;

    if (text->size > TEXT_BYTES_MAX || ++parser->step_count > STEPS_MAX)
        return;
    switch (node->kind) {
    case NODE_NOTHING: return;
    case NODE_CHARS: append_chars(parser, node, random, text); return;
    case NODE_SEQUENCE:
        for (uint16_t part = node->first; part != 0; part = parser->nodes[part].next)
            append_node(parser, part, random, stretch, text);
        return;
    case NODE_CHOICE:
        for (uint16_t part = node->first; part != 0; part = parser->nodes[part].next)
            count++;
        count = random_index(random, count);
        for (uint16_t part = node->first; part != 0; part = parser->nodes[part].next)
            if (count-- == 0)
                append_node(parser, part, random, stretch, text);
        return;
    case NODE_REPEAT:
        if (node->low > node->high)
            return;
        count = node->high - node->low < stretch ? node->high - node->low : stretch;
        count = node->low + random_index(random, count + 1);
        for (size_t i = 0; i < count && text->size <= TEXT_BYTES_MAX && parser->step_count <= STEPS_MAX;
             i++)
            append_node(parser, node->first, random, stretch, text);
        return;
    }
}

bool generate_matching(struct random_source *random, const char *pattern, size_t stretch,
                       struct buffer *text)
{
    struct parser parser = {.at = pattern};
    uint16_t whole = parse_choice(&parser);

    if (whole == 0 || *parser.at != '\0')
        return false;
    append_node(&parser, whole, random, stretch, text);
    return text->size <= TEXT_BYTES_MAX && parser.step_count <= STEPS_MAX;
}
