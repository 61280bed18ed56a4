/* fetch_body.c — the body of a fetch as it comes: chunks that all readers share. */
#include "fetch_state.h"
#include <stdlib.h>

enum {
    CHUNK_BYTES_MAX = 1024 * 1024,
    CHUNK_BYTES = 16 * 1024, /* room of a chunk at least, once a body is larger than a piece */
};

struct chunk *chunk_create(size_t capacity)
{
    struct chunk *chunk = malloc(sizeof *chunk + capacity);

    if (chunk != NULL)
        *chunk = (struct chunk){.reference_count = 1, .capacity = (uint32_t)capacity};
    return chunk;
}

void chunk_release(struct chunk *chunk)
{
    while (chunk != NULL && --chunk->reference_count == 0) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

struct chunk *chunk_hold(struct chunk *chunk)
{
    chunk->reference_count++;
    return chunk;
}

bool fetch_append_body(struct fetch *fetch, struct bytes bytes)
{
    while (bytes.size > 0) {
        struct chunk *last = fetch->last;
        /* A reference to it is still held. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        size_t room = last->capacity - last->size;
        size_t taken = bytes.size < room ? bytes.size : room;

        if (room == 0) {
            size_t wanted = bytes.size < CHUNK_BYTES && fetch->body_bytes > 0 ? CHUNK_BYTES : bytes.size;
            struct chunk *made = chunk_create(wanted < CHUNK_BYTES_MAX ? wanted : CHUNK_BYTES_MAX);
            if (made == NULL)
                return false;
            fetch_lock(fetch);
            last->next = chunk_hold(made); /* one reference is the chain's, one is `last`'s */
            fetch->last = made;
            chunk_release(last);
            fetch_unlock(fetch);
            continue;
        }
        /* Nobody reads beyond `size`. */
        memcpy(last->data + last->size, bytes.data, taken);
        fetch_lock(fetch);
        last->size += (uint32_t)taken;
        fetch->body_bytes += taken;
        fetch_unlock(fetch);
        bytes = bytes_after(bytes, taken);
    }
    return true;
}

void fetch_copy_body(const struct fetch *fetch, struct buffer *value)
{
    for (const struct chunk *chunk = fetch->first; chunk != NULL; chunk = chunk->next)
        buffer_append(value, bytes_of(chunk->data, chunk->size));
}

void fetch_stop_keeping(struct fetch *fetch)
{
    if (!fetch->is_kept)
        return;
    fetch->is_kept = false;
    chunk_release(fetch->first);
    fetch->first = NULL;
}

void fetch_on_body(void *owner, struct bytes bytes)
{
    struct fetch *fetch = owner;
    bool pauses;

    if (fetch->progress == FETCH_AGAIN)
        return;
    if (!fetch_append_body(fetch, bytes)) {
        fetch_cancel(fetch, ERR_NO_MEMORY);
        return;
    }
    fetch_lock(fetch);
    if (fetch->is_kept && fetch->body_bytes > (uint64_t)fetch->route->policy.object_bytes_max) {
        fetch_leave_table(fetch);
        fetch_stop_keeping(fetch);
    }
    if (!fetch->is_kept)
        fetch_cut_stragglers(fetch);
    pauses = !fetch->is_kept && !fetch->is_paused && fetch_is_far_ahead(fetch);
    fetch->is_paused |= pauses;
    fetch_wake_readers(fetch);
    fetch_unlock(fetch);
    if (pauses)
        origin_pause(fetch->call);
    fetch_drop_if_unwanted(fetch);
}
