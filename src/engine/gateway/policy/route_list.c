#include "route_list.h"
#include "base/compiler.h"
#include "cors.h"
#include "status_ttl.h"
#include "upstream_fields.h"

static const char *parameter_is_wrong(struct bytes item)
{
    size_t size = item.data[item.size - 1] == '*' ? item.size - 1 : item.size;

    for (size_t i = 0; i < size; i++)
        if (item.data[i] < '!' || item.data[i] > '~' || memchr("&=#*", item.data[i], 4) != NULL)
            return "is no parameter's name; write it as in the URL, with * at its end for all that begin "
                   "so";
    return NULL;
}

static const char *field_is_wrong(struct bytes item)
{
    enum http_header header = http_header_find(item);

    if (!http_is_token(item))
        return "is no field's name";
    if (header == HTTP_HEADER_HOST)
        return "is not written here; see host-header";
    if (header == HTTP_HEADER_COOKIE)
        return "holds all cookies; see key-cookies";
    if (header != HTTP_HEADER_OTHER && !upstream_takes(header))
        return "is a field that no origin is sent";
    if (is_precondition(header) || header == HTTP_HEADER_CACHE_CONTROL || header == HTTP_HEADER_PRAGMA)
        return "is for the gateway, which answers it from what is stored";
    return NULL;
}

const char *route_item_is_wrong(enum route_list list, struct bytes item)
{
    switch (list) {
    case ROUTE_LIST_PARAMETERS: return parameter_is_wrong(item);
    case ROUTE_LIST_FIELDS: return field_is_wrong(item);
    case ROUTE_LIST_COOKIES: return http_is_token(item) ? NULL : "is no cookie's name";
    case ROUTE_LIST_ORIGINS: return cors_origin_is_wrong(item);
    case ROUTE_LIST_TOKENS: return http_is_token(item) ? NULL : "is no name";
    case ROUTE_LIST_TTLS: return status_ttl_is_wrong(item);
    }
    UNREACHABLE();
}
