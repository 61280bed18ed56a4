#include "body_key.h"
#include <openssl/evp.h>

/* Each part with its size before it, so that no two requests say the same in different parts. */
static bool add_part(EVP_MD_CTX *context, struct bytes part)
{
    uint64_t size = part.size;

    return EVP_DigestUpdate(context, &size, sizeof size) == 1 &&
           (part.size == 0 || EVP_DigestUpdate(context, part.data, part.size) == 1);
}

static bool is_about_body(enum http_header header, struct bytes name)
{
    return header == HTTP_HEADER_CONTENT_TYPE || header == HTTP_HEADER_CONTENT_ENCODING ||
           bytes_equal_nocase(name, BYTES("Content-Language"));
}

bool body_digest(const struct http_request *request, struct bytes body,
                 unsigned char digest[KEY_DIGEST_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                   add_part(context, request->method_name);

    for (size_t i = 0; i < request->fields.count && is_good; i++) {
        const struct http_field *field = &request->fields.list[i];
        if (is_about_body(field->header, field->name))
            is_good = add_part(context, field->name) && add_part(context, field->value);
    }
    is_good = is_good && add_part(context, body) && EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

static bool has(struct bytes body, struct bytes word)
{
    return body.size > 0 && memmem(body.data, body.size, word.data, word.size) != NULL;
}

bool may_be_mutation(const struct http_request *request, struct bytes body)
{
    return http_fields_find(&request->fields, HTTP_HEADER_CONTENT_ENCODING) != NULL ||
           has(body, BYTES("mutation")) || has(body, BYTES("\\u"));
}
