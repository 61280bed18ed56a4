/* json_pick.h — takes values out of JSON text as they are written there: numbers keep their digits, texts
 * their escapes. Pure. */
#pragma once
#include "base/bytes.h"

enum { JSON_DEPTH_MAX = 512 };

/* Whether `text` is JSON (RFC 8259): one value in UTF-8, with white space around it at most, and no deeper
 * than JSON_DEPTH_MAX. */
bool json_is_whole(struct bytes text);

/* What is wrong with a JSON Pointer (RFC 6901), or null. */
const char *json_pointer_is_wrong(struct bytes pointer);

/* What `pointer`, which nothing is wrong with, points to in `text`, which is whole; a run of `text` without
 * white space around it. Of several members of one name it is the last. False if there is nothing. */
bool json_pick(struct bytes text, struct bytes pointer, struct bytes *value);
