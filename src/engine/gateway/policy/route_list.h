/* route_list.h — the lists among a route's options: one text, its items with commas between, each checked
 * when it was read. They are short, and walked where they are asked for. Pure. */
#pragma once
#include "message/http.h"

/* What a list is of. */
enum route_list {
    ROUTE_LIST_PARAMETERS, /* names of a query's parameters, percent-encoded if need be; `a*`: all that
                              begin so */
    ROUTE_LIST_FIELDS,     /* names of header fields that an origin is sent */
    ROUTE_LIST_COOKIES,    /* names of cookies */
    ROUTE_LIST_TTLS,       /* see status_ttl.h */
    ROUTE_LIST_ORIGINS,    /* of pages, see cors.h */
    ROUTE_LIST_TOKENS,     /* names of methods, or of any header fields; `*`: all */
};

enum { ROUTE_LIST_BYTES_MAX = 8192 };

/* What is wrong with one item, such as "is no cookie's name"; null if nothing is. */
const char *route_item_is_wrong(enum route_list list, struct bytes item);

/* The list, for http_list_next; empty if there is none. */
static inline struct bytes route_items(const char *list)
{
    return list != NULL ? bytes_of_text(list) : (struct bytes){0};
}
