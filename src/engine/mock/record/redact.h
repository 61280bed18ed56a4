/* redact.h — what of an exchange must not be written down: the values of header fields and query parameters
 * whose names say so, and wherever else those of the request come again. Pure.
 *
 * A value of fewer than SECRET_BYTES_MIN bytes is taken out where its name stands, but not looked for. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

enum { SECRET_BYTES_MIN = 8, SECRETS_MAX = 64 };

/* Names beside those of is_secret_name; they are the caller's. */
struct secret_words {
    char *const *names;
    size_t count;
};

/* The secrets of one request: copies. Zeroed, it is empty. */
struct secrets {
    struct buffer text;
    struct {
        size_t begin, size;
    } values[SECRETS_MAX];
    size_t count;
    bool are_too_many; /* there were more than these */
};

/* Whether what goes by `name` is a secret. */
bool secret_words_have(const struct secret_words *words, struct bytes name);

/* Collects the request's. Of Authorization only what follows the scheme, of Cookie each cookie's value. */
void secrets_find(struct secrets *secrets, const struct secret_words *words,
                  const struct http_request *request);
void secrets_fini(struct secrets *secrets);

/* Appends `text` with SECRET_PLACEHOLDER in place of every secret of the request. True if there was one. */
bool secrets_redact(const struct secrets *secrets, struct bytes text, struct buffer *out);

/* Appends a response's field value as it may be written down: none of a secret's, but for Set-Cookie, whose
 * names and attributes stay; of others without the request's secrets, without the values of secret
 * parameters, be they of a URL's query or fragment or the field's own, and without URLs' user information.
 */
void secrets_redact_field(const struct secrets *secrets, const struct secret_words *words,
                          const struct http_field *field, struct buffer *out);
