#include "base/compiler.h"
#include "documents_state.h"
#include "engine/mock/json/json_text.h"
#include <assert.h>

void resource_forget_text(struct resource *resource)
{
    if (!resource->is_collection)
        return;
    text_release(resource->text);
    resource->text = NULL;
}

static size_t joined_bytes(const struct resource *resource)
{
    size_t size = 2;

    for (size_t i = 0; i < resource->item_count; i++)
        size += resource->items[i]->text->size + (i > 0);
    return size;
}

static char *put(char *at, struct bytes bytes)
{
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static char *put_items(char *at, const struct resource *resource)
{
    *at++ = '[';
    for (size_t i = 0; i < resource->item_count; i++) {
        if (i > 0)
            *at++ = ',';
        at = put(at, text_bytes(resource->items[i]->text));
    }
    *at++ = ']';
    return at;
}

static struct text *join_items(const struct resource *resource)
{
    struct text *text = text_reserve(joined_bytes(resource));

    if (text == NULL)
        return NULL;
    put_items(text->data, resource);
    text_seal(text);
    return text;
}

static struct text *join_all(const struct documents *documents)
{
    struct buffer names = {0};
    size_t size = 2, name_at = 0;
    struct text *text;
    char *at;

    for (const struct list *node = documents->resource_order.next; node != &documents->resource_order;
         node = node->next) {
        const struct resource *resource = CONTAINER_OF(node, struct resource, in_order);
        size_t begin = names.size;
        if (begin > 0)
            size++;
        json_text_append_string(&names, resource->name);
        buffer_append_byte(&names, '\0'); /* no JSON text has one */
        size +=
            names.size - begin + (resource->is_collection ? joined_bytes(resource) : resource->text->size);
    }
    text = names.failed ? NULL : text_reserve(size);
    if (text == NULL) {
        buffer_fini(&names);
        return NULL;
    }
    at = text->data;
    *at++ = '{';
    for (const struct list *node = documents->resource_order.next; node != &documents->resource_order;
         node = node->next) {
        const struct resource *resource = CONTAINER_OF(node, struct resource, in_order);
        assert(names.data != NULL); /* each of them has put its name there */
        if (name_at > 0)
            *at++ = ',';
        at = put(at, bytes_of_text(names.data + name_at));
        name_at += strlen(names.data + name_at) + 1;
        *at++ = ':';
        at = resource->is_collection ? put_items(at, resource) : put(at, text_bytes(resource->text));
    }
    *at = '}';
    text_seal(text);
    buffer_fini(&names);
    return text;
}

enum err documents_read_all(struct documents *documents, struct text **text, uint64_t *change_number)
{
    pthread_rwlock_rdlock(&documents->lock);
    *text = join_all(documents);
    *change_number = documents->change_count;
    pthread_rwlock_unlock(&documents->lock);
    return *text != NULL ? OK : ERR_NO_MEMORY;
}

/* The text of a collection, joined and kept. Joining is done beside other readers; the first to end keeps
 * it. */
static enum err read_collection(struct documents *documents, struct bytes name, struct text **text)
{
    struct resource *resource;
    uint64_t change_count;
    enum err err = OK;

    pthread_rwlock_rdlock(&documents->lock);
    change_count = documents->change_count;
    resource = resource_find(documents, name);
    *text = resource == NULL         ? NULL
            : resource->text != NULL ? text_hold(resource->text)
                                     : join_items(resource);
    if (resource == NULL)
        err = ERR_MISSING;
    else if (*text == NULL)
        err = ERR_NO_MEMORY;
    pthread_rwlock_unlock(&documents->lock);
    if (err != OK)
        return err;

    pthread_rwlock_wrlock(&documents->lock);
    if (documents->change_count == change_count && resource->text == NULL)
        resource->text = text_hold(*text);
    pthread_rwlock_unlock(&documents->lock);
    return OK;
}

enum err documents_read(struct documents *documents, const struct locator *locator, struct text **text)
{
    struct text *found = NULL;
    struct spot spot;

    pthread_rwlock_rdlock(&documents->lock);
    spot = documents_find(documents, locator);
    switch (spot.place) {
    case PLACE_ROOT: found = text_hold(documents->root); break;
    case PLACE_ITEM: found = text_hold(spot.item->text); break;
    case PLACE_COLLECTION:
    case PLACE_OBJECT: found = spot.resource->text != NULL ? text_hold(spot.resource->text) : NULL; break;
    case PLACE_DATABASE:
    case PLACE_NESTED:
    case PLACE_NOTHING: break;
    }
    pthread_rwlock_unlock(&documents->lock);
    *text = found;
    if (found != NULL)
        return OK;
    if (spot.place == PLACE_COLLECTION)
        return read_collection(documents, locator->name, text);
    if (spot.place == PLACE_DATABASE) {
        uint64_t change_number;
        return documents_read_all(documents, text, &change_number);
    }
    return ERR_MISSING;
}

static _Atomic uint64_t *request_count(struct documents *documents, const struct spot *spot)
{
    switch (spot->place) {
    case PLACE_ROOT: return &documents->root_request_count;
    case PLACE_ITEM: return &spot->item->request_count;
    case PLACE_COLLECTION:
    case PLACE_OBJECT: return &spot->resource->request_count;
    case PLACE_DATABASE:
    case PLACE_NESTED:
    case PLACE_NOTHING: return NULL;
    }
    UNREACHABLE();
}

void documents_count_request(struct documents *documents, const struct locator *locator)
{
    struct spot spot;
    _Atomic uint64_t *count;

    pthread_rwlock_rdlock(&documents->lock);
    spot = documents_find(documents, locator);
    count = request_count(documents, &spot);
    if (count != NULL)
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&documents->lock);
}

uint64_t documents_request_count(struct documents *documents, const struct locator *locator)
{
    uint64_t value;
    struct spot spot;
    _Atomic uint64_t *count;

    pthread_rwlock_rdlock(&documents->lock);
    spot = documents_find(documents, locator);
    count = request_count(documents, &spot);
    value = count != NULL ? atomic_load_explicit(count, memory_order_relaxed) : 0;
    pthread_rwlock_unlock(&documents->lock);
    return value;
}
