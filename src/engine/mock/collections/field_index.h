/* field_index.h — from the value of one member to the items that have it, in their order.
 *
 * Guarded by whoever guards the items. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct item;
struct field_index;

/* Items in the order of their sequence. */
struct posting {
    struct item **items;
    size_t count, capacity;
};

/* An index without items of member `name` ("a.b" for one further down); null without memory. */
struct field_index *field_index_create(struct bytes name, uint64_t hash_seed);
void field_index_destroy(struct field_index *index); /* also of null */
struct bytes field_index_name(const struct field_index *index);

/* The items whose value is `key`, canonical JSON (json_scalar.h); those whose value is an array or an
 * object. Null if there is none. Valid until the next change. */
const struct posting *field_index_find(const struct field_index *index, struct bytes key);
const struct posting *field_index_others(const struct field_index *index);

/* True if no item has the member. */
bool field_index_is_empty(const struct field_index *index);

/* The memory that it takes, but for what the allocator adds. */
size_t field_index_bytes(const struct field_index *index);

/* Forgets all items, and takes none any more: it tells that there is no use in making it again. */
void field_index_give_up(struct field_index *index);
bool field_index_is_too_large(const struct field_index *index);

/* An item with its text came, or is about to go. False without memory: the index is then of no use. */
bool field_index_add(struct field_index *index, struct item *item);
void field_index_remove(struct field_index *index, struct item *item);
