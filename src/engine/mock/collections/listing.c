#include "base/compiler.h"
#include "documents_state.h"
#include "indexes.h"
#include "noun.h"
#include "relations.h"
#include "sort.h"
#include "where.h"
#include <stdlib.h>

enum {
    PAGE_ITEMS = 10,              /* of a page whose size the query does not say */
    NAMED_ITEMS_MAX = 32,         /* looked at to tell whether "check_in" is a member of that name */
    REPEATED_BYTES_MAX = 64 << 20 /* of an answer, beyond what the documents hold */
};

/* Items on their way from a collection to an answer. */
struct selection {
    struct documents *documents;
    struct resource *resource;
    struct query *query;
    bool ignored[QUERY_CONDITIONS_MAX]; /* conditions that ask nothing */
    struct item **items;                /* the collection's own, or ours */
    size_t count, first, end;           /* what of the items is answered with */
    bool is_ours;
};

/* ---- before the lock is held for reading ------------------------------------------------------- */

static bool is_equality(const struct condition *condition)
{
    return condition->operation == OPERATION_EQ || condition->operation == OPERATION_IN;
}

static void make_indexes(struct documents *documents, struct bytes name, const struct query *query)
{
    struct buffer key = {0};

    for (size_t i = 0; i < query->condition_count; i++)
        if (is_equality(&query->conditions[i]) &&
            !bytes_equal(query->conditions[i].name, documents->options.id_name))
            indexes_prepare(documents, name, query->conditions[i].name);
    if (query->embed_count > 0) {
        documents_foreign_key(documents, name, &key);
        for (size_t i = 0; i < query->embed_count; i++)
            indexes_prepare(documents, query->embeds[i], buffer_bytes(&key));
        buffer_fini(&key);
    }
}

/* ---- which items ------------------------------------------------------------------------------- */

static bool any_has(const struct selection *selection, const struct json_path *path, size_t count_max)
{
    const struct resource *resource = selection->resource;
    struct bytes value;

    for (size_t i = 0; i < resource->item_count && i < count_max; i++)
        if (!query_charge(selection->query, resource->items[i]->text->size))
            return false;
        else if (json_scan_path(text_bytes(resource->items[i]->text), path, &value))
            return true;
    return false;
}

/* "check_in=5" is about the member "check_in" if there is one. */
static void settle_names(struct selection *selection)
{
    for (size_t i = 0; i < selection->query->condition_count; i++) {
        struct condition *condition = &selection->query->conditions[i];
        struct json_path path = condition->path;
        if (!condition->may_be_name || !any_has(selection, &condition->name_path, NAMED_ITEMS_MAX))
            continue;
        condition->path = condition->name_path;
        condition->name_path = path;
        condition->name = (struct bytes){0}; /* no index is asked for by it */
        condition->operation = OPERATION_EQ;
    }
}

/* 0.17 passes over equalities with members that no item has. */
static void settle_ignored(struct selection *selection)
{
    for (size_t i = 0; i < selection->query->condition_count; i++) {
        const struct condition *condition = &selection->query->conditions[i];
        const struct field_index *index = indexes_find(selection->resource, condition->name);
        if (selection->query->compat != COMPAT_0_17 || condition->operation != OPERATION_EQ)
            continue;
        selection->ignored[i] =
            index != NULL ? field_index_is_empty(index) : !any_has(selection, &condition->path, SIZE_MAX);
    }
}

/* How many items the index says fulfil `condition`, and with `items` not null which: in any order. */
static size_t gather(const struct selection *selection, const struct condition *condition,
                     const struct field_index *index, struct item **items)
{
    const struct posting *others =
        selection->query->compat == COMPAT_0_17 ? field_index_others(index) : NULL;
    size_t count = 0;

    for (size_t i = 0; i < condition->operand_count; i++)
        for (size_t k = 0; k < condition->operands[i].key_count; k++) {
            const struct posting *posting = field_index_find(index, condition->operands[i].keys[k]);
            if (posting == NULL)
                continue;
            if (items != NULL)
                memcpy(items + count, posting->items, posting->count * sizeof(struct item *));
            count += posting->count;
        }
    if (others != NULL) {
        if (items != NULL)
            memcpy(items + count, others->items, others->count * sizeof(struct item *));
        count += others->count;
    }
    return count;
}

static int by_sequence(const void *a, const void *b)
{
    const struct item *const *x = a, *const *y = b;
    return ((*x)->sequence > (*y)->sequence) - ((*x)->sequence < (*y)->sequence);
}

static bool is_sorted(struct item *const *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (items[i - 1]->sequence >= items[i]->sequence)
            return false;
    return true;
}

/* Takes the items that one of the ids names. */
static enum err take_by_id(struct selection *selection, const struct condition *condition)
{
    selection->items = malloc((condition->operand_count + 1) * sizeof(struct item *));
    if (selection->items == NULL)
        return ERR_NO_MEMORY;
    selection->is_ours = true;
    for (size_t i = 0; i < condition->operand_count; i++) {
        struct item *item =
            item_find(selection->documents, selection->resource, condition->operands[i].text);
        if (item != NULL)
            selection->items[selection->count++] = item;
    }
    return OK;
}

/* Takes the fewest items among which all that are wanted are. */
static enum err take_candidates(struct selection *selection)
{
    const struct resource *resource = selection->resource;
    const struct condition *best = NULL;
    const struct field_index *best_index = NULL;
    size_t best_count = resource->item_count, kept = 0;
    enum err err = OK;

    if (selection->query->gave_up)
        return ERR_RANGE;
    for (size_t i = 0; i < selection->query->condition_count; i++) {
        const struct condition *condition = &selection->query->conditions[i];
        const struct field_index *index;
        size_t count;
        if (selection->ignored[i] || !is_equality(condition) || condition->name.size == 0)
            continue;
        if (bytes_equal(condition->name, selection->documents->options.id_name)) {
            err = take_by_id(selection, condition);
            goto sort;
        }
        index = indexes_find(resource, condition->name);
        if (index == NULL || (count = gather(selection, condition, index, NULL)) >= best_count)
            continue;
        best = condition;
        best_index = index;
        best_count = count;
    }
    if (best == NULL) {
        selection->items = resource->items;
        selection->count = resource->item_count;
        return OK;
    }
    selection->items = malloc((best_count + 1) * sizeof(struct item *));
    if (selection->items == NULL)
        return ERR_NO_MEMORY;
    selection->is_ours = true;
    selection->count = gather(selection, best, best_index, selection->items);
sort:
    if (err != OK || is_sorted(selection->items, selection->count))
        return err;
    qsort(selection->items, selection->count, sizeof(struct item *), by_sequence);
    for (size_t i = 0; i < selection->count; i++) /* a value may have been named twice */
        if (kept == 0 || selection->items[kept - 1] != selection->items[i])
            selection->items[kept++] = selection->items[i];
    selection->count = kept;
    return OK;
}

static bool is_wanted(const struct selection *selection, const struct item *item)
{
    struct query *query = selection->query;
    struct bytes text = text_bytes(item->text);

    for (size_t i = 0; i < query->condition_count; i++)
        if (!selection->ignored[i] && !condition_holds(query, &query->conditions[i], text))
            return false;
    return (query->where == NULL || where_holds(query->where, query, text)) &&
           (query->text_pattern == NULL || query_text_found(query, text));
}

/* Makes the items ours, so that they can be left out and sorted. */
static bool own_items(struct selection *selection)
{
    struct item **items;

    if (selection->is_ours)
        return true;
    items = malloc((selection->count + 1) * sizeof(struct item *));
    if (items == NULL)
        return false;
    if (selection->count > 0)
        memcpy(items, selection->items, selection->count * sizeof(struct item *));
    selection->items = items;
    selection->is_ours = true;
    return true;
}

static enum err filter(struct selection *selection)
{
    struct query *query = selection->query;
    size_t kept = 0, asked = query->text_pattern != NULL || query->where != NULL;

    for (size_t i = 0; i < query->condition_count; i++)
        asked += !selection->ignored[i];
    if (asked == 0)
        return OK;
    if (!own_items(selection))
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < selection->count && !query->gave_up; i++)
        if (is_wanted(selection, selection->items[i]))
            selection->items[kept++] = selection->items[i];
    selection->count = kept;
    if (query->scratch.failed)
        return ERR_NO_MEMORY;
    return query->gave_up ? ERR_RANGE : OK;
}

/* ---- which part of them ------------------------------------------------------------------------ */

static void cut_page(struct selection *selection, int64_t page, int64_t per_page, struct found *found)
{
    int64_t count = (int64_t)selection->count, pages = count / per_page + (count % per_page != 0);

    found->is_paged = true;
    if (selection->query->compat == COMPAT_1) { /* there is always a page, and it is one that there is */
        pages = pages > 0 ? pages : 1;
        page = page > pages ? pages : page;
    }
    found->page = page;
    found->page_count = pages;
    found->is_empty_page = page > pages;
    selection->first = found->is_empty_page ? selection->count : (size_t)((page - 1) * per_page);
    if (selection->count - selection->first > (size_t)per_page)
        selection->end = selection->first + (size_t)per_page;
}

/* An index of JavaScript's slice: from the end if it is negative. */
static size_t slice_index(int64_t index, size_t count)
{
    if (index < 0)
        index += (int64_t)count;
    if (index < 0)
        return 0;
    return index > (int64_t)count ? count : (size_t)index;
}

static void cut(struct selection *selection, struct found *found)
{
    const struct query *query = selection->query;
    struct query_number size = query->limit.is_given ? query->limit : query->per_page;
    int64_t per_page = size.is_number ? size.value : 0, start = query->start.value;

    found->total_count = selection->end = selection->count;
    if (query->page.is_given && (query->page.is_number || query->compat == COMPAT_0_17)) {
        if (per_page <= 0)
            per_page = query->compat == COMPAT_1 && size.is_number ? 1 : PAGE_ITEMS;
        found->is_counted = query->compat == COMPAT_0_17;
        cut_page(selection, query->page.is_number && query->page.value >= 1 ? query->page.value : 1,
                 per_page, found);
    } else if (query->end.is_given || query->limit.is_given) {
        int64_t end = query->end.is_given ? query->end.value : start + query->limit.value;
        found->is_counted = true;
        selection->first = slice_index(start, selection->count);
        selection->end = slice_index(end, selection->count);
        if (selection->end < selection->first)
            selection->end = selection->first;
    } else if (query->start.is_given && query->compat == COMPAT_1) {
        selection->first = slice_index(start, selection->count);
    }
}

/* ---- their text -------------------------------------------------------------------------------- */

static void append_number(struct buffer *out, const char *name, int64_t number)
{
    buffer_append_format(out, "\"%s\":", name);
    if (number > 0)
        buffer_append_int64(out, number);
    else
        buffer_append_literal(out, "null");
    buffer_append_byte(out, ',');
}

/* What json-server 1 has around a page. */
static void append_frame(struct buffer *out, const struct found *found)
{
    buffer_append_byte(out, '{');
    append_number(out, "first", 1);
    append_number(out, "prev", found->page - 1);
    append_number(out, "next", found->page < found->page_count ? found->page + 1 : 0);
    append_number(out, "last", found->page_count);
    append_number(out, "pages", found->page_count);
    buffer_append_format(out, "\"items\":%zu,\"data\":", found->total_count);
}

static enum err render(const struct selection *selection, const struct found *found, struct text **text)
{
    /* Whatever is embedded once always may be. */
    size_t size_max = selection->documents->held_bytes + REPEATED_BYTES_MAX;
    bool has_frame = found->is_paged && selection->query->compat == COMPAT_1;
    bool has_relations = relations_are_wanted(selection->query);
    struct buffer out = {0};
    enum err err = OK;
    size_t size = 512;

    for (size_t i = selection->first; i < selection->end; i++)
        size += selection->items[i]->text->size + 1;
    buffer_reserve(&out, size);
    if (has_frame)
        append_frame(&out, found);
    buffer_append_byte(&out, '[');
    for (size_t i = selection->first; i < selection->end && err == OK; i++) {
        if (i > selection->first)
            buffer_append_byte(&out, ',');
        if (has_relations)
            relations_append(selection->documents, selection->resource, selection->items[i],
                             selection->query, &out);
        else
            buffer_append(&out, text_bytes(selection->items[i]->text));
        if (out.size > size_max)
            err = ERR_TOO_LARGE;
        else if (selection->query->gave_up)
            err = ERR_RANGE;
    }
    buffer_append_byte(&out, ']');
    if (has_frame)
        buffer_append_byte(&out, '}');
    if (err == OK) {
        *text = out.failed ? NULL : text_create(buffer_bytes(&out));
        err = *text != NULL ? OK : ERR_NO_MEMORY;
    }
    buffer_fini(&out);
    return err;
}

enum err documents_list(struct documents *documents, struct bytes name, struct query *query,
                        struct text **text, struct found *found)
{
    struct selection selection = {.documents = documents, .query = query};
    enum err err;

    *found = (struct found){0};
    make_indexes(documents, name, query);
    pthread_rwlock_rdlock(&documents->lock);
    selection.resource = resource_find(documents, name);
    if (selection.resource == NULL || !selection.resource->is_collection) {
        pthread_rwlock_unlock(&documents->lock);
        return ERR_MISSING;
    }
    settle_names(&selection);
    settle_ignored(&selection);
    err = take_candidates(&selection);
    if (err == OK)
        err = filter(&selection);
    if (err == OK && query->sort_key_count > 0 &&
        (!own_items(&selection) || !items_sort(query, selection.items, selection.count)))
        err = ERR_NO_MEMORY;
    if (err == OK) {
        cut(&selection, found);
        err = render(&selection, found, text);
    }
    pthread_rwlock_unlock(&documents->lock);
    if (selection.is_ours)
        free(selection.items);
    return err;
}

enum err documents_read_related(struct documents *documents, const struct locator *locator,
                                struct query *query, struct text **text)
{
    struct resource *resource;
    struct item *item = NULL;
    struct buffer out = {0};
    enum err err = OK;

    make_indexes(documents, locator->name, query);
    pthread_rwlock_rdlock(&documents->lock);
    resource = resource_find(documents, locator->name);
    if (resource != NULL && resource->is_collection)
        item = item_find(documents, resource, locator->id);
    if (item == NULL)
        err = ERR_MISSING;
    else
        relations_append(documents, resource, item, query, &out);
    pthread_rwlock_unlock(&documents->lock);
    if (err == OK && query->gave_up)
        err = ERR_RANGE;
    if (err == OK) {
        *text = out.failed ? NULL : text_create(buffer_bytes(&out));
        err = *text != NULL ? OK : ERR_NO_MEMORY;
    }
    buffer_fini(&out);
    return err;
}
