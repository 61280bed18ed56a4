#include "field_index.h"
#include "base/hash.h"
#include "documents_state.h"
#include <stdlib.h>

struct entry {
    struct hash_node node;
    struct posting posting;
    struct item *only; /* what `posting.items` points at while there is one: most values are of one item */
    size_t key_size;
    char key[];
};

struct field_index {
    uint64_t hash_seed;
    struct hash_table by_key;
    struct posting others;
    struct json_path path;
    struct buffer name;
    struct buffer scratch;
    size_t bytes; /* of entries and lists of items */
    bool is_too_large;
};

static size_t position(const struct posting *posting, uint64_t sequence)
{
    size_t low = 0, high = posting->count;

    if (high > 0 && posting->items[high - 1]->sequence < sequence)
        return high; /* what comes mostly comes last */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (posting->items[middle]->sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool posting_add(struct field_index *index, struct posting *posting, struct item *item)
{
    size_t at = position(posting, item->sequence);

    if (posting->count == posting->capacity) {
        bool was_inside = posting->capacity == 1;
        size_t capacity = posting->capacity > 1 ? 2 * posting->capacity : 4;
        struct item **items = realloc(was_inside ? NULL : posting->items, capacity * sizeof(struct item *));
        if (items == NULL)
            return false;
        if (was_inside)
            items[0] = posting->items[0];
        index->bytes += (capacity - (was_inside ? 0 : posting->capacity)) * sizeof(struct item *);
        posting->items = items;
        posting->capacity = capacity;
    }
    memmove(posting->items + at + 1, posting->items + at, (posting->count - at) * sizeof(struct item *));
    posting->items[at] = item;
    posting->count++;
    return true;
}

static void posting_remove(struct posting *posting, const struct item *item)
{
    size_t at = position(posting, item->sequence);

    if (at < posting->count && posting->items[at] == item) {
        posting->count--;
        memmove(posting->items + at, posting->items + at + 1,
                (posting->count - at) * sizeof(struct item *));
    }
}

static struct entry *find(const struct field_index *index, struct bytes key, uint64_t hash)
{
    for (struct hash_node *node = hash_table_first(&index->by_key, hash); node != NULL;
         node = hash_table_next(node)) {
        struct entry *entry = CONTAINER_OF(node, struct entry, node);
        if (bytes_equal(bytes_of(entry->key, entry->key_size), key))
            return entry;
    }
    return NULL;
}

static struct entry *entry_create(struct field_index *index, struct bytes key, uint64_t hash,
                                  struct item *item)
{
    struct entry *entry = calloc(1, sizeof *entry + key.size);

    if (entry == NULL || !hash_table_insert(&index->by_key, &entry->node, hash)) {
        free(entry);
        return NULL;
    }
    entry->key_size = key.size;
    memcpy(entry->key, key.data, key.size);
    entry->only = item;
    entry->posting = (struct posting){.items = &entry->only, .count = 1, .capacity = 1};
    index->bytes += sizeof *entry + key.size;
    return entry;
}

static void entry_destroy(struct field_index *index, struct entry *entry)
{
    hash_table_remove(&index->by_key, &entry->node);
    index->bytes -= sizeof *entry + entry->key_size;
    if (entry->posting.capacity > 1) {
        index->bytes -= entry->posting.capacity * sizeof(struct item *);
        free(entry->posting.items);
    }
    free(entry);
}

/* The item's value as the index knows it; false if it has none. `*is_other`: an array or an object. */
static bool key_of(struct field_index *index, const struct item *item, struct bytes *key, bool *is_other)
{
    struct bytes value;

    if (!json_scan_path(text_bytes(item->text), &index->path, &value) || value.size == 0)
        return false;
    *is_other = value.data[0] == '[' || value.data[0] == '{';
    buffer_clear(&index->scratch);
    if (!*is_other)
        scalar_append_canonical(&index->scratch, value);
    *key = buffer_bytes(&index->scratch);
    return true;
}

bool field_index_add(struct field_index *index, struct item *item)
{
    struct entry *entry;
    struct bytes key;
    uint64_t hash;
    bool is_other;

    if (index->is_too_large || !key_of(index, item, &key, &is_other))
        return true;
    if (index->scratch.failed)
        return false;
    if (is_other)
        return posting_add(index, &index->others, item);
    hash = hash_bytes(key, index->hash_seed);
    entry = find(index, key, hash);
    if (entry == NULL)
        return entry_create(index, key, hash, item) != NULL;
    return posting_add(index, &entry->posting, item);
}

void field_index_remove(struct field_index *index, struct item *item)
{
    struct entry *entry;
    struct bytes key;
    bool is_other;

    if (index->is_too_large || !key_of(index, item, &key, &is_other))
        return;
    if (is_other) {
        posting_remove(&index->others, item);
        return;
    }
    entry = find(index, key, hash_bytes(key, index->hash_seed));
    if (entry == NULL)
        return;
    posting_remove(&entry->posting, item);
    if (entry->posting.count == 0)
        entry_destroy(index, entry);
}

struct field_index *field_index_create(struct bytes name, uint64_t hash_seed)
{
    struct field_index *index = calloc(1, sizeof *index);

    if (index == NULL)
        return NULL;
    index->hash_seed = hash_seed;
    buffer_append(&index->name, name);
    if (!json_path_parse(name, &index->path) || index->name.failed) {
        field_index_destroy(index);
        return NULL;
    }
    return index;
}

static void forget_all(struct field_index *index)
{
    for (size_t i = 0; i < index->by_key.chain_count; i++)
        for (struct hash_node *node = index->by_key.chains[i], *next; node != NULL; node = next) {
            struct entry *entry = CONTAINER_OF(node, struct entry, node);
            next = node->next;
            if (entry->posting.capacity > 1)
                free(entry->posting.items);
            free(entry);
        }
    free(index->by_key.chains);
    free(index->others.items);
    index->by_key = (struct hash_table){0};
    index->others = (struct posting){0};
    index->bytes = 0;
}

void field_index_destroy(struct field_index *index)
{
    if (index == NULL)
        return;
    forget_all(index);
    json_path_fini(&index->path);
    buffer_fini(&index->name);
    buffer_fini(&index->scratch);
    free(index);
}

struct bytes field_index_name(const struct field_index *index) { return buffer_bytes(&index->name); }

const struct posting *field_index_find(const struct field_index *index, struct bytes key)
{
    const struct entry *entry = find(index, key, hash_bytes(key, index->hash_seed));
    return entry != NULL ? &entry->posting : NULL;
}

const struct posting *field_index_others(const struct field_index *index)
{
    return index->others.count > 0 ? &index->others : NULL;
}

bool field_index_is_empty(const struct field_index *index)
{
    return index->by_key.node_count == 0 && index->others.count == 0;
}

size_t field_index_bytes(const struct field_index *index)
{
    return sizeof *index + index->name.capacity + index->path.room.capacity + index->bytes +
           index->by_key.chain_count * sizeof(struct hash_node *);
}

void field_index_give_up(struct field_index *index)
{
    forget_all(index);
    index->is_too_large = true;
}

bool field_index_is_too_large(const struct field_index *index) { return index->is_too_large; }
