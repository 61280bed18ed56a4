#include "net/lent.h"
#include <stdlib.h>

struct lent *lent_create(void)
{
    struct lent *lent = malloc(sizeof *lent);

    if (lent == NULL)
        return NULL;
    lent->pieces = NULL;
    lent->count = lent->capacity = lent->first = lent->bytes = 0;
    return lent;
}

void lent_destroy(struct lent *lent)
{
    if (lent == NULL)
        return;
    for (size_t i = lent->first; i < lent->count; i++)
        if (lent->pieces[i].loan != NULL)
            lent->pieces[i].loan->release(lent->pieces[i].loan);
    free(lent->pieces);
    free(lent);
}

static bool reserve_one(struct lent *lent)
{
    size_t capacity = lent->capacity > 0 ? lent->capacity * 2 : 4;
    struct lent_piece *pieces;

    if (lent->count < lent->capacity)
        return true;
    pieces = reallocarray(lent->pieces, capacity, sizeof *pieces);
    if (pieces == NULL)
        return false;
    lent->pieces = pieces;
    lent->capacity = capacity;
    return true;
}

bool lent_append(struct lent *lent, const struct buffer *buffer, struct loan *loan)
{
    size_t count_before = lent->count, bytes_before = lent->bytes;

    for (uint64_t at = 0; at < loan->size;) {
        struct bytes bytes = loan->piece(loan, at);
        if (!reserve_one(lent)) {
            lent->count = count_before;
            lent->bytes = bytes_before;
            return false;
        }
        at += bytes.size;
        lent->bytes += bytes.size;
        lent->pieces[lent->count++] = (struct lent_piece){buffer->size, buffer->size + lent->bytes, bytes,
                                                          at == loan->size ? loan : NULL};
    }
    return true;
}

/* Calls `run` with each run of bytes that follows `offset`, in order, until it says that it has enough. */
static void walk(const struct lent *lent, const struct buffer *buffer, size_t offset,
                 bool (*run)(void *context, struct bytes bytes), void *context)
{
    size_t at = lent->first > 0 ? lent->pieces[lent->first - 1].end : 0;
    size_t buffer_at = lent->first > 0 ? lent->pieces[lent->first - 1].buffer_offset : 0;

    for (size_t i = lent->first; i <= lent->count; i++) {
        bool is_last = i == lent->count;
        struct bytes runs[2] = {
            bytes_first(bytes_after(buffer_bytes(buffer), buffer_at),
                        (is_last ? buffer->size : lent->pieces[i].buffer_offset) - buffer_at),
            is_last ? bytes_of(NULL, 0) : lent->pieces[i].bytes,
        };
        buffer_at += runs[0].size;
        for (int j = 0; j < 2; j++) {
            size_t skipped = offset <= at ? 0 : offset - at < runs[j].size ? offset - at : runs[j].size;
            at += runs[j].size;
            if (skipped < runs[j].size && !run(context, bytes_after(runs[j], skipped)))
                return;
        }
    }
}

struct gathering {
    struct lent *lent;
    size_t bytes;
};

static bool gather(void *context, struct bytes bytes)
{
    struct gathering *gathering = context;
    struct msghdr *message = &gathering->lent->message;

    message->msg_iov[message->msg_iovlen++] = (struct iovec){(void *)(uintptr_t)bytes.data, bytes.size};
    gathering->bytes += bytes.size;
    return message->msg_iovlen < LENT_RUNS_MAX;
}

size_t lent_gather(struct lent *lent, const struct buffer *buffer, size_t offset)
{
    struct gathering gathering = {lent, 0};

    lent->message = (struct msghdr){.msg_iov = lent->runs};
    walk(lent, buffer, offset, gather, &gathering);
    return gathering.bytes;
}

void lent_sent(struct lent *lent, size_t offset)
{
    while (lent->first < lent->count && lent->pieces[lent->first].end <= offset) {
        struct loan *loan = lent->pieces[lent->first++].loan;
        if (loan != NULL)
            loan->release(loan);
    }
}

static bool copy_run(void *context, struct bytes bytes)
{
    buffer_append(context, bytes);
    return true;
}

void lent_copy(const struct lent *lent, const struct buffer *buffer, size_t offset, struct buffer *copy)
{
    walk(lent, buffer, offset, copy_run, copy);
}
