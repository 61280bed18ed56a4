#include "locator.h"
#include "message/percent.h"

static enum err decode(struct bytes part, char *room, struct bytes *decoded)
{
    size_t size = 0;

    if (part.size == 0)
        return ERR_MISSING;
    if (memchr(part.data, '%', part.size) == NULL) {
        *decoded = part;
        return part.size <= LOCATOR_PART_BYTES_MAX ? OK : ERR_MISSING;
    }
    for (size_t at = 0; at < part.size;) {
        char c;
        if (!percent_take(part, &at, &c))
            return ERR_SYNTAX;
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
