#include "coded_texts.h"
#include "coding/coder.h"
#include <stdlib.h>
#include <string.h>

enum { KEPT_TEXTS = 16 };

/* A text in gzip and whose it is: equal tags and sizes are equal bytes, as far as answers go (see text.h).
 */
struct kept {
    char etag[TEXT_ETAG_BYTES];
    size_t size;
    struct text *coded; /* null: none yet, or it did not get smaller */
};

struct coded_texts {
    struct kept kept[KEPT_TEXTS];
    size_t next; /* whose place is taken next */
};

struct coded_texts *coded_texts_create(void) { return calloc(1, sizeof(struct coded_texts)); }

void coded_texts_destroy(struct coded_texts *texts)
{
    if (texts == NULL)
        return;
    for (size_t i = 0; i < KEPT_TEXTS; i++)
        text_release(texts->kept[i].coded);
    free(texts);
}

bool coded_texts_are_wanted(const struct http_request *request)
{
    struct accepted_codings accepted;

    if (http_fields_find(&request->fields, HTTP_HEADER_ACCEPT_ENCODING) == NULL)
        return false;
    accepted = accepted_codings_of(&request->fields);
    return accepted.weights[CODING_GZIP] > 0 &&
           (!accepted.names_identity || accepted.weights[CODING_GZIP] >= accepted.weights[CODING_IDENTITY]);
}

static struct text *code(const struct text *text)
{
    struct coder *coder = coder_create(CODING_GZIP);
    struct buffer coded = {0};
    struct text *made = NULL;

    if (coder == NULL)
        return NULL;
    if (coder_feed(coder, text_bytes(text), CODER_END, &coded) && coded.size < text->size)
        made = text_create(buffer_bytes(&coded));
    coder_destroy(coder);
    buffer_fini(&coded);
    return made;
}

struct text *coded_texts_find(struct coded_texts *texts, const struct text *text)
{
    struct kept *kept;

    if (text->size < CODED_TEXT_BYTES_MIN || text->size > CODED_TEXT_BYTES_MAX)
        return NULL;
    for (size_t i = 0; i < KEPT_TEXTS; i++) {
        kept = &texts->kept[i];
        if (kept->size == text->size && memcmp(kept->etag, text->etag, TEXT_ETAG_BYTES) == 0)
            return kept->coded != NULL ? text_hold(kept->coded) : NULL;
    }
    kept = &texts->kept[texts->next];
    texts->next = (texts->next + 1) % KEPT_TEXTS;
    text_release(kept->coded);
    memcpy(kept->etag, text->etag, TEXT_ETAG_BYTES);
    kept->size = text->size;
    kept->coded = code(text);
    return kept->coded != NULL ? text_hold(kept->coded) : NULL;
}
