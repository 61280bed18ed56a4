/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* Any bytes as a Link field: no crash; each link takes something off the field, and points into it; a link
 * that we write is read as it was written, whatever its target. */
#include "base/buffer.h"
#include "engine/gateway/policy/link_field.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_within(struct bytes part, struct bytes whole)
{
    return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_links(struct bytes value)
{
    struct bytes rest = value;
    struct link_value link;
    size_t before = rest.size;

    while (link_value_next(&rest, &link)) {
        check(rest.size < before);
        before = rest.size;
        check(is_within(link.target, value) && is_within(link.relation, value));
        if (link_has_relation(&link, BYTES("next")))
            check(link.relation.size >= 4);
    }
    check(rest.size <= value.size);
}

static void check_written(struct bytes target)
{
    struct buffer text = {0};
    struct link_value link;
    struct bytes rest;

    if (target.size > 0 && memchr(target.data, '>', target.size) != NULL)
        return;
    buffer_append_literal(&text, "<");
    buffer_append(&text, target);
    buffer_append_literal(&text, ">; title=\"a, b\"; rel=\"last next\"");
    rest = buffer_bytes(&text);
    check(!text.failed && link_value_next(&rest, &link));
    check(bytes_equal(link.target, target) && link_has_relation(&link, BYTES("next")) && rest.size == 0);
    buffer_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes value = bytes_of((const char *)data, size);

    check_links(value);
    check_written(value);
    return 0;
}
