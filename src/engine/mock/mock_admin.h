/* mock_admin.h — what a mock is asked about its data as a whole, below /__admin/: snapshots of them, and
 * beginning anew. What is asked about rules alone is in rules/rules_admin.h.
 *
 *   GET    /__admin/snapshots               which there are
 *   POST   /__admin/snapshots               {"name": "before"} keeps the data as they are; without, a name
 * is made POST   /__admin/snapshots/NAME/restore  puts them back DELETE /__admin/snapshots/NAME forgets one
 *   POST   /__admin/reset                   the data and what rules remember begin anew; ?what=data,
 * ?what=rules */
#pragma once
#include "base/buffer.h"
#include "base/counters.h"
#include "message/exchange.h"

struct front;
struct snapshots;

struct mock_admin {
    struct snapshots *snapshots; /* null: the mock keeps no data */
    struct front *front;         /* null: it has no rules */
    struct bytes token;          /* what requests must bear; empty: they come from this machine */
};

/* Whether the request is for one of these. */
bool mock_admin_is_asked(const struct http_request *request);

/* Appends the JSON of the answer to `out` and returns its status. For a refusal `out` gets a problem
 * document, with "Allow: …" lines in `lines` where need be. Any thread. */
int mock_admin_answer(const struct mock_admin *admin, const struct http_request *request, struct bytes body,
                      int64_t wall_ms, struct buffer *out, struct buffer *lines);

/* Takes the exchange, as an engine's `begin` does. `admin` and `counters` are kept by reference. */
void mock_admin_begin(const struct mock_admin *admin, struct counters *counters, struct exchange *x);
