/* http_response.c — nuthatch_http.h: may a response be kept, and what of it. */
#include "engine/gateway/policy/response_fields.h"
#include "engine/gateway/policy/vary.h"
#include "http_lines.h"
#include "http_rules.h"

/* What a private cache does not look at: it is for those that users share (RFC 9111 §5.2.2). */
static struct cache_directives for_one_user(struct cache_directives directives)
{
    static const enum directive shared[] = {DIRECTIVE_S_MAXAGE, DIRECTIVE_PRIVATE,
                                            DIRECTIVE_PROXY_REVALIDATE};

    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        directives.present &= ~(1u << shared[i]);
        directives.partial &= ~(1u << shared[i]);
    }
    return directives;
}

static void describe(const struct response_facts *facts, const struct request_facts *request,
                     const struct route_policy *policy, struct now received, nh_http_kept *kept)
{
    struct stored_response stored = stored_response_of(facts, received, (struct bytes){0});

    kept->status = facts->status;
    kept->flags = (may_store(facts, &request->traits, policy) ? NH_HTTP_KEPT_STORABLE : 0u) |
                  (may_share(facts, &request->traits, policy) ? NH_HTTP_KEPT_SHAREABLE : 0u) |
                  ((stored.flags & STORED_NO_CACHE) ? NH_HTTP_KEPT_NO_CACHE : 0u) |
                  ((stored.flags & STORED_PERMITS_AUTHORIZED) ? NH_HTTP_KEPT_FOR_AUTHORIZED : 0u) |
                  ((stored.flags & STORED_FORBIDS_STALE) ? NH_HTTP_KEPT_FORBIDS_STALE : 0u) |
                  ((stored.flags & STORED_IMMUTABLE) ? NH_HTTP_KEPT_IMMUTABLE : 0u) |
                  (facts->has_validator ? NH_HTTP_KEPT_HAS_VALIDATOR : 0u) |
                  (outdates_others(facts->status) ? NH_HTTP_KEPT_OUTDATES : 0u);
    kept->received_mono_ms = stored.received_mono_ms;
    kept->initial_age_ms = stored.initial_age_ms;
    kept->lifetime_ms = stored.lifetime_ms;
    kept->stale_if_error_ms = stored.stale_if_error_ms;
    kept->stale_while_revalidate_ms = stored.stale_while_revalidate_ms;
    stored.etag =
        facts->has_validator ? BYTES("\"") : (struct bytes){0}; /* that it has one is what counts */
    kept->keep_ms = stored_keep_ms(&stored, policy);
}

static struct now moment_of(nh_http_moment said)
{
    return (struct now){credible_ms(said.mono_ms), credible_ms(said.wall_ms)};
}

nh_result nh_http_read_response(const nh_http_rules *rules, const nh_http_ask *ask, int32_t status,
                                const nh_http_fields *fields, nh_http_moment requested,
                                nh_http_moment received, nh_http_kept *kept)
{
    struct now sent = moment_of(requested), came = moment_of(received);
    struct route_policy policy = policy_of_rules(rules);
    struct http_lines lines;
    nh_result result;

    if (ask == NULL || ask->size < sizeof *ask || kept == NULL || kept->size < sizeof *kept)
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    if (result == NH_OK) {
        struct request_facts request = facts_of_ask(rules, ask);
        struct cache_directives directives = rules_are_private(rules)
                                                 ? for_one_user(directives_of(&lines.fields))
                                                 : response_directives_of(&lines.fields);
        struct response_facts facts =
            response_facts_with(status, &lines.fields, &directives, sent, came, &policy);
        describe(&facts, &request, &policy, came, kept);
    }
    http_lines_fini(&lines);
    return result;
}

/* RFC 9110 §7.6.1. The length is the connection's to say as well. */
static bool is_of_connection(const struct http_fields *fields, const struct http_field *field)
{
    return (field->header != HTTP_HEADER_OTHER &&
            http_header_kind(field->header) == HTTP_HEADER_HOP_BY_HOP) ||
           http_connection_names(fields, field->name);
}

nh_result nh_http_keep_fields(const nh_http_rules *rules, const nh_http_fields *fields, nh_http_field *list,
                              size_t *count)
{
    struct route_policy policy = policy_of_rules(rules);
    struct cache_directives directives;
    struct http_lines lines;
    size_t kept = 0;
    nh_result result;

    if (count == NULL || list == NULL)
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    directives = directives_of(&lines.fields);
    for (size_t i = 0; result == NH_OK && i < lines.fields.count; i++) {
        const struct http_field *field = &lines.fields.list[i];
        if (is_of_connection(&lines.fields, field) || field->header == HTTP_HEADER_AGE ||
            is_one_client_s(field, &lines.fields, &directives, &policy))
            continue;
        if (kept == *count)
            result = NH_TOO_LARGE;
        else
            list[kept++] = http_line_out(field);
    }
    if (result == NH_OK)
        *count = kept;
    http_lines_fini(&lines);
    return result;
}

nh_result nh_http_vary(const nh_http_fields *fields, char *names, size_t capacity, size_t *size)
{
    struct http_lines lines;
    struct vary vary;
    nh_result result;

    if (names == NULL || size == NULL)
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    if (result == NH_OK && !vary_of(&lines.fields, &vary))
        result = NH_MISSING;
    if (result == NH_OK && vary.size > capacity)
        result = NH_TOO_LARGE;
    if (result == NH_OK) {
        memcpy(names, vary.text, vary.size);
        *size = vary.size;
    }
    http_lines_fini(&lines);
    return result;
}
