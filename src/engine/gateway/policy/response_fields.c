#include "response_fields.h"
#include "cache_tags.h"
#include "engine/gateway/quota/rate_fields.h"
#include "message/http_date.h"
#include "route_policy.h"
#include "stored_response.h"

bool is_for_gateway(const struct http_field *field)
{
    return field->header == HTTP_HEADER_NUTHATCH_CACHE_CONTROL || is_for_caches(field->header);
}

bool is_one_client_s(const struct http_field *field, const struct http_fields *fields,
                     const struct cache_directives *directives, const struct route_policy *policy)
{
    return (field->header == HTTP_HEADER_SET_COOKIE && policy->stores_set_cookie == 0) ||
           (directives->partial != 0 && directives_name_field(fields, field->name)) ||
           (field->header == HTTP_HEADER_OTHER && is_rate_field(field->name));
}

void response_fields_render(struct response_fields *rendered, const struct http_fields *fields,
                            const struct cache_directives *directives, const struct route_policy *policy,
                            struct now received, bool is_forwarded)
{
    bool has_date = false;

    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];

        if (is_for_gateway(field)) {
            rendered_append(&rendered->hidden, field->name, field->value);
            continue;
        }
        has_date |= field->header == HTTP_HEADER_DATE;
        if (field->header != HTTP_HEADER_AGE || is_forwarded)
            rendered_append(&rendered->sent, field->name, field->value);
        if (field->header != HTTP_HEADER_AGE && !is_one_client_s(field, fields, directives, policy))
            rendered_append(&rendered->kept, field->name, field->value);
    }
    if (!has_date) {
        char date[HTTP_DATE_BYTES];
        http_date_format(received.wall_ms, date);
        rendered_append(&rendered->sent, BYTES("Date"), bytes_of(date, sizeof date));
        rendered_append(&rendered->kept, BYTES("Date"), bytes_of(date, sizeof date));
    }
}

void response_fields_clear(struct response_fields *rendered)
{
    buffer_clear(&rendered->kept);
    buffer_clear(&rendered->hidden);
    buffer_clear(&rendered->sent);
}

void response_fields_fini(struct response_fields *rendered)
{
    buffer_fini(&rendered->kept);
    buffer_fini(&rendered->hidden);
    buffer_fini(&rendered->sent);
}
