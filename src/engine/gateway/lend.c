#include "lend.h"
#include "base/compiler.h"
#include <stdlib.h>

struct lender {
    nh_store *store;
    nh_value value;
    uint32_t reference_count; /* its creator's, and one for each loan */
};

struct value_loan {
    struct loan loan;
    struct lender *lender;
    uint64_t offset;
};

struct lender *lender_create(nh_store *store, nh_value *value)
{
    struct lender *lender = malloc(sizeof *lender);

    if (lender != NULL)
        *lender = (struct lender){store, *value, 1};
    return lender;
}

void lender_release(struct lender *lender)
{
    if (--lender->reference_count > 0)
        return;
    nh_release(lender->store, &lender->value);
    free(lender);
}

static struct bytes piece(const struct loan *loan, uint64_t offset)
{
    const struct value_loan *lent = CONTAINER_OF(loan, struct value_loan, loan);
    nh_bytes bytes;
    uint64_t left = loan->size - offset;

    if (nh_value_piece(lent->lender->store, &lent->lender->value, lent->offset + offset, &bytes) != NH_OK)
        UNREACHABLE(); /* a whole value has all its pieces */
    return bytes_of(bytes.data, bytes.size < left ? bytes.size : left);
}

static void release(struct loan *loan)
{
    struct value_loan *lent = CONTAINER_OF(loan, struct value_loan, loan);

    lender_release(lent->lender);
    free(lent);
}

bool lender_lend(struct lender *lender, struct exchange *x, uint64_t offset, uint64_t size)
{
    struct value_loan *lent = malloc(sizeof *lent);

    if (lent == NULL)
        return false;
    *lent = (struct value_loan){{size, piece, release}, lender, offset};
    lender->reference_count++;
    if (exchange_lend(x, &lent->loan))
        return true;
    lender->reference_count--;
    free(lent);
    return false;
}
