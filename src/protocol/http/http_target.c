#include "protocol/http/http_target.h"
#include "base/compiler.h"
#include "base/number.h"
#include "message/http_syntax.h"
#include <arpa/inet.h>

enum { FINE = 0 }; /* instead of a status */
enum { HOST_NAME_BYTES_MAX = 255 };

struct host {
    struct bytes name; /* with the brackets of an IPv6 address */
    int port;          /* -1 for none */
};

static bool is_ipv6_literal(struct bytes text)
{
    char terminated[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;

    if (text.size < 4 || text.size - 2 >= sizeof terminated || text.data[text.size - 1] != ']')
        return false;
    memcpy(terminated, text.data + 1, text.size - 2);
    terminated[text.size - 2] = '\0';
    return strlen(terminated) == text.size - 2 && inet_pton(AF_INET6, terminated, &address) == 1;
}

static bool is_host_name(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (LIKELY(http_byte_is(text.data[i], HTTP_BYTE_HOST)))
            continue;
        if (text.data[i] != '%' || text.size - i < 3 || !http_byte_is(text.data[i + 1], HTTP_BYTE_HEX) ||
            !http_byte_is(text.data[i + 2], HTTP_BYTE_HEX))
            return false;
        i += 2;
    }
    return text.size > 0 && text.size <= HOST_NAME_BYTES_MAX;
}

/* uri-host [ ":" port ] of RFC 9110 §7.2, with a name and, where there is a colon, with a port. */
static bool parse_host(struct bytes text, struct host *host)
{
    bool has_brackets = text.size > 0 && text.data[0] == '[';
    const char *name_end = text.size > 0 ? memchr(text.data, has_brackets ? ']' : ':', text.size) : NULL;
    size_t name_size = name_end != NULL ? (size_t)(name_end - text.data) + has_brackets : text.size;
    uint64_t port;

    host->name = bytes_first(text, name_size);
    host->port = -1;
    if (has_brackets ? !is_ipv6_literal(host->name) : !is_host_name(host->name))
        return false;
    if (name_size == text.size)
        return true;
    if (text.data[name_size] != ':' || !digits_parse(bytes_after(text, name_size + 1), 65535, &port))
        return false;
    host->port = (int)port;
    return true;
}

/* Where the run of `classes` and well-formed %HH ends; it does, by the caller's promise. */
static const char *after_uri_bytes(const char *at, unsigned classes)
{
    for (;;) {
        while (http_byte_is(*at, classes))
            at++;
        if (*at != '%' || !http_byte_is(at[1], HTTP_BYTE_HEX) || !http_byte_is(at[2], HTTP_BYTE_HEX))
            return at;
        at += 3;
    }
}

/* What browsers encode (WHATWG URL) they never send as it is, and neither does anybody else who is well: a
 * control, a space, one of "<>#, a byte beyond ASCII. The rest goes through, RFC 3986 or not; but for a
 * backslash in a path, where browsers and some origins take it for a slash: what guards /a/b would not see
 * /a\b. */
enum {
    BYTES_OF_PATH = HTTP_BYTE_PATH | HTTP_BYTE_UNWISE,
    BYTES_OF_QUERY = BYTES_OF_PATH | HTTP_BYTE_QUERY
};

/* Sets path and query from `target`, all of which they must be. A space follows it. */
static int parse_path(struct bytes target, struct http_request *request)
{
    const char *end = target.data + target.size;
    const char *path_end = after_uri_bytes(target.data, BYTES_OF_PATH);

    request->path = bytes_of(target.data, (size_t)(path_end - target.data));
    if (*path_end == '?') {
        const char *query = path_end + 1;
        path_end = after_uri_bytes(query, BYTES_OF_QUERY);
        request->has_query = true;
        request->query = bytes_of(query, (size_t)(path_end - query));
    }
    return path_end == end ? FINE : 400;
}

/* RFC 9112 §3.2.2. */
static int parse_absolute_form(struct bytes target, struct http_request *request)
{
    const char *colon = memchr(target.data, ':', target.size);
    size_t authority_size = 0;

    if (colon == NULL)
        return 400;
    request->scheme = bytes_first(target, (size_t)(colon - target.data));
    if (!bytes_equal_nocase(request->scheme, BYTES("http")) &&
        !bytes_equal_nocase(request->scheme, BYTES("https")))
        return 400;
    target = bytes_after(target, request->scheme.size);
    if (!bytes_start_with(target, BYTES("://")))
        return 400;
    target = bytes_after(target, 3);
    while (authority_size < target.size && target.data[authority_size] != '/' &&
           target.data[authority_size] != '?')
        authority_size++;
    request->authority = bytes_first(target, authority_size);
    target = bytes_after(target, authority_size);
    if (target.size > 0 && target.data[0] == '/')
        return parse_path(target, request);
    if (parse_path(target, request) != FINE)
        return 400;
    /* §3.2.4: a path that is empty means "*" to OPTIONS and "/" to all others. */
    request->path = request->method == HTTP_METHOD_OPTIONS && !request->has_query ? BYTES("*") : BYTES("/");
    return FINE;
}

int http_parse_target(struct bytes target, struct http_request *request)
{
    if (request->method == HTTP_METHOD_CONNECT) { /* §3.2.3: authority-form, and nothing else */
        struct host host;
        request->authority = target;
        return parse_host(target, &host) && host.port >= 0 ? FINE : 400;
    }
    if (LIKELY(target.data[0] == '/'))
        return parse_path(target, request);
    if (request->method == HTTP_METHOD_OPTIONS && bytes_equal(target, BYTES("*"))) {
        request->path = target;
        return FINE;
    }
    return parse_absolute_form(target, request);
}

static int default_port(struct bytes scheme)
{
    if (scheme.size == 0)
        return -1;
    return bytes_equal_nocase(scheme, BYTES("https")) ? 443 : 80;
}

int http_settle_authority(struct http_request *request, const struct http_field *host_field)
{
    struct host in_field = {.port = -1}, in_target;
    bool has_authority = request->authority.size > 0 || request->scheme.size > 0;

    if (host_field == NULL ? request->minor_version > 0
                           : !parse_host(host_field->value, &in_field) &&
                                 (request->minor_version > 0 || host_field->value.size > 0))
        return 400;
    if (!has_authority) {
        if (host_field != NULL)
            request->authority = host_field->value;
        return FINE;
    }
    if (host_field != NULL && host_field->value.data == request->authority.data)
        return FINE; /* the one was made of the other */
    if (!parse_host(request->authority, &in_target))
        return 400;
    if (host_field == NULL)
        return FINE;
    if (in_field.port < 0)
        in_field.port = default_port(request->scheme);
    if (in_target.port < 0)
        in_target.port = default_port(request->scheme);
    return bytes_equal_nocase(in_field.name, in_target.name) && in_field.port == in_target.port ? FINE
                                                                                                : 400;
}
