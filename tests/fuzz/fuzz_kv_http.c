/* links: nuthatch-kv nuthatch-store nuthatch-http nuthatch-message nuthatch-base */
/* Whatever a request for a key says, what is read from it is within its bounds, and a refusal is one of
 * those that are documented. */
#undef NDEBUG /* the assertions are the test */
#include "engine/kv/kv_http_request.h"
#include "protocol/http/http1.h"
#include <assert.h>

enum { FIELDS_MAX = 100 };

static void check_key(const struct http_request *request)
{
    struct buffer name = {0};
    uint32_t space = 0;
    struct http_refusal refusal = kv_http_read_key(request, &name, &space);

    assert(refusal.status == 0 || refusal.status == 400 || refusal.status == 404);
    assert((refusal.status == 0) == (refusal.detail == NULL));
    if (refusal.status == 0)
        assert(name.size > 0 && name.size < request->path.size && space < 16);
    buffer_fini(&name);
}

static void check_put(const struct http_request *request)
{
    nh_put_options options = {.size = sizeof options};
    struct http_refusal refusal = kv_http_read_put(request, &options);

    assert(refusal.status == 0 || refusal.status == 400);
    assert(options.ttl_ms >= 0 && options.ttl_ms <= INT64_C(1000) * 1000 * 365 * 24 * 60 * 60);
}

static void check_range(const struct http_request *request)
{
    static const uint64_t sizes[] = {0, 1, 7, UINT64_C(1) << 40};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct kv_http_range range = kv_http_read_range(&request->fields, sizes[i], 5);
        assert(!range.is_part || !range.is_outside);
        assert(range.end <= sizes[i]);
        if (range.is_part)
            assert(range.first < range.end);
        else if (!range.is_outside)
            assert(range.first == 0 && range.end == sizes[i]);
    }
}

static void check_who(const struct http_request *request)
{
    int on_loopback = http_guard(request, BYTES(""), true).status;
    int with_token = http_guard(request, BYTES("token"), true).status;

    assert(on_loopback == 0 || on_loopback == 403);
    assert(with_token == 0 || with_token == 401 || with_token == 403);
    if (with_token == 0)
        assert(http_fields_find(&request->fields, HTTP_HEADER_AUTHORIZATION) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits limits = {16384, 65536, FIELDS_MAX};
    static struct http_field fields[FIELDS_MAX];
    struct http1_parser parser = {0};
    struct http_request request;
    size_t consumed = 0;
    int status = 0;

    if (http1_parse_request(&parser, &limits, bytes_of(data, size), fields, &request, &consumed, &status) !=
        HTTP1_DONE)
        return 0;
    check_key(&request);
    check_put(&request);
    check_range(&request);
    check_who(&request);
    /* What does not name a missing key holds for it only without If-Match. */
    if (http_fields_find(&request.fields, HTTP_HEADER_IF_MATCH) != NULL)
        assert(kv_http_check(&request.fields, false, 0) == KV_HTTP_FAILED);
    else
        assert(kv_http_check(&request.fields, false, 0) == KV_HTTP_HOLDS);
    return 0;
}
