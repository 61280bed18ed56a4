#include "composed_terms.h"
#include "engine/gateway/policy/directives.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/policy/vary.h"
#include "message/http_date.h"

const struct composed_terms composed_terms_free = {.browser_ms = INT64_MAX, .shared_ms = INT64_MAX};

static void lower(int64_t *value, int64_t other)
{
    if (other < *value)
        *value = other;
}

/* What the fields say of how long the answer is fresh for a client that keeps it itself. */
struct said {
    struct cache_directives directives;
    int64_t age_seconds;
    bool has_expires;
    int64_t expires_ms, date_ms; /* an invalid Expires is in the past (RFC 9111 §5.3) */
    bool is_of_once;             /* it may be another for the same request (RFC 9110 §12.5.5: Vary: *) */
};

static struct said read_fields(struct bytes lines, int64_t now_wall_ms)
{
    struct said said = {.date_ms = now_wall_ms};
    struct http_field field;
    struct vary ignored;
    int64_t seconds;

    while (rendered_next(&lines, &field)) {
        switch (field.header) {
        case HTTP_HEADER_CACHE_CONTROL: directives_read(&said.directives, field.value); break;
        case HTTP_HEADER_AGE:
            if (delta_seconds_parse(field.value, &seconds) && seconds > said.age_seconds)
                said.age_seconds = seconds;
            break;
        case HTTP_HEADER_DATE: http_date_parse(field.value, now_wall_ms, &said.date_ms); break;
        case HTTP_HEADER_EXPIRES:
            said.has_expires = true;
            if (!http_date_parse(field.value, now_wall_ms, &said.expires_ms))
                said.expires_ms = 0;
            break;
        case HTTP_HEADER_VARY:
            said.is_of_once |= !vary_of(&(struct http_fields){&field, 1}, &ignored);
            break;
        default: break;
        }
    }
    return said;
}

struct composed_terms composed_terms_of(struct bytes lines, const struct inquiry_terms *told,
                                        int64_t now_wall_ms)
{
    struct said said = read_fields(lines, now_wall_ms);
    const struct cache_directives *directives = &said.directives;
    int64_t max_age = directives_seconds(directives, DIRECTIVE_MAX_AGE, -1);
    struct composed_terms terms = {
        .is_unkept = directives_have(directives, DIRECTIVE_NO_STORE) || !told->is_told,
        .is_private = !told->is_for_all || directives_have(directives, DIRECTIVE_PRIVATE),
        .must_revalidate = directives_have(directives, DIRECTIVE_MUST_REVALIDATE) ||
                           directives_have(directives, DIRECTIVE_PROXY_REVALIDATE),
        .is_stale = told->is_stale,
        .browser_ms = told->fresh_ms,
        .shared_ms = told->fresh_ms};

    if (max_age >= 0)
        terms.browser_ms = (max_age - said.age_seconds) * 1000;
    else if (directives_have(directives, DIRECTIVE_MAX_AGE))
        terms.browser_ms = 0; /* it is there, and is no number */
    else if (said.has_expires)
        terms.browser_ms = said.expires_ms - said.date_ms - said.age_seconds * 1000;
    if (told->is_stale || said.is_of_once || directives_have(directives, DIRECTIVE_NO_CACHE))
        terms.browser_ms = terms.shared_ms = 0;
    return terms;
}

void composed_terms_add(struct composed_terms *terms, const struct composed_terms *other)
{
    terms->is_unkept |= other->is_unkept;
    terms->is_private |= other->is_private;
    terms->must_revalidate |= other->must_revalidate;
    terms->is_stale |= other->is_stale;
    lower(&terms->browser_ms, other->browser_ms);
    lower(&terms->shared_ms, other->shared_ms);
}

/* Whole ones, rounded up, as by a max-age and an Age, which is rounded down. */
static int64_t seconds_of(int64_t ms)
{
    int64_t seconds = ms > 0 ? (ms - 1) / 1000 + 1 : 0;

    return seconds < DIRECTIVE_SECONDS_MAX ? seconds : DIRECTIVE_SECONDS_MAX;
}

void composed_terms_append(const struct composed_terms *terms, struct buffer *lines)
{
    int64_t browser = seconds_of(terms->browser_ms), shared = seconds_of(terms->shared_ms);

    buffer_append_literal(lines, "Cache-Control: ");
    if (terms->is_unkept) {
        buffer_append_literal(lines, "no-store\r\n");
        return;
    }
    if (terms->is_private)
        buffer_append_literal(lines, "private, ");
    if (browser == 0 && (shared == 0 || terms->is_private)) {
        buffer_append_literal(lines, "no-cache\r\n");
        return;
    }
    buffer_append_literal(lines, "max-age=");
    buffer_append_int64(lines, browser);
    if (!terms->is_private && shared != browser) {
        buffer_append_literal(lines, ", s-maxage=");
        buffer_append_int64(lines, shared);
    }
    if (terms->must_revalidate)
        buffer_append_literal(lines, ", must-revalidate");
    buffer_append_literal(lines, "\r\n");
}
