/* key_rule.h — what of a request its key is made of, where the route's options say so: key-query-allow,
 * key-query-ignore, key-query-sort, key-headers, key-cookies. The key alone: what the origin is sent is
 * another matter. Pure. */
#pragma once
#include "route_policy.h"

/* Whether the query is not in the key byte for byte. */
static inline bool key_edits_query(const struct route_policy *policy)
{
    return policy->key_query_allow != NULL || policy->key_query_ignore != NULL ||
           policy->key_query_sort != 0;
}

/* Writes what of `query` is in the key: the parameters that count, as they are spelled, with & between.
 * Names are compared with their percent-encodings and + resolved; of one name the order always counts.
 * Pieces with nothing in them do not count, and one with a `;` in it always does, as some origins take that
 * for an &. False if that is more than `capacity`, or more parameters than are sorted. */
bool key_query(const struct route_policy *policy, struct bytes query, char *text, size_t capacity,
               size_t *size);

/* Whether header fields or cookies are in the key. */
static inline bool key_selects(const struct route_policy *policy)
{
    return policy->key_headers != NULL || policy->key_cookies != NULL;
}

/* Writes these, so that only requests that are alike in them have the same text. False if that is more than
 * `capacity`, or if the cookies are written so that origins do not agree on what they are (blanks beside a
 * '=' or a
 * ';', a quote that is not closed): such a request has no key. */
bool key_selection(const struct route_policy *policy, const struct http_fields *fields, char *text,
                   size_t capacity, size_t *size);

/* Whether a request has cookies that are not in the key. */
bool key_leaves_cookies(const struct route_policy *policy, const struct http_fields *fields);
