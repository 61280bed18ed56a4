#include "respond_stored.h"
#include "engine/gateway/policy/validate.h"
#include "inquiry_terms.h"

/* What of an entry the client asks for. */
static struct http_ranges ranges_of(const struct exchange *x, struct now now, const struct found *found)
{
    if (found->is_part)
        return (struct http_ranges){HTTP_RANGES_PARTS, 1, {found->part}};
    if (found->response.status != 200)
        return (struct http_ranges){.kind = HTTP_RANGES_NONE};
    return ranges_wanted(x->request, found->response.fields, found->response.body_bytes, now.wall_ms);
}

/* Whole seconds of freshness left; once it is stale, less than 0. */
static int64_t ttl_seconds(const struct stored_response *response, int64_t now_mono_ms)
{
    int64_t age_ms = stored_age_ms(response, now_mono_ms);
    int64_t seconds = response->lifetime_ms / 1000 - age_ms / 1000;

    return seconds == 0 && age_ms >= response->lifetime_ms ? -1 : seconds;
}

static void tell_inquiry(struct inquiry_terms *terms, const struct stored_response *response,
                         int64_t now_mono_ms, bool stands_in)
{
    terms->is_told = terms->is_from_store = terms->is_for_all = true;
    terms->fresh_ms = response->lifetime_ms - stored_age_ms(response, now_mono_ms);
    terms->is_stale = stands_in;
    terms->confirmed_ago_ms = now_mono_ms - response->received_mono_ms;
    if ((response->flags & (STORED_PURGED | STORED_NO_CACHE)) && terms->fresh_ms > 0)
        terms->fresh_ms = 0;
    terms->body_number = response->body_number;
}

bool respond_stored(struct gateway *gateway, const struct route *route, struct exchange *x, struct now now,
                    const struct request_facts *facts, const struct found *found,
                    struct cache_status *status, struct outgoing *outgoing)
{
    const struct stored_response *response = &found->response;
    struct http_ranges ranges = {.kind = HTTP_RANGES_NONE};
    struct buffer edited = {0};
    struct bytes fields = response->fields;
    bool has_body = x->request->method != HTTP_METHOD_HEAD && response->body_bytes > 0;
    int64_t age_seconds = stored_age_ms(response, now.mono_ms) / 1000;

    status->has_ttl = true;
    status->ttl_seconds = ttl_seconds(response, now.mono_ms);
    if (x->inquiry != NULL)
        tell_inquiry(x->inquiry, response, now.mono_ms,
                     found_use(route, facts, found, now.mono_ms) != USE_FRESH);
    status->names_others = (response->flags & STORED_NAMES_CACHES) != 0;
    if (!fields_for_client(route, &fields, &edited)) {
        respond_head(x, 503, (struct bytes){0}, HTTP_BODY_NONE, 0, BYTES("Cache-Control: no-store\r\n"), -1,
                     false, status);
        has_body = false;
        goto done;
    }
    if (facts->has_condition && response->status == 200 &&
        client_has_it(&x->request->fields, response->fields, now.wall_ms)) {
        respond_not_modified(x, fields, age_seconds, status);
        has_body = false;
        goto done;
    }
    if (facts->has_range)
        ranges = ranges_of(x, now, found);
    if (ranges.kind != HTTP_RANGES_NONE) {
        respond_ranged(gateway, x, now, fields, rendered_value(response->fields, HTTP_HEADER_CONTENT_TYPE),
                       &ranges, found->is_part ? found->whole_bytes : response->body_bytes, age_seconds,
                       status, outgoing);
        has_body = true;
        goto done;
    }
    respond_head(x, response->status, response->reason, (int64_t)response->body_bytes,
                 response->body_number, fields, age_seconds, true, status);

done:
    buffer_fini(&edited);
    return has_body;
}

void send_stored(struct gateway *gateway, struct exchange *x, struct found *found, uint64_t offset,
                 uint64_t size)
{
    value_send(gateway->store, &found->value, &found->lender, x,
               found->value.size - found->response.body_bytes + offset, size);
}
