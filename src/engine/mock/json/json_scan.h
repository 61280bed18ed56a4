/* json_scan.h — finds things in JSON text without making values of it: pure functions over borrowed bytes.
 *
 * The text may be anything: what is found in strict JSON is right, what is found elsewhere lies within the
 * text. All results borrow from it. */
#pragma once
#include "base/buffer.h"
#include "base/bytes.h"

enum { JSON_PATH_PARTS_MAX = 16 };

/* Where in a value: "a.b.0" is the first element of member "b" of member "a". */
struct json_path {
    struct bytes parts[JSON_PATH_PARTS_MAX]; /* each a JSON string with its quotes, in `room` */
    size_t part_count;
    struct buffer room;
};

/* False for one of more than JSON_PATH_PARTS_MAX parts, or without memory. `text` is UTF-8 and is copied.
 * The caller ends the path with json_path_fini either way. */
bool json_path_parse(struct bytes text, struct json_path *path);
void json_path_fini(struct json_path *path);

/* The value, without white space around it, that begins at or after `*at` in `text`; `*at` moves behind it.
 * False if there is none that ends. */
bool json_scan_value(struct bytes text, size_t *at, struct bytes *value);

/* The next member of an object, or element of an array (whose name is empty), when `*at` is 0 or what the
 * last call left; false at the end. A name comes with its quotes. */
bool json_scan_next(struct bytes container, size_t *at, struct bytes *name, struct bytes *value);

/* The member of `object` called `name`, a JSON string with its quotes written as json_text does; false if
 * there is none. */
bool json_scan_member(struct bytes object, struct bytes name, struct bytes *value);

/* What is at `path` in `value`. */
bool json_scan_path(struct bytes value, const struct json_path *path, struct bytes *found);
