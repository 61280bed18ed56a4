/* links: nuthatch-mock nuthatch-base */
/* What is plain is what values made of it are written as, and so is the member that is asked for. */
#undef NDEBUG /* the assertions are the test */
#include "engine/mock/json/json_plain.h"
#include "engine/mock/json/json_text.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes json = bytes_of(data, size);
    struct buffer plain = {0}, written = {0}, message = {0};
    json_t *value = NULL;
    struct bytes id;

    if (json_plain_append(&plain, json, BYTES("id"), &id)) {
        assert(json_text_parse(json, &value, &message) == OK);
        json_text_append(&written, value);
        assert(json_is_object(value) && bytes_equal(buffer_bytes(&plain), buffer_bytes(&written)));
        buffer_clear(&written);
        if (json_object_get(value, "id") != NULL)
            json_text_append(&written, json_object_get(value, "id"));
        assert(bytes_equal(id, buffer_bytes(&written)));
        json_decref(value);
    }
    assert(!plain.failed && !message.failed);
    buffer_fini(&plain);
    buffer_fini(&written);
    buffer_fini(&message);
    return 0;
}
