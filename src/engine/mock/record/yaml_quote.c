#include "yaml_quote.h"
#include "base/utf8.h"

bool yaml_quote_can(struct bytes text)
{
    return utf8_is_whole(text) && (text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
}

void yaml_quote_append(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size;) {
        unsigned char byte = (unsigned char)text.data[i];
        size_t size = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        uint32_t code = size == 1 ? byte : byte & (0x7fU >> size);
        for (size_t j = 1; j < size; j++)
            code = code << 6 | ((unsigned char)text.data[i + j] & 0x3f);
        if (code == '"' || code == '\\')
            buffer_append_format(out, "\\%c", (char)code);
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
                 code == 0xfeff || (code & 0xfffe) == 0xfffe)
            buffer_append_format(out, "\\U%08x", (unsigned)code);
        else
            buffer_append(out, bytes_of(text.data + i, size));
        i += size;
    }
    buffer_append_byte(out, '"');
}
