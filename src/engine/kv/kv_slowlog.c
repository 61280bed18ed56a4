/* kv_slowlog.c — SLOWLOG: the last commands that took long, with the beginnings of their arguments. */
#include "engine/kv/kv_slowlog.h"
#include "base/number.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_care.h"
#include "engine/kv/kv_redact.h"
#include <stdio.h>
#include <stdlib.h>

enum { ARGUMENTS_MAX = 32, ARGUMENT_BYTES_MAX = 128 }; /* Redis's */

struct entry {
    struct list in_log;
    uint64_t id, time_us;
    int64_t wall_s;
    uint32_t argument_count;
    uint32_t ends[ARGUMENTS_MAX]; /* of the arguments in `text` */
    struct buffer text;
    char peer[SESSION_ADDRESS_BYTES], name[SESSION_NAME_BYTES_MAX + 1];
};

void kv_slowlog_init(struct kv_slowlog *slowlog)
{
    pthread_mutex_init(&slowlog->lock, NULL);
    list_init(&slowlog->entries);
    atomic_init(&slowlog->slower_than_us, 10000);
    atomic_init(&slowlog->entry_count_max, 128);
}

/* Takes the oldest out until `count` are left; under the lock. */
static void shorten(struct kv_slowlog *slowlog, uint64_t count)
{
    while (slowlog->entry_count > count) {
        struct list *last = slowlog->entries.previous;
        struct entry *entry = CONTAINER_OF(last, struct entry, in_log);
        /* What was freed is in no list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        list_remove(last);
        buffer_fini(&entry->text);
        free(entry);
        slowlog->entry_count--;
    }
}

void kv_slowlog_fini(struct kv_slowlog *slowlog)
{
    shorten(slowlog, 0);
    pthread_mutex_destroy(&slowlog->lock);
}

void kv_slowlog_set(struct kv_hub *hub, int64_t slower_than_us, uint64_t entry_count_max)
{
    struct kv_slowlog *slowlog = &hub->admin->slowlog;

    atomic_store(&slowlog->slower_than_us, slower_than_us);
    atomic_store(&slowlog->entry_count_max, entry_count_max);
    kv_care_update(hub);
}

/* ---- keeping ----------------------------------------------------------------------------------- */

static void append_argument(struct buffer *text, struct bytes argument)
{
    if (argument.size <= ARGUMENT_BYTES_MAX) {
        buffer_append(text, argument);
        return;
    }
    buffer_append(text, bytes_first(argument, ARGUMENT_BYTES_MAX));
    buffer_append_format(text, "... (%zu more bytes)", argument.size - ARGUMENT_BYTES_MAX);
}

static void copy_arguments(struct entry *entry, const struct kv_call *call)
{
    uint32_t shown = call->argument_count <= ARGUMENTS_MAX ? call->argument_count : ARGUMENTS_MAX - 1;

    for (uint32_t i = 0; i < shown; i++) {
        if (kv_is_secret(call, i))
            buffer_append_literal(&entry->text, "(redacted)");
        else
            append_argument(&entry->text, call->arguments[i]);
        entry->ends[i] = (uint32_t)entry->text.size;
    }
    entry->argument_count = shown;
    if (shown < call->argument_count) {
        buffer_append_format(&entry->text, "... (%u more arguments)", call->argument_count - shown);
        entry->ends[entry->argument_count++] = (uint32_t)entry->text.size;
    }
}

static bool is_left_out(enum command_id id)
{
    return strcmp(command_row(id)->name, "exec") == 0; /* its commands speak for themselves */
}

void kv_slowlog_note(const struct kv_call *call, uint64_t time_us)
{
    struct kv_slowlog *slowlog = &call->kv->hub->admin->slowlog;
    int64_t slower_than_us = atomic_load_explicit(&slowlog->slower_than_us, memory_order_relaxed);
    struct entry *entry;

    if (LIKELY(slower_than_us < 0 || time_us < (uint64_t)slower_than_us) || is_left_out(call->id))
        return;
    entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return;
    entry->time_us = time_us;
    entry->wall_s = call->now.wall_ms / 1000;
    snprintf(entry->peer, sizeof entry->peer, "%s", call->session->peer);
    snprintf(entry->name, sizeof entry->name, "%s", call->session->name);
    copy_arguments(entry, call);
    if (entry->text.failed) {
        buffer_fini(&entry->text);
        free(entry);
        return;
    }
    pthread_mutex_lock(&slowlog->lock);
    entry->id = slowlog->next_id++;
    list_append(slowlog->entries.next, &entry->in_log); /* before the newest */
    slowlog->entry_count++;
    shorten(slowlog, atomic_load_explicit(&slowlog->entry_count_max, memory_order_relaxed));
    pthread_mutex_unlock(&slowlog->lock);
}

/* ---- SLOWLOG ----------------------------------------------------------------------------------- */

static void say_entry(const struct kv_call *call, const struct entry *entry)
{
    uint32_t start = 0;

    reply_aggregate(call->reply, OUTCOME_array, 6);
    reply_integer(call->reply, (int64_t)entry->id);
    reply_integer(call->reply, entry->wall_s);
    reply_integer(call->reply, (int64_t)entry->time_us);
    reply_aggregate(call->reply, OUTCOME_array, entry->argument_count);
    for (uint32_t i = 0; i < entry->argument_count; i++) {
        reply_value(call->reply, bytes_of(entry->text.data + start, entry->ends[i] - start));
        start = entry->ends[i];
    }
    reply_value(call->reply, bytes_of_text(entry->peer));
    reply_value(call->reply, bytes_of_text(entry->name));
}

static void slowlog_get(const struct kv_call *call)
{
    struct kv_slowlog *slowlog = &call->kv->hub->admin->slowlog;
    int64_t count = 10;

    if (call->argument_count > 3) {
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try SLOWLOG HELP.",
                 BYTES_PRINTF(call->arguments[1]));
        return;
    }
    if (call->argument_count == 3 && (!int64_parse(call->arguments[2], &count) || count < -1)) {
        kv_error(call, "ERR count should be greater than or equal to -1");
        return;
    }
    pthread_mutex_lock(&slowlog->lock);
    if (count == -1 || (uint64_t)count > slowlog->entry_count)
        count = (int64_t)slowlog->entry_count;
    reply_aggregate(call->reply, OUTCOME_array, (size_t)count);
    for (struct list *at = slowlog->entries.next; count > 0; at = at->next, count--)
        say_entry(call, CONTAINER_OF(at, struct entry, in_log));
    pthread_mutex_unlock(&slowlog->lock);
}

static void slowlog_len(const struct kv_call *call)
{
    struct kv_slowlog *slowlog = &call->kv->hub->admin->slowlog;
    uint64_t count;

    pthread_mutex_lock(&slowlog->lock);
    count = slowlog->entry_count;
    pthread_mutex_unlock(&slowlog->lock);
    reply_integer(call->reply, (int64_t)count);
}

static void slowlog_reset(const struct kv_call *call)
{
    struct kv_slowlog *slowlog = &call->kv->hub->admin->slowlog;

    pthread_mutex_lock(&slowlog->lock);
    shorten(slowlog, 0);
    pthread_mutex_unlock(&slowlog->lock);
    reply_kind(call->reply, OUTCOME_ok);
}

static void slowlog_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Prints this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_slowlog(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"get", -2, slowlog_get},
        {"len", 2, slowlog_len},
        {"reset", 2, slowlog_reset},
        {"help", 2, slowlog_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
