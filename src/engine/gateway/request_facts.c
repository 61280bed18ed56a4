#include "request_facts.h"
#include "upstream_fields.h"

static struct request_facts answer(int status, const char *detail)
{
    return (struct request_facts){.plan = PLAN_ANSWER, .status = status, .detail = detail};
}

static void read_directives(struct request_facts *facts, const struct http_request *request,
                            bool has_pragma)
{
    struct cache_directives directives = directives_of(&request->fields);

    if (directives_have(&directives, DIRECTIVE_NO_STORE)) {
        facts->plan = PLAN_PASS;
        facts->detail = "no-store";
    }
    facts->is_only_if_cached = directives_have(&directives, DIRECTIVE_ONLY_IF_CACHED);
    facts->max_age_seconds = directives_seconds(&directives, DIRECTIVE_MAX_AGE, -1);
    facts->min_fresh_seconds = directives_seconds(&directives, DIRECTIVE_MIN_FRESH, 0);
    /* RFC 9111 §5.4: Pragma counts only without Cache-Control. */
    facts->wants_validation = directives_have(&directives, DIRECTIVE_NO_CACHE) ||
                              facts->max_age_seconds == 0 || (has_pragma && directives.present == 0);
}

struct request_facts request_facts_of(const struct http_request *request)
{
    struct request_facts facts = {.max_age_seconds = -1};
    bool has_cache_control = false, has_pragma = false;

    if (request->method == HTTP_METHOD_OPTIONS && bytes_equal(request->path, BYTES("*")))
        return answer(204, "options"); /* asks about us, not about a resource */
    if (request->method == HTTP_METHOD_CONNECT)
        return answer(405, "connect"); /* we are no tunnel */
    if (request->path.size == 0 || request->path.data[0] != '/' ||
        !target_is_plain(request->path, request->query))
        return answer(400, "target");
    facts.is_method_cached = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    if (!facts.is_method_cached) {
        facts.plan = PLAN_PASS;
        return facts;
    }
    if (request->body_bytes != HTTP_BODY_NONE)
        return answer(400, "body"); /* it would reach the origin without being part of the key */
    for (size_t i = 0; i < request->fields.count; i++) {
        switch (request->fields.list[i].header) { /* the default: others mean nothing to a cache */
        case HTTP_HEADER_AUTHORIZATION: facts.traits.has_authorization = true; break;
        case HTTP_HEADER_COOKIE: facts.traits.has_cookie = true; break;
        case HTTP_HEADER_CACHE_CONTROL: has_cache_control = true; break;
        case HTTP_HEADER_PRAGMA:
            has_pragma |= bytes_equal_nocase(request->fields.list[i].value, BYTES("no-cache"));
            break;
        case HTTP_HEADER_IF_NONE_MATCH:
        case HTTP_HEADER_IF_MODIFIED_SINCE: facts.has_condition = true; break;
        case HTTP_HEADER_IF_MATCH:
        case HTTP_HEADER_IF_UNMODIFIED_SINCE: facts.plan = PLAN_PASS; break;
        case HTTP_HEADER_RANGE: facts.has_range = request->method == HTTP_METHOD_GET; break;
        default: break;
        }
    }
    if (has_cache_control || has_pragma)
        read_directives(&facts, request, has_pragma);
    return facts;
}
