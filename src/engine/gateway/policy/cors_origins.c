/* cors_origins.c — whose pages are meant, and what may be asked of cors.h. */
#include "cors.h"

static bool is_of_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* The size of "https://" at the beginning of an origin; 0: there is none. */
static size_t scheme_size(struct bytes origin)
{
    const char *found = origin.size > 0 ? memmem(origin.data, origin.size, "://", 3) : NULL;
    size_t size = found != NULL ? (size_t)(found - origin.data) : 0;

    for (size_t i = 0; i < size; i++)
        if (!is_of_name(origin.data[i]) && origin.data[i] != '+')
            return 0;
    return size > 0 ? size + 3 : 0;
}

static bool is_port(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.size > 0 && text.size <= 5;
}

/* A name or an address, and perhaps a port; of an IPv6 address what is between the brackets is not looked
 * at closely. */
static bool is_host_and_port(struct bytes text)
{
    size_t at = 0;

    if (text.size > 0 && text.data[0] == '[') {
        while (++at < text.size && text.data[at] != ']')
            if (!is_of_name(text.data[at]) && text.data[at] != ':')
                return false;
        if (at++ == text.size)
            return false;
    } else {
        while (at < text.size && is_of_name(text.data[at]))
            at++;
    }
    return at > 0 && (at == text.size || (text.data[at] == ':' && is_port(bytes_after(text, at + 1))));
}

const char *cors_origin_is_wrong(struct bytes item)
{
    size_t scheme = scheme_size(item);
    struct bytes host = bytes_after(item, scheme);

    if (bytes_equal(item, BYTES("*")))
        return NULL;
    if (bytes_equal_nocase(item, BYTES("null")))
        return "is what any sandboxed page says; name the origins of your own pages";
    for (size_t i = 0; i < item.size; i++)
        if (item.data[i] != byte_to_lower(item.data[i]))
            return "has capital letters, which browsers never send there";
    if (scheme > 0 && bytes_start_with(host, BYTES("*.")))
        host = bytes_after(host, 2);
    if (scheme == 0 || !is_host_and_port(host))
        return "is no origin; write one like https://app.example.com, https://*.example.com or "
               "http://localhost:3000, without a path";
    if ((bytes_start_with(item, BYTES("https://")) && bytes_end_with(item, BYTES(":443"))) ||
        (bytes_start_with(item, BYTES("http://")) && bytes_end_with(item, BYTES(":80"))))
        return "has the port that browsers leave out; leave it out, too";
    return NULL;
}

/* With `*.` any name below, in as many steps, fits: of that name only such bytes as names have. */
static bool fits(struct bytes item, struct bytes origin)
{
    size_t scheme = scheme_size(item);
    struct bytes suffix = bytes_after(item, scheme);
    size_t end;

    if (!bytes_start_with(suffix, BYTES("*.")))
        return bytes_equal(item, origin);
    suffix = bytes_after(suffix, 1);
    if (!bytes_start_with(origin, bytes_first(item, scheme)) || !bytes_end_with(origin, suffix) ||
        origin.size <= scheme + suffix.size)
        return false;
    end = origin.size - suffix.size;
    for (size_t i = scheme; i < end; i++)
        if (!is_of_name(origin.data[i]))
            return false;
    return origin.data[scheme] != '.';
}

bool cors_has_all(const char *list)
{
    struct bytes items = route_items(list), item;

    while (http_list_next(&items, &item))
        if (bytes_equal(item, BYTES("*")))
            return true;
    return false;
}

bool cors_allows(const struct route_policy *policy, struct bytes origin)
{
    struct bytes items = route_items(policy->cors_origins), item;

    while (http_list_next(&items, &item))
        if (bytes_equal(item, BYTES("*")) || fits(item, origin))
            return true;
    return false;
}

const char *cors_is_wrong(const struct route_policy *policy)
{
    bool has_rest = policy->cors_methods != NULL || policy->cors_headers != NULL ||
                    policy->cors_expose != NULL || policy->cors_credentials != 0 ||
                    policy->cors_max_age_ms != 0;

    if (!cors_is_on(policy))
        return has_rest ? "cors-methods and the like do nothing without cors-origins; write whose pages "
                          "they are for"
                        : NULL;
    if (policy->cors_credentials != 0 && cors_has_all(policy->cors_origins))
        return "cors-credentials and cors-origins \"*\" would show any page what its reader may see; name "
               "the "
               "origins";
    if (policy->cors_credentials != 0 &&
        (cors_has_all(policy->cors_methods) || cors_has_all(policy->cors_headers) ||
         cors_has_all(policy->cors_expose)))
        return "with cors-credentials browsers take * for a name; write the names out";
    return NULL;
}
