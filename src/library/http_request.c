/* http_request.c — nuthatch_http.h: what a request means to a cache, and which response it is answered by.
 */
#include "engine/gateway/policy/reference.h"
#include "engine/gateway/policy/vary.h"
#include "http_lines.h"
#include "http_rules.h"

static struct bytes in(nh_bytes bytes) { return bytes_of(bytes.data, bytes.size); }

nh_result nh_http_read_request(const nh_http_rules *rules, nh_bytes method, int64_t body_bytes,
                               const nh_http_fields *fields, nh_http_ask *ask)
{
    struct route_policy policy = policy_of_rules(rules);
    struct request_facts facts;
    struct http_lines lines;
    nh_result result;

    if (ask == NULL || ask->size < sizeof *ask || method.data == NULL || !http_is_token(in(method)))
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    if (result == NH_OK) {
        struct http_request request = {
            .method = http_method_find(in(method)),
            .method_name = in(method),
            .path = BYTES("/"), /* what the URL is makes no difference */
            .body_bytes = body_bytes,
            .fields = lines.fields,
        };
        facts = request_facts_of(&request, &policy);
        ask_of_facts(&facts, ask);
    }
    http_lines_fini(&lines);
    return result;
}

int32_t nh_http_invalidates(nh_bytes method, int32_t status)
{
    return method.data != NULL && !http_method_is_safe(http_method_find(in(method))) && status >= 200 &&
           status < 400;
}

nh_result nh_http_resolve(nh_bytes origin, nh_bytes path, nh_bytes reference, char *text, size_t capacity,
                          size_t *size)
{
    nh_result result = NH_MISSING;
    struct reference resolved;

    if (origin.data == NULL || path.data == NULL || reference.data == NULL || text == NULL || size == NULL)
        return NH_INVALID;
    if (reference_resolve(&resolved, in(origin), in(path), in(reference))) {
        *size = resolved.path.size + (resolved.has_query ? 1 + resolved.query.size : 0);
        result = *size <= capacity ? NH_OK : NH_TOO_LARGE;
    }
    if (result == NH_OK) {
        memcpy(text, resolved.path.data, resolved.path.size);
        if (resolved.has_query) {
            text[resolved.path.size] = '?';
            memcpy(text + resolved.path.size + 1, resolved.query.data, resolved.query.size);
        }
    }
    reference_fini(&resolved);
    return result;
}

nh_result nh_http_variant(const nh_http_rules *rules, nh_bytes names, const nh_http_fields *fields,
                          char *text, size_t capacity, size_t *size)
{
    struct http_lines lines;
    nh_result result;

    if (text == NULL || size == NULL || (names.data == NULL && names.size > 0))
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    if (result == NH_OK) {
        bool fits = rules_forward_all(rules)
                        ? vary_values_as_they_came(in(names), &lines.fields, text, capacity, size)
                        : vary_values(in(names), &lines.fields, text, capacity, size);
        result = fits ? NH_OK : NH_TOO_LARGE;
    }
    http_lines_fini(&lines);
    return result;
}
