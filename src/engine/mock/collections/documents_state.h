/* documents_state.h — what the files of the documents share.
 *
 * (1) `lock` guards all but request counts, which are atomic, and texts, which never change.
 * (2) `held_bytes` is the sum of what items and their texts take, `index_bytes` of what indexes do but for
 *     one that is being made; joined texts are counted nowhere.
 * (3) `items` is in the order of `sequence`, and so is whatever an index hands out. */
#pragma once
#include "base/hash_table.h"
#include "documents.h"
#include "field_index.h"
#include <pthread.h>

enum {
    FILLED_INDEXES_MAX = 8,
    EMPTY_INDEXES_MAX = 2, /* of members that no item has: anybody can ask for those */
    RESOURCE_INDEXES_MAX = FILLED_INDEXES_MAX + EMPTY_INDEXES_MAX,
    INDEX_ITEMS_MIN = 64,
};

struct item {
    struct hash_node by_id;
    uint64_t sequence;
    struct text *text;
    _Atomic uint64_t request_count;
    uint16_t id_size;
    bool id_is_number;
    char id[];
};

/* A collection, or a single object. */
struct resource {
    struct hash_node by_name;
    struct list in_order; /* of all */
    bool is_collection;
    struct text *text; /* of the object; of the collection: null when it must be joined anew */
    _Atomic uint64_t request_count;
    struct item **items;
    size_t item_count, item_capacity;
    struct hash_table by_id;
    struct field_index *indexes[RESOURCE_INDEXES_MAX]; /* the oldest first */
    struct field_index *building; /* the maker's, who changes it and `built_sequence` with the lock held for
                                   * reading; null: none */
    uint64_t built_sequence;      /* items before this one are in it */
    int64_t number_max;           /* the greatest id that is an integer, */
    bool number_max_known;        /* if that is known; 0 with none */
    struct bytes foreign_key;     /* with its quotes: the member by which items elsewhere refer to ours */
    struct bytes name;
    char bytes[];
};

struct documents {
    pthread_rwlock_t lock;
    uint64_t hash_seed;
    struct documents_options options;
    struct hash_table resources;
    struct list resource_order;
    struct text *root; /* lists the resources */
    _Atomic uint64_t root_request_count;
    uint64_t next_sequence;
    size_t held_bytes, held_bytes_max;
    size_t index_bytes, index_bytes_max;
    struct list observers; /* told in the order of writes, for the lock is held for writing */
    uint64_t change_count;
    struct buffer words; /* what `options` borrows */
};

static inline struct bytes item_id_text(const struct item *item)
{
    return bytes_of(item->id, item->id_size);
}

/* What is at a locator. At most one of the pointers that count is set. */
struct spot {
    enum place place;
    struct resource *resource;
    struct item *item;
};

/* Whether an id stands in JSON as an integer, which is then in `*number`. */
bool item_id_is_integer(struct item_id id, int64_t *number);

/* All of these with the lock held; those that change something, for writing. */
struct spot documents_find(struct documents *documents, const struct locator *locator);
struct resource *resource_find(const struct documents *documents, struct bytes name);
struct item *item_find(const struct documents *documents, const struct resource *resource, struct bytes id);
/* Where the first item is that has this sequence or a later one. */
size_t items_position(const struct resource *resource, uint64_t sequence);
enum err item_insert(struct documents *documents, struct resource *resource, struct item_id id,
                     struct text *text, struct item **item);
void item_replace(struct documents *documents, struct resource *resource, struct item *item,
                  struct text *text);
/* Puts what `make` says in place of the text of each of `items`, which are in order, if it is not null.
 * Only `member` may differ. */
void items_replace_member(struct documents *documents, struct resource *resource, struct bytes member,
                          struct item **items, size_t count,
                          struct text *(*make)(const struct item *item, struct bytes member));
/* Takes `items`, which are in order, out of their collection and tells observers; they are the caller's
 * then, to item_destroy. */
void items_detach(struct documents *documents, struct resource *resource, struct item *const *items,
                  size_t count);
void item_destroy(struct item *item);
/* Writes an id that no item of `resource` has into `text`: a number above all numbers if one is wanted and
 * left, else a random one. Without memory `text` has failed. */
void resource_choose_id(const struct documents *documents, struct resource *resource, bool wants_number,
                        struct buffer *text, bool *is_number);
enum err resource_add(struct documents *documents, struct bytes name, bool is_collection,
                      struct resource **added);
void resource_forget_text(struct resource *resource);
void documents_tell(struct documents *documents, struct documents_change change);
enum err documents_list_resources(struct documents *documents);

/* documents_load.c: fills empty documents. */
enum err documents_load(struct documents *documents, struct bytes json, struct buffer *message);
