#include "upstream.h"
#include "base/compiler.h"
#include "cache_key.h"
#include "upstream_fields.h"

/* Splits "http://authority/base"; the base is given without slashes at its end. */
static bool parse_origin_url(struct bytes url, struct bytes *base, struct bytes *authority)
{
    static const struct bytes schemes[] = {BYTES_INIT("http://"), BYTES_INIT("https://")};
    struct bytes rest = {0};
    const char *slash;

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (url.size > schemes[i].size && bytes_equal_nocase(bytes_first(url, schemes[i].size), schemes[i]))
            rest = bytes_after(url, schemes[i].size);
    if (rest.size == 0)
        return false;
    while (rest.data[rest.size - 1] == '/') {
        rest.size--;
        url.size--;
        if (rest.size == 0)
            return false;
    }
    slash = memchr(rest.data, '/', rest.size);
    *authority = slash == NULL ? rest : bytes_first(rest, (size_t)(slash - rest.data));
    *base = url;
    for (size_t i = 0; i < authority->size; i++)
        if (authority->data[i] == '@' || authority->data[i] == '?' || authority->data[i] == '\\')
            return false;
    return authority->size > 0 && authority->data[0] != ':' &&
           target_is_plain(bytes_after(rest, authority->size), *authority);
}

enum err upstream_init(struct upstream *upstream, struct bytes url, const struct origin_options *origin)
{
    struct bytes base, authority;

    *upstream = (struct upstream){.origin = *origin};
    if (!parse_origin_url(url, &base, &authority) || base.size > CACHE_KEY_PRIMARY_MAX / 2)
        return ERR_SYNTAX;
    buffer_append(&upstream->base_url, base);
    if (upstream->base_url.failed)
        return ERR_NO_MEMORY;
    upstream->authority = bytes_of(upstream->base_url.data + (authority.data - base.data), authority.size);
    return OK;
}

void upstream_fini(struct upstream *upstream) { buffer_fini(&upstream->base_url); }
