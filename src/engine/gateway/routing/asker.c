#include "asker.h"
#include "base/hash.h"
#include <openssl/evp.h>

/* "/search" of "/search/issues": all of an API's parts below it are of one budget, where there are several.
 */
static struct bytes first_part(struct bytes path)
{
    const char *slash = path.size > 1 ? memchr(path.data + 1, '/', path.size - 1) : NULL;

    return slash != NULL ? bytes_first(path, (size_t)(slash - path.data)) : path;
}

/* Their sizes go with them, so that no two that differ are one. */
static bool add(EVP_MD_CTX *context, struct bytes value)
{
    uint64_t size = value.size;

    return EVP_DigestUpdate(context, &size, sizeof size) == 1 &&
           (value.size == 0 || EVP_DigestUpdate(context, value.data, value.size) == 1);
}

static bool is_credential(const struct http_field *field)
{
    return field->header == HTTP_HEADER_AUTHORIZATION ||
           bytes_equal_nocase(field->name, BYTES("X-API-Key"));
}

uint64_t asker_identity(const struct route *route, const struct http_fields *fields)
{
    const struct http_fields own = {(struct http_field *)(uintptr_t)&route->credential, 1};
    bool has_own = route->credential.value.size > 0, is_good = true;
    const struct http_fields *shown = has_own ? &own : fields;
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = NULL;
    uint64_t identity = 0;

    for (size_t i = 0; i < shown->count && is_good; i++) {
        if (!has_own && !is_credential(&shown->list[i]))
            continue;
        if (context == NULL) {
            context = EVP_MD_CTX_new();
            is_good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
        }
        is_good = is_good && add(context, shown->list[i].value);
    }
    if (context == NULL && is_good)
        return 0;
    if (is_good && EVP_DigestFinal_ex(context, digest, NULL) == 1)
        memcpy(&identity, digest, sizeof identity);
    EVP_MD_CTX_free(context);
    return identity != 0 ? identity : 1; /* without memory: those that could not be told apart */
}

void asker_of(const struct route *route, struct bytes path, const struct http_fields *fields, uint64_t seed,
              struct quota_ticket *ticket)
{
    uint64_t identity = asker_identity(route, fields);

    /* With the seed, so that nobody finds many that share a place in the quota's table. */
    ticket->asker = identity;
    ticket->credential = identity != 0 ? hash_bytes(bytes_of(&identity, sizeof identity), seed) : 0;
    ticket->path = hash_bytes(first_part(path), seed);
}
