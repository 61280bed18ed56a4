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

static struct lender *lender_create(nh_store *store, const nh_value *value)
{
    struct lender *lender = malloc(sizeof *lender);

    if (lender != NULL)
        *lender = (struct lender){store, *value, 1};
    return lender;
}

static void lender_release(struct lender *lender)
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

/* False if x has to be given a copy. */
static bool lend(struct lender *lender, struct exchange *x, uint64_t offset, uint64_t size)
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

void value_send(nh_store *store, nh_value *value, struct lender **lender, struct exchange *x,
                uint64_t offset, uint64_t size)
{
    if (size >= LOAN_BYTES_MIN) {
        if (*lender == NULL)
            *lender = lender_create(store, value);
        if (*lender != NULL && lend(*lender, x, offset, size))
            return;
    }
    for (uint64_t end = offset + size; offset < end;) {
        nh_bytes bytes;
        if (nh_value_piece(store, value, offset, &bytes) != NH_OK)
            UNREACHABLE(); /* a whole value has all its pieces */
        if (bytes.size > end - offset)
            bytes.size = end - offset;
        exchange_send(x, bytes_of(bytes.data, bytes.size));
        offset += bytes.size;
    }
}

void value_release(nh_store *store, nh_value *value, struct lender **lender)
{
    if (*lender != NULL)
        lender_release(*lender);
    else
        nh_release(store, value);
    *lender = NULL;
}
