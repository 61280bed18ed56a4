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

/* Takes what is before the next slash off `*path`, which begins behind one. */
static struct bytes take_part(struct bytes *path)
{
    const char *slash = path->size > 0 ? memchr(path->data, '/', path->size) : NULL;
    struct bytes part = bytes_first(*path, slash != NULL ? (size_t)(slash - path->data) : path->size);

    *path = slash != NULL ? bytes_after(*path, part.size + 1) : (struct bytes){0};
    return part;
}

enum err locator_parse(struct bytes path, struct locator *locator)
{
    enum err err;

    locator->name = locator->id = locator->nested = (struct bytes){0};
    locator->has_id = locator->has_nested = false;
    if (path.size == 0 || path.data[0] != '/')
        return ERR_MISSING;
    path = bytes_after(path, 1);
    if (path.size == 0)
        return OK;
    err = decode(take_part(&path), locator->decoded_name, &locator->name);
    if (err != OK || path.size == 0)
        return err;
    locator->has_id = true;
    err = decode(take_part(&path), locator->decoded_id, &locator->id);
    if (err != OK || path.size == 0)
        return err;
    locator->has_nested = true;
    err = decode(take_part(&path), locator->decoded_nested, &locator->nested);
    return err != OK || path.size == 0 ? err : ERR_MISSING;
}
