/* links: nuthatch-compose nuthatch-gateway nuthatch-message nuthatch-base */
/* Five lines: a pointer, a pattern, a target, a path, a query; then JSON. What is whole JSON has nothing in
 * it that is not, and a pointer finds a run of it. A target that is taken is filled in as something plain,
 * or not at all. */
#undef NDEBUG /* the assertions are the test */
#include "engine/compose/json_pick.h"
#include "engine/gateway/routing/part_target.h"
#include "message/plain_target.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes take_line(struct bytes *rest)
{
    const char *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
    struct bytes line = end != NULL ? bytes_first(*rest, (size_t)(end - rest->data)) : *rest;

    *rest = bytes_after(*rest, line.size + (end != NULL));
    return line;
}

static void check_pick(struct bytes pointer, struct bytes json)
{
    struct bytes value;

    if (json_pointer_is_wrong(pointer) != NULL || !json_is_whole(json) || !json_pick(json, pointer, &value))
        return;
    assert(value.size > 0 && value.data >= json.data && value.data + value.size <= json.data + json.size);
    assert(json_is_whole(value));
    if (pointer.size == 0) /* all but the white space around it */
        for (const char *at = json.data; at < json.data + json.size; at++)
            assert((at >= value.data && at < value.data + value.size) || strchr(" \t\r\n", *at) != NULL);
}

static void check_target(struct bytes pattern_text, struct bytes target, struct bytes path_text,
                         struct bytes query_text)
{
    struct buffer path = {0}, query = {0};
    struct path_captures captures;
    struct path_pattern pattern;

    if (path_pattern_parse(&pattern, pattern_text) != NULL ||
        part_target_is_wrong(target, &pattern) != NULL)
        return;
    part_target_fits(target, &pattern);
    if (!target_is_plain(path_text, query_text) || !path_pattern_fits(&pattern, path_text, &captures))
        return;
    if (part_target_fill(target, &pattern, &captures, query_text, &path, &query)) {
        assert(path.size > 0 && path.data[0] == '/');
        assert(path.size + query.size <= PART_ASKED_BYTES_MAX);
        assert(target_is_plain(buffer_bytes(&path), buffer_bytes(&query)));
    }
    buffer_fini(&path);
    buffer_fini(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct bytes pointer = take_line(&rest), pattern = take_line(&rest), target = take_line(&rest);
    struct bytes path = take_line(&rest), query = take_line(&rest);

    check_pick(pointer, rest);
    check_target(pattern, target, path, query);
    return 0;
}
