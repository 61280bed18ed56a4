#include "sort.h"
#include "base/compiler.h"
#include "word_order.h"
#include <stdlib.h>

/* One item's value of one key. A missing one is SCALAR_NONE with no text. */
struct sortable {
    struct item *item;
    struct scalar values[]; /* as many as the query has keys */
};

static int sign(bool above, bool below) { return (int)above - (int)below; }

/* What json-server 1 puts last: what JavaScript takes for false, but 0. */
static bool is_nothing(const struct scalar *value)
{
    return value->kind == SCALAR_NULL || value->kind == SCALAR_FALSE ||
           (value->kind == SCALAR_NONE && value->text.size == 0) ||
           (value->kind == SCALAR_STRING && value->text.size == 0);
}

/* 0.17 puts null behind all values, and what is missing behind null. */
static int absence(const struct scalar *value)
{
    if (value->kind == SCALAR_NONE && value->text.size == 0)
        return 2;
    return value->kind == SCALAR_NULL;
}

/* Numbers, and what JavaScript takes for such, come before words, and these before all else. */
static int rank(enum scalar_kind kind)
{
    switch (kind) {
    case SCALAR_NUMBER:
    case SCALAR_TRUE:
    case SCALAR_FALSE:
    case SCALAR_NULL: return 0;
    case SCALAR_STRING: return 1;
    case SCALAR_NONE: return 2;
    }
    UNREACHABLE();
}

static int compare_values(const struct scalar *a, const struct scalar *b, enum compat compat)
{
    int order, x, y;

    if (compat == COMPAT_1) {
        x = is_nothing(a);
        y = is_nothing(b);
        if (x != y || x != 0)
            return x - y;
        if (a->kind == SCALAR_STRING && b->kind == SCALAR_STRING)
            return word_compare(a->text, b->text);
    } else {
        x = absence(a);
        y = absence(b);
        if (x != y || x != 0)
            return x - y;
    }
    if (rank(a->kind) != rank(b->kind)) /* unlike JavaScript's, an order of all values */
        return rank(a->kind) - rank(b->kind);
    return scalar_compare(a, b, &order) ? order : 0;
}

static int compare(const void *left, const void *right, void *argument)
{
    const struct sortable *const *a = left, *const *b = right;
    const struct query *query = argument;

    for (size_t i = 0; i < query->sort_key_count; i++) {
        int order = compare_values(&(*a)->values[i], &(*b)->values[i], query->compat);
        if (order != 0)
            return query->sort_keys[i].descends ? -order : order;
    }
    return sign((*a)->item->sequence > (*b)->item->sequence, (*a)->item->sequence < (*b)->item->sequence);
}

bool items_sort(const struct query *query, struct item **items, size_t count)
{
    size_t each = sizeof(struct sortable) + query->sort_key_count * sizeof(struct scalar);
    char *room = count > 0 ? malloc(count * each) : NULL;
    struct sortable **order = count > 0 ? malloc(count * sizeof(struct sortable *)) : NULL;
    struct buffer *texts = count > 0 ? calloc(count, sizeof *texts) : NULL; /* of strings with escapes */
    bool ok = room != NULL && order != NULL && texts != NULL;

    for (size_t i = 0; ok && i < count; i++) {
        order[i] = (struct sortable *)(void *)(room + i * each);
        order[i]->item = items[i];
        for (size_t k = 0; k < query->sort_key_count; k++) {
            struct bytes value;
            order[i]->values[k] = (struct scalar){.kind = SCALAR_NONE};
            if (!json_scan_path(text_bytes(items[i]->text), &query->sort_keys[k].path, &value))
                continue;
            /* Text that a second key appends must not move the first one's. */
            if (memchr(value.data, '\\', value.size) != NULL && texts[i].capacity == 0 &&
                buffer_reserve(&texts[i], query->sort_key_count * items[i]->text->size) == NULL)
                ok = false;
            order[i]->values[k] = scalar_of(value, &texts[i]);
        }
    }
    if (ok) {
        qsort_r(order, count, sizeof(struct sortable *), compare, (void *)query);
        for (size_t i = 0; i < count; i++)
            items[i] = order[i]->item;
    }
    for (size_t i = 0; texts != NULL && i < count; i++)
        buffer_fini(&texts[i]);
    free(texts);
    free(order);
    free(room);
    return ok || count == 0;
}
