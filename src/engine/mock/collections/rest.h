/* rest.h — what a request means for the documents, as json-server 1 answers it; no I/O.
 *
 *   GET, HEAD  /name /name/id /       200 with an entity tag; 304 if If-None-Match has it
 *   POST       /name                  201, a random id whatever the body says, Location
 *   PUT        /name/id /object       200, all but the id replaced
 *   PATCH      /name/id /object       200, the body's members put over the old ones
 *   DELETE     /name/id               200 with what was deleted
 *   OPTIONS    any                    204, the CORS preflight
 *
 * A body is a JSON object whatever its media type; an empty one is {}. Nothing there, and a body that is no
 * object, are refused as json-server does, {"error":"…"}; all else with problem details. Where
 * json-server differs and why this does not follow: a wrong method is 405 with Allow (there 404), HEAD
 * works (there 400), malformed JSON is 400 (there 500), If-None-Match and If-Match are heeded (there
 * ignored). Query parameters on a collection, and _embed and _expand anywhere, are refused with 400:
 * answering as if they were not there would be wrong data. */
#pragma once
#include "documents.h"
#include "engine/mock/answer/answer.h"
#include "message/http.h"

enum { REST_BODY_BYTES_MAX = 1 << 20 };

/* Answers `request`, whose whole body is `body`. Any thread. The caller ends the answer with answer_fini.
 */
void rest_answer(struct documents *documents, const struct http_request *request, struct bytes body,
                 struct answer *answer);
