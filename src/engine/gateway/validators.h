/* validators.h — by which validators the origin is asked about what is stored.
 *
 * An API may give each credential validators of its own for one and the same answer, as GitHub does: those
 * that another was given are not known to it, and cost a whole answer. So an answer says to which
 * credential its validators were given (its asker), and those that others were given for the same body are
 * kept beside it, each for itself. Who asks about it uses its own, or none; unless two credentials have
 * been given the same ones, by which any will do. */
#pragma once
#include "base/buffer.h"
#include "gateway_state.h"

struct validators {
    struct bytes etag, last_modified; /* both empty: none */
    struct buffer text;               /* what they point into, unless it is the response */
};

/* Those by which `asker`, as of asker_identity, may ask about `response`, which has to stay; fini is due.
 */
void validators_find(struct gateway *gateway, int64_t now_mono_ms, const struct stored_response *response,
                     uint64_t asker, struct validators *validators);
void validators_fini(struct validators *validators);

/* `response`, whose body `body` is, takes the place of `before`, which was found as `value`: its number
 * becomes that of the same body, what other credentials know goes on to be known for `keep_ms`, and its
 * flags say for whom its validators are. */
void validators_carry(struct gateway *gateway, int64_t now_mono_ms, const nh_value *value,
                      const struct stored_response *before, struct bytes body, int64_t keep_ms,
                      struct stored_response *response);
