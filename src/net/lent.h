/* lent.h — the parts of a stream's output that are lent rather than copied: each lies between two bytes of
 * the buffer that holds the rest.
 *
 *   buffer  "$70000\r\n" │ "\r\n$80000\r\n" │ "\r\n"      An offset counts the bytes of both in the order
 * in lent                 piece            piece           which they are sent.
 *
 * A struct belongs to one buffer: that which is being filled, or that which is being sent. */
#pragma once
#include "base/buffer.h"
#include "base/loan.h"
#include <sys/socket.h>
#include <sys/uio.h>

enum { LENT_RUNS_MAX = 32 /* handed to the kernel at once */ };

struct lent_piece {
    size_t buffer_offset; /* of the buffer's bytes, how many go before it */
    size_t end;           /* the offset behind it */
    struct bytes bytes;
    struct loan *loan; /* released with this piece; null but for a loan's last one */
};

struct lent {
    struct lent_piece *pieces;
    size_t count, capacity;
    size_t first; /* pieces before it have been sent */
    size_t bytes; /* of all pieces */
    /* What is handed to the kernel, which may look at it until the call that submits returns. */
    struct msghdr message;
    struct iovec runs[LENT_RUNS_MAX];
};

/* A struct without pieces; null without memory. */
struct lent *lent_create(void);

/* Releases what has not been sent. May be given null. */
void lent_destroy(struct lent *lent);

/* Adds all of `loan` behind what `buffer` holds now. False, with nothing changed, without memory. */
bool lent_append(struct lent *lent, const struct buffer *buffer, struct loan *loan);

/* Writes down in `message` and `runs` what follows `offset`; returns how many bytes that is, perhaps not
 * all. */
size_t lent_gather(struct lent *lent, const struct buffer *buffer, size_t offset);

/* What lies before `offset` has been sent. */
void lent_sent(struct lent *lent, size_t offset);

/* Appends what follows `offset`, of both, to `copy`. */
void lent_copy(const struct lent *lent, const struct buffer *buffer, size_t offset, struct buffer *copy);
