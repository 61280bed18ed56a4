#include "message/http_guard.h"
#include "base/number.h"

static const struct http_refusal good = {0, NULL};

static struct http_refusal refuse(int status, const char *detail)
{
    return (struct http_refusal){status, detail};
}

/* As long for one wrong byte as for another. */
static bool is_same_token(struct bytes a, struct bytes b)
{
    unsigned char difference = 0;

    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        difference |= (unsigned char)(a.data[i] ^ b.data[i]);
    return difference == 0;
}

static bool bears_token(const struct http_request *request, struct bytes token)
{
    const struct bytes scheme = BYTES("Bearer ");
    const struct http_field *field = http_fields_find(&request->fields, HTTP_HEADER_AUTHORIZATION);
    struct bytes value = field != NULL ? field->value : (struct bytes){NULL, 0};

    return value.size > scheme.size && bytes_equal_nocase(bytes_first(value, scheme.size), scheme) &&
           is_same_token(bytes_trim(bytes_after(value, scheme.size)), token);
}

/* "127.0.0.1:8081" without its port. */
static struct bytes host_of(struct bytes authority)
{
    size_t size = authority.size;

    while (size > 0 && authority.data[size - 1] >= '0' && authority.data[size - 1] <= '9')
        size--;
    if (size > 0 && authority.data[size - 1] == ':')
        return bytes_first(authority, size - 1);
    return authority;
}

/* Four numbers and nothing else: a name that only begins so may be anybody's. */
static bool is_number(struct bytes host, uint64_t *first)
{
    uint64_t number;
    unsigned count = 0;

    while (count < 4) {
        const char *dot = host.size > 0 ? memchr(host.data, '.', host.size) : NULL;
        size_t size = dot != NULL ? (size_t)(dot - host.data) : host.size;
        if (!digits_parse(bytes_first(host, size), 255, &number))
            return false;
        if (count == 0)
            *first = number;
        count++;
        host = bytes_after(host, size);
        if (dot == NULL)
            break;
        host = bytes_after(host, 1);
    }
    return count == 4 && host.size == 0;
}

static bool is_loopback_host(struct bytes authority)
{
    struct bytes host = host_of(authority);
    uint64_t first;

    return bytes_equal_nocase(host, BYTES("localhost")) || bytes_equal(host, BYTES("[::1]")) ||
           (is_number(host, &first) && first == 127);
}

/* Whether nobody's domain is behind it who could have it point here: a number, localhost, or one of
 * `hosts`. */
static bool is_own_host(struct bytes authority, const struct bytes *hosts, size_t host_count)
{
    struct bytes host = host_of(authority);
    uint64_t first;

    if (is_loopback_host(authority) || is_number(host, &first) || bytes_start_with(host, BYTES("[")))
        return true;
    for (size_t i = 0; i < host_count; i++)
        if (bytes_equal_nocase(host, host_of(hosts[i])))
            return true;
    return false;
}

/* Whether the page that sent it, if a page did, came from this server. */
static bool is_from_here(const struct http_request *request)
{
    const struct http_field *origin = http_fields_find_name(&request->fields, BYTES("Origin"));
    const struct http_field *site = http_fields_find_name(&request->fields, BYTES("Sec-Fetch-Site"));
    const struct bytes schemes[] = {BYTES("http://"), BYTES("https://")};

    if (site != NULL && !bytes_equal(site->value, BYTES("same-origin")) &&
        !bytes_equal(site->value, BYTES("none")))
        return false;
    for (size_t i = 0; origin != NULL && i < sizeof schemes / sizeof schemes[0]; i++)
        if (bytes_start_with(origin->value, schemes[i]) &&
            bytes_equal_nocase(bytes_after(origin->value, schemes[i].size), request->authority))
            return true;
    return origin == NULL;
}

struct http_refusal http_guard(const struct http_request *request, struct bytes token, bool is_local)
{
    if (!is_from_here(request))
        return refuse(403, "a page of another origin may not use this server");
    if (token.size > 0)
        return bears_token(request, token)
                   ? good
                   : refuse(401, "this server wants its token: Authorization: Bearer");
    if (is_local && request->authority.size > 0 && !is_loopback_host(request->authority))
        return refuse(403, "this server is for its own machine: the Host must be localhost or a number");
    return good;
}

struct http_refusal http_guard_pages(const struct http_request *request, const struct bytes *hosts,
                                     size_t host_count, bool is_local)
{
    bool asks_for_a_tunnel = http_fields_find(&request->fields, HTTP_HEADER_UPGRADE) != NULL;

    if ((!http_method_is_safe(request->method) || asks_for_a_tunnel) && !is_from_here(request))
        return refuse(403, "a page of another origin may not change anything here, nor listen");
    if (is_local && request->authority.size > 0 && !is_own_host(request->authority, hosts, host_count))
        return refuse(403,
                      "this server is for its own machine: the Host must be localhost, a number, or the "
                      "name that it listens at");
    return good;
}
