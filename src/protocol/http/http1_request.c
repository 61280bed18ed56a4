/* Request heads. Line by line as they become whole: first the length of the line, then its end, then what
 * it says; so the first thing wrong in the order of the bytes decides, however they are split.
 *
 * The content of a line ends where its CR stands, and CR is in no byte class: a loop over one class stops
 * there without looking at a bound, in http_target.c too. */
#include "base/compiler.h"
#include "base/number.h"
#include "message/http_syntax.h"
#include "protocol/http/http1.h"
#include "protocol/http/http_target.h"

enum { FINE = 0 }; /* instead of a status */
enum { VERSION_BYTES = 8 };

/* Of a request line, what stands around its target: a method, two spaces, the version. */
enum { AROUND_TARGET_BYTES = HTTP_METHOD_BYTES_MAX + 2 + VERSION_BYTES };

static int parse_version(struct bytes text, struct http_request *request)
{
    if (text.size != VERSION_BYTES || memcmp(text.data, "HTTP/", 5) != 0 || text.data[6] != '.' ||
        text.data[5] < '0' || text.data[5] > '9' || text.data[7] < '0' || text.data[7] > '9')
        return 400;
    if (text.data[5] != '1' || text.data[7] > '1')
        return 505;
    request->minor_version = (uint8_t)(text.data[7] - '0');
    return FINE;
}

static int parse_request_line(struct bytes line, const struct http1_limits *limits,
                              struct http_request *request)
{
    const char *method_end = line.data;
    const char *target_end;
    struct bytes rest, target;
    int status;

    *request = (struct http_request){0};
    while (http_byte_is(*method_end, HTTP_BYTE_TOKEN))
        method_end++;
    request->method_name = bytes_of(line.data, (size_t)(method_end - line.data));
    if (request->method_name.size == 0 || *method_end != ' ')
        return 400;
    if (request->method_name.size > HTTP_METHOD_BYTES_MAX)
        return 501;
    request->method = http_method_find(request->method_name);
    rest = bytes_after(line, request->method_name.size + 1);
    target_end = memchr(rest.data, ' ', rest.size);
    if (target_end == NULL || target_end == rest.data)
        return 400;
    target = bytes_first(rest, (size_t)(target_end - rest.data));
    if (target.size > limits->line_bytes_max)
        return 414;
    status = parse_version(bytes_after(rest, target.size + 1), request);
    return status != FINE ? status : http_parse_target(target, request);
}

static int parse_field(struct bytes line, struct http_field *field)
{
    const char *name_end = line.data;

    while (http_byte_is(*name_end, HTTP_BYTE_TOKEN))
        name_end++;
    field->name = bytes_of(line.data, (size_t)(name_end - line.data));
    if (field->name.size == 0 || *name_end != ':') /* so there is no line folding either, §5.2 */
        return 400;
    field->value = bytes_trim(bytes_after(line, field->name.size + 1));
    if (!http_is_field_value(field->value))
        return 400;
    field->header = http_header_find(field->name);
    return FINE;
}

/* RFC 9112 §6.1. Only "chunked" is read; codings that exist, with "chunked" last and nowhere else, are a
 * request we do not implement; the rest is no transfer coding. */
static int parse_transfer_encoding(struct bytes value)
{
    static const struct bytes known[] = {BYTES_INIT("gzip"), BYTES_INIT("deflate"), BYTES_INIT("compress"),
                                         BYTES_INIT("x-gzip"), BYTES_INIT("x-compress")};

    if (bytes_equal_nocase(value, BYTES("chunked")))
        return FINE;
    for (;;) {
        const char *comma = value.size > 0 ? memchr(value.data, ',', value.size) : NULL;
        struct bytes coding;
        size_t i = 0;

        if (comma == NULL)
            return bytes_equal_nocase(bytes_trim(value), BYTES("chunked")) ? 501 : 400;
        coding = bytes_trim(bytes_first(value, (size_t)(comma - value.data)));
        while (i < COUNT_OF(known) && !bytes_equal_nocase(coding, known[i]))
            i++;
        if (i == COUNT_OF(known))
            return 400;
        value = bytes_after(value, (size_t)(comma - value.data) + 1);
    }
}

static int parse_connection(struct bytes list, bool *has_close, bool *has_keep_alive)
{
    struct bytes option;

    while (http_list_next(&list, &option)) {
        enum http_header header;

        if (!http_is_token(option))
            return 400;
        *has_close = *has_close || bytes_equal_nocase(option, BYTES("close"));
        *has_keep_alive = *has_keep_alive || bytes_equal_nocase(option, BYTES("keep-alive"));
        /* Whoever obeys would remove a field that others rely on. */
        header = http_header_find(option);
        if (header != HTTP_HEADER_OTHER &&
            (http_header_kind(header) == HTTP_HEADER_END_TO_END || header == HTTP_HEADER_CONTENT_LENGTH ||
             header == HTTP_HEADER_TRANSFER_ENCODING))
            return 400;
    }
    return FINE;
}

/* What the fields say together: authority, framing, persistence, expectation. */
static int settle(struct http_request *request)
{
    const struct http_field *host = NULL, *length = NULL, *coding = NULL;
    bool has_close = false, has_keep_alive = false;
    size_t expectations = 0, continues = 0;
    int status = FINE;

    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];

        switch (field->header) {
        case HTTP_HEADER_HOST:
            if (host != NULL)
                return 400;
            host = field;
            break;
        case HTTP_HEADER_CONTENT_LENGTH: {
            uint64_t length_bytes;
            if (length != NULL || !digits_parse(field->value, INT64_MAX, &length_bytes))
                return 400;
            length = field;
            request->body_bytes = (int64_t)length_bytes;
            break;
        }
        case HTTP_HEADER_TRANSFER_ENCODING:
            if (coding != NULL || request->minor_version == 0)
                return 400;
            coding = field;
            break;
        case HTTP_HEADER_CONNECTION:
            if (parse_connection(field->value, &has_close, &has_keep_alive) != FINE)
                return 400;
            break;
        case HTTP_HEADER_EXPECT:
            expectations++;
            continues += bytes_equal_nocase(field->value, BYTES("100-continue"));
            break;
        default: break;
        }
    }
    if (length != NULL && coding != NULL)
        return 400;
    status = http_settle_authority(request, host);
    if (status != FINE)
        return status;
    if (coding != NULL) {
        status = parse_transfer_encoding(coding->value);
        if (status != FINE)
            return status;
        request->body_bytes = HTTP_BODY_UNKNOWN;
    }
    if (expectations > 1 || expectations != continues)
        return 417;
    /* RFC 9110 §10.1.1: not of HTTP/1.0, and not without a body to wait for. */
    request->expects_continue =
        expectations == 1 && request->minor_version > 0 && request->body_bytes != HTTP_BODY_NONE;
    request->keep_alive = !has_close && (request->minor_version > 0 || has_keep_alive);
    return FINE;
}

static int parse_line(struct bytes line, uint32_t line_index, const struct http1_limits *limits,
                      struct http_field *fields, struct http_request *request)
{
    if (line_index == 0)
        return parse_request_line(line, limits, request);
    if (line_index > limits->fields_max)
        return 431;
    return parse_field(line, &fields[line_index - 1]);
}

/* Parses the lines that earlier calls found fine: the bytes may lie elsewhere now. */
static void parse_again(struct bytes lines, uint32_t count, const struct http1_limits *limits,
                        struct http_field *fields, struct http_request *request)
{
    if (bytes_start_with(lines, BYTES("\r\n")))
        lines = bytes_after(lines, 2);
    for (uint32_t i = 0; i < count; i++) {
        const char *end = memchr(lines.data, '\n', lines.size);
        size_t size = (size_t)(end - lines.data);

        parse_line(bytes_first(lines, size - 1), i, limits, fields, request);
        lines = bytes_after(lines, size + 1);
    }
}

/* Says whether a line that has no LF before `line_end` (an index into the input) is already too long, or
 * the head is. Of two limits the one that lies nearer decides. */
static int check_length(const struct http1_parser *parser, const struct http1_limits *limits,
                        size_t line_end)
{
    size_t around = parser->lines == 0 ? AROUND_TARGET_BYTES : 0;
    size_t line_most = parser->line_start + around + limits->line_bytes_max + 1; /* 1: the CR */
    size_t head_most = (size_t)limits->head_bytes_max - 1;                       /* 1: the LF */

    if (LIKELY(line_end <= line_most && line_end <= head_most))
        return FINE;
    return parser->lines == 0 && line_most <= head_most ? 414 : 431;
}

enum http1_result http1_parse_request(struct http1_parser *parser, const struct http1_limits *limits,
                                      struct bytes input, struct http_field *fields,
                                      struct http_request *request, size_t *consumed, int *status)
{
    uint32_t lines_before = parser->lines;

    for (;;) {
        const char *line, *end;
        size_t line_end, line_size; /* with the CR */

        if (parser->scanned == input.size)
            return HTTP1_MORE;
        line = input.data + parser->line_start;
        end = memchr(input.data + parser->scanned, '\n', input.size - parser->scanned);
        line_end = end != NULL ? (size_t)(end - input.data) : input.size;
        line_size = line_end - parser->line_start;
        *status = check_length(parser, limits, line_end);
        if (UNLIKELY(*status != FINE))
            return HTTP1_BAD;
        parser->scanned = line_end;
        if (end == NULL)
            return HTTP1_MORE;
        *status = 400;
        if (UNLIKELY(line_size == 0 || line[line_size - 1] != '\r'))
            return HTTP1_BAD;
        parser->scanned = line_end + 1;
        if (UNLIKELY(line_size == 1)) {
            if (parser->lines > 0)
                break;
            if (parser->line_start > 0) /* one empty line is skipped, RFC 9112 §2.2; this is the second */
                return HTTP1_BAD;
        } else {
            *status = parse_line(bytes_of(line, line_size - 1), parser->lines, limits, fields, request);
            if (UNLIKELY(*status != FINE))
                return HTTP1_BAD;
            parser->lines++;
        }
        parser->line_start = parser->scanned;
    }
    if (UNLIKELY(lines_before > 0))
        parse_again(bytes_first(input, parser->line_start), lines_before, limits, fields, request);
    request->fields = (struct http_fields){fields, parser->lines - 1};
    *status = settle(request);
    if (*status != FINE)
        return HTTP1_BAD;
    *consumed = parser->scanned;
    *parser = (struct http1_parser){0};
    return HTTP1_DONE;
}
