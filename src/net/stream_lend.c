/* stream_lend.c — output that is lent: taken up, let go of, and copied for who is slow. */
#include "net/loop_common.h"

static void append_copy(struct buffer *output, const struct loan *loan)
{
    for (uint64_t at = 0; at < loan->size;) {
        struct bytes piece = loan->piece(loan, at);
        buffer_append(output, piece);
        at += piece.size;
    }
}

bool stream_may_lend(const struct stream *stream)
{
    return stream->tls == NULL && !stream->dead && !stream->closing;
}

void stream_lend(struct stream *stream, struct loan *loan)
{
    struct buffer *output = stream_output(stream);
    struct loop *loop = stream->loop;

    if (!stream_may_lend(stream))
        goto copy;
    if (stream->output_lent == NULL)
        stream->output_lent = lent_create();
    if (stream->output_lent == NULL || !lent_append(stream->output_lent, output, loan))
        goto copy;
    if (list_is_empty(&stream->in_lenders)) {
        stream->lent_since_ms = loop->now.mono_ms;
        list_append(&loop->lenders, &stream->in_lenders);
        if (!timer_is_set(&loop->loan_timer))
            timer_set(loop, &loop->loan_timer, loop->now.mono_ms + LOAN_MS);
    }
    return;

copy:
    append_copy(output, loan);
    loan->release(loan);
}

void stream_forget_lent(struct stream *stream)
{
    lent_destroy(stream->sending_lent);
    stream->sending_lent = NULL;
    list_remove(&stream->in_lenders);
    if (stream->output_lent == NULL)
        return;
    stream->lent_since_ms = stream->loop->now.mono_ms; /* its turn has only come */
    list_append(&stream->loop->lenders, &stream->in_lenders);
}

/* Replaces a buffer and what lies between its bytes by one buffer that holds all that follows `offset`. */
static void copy_lent(struct stream *stream, struct buffer **buffer, struct lent **lent, size_t offset)
{
    struct buffer *copy = pool_take(&stream->loop->pool);

    if (copy != NULL) {
        buffer_reserve(copy, (*buffer)->size + (*lent)->bytes - offset);
        lent_copy(*lent, *buffer, offset, copy);
    }
    stream_give_buffer(stream->loop, buffer);
    lent_destroy(*lent);
    *lent = NULL;
    *buffer = copy;
    if (copy == NULL || copy->failed)
        stream_break(stream, ERR_NO_MEMORY);
}

void stream_recalled(struct stream *stream)
{
    stream->recalled = false;
    if (stream->dead || stream->sending_lent == NULL)
        return;
    copy_lent(stream, &stream->sending, &stream->sending_lent, stream->sending_offset);
    stream->sending_offset = 0;
}

/* A slow reader must not keep others' values where they are: what it has not read is copied. */
static void recall_loans(struct stream *stream)
{
    list_remove(&stream->in_lenders);
    if (stream->output_lent != NULL)
        copy_lent(stream, &stream->output, &stream->output_lent, 0);
    if (stream->sending_lent == NULL || stream->dead)
        return;
    stream->recalled = true;
    stream->loop->back_end->recall(stream);
}

void stream_loan_timer_fired(struct timer *timer)
{
    struct loop *loop = CONTAINER_OF(timer, struct loop, loan_timer);

    while (!list_is_empty(&loop->lenders)) {
        struct stream *stream = CONTAINER_OF(loop->lenders.next, struct stream, in_lenders);
        if (stream->lent_since_ms + LOAN_MS > loop->now.mono_ms) {
            timer_set(loop, timer, stream->lent_since_ms + LOAN_MS);
            return;
        }
        recall_loans(stream);
    }
}
