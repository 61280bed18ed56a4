/* kv_lend.c — large values go to the connection as they lie in the store. */
#include "engine/kv/kv_call.h"
#include <stdlib.h>

struct kv_loan {
    struct loan loan;
    nh_store *store;
    nh_value value;
};

static struct bytes piece(const struct loan *loan, uint64_t offset)
{
    const struct kv_loan *lent = CONTAINER_OF(loan, struct kv_loan, loan);
    nh_bytes bytes;

    if (LIKELY(lent->value.bytes.size > offset)) /* in one piece, or the first */
        return bytes_after(kv_bytes(lent->value.bytes), offset);
    if (nh_value_piece(lent->store, &lent->value, offset, &bytes) != NH_OK)
        UNREACHABLE(); /* a whole value has all its pieces */
    return kv_bytes(bytes);
}

static void release(struct loan *loan)
{
    struct kv_loan *lent = CONTAINER_OF(loan, struct kv_loan, loan);

    nh_release(lent->store, &lent->value);
    free(lent);
}

static bool lend(const struct kv_call *call, nh_key key, struct outcome *outcome)
{
    struct kv_loan *lent = malloc(sizeof *lent);

    if (lent == NULL)
        return false;
    /* No second use of the key by the same command. */
    if (nh_borrow_unnoticed(call->kv->store, call->now.mono_ms, key, &lent->value) == NH_OK) {
        lent->loan = (struct loan){lent->value.size, piece, release};
        lent->store = call->kv->store;
        if (outcome->kind != OUTCOME_value) { /* another one may have come meanwhile */
            outcome->item.version = lent->value.version;
            outcome->item.flags = lent->value.flags;
        }
        if (lent->value.size > 0 && (lent->value.traits & NH_VALUE_GROWING) == 0 &&
            call->reply->lend(call->reply, outcome, &lent->loan))
            return true;
        nh_release(call->kv->store, &lent->value);
    }
    free(lent);
    return false;
}

bool kv_lend(const struct kv_call *call, nh_key key, nh_value *value, const struct outcome *outcome)
{
    struct outcome with_loan = *outcome;

    if (LIKELY(value->size < LOAN_BYTES_MIN) || call->reply->lend == NULL)
        return false;
    /* What is lent for a moment must not wait for a client; what is borrowed may. */
    if (!lend(call, key, &with_loan))
        return false;
    nh_release(call->kv->store, value);
    return true;
}
