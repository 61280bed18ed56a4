#include "base/number.h"
#include "engine/gateway/policy/cache_key.h"
#include "engine/gateway/routing/plan.h"
#include "message/plain_target.h"
#include "server/option_read.h"
#include "server/shown_text.h"
#include "server/text_list.h"
#include <string.h>

/* Only what nobody should have to find out at the first request; libcurl reads the URL again. */
bool option_is_http_url(struct bytes text)
{
    struct bytes authority;
    if (bytes_start_with(text, BYTES("http://")))
        authority = bytes_after(text, sizeof "http://" - 1);
    else if (bytes_start_with(text, BYTES("https://")))
        authority = bytes_after(text, sizeof "https://" - 1);
    else
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f ||
            text.data[i] == '#' || text.data[i] == '?')
            return false;
    if (authority.size == 0 || authority.data[0] == '/' || authority.data[0] == ':')
        return false;
    for (size_t i = 0; i < authority.size && authority.data[i] != '/'; i++)
        if (authority.data[i] == '@') /* a user and a password have no place in an origin's name */
            return false;
    /* What upstream_create would refuse. */
    return text.size <= CACHE_KEY_PRIMARY_MAX / 2 && memchr(text.data, '\\', text.size) == NULL &&
           target_is_plain(text, (struct bytes){NULL, 0});
}

/* "URL", or "URL weight=3". */
static bool is_origin(struct bytes text)
{
    static const struct bytes key = BYTES_INIT("weight=");
    const char *space = text.size > 0 ? memchr(text.data, ' ', text.size) : NULL;
    struct bytes url = space != NULL ? bytes_first(text, (size_t)(space - text.data)) : text, rest;
    uint64_t weight = 1;

    if (space != NULL) {
        rest = bytes_trim(bytes_after(text, url.size));
        if (!bytes_start_with(rest, key) || !uint64_parse(bytes_after(rest, key.size), &weight))
            return false;
    }
    return weight >= 1 && weight <= ORIGIN_WEIGHT_MAX && option_is_http_url(url);
}

/* Adds a line to those that are there. */
enum err option_read_origin(const struct option_text *from, void *into)
{
    char **field = into;
    struct bytes text = from->text;
    struct buffer lines = {0};
    size_t count = 1;
    enum err err;

    if (!is_origin(text)) {
        buffer_append_format(from->why,
                             "\"%s\" is not an origin; write one like https://api.example.com or "
                             "http://127.0.0.1:3000/base%s",
                             shown_text(text).text,
                             text.size > 0 && memchr(text.data, ' ', text.size) != NULL
                                 ? ", one of several perhaps like https://api.example.com weight=3"
                                 : "");
        return ERR_SYNTAX;
    }
    for (const char *at = *field; at != NULL; at = strchr(at + 1, '\n'))
        count++;
    if (count > ORIGINS_MAX) {
        buffer_append_format(from->why, "there are more than %d origins; leave some out", ORIGINS_MAX);
        return ERR_SYNTAX;
    }
    if (*field != NULL)
        buffer_append_format(&lines, "%s\n", *field);
    buffer_append(&lines, text);
    err = lines.failed ? ERR_NO_MEMORY : text_set(field, buffer_bytes(&lines));
    buffer_fini(&lines);
    return err;
}
