#include "base/number.h"
#include "protocol/http/http2_message.h"
#include "protocol/http/http_target.h"

enum { FINE = 0 }; /* instead of a status */
enum { FIELD_LIST_BYTES = 32, KEPT_BYTES_MAX = 4096 };

struct sizes {
    uint32_t name, value;
};

/* ---- while it arrives -------------------------------------------------------------------------- */

void http2_block_begin(struct http2_block *block)
{
    struct buffer text = block->text;

    if (text.capacity > KEPT_BYTES_MAX)
        buffer_fini(&text);
    buffer_clear(&text);
    *block = (struct http2_block){.text = text};
}

void http2_block_fini(struct http2_block *block) { buffer_fini(&block->text); }

static void refuse(struct http2_block *block, int status)
{
    if (block->status == FINE)
        block->status = status;
}

void http2_block_add(struct http2_block *block, const struct http1_limits *limits, struct bytes name,
                     struct bytes value)
{
    struct sizes sizes = {(uint32_t)name.size, (uint32_t)value.size};
    bool is_pseudo = name.size > 0 && name.data[0] == ':';

    block->list_bytes += name.size + value.size + FIELD_LIST_BYTES;
    block->field_count += !is_pseudo;
    if (block->list_bytes > limits->head_bytes_max || block->field_count > limits->fields_max ||
        (!is_pseudo && name.size + value.size > limits->line_bytes_max))
        refuse(block, 431);
    if (is_pseudo && value.size > limits->line_bytes_max)
        refuse(block, 414);
    if (block->status != FINE)
        return;
    buffer_append(&block->text, bytes_of(&sizes, sizeof sizes));
    buffer_append(&block->text, name);
    buffer_append_byte(&block->text, '\0');
    buffer_append(&block->text, value);
    buffer_append_byte(&block->text, '\0');
}

/* ---- once it is whole -------------------------------------------------------------------------- */

/* Takes the next field off the front of `text`; false at the end. */
static bool next_field(struct bytes *text, struct bytes *name, struct bytes *value)
{
    struct sizes sizes;

    if (text->size == 0)
        return false;
    memcpy(&sizes, text->data, sizeof sizes);
    *name = bytes_of(text->data + sizeof sizes, sizes.name);
    *value = bytes_of(name->data + sizes.name + 1, sizes.value);
    *text = bytes_after(*text, sizeof sizes + sizes.name + sizes.value + 2);
    return true;
}

/* Puts one field behind the block's with what all lines of Cookie say, if there are several. Returns where
 * it begins, or 0. */
static size_t join_cookies(struct http2_block *block)
{
    struct bytes text = buffer_bytes(&block->text), name, value;
    struct sizes sizes = {.name = sizeof "cookie" - 1};
    size_t count = 0, before = block->text.size;

    while (next_field(&text, &name, &value))
        if (bytes_equal(name, BYTES("cookie"))) {
            count++;
            sizes.value += (uint32_t)value.size + 2;
        }
    if (count < 2)
        return 0;
    sizes.value -= 2;
    if (buffer_reserve(&block->text, sizeof sizes + sizes.name + sizes.value + 2) == NULL)
        return 0;
    text = bytes_first(buffer_bytes(&block->text), before); /* it may have moved, and no longer will */
    buffer_append(&block->text, bytes_of(&sizes, sizeof sizes));
    buffer_append_literal(&block->text, "cookie\0");
    while (next_field(&text, &name, &value)) {
        if (!bytes_equal(name, BYTES("cookie")))
            continue;
        buffer_append(&block->text, value);
        if (--count > 0)
            buffer_append_literal(&block->text, "; ");
    }
    buffer_append_byte(&block->text, '\0');
    return before;
}

struct pseudo {
    struct bytes method, scheme, authority, path;
};

static int take_pseudo(struct pseudo *pseudo, struct bytes name, struct bytes value)
{
    struct bytes *place = bytes_equal(name, BYTES(":method"))      ? &pseudo->method
                          : bytes_equal(name, BYTES(":scheme"))    ? &pseudo->scheme
                          : bytes_equal(name, BYTES(":authority")) ? &pseudo->authority
                          : bytes_equal(name, BYTES(":path"))      ? &pseudo->path
                                                                   : NULL;

    if (place == NULL || place->data != NULL)
        return 400;
    *place = value;
    return FINE;
}

static bool has_upper_case(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return true;
    return false;
}

/* §8.2: a name in lower case, a value without white space around it, and nothing of HTTP/1.1's connections.
 */
static int take_field(struct http_field *field, struct bytes name, struct bytes value)
{
    *field = (struct http_field){http_header_find(name), name, value};
    if (!http_is_token(name) || has_upper_case(name) || !http_is_field_value(value) ||
        bytes_trim(value).size != value.size)
        return 400;
    switch (field->header) {
    case HTTP_HEADER_CONNECTION:
    case HTTP_HEADER_KEEP_ALIVE:
    case HTTP_HEADER_PROXY_CONNECTION:
    case HTTP_HEADER_TRANSFER_ENCODING:
    case HTTP_HEADER_UPGRADE: return 400;
    case HTTP_HEADER_TE: return bytes_equal_nocase(value, BYTES("trailers")) ? FINE : 400;
    default: return FINE;
    }
}

static int take_target(const struct pseudo *pseudo, struct http_request *request)
{
    if (!http_is_token(pseudo->method))
        return 400;
    if (pseudo->method.size > HTTP_METHOD_BYTES_MAX)
        return 501;
    request->method_name = pseudo->method;
    request->method = http_method_find(pseudo->method);
    if (request->method == HTTP_METHOD_CONNECT) /* §8.5 */
        return pseudo->path.data == NULL && pseudo->scheme.data == NULL && pseudo->authority.size > 0
                   ? http_parse_target(pseudo->authority, request)
                   : 400;
    if (!bytes_equal_nocase(pseudo->scheme, BYTES("http")) &&
        !bytes_equal_nocase(pseudo->scheme, BYTES("https")))
        return 400;
    request->scheme = pseudo->scheme;
    request->authority = pseudo->authority;
    /* What follows is HTTP/1.1's, but for the absolute form. */
    if (pseudo->path.size == 0 || (pseudo->path.data[0] != '/' && !bytes_equal(pseudo->path, BYTES("*"))))
        return 400;
    return http_parse_target(pseudo->path, request);
}

/* What the fields say together. */
static int settle(struct http_request *request, const struct http1_limits *limits, bool is_all)
{
    const struct http_field *host = NULL, *length = NULL, *expect = NULL;

    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i], **only;

        switch (field->header) {
        case HTTP_HEADER_HOST: only = &host; break;
        case HTTP_HEADER_CONTENT_LENGTH: only = &length; break;
        case HTTP_HEADER_EXPECT: only = &expect; break;
        default: continue;
        }
        if (*only != NULL)
            return field->header == HTTP_HEADER_EXPECT ? 417 : 400;
        *only = field;
    }
    if (host == NULL) { /* §8.3.1 */
        if (request->authority.size == 0)
            return 400;
        if (request->fields.count >= limits->fields_max)
            return 431;
        request->fields.list[request->fields.count++] =
            (struct http_field){HTTP_HEADER_HOST, BYTES("host"), request->authority};
        host = &request->fields.list[request->fields.count - 1];
    } else if (request->authority.size == 0) {
        request->authority = host->value;
    }
    request->body_bytes = is_all ? HTTP_BODY_NONE : HTTP_BODY_UNKNOWN;
    if (length != NULL) {
        uint64_t length_bytes;
        if (!digits_parse(length->value, INT64_MAX, &length_bytes) || (is_all && length_bytes > 0))
            return 400;
        request->body_bytes = (int64_t)length_bytes;
    }
    if (expect != NULL && !bytes_equal_nocase(expect->value, BYTES("100-continue")))
        return 417;
    request->expects_continue = expect != NULL && request->body_bytes != HTTP_BODY_NONE;
    return http_settle_authority(request, host);
}

int http2_block_request(struct http2_block *block, const struct http1_limits *limits, bool is_all,
                        struct http_field *fields, struct http_request *request)
{
    struct pseudo pseudo = {0};
    struct bytes text, name, value;
    size_t joined_at;
    int status;

    *request = (struct http_request){.minor_version = 1, .keep_alive = true};
    if (block->status != FINE)
        return block->status;
    joined_at = join_cookies(block);
    if (block->text.failed)
        return 503;
    request->fields.list = fields;
    text = buffer_bytes(&block->text);
    while (next_field(&text, &name, &value)) {
        if (name.size > 0 && name.data[0] == ':') {
            status = take_pseudo(&pseudo, name, value);
        } else if (joined_at > 0 && bytes_equal(name, BYTES("cookie")) &&
                   name.data < block->text.data + joined_at) {
            /* What was joined is checked instead, but for what joining would hide. */
            status = bytes_trim(value).size == value.size ? FINE : 400;
        } else if (request->fields.count >= limits->fields_max) {
            status = 431;
        } else {
            status = take_field(&fields[request->fields.count++], name, value);
        }
        if (status != FINE)
            return status;
    }
    status = take_target(&pseudo, request);
    return status != FINE ? status : settle(request, limits, is_all);
}
