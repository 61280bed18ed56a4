#include "base/compiler.h"
#include "base/hash.h"
#include "base/number.h"
#include "documents_state.h"
#include "engine/mock/json/json_text.h"
#include "indexes.h"
#include "noun.h"
#include "relations.h"
#include <assert.h>
#include <stdlib.h>

enum {
    SHORT_ID_BYTES = 7,         /* of json-server 0.17's */
    INDEX_BYTES_FREE = 64 << 20 /* may be taken by indexes beyond what the documents take themselves */
};

void random_id_make(char id[static RANDOM_ID_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t random = hash_seed_random();

    for (int i = 0; i < RANDOM_ID_BYTES; i++) {
        id[i] = digits[random & 63];
        random >>= 6;
    }
}

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

/* What is at a locator. At most one of the pointers that count is set. */
struct spot {
    enum place place;
    struct resource *resource;
    struct item *item;
};

static struct spot find(struct documents *documents, const struct locator *locator)
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
    place = find(documents, locator).place;
    pthread_rwlock_unlock(&documents->lock);
    return place;
}

enum compat documents_compat(const struct documents *documents) { return documents->options.compat; }
struct bytes documents_id_name(const struct documents *documents) { return documents->options.id_name; }

/* ---- reading ----------------------------------------------------------------------------------- */

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
    spot = find(documents, locator);
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
    spot = find(documents, locator);
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
    spot = find(documents, locator);
    count = request_count(documents, &spot);
    value = count != NULL ? atomic_load_explicit(count, memory_order_relaxed) : 0;
    pthread_rwlock_unlock(&documents->lock);
    return value;
}

/* ---- writing ----------------------------------------------------------------------------------- */

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

static bool is_integer(struct item_id id, int64_t *number)
{
    return id.is_number && int64_parse(id.text, number);
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
    if (is_integer(id, &number) && number > resource->number_max)
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
        if (is_integer((struct item_id){item_id_text(item), item->id_is_number}, &number) &&
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
    spot = find(documents, locator);
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
    spot = find(documents, locator);
    if (spot.place != PLACE_ITEM)
        err = ERR_MISSING;
    else if (spot.item->text != expected)
        err = ERR_CHANGED;
    if (err == OK)
        err = relations_remove(documents, spot.resource, spot.item, query);
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

/* The greatest integer among the ids, found anew after the item that had it went. */
static void find_number_max(struct resource *resource)
{
    int64_t number;

    resource->number_max = 0;
    for (size_t i = 0; i < resource->item_count; i++)
        if (is_integer((struct item_id){item_id_text(resource->items[i]), resource->items[i]->id_is_number},
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
