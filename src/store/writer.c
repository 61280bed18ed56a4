/* writer.c — a value that comes in pieces.
 *
 *              append*                     append*
 *   create ──► hidden ──── publish ──────► seen ──► commit
 *                 └─────────── commit ──────┘  └──► abort
 *
 * Whoever has borrowed it goes on reading, also after an abort, what there was. */
#include "store/put.h"
#include <stdlib.h>

struct nh_writer {
    nh_store *store;
    struct record_plan plan;
    uint32_t tag_hashes[NH_TAGS_MAX];
    nh_put_options options;
    int64_t now_ms; /* of the last call */
    uint32_t first; /* of the large value */
    bool is_published;
    nh_result failure; /* NH_OK so far */
    char key[];
};

nh_result nh_writer_create(nh_store *store, int64_t now_ms, nh_key key, const nh_put_options *given,
                           nh_writer **created)
{
    nh_put_options options;
    nh_writer *writer;
    nh_result result = key_check(store, key);

    if (result != NH_OK)
        return result;
    if (created == NULL || options_copy(&options, sizeof options, given) != NH_OK || options.keep_ttl ||
        options.ttl_ms < 0)
        return NH_INVALID;
    writer = malloc(sizeof *writer + key.size);
    if (writer == NULL)
        return NH_NO_MEMORY;
    *writer = (nh_writer){.store = store, .options = options, .now_ms = now_ms};
    memcpy(writer->key, key.data, key.size);
    key.data = writer->key;
    result = put_plan(store, now_ms, key, (nh_bytes){NULL, 0}, &options, writer->tag_hashes, &writer->plan);
    if (result == NH_OK) {
        writer->first = large_create(store, now_ms, &writer->plan);
        if (writer->first == SEGMENT_NONE)
            result = NH_FULL;
    }
    if (result != NH_OK) {
        free(writer);
        return write_refused(store, result);
    }
    *created = writer;
    return NH_OK;
}

nh_result nh_writer_append(nh_writer *writer, int64_t now_ms, nh_bytes bytes)
{
    nh_store *store;
    uint64_t written;

    if (writer == NULL || (bytes.data == NULL && bytes.size > 0))
        return NH_INVALID;
    store = writer->store;
    writer->now_ms = now_ms;
    if (writer->failure != NH_OK)
        return writer->failure;
    written = large_bytes(&store->arena, writer->first);
    if (bytes.size > store->value_bytes_max || written + bytes.size > store->value_bytes_max)
        writer->failure = NH_TOO_LARGE;
    else if (!large_append(store, now_ms, writer->first, bytes))
        writer->failure = NH_FULL;
    return write_refused(store, writer->failure);
}

/* Points the index at the value as it is. */
static nh_result publish(nh_writer *writer, int64_t now_ms, bool is_observed)
{
    nh_store *store = writer->store;
    struct write write;
    nh_result result;

    write_begin(&write, store, now_ms, writer->plan.key);
    do {
        result = write_lock_with_index_room(&write);
        if (result == NH_OK && !write_link(&write, large_record(&store->arena, writer->first), is_observed))
            result = NH_GROWING;
    } while (result == NH_GROWING);
    write_end(&write);
    writer->is_published = result == NH_OK;
    return write_refused(store, result);
}

nh_result nh_writer_publish(nh_writer *writer, int64_t now_ms)
{
    if (writer == NULL)
        return NH_INVALID;
    if (writer->failure != NH_OK)
        return writer->failure;
    return writer->is_published ? NH_OK : publish(writer, now_ms, false);
}

/* A value that would have shared a segment, had its size been known, does so after all. */
static bool is_small(const nh_writer *writer)
{
    nh_store *store = writer->store;
    uint64_t written = large_bytes(&store->arena, writer->first);
    return !writer->is_published && record_plan_bytes(&writer->plan) + written <= store->inline_bytes_max;
}

static nh_result commit_small(nh_writer *writer, int64_t now_ms, uint64_t *version)
{
    struct bytes piece = large_piece(writer->store, writer->first, 0);

    writer->plan.traits &= RECORD_NEGATIVE;
    writer->plan.value_bytes = piece.size;
    record_plan_traits(&writer->plan, now_ms);
    return put_planned(writer->store, now_ms, &writer->plan, &writer->options,
                       (nh_bytes){piece.data, piece.size}, version);
}

/* With the value published: settles its account, or takes it from its key. False if the key has another, or
 * was cleared or purged since. */
static bool settle(nh_writer *writer, bool is_kept)
{
    nh_store *store = writer->store;
    struct record *record = large_record(&store->arena, writer->first);
    struct write write;
    bool is_current;

    write_begin(&write, store, writer->now_ms, writer->plan.key);
    write_lock(&write);
    is_current = write.old == record;
    is_kept = is_kept && is_current && write.old_fate != FATE_CLEARED && write.old_fate != FATE_PURGED;
    if (is_kept)
        record_recount(store, &write.stripe->tally, record);
    else if (is_current)
        write_unlink(&write);
    write_end(&write);
    return is_kept;
}

nh_result nh_writer_commit(nh_writer *writer, int64_t now_ms, uint64_t *version)
{
    nh_result result = NH_OK;
    struct large *large;

    if (writer == NULL)
        return NH_INVALID;
    writer->now_ms = now_ms;
    large = large_at(&writer->store->arena, writer->first);
    if (writer->failure != NH_OK) {
        result = writer->failure;
        nh_writer_abort(writer);
        return result;
    }
    if (is_small(writer)) {
        result = commit_small(writer, now_ms, version);
    } else {
        atomic_store_explicit(&large->state, LARGE_COMPLETE, memory_order_release);
        if (!writer->is_published)
            result = publish(writer, now_ms, version != NULL);
        else if (!settle(writer, true))
            result = NH_CHANGED;
        if (result == NH_OK && version != NULL)
            *version =
                record_version(&writer->store->arena, large_record(&writer->store->arena, writer->first));
    }
    evictor_queue_large(writer->store, writer->first);
    free(writer);
    return result;
}

void nh_writer_abort(nh_writer *writer)
{
    if (writer == NULL)
        return;
    /* First out of the index: what is lent from there is growing, or whole. */
    if (writer->is_published)
        settle(writer, false);
    atomic_store_explicit(&large_at(&writer->store->arena, writer->first)->state, LARGE_ABORTED,
                          memory_order_release);
    evictor_queue_large(writer->store, writer->first);
    free(writer);
}
