#include "server/shown_text.h"
#include <string.h>

struct shown shown_text(struct bytes text)
{
    enum { SHOWN_BYTES_MAX = 60 };
    struct shown shown = {0};
    size_t size = text.size > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX - 3 : text.size;

    for (size_t i = 0; i < size; i++) {
        bool is_control = (unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f;
        shown.text[i] = '?';
        if (!is_control)
            shown.text[i] = text.data[i];
    }
    if (size < text.size)
        memcpy(shown.text + size, "...", 3);
    return shown;
}
