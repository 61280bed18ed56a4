#include "engine/kv/kv_notify_flags.h"

uint32_t kv_notify_flag(char letter)
{
    const char *at = letter != '\0' ? strchr(KV_NOTIFY_LETTERS, letter) : NULL;
    return at != NULL ? UINT32_C(1) << (at - KV_NOTIFY_LETTERS) : 0;
}

static uint32_t flags_of(const char *letters)
{
    uint32_t flags = 0;

    for (; *letters != '\0'; letters++)
        flags |= kv_notify_flag(*letters);
    return flags;
}

#define CLASSES "g$lshzxetd" /* what A stands for */

bool kv_notify_parse(struct bytes text, uint32_t *flags)
{
    uint32_t all = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint32_t flag = text.data[i] == 'A' ? flags_of(CLASSES) : kv_notify_flag(text.data[i]);
        if (flag == 0)
            return false;
        all |= flag;
    }
    *flags = all;
    return true;
}

size_t kv_notify_format(uint32_t flags, char text[KV_NOTIFY_TEXT_BYTES])
{
    uint32_t all = flags_of(CLASSES);
    size_t size = 0;

    /* Redis does not tell n behind A. */
    if ((flags & all) == all) {
        text[size++] = 'A';
        flags &= ~(all | kv_notify_flag('n'));
    }
    for (const char *letter = KV_NOTIFY_LETTERS; *letter != '\0'; letter++)
        if (flags & kv_notify_flag(*letter))
            text[size++] = *letter;
    return size;
}
