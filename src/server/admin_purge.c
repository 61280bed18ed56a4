#include "server/admin_purge.h"
#include "base/compiler.h"
#include <jansson.h>
#include <stdlib.h>

static const struct {
    const char *name;
    enum purge_kind kind;
} kinds[] = {
    {"url", PURGE_URL},
    {"prefix", PURGE_PREFIX},
    {"tag", PURGE_TAG},
    {"all", PURGE_ALL},
};

/* Where a text begins and ends in `text`, until that moves no more. */
struct span {
    size_t start, size;
};

static bool append_order(struct admin_purges *purges, enum purge_kind kind, bool is_soft,
                         const json_t *text, struct span *spans, struct buffer *why)
{
    if (purges->count == ADMIN_PURGES_MAX) {
        buffer_append_format(why, "more than %d purges in one request", ADMIN_PURGES_MAX);
        return false;
    }
    if (!json_is_string(text) || json_string_length(text) == 0) {
        buffer_append_literal(why,
                              "url, prefix and tag take a text, or a list of texts, none of them empty");
        return false;
    }
    spans[purges->count] = (struct span){purges->text.size, json_string_length(text)};
    buffer_append(&purges->text, bytes_of(json_string_value(text), json_string_length(text)));
    purges->orders[purges->count++] = (struct purge_order){.kind = kind, .is_soft = is_soft};
    return true;
}

static bool append_orders(struct admin_purges *purges, enum purge_kind kind, bool is_soft,
                          const json_t *value, struct buffer *why)
{
    struct span spans[ADMIN_PURGES_MAX] = {0};
    bool is_good = true;

    if (kind == PURGE_ALL) {
        if (!json_is_true(value)) {
            buffer_append_literal(why, "all is true or not there");
            return false;
        }
        purges->orders[purges->count++] = (struct purge_order){.kind = kind, .is_soft = is_soft};
        return true;
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && is_good; i++)
            is_good = append_order(purges, kind, is_soft, json_array_get(value, i), spans, why);
        if (json_array_size(value) == 0) {
            buffer_append_literal(why, "the list is empty: there is nothing to purge");
            return false;
        }
    } else {
        is_good = append_order(purges, kind, is_soft, value, spans, why);
    }
    if (purges->text.failed)
        buffer_append_literal(why, "no memory");
    else
        for (size_t i = 0; i < purges->count; i++)
            purges->orders[i].text = bytes_of(purges->text.data + spans[i].start, spans[i].size);
    return is_good && !purges->text.failed;
}

static bool read_members(struct admin_purges *purges, const json_t *root, struct buffer *why)
{
    const json_t *soft = json_object_get(root, "soft"), *chosen = NULL;
    enum purge_kind kind = PURGE_ALL;
    size_t known = soft != NULL;

    if (soft != NULL && !json_is_boolean(soft)) {
        buffer_append_literal(why, "soft is true or false");
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const json_t *value = json_object_get(root, kinds[i].name);
        if (value == NULL)
            continue;
        known++;
        if (chosen != NULL) {
            buffer_append_literal(why, "url, prefix, tag or all: only one of them in one request");
            return false;
        }
        chosen = value;
        kind = kinds[i].kind;
    }
    if (chosen == NULL || json_object_size(root) != known) {
        buffer_append_literal(
            why,
            "write {\"url\": …}, {\"prefix\": …}, {\"tag\": …} or {\"all\": true}, with \"soft\": true if "
            "it is to become stale only; there are no other keys");
        return false;
    }
    return append_orders(purges, kind, json_is_true(soft), chosen, why);
}

bool admin_purges_read(struct admin_purges *purges, struct bytes json, struct buffer *why)
{
    json_error_t error;
    json_t *root = json_loadb(json.size > 0 ? json.data : "", json.size, JSON_REJECT_DUPLICATES, &error);
    bool is_good;

    *purges = (struct admin_purges){.orders = calloc(ADMIN_PURGES_MAX, sizeof *purges->orders)};
    if (root == NULL)
        buffer_append_format(why, "line %d, column %d of the JSON: %s", error.line, error.column,
                             error.text);
    else if (!json_is_object(root))
        buffer_append_literal(why, "the JSON must be an object, such as {\"url\": \"/birds/1\"}");
    else if (purges->orders == NULL)
        buffer_append_literal(why, "no memory");
    is_good = why->size == 0 && !why->failed && read_members(purges, root, why);
    json_decref(root);
    return is_good;
}

void admin_purges_fini(struct admin_purges *purges)
{
    free(purges->orders);
    buffer_fini(&purges->text);
    *purges = (struct admin_purges){0};
}
