/* json_change.h — whether two texts say the same, and what has changed between them. Pure. */
#pragma once
#include "base/buffer.h"
#include <stdint.h>

enum { STATE_DIGEST_BYTES = 32 };

/* The digest (SHA-256) of what `text` says: of JSON the values, whatever the order of members and the white
 * space between; of anything else, and of JSON with numbers that 64 bits do not hold, the bytes.
 * `*is_json`: it is valid JSON. False if there is no memory. */
bool state_digest(struct bytes text, unsigned char digest[STATE_DIGEST_BYTES], bool *is_json);

/* Appends the JSON Merge Patch (RFC 7386) that makes `after` of `before`, without a line's end. False, with
 * nothing appended, if there is none (it cannot set a member to null), if either is no JSON, or without
 * memory. */
bool merge_patch(struct bytes before, struct bytes after, struct buffer *patch);
