/* field_edit_spec.c — what an operator may ask for of field_edit.h. */
#include "engine/gateway/policy/upstream_fields.h"
#include "field_edit.h"
#include <stdlib.h>

void field_edit_spec_fini(struct field_edit_spec *spec)
{
    for (size_t i = 0; i < spec->set_count; i++) {
        free(spec->set[i].name);
        free(spec->set[i].value);
    }
    for (size_t i = 0; i < spec->removed_count; i++)
        free(spec->removed[i]);
    free(spec->set);
    free(spec->removed);
    *spec = (struct field_edit_spec){0};
}

/* ---- what may be edited -------------------------------------------------------------------------- */

static const char *name_is_wrong(struct bytes name)
{
    return http_is_token(name) ? NULL : "is no field's name";
}

const char *request_removal_is_wrong(struct bytes name)
{
    if (http_header_find(name) == HTTP_HEADER_HOST)
        return "cannot be removed: every request has one";
    return name_is_wrong(name);
}

const char *credential_name_is_wrong(struct bytes name)
{
    enum http_header header = http_header_find(name);

    if (name_is_wrong(name) != NULL)
        return name_is_wrong(name);
    if (!upstream_takes(header))
        return "is a field that no origin is sent";
    if (is_precondition(header))
        return "is the gateway's own to send: it validates what it has stored by it";
    return NULL;
}

const char *request_set_is_wrong(struct bytes name)
{
    enum http_header header = http_header_find(name);

    if (header == HTTP_HEADER_HOST)
        return "is not set here; see host-header";
    if (header == HTTP_HEADER_AUTHORIZATION || header == HTTP_HEADER_COOKIE)
        return "is a credential; write it under credentials, from the environment or a file";
    return credential_name_is_wrong(name);
}

const char *response_edit_is_wrong(struct bytes name)
{
    enum http_header header = http_header_find(name);

    if (name_is_wrong(name) != NULL)
        return name_is_wrong(name);
    if (header == HTTP_HEADER_AGE || header == HTTP_HEADER_CACHE_STATUS || header == HTTP_HEADER_DATE)
        return "says how old the answer is and whence it came; it stays";
    if (header == HTTP_HEADER_CONTENT_ENCODING || header == HTTP_HEADER_CONTENT_RANGE ||
        (header != HTTP_HEADER_OTHER && http_header_kind(header) == HTTP_HEADER_HOP_BY_HOP))
        return "says how the body is sent; it stays";
    return NULL;
}

const char *field_value_is_wrong(struct bytes value)
{
    if (!http_is_field_value(value))
        return "has a byte that no field has";
    return bytes_trim(value).size == value.size ? NULL : "has a blank at an end";
}
