/* restore.c — a store from the file that nh_save left.
 *
 * The file is read twice: once to check every head, checksum and bound, once to put what it holds. A file
 * that is not whole puts nothing. */
#include "store/put.h"
#include "store/saved.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct restoring {
    nh_store *store;
    int64_t now_ms;
    int64_t shift_ms; /* from the saved clock to this one */
    int fd;
    struct saved_head head;
    char *block; /* the payload of one */
    size_t block_capacity;
};

static nh_result read_all(struct restoring *restoring, void *to, size_t size)
{
    char *at = to;

    while (size > 0) {
        ssize_t got = read(restoring->fd, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return NH_IO;
        if (got == 0)
            return NH_CORRUPT; /* it ends too soon */
        at += got;
        size -= (size_t)got;
    }
    return NH_OK;
}

/* ---- checking ---- */

static nh_result read_head(struct restoring *restoring, int64_t wall_ms)
{
    struct saved_head *head = &restoring->head;
    struct stat status;
    nh_result result;
    int64_t gap_ms;

    if (fstat(restoring->fd, &status) != 0)
        return NH_IO;
    if (!S_ISREG(status.st_mode))
        return NH_CORRUPT;
    result = read_all(restoring, head, sizeof *head);
    if (result != NH_OK)
        return result;
    if (memcmp(head->magic, SAVED_MAGIC, sizeof head->magic) != 0 || head->format != SAVED_FORMAT ||
        head->byte_order != SAVED_BYTE_ORDER || head->file_bytes != (uint64_t)status.st_size ||
        head->checksum != hash_bytes(bytes_of(head, offsetof(struct saved_head, checksum)), 0))
        return NH_CORRUPT;
    /* With a clock that went back nobody can say how long it was away. */
    if (__builtin_sub_overflow(wall_ms, head->wall_ms, &gap_ms) || gap_ms < 0 ||
        __builtin_sub_overflow(restoring->now_ms, head->now_ms, &restoring->shift_ms) ||
        __builtin_sub_overflow(restoring->shift_ms, gap_ms, &restoring->shift_ms))
        return NH_CORRUPT;
    return NH_OK;
}

/* Reads the next block's payload, of which `*left` bytes at most are in the file. */
static nh_result read_block(struct restoring *restoring, uint64_t number, uint64_t *left,
                            struct saved_block *head)
{
    nh_result result;

    if (*left < sizeof *head)
        return NH_CORRUPT;
    result = read_all(restoring, head, sizeof *head);
    if (result != NH_OK)
        return result;
    *left -= sizeof *head;
    if (head->bytes > *left)
        return NH_CORRUPT;
    if (head->bytes > restoring->block_capacity) {
        char *larger = realloc(restoring->block, head->bytes);
        if (larger == NULL)
            return NH_NO_MEMORY;
        restoring->block = larger;
        restoring->block_capacity = head->bytes;
    }
    result = read_all(restoring, restoring->block, head->bytes);
    *left -= head->bytes;
    if (result == NH_OK && head->checksum != hash_bytes(bytes_of(restoring->block, head->bytes), number))
        result = NH_CORRUPT;
    return result;
}

/* One record of a payload, as bytes of it. */
struct parsed {
    struct saved_record head;
    const char *tag_hashes; /* unaligned */
    nh_key key;
    nh_bytes value;
};

/* Takes the next record off `*rest`. False if it is none. */
static bool parse(struct bytes *rest, struct parsed *parsed)
{
    struct saved_record *head = &parsed->head;
    size_t tag_bytes;

    if (rest->size < sizeof *head)
        return false;
    memcpy(head, rest->data, sizeof *head);
    *rest = bytes_after(*rest, sizeof *head);
    tag_bytes = head->tag_count * sizeof(uint32_t);
    if (head->traits & ~SAVED_TRAITS || head->tag_count > NH_TAGS_MAX || head->queue >= QUEUES ||
        head->uses > SLOT_USES_MAX || head->space >= NH_SPACES || head->key_bytes > NH_KEY_BYTES_MAX ||
        (!(head->traits & SAVED_EXPIRES) && head->expires_at_ms != 0) ||
        (!(head->traits & SAVED_STALE) && head->stale_at_ms != 0))
        return false;
    if (rest->size < tag_bytes + head->key_bytes ||
        rest->size - tag_bytes - head->key_bytes < head->value_bytes)
        return false;
    parsed->tag_hashes = rest->data;
    *rest = bytes_after(*rest, tag_bytes);
    parsed->key = (nh_key){rest->data, head->key_bytes, head->space};
    *rest = bytes_after(*rest, head->key_bytes);
    parsed->value = (nh_bytes){rest->data, head->value_bytes};
    *rest = bytes_after(*rest, head->value_bytes);
    return true;
}

static nh_result check_payload(const struct restoring *restoring, const struct saved_block *head)
{
    struct bytes rest = bytes_of(restoring->block, head->bytes);
    uint64_t count = 0;
    struct parsed parsed;

    for (; rest.size > 0; count++)
        if (!parse(&rest, &parsed))
            return NH_CORRUPT;
    return count == head->record_count ? NH_OK : NH_CORRUPT;
}

/* ---- putting ---- */

/* A saved moment on this store's clock. */
static int64_t shifted(const struct restoring *restoring, int64_t at_ms)
{
    return moment_after(at_ms, restoring->shift_ms);
}

static void put_parsed(struct restoring *restoring, const struct parsed *parsed)
{
    const struct saved_record *head = &parsed->head;
    uint32_t tag_hashes[NH_TAGS_MAX];
    struct record_plan plan = {
        .key = parsed->key,
        .value_bytes = parsed->value.size,
        .traits = head->traits & SAVED_NEGATIVE ? RECORD_NEGATIVE : 0,
        .flags = head->flags,
        .cost_ms = head->cost_ms,
        .note = head->note,
        .tag_count = head->tag_count,
        .tag_hashes = tag_hashes,
        .birth = tags_now(&restoring->store->tags),
    };

    memcpy(tag_hashes, parsed->tag_hashes, head->tag_count * sizeof *tag_hashes);
    if (head->traits & SAVED_EXPIRES)
        plan.expires_at_ms = shifted(restoring, head->expires_at_ms);
    if (head->traits & SAVED_STALE)
        plan.stale_at_ms = shifted(restoring, head->stale_at_ms);
    if ((plan.expires_at_ms != 0 && plan.expires_at_ms <= restoring->now_ms) ||
        key_check(restoring->store, parsed->key) != NH_OK ||
        parsed->value.size > restoring->store->value_bytes_max)
        return;
    record_plan_traits(&plan, restoring->now_ms);
    /* One that finds no room is as good as evicted. */
    put_restored(restoring->store, restoring->now_ms, &plan, parsed->value, (enum queue)head->queue,
                 head->uses);
}

static void put_payload(struct restoring *restoring, const struct saved_block *head)
{
    struct bytes rest = bytes_of(restoring->block, head->bytes);
    struct parsed parsed;

    while (rest.size > 0 && parse(&rest, &parsed))
        put_parsed(restoring, &parsed);
}

/* Goes through all blocks; puts what is in them if `puts`. */
static nh_result go_through(struct restoring *restoring, bool puts)
{
    uint64_t left = restoring->head.file_bytes - sizeof restoring->head, records = 0;
    struct saved_block head;

    if (lseek(restoring->fd, sizeof restoring->head, SEEK_SET) < 0)
        return NH_IO;
    for (uint64_t number = 0; number < restoring->head.block_count; number++) {
        nh_result result = read_block(restoring, number, &left, &head);
        if (result == NH_OK)
            result = check_payload(restoring, &head);
        if (result != NH_OK)
            return result;
        records += head.record_count;
        if (puts)
            put_payload(restoring, &head);
    }
    return left == 0 && records == restoring->head.record_count ? NH_OK : NH_CORRUPT;
}

nh_result nh_restore(nh_store *store, const char *path, int64_t now_ms, int64_t wall_ms, uint64_t *count)
{
    struct restoring restoring = {.store = store, .now_ms = now_ms};
    nh_result result;

    if (count != NULL)
        *count = 0;
    if (store == NULL || path == NULL)
        return NH_INVALID;
    restoring.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    if (restoring.fd < 0)
        return errno == ENOENT ? NH_MISSING : NH_IO;
    result = read_head(&restoring, wall_ms);
    if (result == NH_OK)
        result = go_through(&restoring, false);
    if (result == NH_OK) {
        store->tags.seed = restoring.head.tags_seed;
        evictor_go_on_from(store, restoring.head.sequence);
        result = go_through(&restoring, true);
        if (result == NH_OK && unlink(path) != 0)
            result = NH_IO; /* it must not be there when what it says is no longer true */
        if (result != NH_OK)
            nh_clear(store, NH_SPACE_ALL);
    }
    close(restoring.fd);
    free(restoring.block);
    if (result == NH_OK && count != NULL)
        *count = nh_count(store, NH_SPACE_ALL);
    return result;
}
