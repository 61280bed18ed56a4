/* origin_request.c — see origin_request.h.
 *
 * libcurl gets only scheme and authority as its URL; the rest goes out as the request target, byte for
 * byte, so that nothing is normalised on the way. */
#include "client/origin_request.h"

/* The parts of "http://authority/target". */
struct url {
    struct bytes base, target;
};

/* Splits `text` before the first '/' or '?' of what follows the authority. RFC 3986 §3.2. */
static bool split_url(struct bytes text, struct url *url)
{
    static const struct bytes schemes[] = {BYTES_INIT("http://"), BYTES_INIT("https://")};
    size_t start = 0, end;

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (text.size > schemes[i].size &&
            bytes_equal_nocase(bytes_first(text, schemes[i].size), schemes[i]))
            start = schemes[i].size;
    if (start == 0)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f || text.data[i] == '#')
            return false;
    for (end = start; end < text.size && text.data[end] != '/' && text.data[end] != '?'; end++)
        if (text.data[end] == '@') /* would become an Authorization field that nobody asked for */
            return false;
    *url = (struct url){.base = bytes_first(text, end), .target = bytes_after(text, end)};
    return true;
}

/* True if libcurl can read `base` (terminated). */
static bool curl_takes(const char *base)
{
    CURLU *handle = curl_url();
    bool takes = handle != NULL && curl_url_set(handle, CURLUPART_URL, base, 0) == CURLUE_OK;
    curl_url_cleanup(handle);
    return takes;
}

/* Appends a terminator and returns the text, or null if memory ran out. Clear the buffer before the next.
 */
static const char *text_of(struct buffer *buffer)
{
    buffer_append_byte(buffer, '\0');
    return buffer->failed ? NULL : buffer->data;
}

static enum err set_text(CURL *easy, CURLoption option, struct buffer *scratch)
{
    const char *text = text_of(scratch);
    return text != NULL && curl_easy_setopt(easy, option, text) == CURLE_OK ? OK : ERR_NO_MEMORY;
}

static enum err apply_url(struct bytes text, CURL *easy, struct buffer *scratch)
{
    struct url url;
    const char *base;

    if (!split_url(text, &url))
        return ERR_SYNTAX;
    buffer_append(scratch, url.base);
    base = text_of(scratch);
    if (base == NULL)
        return ERR_NO_MEMORY;
    if (!curl_takes(base))
        return ERR_SYNTAX;
    if (curl_easy_setopt(easy, CURLOPT_URL, base) != CURLE_OK)
        return ERR_NO_MEMORY;
    buffer_clear(scratch);
    if (url.target.size == 0 || url.target.data[0] == '?')
        buffer_append_byte(scratch, '/');
    buffer_append(scratch, url.target);
    return set_text(easy, CURLOPT_REQUEST_TARGET, scratch);
}

/* RFC 9110 §8.6: where a body is expected, that there is none is said. */
static bool expects_body(enum http_method method)
{
    return method == HTTP_METHOD_POST || method == HTTP_METHOD_PUT || method == HTTP_METHOD_PATCH;
}

static enum err apply_method(const struct origin_request *request, CURL *easy, struct buffer *scratch)
{
    enum http_method method = http_method_find(request->method);

    if (!http_is_token(request->method) || method == HTTP_METHOD_CONNECT)
        return ERR_SYNTAX;
    if (method == HTTP_METHOD_HEAD) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return request->body_bytes == HTTP_BODY_NONE ? OK : ERR_SYNTAX;
    }
    if (request->body_bytes != HTTP_BODY_NONE) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_bytes); /* -1: chunked */
    } else if (expects_body(method)) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    buffer_clear(scratch);
    buffer_append(scratch, request->method);
    return set_text(easy, CURLOPT_CUSTOMREQUEST, scratch);
}

static enum err add_line(struct curl_slist **lines, const char *text)
{
    struct curl_slist *longer = text != NULL ? curl_slist_append(*lines, text) : NULL;
    if (longer == NULL)
        return ERR_NO_MEMORY;
    *lines = longer;
    return OK;
}

static enum err add_field(struct curl_slist **lines, struct bytes name, struct bytes value,
                          struct buffer *scratch)
{
    if (!http_is_token(name) || !http_is_field_value(value))
        return ERR_SYNTAX;
    buffer_clear(scratch);
    buffer_append(scratch, name);
    if (value.size > 0) {
        buffer_append_literal(scratch, ": ");
        buffer_append(scratch, value);
    } else {
        buffer_append_literal(scratch, ";"); /* libcurl's way to say "Name:" with nothing after it */
    }
    return add_line(lines, text_of(scratch));
}

/* A second Host or a framing of its own would make two requests out of one. */
static bool follows_from_the_rest(enum http_header header)
{
    return header == HTTP_HEADER_HOST ||
           (header != HTTP_HEADER_OTHER && http_header_kind(header) == HTTP_HEADER_HOP_BY_HOP);
}

static enum err apply_fields(const struct origin_request *request, CURL *easy, struct curl_slist **lines,
                             struct buffer *scratch)
{
    /* libcurl adds these on its own account unless it is told not to, which does not touch a field of the
     * same name that has a value. */
    static const char *const unwanted[] = {"Accept:", "Content-Type:", "Expect:", "User-Agent:"};
    enum err err = OK;

    for (size_t i = 0; i < COUNT_OF(unwanted) && err == OK; i++)
        err = add_line(lines, unwanted[i]);
    if (err == OK && request->host.size > 0)
        err = add_field(lines, BYTES("Host"), request->host, scratch);
    for (size_t i = 0; i < request->fields.count && err == OK; i++) {
        const struct http_field *field = &request->fields.list[i];
        err = follows_from_the_rest(http_header_find(field->name))
                  ? ERR_SYNTAX
                  : add_field(lines, field->name, field->value, scratch);
    }
    if (err == OK)
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *lines);
    return err;
}

enum err origin_request_apply(const struct origin_request *request, CURL *easy,
                              struct curl_slist **field_lines)
{
    struct buffer scratch = {0};
    enum err err = apply_url(request->url, easy, &scratch);

    if (err == OK)
        err = apply_method(request, easy, &scratch);
    if (err == OK)
        err = apply_fields(request, easy, field_lines, &scratch);
    buffer_fini(&scratch);
    return err;
}

static void render_field(struct buffer *head, struct bytes name, struct bytes value)
{
    buffer_append(head, name);
    buffer_append_literal(head, ": ");
    buffer_append(head, value);
    buffer_append_literal(head, "\r\n");
}

/* What libcurl would send as Host if it is not told: the URL's authority. */
static struct bytes authority_of(const struct url *url)
{
    const char *slashes = memchr(url->base.data, '/', url->base.size); /* split_url found them */

    return bytes_after(url->base, (size_t)(slashes - url->base.data) + 2);
}

enum err origin_request_render_upgrade(const struct origin_request *request, struct buffer *head)
{
    struct url url;

    if (!split_url(request->url, &url) || request->body_bytes != HTTP_BODY_NONE ||
        !http_is_field_value(request->upgrade))
        return ERR_SYNTAX;
    buffer_append(head, request->method);
    buffer_append_byte(head, ' ');
    if (url.target.size == 0 || url.target.data[0] == '?')
        buffer_append_byte(head, '/');
    buffer_append(head, url.target);
    buffer_append_literal(head, " HTTP/1.1\r\n");
    render_field(head, BYTES("Host"), request->host.size > 0 ? request->host : authority_of(&url));
    for (size_t i = 0; i < request->fields.count; i++)
        render_field(head, request->fields.list[i].name, request->fields.list[i].value);
    render_field(head, BYTES("Connection"), BYTES("Upgrade"));
    render_field(head, BYTES("Upgrade"), request->upgrade);
    buffer_append_literal(head, "\r\n");
    return head->failed ? ERR_NO_MEMORY : OK;
}
