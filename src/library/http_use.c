/* http_use.c — nuthatch_http.h: may what is kept be given, and is it still the response. */
#include "engine/gateway/policy/reuse.h"
#include "engine/gateway/policy/validate.h"
#include "http_lines.h"
#include "http_rules.h"
#include <stdlib.h>

static bool are_whole(const nh_http_ask *ask, const nh_http_kept *kept)
{
    return ask != NULL && ask->size >= sizeof *ask && kept != NULL && kept->size >= sizeof *kept;
}

nh_http_use_how nh_http_use(const nh_http_rules *rules, const nh_http_ask *ask, const nh_http_kept *kept,
                            int64_t now_mono_ms)
{
    struct route_policy policy = policy_of_rules(rules);
    struct request_facts facts;
    struct stored_response stored;

    if (!are_whole(ask, kept) || !ask->is_cacheable)
        return NH_HTTP_USE_NOT;
    facts = facts_of_ask(rules, ask);
    stored = stored_of_kept(kept);
    now_mono_ms = credible_ms(now_mono_ms);
    switch (use_of(&policy, &facts, &stored, now_mono_ms)) {
    case USE_NONE: return NH_HTTP_USE_NOT;
    case USE_FRESH: return NH_HTTP_USE_FRESH;
    case USE_UNWANTED: return NH_HTTP_USE_UNWANTED;
    case USE_STALE: break;
    }
    if (accepts_stale(&facts, &stored, now_mono_ms))
        return NH_HTTP_USE_STALE;
    return may_serve_while_revalidating(&policy, &facts, &stored, now_mono_ms) ? NH_HTTP_USE_REVALIDATE
                                                                               : NH_HTTP_USE_VALIDATED;
}

int32_t nh_http_may_stand_in(const nh_http_rules *rules, const nh_http_ask *ask, const nh_http_kept *kept,
                             int32_t is_unreachable, int64_t now_mono_ms)
{
    struct route_policy policy = policy_of_rules(rules);
    struct request_facts facts;
    struct stored_response stored;

    if (!are_whole(ask, kept) || !ask->is_cacheable)
        return 0;
    facts = facts_of_ask(rules, ask);
    stored = stored_of_kept(kept);
    now_mono_ms = credible_ms(now_mono_ms);
    return may_serve_on(is_unreachable ? FAILURE_UNREACHABLE : FAILURE_ERROR, &policy, &facts, &stored,
                        now_mono_ms);
}

int64_t nh_http_age_ms(const nh_http_kept *kept, int64_t now_mono_ms)
{
    return kept == NULL ? 0
                        : current_age_ms(credible_ms(kept->initial_age_ms),
                                         credible_ms(kept->received_mono_ms), credible_ms(now_mono_ms));
}

int64_t nh_http_fresh_ms(const nh_http_kept *kept, int64_t now_mono_ms)
{
    return kept == NULL ? 0 : credible_ms(kept->lifetime_ms) - nh_http_age_ms(kept, now_mono_ms);
}

int32_t nh_http_has(const nh_http_fields *request, const nh_http_fields *fields, int64_t now_wall_ms)
{
    struct http_lines asked, lines;
    struct buffer rendered = {0};
    bool has = false;
    nh_result asked_result = http_lines_init(&asked, request), result = http_lines_init(&lines, fields);

    if (asked_result == NH_OK && result == NH_OK) {
        http_lines_render(&rendered, &lines.fields);
        has = !rendered.failed &&
              client_has_it(&asked.fields, buffer_bytes(&rendered), credible_ms(now_wall_ms));
    }
    buffer_fini(&rendered);
    http_lines_fini(&lines);
    http_lines_fini(&asked);
    return has;
}

int32_t nh_http_is_in_304(nh_bytes name)
{
    return name.data != NULL && belongs_in_not_modified(http_header_find(bytes_of(name.data, name.size)));
}

nh_result nh_http_conditions(const nh_http_fields *fields, nh_http_field list[2], size_t *count)
{
    const struct http_field *etag, *modified;
    struct http_lines lines;
    nh_result result;

    if (list == NULL || count == NULL)
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    if (result == NH_OK) {
        *count = 0;
        etag = http_fields_find(&lines.fields, HTTP_HEADER_ETAG);
        modified = http_fields_find(&lines.fields, HTTP_HEADER_LAST_MODIFIED);
        if (etag != NULL && etag->value.size > 0)
            list[(*count)++] = http_line_out(&(struct http_field){
                .name = http_header_name(HTTP_HEADER_IF_NONE_MATCH), .value = etag->value});
        if (modified != NULL && modified->value.size > 0)
            list[(*count)++] = http_line_out(&(struct http_field){
                .name = http_header_name(HTTP_HEADER_IF_MODIFIED_SINCE), .value = modified->value});
    }
    http_lines_fini(&lines);
    return result;
}

/* What validates it, and its fields rendered. */
static struct stored_response validators_of(const struct http_fields *fields, struct bytes rendered)
{
    const struct http_field *etag = http_fields_find(fields, HTTP_HEADER_ETAG);
    const struct http_field *modified = http_fields_find(fields, HTTP_HEADER_LAST_MODIFIED);

    return (struct stored_response){
        .etag = etag != NULL ? etag->value : (struct bytes){0},
        .last_modified = modified != NULL ? modified->value : (struct bytes){0},
        .fields = rendered,
    };
}

/* The field of `merged`: of the rendered ones, which come in their order, that of `lines`, from `*next` on;
 * else it is the 304's. */
static nh_http_field as_callers(const struct http_field *merged, struct bytes rendered,
                                const struct http_fields *lines, size_t *next)
{
    if (merged->name.data < rendered.data || merged->name.data >= rendered.data + rendered.size)
        return http_line_out(merged);
    while (!bytes_equal(lines->list[*next].name, merged->name) ||
           !bytes_equal(lines->list[*next].value, merged->value))
        (*next)++; /* one that the 304 replaced */
    return http_line_out(&lines->list[(*next)++]);
}

static nh_result freshen(const struct http_fields *lines, const struct http_fields *not_modified,
                         struct bytes rendered, nh_http_field *list, size_t *count)
{
    struct stored_response stored = validators_of(lines, rendered);
    struct http_fields merged;
    size_t next = 0;

    if (!is_validated_by(&stored, not_modified))
        return NH_CHANGED;
    merged = freshened_fields(rendered, (struct bytes){0}, not_modified);
    if (merged.list == NULL)
        return NH_NO_MEMORY;
    if (merged.count > *count) {
        free(merged.list);
        return NH_TOO_LARGE;
    }
    for (size_t i = 0; i < merged.count; i++)
        list[i] = as_callers(&merged.list[i], rendered, lines, &next);
    *count = merged.count;
    free(merged.list);
    return NH_OK;
}

nh_result nh_http_freshen(const nh_http_fields *fields, const nh_http_fields *not_modified,
                          nh_http_field *list, size_t *count)
{
    struct http_lines lines, news;
    struct buffer rendered = {0};
    nh_result result, news_result;

    if (list == NULL || count == NULL)
        return NH_INVALID;
    result = http_lines_init(&lines, fields);
    news_result = http_lines_init(&news, not_modified);
    if (result == NH_OK)
        result = news_result;
    if (result == NH_OK) {
        http_lines_render(&rendered, &lines.fields);
        result = rendered.failed
                     ? NH_NO_MEMORY
                     : freshen(&lines.fields, &news.fields, buffer_bytes(&rendered), list, count);
    }
    buffer_fini(&rendered);
    http_lines_fini(&news);
    http_lines_fini(&lines);
    return result;
}
