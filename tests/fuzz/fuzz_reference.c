/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* Whatever an origin says of where something is: it leads to a target that a client could ask for, which
 * leads to itself, or to nothing. The first byte tells which base URL, the first line the resource it is
 * said of. */
#include "engine/gateway/policy/reference.h"
#include "message/plain_target.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_leads_to_itself(const struct reference *reference, struct bytes base_url)
{
    struct reference again;
    struct buffer text = {0};

    buffer_append(&text, base_url);
    buffer_append(&text, reference->path);
    if (reference->has_query)
        buffer_append_byte(&text, '?');
    buffer_append(&text, reference->query);
    check(reference_resolve(&again, base_url, BYTES("/elsewhere"), buffer_bytes(&text)));
    check(bytes_equal(again.path, reference->path) && bytes_equal(again.query, reference->query) &&
          again.has_query == reference->has_query);
    reference_fini(&again);
    buffer_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bytes base_urls[] = {BYTES_INIT("http://o:1"), BYTES_INIT("https://o/base"),
                                             BYTES_INIT("http://o:80/a/b")};
    struct bytes base_url, path, text = bytes_of(data, size);
    struct reference reference;
    const char *line_end;

    if (size < 2)
        return 0;
    base_url = base_urls[data[0] % (sizeof base_urls / sizeof base_urls[0])];
    text = bytes_after(text, 1);
    line_end = memchr(text.data, '\n', text.size);
    path = bytes_first(text, line_end == NULL ? 0 : (size_t)(line_end - text.data));
    if (line_end != NULL)
        text = bytes_after(text, path.size + 1);
    if (path.size == 0 || path.data[0] != '/' || !target_is_plain(path, BYTES("")))
        path = BYTES("/items/7");
    if (reference_resolve(&reference, base_url, path, text)) {
        check(reference.path.size > 0 && reference.path.data[0] == '/');
        check(target_is_plain(reference.path, reference.query));
        check(reference.has_query || reference.query.size == 0);
        check_leads_to_itself(&reference, base_url);
    }
    reference_fini(&reference);
    return 0;
}
