#include "storable.h"
#include "base/compiler.h"
#include "message/http_date.h"
#include "route_policy.h"
#include "status_ttl.h"
#include "vary.h"

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

/* RFC 9111 §4.2.2. An old "Pragma: no-cache" stands for what Cache-Control would have said. */
static bool may_guess(const struct response_facts *facts, const struct http_fields *fields)
{
    const struct http_field *pragma = http_fields_find(fields, HTTP_HEADER_PRAGMA);

    if (facts->freshness.is_explicit || facts->directives.malformed)
        return false;
    if (pragma != NULL && bytes_equal_nocase(pragma->value, BYTES("no-cache")))
        return false;
    return is_heuristically_cacheable(facts->status) ||
           directives_have(&facts->directives, DIRECTIVE_PUBLIC);
}

/* How long a response is fresh that does not say: as the operator does, or else RFC 9111's guess. */
static int64_t unsaid_lifetime_ms(int status, const struct http_fields *fields, struct now received,
                                  const struct route_policy *policy)
{
    int64_t said_ms = status < 400 ? policy->default_ttl_ms : policy->negative_ttl_ms;

    return said_ms > 0 ? said_ms : heuristic_lifetime_ms(fields, received, policy->heuristic_ms_max);
}

/* What the operator says of the status comes before all that the response does: from its arrival, however
 * old it was then. */
static void override_lifetime(struct freshness *freshness, int64_t ttl_ms)
{
    freshness->lifetime_ms = ttl_ms > 0 ? freshness->initial_age_ms + ttl_ms : 0;
    freshness->is_explicit = true;
}

struct response_facts response_facts_of(int status, const struct http_fields *fields, struct now requested,
                                        struct now received, const struct route_policy *policy)
{
    struct cache_directives directives = response_directives_of(fields);

    return response_facts_with(status, fields, &directives, requested, received, policy);
}

struct response_facts response_facts_with(int status, const struct http_fields *fields,
                                          const struct cache_directives *directives, struct now requested,
                                          struct now received, const struct route_policy *policy)
{
    struct response_facts facts = {.status = status, .directives = *directives};
    int64_t wall_ms, ttl_ms = status_ttl_ms(policy, status);
    struct vary vary;

    facts.freshness = freshness_of(fields, &facts.directives, requested, received);
    if (ttl_ms >= 0)
        override_lifetime(&facts.freshness, ttl_ms);
    else if (may_guess(&facts, fields))
        facts.freshness.lifetime_ms = unsaid_lifetime_ms(status, fields, received, policy);
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
static bool is_marked(const struct response_facts *response, const struct request_traits *request)
{
    const struct cache_directives *directives = &response->directives;
    /* RFC 9111 §5.2.2.3: with must-understand, no-store is for caches that do not know the status. */
    bool must_understand = directives_have(directives, DIRECTIVE_MUST_UNDERSTAND);
    bool is_known = http_status_reason(response->status).size > 0;

    if (directives_bind(directives, DIRECTIVE_PRIVATE) || response->varies_on_all)
        return true;
    if (must_understand && !is_known)
        return true;
    if (directives_have(directives, DIRECTIVE_NO_STORE) && (!must_understand || directives->malformed))
        return true;
    return request->has_authorization && !permits_authorized(directives);
}

bool may_tell_all(const struct response_facts *response, const struct request_traits *request,
                  const struct route_policy *policy)
{
    bool sets_cookie = response->sets_cookie && policy->stores_set_cookie == 0;

    return !is_marked(response, request) &&
           (!(sets_cookie || request->has_cookie) || is_for_all(&response->directives));
}

bool may_store(const struct response_facts *response, const struct request_traits *request,
               const struct route_policy *policy)
{
    switch (response->status) {
    case 206: /* a part */
    case 304: /* says something of another response */
    case 407: /* of what is between us and the origin */
    case 416: /* of one Range */ return false;
    }
    /* RFC 9110 §15: what is above 599 is no status that means anything. */
    if (response->status < 200 || response->status > 599 || !may_tell_all(response, request, policy))
        return false;
    if (directives_bind(&response->directives, DIRECTIVE_NO_CACHE) && !response->has_validator)
        return false; /* could never be reused */
    if (response->freshness.lifetime_ms > response->freshness.initial_age_ms)
        return true;
    return response->has_validator &&
           (response->freshness.is_explicit ||
            (is_heuristically_cacheable(response->status) && response->status < 500));
}

bool may_store_post(const struct response_facts *response, const struct request_traits *request,
                    const struct route_policy *policy)
{
    return response->status == 200 && response->freshness.is_explicit &&
           response->freshness.lifetime_ms > response->freshness.initial_age_ms &&
           may_store(response, request, policy);
}

bool outdates_others(int status)
{
    switch (status) {
    case 401: /* it is not for all any more */
    case 403:
    case 404:
    case 410:
    case 451: return true;
    }
    return status >= 200 && status < 400 && status != 206 && status != 304;
}

bool may_share(const struct response_facts *response, const struct request_traits *request,
               const struct route_policy *policy)
{
    return may_store(response, request, policy) &&
           !directives_bind(&response->directives, DIRECTIVE_NO_CACHE) &&
           response->freshness.lifetime_ms > response->freshness.initial_age_ms;
}

bool may_share_failure(const struct response_facts *response, const struct request_traits *request)
{
    return response->status >= 500 && !response->sets_cookie && !request->has_cookie &&
           !request->has_authorization && !is_marked(response, request);
}

/* By the response's own word, whatever else it says. */
static bool forbids_any_stale(const struct cache_directives *directives)
{
    return directives->malformed || directives_have(directives, DIRECTIVE_MUST_REVALIDATE) ||
           directives_have(directives, DIRECTIVE_PROXY_REVALIDATE) ||
           directives_bind(directives, DIRECTIVE_NO_CACHE);
}

bool forbids_stale(const struct cache_directives *directives)
{
    return forbids_any_stale(directives) || directives_have(directives, DIRECTIVE_S_MAXAGE);
}

static int64_t stale_ms_of(const struct cache_directives *directives, enum directive directive)
{
    if (forbids_any_stale(directives))
        return 0;
    if (directives_have(directives, directive))
        return directives_seconds(directives, directive, 0) * 1000;
    return directives_have(directives, DIRECTIVE_S_MAXAGE) ? 0 : -1;
}

int64_t stale_if_error_ms_of(const struct cache_directives *directives)
{
    return stale_ms_of(directives, DIRECTIVE_STALE_IF_ERROR);
}

int64_t stale_while_revalidate_ms_of(const struct cache_directives *directives)
{
    return stale_ms_of(directives, DIRECTIVE_STALE_WHILE_REVALIDATE);
}
