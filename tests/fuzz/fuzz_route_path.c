/* links: nuthatch-gateway */
/* A pattern, a path and a rewriting, a line each. What a pattern captures lies in the path; what a plain
 * path is rewritten to is plain, so that key and origin cannot disagree about it; a pattern of text alone
 * fits itself. */
#undef NDEBUG /* the assertions are the test */
#include "engine/gateway/routing/path_rewrite.h"
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

static void check_captures(const struct path_pattern *pattern, const struct path_captures *captures,
                           struct bytes path)
{
    for (size_t i = 0; i < pattern->count; i++) {
        struct bytes captured = captures->segments[i];
        if (captured.data != NULL)
            assert(captured.data >= path.data && captured.data + captured.size <= path.data + path.size);
        if (pattern->segments[i].kind == PATH_SEGMENT_ONE)
            assert(captured.size > 0 && memchr(captured.data, '/', captured.size) == NULL);
    }
}

static void check_rewrite(const struct rewrite_spec *spec, const struct path_pattern *pattern,
                          struct bytes path)
{
    struct path_rewrite rewrite;
    struct buffer out = {0};
    const char *key;

    if ((spec->prefix != NULL && rewrite_prefix_is_wrong(bytes_of_text(spec->prefix)) != NULL) ||
        (spec->strip_prefix != NULL &&
         rewrite_prefix_is_wrong(bytes_of_text(spec->strip_prefix)) != NULL) ||
        path_rewrite_init(&rewrite, spec, pattern, &key) != NULL)
        return;
    path_rewrite_apply(&rewrite, pattern, path, &out);
    assert(out.size > 0 && out.data[0] == '/');
    assert(target_is_plain(buffer_bytes(&out), (struct bytes){NULL, 0}));
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct bytes text = take_line(&rest), path = take_line(&rest), line = take_line(&rest);
    char *rewriting = strndup(line.size > 0 ? line.data : "", line.size);
    struct path_pattern pattern;
    struct path_captures captures;
    bool is_text = true;

    if (path_pattern_parse(&pattern, text) == NULL) {
        assert(pattern.count > 0);
        for (size_t i = 0; i < pattern.count; i++)
            is_text &= pattern.segments[i].kind == PATH_SEGMENT_TEXT;
        if (is_text)
            assert(path_pattern_fits(&pattern, text, NULL));
        if (path_pattern_fits(&pattern, path, &captures)) {
            check_captures(&pattern, &captures, path);
            if (target_is_plain(path, (struct bytes){NULL, 0})) {
                check_rewrite(&(struct rewrite_spec){.path = rewriting}, &pattern, path);
                check_rewrite(&(struct rewrite_spec){.prefix = rewriting}, &pattern, path);
                check_rewrite(&(struct rewrite_spec){.strip_prefix = rewriting}, &pattern, path);
            }
        }
    }
    free(rewriting);
    return 0;
}
