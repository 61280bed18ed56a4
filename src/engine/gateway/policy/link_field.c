#include "link_field.h"
#include "stored_response.h"

/* RFC 8288, appendix B.2 and B.3. */

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static void skip_spaces(struct bytes *rest)
{
    while (rest->size > 0 && is_space(rest->data[0]))
        *rest = bytes_after(*rest, 1);
}

/* True, behind it, if `c` comes next. */
static bool take(struct bytes *rest, char c)
{
    if (rest->size == 0 || rest->data[0] != c)
        return false;
    *rest = bytes_after(*rest, 1);
    return true;
}

/* What comes before one of `ends`, or all. */
static struct bytes take_until(struct bytes *rest, const char *ends)
{
    size_t size = 0;

    while (size < rest->size && (rest->data[size] == '\0' || strchr(ends, rest->data[size]) == NULL))
        size++;
    ends = rest->data;
    *rest = bytes_after(*rest, size);
    return bytes_of(ends, size);
}

/* A quoted string from its first quote on, without the two, its backslashes still in it; one without an end
 * goes on to the end. */
static struct bytes take_quoted(struct bytes *rest)
{
    size_t size = 0;
    const char *start;

    take(rest, '"');
    start = rest->data;
    while (size < rest->size && rest->data[size] != '"')
        size += rest->data[size] == '\\' && size + 1 < rest->size ? 2 : 1;
    *rest = bytes_after(*rest, size);
    take(rest, '"');
    return bytes_of(start, size);
}

static void note_parameter(struct link_value *link, struct bytes name, struct bytes value,
                           bool *has_relation)
{
    if (bytes_equal_nocase(name, BYTES("anchor")))
        link->has_anchor = true;
    if (bytes_equal_nocase(name, BYTES("rel")) && !*has_relation) {
        *has_relation = true; /* RFC 8288 §3.3: the first counts */
        link->relation = value;
    }
}

/* The parameters behind a target, each with its semicolon. */
static void take_parameters(struct bytes *rest, struct link_value *link)
{
    bool has_relation = false;

    for (;;) {
        struct bytes name, value = {0};
        skip_spaces(rest);
        if (!take(rest, ';'))
            return;
        skip_spaces(rest);
        name = bytes_trim(take_until(rest, "=;,"));
        if (take(rest, '=')) {
            skip_spaces(rest);
            value = rest->size > 0 && rest->data[0] == '"' ? take_quoted(rest)
                                                           : bytes_trim(take_until(rest, ";,"));
        }
        note_parameter(link, name, value, &has_relation);
    }
}

bool link_value_next(struct bytes *value, struct link_value *link)
{
    while (value->size > 0 && (is_space(value->data[0]) || value->data[0] == ','))
        *value = bytes_after(*value, 1);
    *link = (struct link_value){0};
    if (!take(value, '<'))
        return false;
    link->target = take_until(value, ">");
    if (!take(value, '>'))
        return false;
    take_parameters(value, link);
    return value->size == 0 || value->data[0] == ',';
}

/* Whether `word`, in which a backslash stands before what it is to be taken for, is `wanted`. */
static bool is_word(struct bytes word, struct bytes wanted)
{
    size_t at = 0;

    for (size_t i = 0; i < word.size; i++, at++) {
        if (word.data[i] == '\\' && i + 1 < word.size)
            i++;
        if (at == wanted.size || byte_to_lower(word.data[i]) != wanted.data[at])
            return false;
    }
    return at == wanted.size;
}

bool link_has_relation(const struct link_value *link, struct bytes relation)
{
    struct bytes rest = link->relation;

    while (rest.size > 0) {
        skip_spaces(&rest);
        if (is_word(take_until(&rest, " \t"), relation))
            return true;
    }
    return false;
}

bool link_find(struct bytes lines, struct bytes relation, struct bytes *target)
{
    struct http_field field;
    struct link_value link;

    while (rendered_next(&lines, &field)) {
        if (field.header != HTTP_HEADER_LINK)
            continue;
        while (link_value_next(&field.value, &link)) {
            if (link.has_anchor || !link_has_relation(&link, relation))
                continue;
            *target = link.target;
            return true;
        }
    }
    return false;
}
