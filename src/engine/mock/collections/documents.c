#include "documents.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/list.h"
#include "engine/mock/json/json_text.h"
#include <pthread.h>
#include <stdlib.h>

void random_id_make(char id[static RANDOM_ID_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t random = hash_seed_random();

    for (int i = 0; i < RANDOM_ID_BYTES; i++) {
        id[i] = digits[random & 63];
        random >>= 6;
    }
}

/* ---- nodes by name ----------------------------------------------------------------------------- */

/* What a locator can name. Chained by hash in a table that doubles when it is full. */
struct node {
    struct node *next;
    uint64_t hash;
    struct bytes key;
    struct text *text; /* of a collection: null when it must be joined anew */
    _Atomic uint64_t request_count;
};

struct table {
    struct node **buckets;
    size_t bucket_count, node_count; /* bucket_count is a power of two, or 0 */
};

static struct node **table_find(const struct table *table, struct bytes key, uint64_t hash)
{
    struct node **slot;

    if (table->bucket_count == 0)
        return NULL;
    for (slot = &table->buckets[hash & (table->bucket_count - 1)]; *slot != NULL; slot = &(*slot)->next)
        if ((*slot)->hash == hash && bytes_equal((*slot)->key, key))
            return slot;
    return NULL;
}

/* Makes room for one more node. */
static bool table_reserve(struct table *table)
{
    size_t bucket_count = table->bucket_count > 0 ? 2 * table->bucket_count : 16;
    struct node **buckets;

    if (table->node_count < table->bucket_count)
        return true;
    buckets = calloc(bucket_count, sizeof *buckets);
    if (buckets == NULL)
        return false;
    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct node *node = table->buckets[i], *next; node != NULL; node = next) {
            struct node **bucket = &buckets[node->hash & (bucket_count - 1)];
            next = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    return true;
}

static void table_insert(struct table *table, struct node *node)
{
    struct node **bucket = &table->buckets[node->hash & (table->bucket_count - 1)];

    node->next = *bucket;
    *bucket = node;
    table->node_count++;
}

/* ---- documents --------------------------------------------------------------------------------- */

struct item {
    struct node node;
    struct list in_order; /* of the collection */
    char id[];
};

/* A collection, or a single object. */
struct resource {
    struct node node;
    bool is_collection;
    struct list items; /* in the order they came */
    struct table by_id;
    struct list in_order; /* of all */
    char name[];
};

/* (1) `lock` guards all but request counts, which are atomic, and texts, which never change.
 * (2) `held_bytes` is the sum of what nodes and their texts take, joined texts apart. */
struct documents {
    pthread_rwlock_t lock;
    uint64_t hash_seed;
    struct table resources;
    struct list resource_order;
    struct node root; /* its text lists the resources, which never change */
    size_t held_bytes, held_bytes_max;
    struct list observers; /* each told in the order of writes, for the lock is held for writing */
    uint64_t change_count;
};

static void tell(struct documents *documents, struct documents_change change)
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

static size_t item_bytes(struct bytes id, const struct text *text)
{
    return sizeof(struct item) + id.size + sizeof *text + text->size;
}

static struct resource *resource_find(const struct documents *documents, struct bytes name)
{
    struct node **slot = table_find(&documents->resources, name, hash_bytes(name, documents->hash_seed));
    return slot != NULL ? CONTAINER_OF(*slot, struct resource, node) : NULL;
}

/* The node at `locator`, with its collection and its place in the collection's table if it is an item. */
static struct node *find(struct documents *documents, const struct locator *locator,
                         struct resource **resource, struct node ***slot)
{
    *resource = NULL;
    *slot = NULL;
    if (locator->name.size == 0)
        return &documents->root;
    *resource = resource_find(documents, locator->name);
    if (*resource == NULL)
        return NULL;
    if (!locator->has_id)
        return &(*resource)->node;
    *slot = table_find(&(*resource)->by_id, locator->id, hash_bytes(locator->id, documents->hash_seed));
    return *slot != NULL ? **slot : NULL;
}

static void forget_joined_text(struct resource *resource)
{
    text_release(resource->node.text);
    resource->node.text = NULL;
}

static struct text *join_items(const struct resource *resource)
{
    struct buffer joined = {0};
    struct text *text = NULL;

    buffer_append_byte(&joined, '[');
    for (struct list *at = resource->items.next; at != &resource->items; at = at->next) {
        if (at != resource->items.next)
            buffer_append_byte(&joined, ',');
        buffer_append(&joined, text_bytes(CONTAINER_OF(at, struct item, in_order)->node.text));
    }
    buffer_append_byte(&joined, ']');
    if (!joined.failed)
        text = text_create(buffer_bytes(&joined));
    buffer_fini(&joined);
    return text;
}

/* With the lock held for writing. */
static enum err insert(struct documents *documents, struct resource *resource, struct bytes id,
                       struct text *text)
{
    uint64_t hash = hash_bytes(id, documents->hash_seed);
    struct item *item;

    if (table_find(&resource->by_id, id, hash) != NULL)
        return ERR_EXISTS;
    if (item_bytes(id, text) > documents->held_bytes_max - documents->held_bytes)
        return ERR_FULL;
    if (!table_reserve(&resource->by_id))
        return ERR_NO_MEMORY;
    item = calloc(1, sizeof *item + id.size);
    if (item == NULL)
        return ERR_NO_MEMORY;
    memcpy(item->id, id.data, id.size);
    item->node.key = bytes_of(item->id, id.size);
    item->node.hash = hash;
    item->node.text = text_hold(text);
    table_insert(&resource->by_id, &item->node);
    list_append(&resource->items, &item->in_order);
    documents->held_bytes += item_bytes(id, text);
    forget_joined_text(resource);
    return OK;
}

enum place documents_place(struct documents *documents, const struct locator *locator)
{
    enum place place = PLACE_NOTHING;
    struct resource *resource;
    struct node **slot;

    pthread_rwlock_rdlock(&documents->lock);
    if (find(documents, locator, &resource, &slot) != NULL) {
        if (resource == NULL)
            place = PLACE_ROOT;
        else if (locator->has_id)
            place = PLACE_ITEM;
        else
            place = resource->is_collection ? PLACE_COLLECTION : PLACE_OBJECT;
    }
    pthread_rwlock_unlock(&documents->lock);
    return place;
}

enum err documents_read(struct documents *documents, const struct locator *locator, struct text **text)
{
    enum err err = OK;
    struct resource *resource;
    struct node *node, **slot;

    pthread_rwlock_rdlock(&documents->lock);
    node = find(documents, locator, &resource, &slot);
    if (node == NULL)
        err = ERR_MISSING;
    else if (node->text != NULL)
        *text = text_hold(node->text);
    else
        err = ERR_CHANGED;
    pthread_rwlock_unlock(&documents->lock);
    if (err != ERR_CHANGED)
        return err;

    /* A collection that was written since it was last read; resources never go away. */
    pthread_rwlock_wrlock(&documents->lock);
    if (node->text == NULL && resource != NULL) /* the root always has its text */
        node->text = join_items(resource);
    err = node->text != NULL ? OK : ERR_NO_MEMORY;
    if (err == OK)
        *text = text_hold(node->text);
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

enum err documents_insert(struct documents *documents, struct bytes name, struct bytes id,
                          struct text *text)
{
    struct resource *resource;
    enum err err = ERR_MISSING;

    pthread_rwlock_wrlock(&documents->lock);
    resource = resource_find(documents, name);
    if (resource != NULL && resource->is_collection)
        err = insert(documents, resource, id, text);
    if (err == OK)
        tell(documents, (struct documents_change){
                            .kind = CHANGE_INSERT, .name = resource->node.key, .id = id, .text = text});
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

enum err documents_swap(struct documents *documents, const struct locator *locator,
                        const struct text *expected, struct text *text)
{
    enum err err = OK;
    struct resource *resource;
    struct node *node, **slot;

    pthread_rwlock_wrlock(&documents->lock);
    node = find(documents, locator, &resource, &slot);
    if (node == NULL || resource == NULL || (resource->is_collection && slot == NULL))
        err = ERR_MISSING;
    else if (node->text != expected)
        err = ERR_CHANGED;
    else if (text->size > expected->size &&
             text->size - expected->size > documents->held_bytes_max - documents->held_bytes)
        err = ERR_FULL;
    if (err == OK) {
        documents->held_bytes += text->size;
        documents->held_bytes -= node->text->size;
        text_release(node->text);
        node->text = text_hold(text);
        if (resource->is_collection)
            forget_joined_text(resource);
        tell(documents, (struct documents_change){.kind = CHANGE_REPLACE,
                                                  .name = resource->node.key,
                                                  .id = slot != NULL ? node->key : (struct bytes){0},
                                                  .text = text});
    }
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

enum err documents_remove(struct documents *documents, const struct locator *locator,
                          const struct text *expected)
{
    enum err err = OK;
    struct resource *resource;
    struct node *node, **slot;

    pthread_rwlock_wrlock(&documents->lock);
    node = find(documents, locator, &resource, &slot);
    if (node == NULL || slot == NULL)
        err = ERR_MISSING;
    else if (node->text != expected)
        err = ERR_CHANGED;
    if (err == OK) {
        struct item *item = CONTAINER_OF(node, struct item, node);
        documents->held_bytes -= item_bytes(node->key, node->text);
        *slot = node->next;
        resource->by_id.node_count--;
        list_remove(&item->in_order);
        tell(documents,
             (struct documents_change){
                 .kind = CHANGE_REMOVE, .name = resource->node.key, .id = node->key, .text = node->text});
        text_release(node->text);
        free(item);
        forget_joined_text(resource);
    }
    pthread_rwlock_unlock(&documents->lock);
    return err;
}

void documents_count_request(struct documents *documents, const struct locator *locator)
{
    struct resource *resource;
    struct node *node, **slot;

    pthread_rwlock_rdlock(&documents->lock);
    node = find(documents, locator, &resource, &slot);
    if (node != NULL)
        atomic_fetch_add_explicit(&node->request_count, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&documents->lock);
}

uint64_t documents_request_count(struct documents *documents, const struct locator *locator)
{
    uint64_t count = 0;
    struct resource *resource;
    struct node *node, **slot;

    pthread_rwlock_rdlock(&documents->lock);
    node = find(documents, locator, &resource, &slot);
    if (node != NULL)
        count = atomic_load_explicit(&node->request_count, memory_order_relaxed);
    pthread_rwlock_unlock(&documents->lock);
    return count;
}

/* ---- from a file ------------------------------------------------------------------------------- */

static enum err text_of_value(const json_t *value, struct text **text)
{
    struct buffer json = {0};

    json_text_append(&json, value);
    *text = json.failed ? NULL : text_create(buffer_bytes(&json));
    buffer_fini(&json);
    return *text != NULL ? OK : ERR_NO_MEMORY;
}

static enum err add_resource(struct documents *documents, struct bytes name, bool is_collection,
                             struct resource **added)
{
    struct resource *resource = calloc(1, sizeof *resource + name.size);

    if (resource == NULL || !table_reserve(&documents->resources)) {
        free(resource);
        return ERR_NO_MEMORY;
    }
    memcpy(resource->name, name.data, name.size);
    resource->node.key = bytes_of(resource->name, name.size);
    resource->node.hash = hash_bytes(name, documents->hash_seed);
    resource->is_collection = is_collection;
    list_init(&resource->items);
    table_insert(&documents->resources, &resource->node);
    list_append(&documents->resource_order, &resource->in_order);
    *added = resource;
    return OK;
}

/* The sentence for a person; `name` is the file's, so it is written as JSON. */
static enum err refuse(struct buffer *message, struct bytes name, const char *text)
{
    json_text_append_string(message, name);
    buffer_append(message, bytes_of_text(text));
    return message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
}

static enum err refuse_item(struct buffer *message, struct bytes name, size_t i, const char *text)
{
    json_text_append_string(message, name);
    buffer_append_format(message, ", item %zu: %s", i + 1, text);
    return message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
}

/* Makes the id of `object` a string that a locator can hold. */
static enum err settle_id(json_t *object, struct bytes name, size_t i, struct buffer *message)
{
    json_t *id = json_object_get(object, "id");
    struct buffer digits = {0};
    char random[RANDOM_ID_BYTES];

    if (json_is_string(id)) {
        size_t size = json_string_length(id);
        return size > 0 && size <= LOCATOR_PART_BYTES_MAX
                   ? OK
                   : refuse_item(message, name, i, "\"id\" must have 1 to 512 bytes");
    }
    if (id == NULL) {
        random_id_make(random);
        id = json_stringn(random, sizeof random);
    } else if (json_is_number(id)) {
        json_text_append(&digits, id);
        id = digits.failed ? NULL : json_stringn(digits.data, digits.size);
        buffer_fini(&digits);
    } else {
        return refuse_item(message, name, i, "\"id\" must be a string or a number");
    }
    return json_object_set_new(object, "id", id) == 0 ? OK : ERR_NO_MEMORY; /* refuses a null id */
}

static enum err add_item(struct documents *documents, struct resource *resource, json_t *object, size_t i,
                         struct buffer *message)
{
    struct bytes name = resource->node.key;
    struct text *text = NULL;
    json_t *id;
    enum err err;

    if (!json_is_object(object))
        return refuse_item(message, name, i, "must be an object");
    err = settle_id(object, name, i, message);
    if (err != OK)
        return err;
    err = text_of_value(object, &text);
    if (err != OK)
        return err;
    id = json_object_get(object, "id");
    err = insert(documents, resource, bytes_of(json_string_value(id), json_string_length(id)), text);
    text_release(text);
    return err == ERR_EXISTS ? refuse_item(message, name, i, "another item has the same \"id\"") : err;
}

static enum err fill(struct documents *documents, json_t *file, struct buffer *message)
{
    const char *key;
    json_t *value;
    struct resource *resource;
    enum err err;

    if (!json_is_object(file)) {
        buffer_append_literal(message, "the document must be a JSON object of arrays and objects");
        return message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
    }
    json_object_foreach(file, key, value)
    {
        struct bytes name = bytes_of_text(key);
        if (bytes_equal(name, BYTES("$schema")) && json_is_string(value))
            continue; /* for editors, as in json-server */
        if (name.size == 0 || name.size > LOCATOR_PART_BYTES_MAX)
            return refuse(message, name, ": a name must have 1 to 512 bytes");
        if (!json_is_array(value) && !json_is_object(value))
            return refuse(message, name, ": must be an array of objects, or an object");
        err = add_resource(documents, name, json_is_array(value), &resource);
        if (err == OK && json_is_object(value))
            err = text_of_value(value, &resource->node.text);
        for (size_t i = 0; err == OK && i < json_array_size(value); i++)
            err = add_item(documents, resource, json_array_get(value, i), i, message);
        if (err != OK)
            return err;
    }
    return OK;
}

/* The root's text: where everything is, as paths. */
static enum err list_resources(struct documents *documents)
{
    struct buffer json = {0};

    buffer_append_literal(&json, "{\"resources\":[");
    for (struct list *at = documents->resource_order.next; at != &documents->resource_order;
         at = at->next) {
        if (at != documents->resource_order.next)
            buffer_append_byte(&json, ',');
        json_text_append_string(&json, CONTAINER_OF(at, struct resource, in_order)->node.key);
    }
    buffer_append_literal(&json, "]}");
    documents->root.text = json.failed ? NULL : text_create(buffer_bytes(&json));
    buffer_fini(&json);
    return documents->root.text != NULL ? OK : ERR_NO_MEMORY;
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

enum err documents_create(struct bytes json, size_t growth_bytes_max, struct documents **documents,
                          struct buffer *message)
{
    struct documents *made;
    json_t *file = NULL;
    enum err err = json_text_parse(json, &file, message);

    if (err != OK)
        return err;
    made = calloc(1, sizeof *made);
    if (made == NULL || init_lock(&made->lock) != OK) {
        free(made);
        json_decref(file);
        return ERR_NO_MEMORY;
    }
    made->hash_seed = hash_seed_random();
    made->held_bytes_max = SIZE_MAX;
    list_init(&made->resource_order);
    list_init(&made->observers);
    err = fill(made, file, message);
    json_decref(file);
    if (err == OK)
        err = list_resources(made);
    if (err != OK) {
        documents_destroy(made);
        return err;
    }
    made->held_bytes_max = made->held_bytes + growth_bytes_max;
    *documents = made;
    return OK;
}

static void resource_destroy(struct resource *resource)
{
    for (struct list *at = resource->items.next, *next; at != &resource->items; at = next) {
        struct item *item = CONTAINER_OF(at, struct item, in_order);
        next = at->next;
        text_release(item->node.text);
        free(item);
    }
    text_release(resource->node.text);
    free(resource->by_id.buckets);
    free(resource);
}

void documents_destroy(struct documents *documents)
{
    if (documents == NULL)
        return;
    for (struct list *at = documents->resource_order.next, *next; at != &documents->resource_order;
         at = next) {
        next = at->next;
        resource_destroy(CONTAINER_OF(at, struct resource, in_order));
    }
    free(documents->resources.buckets);
    text_release(documents->root.text);
    pthread_rwlock_destroy(&documents->lock);
    free(documents);
}
