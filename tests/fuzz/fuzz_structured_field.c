/* links: nuthatch-message nuthatch-base */
/* Any bytes as a structured field: no crash, every step gets on, what is taken apart lies within the text,
 * and a list, a dictionary or an item is taken apart to its end exactly if it is one. */
#include "message/structured_field.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_member(struct bytes text, const struct structured_member *member)
{
    struct structured_member part;
    struct bytes inner = member->value.text, parameters = member->parameters;
    size_t left = parameters.size;

    check(member->value.number > -INT64_C(1000000000000000) &&
          member->value.number < INT64_C(1000000000000000));
    if (inner.size > 0)
        check(inner.data >= text.data && inner.data + inner.size <= text.data + text.size);
    while (structured_parameter_next(&parameters, &part)) {
        check(part.key.size > 0 && parameters.size < left);
        left = parameters.size;
    }
    check(parameters.size == 0);
    if (member->value.type != STRUCTURED_INNER_LIST)
        return;
    left = inner.size + 1;
    while (structured_inner_next(&inner, &part)) {
        check(inner.size < left && part.value.type != STRUCTURED_INNER_LIST);
        left = inner.size;
        check_member(text, &part);
    }
    check(inner.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size), rest = text;
    struct structured_member member;
    struct buffer copy = {0};
    bool is_dictionary = structured_is_dictionary(text);

    while (structured_list_next(&rest, &member)) {
        check_member(text, &member);
        if (member.value.type == STRUCTURED_STRING) {
            buffer_clear(&copy);
            structured_append_string(&copy, member.value.text);
            check(copy.size <= member.value.text.size);
        }
    }
    check(structured_is_list(text) == (rest.size == 0));
    for (rest = text; structured_dictionary_next(&rest, &member);) {
        struct structured_member found;
        check(member.key.size > 0);
        check_member(text, &member);
        check(!is_dictionary || structured_dictionary_find(text, member.key, &found));
    }
    check(is_dictionary == (rest.size == 0));
    if (structured_is_item(text, &member))
        check(structured_is_list(text));
    buffer_fini(&copy);
    return 0;
}
