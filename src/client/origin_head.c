/* origin_head.c — see origin_head.h. */
#include "client/origin_head.h"
#include "base/number.h"

/* What the field lines say of where the body ends. */
struct framing {
    bool has_length, is_chunked;
    int64_t length_bytes;
};

/* Takes the next line off `*text`, without its CR LF. False if there is none. */
static bool next_line(struct bytes *text, struct bytes *line)
{
    const char *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
    size_t size;

    if (end == NULL || end == text->data || end[-1] != '\r')
        return false;
    size = (size_t)(end - text->data);
    *line = bytes_first(*text, size - 1);
    *text = bytes_after(*text, size + 1);
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "HTTP/2 200 ": libcurl's, of the one field that says it (RFC 9113 §8.3.2). */
static bool parse_http2_status(struct bytes line, struct origin_head *head)
{
    static const struct bytes start = BYTES_INIT("HTTP/2 ");
    const char *at = line.data + start.size;

    if (line.size < start.size + 3 || line.size > start.size + 4 || !bytes_start_with(line, start) ||
        !is_digit(at[0]) || !is_digit(at[1]) || !is_digit(at[2]) ||
        (line.size == start.size + 4 && at[3] != ' '))
        return false;
    head->status = (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
    head->reason = http_status_reason(head->status);
    return head->status >= 100;
}

/* RFC 9112 §4. The space before an empty reason is often left out, and harmlessly so. */
static bool parse_status_line(struct bytes line, int *minor_version, struct origin_head *head)
{
    static const struct bytes start = BYTES_INIT("HTTP/1.");
    const char *at;

    if (line.size < 12 || !bytes_start_with(line, start))
        return false;
    at = line.data + start.size;
    if ((at[0] != '0' && at[0] != '1') || at[1] != ' ' || !is_digit(at[2]) || !is_digit(at[3]) ||
        !is_digit(at[4]))
        return false;
    if (line.size > 12 && (line.data[12] != ' ' || !http_is_field_value(bytes_after(line, 13))))
        return false;
    *minor_version = at[0] - '0';
    head->status = (at[2] - '0') * 100 + (at[3] - '0') * 10 + (at[4] - '0');
    head->reason = line.size > 13 ? bytes_trim(bytes_after(line, 13)) : BYTES("");
    return head->status >= 100;
}

/* A line that begins with white space (obs-fold) has no token for a name and is refused like any other. */
static bool parse_field(struct bytes line, struct http_field *field)
{
    const char *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;

    if (colon == NULL)
        return false;
    field->name = bytes_first(line, (size_t)(colon - line.data));
    field->value = bytes_trim(bytes_after(line, field->name.size + 1));
    if (!http_is_token(field->name) || !http_is_field_value(field->value))
        return false;
    field->header = http_header_find(field->name);
    return true;
}

/* RFC 9112 §6.1 and §6.3: we asked for no transfer coding, so chunked alone is understood; a length said
 * twice must be the same. */
static bool note_framing(const struct http_field *field, struct framing *framing)
{
    if (field->header == HTTP_HEADER_TRANSFER_ENCODING) {
        if (framing->is_chunked || !bytes_equal_nocase(field->value, BYTES("chunked")))
            return false;
        framing->is_chunked = true;
    } else if (field->header == HTTP_HEADER_CONTENT_LENGTH) {
        uint64_t length_bytes;
        if (!digits_parse(field->value, INT64_MAX, &length_bytes))
            return false;
        if (framing->has_length && (uint64_t)framing->length_bytes != length_bytes)
            return false;
        framing->has_length = true;
        framing->length_bytes = (int64_t)length_bytes;
    }
    return true;
}

static bool is_of_this_hop(const struct http_field *field, const struct http_fields *all)
{
    if (field->header != HTTP_HEADER_OTHER && http_header_kind(field->header) == HTTP_HEADER_HOP_BY_HOP)
        return true;
    return http_connection_names(all, field->name);
}

static void drop_fields_of_this_hop(struct http_fields *fields, bool keeps_upgrade)
{
    bool goes[ORIGIN_HEAD_FIELDS_MAX];
    size_t kept_count = 0;

    for (size_t i = 0; i < fields->count; i++)
        goes[i] = is_of_this_hop(&fields->list[i], fields) &&
                  !(keeps_upgrade && fields->list[i].header == HTTP_HEADER_UPGRADE);
    for (size_t i = 0; i < fields->count; i++)
        if (!goes[i])
            fields->list[kept_count++] = fields->list[i];
    fields->count = kept_count;
}

enum err origin_head_parse(struct bytes text, bool may_be_http2, struct origin_head *head)
{
    struct framing framing = {0};
    struct bytes line;
    int minor_version = 1;
    bool has_no_body;

    head->fields = (struct http_fields){.list = head->list};
    if (!next_line(&text, &line))
        return ERR_SYNTAX;
    head->is_http2 = may_be_http2 && parse_http2_status(line, head);
    if (!head->is_http2 && !parse_status_line(line, &minor_version, head))
        return ERR_SYNTAX;
    while (next_line(&text, &line) && line.size > 0) {
        struct http_field *field = &head->list[head->fields.count];
        if (head->fields.count == ORIGIN_HEAD_FIELDS_MAX)
            return ERR_TOO_LARGE;
        if (!parse_field(line, field) || !note_framing(field, &framing))
            return ERR_SYNTAX;
        head->fields.count++;
    }
    if (line.size > 0 || text.size > 0)
        return ERR_SYNTAX; /* a line without CR LF, or something after the empty line */

    /* Both, or chunked from a 1.0 server, is how responses are smuggled (RFC 9112 §6.1); so is a body said
     * to follow where none may (RFC 9110 §8.6). A 304's length is the one that a 200 would have had. */
    if (framing.is_chunked && (framing.has_length || minor_version == 0 || head->is_http2))
        return ERR_SYNTAX;
    head->is_chunked = framing.is_chunked;
    has_no_body = head->status < 200 || head->status == 204;
    if (has_no_body && (framing.is_chunked || framing.length_bytes > 0))
        return ERR_SYNTAX;
    if (has_no_body || head->status == 304)
        head->body_bytes = HTTP_BODY_NONE;
    else
        head->body_bytes = framing.has_length ? framing.length_bytes : HTTP_BODY_UNKNOWN;
    drop_fields_of_this_hop(&head->fields, head->status == 101);
    return OK;
}
