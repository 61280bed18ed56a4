#include "respond.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/number.h"
#include "engine/gateway/policy/cors.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/policy/validate.h"
#include "message/problem.h"

enum { FIELDS_MAX = 3 }; /* of a head, besides those that are rendered */

bool names_other_caches(struct bytes rendered)
{
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (field.header == HTTP_HEADER_CACHE_STATUS)
            return true;
    return false;
}

/* What is left of an answer where there is no memory for its fields as they must be. None of the origin's,
 * which may let any page read it, or be what clients must not see. And as these also say how to read the
 * body, which its sender will send nevertheless, it is an answer no more where one follows. */
static void withhold(struct exchange *x, int status, int64_t body_bytes)
{
    struct http_field fields[] = {
        {HTTP_HEADER_CACHE_CONTROL, BYTES("Cache-Control"), BYTES("no-store")},
        {HTTP_HEADER_OTHER, BYTES("X-Content-Type-Options"), BYTES("nosniff")},
    };
    struct http_response response = {.status =
                                         status < 200 || status == 204 || status == 304 ? status : 503,
                                     .body_bytes = body_bytes,
                                     .fields = {fields, COUNT_OF(fields)}};

    exchange_respond(x, &response);
}

/* RFC 9211 §2: each cache adds itself after those nearer to the origin. An id that the origin told, which
 * may be another request's, gives way to ours, and so does what it says to pages of others if that is up to
 * us. */
static void respond_changed(struct exchange *x, struct http_response *response,
                            const struct cache_status *cache_status, struct bytes ours, bool is_preflight)
{
    struct bytes rendered = response->rendered;
    struct buffer lines = {0};
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (!(x->tells_id && field.header == HTTP_HEADER_X_REQUEST_ID) &&
            !(x->policy != NULL && cors_drops(field.name)))
            rendered_append(&lines, field.name, field.value);
    if (x->tells_id)
        rendered_append(&lines, BYTES("X-Request-Id"), request_id_bytes(&x->id));
    if (x->policy != NULL)
        cors_append(x->policy, x->request, is_preflight, &lines);
    if (cache_status->names_others)
        rendered_append(&lines, BYTES("Cache-Status"), ours);
    response->rendered = buffer_bytes(&lines);
    if (lines.failed)
        withhold(x, response->status, response->body_bytes);
    else
        exchange_respond(x, response);
    buffer_fini(&lines);
}

static void respond(struct exchange *x, int status, struct bytes reason, int64_t body_bytes,
                    uint64_t body_number, struct bytes rendered, int64_t age_seconds, bool has_date,
                    const struct cache_status *cache_status, bool is_preflight)
{
    char age[NUMBER_TEXT_BYTES], text[CACHE_STATUS_BYTES_MAX];
    struct bytes ours = bytes_of(text, cache_status_format(text, cache_status));
    struct http_field fields[FIELDS_MAX];
    struct http_response response = {.status = status,
                                     .reason = reason,
                                     .body_bytes = body_bytes,
                                     .body_number = body_number,
                                     .fields = {fields, 0},
                                     .rendered = rendered,
                                     .rendered_has_date = has_date};

    x->note = cache_status_word(cache_status);
    if (age_seconds >= 0)
        fields[response.fields.count++] = (struct http_field){
            HTTP_HEADER_AGE, BYTES("Age"), bytes_of(age, int64_format(age, age_seconds))};
    if (!cache_status->names_others)
        fields[response.fields.count++] =
            (struct http_field){HTTP_HEADER_CACHE_STATUS, BYTES("Cache-Status"), ours};
    if (x->has_waited)
        fields[response.fields.count++] =
            (struct http_field){HTTP_HEADER_OTHER, BYTES("Preference-Applied"), BYTES("wait")};
    if (cache_status->names_others || x->tells_id || x->policy != NULL)
        respond_changed(x, &response, cache_status, ours, is_preflight);
    else
        exchange_respond(x, &response);
}

void respond_head(struct exchange *x, int status, struct bytes reason, int64_t body_bytes,
                  uint64_t body_number, struct bytes rendered, int64_t age_seconds, bool has_date,
                  const struct cache_status *cache_status)
{
    respond(x, status, reason, body_bytes, body_number, rendered, age_seconds, has_date, cache_status,
            false);
}

void respond_preflight(struct exchange *x)
{
    respond(x, 204, (struct bytes){0}, HTTP_BODY_NONE, 0, (struct bytes){0}, -1, false,
            &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "preflight"}, true);
    exchange_end(x);
}

bool fields_for_client(const struct route *route, struct bytes *rendered, struct buffer *edited)
{
    if (field_edit_is_none(&route->response_fields))
        return true;
    field_edit_rendered(&route->response_fields, *rendered, edited);
    *rendered = buffer_bytes(edited);
    return !edited->failed;
}

/* respond_head, but for lines that there may have been no memory for: those are not whole. */
static void respond_lines(struct exchange *x, int status, int64_t body_bytes, const struct buffer *lines,
                          int64_t age_seconds, const struct cache_status *cache_status)
{
    x->note = cache_status_word(cache_status);
    if (lines->failed)
        withhold(x, status, body_bytes);
    else
        respond_head(x, status, (struct bytes){0}, body_bytes, 0, buffer_bytes(lines), age_seconds,
                     status != 416, cache_status);
}

void respond_not_modified(struct exchange *x, struct bytes rendered, int64_t age_seconds,
                          const struct cache_status *cache_status)
{
    struct buffer kept = {0};
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (belongs_in_not_modified(field.header))
            rendered_append(&kept, field.name, field.value);
    respond_lines(x, 304, HTTP_BODY_NONE, &kept, age_seconds, cache_status);
    buffer_fini(&kept);
}

bool respond_ranged(struct gateway *gateway, struct exchange *x, struct now now, struct bytes rendered,
                    struct bytes type, const struct http_ranges *ranges, uint64_t body_bytes,
                    int64_t age_seconds, const struct cache_status *status, struct outgoing *outgoing)
{
    char text[HTTP_CONTENT_RANGE_BYTES_MAX];
    struct buffer lines = {0};

    outgoing_init(outgoing, ranges, body_bytes);
    switch (ranges->kind) {
    case HTTP_RANGES_NONE: return false;
    case HTTP_RANGES_OUTSIDE:
        rendered_append(&lines, BYTES("Content-Range"),
                        bytes_of(text, http_content_range_format(text, NULL, body_bytes)));
        respond_lines(x, 416, HTTP_BODY_NONE, &lines, -1, status);
        break;
    case HTTP_RANGES_PARTS:
        outgoing->type = type;
        outgoing->boundary = hash_bytes(bytes_of(&now, sizeof now), gateway->seed);
        ranged_fields_render(&lines, rendered, outgoing);
        respond_lines(x, 206, (int64_t)outgoing_bytes(outgoing), &lines, age_seconds, status);
        break;
    }
    buffer_fini(&lines);
    return true;
}

void respond_problem(struct exchange *x, int status, const char *text,
                     const struct cache_status *cache_status)
{
    respond_problem_later(x, status, text, 0, cache_status);
}

void respond_problem_later(struct exchange *x, int status, const char *text, int64_t retry_after_seconds,
                           const struct cache_status *cache_status)
{
    respond_problem_allowing(x, status, bytes_of_text(text), retry_after_seconds,
                             BYTES("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), cache_status);
}

void respond_problem_allowing(struct exchange *x, int status, struct bytes detail,
                              int64_t retry_after_seconds, struct bytes methods,
                              const struct cache_status *cache_status)
{
    char seconds[NUMBER_TEXT_BYTES];
    struct buffer body = {0}, rendered = {0};
    bool is_whole;

    if (x->id.size == 0)
        request_id_choose(&x->id, &x->request->fields);
    if (status != 204) {
        problem_render(&body, status, detail, request_id_bytes(&x->id));
        rendered_append(&rendered, BYTES("Content-Type"), BYTES("application/problem+json"));
        rendered_append(&rendered, BYTES("Cache-Control"), BYTES("no-store"));
    }
    if (status == 405)
        rendered_append(&rendered, BYTES("Allow"), methods);
    if (retry_after_seconds > 0)
        rendered_append(&rendered, BYTES("Retry-After"),
                        bytes_of(seconds, int64_format(seconds, retry_after_seconds)));
    is_whole = !body.failed && !rendered.failed;
    if (!is_whole)
        buffer_clear(&body);
    respond_head(x, status, (struct bytes){0}, (int64_t)body.size, 0,
                 is_whole ? buffer_bytes(&rendered) : BYTES("Cache-Control: no-store\r\n"), -1, false,
                 cache_status);
    if (x->request->method != HTTP_METHOD_HEAD && body.size > 0)
        exchange_send(x, buffer_bytes(&body));
    buffer_fini(&body);
    buffer_fini(&rendered);
    exchange_end(x);
}

int64_t retry_after_seconds(int64_t now_mono_ms, int64_t due_mono_ms)
{
    int64_t wait_ms = due_mono_ms - now_mono_ms;

    return wait_ms > 1000 ? (wait_ms + 999) / 1000 : 1;
}

struct limited_terms limited_terms(enum quota_verdict verdict)
{
    switch (verdict) {
    case QUOTA_TOLD:
        return (struct limited_terms){429, "the upstream has said that there are too many requests",
                                      "limited"};
    case QUOTA_OPEN:
        return (struct limited_terms){503, "the upstream fails, and is left alone for a while", "open"};
    case QUOTA_BUSY:
        return (struct limited_terms){503, "as many requests to the upstream are under way as may be",
                                      "limited"};
    case QUOTA_GO:
    case QUOTA_WAIT:
    case QUOTA_LIMITED:
        return (struct limited_terms){503, "as many requests were sent to the upstream as may be",
                                      "limited"};
    }
    UNREACHABLE();
}

const char *origin_failure_text(enum err failure)
{
    switch (failure) {
    case ERR_TIMEOUT: return "the origin took too long to answer";
    case ERR_REFUSED: return "the origin refuses connections";
    case ERR_UNREACHABLE: return "the origin cannot be reached";
    case ERR_TLS: return "no trusted connection to the origin could be made";
    case ERR_TRUNCATED: return "the origin closed the connection without an answer";
    case ERR_TOO_LARGE: return "the head of the origin's answer is too large";
    case ERR_SYNTAX: return "the origin's answer is not valid HTTP";
    case ERR_CANCELLED: return "the gateway is stopping";
    default: return "the origin's answer could not be had";
    }
}
