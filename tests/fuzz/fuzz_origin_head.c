/* links: nuthatch-client nuthatch-message nuthatch-base */
/* Whatever an origin sends as a head is either refused or a list of valid fields that lie inside it. */
#undef NDEBUG
#include "client/origin_head.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_inside(struct bytes inner, struct bytes outer)
{
    return inner.data >= outer.data && inner.data + inner.size <= outer.data + outer.size;
}

static void check(const struct origin_head *head, struct bytes input)
{
    assert(head->status >= 100 && head->status < 1000);
    assert(head->body_bytes >= HTTP_BODY_UNKNOWN);
    assert(http_is_field_value(head->reason));
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct http_field *field = &head->fields.list[i];
        assert(http_is_token(field->name) && http_is_field_value(field->value));
        assert(field->header != HTTP_HEADER_CONTENT_LENGTH);
        assert(lies_inside(field->name, input) && lies_inside(field->value, input));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct origin_head *head = calloc(1, sizeof *head);
    char *copy = malloc(size > 0 ? size : 1); /* of just that size, so that reading beyond it is seen */

    memcpy(copy, data, size);
    for (int may_be_http2 = 0; may_be_http2 < 2; may_be_http2++)
        if (origin_head_parse(bytes_of(copy, size), may_be_http2, head) == OK)
            check(head, bytes_of(copy, size));
    free(copy);
    free(head);
    return 0;
}
