/* links: nuthatch-mock nuthatch-base */
/* Whatever is said to be YAML becomes strict JSON or is refused with a sentence. What JSON's reader may
 * still refuse is a name twice or with a byte of 0, and a number beyond what we keep. */
#undef NDEBUG /* the assertions are the test */
#include "engine/mock/json/json_text.h"
#include "engine/mock/json/yaml_json.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_known_refusal(struct buffer *message)
{
    buffer_append_byte(message, '\0');
    return strstr(message->data, "duplicate") != NULL || strstr(message->data, "NUL byte") != NULL ||
           strstr(message->data, "overflow") != NULL || strstr(message->data, "too big") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer json = {0}, message = {0};
    json_t *value = NULL;
    enum err err = yaml_json_convert(bytes_of(data, size), &json, &message);

    assert(err == OK || err == ERR_SYNTAX);
    assert((err == OK) == (message.size == 0));
    assert(json.size <= 16 * size + 2 * YAML_ALIAS_BYTES_MAX);
    if (err == OK && json_text_parse(buffer_bytes(&json), &value, &message) != OK)
        assert(is_known_refusal(&message));
    json_decref(value);
    buffer_fini(&json);
    buffer_fini(&message);
    return 0;
}
