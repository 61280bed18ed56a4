#include "base/number.h"
#include "engine/gateway/routing/plan.h"
#include "server/option_read.h"
#include "server/option_units.h"
#include "server/shown_text.h"
#include "server/text_list.h"
#include <string.h>

/* Writes "404=30s" as "404=30000". */
static enum err write_ttl(const struct option_row *row, struct bytes item, struct buffer *out,
                          struct buffer *why)
{
    const char *equals = memchr(item.data, '=', item.size);
    size_t size = equals != NULL ? (size_t)(equals - item.data) : item.size;
    struct bytes time = equals != NULL ? bytes_trim(bytes_after(item, size + 1)) : (struct bytes){0};
    int64_t ms;

    if (!option_units_parse(OPTION_TYPE_duration, time, &ms)) {
        buffer_append_format(why,
                             "\"%s\" does not fit; write a status and a time with its unit, such as "
                             "404=30s or 5xx=0",
                             shown_text(item).text);
        return ERR_SYNTAX;
    }
    if (ms > row->high) {
        buffer_append_format(why, "\"%s\" is longer than a year", shown_text(item).text);
        return ERR_RANGE;
    }
    buffer_append(out, bytes_trim(bytes_first(item, size)));
    buffer_append_format(out, "=%lld", (long long)ms);
    return OK;
}

static bool has_key_of(const char *items, struct bytes item)
{
    struct bytes rest = route_items(items), other;
    size_t size = (size_t)((const char *)memchr(item.data, '=', item.size) - item.data) + 1;

    while (http_list_next(&rest, &other))
        if (bytes_start_with(other, bytes_first(item, size)))
            return true;
    return false;
}

/* Adds one item to those that are there. */
static enum err add_item(const struct option_row *row, char **field, struct bytes item, struct buffer *why)
{
    const char *wrong = route_item_is_wrong((enum route_list)row->fallback, item);
    struct buffer items = {0};
    enum err err;

    if (wrong != NULL) {
        buffer_append_format(why, "\"%s\" %s", shown_text(item).text, wrong);
        return ERR_SYNTAX;
    }
    if (*field != NULL)
        buffer_append_format(&items, "%s,", *field);
    buffer_append(&items, item);
    if (items.size > ROUTE_LIST_BYTES_MAX) {
        buffer_append_format(why, "the list is longer than %d bytes; leave some out", ROUTE_LIST_BYTES_MAX);
        err = ERR_SYNTAX;
    } else {
        err = items.failed || items.data == NULL ? ERR_NO_MEMORY : text_set(field, buffer_bytes(&items));
    }
    buffer_fini(&items);
    return err;
}

static enum err add_ttl(const struct option_row *row, char **field, struct bytes text, struct buffer *why)
{
    struct buffer item = {0};
    enum err err = write_ttl(row, text, &item, why);

    if (err == OK && item.failed)
        err = ERR_NO_MEMORY;
    if (err == OK && has_key_of(*field, buffer_bytes(&item))) {
        buffer_append_format(why, "\"%s\" has a status that is there twice; keep one",
                             shown_text(text).text);
        err = ERR_SYNTAX;
    }
    if (err == OK)
        err = add_item(row, field, buffer_bytes(&item), why);
    buffer_fini(&item);
    return err;
}

enum err option_read_items(const struct option_text *from, void *field)
{
    bool are_ttls = from->row->fallback == ROUTE_LIST_TTLS;
    struct bytes rest = from->text, item;
    enum err err = OK;

    while (err == OK && http_list_next(&rest, &item))
        err = are_ttls ? add_ttl(from->row, field, item, from->why)
                       : add_item(from->row, field, item, from->why);
    return err;
}
