#include "engine/kv/kv_acl_log.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_session.h"
#include <stdio.h>
#include <stdlib.h>

enum { TOGETHER_MS = 60 * 1000 };

struct entry {
    struct list in_log; /* the latest first */
    enum kv_refusal refusal;
    uint64_t count;
    int64_t at_ms; /* monotonic */
    struct buffer object, user, client;
};

struct kv_acl_log {
    pthread_mutex_t lock;
    struct list entries;
    size_t count, entries_max;
};

struct kv_acl_log *kv_acl_log_create(void)
{
    struct kv_acl_log *log = malloc(sizeof *log);

    if (log == NULL)
        return NULL;
    *log = (struct kv_acl_log){.entries_max = KV_ACL_LOG_ENTRIES_MAX};
    pthread_mutex_init(&log->lock, NULL);
    list_init(&log->entries);
    return log;
}

static void free_entry(struct entry *entry)
{
    buffer_fini(&entry->object);
    buffer_fini(&entry->user);
    buffer_fini(&entry->client);
    free(entry);
}

static void trim(struct kv_acl_log *log, size_t entries_max)
{
    for (; log->count > entries_max; log->count--) {
        struct list *last = log->entries.previous;
        /* What was freed is in no list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        list_remove(last);
        free_entry(CONTAINER_OF(last, struct entry, in_log));
    }
}

void kv_acl_log_destroy(struct kv_acl_log *log)
{
    if (log == NULL)
        return;
    trim(log, 0);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static struct entry *create_entry(const struct kv_call *call, enum kv_refusal refusal, const char *what,
                                  struct bytes object)
{
    struct entry *entry = calloc(1, sizeof *entry);

    if (entry == NULL)
        return NULL;
    *entry = (struct entry){.refusal = refusal, .count = 1, .at_ms = call->now.mono_ms};
    list_init(&entry->in_log);
    switch (refusal) {
    case KV_REFUSED_COMMAND: buffer_append(&entry->object, bytes_of_text(what)); break;
    case KV_REFUSED_KEY:
    case KV_REFUSED_CHANNEL: buffer_append(&entry->object, object); break;
    case KV_REFUSED_AUTH: buffer_append(&entry->object, call->arguments[0]); break;
    }
    buffer_append(&entry->user, refusal == KV_REFUSED_AUTH ? object : kv_user_name(call->session));
    kv_session_describe(call, &entry->client);
    if (!entry->object.failed && !entry->user.failed && !entry->client.failed)
        return entry;
    free_entry(entry);
    return NULL;
}

static struct entry *find_alike(const struct kv_acl_log *log, const struct entry *wanted)
{
    for (struct list *node = log->entries.next; node != &log->entries; node = node->next) {
        struct entry *entry = CONTAINER_OF(node, struct entry, in_log);
        if (entry->refusal == wanted->refusal && wanted->at_ms - entry->at_ms <= TOGETHER_MS &&
            bytes_equal(buffer_bytes(&entry->object), buffer_bytes(&wanted->object)) &&
            bytes_equal(buffer_bytes(&entry->user), buffer_bytes(&wanted->user)))
            return entry;
    }
    return NULL;
}

static void put_first(struct list *entries, struct entry *entry)
{
    /* Before the first is behind the head. What was freed is in no list.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    list_append(entries->next, &entry->in_log);
}

void kv_acl_log_add(const struct kv_call *call, enum kv_refusal refusal, const char *what,
                    struct bytes object)
{
    struct kv_acl_log *log = call->kv->hub->acl->log;
    struct entry *entry = create_entry(call, refusal, what, object), *alike;

    if (entry == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    alike = find_alike(log, entry);
    if (alike != NULL) {
        entry->count += alike->count;
        list_remove(&alike->in_log);
        free_entry(alike);
        log->count--;
    }
    put_first(&log->entries, entry);
    log->count++;
    trim(log, log->entries_max);
    pthread_mutex_unlock(&log->lock);
}

void kv_acl_log_clear(struct kv_acl_log *log)
{
    pthread_mutex_lock(&log->lock);
    trim(log, 0);
    pthread_mutex_unlock(&log->lock);
}

void kv_acl_log_set_entries_max(struct kv_acl_log *log, size_t entries_max)
{
    pthread_mutex_lock(&log->lock);
    log->entries_max = entries_max;
    trim(log, entries_max);
    pthread_mutex_unlock(&log->lock);
}

size_t kv_acl_log_entries_max(struct kv_acl_log *log)
{
    size_t entries_max;

    pthread_mutex_lock(&log->lock);
    entries_max = log->entries_max;
    pthread_mutex_unlock(&log->lock);
    return entries_max;
}

static void say_entry(const struct kv_call *call, const struct entry *entry)
{
    static const char *const reasons[] = {"command", "key", "channel", "auth"};
    struct reply *reply = call->reply;

    reply_aggregate(reply, OUTCOME_map, 7);
    reply_value(reply, BYTES("count"));
    reply_integer(reply, (int64_t)entry->count);
    reply_value(reply, BYTES("reason"));
    reply_value(reply, bytes_of_text(reasons[entry->refusal]));
    reply_value(reply, BYTES("context"));
    reply_value(reply, BYTES("toplevel"));
    reply_value(reply, BYTES("object"));
    reply_value(reply, buffer_bytes(&entry->object));
    reply_value(reply, BYTES("username"));
    reply_value(reply, buffer_bytes(&entry->user));
    reply_value(reply, BYTES("age-seconds"));
    reply_say(reply, &(struct outcome){.kind = OUTCOME_number,
                                       .number = (double)(call->now.mono_ms - entry->at_ms) / 1000});
    reply_value(reply, BYTES("client-info"));
    reply_value(reply, buffer_bytes(&entry->client));
}

void kv_acl_log_say(const struct kv_call *call, size_t count)
{
    struct kv_acl_log *log = call->kv->hub->acl->log;

    pthread_mutex_lock(&log->lock);
    if (count > log->count)
        count = log->count;
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (struct list *node = log->entries.next; node != &log->entries && count-- > 0; node = node->next)
        say_entry(call, CONTAINER_OF(node, struct entry, in_log));
    pthread_mutex_unlock(&log->lock);
}
