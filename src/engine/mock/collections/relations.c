#include "relations.h"
#include "base/compiler.h"
#include "engine/mock/json/json_text.h"
#include "indexes.h"
#include "noun.h"
#include <assert.h>
#include <stdlib.h>

/* Items that were found, in the order of the collection; ours to free. */
struct finding {
    struct item **items;
    size_t count, capacity;
};

static bool finding_add(struct finding *finding, struct item *item)
{
    if (finding->count == finding->capacity) {
        size_t capacity = finding->capacity > 0 ? 2 * finding->capacity : 8;
        struct item **items = realloc(finding->items, capacity * sizeof(struct item *));
        if (items == NULL)
            return false;
        finding->items = items;
        finding->capacity = capacity;
    }
    finding->items[finding->count++] = item;
    return true;
}

static int by_sequence(const void *a, const void *b)
{
    const struct item *const *x = a, *const *y = b;
    return ((*x)->sequence > (*y)->sequence) - ((*x)->sequence < (*y)->sequence);
}

/* Adds the items of `other` whose member `key` is one of `keys`, the ways to write one id. */
static bool find_by_scan(const struct resource *other, struct bytes key, const struct bytes *keys,
                         size_t key_count, struct query *query, struct finding *finding)
{
    struct json_path path;
    bool ok = json_path_parse(key, &path);

    for (size_t i = 0; ok && i < other->item_count; i++) {
        struct bytes value;
        if (query != NULL && !query_charge(query, other->items[i]->text->size))
            break;
        if (!json_scan_path(text_bytes(other->items[i]->text), &path, &value))
            continue;
        for (size_t k = 0; k < key_count; k++)
            if (bytes_equal(value, keys[k])) {
                ok = finding_add(finding, other->items[i]);
                break;
            }
    }
    json_path_fini(&path);
    return ok;
}

/* Finds the items of `other` whose member `key` is `id`. `query`, if not null, is charged for a scan and
 * may give up. */
static bool find_referring(const struct resource *other, struct bytes key, struct bytes id,
                           struct query *query, struct finding *finding)
{
    const struct field_index *index = indexes_find(other, key);
    struct bytes keys[QUERY_KEYS_MAX];
    struct buffer room = {0};
    bool ok = buffer_reserve(&room, 6 * id.size + 2) != NULL;
    size_t key_count = ok ? query_relation_keys(id, &room, keys) : 0, lists = 0;

    if (ok && index == NULL)
        ok = find_by_scan(other, key, keys, key_count, query, finding);
    for (size_t i = 0; ok && index != NULL && i < key_count; i++) {
        const struct posting *posting = field_index_find(index, keys[i]);
        for (size_t k = 0; ok && posting != NULL && k < posting->count; k++)
            ok = finding_add(finding, posting->items[k]);
        lists += posting != NULL;
    }
    if (lists > 1 && finding->count > 1)
        qsort(finding->items, finding->count, sizeof(struct item *), by_sequence);
    buffer_fini(&room);
    return ok;
}

/* ---- what a removed item leaves behind --------------------------------------------------------- */

static bool is_dependent(const struct query *query, struct bytes name)
{
    for (size_t i = 0; i < query->dependent_count; i++)
        if (bytes_equal(query->dependents[i], name))
            return true;
    return false;
}

/* The text of `item` with null where its foreign key was; null without memory. */
static struct text *text_without(const struct item *item, struct bytes key)
{
    struct buffer json = {0};
    struct json_path path;
    struct text *text = NULL;
    struct bytes value, old = text_bytes(item->text);

    if (json_path_parse(key, &path) && json_scan_path(old, &path, &value)) {
        size_t before = (size_t)(value.data - old.data);
        buffer_append(&json, bytes_first(old, before));
        buffer_append_literal(&json, "null");
        buffer_append(&json, bytes_after(old, before + value.size));
        text = json.failed ? NULL : text_create(buffer_bytes(&json));
    }
    json_path_fini(&path);
    buffer_fini(&json);
    return text;
}

/* An item that was taken out of `resource`; whoever refers to it is still to be settled. */
struct removed {
    const struct resource *resource;
    struct item *item;
};

/* What goes with one item. No item is freed before all is settled, so that whoever was found stays one. */
struct removal {
    struct documents *documents;
    const struct query *query;
    struct removed *list;
    size_t count, capacity;
};

/* Without memory the item, which is detached, goes, and what refers to it is left. */
static void follow(struct removal *removal, const struct resource *resource, struct item *item)
{
    if (removal->count == removal->capacity) {
        size_t capacity = removal->capacity > 0 ? 2 * removal->capacity : 8;
        struct removed *list = realloc(removal->list, capacity * sizeof *list);
        if (list == NULL) {
            item_destroy(item);
            return;
        }
        removal->list = list;
        removal->capacity = capacity;
    }
    removal->list[removal->count++] = (struct removed){resource, item};
}

/* What of `other` refers to `removed`: it is removed too, or no longer refers to it. */
static void settle_in(struct removal *removal, struct removed removed, struct resource *other)
{
    struct bytes key = removed.resource->foreign_key;
    bool removes =
        removal->documents->options.compat == COMPAT_0_17 || is_dependent(removal->query, other->name);
    struct finding finding = {0};

    if (!other->is_collection || (other == removed.resource && !removes))
        return;
    indexes_require(removal->documents, other, key);
    find_referring(other, key, item_id_text(removed.item), NULL, &finding);
    if (removes) {
        items_detach(removal->documents, other, finding.items, finding.count);
        for (size_t i = 0; i < finding.count; i++)
            follow(removal, other, finding.items[i]);
    } else {
        items_replace_member(removal->documents, other, key, finding.items, finding.count, text_without);
    }
    free(finding.items);
}

/* What refers to those from `from` on, before `to`. Collection by collection: then those that follow lie
 * together by their own, and each index is asked for by many of them in turn. */
static void settle_generation(struct removal *removal, size_t from, size_t to)
{
    struct list *all = &removal->documents->resource_order;

    for (struct list *at = all->next; at != all; at = at->next)
        for (size_t i = from; i < to; i++)
            settle_in(removal, removal->list[i], CONTAINER_OF(at, struct resource, in_order));
}

/* The index of what goes with those in turn, if they are many, is made with the lock held. */
void relations_prepare(struct documents *documents, struct bytes name)
{
    struct buffer names = {0}, key = {0};
    struct bytes left;
    size_t size;

    documents_foreign_key(documents, name, &key);
    pthread_rwlock_rdlock(&documents->lock);
    for (struct list *at = documents->resource_order.next; at != &documents->resource_order;
         at = at->next) {
        const struct resource *other = CONTAINER_OF(at, struct resource, in_order);
        if (!other->is_collection || other->item_count <= INDEX_ITEMS_MIN)
            continue;
        buffer_append(&names, bytes_of((const char *)&other->name.size, sizeof other->name.size));
        buffer_append(&names, other->name);
    }
    pthread_rwlock_unlock(&documents->lock);
    left = names.failed || key.failed ? (struct bytes){0} : buffer_bytes(&names);
    while (left.size > 0) {
        assert(left.data != NULL);
        memcpy(&size, left.data, sizeof size);
        left = bytes_after(left, sizeof size);
        indexes_prepare(documents, bytes_first(left, size), buffer_bytes(&key));
        left = bytes_after(left, size);
    }
    buffer_fini(&names);
    buffer_fini(&key);
}

/* Best effort: without memory what is left refers to nothing, which is what a db.json may say too. */
enum err relations_remove(struct documents *documents, struct resource *resource, struct item *item,
                          const struct query *query)
{
    struct removal removal = {.documents = documents, .query = query};

    removal.list = malloc(sizeof *removal.list);
    if (removal.list == NULL)
        return ERR_NO_MEMORY;
    removal.capacity = 1;
    items_detach(documents, resource, &item, 1);
    follow(&removal, resource, item);
    for (size_t from = 0, to = 1; from < removal.count; from = to, to = removal.count)
        settle_generation(&removal, from, to);
    for (size_t i = 0; i < removal.count; i++)
        item_destroy(removal.list[i].item);
    free(removal.list);
    return OK;
}

/* ---- items with others in them ----------------------------------------------------------------- */

bool relations_are_wanted(const struct query *query)
{
    return query->embed_count > 0 || query->expand_count > 0;
}

/* Sets the member `name` of `object`, which is one whole object, to the JSON text `value`. */
static void set_member(struct buffer *object, struct bytes name, struct bytes value)
{
    struct buffer quoted = {0}, tail = {0};
    struct bytes old;

    assert(value.data != NULL); /* no JSON text is empty */
    json_text_append_string(&quoted, name);
    if (object->failed || quoted.failed) {
        object->failed = true;
    } else if (json_scan_member(buffer_bytes(object), buffer_bytes(&quoted), &old)) {
        size_t before = (size_t)(old.data - object->data);
        buffer_append(&tail, bytes_after(buffer_bytes(object), before + old.size));
        object->size = before;
        buffer_append(object, value);
        buffer_append(object, buffer_bytes(&tail));
        object->failed |= tail.failed;
    } else {
        object->size--;
        if (object->size > 1)
            buffer_append_byte(object, ',');
        buffer_append(object, buffer_bytes(&quoted));
        buffer_append_byte(object, ':');
        buffer_append(object, value);
        buffer_append_byte(object, '}');
    }
    buffer_fini(&quoted);
    buffer_fini(&tail);
}

/* Puts in the item that `item` refers to by "<name>Id", if there is such a collection and item. */
static void put_parent(struct documents *documents, const struct item *item, struct bytes name,
                       struct buffer *object)
{
    struct buffer plural = {0}, key = {0}, room = {0};
    const struct resource *other;
    const struct item *parent = NULL;
    struct json_path path = {0};
    struct bytes value;

    noun_append_plural(&plural, name);
    buffer_append(&key, name);
    buffer_append(&key, documents->options.foreign_key_suffix);
    other = plural.failed ? NULL : resource_find(documents, buffer_bytes(&plural));
    if (other != NULL && other->is_collection && !key.failed &&
        json_path_parse(buffer_bytes(&key), &path) &&
        json_scan_path(text_bytes(item->text), &path, &value)) {
        struct scalar scalar = scalar_of(value, &room);
        if (scalar.kind == SCALAR_STRING || scalar.kind == SCALAR_NUMBER)
            parent = item_find(documents, other, scalar.text);
    }
    if (parent != NULL)
        set_member(object, name, text_bytes(parent->text));
    json_path_fini(&path);
    buffer_fini(&plural);
    buffer_fini(&key);
    buffer_fini(&room);
}

static void put_children(const struct resource *resource, const struct resource *other,
                         const struct item *item, struct bytes name, struct query *query,
                         struct buffer *object)
{
    struct buffer list = {0};
    struct finding finding = {0};

    buffer_append_byte(&list, '[');
    if (other != NULL && !find_referring(other, resource->foreign_key, item_id_text(item), query, &finding))
        list.failed = true;
    for (size_t i = 0; i < finding.count; i++) {
        if (i > 0)
            buffer_append_byte(&list, ',');
        buffer_append(&list, text_bytes(finding.items[i]->text));
    }
    buffer_append_byte(&list, ']');
    if (list.failed)
        object->failed = true;
    else
        set_member(object, name, buffer_bytes(&list));
    free(finding.items);
    buffer_fini(&list);
}

static void embed(struct documents *documents, const struct resource *resource, const struct item *item,
                  struct bytes name, struct query *query, struct buffer *object)
{
    const struct resource *other = resource_find(documents, name);
    struct buffer singular = {0};
    bool is_singular;

    noun_append_singular(&singular, name);
    is_singular = bytes_equal(buffer_bytes(&singular), name);
    buffer_fini(&singular);
    if (other != NULL && !other->is_collection)
        other = NULL;
    if (other == NULL && documents->options.compat == COMPAT_1) {
        if (is_singular)
            put_parent(documents, item, name, object);
        return;
    }
    put_children(resource, other, item, name, query, object);
}

void relations_append(struct documents *documents, const struct resource *resource, const struct item *item,
                      struct query *query, struct buffer *out)
{
    struct buffer object = {0};

    buffer_append(&object, text_bytes(item->text));
    for (size_t i = 0; i < query->embed_count; i++)
        embed(documents, resource, item, query->embeds[i], query, &object);
    for (size_t i = 0; i < query->expand_count; i++)
        put_parent(documents, item, query->expands[i], &object);
    buffer_append(out, buffer_bytes(&object));
    out->failed |= object.failed;
    buffer_fini(&object);
}
