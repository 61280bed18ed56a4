#include "indexes.h"
#include <assert.h>
#include <stdlib.h>

enum { PIECE_ITEMS = 512 }; /* put into an index with the lock held once: less than a millisecond */

/* ---- which there are ---------------------------------------------------------------------------- */

/* Also one that was too large, which holds nothing but the place of its name. */
static struct field_index *find_any(const struct resource *resource, struct bytes member)
{
    for (size_t i = 0; i < RESOURCE_INDEXES_MAX && resource->indexes[i] != NULL; i++)
        if (bytes_equal(field_index_name(resource->indexes[i]), member))
            return resource->indexes[i];
    return NULL;
}

struct field_index *indexes_find(const struct resource *resource, struct bytes member)
{
    struct field_index *index = find_any(resource, member);
    return index != NULL && !field_index_is_too_large(index) ? index : NULL;
}

static bool holds_items(const struct field_index *index)
{
    return !field_index_is_empty(index) && !field_index_is_too_large(index);
}

static size_t count_alike(const struct resource *resource, bool holds)
{
    size_t count = 0;

    for (size_t i = 0; i < RESOURCE_INDEXES_MAX && resource->indexes[i] != NULL; i++)
        count += holds_items(resource->indexes[i]) == holds;
    return count;
}

static void drop_at(struct documents *documents, struct resource *resource, size_t i)
{
    documents->index_bytes -= field_index_bytes(resource->indexes[i]);
    field_index_destroy(resource->indexes[i]);
    memmove(resource->indexes + i, resource->indexes + i + 1,
            (RESOURCE_INDEXES_MAX - 1 - i) * sizeof(struct field_index *));
    resource->indexes[RESOURCE_INDEXES_MAX - 1] = NULL;
}

static void drop_oldest(struct documents *documents, struct resource *resource, bool holds)
{
    size_t i = 0;

    while (holds_items(resource->indexes[i]) != holds)
        i++;
    drop_at(documents, resource, i);
}

/* Makes room for one more index: the oldest of its kind leaves if there are as many as may be, or one of
 * the other kind if that has taken the place meanwhile. */
static void make_room(struct documents *documents, struct resource *resource, bool holds)
{
    size_t alike = count_alike(resource, holds), others = count_alike(resource, !holds);

    if (alike >= (holds ? FILLED_INDEXES_MAX : EMPTY_INDEXES_MAX))
        drop_oldest(documents, resource, holds);
    else if (alike + others == RESOURCE_INDEXES_MAX)
        drop_oldest(documents, resource, !holds);
}

static void put(struct documents *documents, struct resource *resource, struct field_index *index)
{
    size_t i = 0;

    assert(find_any(resource, field_index_name(index)) == NULL); /* of two, one would not be kept right */
    make_room(documents, resource, holds_items(index));
    while (resource->indexes[i] != NULL)
        i++;
    resource->indexes[i] = index;
    documents->index_bytes += field_index_bytes(index);
}

/* ---- making one --------------------------------------------------------------------------------- */

static bool is_wanted(const struct resource *resource, struct bytes member)
{
    return resource != NULL && resource->is_collection && resource->item_count > INDEX_ITEMS_MIN &&
           member.size > 0 && resource->building == NULL && find_any(resource, member) == NULL;
}

/* Puts the next items into the index that is being made. False without memory. `*more`: some are left. */
static bool add_piece(struct resource *resource, struct field_index *index, bool *more)
{
    size_t at = items_position(resource, resource->built_sequence), end = at + PIECE_ITEMS;

    *more = end < resource->item_count;
    if (!*more)
        end = resource->item_count;
    for (; at < end; at++) {
        if (!field_index_add(index, resource->items[at]))
            return false;
        resource->built_sequence = resource->items[at]->sequence + 1;
    }
    return true;
}

/* Whether the index that is being made still is: its collection is there, and no writer gave it up. */
static struct resource *find_building(struct documents *documents, struct bytes name,
                                      const struct field_index *index)
{
    struct resource *resource = resource_find(documents, name);
    return resource != NULL && resource->building == index ? resource : NULL;
}

/* True when all items are in the index but those that come meanwhile. `*fits`: it may be kept. */
static bool build(struct documents *documents, struct bytes name, struct field_index *index, bool *fits)
{
    struct resource *resource;
    bool ok, more = true;

    do {
        pthread_rwlock_rdlock(&documents->lock);
        resource = find_building(documents, name, index);
        ok = resource != NULL && add_piece(resource, index, &more);
        *fits = field_index_bytes(index) <= documents->index_bytes_max;
        pthread_rwlock_unlock(&documents->lock);
    } while (ok && more && *fits);
    return ok;
}

/* Has older indexes of the collection leave for this one. False if that does not suffice. */
static bool make_bytes_free(struct documents *documents, struct resource *resource, size_t size)
{
    while (documents->index_bytes + size > documents->index_bytes_max && resource->indexes[0] != NULL)
        drop_at(documents, resource, 0);
    return documents->index_bytes + size <= documents->index_bytes_max;
}

/* Puts what came since into the index and the index where it is found. False without memory. */
static bool finish(struct documents *documents, struct resource *resource, struct field_index *index,
                   bool fits)
{
    bool more = fits;

    while (more)
        if (!add_piece(resource, index, &more))
            return false;
    if (!fits || !make_bytes_free(documents, resource, field_index_bytes(index)))
        field_index_give_up(index);
    put(documents, resource, index);
    return true;
}

void indexes_prepare(struct documents *documents, struct bytes name, struct bytes member)
{
    struct resource *resource;
    struct field_index *index = NULL;
    bool wanted, ok, fits = false;
    uint64_t seed;

    pthread_rwlock_rdlock(&documents->lock);
    wanted = is_wanted(resource_find(documents, name), member);
    seed = documents->hash_seed; /* which a reload changes; the index keeps its own */
    pthread_rwlock_unlock(&documents->lock);
    if (!wanted || (index = field_index_create(member, seed)) == NULL)
        return;
    pthread_rwlock_wrlock(&documents->lock);
    resource = resource_find(documents, name);
    wanted = is_wanted(resource, member);
    if (wanted) {
        resource->building = index;
        resource->built_sequence = 0;
    }
    pthread_rwlock_unlock(&documents->lock);

    ok = wanted && build(documents, name, index, &fits);
    pthread_rwlock_wrlock(&documents->lock);
    resource = find_building(documents, name, index);
    if (resource != NULL)
        resource->building = NULL;
    if (ok && resource != NULL && finish(documents, resource, index, fits))
        index = NULL;
    pthread_rwlock_unlock(&documents->lock);
    field_index_destroy(index);
}

void indexes_require(struct documents *documents, struct resource *resource, struct bytes member)
{
    struct field_index *index;
    bool ok = true;

    if (resource->item_count <= INDEX_ITEMS_MIN || find_any(resource, member) != NULL)
        return;
    index = field_index_create(member, documents->hash_seed);
    for (size_t i = 0; index != NULL && ok && i < resource->item_count; i++)
        ok = field_index_add(index, resource->items[i]);
    if (index == NULL || !ok) {
        field_index_destroy(index);
        return;
    }
    if (resource->building != NULL && bytes_equal(field_index_name(resource->building), member))
        resource->building = NULL; /* whoever makes it finds that it is not wanted */
    if (!make_bytes_free(documents, resource, field_index_bytes(index)))
        field_index_give_up(index);
    put(documents, resource, index);
}

/* ---- keeping them right ------------------------------------------------------------------------- */

static bool add_to(struct documents *documents, struct field_index *index, struct item *item)
{
    size_t before = field_index_bytes(index);
    bool ok = field_index_add(index, item);

    documents->index_bytes += field_index_bytes(index);
    documents->index_bytes -= before;
    return ok;
}

static void remove_from(struct documents *documents, struct field_index *index, struct item *item)
{
    size_t before = field_index_bytes(index);

    field_index_remove(index, item);
    documents->index_bytes += field_index_bytes(index);
    documents->index_bytes -= before;
}

/* The one that is being made, if the item is in it. Its bytes are not counted yet. */
static struct field_index *building_of(const struct resource *resource, const struct item *item)
{
    return item->sequence < resource->built_sequence ? resource->building : NULL;
}

/* Without memory an index goes until it is wanted again; beyond the bound, the oldest. */
static void settle(struct documents *documents, struct resource *resource, bool ok)
{
    if (!ok)
        indexes_destroy(documents, resource);
    else if (documents->index_bytes > documents->index_bytes_max)
        make_bytes_free(documents, resource, 0);
}

void indexes_add(struct documents *documents, struct resource *resource, struct item *item)
{
    struct field_index *building = building_of(resource, item);
    bool ok = true;

    if (building != NULL && !field_index_add(building, item))
        resource->building = NULL; /* whoever makes it finds that it is not wanted */
    for (size_t i = 0; ok && i < RESOURCE_INDEXES_MAX && resource->indexes[i] != NULL; i++)
        ok = add_to(documents, resource->indexes[i], item);
    settle(documents, resource, ok);
}

void indexes_remove(struct documents *documents, struct resource *resource, struct item *item)
{
    struct field_index *building = building_of(resource, item);

    if (building != NULL)
        field_index_remove(building, item);
    for (size_t i = 0; i < RESOURCE_INDEXES_MAX && resource->indexes[i] != NULL; i++)
        remove_from(documents, resource->indexes[i], item);
}

void indexes_add_member(struct documents *documents, struct resource *resource, struct bytes member,
                        struct item *item)
{
    struct field_index *building = building_of(resource, item), *index = indexes_find(resource, member);

    if (building != NULL && bytes_equal(field_index_name(building), member) &&
        !field_index_add(building, item))
        resource->building = NULL;
    if (index != NULL)
        settle(documents, resource, add_to(documents, index, item));
}

void indexes_remove_member(struct documents *documents, struct resource *resource, struct bytes member,
                           struct item *item)
{
    struct field_index *building = building_of(resource, item), *index = indexes_find(resource, member);

    if (building != NULL && bytes_equal(field_index_name(building), member))
        field_index_remove(building, item);
    if (index != NULL)
        remove_from(documents, index, item);
}

void indexes_destroy(struct documents *documents, struct resource *resource)
{
    while (resource->indexes[0] != NULL)
        drop_at(documents, resource, 0);
}
