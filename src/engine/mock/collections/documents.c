#include "base/compiler.h"
#include "base/hash.h"
#include "documents_state.h"
#include "engine/mock/json/json_text.h"
#include "indexes.h"
#include "noun.h"
#include <stdlib.h>

enum {
    INDEX_BYTES_FREE = 64 << 20
}; /* may be taken by indexes beyond what the documents take themselves */

/* ---- who wants to know ------------------------------------------------------------------------- */

void documents_tell(struct documents *documents, struct documents_change change)
{
    change.number = ++documents->change_count;
    for (struct list *at = documents->observers.next; at != &documents->observers; at = at->next) {
        struct documents_observer *observer = CONTAINER_OF(at, struct documents_observer, in_list);
        observer->changed(observer, &change);
    }
}

void documents_subscribe(struct documents *documents, struct documents_observer *observer)
{
    pthread_rwlock_wrlock(&documents->lock);
    list_append(&documents->observers, &observer->in_list);
    pthread_rwlock_unlock(&documents->lock);
}

void documents_unsubscribe(struct documents *documents, struct documents_observer *observer)
{
    pthread_rwlock_wrlock(&documents->lock);
    list_remove(&observer->in_list);
    pthread_rwlock_unlock(&documents->lock);
}

/* ---- finding ----------------------------------------------------------------------------------- */

struct resource *resource_find(const struct documents *documents, struct bytes name)
{
    uint64_t hash = hash_bytes(name, documents->hash_seed);

    for (struct hash_node *node = hash_table_first(&documents->resources, hash); node != NULL;
         node = hash_table_next(node)) {
        struct resource *resource = CONTAINER_OF(node, struct resource, by_name);
        if (bytes_equal(resource->name, name))
            return resource;
    }
    return NULL;
}

struct item *item_find(const struct documents *documents, const struct resource *resource, struct bytes id)
{
    uint64_t hash = hash_bytes(id, documents->hash_seed);

    for (struct hash_node *node = hash_table_first(&resource->by_id, hash); node != NULL;
         node = hash_table_next(node)) {
        struct item *item = CONTAINER_OF(node, struct item, by_id);
        if (bytes_equal(item_id_text(item), id))
            return item;
    }
    return NULL;
}

size_t items_position(const struct resource *resource, uint64_t sequence)
{
    size_t low = 0, high = resource->item_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (resource->items[middle]->sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct spot documents_find(struct documents *documents, const struct locator *locator)
{
    struct spot spot = {.place = PLACE_NOTHING};
    const struct resource *nested;

    if (locator->name.size == 0) {
        spot.place = PLACE_ROOT;
        return spot;
    }
    spot.resource = resource_find(documents, locator->name);
    if (spot.resource == NULL) {
        if (!locator->has_id && bytes_equal(locator->name, BYTES("db")))
            spot.place = PLACE_DATABASE;
        return spot;
    }
    if (locator->has_nested) {
        nested = resource_find(documents, locator->nested);
        if (spot.resource->is_collection && nested != NULL && nested->is_collection)
            spot.place = PLACE_NESTED;
        return spot;
    }
    if (!locator->has_id) {
        spot.place = spot.resource->is_collection ? PLACE_COLLECTION : PLACE_OBJECT;
        return spot;
    }
    spot.item = spot.resource->is_collection ? item_find(documents, spot.resource, locator->id) : NULL;
    if (spot.item != NULL)
        spot.place = PLACE_ITEM;
    return spot;
}

enum place documents_place(struct documents *documents, const struct locator *locator)
{
    enum place place;

    pthread_rwlock_rdlock(&documents->lock);
    place = documents_find(documents, locator).place;
    pthread_rwlock_unlock(&documents->lock);
    return place;
}

enum compat documents_compat(const struct documents *documents) { return documents->options.compat; }
struct bytes documents_id_name(const struct documents *documents) { return documents->options.id_name; }

void documents_foreign_key(struct documents *documents, struct bytes name, struct buffer *key)
{
    noun_append_singular(key, name);
    buffer_append(key, documents->options.foreign_key_suffix);
}

/* ---- beginning and end ------------------------------------------------------------------------- */

enum err resource_add(struct documents *documents, struct bytes name, bool is_collection,
                      struct resource **added)
{
    struct buffer words = {0};
    struct resource *resource;

    buffer_append(&words, name);
    documents_foreign_key(documents, name, &words);
    resource = words.failed ? NULL : calloc(1, sizeof *resource + words.size);
    if (resource == NULL || !hash_table_insert(&documents->resources, &resource->by_name,
                                               hash_bytes(name, documents->hash_seed))) {
        free(resource);
        buffer_fini(&words);
        return ERR_NO_MEMORY;
    }
    memcpy(resource->bytes, words.data, words.size);
    resource->name = bytes_of(resource->bytes, name.size);
    resource->foreign_key = bytes_of(resource->bytes + name.size, words.size - name.size);
    resource->is_collection = is_collection;
    resource->number_max_known = true;
    list_append(&documents->resource_order, &resource->in_order);
    buffer_fini(&words);
    *added = resource;
    return OK;
}

/* The root's text: where everything is, as paths. */
enum err documents_list_resources(struct documents *documents)
{
    struct buffer json = {0};

    buffer_append_literal(&json, "{\"resources\":[");
    for (struct list *at = documents->resource_order.next; at != &documents->resource_order;
         at = at->next) {
        if (at != documents->resource_order.next)
            buffer_append_byte(&json, ',');
        json_text_append_string(&json, CONTAINER_OF(at, struct resource, in_order)->name);
    }
    buffer_append_literal(&json, "]}");
    documents->root = json.failed ? NULL : text_create(buffer_bytes(&json));
    buffer_fini(&json);
    return documents->root != NULL ? OK : ERR_NO_MEMORY;
}

/* A writer must not starve however many read. */
static enum err init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    int error;

    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    error = pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return error == 0 ? OK : ERR_NO_MEMORY;
}

static bool copy_options(struct documents *documents, const struct documents_options *options)
{
    struct bytes id_name = options->id_name.size > 0 ? options->id_name : BYTES("id");
    struct bytes suffix = options->foreign_key_suffix.size > 0 ? options->foreign_key_suffix : BYTES("Id");

    documents->options = *options;
    buffer_append(&documents->words, id_name);
    buffer_append(&documents->words, suffix);
    if (documents->words.failed)
        return false;
    documents->options.id_name = bytes_of(documents->words.data, id_name.size);
    documents->options.foreign_key_suffix = bytes_of(documents->words.data + id_name.size, suffix.size);
    return true;
}

enum err documents_create(struct bytes json, const struct documents_options *options,
                          struct documents **documents, struct buffer *message)
{
    struct documents *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL || init_lock(&made->lock) != OK) {
        free(made);
        return ERR_NO_MEMORY;
    }
    made->hash_seed = hash_seed_random();
    made->held_bytes_max = SIZE_MAX;
    list_init(&made->resource_order);
    list_init(&made->observers);
    err = copy_options(made, options) ? documents_load(made, json, message) : ERR_NO_MEMORY;
    if (err == OK)
        err = documents_list_resources(made);
    if (err != OK) {
        documents_destroy(made);
        return err;
    }
    made->held_bytes_max = made->held_bytes + options->growth_bytes_max;
    made->index_bytes_max =
        options->index_bytes_max > 0 ? options->index_bytes_max : made->held_bytes + INDEX_BYTES_FREE;
    *documents = made;
    return OK;
}

/* Puts the lists' first and last nodes right after `list` was copied from `old`. */
static void list_moved(struct list *list, const struct list *old)
{
    if (list->next == old) {
        list_init(list);
        return;
    }
    list->next->previous = list;
    list->previous->next = list;
}

static void swap_contents(struct documents *a, struct documents *b)
{
    struct documents old = *a;

    a->hash_seed = b->hash_seed;
    a->resources = b->resources;
    a->resource_order = b->resource_order;
    a->root = b->root;
    a->next_sequence = b->next_sequence;
    a->held_bytes = b->held_bytes;
    a->held_bytes_max = b->held_bytes_max;
    a->index_bytes = b->index_bytes;
    a->index_bytes_max = b->index_bytes_max;
    b->hash_seed = old.hash_seed;
    b->resources = old.resources;
    b->resource_order = old.resource_order;
    b->root = old.root;
    b->index_bytes = old.index_bytes;
    list_moved(&a->resource_order, &b->resource_order);
    list_moved(&b->resource_order, &a->resource_order);
}

enum err documents_reload(struct documents *documents, struct bytes json, struct buffer *message)
{
    struct documents *made;
    enum err err = documents_create(json, &documents->options, &made, message);

    if (err != OK)
        return err;
    pthread_rwlock_wrlock(&documents->lock);
    swap_contents(documents, made);
    documents_tell(documents, (struct documents_change){.kind = CHANGE_RELOAD});
    pthread_rwlock_unlock(&documents->lock);
    documents_destroy(made);
    return OK;
}

static void resource_destroy(struct documents *documents, struct resource *resource)
{
    for (size_t i = 0; i < resource->item_count; i++) {
        text_release(resource->items[i]->text);
        free(resource->items[i]);
    }
    indexes_destroy(documents, resource);
    text_release(resource->text);
    free(resource->items);
    free(resource->by_id.chains);
    free(resource);
}

void documents_destroy(struct documents *documents)
{
    if (documents == NULL)
        return;
    for (struct list *at = documents->resource_order.next, *next; at != &documents->resource_order;
         at = next) {
        next = at->next;
        resource_destroy(documents, CONTAINER_OF(at, struct resource, in_order));
    }
    free(documents->resources.chains);
    text_release(documents->root);
    buffer_fini(&documents->words);
    pthread_rwlock_destroy(&documents->lock);
    free(documents);
}
