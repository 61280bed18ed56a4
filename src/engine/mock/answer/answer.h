/* answer.h — what a part of the mock has to say to one request, before anybody sends it. */
#pragma once
#include "base/buffer.h"
#include "text.h"

/* A zeroed struct says nothing yet. */
struct answer {
    int status;
    bool is_read;           /* a 200 or 304 to GET or HEAD: carries the entity tag and may be cached */
    struct text *text;      /* the body, held; null: none */
    const char *media_type; /* of the body; static, or kept by whoever made it; null: "application/json" */
    struct buffer lines;    /* field lines beyond those that every answer has, "Name: value CRLF" each */
};

/* Makes `answer`, whatever it was, a refusal: a problem document (RFC 9457) with `detail` as the sentence
 * for people. `detail` is UTF-8. Without memory it has no body. */
void answer_refuse(struct answer *answer, int status, struct bytes detail);

/* Makes `answer`, whatever it was, an answer of `status` with `json` as its body. */
void answer_json(struct answer *answer, int status, struct bytes json);

void answer_fini(struct answer *answer);
