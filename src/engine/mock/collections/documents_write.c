#include "base/hash.h"
#include "documents_state.h"
#include "indexes.h"
#include "relations.h"
#include <stdlib.h>

static size_t item_bytes(size_t id_size, const struct text *text)
{
    return sizeof(struct item) + sizeof(struct item *) + id_size + sizeof *text + text->size;
}

/* What goes with a removed item may make others larger, so that more than the bound may be held. */
static bool has_room(const struct documents *documents, size_t size)
{
    return documents->held_bytes <= documents->held_bytes_max &&
           size <= documents->held_bytes_max - documents->held_bytes;
}

static bool reserve_item(struct resource *resource)
{
    size_t capacity = resource->item_capacity > 0 ? 2 * resource->item_capacity : 16;
    struct item **items;

    if (resource->item_count < resource->item_capacity)
        return true;
    items = realloc(resource->items, capacity * sizeof(struct item *));
    if (items == NULL)
        return false;
    resource->items = items;
    resource->item_capacity = capacity;
    return true;
}

enum err item_insert(struct documents *documents, struct resource *resource, struct item_id id,
                     struct text *text, struct item **inserted)
{
    size_t size = item_bytes(id.text.size, text);
    struct item *item;
    int64_t number;

    if (item_find(documents, resource, id.text) != NULL)
        return ERR_EXISTS;
    if (!has_room(documents, size))
        return ERR_FULL;
    item = calloc(1, sizeof *item + id.text.size);
    if (item == NULL || !reserve_item(resource) ||
        !hash_table_insert(&resource->by_id, &item->by_id, hash_bytes(id.text, documents->hash_seed))) {
        free(item);
        return ERR_NO_MEMORY;
    }
    memcpy(item->id, id.text.data, id.text.size);
    item->id_size = (uint16_t)id.text.size;
    item->id_is_number = id.is_number;
    item->sequence = documents->next_sequence++;
    item->text = text_hold(text);
    resource->items[resource->item_count++] = item;
    if (item_id_is_integer(id, &number) && number > resource->number_max)
        resource->number_max = number;
    documents->held_bytes += size;
    indexes_add(documents, resource, item);
    resource_forget_text(resource);
    *inserted = item;
    return OK;
}

static void put_text(struct documents *documents, struct resource *resource, struct item *item,
                     struct text *text)
{
    documents->held_bytes += text->size;
    documents->held_bytes -= item->text->size;
    text_release(item->text);
    item->text = text_hold(text);
    resource_forget_text(resource);
}

static void tell_replaced(struct documents *documents, const struct resource *resource,
                          const struct item *item)
{
    documents_tell(documents, (struct documents_change){.kind = CHANGE_REPLACE,
                                                        .name = resource->name,
                                                        .id = item_id_text(item),
                                                        .text = item->text});
}

void item_replace(struct documents *documents, struct resource *resource, struct item *item,
                  struct text *text)
{
    indexes_remove(documents, resource, item);
    put_text(documents, resource, item, text);
    indexes_add(documents, resource, item);
    tell_replaced(documents, resource, item);
}

void items_replace_member(struct documents *documents, struct resource *resource, struct bytes member,
                          struct item **items, size_t count,
                          struct text *(*make)(const struct item *item, struct bytes member))
{
    for (size_t i = count; i-- > 0;) /* the last first: nothing behind it has to move */
        indexes_remove_member(documents, resource, member, items[i]);
    for (size_t i = 0; i < count; i++) {
        struct text *text = make(items[i], member);
        if (text != NULL)
            put_text(documents, resource, items[i], text);
        indexes_add_member(documents, resource, member, items[i]);
        if (text != NULL)
            tell_replaced(documents, resource, items[i]);
        text_release(text);
    }
}

/* Closes the gaps that `items`, in order, leave. */
static void compact(struct resource *resource, struct item *const *items, size_t count)
{
    size_t from = items_position(resource, items[0]->sequence), to = from;

    for (size_t gone = 0; gone < count; from++)
        if (resource->items[from] == items[gone])
            gone++;
        else
            resource->items[to++] = resource->items[from];
    memmove(resource->items + to, resource->items + from,
            (resource->item_count - from) * sizeof(struct item *));
    resource->item_count -= count;
}

void items_detach(struct documents *documents, struct resource *resource, struct item *const *items,
                  size_t count)
{
    int64_t number;

    if (count == 0)
        return;
    for (size_t i = count; i-- > 0;) /* the last first: of what goes with it nothing has to move */
        indexes_remove(documents, resource, items[i]);
    compact(resource, items, count);
    resource_forget_text(resource);
    for (size_t i = 0; i < count; i++) {
        struct item *item = items[i];
        hash_table_remove(&resource->by_id, &item->by_id);
        if (item_id_is_integer((struct item_id){item_id_text(item), item->id_is_number}, &number) &&
            number == resource->number_max)
            resource->number_max_known = false;
        documents->held_bytes -= item_bytes(item->id_size, item->text);
        documents_tell(documents, (struct documents_change){.kind = CHANGE_REMOVE,
                                                            .name = resource->name,
                                                            .id = item_id_text(item),
                                                            .text = item->text});
    }
}

void item_destroy(struct item *item)
{
    text_release(item->text);
    free(item);
}

enum err documents_insert(struct documents *documents, struct bytes name, struct item_id id,
                          struct text *text)
{
    struct resource *resource;
    struct item *item;
    enum err err = ERR_MISSING;

    pthread_rwlock_wrlock(&documents->lock);
    resource = resource_find(documents, name);
    if (resource != NULL && resource->is_collection)
        err = item_insert(documents, resource, id, text, &item);
    if (err == OK)
        documents_tell(documents, (struct documents_change){
                                      .kind = CHANGE_INSERT, .name = name, .id = id.text, .text = text});
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

enum err documents_swap(struct documents *documents, const struct locator *locator,
                        const struct text *expected, struct text *text)
{
    enum err err = OK;
    struct spot spot;

    pthread_rwlock_wrlock(&documents->lock);
    spot = documents_find(documents, locator);
    if (spot.place != PLACE_ITEM && spot.place != PLACE_OBJECT)
        err = ERR_MISSING;
    else if ((spot.place == PLACE_ITEM ? spot.item->text : spot.resource->text) != expected)
        err = ERR_CHANGED;
    else if (text->size > expected->size && !has_room(documents, text->size - expected->size))
        err = ERR_FULL;
    if (err == OK && spot.place == PLACE_ITEM) {
        item_replace(documents, spot.resource, spot.item, text);
    } else if (err == OK) {
        documents->held_bytes += text->size;
        documents->held_bytes -= spot.resource->text->size;
        text_release(spot.resource->text);
        spot.resource->text = text_hold(text);
        documents_tell(documents, (struct documents_change){
                                      .kind = CHANGE_REPLACE, .name = spot.resource->name, .text = text});
    }
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

enum err documents_remove(struct documents *documents, const struct locator *locator,
                          const struct text *expected, const struct query *query)
{
    enum err err = OK;
    struct spot spot;

    if (documents_place(documents, locator) == PLACE_ITEM)
        relations_prepare(documents, locator->name);
    pthread_rwlock_wrlock(&documents->lock);
    spot = documents_find(documents, locator);
    if (spot.place != PLACE_ITEM)
        err = ERR_MISSING;
    else if (spot.item->text != expected)
        err = ERR_CHANGED;
    if (err == OK)
        err = relations_remove(documents, spot.resource, spot.item, query);
    pthread_rwlock_unlock(&documents->lock);
    return err;
}
