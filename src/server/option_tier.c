#include "server/address_range.h"
#include "server/option_read.h"
#include "server/text_list.h"
#include "server/tier_url.h"

enum err option_read_tier(const struct option_text *from, void *field)
{
    struct tier_url url;
    enum err err = tier_url_parse(from->text, &url, from->why);

    if (err != OK)
        return err;
    tier_url_fini(&url);
    return text_set(field, from->text);
}

enum err option_read_ranges(const struct option_text *from, void *into)
{
    struct text_list *list = into;
    struct valkey_range ignored;

    if (!address_range_parse(from->text, &ignored, from->why))
        return ERR_SYNTAX;
    if (list->count == VALKEY_ALLOWED_MAX) {
        buffer_append_format(from->why, "there are more than %d ranges; write fewer, wider ones",
                             VALKEY_ALLOWED_MAX);
        return ERR_SYNTAX;
    }
    return text_list_append(list, from->text);
}
