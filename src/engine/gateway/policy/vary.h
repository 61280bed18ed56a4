/* vary.h — which request fields a response was chosen by (RFC 9110 §12.5.5, RFC 9111 §4.1). Pure. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

enum { VARY_NAMES_MAX = 16, VARY_TEXT_BYTES_MAX = 512 };

/* The names of all Vary lines: lower case, sorted, each once, each followed by '\n'. */
struct vary {
    size_t size;
    char text[VARY_TEXT_BYTES_MAX];
};

/* False if nothing may be reused: a "*" anywhere, something that is no name, or more than we keep. */
bool vary_of(const struct http_fields *fields, struct vary *vary);

/* Appends, for each name of `names` (as in struct vary), what `fields` say of it: their values as one list
 * without the blanks around commas. Fields that never go upstream count as absent, as the origin could not
 * have chosen by them. False if it takes more than `capacity` bytes; `*size` is then undefined. */
bool vary_values(struct bytes names, const struct http_fields *fields, char *text, size_t capacity,
                 size_t *size);

/* The same where all fields go upstream as they came. */
bool vary_values_as_they_came(struct bytes names, const struct http_fields *fields, char *text,
                              size_t capacity, size_t *size);
