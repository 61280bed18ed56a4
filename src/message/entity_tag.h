/* entity_tag.h — entity tags in conditional requests (RFC 9110 §8.8.3, §13.1). Pure. */
#pragma once
#include "message/http.h"

/* Whether the value `tags` of one If-Match or If-None-Match has `etag`, or is "*". Weakly: whatever stands
 * before the quotes; else both must be strong. A tag with "-gzip" at its end is of the same in
 * gzip and matches, too. What is malformed ends the list: what follows matches
 * nothing. */
bool entity_tags_have(struct bytes tags, struct bytes etag, bool weakly);

/* Whether there is a field `header`, which is IF_MATCH or IF_NONE_MATCH; with `*has` then saying whether
 * one of its lines has the tag. If-Match compares strongly, If-None-Match weakly (§13.1.1, §13.1.2). */
bool entity_tag_condition(const struct http_fields *fields, enum http_header header, struct bytes etag,
                          bool *has);
