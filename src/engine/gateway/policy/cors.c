#include "cors.h"
#include "stored_response.h"

/* The one Origin of a request; empty if there is none, or several. */
static struct bytes origin_of(const struct http_request *request)
{
    struct bytes origin = {0};

    for (size_t i = 0; i < request->fields.count; i++) {
        if (!bytes_equal_nocase(request->fields.list[i].name, BYTES("Origin")))
            continue;
        if (origin.size > 0)
            return (struct bytes){0};
        origin = request->fields.list[i].value;
    }
    return origin;
}

bool cors_is_preflight(const struct http_request *request, struct bytes *method)
{
    const struct http_field *asked;

    if (!bytes_equal(request->method_name, BYTES("OPTIONS")) || origin_of(request).size == 0)
        return false;
    asked = http_fields_find_name(&request->fields, BYTES("Access-Control-Request-Method"));
    if (asked == NULL || !http_is_token(asked->value))
        return false;
    *method = asked->value;
    return true;
}

/* Without the port that a scheme has anyway (RFC 6454 §4). */
static struct bytes without_port(struct bytes host, struct bytes port)
{
    return bytes_end_with(host, port) ? bytes_first(host, host.size - port.size) : host;
}

/* Whether a page of `origin` is of the host that `authority` names. Where that does not say its port, it is
 * the one that the page's scheme has: whoever is before us may have done the TLS. */
static bool is_of_host(struct bytes origin, struct bytes authority)
{
    const char *end = origin.size > 0 ? memmem(origin.data, origin.size, "://", 3) : NULL;
    struct bytes scheme, host, port;

    if (end == NULL)
        return false;
    scheme = bytes_first(origin, (size_t)(end - origin.data));
    port = bytes_equal_nocase(scheme, BYTES("https")) ? BYTES(":443") : BYTES(":80");
    host = without_port(bytes_after(origin, scheme.size + 3), port);
    return host.size > 0 && bytes_equal_nocase(host, without_port(authority, port));
}

bool cors_allows_socket(const struct route_policy *policy, const struct http_request *request)
{
    struct bytes origin = origin_of(request);

    if (http_fields_find_name(&request->fields, BYTES("Origin")) == NULL)
        return true;
    if (is_of_host(origin, request->authority))
        return true;
    if (origin.size == 0 || !cors_is_on(policy) || !cors_allows(policy, origin))
        return false;
    return policy->key_cookies == NULL || policy->cors_credentials != 0 ||
           http_fields_find(&request->fields, HTTP_HEADER_COOKIE) == NULL;
}

bool cors_drops(struct bytes name)
{
    static const struct bytes prefix = BYTES_INIT("access-control-");

    return name.size > prefix.size && bytes_equal_nocase(bytes_first(name, prefix.size), prefix);
}

/* The list with blanks behind its commas; `otherwise` if there is none, which may be empty. */
static void append_list(struct buffer *lines, const char *name, const char *list, const char *otherwise)
{
    struct bytes items = list != NULL ? route_items(list) : bytes_of_text(otherwise), item;
    const char *between = "";

    if (items.size == 0)
        return;
    buffer_append_format(lines, "%s: ", name);
    while (http_list_next(&items, &item)) {
        buffer_append_format(lines, "%s%.*s", between, BYTES_PRINTF(item));
        between = ", ";
    }
    buffer_append_literal(lines, "\r\n");
}

static void append_preflight(const struct route_policy *policy, struct buffer *lines)
{
    append_list(lines, "Access-Control-Allow-Methods", policy->cors_methods, "GET, HEAD, POST");
    append_list(lines, "Access-Control-Allow-Headers", policy->cors_headers, "");
    if (policy->cors_max_age_ms > 0)
        buffer_append_format(lines, "Access-Control-Max-Age: %lld\r\n",
                             (long long)(policy->cors_max_age_ms / 1000));
}

void cors_append(const struct route_policy *policy, const struct http_request *request, bool is_preflight,
                 struct buffer *lines)
{
    bool is_for_all = cors_has_all(policy->cors_origins);
    struct bytes origin = origin_of(request);
    bool is_allowed = is_for_all || (origin.size > 0 && cors_allows(policy, origin));

    /* Also where there is no Origin, or another: whoever keeps the answer must not give it to all. */
    if (!is_for_all)
        rendered_append(lines, BYTES("Vary"), BYTES("Origin"));
    if (!is_allowed)
        return;
    rendered_append(lines, BYTES("Access-Control-Allow-Origin"), is_for_all ? BYTES("*") : origin);
    if (policy->cors_credentials != 0)
        rendered_append(lines, BYTES("Access-Control-Allow-Credentials"), BYTES("true"));
    if (is_preflight)
        append_preflight(policy, lines);
    else
        append_list(lines, "Access-Control-Expose-Headers", policy->cors_expose, "");
}
