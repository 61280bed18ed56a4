/* rest.h — what a request means for the documents, as json-server answers it; no I/O.
 *
 *                                        json-server 1                     0.17
 *   GET, HEAD  / /name /name/id /db      200 with an entity tag; 304 if If-None-Match has it
 *              /name/id/nested           the items of "nested" that refer to that item
 *   POST       /name /name/id/nested     201, a random id whatever         201, the body's id or the
 *                                        the body says; Location           next; 409 if it is taken
 *   POST       /object                   405                               201, replaced
 *   PUT        /name/id /object          200, all but the id replaced
 *   PATCH      /name/id /object          200, the body's members put over the old ones
 *   DELETE     /name/id                  200 with what was deleted         200 with {}
 *   OPTIONS    any                       204, the CORS preflight
 *
 * Queries are query.h's. A body is a JSON object whatever its media type; an empty one is {}. What is not
 * there is refused as json-server does, and so is a body that is no object; all else with problem details.
 * Where json-server differs and why this does not follow: a wrong method is 405 with Allow (there 404),
 * HEAD works (in 1: 400), malformed JSON is 400 (in 1: 500), an id that is taken 409 (in 0.17: 500),
 * If-None-Match and If-Match are heeded. docs/mock.md lists it all. */
#pragma once
#include "documents.h"
#include "engine/mock/answer/answer.h"
#include "message/http.h"

enum { REST_BODY_BYTES_MAX = 1 << 20 };

/* Answers `request`, whose whole body is `body`. Any thread. The caller ends the answer with answer_fini.
 */
void rest_answer(struct documents *documents, const struct http_request *request, struct bytes body,
                 struct answer *answer);
