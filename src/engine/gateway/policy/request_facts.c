#include "request_facts.h"
#include "message/plain_target.h"
#include "route_policy.h"
#include "upstream_fields.h"

static struct request_facts answer(int status, const char *detail)
{
    return (struct request_facts){.plan = PLAN_ANSWER, .status = status, .detail = detail};
}

static void read_directives(struct request_facts *facts, const struct http_request *request,
                            bool wants_no_cache)
{
    struct cache_directives directives = directives_of(&request->fields);

    if (directives_have(&directives, DIRECTIVE_NO_STORE)) {
        facts->plan = PLAN_PASS;
        facts->detail = "no-store";
    }
    facts->is_only_if_cached = directives_have(&directives, DIRECTIVE_ONLY_IF_CACHED);
    facts->max_age_seconds = directives_seconds(&directives, DIRECTIVE_MAX_AGE, -1);
    facts->min_fresh_seconds = directives_seconds(&directives, DIRECTIVE_MIN_FRESH, 0);
    facts->max_stale_seconds = directives_seconds(&directives, DIRECTIVE_MAX_STALE, 0);
    facts->stale_if_error_seconds = directives_seconds(&directives, DIRECTIVE_STALE_IF_ERROR, 0);
    facts->wants_validation =
        wants_no_cache || directives_have(&directives, DIRECTIVE_NO_CACHE) || facts->max_age_seconds == 0;
}

/* RFC 9111 §5.4: only "no-cache" means something. */
static bool is_pragma_no_cache(struct bytes list)
{
    struct bytes directive;

    while (http_list_next(&list, &directive))
        if (bytes_equal_nocase(directive, BYTES("no-cache")))
            return true;
    return false;
}

/* What the fields say to a cache. */
static void read_fields(struct request_facts *facts, const struct http_request *request,
                        const struct route_policy *policy)
{
    bool has_cache_control = false, has_pragma = false;

    for (size_t i = 0; i < request->fields.count; i++) {
        switch (request->fields.list[i].header) { /* the default: others mean nothing to a cache */
        case HTTP_HEADER_AUTHORIZATION: facts->traits.has_authorization = true; break;
        case HTTP_HEADER_COOKIE: facts->traits.has_cookie = policy->ignores_cookies == 0; break;
        case HTTP_HEADER_CACHE_CONTROL: has_cache_control = true; break;
        case HTTP_HEADER_PRAGMA: has_pragma |= is_pragma_no_cache(request->fields.list[i].value); break;
        case HTTP_HEADER_IF_NONE_MATCH:
        case HTTP_HEADER_IF_MODIFIED_SINCE: facts->has_condition = true; break;
        case HTTP_HEADER_IF_MATCH:
        case HTTP_HEADER_IF_UNMODIFIED_SINCE: facts->plan = PLAN_PASS; break;
        case HTTP_HEADER_UPGRADE: facts->has_upgrade = true; break;
        case HTTP_HEADER_RANGE: facts->has_range = request->method == HTTP_METHOD_GET; break;
        default: break;
        }
    }
    /* RFC 9111 §5.4: Pragma counts only without Cache-Control. */
    if (has_cache_control || has_pragma)
        read_directives(facts, request, has_pragma && !has_cache_control);
}

/* Whether the route has such requests answered from the store by their body, and it is not too large. */
static bool is_body_keyed(const struct http_request *request, const struct route_policy *policy)
{
    return ((request->method == HTTP_METHOD_QUERY && policy->caches_query != 0) ||
            (request->method == HTTP_METHOD_POST && policy->caches_post != 0)) &&
           request->body_bytes <= policy->cached_body_bytes_max;
}

struct request_facts request_facts_of(const struct http_request *request, const struct route_policy *policy)
{
    struct request_facts facts = {.max_age_seconds = -1};

    if (request->method == HTTP_METHOD_OPTIONS && bytes_equal(request->path, BYTES("*")))
        return answer(204, "options"); /* asks about us, not about a resource */
    if (request->method == HTTP_METHOD_CONNECT)
        return answer(405, "connect"); /* we are no tunnel */
    if (request->path.size == 0 || request->path.data[0] != '/' ||
        !target_is_plain(request->path, request->query))
        return answer(400, "target");
    facts.is_method_cached = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    if (facts.is_method_cached && request->body_bytes != HTTP_BODY_NONE)
        return answer(400, "body"); /* it would reach the origin without being part of the key */
    read_fields(&facts, request, policy);
    if (is_body_keyed(request, policy) && facts.plan == PLAN_CACHE && !facts.has_range) {
        facts.is_body_keyed = true;
        facts.has_condition = false; /* which means something else than for a GET */
    } else if (!facts.is_method_cached) {
        facts.plan = PLAN_PASS;
    }
    return facts;
}
