#include "storable.h"
#include "base/compiler.h"
#include "message/http_date.h"
#include "vary.h"

/* However long the origin says: a failure must not outlive its cause for long. */
#define FAILURE_LIFETIME_MS_MAX INT64_C(60000)

static bool is_heuristically_cacheable(int status)
{
    switch (status) {
#define HTTP_STATUS(code, reason, heuristic)                                                               \
    case code:                                                                                             \
        return heuristic;
#include "tables/http_statuses.def"
#undef HTTP_STATUS
    }
    return false;
}

struct response_facts response_facts_of(int status, const struct http_fields *fields, struct now requested,
                                        struct now received)
{
    struct response_facts facts = {.status = status, .directives = directives_of(fields)};
    struct vary vary;
    int64_t wall_ms;

    facts.freshness = freshness_of(fields, &facts.directives, requested, received);
    if (status >= 500 && facts.freshness.lifetime_ms > FAILURE_LIFETIME_MS_MAX)
        facts.freshness.lifetime_ms = FAILURE_LIFETIME_MS_MAX;
    facts.varies_on_all = !vary_of(fields, &vary);
    facts.sets_cookie = http_fields_find(fields, HTTP_HEADER_SET_COOKIE) != NULL;
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (field->header == HTTP_HEADER_ETAG && field->value.size > 0)
            facts.has_validator = true;
        if (field->header == HTTP_HEADER_LAST_MODIFIED &&
            http_date_parse(field->value, received.wall_ms, &wall_ms))
            facts.has_validator = true;
    }
    return facts;
}

static bool is_for_all(const struct cache_directives *directives)
{
    return !directives->malformed && (directives_have(directives, DIRECTIVE_PUBLIC) ||
                                      directives_have(directives, DIRECTIVE_S_MAXAGE));
}

bool permits_authorized(const struct cache_directives *directives)
{
    return is_for_all(directives) ||
           (!directives->malformed && directives_have(directives, DIRECTIVE_MUST_REVALIDATE));
}

/* Marked as nobody's, or as one person's. */
static bool is_private(const struct response_facts *response, const struct request_traits *request)
{
    const struct cache_directives *directives = &response->directives;
    /* RFC 9111 §5.2.2.3: with must-understand, no-store is for caches that do not know the status. */
    bool is_understood = directives_have(directives, DIRECTIVE_MUST_UNDERSTAND) && !directives->malformed &&
                         http_status_reason(response->status).size > 0;

    if (directives_have(directives, DIRECTIVE_PRIVATE) || response->varies_on_all)
        return true;
    if (directives_have(directives, DIRECTIVE_NO_STORE) && !is_understood)
        return true;
    if (directives_have(directives, DIRECTIVE_MUST_UNDERSTAND) &&
        http_status_reason(response->status).size == 0)
        return true;
    if (request->has_authorization && !permits_authorized(directives))
        return true;
    return (response->sets_cookie || request->has_cookie) && !is_for_all(directives);
}

bool may_store(const struct response_facts *response, const struct request_traits *request)
{
    switch (response->status) {
    case 206: /* a part */
    case 304: /* says something of another response */
    case 401: /* of one client's credentials */
    case 407:
    case 416: return false;
    }
    if (response->status < 200 || response->status > 599 || is_private(response, request))
        return false;
    if (directives_have(&response->directives, DIRECTIVE_NO_CACHE) && !response->has_validator)
        return false; /* could never be reused */
    if (response->freshness.is_explicit)
        return response->freshness.lifetime_ms > response->freshness.initial_age_ms ||
               response->has_validator;
    return is_heuristically_cacheable(response->status) && response->status < 500 &&
           response->has_validator;
}

bool may_share(const struct response_facts *response, const struct request_traits *request)
{
    return may_store(response, request) && !directives_have(&response->directives, DIRECTIVE_NO_CACHE) &&
           response->freshness.lifetime_ms > response->freshness.initial_age_ms;
}

bool may_share_failure(const struct response_facts *response, const struct request_traits *request)
{
    return response->status >= 500 && !response->sets_cookie && !request->has_cookie &&
           !request->has_authorization && !is_private(response, request);
}

static bool forbids_stale(const struct cache_directives *directives)
{
    return directives->malformed || directives_have(directives, DIRECTIVE_MUST_REVALIDATE) ||
           directives_have(directives, DIRECTIVE_PROXY_REVALIDATE) ||
           directives_have(directives, DIRECTIVE_NO_CACHE);
}

int64_t stale_if_error_ms_of(const struct cache_directives *directives)
{
    if (forbids_stale(directives))
        return 0;
    if (directives_have(directives, DIRECTIVE_STALE_IF_ERROR))
        return directives_seconds(directives, DIRECTIVE_STALE_IF_ERROR, 0) * 1000;
    return directives_have(directives, DIRECTIVE_S_MAXAGE) ? 0 : -1;
}

int64_t stale_while_revalidate_ms_of(const struct cache_directives *directives)
{
    if (forbids_stale(directives))
        return 0;
    return directives_seconds(directives, DIRECTIVE_STALE_WHILE_REVALIDATE, 0) * 1000;
}
