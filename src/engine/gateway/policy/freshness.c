#include "freshness.h"
#include "message/http_date.h"

#define SECOND_MS       INT64_C(1000)
#define DURATION_MS_MAX (DIRECTIVE_SECONDS_MAX * SECOND_MS)

static int64_t clamp_ms(int64_t ms) { return ms < 0 ? 0 : ms > DURATION_MS_MAX ? DURATION_MS_MAX : ms; }

/* RFC 9111 §5.1: of a list the first member counts; what is not a non-negative integer is ignored. */
static int64_t age_seconds_of(const struct http_fields *fields)
{
    const struct http_field *age = http_fields_find(fields, HTTP_HEADER_AGE);
    const char *comma;
    struct bytes first;
    int64_t seconds;

    if (age == NULL)
        return -1;
    comma = memchr(age->value.data, ',', age->value.size);
    first = comma == NULL ? age->value : bytes_first(age->value, (size_t)(comma - age->value.data));
    return delta_seconds_parse(bytes_trim(first), &seconds) ? seconds : -1;
}

/* The Date, or the moment of receipt if there is none that can be read (RFC 9110 §6.6.1). */
static int64_t date_ms_of(const struct http_fields *fields, int64_t received_wall_ms)
{
    const struct http_field *date = http_fields_find(fields, HTTP_HEADER_DATE);
    int64_t wall_ms;

    return date != NULL && http_date_parse(date->value, received_wall_ms, &wall_ms) ? wall_ms
                                                                                    : received_wall_ms;
}

/* RFC 9111 §5.3: an Expires that is no date, or one of several, is in the past. */
static int64_t expires_lifetime_ms(const struct http_fields *fields, int64_t date_wall_ms,
                                   int64_t received_wall_ms)
{
    const struct http_field *expires = NULL;
    int64_t wall_ms;

    for (size_t i = 0; i < fields->count; i++) {
        if (fields->list[i].header != HTTP_HEADER_EXPIRES)
            continue;
        if (expires != NULL)
            return 0;
        expires = &fields->list[i];
    }
    if (expires == NULL || !http_date_parse(expires->value, received_wall_ms, &wall_ms))
        return 0;
    return clamp_ms(wall_ms - date_wall_ms);
}

/* RFC 9111 §4.2.1, in this order: s-maxage, max-age, Expires less Date. */
static int64_t lifetime_ms_of(const struct http_fields *fields, const struct cache_directives *directives,
                              int64_t date_wall_ms, int64_t received_wall_ms)
{
    if (directives->malformed)
        return 0;
    if (directives_have(directives, DIRECTIVE_S_MAXAGE))
        return directives_seconds(directives, DIRECTIVE_S_MAXAGE, 0) * SECOND_MS;
    if (directives_have(directives, DIRECTIVE_MAX_AGE))
        return directives_seconds(directives, DIRECTIVE_MAX_AGE, 0) * SECOND_MS;
    if (directives->is_targeted) /* RFC 9213 §2.2 */
        return 0;
    return expires_lifetime_ms(fields, date_wall_ms, received_wall_ms);
}

struct freshness freshness_of(const struct http_fields *fields, const struct cache_directives *directives,
                              struct now requested, struct now received)
{
    int64_t date_wall_ms = date_ms_of(fields, received.wall_ms);
    int64_t age_seconds = age_seconds_of(fields);
    /* In whole seconds, as Date is: else what was made in this second would seem up to one old. */
    int64_t apparent_age_ms = clamp_ms(received.wall_ms / SECOND_MS * SECOND_MS - date_wall_ms);
    int64_t delay_ms = clamp_ms(received.mono_ms - requested.mono_ms);
    int64_t corrected_age_ms = clamp_ms((age_seconds < 0 ? 0 : age_seconds) * SECOND_MS + delay_ms);

    return (struct freshness){
        .lifetime_ms = lifetime_ms_of(fields, directives, date_wall_ms, received.wall_ms),
        .is_explicit = directives_have(directives, DIRECTIVE_S_MAXAGE) ||
                       directives_have(directives, DIRECTIVE_MAX_AGE) ||
                       (!directives->is_targeted && http_fields_find(fields, HTTP_HEADER_EXPIRES) != NULL),
        .initial_age_ms = apparent_age_ms > corrected_age_ms ? apparent_age_ms : corrected_age_ms,
        .age_seconds = age_seconds,
    };
}

int64_t heuristic_lifetime_ms(const struct http_fields *fields, struct now received, int64_t ms_max)
{
    const struct http_field *modified = http_fields_find(fields, HTTP_HEADER_LAST_MODIFIED);
    int64_t modified_ms, lifetime_ms;

    if (modified == NULL || !http_date_parse(modified->value, received.wall_ms, &modified_ms))
        return 0;
    lifetime_ms = (date_ms_of(fields, received.wall_ms) - modified_ms) / 10;
    return lifetime_ms < 0 ? 0 : lifetime_ms > ms_max ? ms_max : lifetime_ms;
}
