#include "asker.h"
#include "base/hash.h"

/* "/search" of "/search/issues": all of an API's parts below it are of one budget, where there are several.
 */
static struct bytes first_part(struct bytes path)
{
    const char *slash = path.size > 1 ? memchr(path.data + 1, '/', path.size - 1) : NULL;

    return slash != NULL ? bytes_first(path, (size_t)(slash - path.data)) : path;
}

void asker_of(const struct route *route, struct bytes path, const struct http_fields *fields, uint64_t seed,
              struct quota_ticket *ticket)
{
    uint64_t credential = 0;

    if (route->credential.value.size > 0)
        credential = hash_bytes(route->credential.value, seed);
    else
        for (size_t i = 0; i < fields->count; i++)
            if (fields->list[i].header == HTTP_HEADER_AUTHORIZATION ||
                bytes_equal_nocase(fields->list[i].name, BYTES("X-API-Key")))
                credential = hash_bytes(fields->list[i].value, seed ^ credential);
    ticket->credential = credential;
    ticket->path = hash_bytes(first_part(path), seed);
}
