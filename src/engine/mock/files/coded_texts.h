/* coded_texts.h — texts of answers in gzip. One worker's: the latest few are kept, so that what many ask
 * for is coded once. */
#pragma once
#include "engine/mock/answer/text.h"
#include "message/http.h"

struct coded_texts;

enum {
    CODED_TEXT_BYTES_MIN = 1024,    /* below, there is little to save */
    CODED_TEXT_BYTES_MAX = 1 << 20, /* beyond, coding would hold the loop up */
};

struct coded_texts *coded_texts_create(void); /* null without memory */
void coded_texts_destroy(struct coded_texts *texts);

/* Whether who asks takes gzip, and likes it no less than what is not coded (RFC 9110 §12.5.3). */
bool coded_texts_are_wanted(const struct http_request *request);

/* Holds `text` in gzip for the caller. Null if it is too small or too large, does not get smaller, or there
 * is no memory: it is then sent as it is. */
struct text *coded_texts_find(struct coded_texts *texts, const struct text *text);
