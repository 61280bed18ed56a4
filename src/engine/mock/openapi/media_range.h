/* media_range.h — media types: which is meant, and which a client wants (RFC 9110 §8.3.1, §12.5.1). Pure.
 */
#pragma once
#include "message/http.h"

/* `type` without its parameters. */
struct bytes media_type_bare(struct bytes type);

/* Whether a body of this type is JSON: application/json, text/json, anything/…+json. */
bool media_type_is_json(struct bytes type);

/* Whether `type` is one of `range`, which may have a star for either half or both; parameters do not count.
 */
bool media_range_has(struct bytes range, struct bytes type);

/* How much a client wants `type` by its Accept fields, in thousandths: 0 is not at all, 1000 without
 * Accept. */
int media_quality(const struct http_fields *fields, struct bytes type);
