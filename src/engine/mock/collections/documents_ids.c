#include "base/hash.h"
#include "base/number.h"
#include "documents_state.h"

enum { SHORT_ID_BYTES = 7 }; /* of json-server 0.17's */

bool item_id_is_integer(struct item_id id, int64_t *number)
{
    return id.is_number && int64_parse(id.text, number);
}

void random_id_make(char id[static RANDOM_ID_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t random = hash_seed_random();

    for (int i = 0; i < RANDOM_ID_BYTES; i++) {
        id[i] = digits[random & 63];
        random >>= 6;
    }
}

/* The greatest integer among the ids, found anew after the item that had it went. */
static void find_number_max(struct resource *resource)
{
    int64_t number;

    resource->number_max = 0;
    for (size_t i = 0; i < resource->item_count; i++)
        if (item_id_is_integer(
                (struct item_id){item_id_text(resource->items[i]), resource->items[i]->id_is_number},
                &number) &&
            number > resource->number_max)
            resource->number_max = number;
    resource->number_max_known = true;
}

/* The least number above all numbers that no id is, as text either; false if there is none. Of as many
 * numbers as there are items and one more, one is free. */
static bool choose_number(const struct documents *documents, struct resource *resource, struct buffer *text)
{
    int64_t number;

    if (!resource->number_max_known)
        find_number_max(resource);
    number = resource->number_max;
    do {
        if (number == INT64_MAX)
            return false;
        buffer_clear(text);
        buffer_append_int64(text, ++number);
    } while (!text->failed && item_find(documents, resource, buffer_bytes(text)) != NULL);
    return true;
}

/* A random id that is free, as good as surely: whoever inserts it is told if it is not. */
static void choose_random(const struct documents *documents, const struct resource *resource,
                          struct buffer *text)
{
    enum { TRIES_MAX = 16 };
    char random[RANDOM_ID_BYTES];
    size_t size = documents->options.compat == COMPAT_0_17 ? SHORT_ID_BYTES : RANDOM_ID_BYTES;

    for (int i = 0; i < TRIES_MAX; i++) {
        random_id_make(random);
        buffer_clear(text);
        buffer_append(text, bytes_of(random, size));
        if (text->failed || item_find(documents, resource, buffer_bytes(text)) == NULL)
            return;
    }
}

void resource_choose_id(const struct documents *documents, struct resource *resource, bool wants_number,
                        struct buffer *text, bool *is_number)
{
    *is_number = wants_number && choose_number(documents, resource, text);
    if (!*is_number)
        choose_random(documents, resource, text);
}

enum err documents_choose_id(struct documents *documents, struct bytes name, struct buffer *text,
                             bool *is_number)
{
    struct resource *resource;
    enum err err = ERR_MISSING;

    pthread_rwlock_wrlock(&documents->lock);
    resource = resource_find(documents, name);
    if (resource != NULL && resource->is_collection) {
        bool wants_number = documents->options.compat == COMPAT_0_17;
        if (wants_number && !resource->number_max_known)
            find_number_max(resource);
        if (wants_number && resource->number_max == 0 && resource->item_count > 0 &&
            item_find(documents, resource, BYTES("0")) == NULL)
            wants_number = false; /* there are ids, and none is a number */
        resource_choose_id(documents, resource, wants_number, text, is_number);
        err = text->failed ? ERR_NO_MEMORY : OK;
    }
    pthread_rwlock_unlock(&documents->lock);
    return err;
}
