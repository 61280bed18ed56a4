/* rules_admin.h — what a mock says of itself to tests, below /__admin/: which requests came, where
 * scenarios stand. Pure but for the state and the journal.
 *
 *   GET    /__admin/requests           the newest; ?limit=100, ?path=, ?method=, ?rule= choose
 *   POST   /__admin/requests/find      the same for a matcher (see matcher.h), in JSON or YAML
 *   POST   /__admin/requests/count     how many they are: {"count": 3}
 *   DELETE /__admin/requests           forgets them
 *   GET    /__admin/scenarios          each with its state
 *   POST   /__admin/scenarios          {"name": …, "state": …}: puts it there
 */
#pragma once
#include "journal.h"
#include "rules_state.h"

struct admin_scope {
    const struct rules *rules;
    struct rules_state *state;
    struct journal *journal; /* or null */
};

/* Whether the request is for one of these. */
bool rules_admin_is_asked(const struct http_request *request);

/* Appends the JSON of the answer to `out` and returns its status. For a refusal `out` gets a problem
 * document, with "Allow: …" lines in `lines` where need be. */
int rules_admin_answer(const struct admin_scope *scope, const struct request_view *view, struct buffer *out,
                       struct buffer *lines);
