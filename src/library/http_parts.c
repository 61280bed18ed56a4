/* http_parts.c — nuthatch_http.h: which parts of a kept response a client wants. */
#include "engine/gateway/policy/ranged.h"
#include "http_lines.h"
#include <assert.h>

static_assert(NH_HTTP_PARTS_MAX == HTTP_RANGES_MAX, "all that are read can be told");

static nh_result tell(const struct http_ranges *ranges, nh_http_part *list, size_t *count)
{
    switch (ranges->kind) {
    case HTTP_RANGES_NONE: return NH_MISSING;
    case HTTP_RANGES_OUTSIDE: return NH_RANGE;
    case HTTP_RANGES_PARTS: break;
    }
    for (size_t i = 0; i < ranges->count; i++)
        list[i] = (nh_http_part){.start = ranges->list[i].start, .end = ranges->list[i].end};
    *count = ranges->count;
    return NH_OK;
}

nh_result nh_http_parts(const nh_http_fields *request, const nh_http_fields *fields, uint64_t body_bytes,
                        int64_t now_wall_ms, nh_http_part list[NH_HTTP_PARTS_MAX], size_t *count)
{
    struct http_lines asked, lines;
    struct buffer rendered = {0};
    nh_result result, lines_result;

    if (list == NULL || count == NULL || body_bytes > INT64_MAX)
        return NH_INVALID;
    result = http_lines_init(&asked, request);
    lines_result = http_lines_init(&lines, fields);
    if (result == NH_OK)
        result = lines_result;
    if (result == NH_OK) {
        struct http_request get = {.method = HTTP_METHOD_GET, .fields = asked.fields};
        http_lines_render(&rendered, &lines.fields);
        if (rendered.failed) {
            result = NH_NO_MEMORY;
        } else {
            struct http_ranges ranges =
                ranges_wanted(&get, buffer_bytes(&rendered), body_bytes, now_wall_ms);
            result = tell(&ranges, list, count);
        }
    }
    buffer_fini(&rendered);
    http_lines_fini(&lines);
    http_lines_fini(&asked);
    return result;
}
