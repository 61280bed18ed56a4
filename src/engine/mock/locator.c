#include "engine/mock/locator.h"

static int hex_digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = byte_to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum err decode(struct bytes part, char *room, struct bytes *decoded)
{
    size_t size = 0;

    if (part.size == 0)
        return ERR_MISSING;
    if (memchr(part.data, '%', part.size) == NULL) {
        *decoded = part;
        return part.size <= LOCATOR_PART_BYTES_MAX ? OK : ERR_MISSING;
    }
    for (size_t i = 0; i < part.size; i++) {
        char c = part.data[i];
        if (c == '%') {
            int high = part.size - i > 2 ? hex_digit_value(part.data[i + 1]) : -1;
            int low = part.size - i > 2 ? hex_digit_value(part.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_SYNTAX;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (size == LOCATOR_PART_BYTES_MAX)
            return ERR_MISSING;
        room[size++] = c;
    }
    *decoded = bytes_of(room, size);
    return OK;
}

enum err locator_parse(struct bytes path, struct locator *locator)
{
    struct bytes name, id = {0};
    const char *slash;
    enum err err;

    locator->name = locator->id = (struct bytes){0};
    locator->has_id = false;
    if (path.size == 0 || path.data[0] != '/')
        return ERR_MISSING;
    name = bytes_after(path, 1);
    if (name.size == 0)
        return OK;
    slash = memchr(name.data, '/', name.size);
    if (slash != NULL) {
        id = bytes_after(name, (size_t)(slash - name.data) + 1);
        name = bytes_first(name, (size_t)(slash - name.data));
        if (id.size > 1 && id.data[id.size - 1] == '/')
            id.size--;
    }
    if (id.size > 0 && memchr(id.data, '/', id.size) != NULL)
        return ERR_MISSING;
    err = decode(name, locator->decoded_name, &locator->name);
    if (err != OK || id.size == 0)
        return err;
    locator->has_id = true;
    return decode(id, locator->decoded_id, &locator->id);
}
