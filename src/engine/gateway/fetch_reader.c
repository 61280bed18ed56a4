/* fetch_reader.c — those who wait for a fetch and read what it brings, each at its own pace. */
#include "fetch_state.h"
#include <assert.h>

enum {
    WINDOW_BYTES = 256 * 1024,         /* of a body that is not kept: how far all readers may lag */
    RESUME_BYTES = WINDOW_BYTES / 2,   /* and how near it has to come before the origin goes on */
    STRAGGLER_BYTES = 8 * 1024 * 1024, /* and how far one alone may */
};

static void reader_task(struct task *task)
{
    struct reader *reader = CONTAINER_OF(task, struct reader, task);

    atomic_store(&reader->is_posted, false);
    reader->woken(reader);
}

void reader_init(struct reader *reader, struct gateway_worker *worker, void (*woken)(struct reader *reader))
{
    *reader = (struct reader){.worker = worker, .woken = woken, .task = {.run = reader_task}};
    list_init(&reader->in_fetch);
}

bool reader_is_quiet(const struct reader *reader) { return reader->fetch == NULL && !reader->is_posted; }

/* Has the reader look, if it does not know yet that it should. Under the lock. */
static void post(struct reader *reader)
{
    if (!atomic_exchange(&reader->is_posted, true))
        loop_post(reader->worker->loop, &reader->task);
}

void fetch_attach(struct fetch *fetch, struct reader *reader, bool is_leader)
{
    assert(reader->fetch == NULL);
    fetch->reference_count++;
    reader->fetch = fetch;
    reader->chunk = chunk_hold(fetch->first);
    reader->chunk_offset = 0;
    reader->read_bytes = 0;
    reader->is_waiting = false;
    reader->is_cut = false;
    reader->is_leader = is_leader;
    list_append(&fetch->readers, &reader->in_fetch);
}

struct reader *fetch_leader(struct fetch *fetch)
{
    struct reader *leader = NULL;

    fetch_lock(fetch);
    if (!list_is_empty(&fetch->readers))
        leader = CONTAINER_OF(fetch->readers.next, struct reader, in_fetch);
    if (leader != NULL && !leader->is_leader)
        leader = NULL;
    fetch_unlock(fetch);
    return leader;
}

/* ---- how far they are ---------------------------------------------------------------------------- */

void fetch_wake_readers(struct fetch *fetch)
{
    for (struct list *node = fetch->readers.next; node != &fetch->readers; node = node->next) {
        struct reader *reader = CONTAINER_OF(node, struct reader, in_fetch);
        if (!reader->is_waiting)
            continue;
        reader->is_waiting = false;
        post(reader);
    }
}

/* Under the lock. How far a reader is behind. */
static uint64_t lag_of(const struct fetch *fetch, const struct reader *reader)
{
    return fetch->body_bytes - reader->read_bytes;
}

/* Under the lock. How far the reader is behind that waits for more, or will first; 0 without readers. */
static uint64_t lag_bytes(const struct fetch *fetch)
{
    uint64_t least = UINT64_MAX;

    for (const struct list *node = fetch->readers.next; node != &fetch->readers; node = node->next) {
        uint64_t lag = lag_of(fetch, CONTAINER_OF(node, struct reader, in_fetch));
        least = lag < least ? lag : least;
    }
    return least == UINT64_MAX ? 0 : least;
}

bool fetch_is_far_ahead(const struct fetch *fetch) { return lag_bytes(fetch) > WINDOW_BYTES; }

bool fetch_may_go_on(const struct fetch *fetch)
{
    return fetch->is_paused && lag_bytes(fetch) <= RESUME_BYTES;
}

void fetch_cut_stragglers(struct fetch *fetch)
{
    if (fetch_is_far_ahead(fetch))
        return;
    for (struct list *node = fetch->readers.next; node != &fetch->readers; node = node->next) {
        struct reader *reader = CONTAINER_OF(node, struct reader, in_fetch);
        if (reader->is_cut || lag_of(fetch, reader) <= STRAGGLER_BYTES)
            continue;
        reader->is_cut = true;
        post(reader);
    }
}

/* ---- what they see ------------------------------------------------------------------------------- */

enum fetch_progress fetch_look(struct reader *reader)
{
    struct fetch *fetch = reader->fetch;
    enum fetch_progress progress;

    fetch_lock(fetch);
    progress = fetch->progress;
    reader->is_waiting = progress == FETCH_WAITING;
    fetch_unlock(fetch);
    return progress;
}

bool fetch_is_overdue(struct reader *reader)
{
    bool is_overdue;

    fetch_lock(reader->fetch);
    is_overdue = reader->fetch->is_overdue;
    fetch_unlock(reader->fetch);
    return is_overdue && !reader->is_leader;
}

bool fetch_has_head(struct reader *reader)
{
    bool has_head;

    fetch_lock(reader->fetch);
    has_head = reader->fetch->has_head;
    fetch_unlock(reader->fetch);
    return has_head;
}

enum err fetch_error(struct reader *reader)
{
    enum err error;

    fetch_lock(reader->fetch);
    error = reader->fetch->error;
    fetch_unlock(reader->fetch);
    return error;
}

struct fetch_refusal fetch_refusal(const struct reader *reader) { return reader->fetch->refusal; }

const struct fetch_head *fetch_head(const struct reader *reader) { return &reader->fetch->head; }

struct bytes fetch_read(struct reader *reader, size_t limit, enum fetch_progress *progress)
{
    struct fetch *fetch = reader->fetch;
    struct bytes piece = {0};
    bool goes_on = false;

    fetch_lock(fetch);
    while (reader->chunk_offset == reader->chunk->size && reader->chunk->next != NULL) {
        struct chunk *read = reader->chunk;
        reader->chunk = chunk_hold(read->next);
        reader->chunk_offset = 0;
        chunk_release(read);
    }
    piece =
        bytes_of(reader->chunk->data + reader->chunk_offset, reader->chunk->size - reader->chunk_offset);
    if (piece.size > limit)
        piece.size = limit;
    reader->chunk_offset += piece.size;
    reader->read_bytes += piece.size;
    *progress = fetch->progress;
    reader->is_waiting = piece.size == 0 && fetch->progress == FETCH_FLOWING;
    if (fetch_may_go_on(fetch)) {
        goes_on = fetch->worker == reader->worker;
        if (goes_on)
            fetch->is_paused = false;
        else
            fetch_call_for_attention(fetch);
    }
    fetch_unlock(fetch);
    if (goes_on && fetch->call != NULL)
        origin_resume(fetch->call);
    return piece;
}

uint64_t fetch_body_bytes(const struct reader *reader) { return reader->fetch->body_bytes; }

void fetch_leave(struct reader *reader)
{
    struct fetch *fetch = reader->fetch;

    if (fetch == NULL)
        return;
    fetch_lock(fetch);
    list_remove(&reader->in_fetch);
    chunk_release(reader->chunk);
    reader->chunk = NULL;
    reader->fetch = NULL;
    reader->is_waiting = false;
    if (list_is_empty(&fetch->readers) || fetch_may_go_on(fetch))
        fetch_call_for_attention(fetch);
    fetch_unlock_and_release(fetch);
}

void fetch_upload(struct reader *reader, struct bytes bytes, bool last)
{
    if (reader->fetch != NULL && reader->fetch->call != NULL)
        origin_send_body(reader->fetch->call, bytes, last);
}

void fetch_on_upload_wanted(struct reader *reader, void (*wanted)(struct reader *reader, size_t room))
{
    reader->fetch->upload_wanted = wanted;
}
