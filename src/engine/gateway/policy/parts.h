/* parts.h — what is kept of a response of which only parts were asked for (RFC 9111 §3.3, §3.4). Pure.
 *
 *   head | names of Vary | the request's values of them | response | bytes of the parts, one after another
 *
 * One such entry per URL, under a key of its own: the parts of one representation, in order and apart from
 * each other. Parts of several answers are put together only if all have the same strong ETag; else the
 * newest stays alone. The response is a stored_response: the fields of the newest answer, and those that
 * only older ones had. */
#pragma once
#include "message/http_range.h"
#include "stored_response.h"

enum { PARTS_MAX = 16 };

struct parts {
    uint64_t size; /* of the whole */
    size_t count;
    struct http_range list[PARTS_MAX];
    struct bytes vary_names, vary_values; /* as in vary.h */
    struct stored_response response;      /* its body: the bytes of the parts */
};

/* Appends the value to be put, but the bytes of the parts, which the caller appends. */
void parts_encode(struct buffer *value, uint64_t seed, const struct parts *parts);

/* True if `value`, the beginning of one of `value_bytes`, was made by parts_encode with `seed` and is
 * whole;
 * `*parts` then points into it. */
bool parts_decode(struct bytes value, uint64_t value_bytes, uint64_t seed, struct parts *parts);

/* Reads which part of how much a 206 is from its fields; false if it is not one part of a known whole. */
bool part_of(struct bytes rendered, struct http_range *range, uint64_t *size);

/* True if `other` is of the same representation as `known`: the same strong ETag, size, coding and variant.
 */
bool may_combine(const struct parts *known, const struct parts *other);

/* Makes `joined` the list of `known` and `range`; false if there would be too many. */
bool parts_join(const struct parts *known, struct http_range range, struct parts *joined);

/* Where the bytes from `range->start` up to `range->end` lie in the body; false if they are not all there.
 */
bool parts_find(const struct parts *parts, const struct http_range *range, uint64_t *offset);

/* Sum of the parts. */
uint64_t parts_bytes(const struct parts *parts);
static inline bool parts_are_whole(const struct parts *parts) { return parts_bytes(parts) == parts->size; }

/* Appends the lines of `older` that `newer` has no field of the same name for, and then those of `newer`,
 * but Content-Range. `older` may be empty. */
void parts_fields_render(struct buffer *lines, struct bytes older, struct bytes newer);
