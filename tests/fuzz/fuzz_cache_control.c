/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* Any bytes as Cache-Control: no crash, and what permits is never read out of what is malformed. The same
 * bytes also go through Vary, If-None-Match, Accept-Encoding and the decoders of what is stored. */
#include "coding/accept_encoding.h"
#include "engine/gateway/policy/parts.h"
#include "engine/gateway/policy/storable.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/policy/validate.h"
#include "engine/gateway/policy/vary.h"
#include "engine/gateway/routing/route.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes value = bytes_of(data, size);
    struct http_field list[] = {{HTTP_HEADER_CACHE_CONTROL, BYTES("Cache-Control"), value},
                                {HTTP_HEADER_VARY, BYTES("Vary"), value},
                                {HTTP_HEADER_AGE, BYTES("Age"), value},
                                {HTTP_HEADER_EXPIRES, BYTES("Expires"), value},
                                {HTTP_HEADER_IF_NONE_MATCH, BYTES("If-None-Match"), value},
                                {HTTP_HEADER_ACCEPT_ENCODING, BYTES("Accept-Encoding"), value}};
    struct accepted_codings accepted, again;
    char accepted_text[ACCEPTED_CODINGS_BYTES_MAX];
    struct http_fields fields = {list, sizeof list / sizeof list[0]};
    struct now now = {.mono_ms = 1, .wall_ms = 1700000000000};
    struct route_policy policy = {.heuristic_ms_max = 86400000};
    struct response_facts facts = response_facts_of(200, &fields, now, now, &policy);
    struct request_traits authorized = {.has_authorization = true};
    struct http_field targeted = {HTTP_HEADER_CDN_CACHE_CONTROL, BYTES("CDN-Cache-Control"), value};
    struct cache_directives twice = facts.directives, to_us;
    struct stored_response response;
    struct stored_variants variants;
    struct stored_note note;
    struct parts parts;
    struct http_field field;
    struct bytes rest = value;
    struct vary vary;
    char values[256];
    size_t values_size;

    for (enum directive i = 0; i < DIRECTIVE_COUNT; i++)
        if (directives_have(&facts.directives, i))
            check(facts.directives.seconds[i] >= DIRECTIVE_INVALID &&
                  facts.directives.seconds[i] <= DIRECTIVE_SECONDS_MAX);
    check(facts.freshness.lifetime_ms >= 0 && facts.freshness.initial_age_ms >= 0);
    if (facts.directives.malformed) {
        check(facts.freshness.lifetime_ms == 0);
        check(!may_store(&facts, &authorized, &policy));
        check(stale_if_error_ms_of(&facts.directives) == 0);
    }
    to_us = response_directives_of(&(struct http_fields){&targeted, 1});
    for (enum directive i = 0; i < DIRECTIVE_COUNT; i++)
        if (directives_have(&to_us, i))
            check(to_us.seconds[i] >= DIRECTIVE_INVALID && to_us.seconds[i] <= DIRECTIVE_SECONDS_MAX);
    /* A second line only ever adds. */
    directives_read(&twice, value);
    check((facts.directives.present & ~twice.present) == 0);
    check(facts.directives.malformed == twice.malformed);
    directives_name_field(&fields, BYTES("a"));
    if (vary_of(&fields, &vary))
        vary_values(bytes_of(vary.text, vary.size), &fields, values, sizeof values, &values_size);
    /* What goes upstream for many says the same of codings as what each of them said. */
    accepted = accepted_codings_of(&fields);
    list[5].value = bytes_of(accepted_text, accepted_codings_format(&accepted, accepted_text));
    check(list[5].value.size > 0);
    again = accepted_codings_of(&fields);
    for (int i = 0; i < CODING_COUNT; i++)
        check((accepted.weights[i] > 0) == (again.weights[i] > 0));
    client_has_it(&fields, BYTES("ETag: \"a\"\r\n"), now.wall_ms);
    while (rendered_next(&rest, &field))
        check(rest.size < size);
    stored_response_decode(value, value.size, 1, &response);
    stored_variants_decode(value, 1, &variants);
    stored_note_decode(value, 1, &note);
    parts_decode(value, value.size, 1, &parts);
    return 0;
}
