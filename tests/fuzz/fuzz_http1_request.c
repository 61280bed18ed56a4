/* links: nuthatch-http nuthatch-message nuthatch-base */
/* A request head gives the same answer however it is split, and what was parsed, written out again, is a
 * head with the same meaning. */
#undef NDEBUG /* the assertions are the test */
#include "base/compiler.h"
#include "protocol/http/http1.h"
#include <assert.h>
#include <stdlib.h>

enum { FIELDS_MAX = 100 };

struct parsed {
    enum http1_result result;
    int status;
    size_t consumed;
    struct http_request request;
    struct http_field fields[FIELDS_MAX];
};

/* Parses `wire` given `first` bytes, then `step` more at every call. */
static void parse(struct parsed *parsed, const struct http1_limits *limits, struct bytes wire, size_t first,
                  size_t step)
{
    struct http1_parser parser = {0};
    size_t size = first < wire.size ? first : wire.size;

    parsed->consumed = 0;
    for (;;) {
        parsed->result = http1_parse_request(&parser, limits, bytes_first(wire, size), parsed->fields,
                                             &parsed->request, &parsed->consumed, &parsed->status);
        if (parsed->result != HTTP1_MORE || size == wire.size)
            return;
        size = wire.size - size < step ? wire.size : size + step;
    }
}

static void expect_same_meaning(const struct http_request *a, const struct http_request *b)
{
    assert(a->method == b->method && bytes_equal(a->method_name, b->method_name));
    assert(bytes_equal(a->scheme, b->scheme) && bytes_equal(a->authority, b->authority));
    assert(bytes_equal(a->path, b->path) && bytes_equal(a->query, b->query) &&
           a->has_query == b->has_query);
    assert(a->minor_version == b->minor_version && a->keep_alive == b->keep_alive);
    assert(a->expects_continue == b->expects_continue && a->body_bytes == b->body_bytes);
    assert(a->fields.count == b->fields.count);
    for (size_t i = 0; i < a->fields.count; i++) {
        const struct http_field *one = &a->fields.list[i], *other = &b->fields.list[i];
        assert(one->header == other->header && bytes_equal(one->name, other->name) &&
               bytes_equal(one->value, other->value));
    }
}

static void expect_same(const struct parsed *a, const struct parsed *b)
{
    assert(a->result == b->result);
    if (a->result == HTTP1_BAD)
        assert(a->status == b->status);
    if (a->result != HTTP1_DONE)
        return;
    assert(a->consumed == b->consumed);
    expect_same_meaning(&a->request, &b->request);
}

static void render(struct buffer *output, const struct http_request *request)
{
    buffer_append(output, request->method_name);
    buffer_append_byte(output, ' ');
    if (request->scheme.size > 0) {
        buffer_append(output, request->scheme);
        buffer_append_literal(output, "://");
    }
    if (request->scheme.size > 0 || request->method == HTTP_METHOD_CONNECT)
        buffer_append(output, request->authority);
    if (request->scheme.size == 0 || !bytes_equal(request->path, BYTES("*")))
        buffer_append(output, request->path);
    if (request->has_query) {
        buffer_append_byte(output, '?');
        buffer_append(output, request->query);
    }
    buffer_append_format(output, " HTTP/1.%d\r\n", request->minor_version);
    for (size_t i = 0; i < request->fields.count; i++) {
        buffer_append(output, request->fields.list[i].name);
        buffer_append_literal(output, ": ");
        buffer_append(output, request->fields.list[i].value);
        buffer_append_literal(output, "\r\n");
    }
    buffer_append_literal(output, "\r\n");
}

static void check(const struct http1_limits *limits, struct bytes wire)
{
    static struct parsed whole, split;
    static const struct http1_limits wide = {UINT32_MAX / 2, UINT32_MAX, FIELDS_MAX};
    struct buffer again = {0};

    parse(&whole, limits, wire, wire.size, 1);
    parse(&split, limits, wire, 0, 1);
    expect_same(&whole, &split);
    parse(&split, limits, wire, 3, 7);
    expect_same(&whole, &split);
    for (size_t first = 1; first < wire.size && wire.size <= 512; first++) {
        parse(&split, limits, wire, first, wire.size);
        expect_same(&whole, &split);
    }
    if (whole.result == HTTP1_BAD)
        assert(whole.status == 400 || whole.status == 414 || whole.status == 417 || whole.status == 431 ||
               whole.status == 501 || whole.status == 505);
    if (whole.result != HTTP1_DONE)
        return;
    assert(whole.consumed <= wire.size && whole.consumed <= limits->head_bytes_max);
    render(&again, &whole.request);
    parse(&split, &wide, buffer_bytes(&again), again.size, 1);
    assert(split.result == HTTP1_DONE && split.consumed == again.size);
    expect_same_meaning(&whole.request, &split.request);
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits limits[] = {{16384, 65536, FIELDS_MAX}, {24, 160, 4}, {40, 60, 2}};

    for (size_t i = 0; i < COUNT_OF(limits); i++)
        check(&limits[i], bytes_of(data, size));
    return 0;
}
