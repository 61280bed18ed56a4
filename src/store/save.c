/* save.c — a store into a file: everything alive, oldest first, so that what is restored into a smaller
 * store leaves it in the right order. */
#include "base/buffer.h"
#include "store/large.h"
#include "store/saved.h"
#include "store/stripe.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct saving {
    nh_store *store;
    int64_t now_ms;
    int fd;
    struct buffer block; /* begins with room for its head */
    uint64_t block_records;
    struct saved_head head;
};

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        data += written;
        size -= (size_t)written;
    }
    return true;
}

static void begin_block(struct saving *saving)
{
    static const struct saved_block none = {0};

    buffer_clear(&saving->block);
    buffer_append(&saving->block, bytes_of(&none, sizeof none));
    saving->block_records = 0;
}

static bool end_block(struct saving *saving)
{
    struct saved_block head = {.record_count = saving->block_records};
    struct bytes payload;

    if (saving->block.failed) {
        errno = ENOMEM;
        return false;
    }
    if (saving->block_records == 0)
        return true;
    payload = bytes_after(buffer_bytes(&saving->block), sizeof head);
    head.bytes = payload.size;
    head.checksum = hash_bytes(payload, saving->head.block_count);
    memcpy(saving->block.data, &head, sizeof head);
    if (!write_all(saving->fd, saving->block.data, saving->block.size))
        return false;
    saving->head.block_count++;
    saving->head.record_count += saving->block_records;
    saving->head.file_bytes += saving->block.size;
    begin_block(saving);
    return true;
}

static void append_value(struct saving *saving, const struct record *record, uint64_t value_bytes)
{
    nh_store *store = saving->store;

    if (!(record_traits(record) & RECORD_LARGE)) {
        buffer_append(&saving->block, bytes_of(record_value(record, record_traits(record)), value_bytes));
        return;
    }
    for (uint64_t at = 0; at < value_bytes;) {
        struct bytes piece = large_piece(store, large_first(&store->arena, record), at);
        buffer_append(&saving->block, piece);
        at += piece.size;
    }
}

static bool save_record(struct saving *saving, const struct record *record, uint64_t slot)
{
    nh_store *store = saving->store;
    uint32_t traits = record_traits(record), hashes[NH_TAGS_MAX];
    struct record_plan plan = record_plan_of(&store->arena, record, hashes);
    struct segment *segment = record_segment(&store->arena, record);
    struct saved_record saved = {
        .value_bytes = plan.value_bytes,
        .expires_at_ms = plan.expires_at_ms,
        .stale_at_ms = plan.stale_at_ms,
        .flags = plan.flags,
        .cost_ms = plan.cost_ms,
        .note = plan.note,
        .space = plan.key.space,
        .key_bytes = (uint32_t)plan.key.size,
        .traits = (uint8_t)((plan.expires_at_ms != 0 ? SAVED_EXPIRES : 0) |
                            (traits & RECORD_NEGATIVE ? SAVED_NEGATIVE : 0)),
        .tag_count = (uint8_t)plan.tag_count,
        .queue = atomic_load_explicit(&segment->queue, memory_order_relaxed),
        .uses = (uint8_t)slot_uses(slot),
    };

    if (traits & RECORD_LARGE)
        saved.value_bytes = large_bytes(&store->arena, large_first(&store->arena, record));
    /* What a purge has made stale stays so, though purges are not saved. */
    if ((saved.stale_at_ms == 0 || saved.stale_at_ms > saving->now_ms) &&
        record_is_stale(store, record, traits, saving->now_ms))
        saved.stale_at_ms = saving->now_ms != 0 ? saving->now_ms : -1;
    if (saved.stale_at_ms != 0)
        saved.traits |= SAVED_STALE;
    if (saving->block_records > 0 && saving->block.size + saved.value_bytes > SAVED_BLOCK_BYTES &&
        !end_block(saving))
        return false;
    buffer_append(&saving->block, bytes_of(&saved, sizeof saved));
    buffer_append(&saving->block, bytes_of(hashes, plan.tag_count * sizeof *hashes));
    buffer_append(&saving->block, bytes_of(plan.key.data, plan.key.size));
    append_value(saving, record, saved.value_bytes);
    saving->block_records++;
    return true;
}

/* Saves the record if the index points at it and it is alive. */
static bool save_if_alive(struct saving *saving, const struct record *record)
{
    nh_store *store = saving->store;
    uint64_t location = location_of(&store->arena, record);
    nh_key key = record_nh_key(record);
    struct found found;

    if (record_traits(record) & RECORD_DEAD)
        return true;
    found = index_find(&store->index, key_hash(store->hash_seed, key), key);
    if (found.record != record ||
        record_fate(store, record, record_traits(record), arena_segment(&store->arena, location),
                    saving->now_ms) != FATE_ALIVE)
        return true;
    return save_record(saving, record, found.slot);
}

/* The pages of a segment that has been saved: a file in memory needs them more. */
static void give_back(const nh_store *store, uint32_t number)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)segment_start(&store->arena, number) + page - 1) / page * page;
    uintptr_t end = (uintptr_t)segment_start(&store->arena, number + 1) / page * page;

    if (end > start)
        madvise((void *)start, end - start, MADV_DONTNEED);
}

static bool save_segment(struct saving *saving, uint32_t number)
{
    nh_store *store = saving->store;
    const struct segment *segment = &store->arena.segments[number];
    const char *start = segment_start(&store->arena, number);
    uint32_t part = number;

    if (atomic_load_explicit(&segment->queue, memory_order_relaxed) == QUEUE_LARGE) {
        if (!save_if_alive(saving, large_record(&store->arena, number)))
            return false;
    } else {
        for (uint32_t at = 0; at < segment->used_bytes;) {
            const struct record *record = (const struct record *)(const void *)(start + at);
            if (!save_if_alive(saving, record))
                return false;
            at += (uint32_t)record_bytes(record);
        }
    }
    while (part != SEGMENT_NONE) {
        uint32_t next = atomic_load_explicit(&store->arena.segments[part].part, memory_order_relaxed);
        give_back(store, part);
        part = next;
    }
    return true;
}

static bool save_queues(struct saving *saving)
{
    static const enum queue order[QUEUES] = {QUEUE_LARGE, QUEUE_MAIN, QUEUE_SMALL};
    nh_store *store = saving->store;

    for (unsigned i = 0; i < QUEUES; i++)
        for (unsigned group = 0; group < GROUPS; group++)
            for (uint32_t number = store->evictor.groups[group].queues[order[i]].first, next;
                 number != SEGMENT_NONE; number = next) {
                next = store->arena.segments[number].next;
                if (!save_segment(saving, number))
                    return false;
            }
    return end_block(saving);
}

static bool save_to(struct saving *saving)
{
    struct saved_head *head = &saving->head;

    head->file_bytes = sizeof *head;
    if (!write_all(saving->fd, (const char *)head, sizeof *head) || !save_queues(saving))
        return false;
    head->checksum = hash_bytes(bytes_of(head, offsetof(struct saved_head, checksum)), 0);
    return lseek(saving->fd, 0, SEEK_SET) == 0 && write_all(saving->fd, (const char *)head, sizeof *head) &&
           fsync(saving->fd) == 0;
}

/* All that is being filled goes to its queue. */
static void seal_everything(nh_store *store)
{
    for (unsigned i = 0; i < 1u << store->stripes_shift; i++) {
        lock_acquire(&store->stripes[i].lock);
        stripe_seal_all(store, &store->stripes[i]);
        lock_release(&store->stripes[i].lock);
    }
    lock_acquire(&store->evictor.lock);
    evictor_seal_survivors(store);
    lock_release(&store->evictor.lock);
}

nh_result nh_save(nh_store *store, const char *path, int64_t now_ms, int64_t wall_ms)
{
    struct saving saving = {.store = store, .now_ms = now_ms};
    struct buffer unfinished = {0};
    bool is_saved = false;
    int error;

    if (store == NULL || path == NULL)
        return NH_INVALID;
    buffer_append(&unfinished, bytes_of_text(path));
    buffer_append(&unfinished, bytes_of(".new", sizeof ".new"));
    if (unfinished.failed) {
        buffer_fini(&unfinished);
        return NH_NO_MEMORY;
    }
    saving.head = (struct saved_head){.magic = SAVED_MAGIC,
                                      .format = SAVED_FORMAT,
                                      .byte_order = SAVED_BYTE_ORDER,
                                      .now_ms = now_ms,
                                      .wall_ms = wall_ms,
                                      .tags_seed = store->tags.seed};
    saving.fd = open(unfinished.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (saving.fd >= 0) {
        seal_everything(store);
        saving.head.sequence = store->evictor.sequence;
        begin_block(&saving);
        is_saved = save_to(&saving);
        error = errno;
        is_saved &= close(saving.fd) == 0;
        is_saved = is_saved && rename(unfinished.data, path) == 0;
        if (!is_saved) {
            error = error != 0 ? error : errno;
            unlink(unfinished.data);
            errno = error;
        }
    }
    buffer_fini(&saving.block);
    buffer_fini(&unfinished);
    return is_saved ? NH_OK : NH_IO;
}
