/* ranged.h — which bytes of a response a client gets, and in which form: all of them, one range, or several
 * as multipart/byteranges (RFC 9110 §14). Pure. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include "message/http_range.h"

/* What `request` asks of a 200 with these fields and `size` bytes of body: NONE unless it is a GET with one
 * Range whose If-Range, if any, holds by strong comparison (RFC 9110 §13.1.5). */
struct http_ranges ranges_wanted(const struct http_request *request, struct bytes rendered, uint64_t size,
                                 int64_t now_wall_ms);

/* True if `etag` is one that two responses share only if they agree in every byte (RFC 9110 §8.8.1). */
bool is_strong_etag(struct bytes etag);

/* A body on its way out: what it is made of, and how much of it was said. */
struct outgoing {
    struct http_ranges ranges; /* of the whole: one */
    uint64_t size;             /* of the whole */
    struct bytes type;         /* for several ranges: the whole's Content-Type, borrowed */
    uint64_t boundary;         /* and what stands between them, written in hexadecimal: nobody's guess */
    size_t index;
    uint64_t sent_bytes; /* of the range at index */
    uint8_t step;        /* of what stands before it */
    char text[160];
};

/* Either text, or bytes of the body. */
struct outgoing_piece {
    struct bytes text;
    uint64_t offset, size;
};

/* Begins the body that consists of `ranges`, or of all if they are NONE, or of nothing if they are
 * OUTSIDE, of a response of `size` bytes. */
void outgoing_init(struct outgoing *outgoing, const struct http_ranges *ranges, uint64_t size);
static inline bool is_multipart(const struct outgoing *outgoing) { return outgoing->ranges.count > 1; }

/* How many bytes it is. */
uint64_t outgoing_bytes(const struct outgoing *outgoing);

static inline bool outgoing_is_done(const struct outgoing *outgoing)
{
    return outgoing->index == outgoing->ranges.count + is_multipart(outgoing);
}

/* The next piece, with at most `limit` bytes of the body, of one that is not done. Its text is readable
 * until the next call. */
struct outgoing_piece outgoing_next(struct outgoing *outgoing, uint64_t limit);

/* Appends the fields of the 206: `rendered`, the whole's, and what says which part of it this is. */
void ranged_fields_render(struct buffer *lines, struct bytes rendered, const struct outgoing *outgoing);
