/* kv.c — from a command to its function. */
#include "engine/kv/kv_absent.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_care.h"
#include "engine/kv/kv_guard.h"
#include "engine/kv/kv_monitor.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_transaction.h"
#include <stdarg.h>
#include <stdio.h>

struct dispatch {
    void (*run)(const struct kv_call *call);
    int arity;
    unsigned care; /* enum kv_care */
};

/* SET is as quick as what Redis calls fast, and as frequent. */
#define CARE(id, flags)                                                                                    \
    ((((flags)&COMMAND_ALONE) ? KV_CARE_ALONE : 0u) | (((flags)&COMMAND_ADMIN) ? 0u : KV_CARE_SHOWN) |     \
     (((flags)&COMMAND_FAST) || COMMAND_##id == COMMAND_set || COMMAND_##id == COMMAND_memcached_set       \
          ? KV_CARE_FAST                                                                                   \
          : KV_CARE_SLOW))

static const struct dispatch dispatch[COMMAND_COUNT] = {
#define COMMAND(dialect, id, name, arity, flags, first_key, last_key, key_step, group, since, summary)     \
    [COMMAND_##id] = {kv_##id, arity, CARE(id, flags)},
#include "tables/commands.def"
#undef COMMAND
};

/* ---- words that all families share ---------------------------------------------------------------- */

void kv_error(const struct kv_call *call, const char *format, ...)
{
    char text[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0)
        size = 0;
    reply_error(call->reply, bytes_of(text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1));
}

void kv_syntax_error(const struct kv_call *call) { reply_error(call->reply, BYTES("ERR syntax error")); }

void kv_integer_error(const struct kv_call *call)
{
    reply_error(call->reply, BYTES("ERR value is not an integer or out of range"));
}

void kv_arity_error(const struct kv_call *call, const char *name)
{
    kv_error(call, "ERR wrong number of arguments for '%s' command", name);
}

struct bytes kv_value_bytes(const struct kv_call *call, const nh_value *value, struct buffer *copy)
{
    nh_bytes piece;

    if (LIKELY(value->bytes.size == value->size))
        return kv_bytes(value->bytes);
    buffer_reserve(copy, value->size); /* or what was copied would be copied again as it grows */
    for (uint64_t at = 0; nh_value_piece(call->kv->store, value, at, &piece) == NH_OK; at += piece.size)
        buffer_append(copy, kv_bytes(piece));
    return copy->failed ? (struct bytes){NULL, 0} : buffer_bytes(copy);
}

void kv_reply_value(const struct kv_call *call, nh_value *value)
{
    struct buffer copy = {0};
    struct bytes bytes = kv_value_bytes(call, value, &copy);

    if (LIKELY(!copy.failed))
        reply_value(call->reply, bytes);
    else
        kv_refused(call, NH_NO_MEMORY);
    nh_release(call->kv->store, value);
    buffer_fini(&copy);
}

void kv_refused(const struct kv_call *call, nh_result result)
{
    switch (result) {
    case NH_FULL:
    case NH_NO_MEMORY:
        reply_error(call->reply, BYTES("OOM command not allowed when used memory > 'maxmemory'."));
        return;
    case NH_TOO_LARGE:
        reply_error(call->reply, BYTES("ERR key or value exceeds the maximum allowed size"));
        return;
    default: kv_error(call, "ERR %s", nh_result_text(result)); return;
    }
}

void kv_help(const struct kv_call *call, const char *const *lines, size_t count)
{
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (size_t i = 0; i < count; i++)
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = bytes_of_text(lines[i])});
}

void kv_run_subcommand(const struct kv_call *call, const struct kv_subcommand *rows, size_t count)
{
    const char *container = command_row(call->id)->name;
    char name[64], upper[64];
    size_t i;

    for (i = 0; i < count; i++)
        if (kv_argument_is(call, 1, bytes_of_text(rows[i].name)))
            break;
    if (i == count) {
        for (i = 0; container[i] != '\0' && i < sizeof upper - 1; i++)
            upper[i] = container[i] & ~0x20;
        upper[i] = '\0';
        kv_error(call, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                 (int)(call->arguments[1].size < 128 ? call->arguments[1].size : 128),
                 call->arguments[1].data, upper);
        return;
    }
    if (!command_arity_fits(rows[i].arity, call->argument_count)) {
        snprintf(name, sizeof name, "%s|%s", container, rows[i].name);
        kv_arity_error(call, name);
        return;
    }
    call->session->subcommand_of = (uint16_t)call->id;
    call->session->last_subcommand = rows[i].name;
    rows[i].run(call);
}

/* Of a command that is not in our table. */
static void foreign_name(const struct kv_call *call, char name[KV_FULL_NAME_BYTES])
{
    size_t size = 0;

    for (; size < call->arguments[0].size && size < KV_FULL_NAME_BYTES - 1; size++)
        name[size] = byte_to_lower(call->arguments[0].data[size]);
    name[size] = '\0';
}

void kv_full_name(const struct kv_call *call, char name[KV_FULL_NAME_BYTES])
{
    const struct command_row *row;
    int size;

    if (call->id == COMMAND_UNKNOWN) {
        foreign_name(call, name);
        return;
    }
    row = command_row(call->id);
    size = snprintf(name, KV_FULL_NAME_BYTES, "%s", row->name);
    if (!(row->flags & COMMAND_CONTAINER) || call->argument_count < 2)
        return;
    name[size++] = '|';
    for (size_t i = 0; i < call->arguments[1].size && size < KV_FULL_NAME_BYTES - 1; i++)
        name[size++] = byte_to_lower(call->arguments[1].data[i]);
    name[size] = '\0';
}

bool kv_copy_name(char *destination, struct bytes name)
{
    if (name.size > SESSION_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < '!' || name.data[i] > '~')
            return false;
    if (name.size > 0)
        memcpy(destination, name.data, name.size);
    destination[name.size] = '\0';
    return true;
}

/* ---- running ---------------------------------------------------------------------------------------- */

/* Redis quotes at most 128 bytes of the name and about 128 of the arguments. */
static void say_unknown(const struct kv_call *call)
{
    char text[640];
    int size, shown = 0;

    size = snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: ",
                    (int)(call->arguments[0].size < 128 ? call->arguments[0].size : 128),
                    call->arguments[0].data);
    for (uint32_t i = 1; i < call->argument_count && shown < 128; i++) {
        size_t room = (size_t)(128 - shown), bytes = call->arguments[i].size;
        int more = snprintf(text + size, sizeof text - (size_t)size, "'%.*s' ",
                            (int)(bytes < room ? bytes : room), call->arguments[i].data);
        size += more;
        shown += more;
    }
    reply_error(call->reply, bytes_of(text, (size_t)size));
}

static void note_time(const struct kv_call *call, uint64_t time_ns)
{
    struct kv_counts *counts = &call->kv->counts;
    uint64_t time_us = (time_ns + 999) / 1000;
    int bucket = time_us > 1 ? 64 - __builtin_clzll(time_us - 1) : 0;
    _Atomic uint32_t *times =
        &counts->times[call->id][bucket < KV_TIME_BUCKETS ? bucket : KV_TIME_BUCKETS - 1];

    kv_count(&counts->timed[call->id], 1);
    kv_count(&counts->timed_ns[call->id], time_ns);
    atomic_store_explicit(times, atomic_load_explicit(times, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    kv_slowlog_note(call, time_ns / 1000);
    kv_latency_note(call, time_ns / 1000);
}

static void execute_with_care(const struct kv_call *call, const struct dispatch *row, unsigned care)
{
    bool is_timed = (care & (KV_CARE_SLOW | KV_CARE_FAST)) != 0;
    uint64_t start_ns = 0;

    if (care & KV_CARE_ALONE)
        kv_go_alone(call->kv);
    if (is_timed)
        start_ns = kv_stopwatch_ns();
    row->run(call);
    if (is_timed)
        note_time(call, kv_stopwatch_ns() - start_ns);
    if (care & KV_CARE_ALONE)
        kv_go_together(call->kv);
    if (care & KV_CARE_SHOWN &&
        (atomic_load_explicit(&call->kv->hub->care, memory_order_relaxed) & KV_CARE_SHOWN))
        kv_monitor_show(call);
}

void kv_execute(const struct kv_call *call)
{
    const struct dispatch *row = &dispatch[call->id];
    unsigned care = row->care & (call->kv->care | KV_CARE_ALONE);

    call->kv->running = call->id;
    kv_count(&call->kv->counts.calls[call->id], 1);
    if (LIKELY(care == 0))
        row->run(call);
    else
        execute_with_care(call, row, care);
}

static void refuse_arity(const struct kv_call *call)
{
    if (call->id == COMMAND_exec)
        kv_transaction_refuse(call);
    else
        kv_arity_error(call, command_row(call->id)->name);
}

static enum kv_pass may_run(const struct kv_call *call)
{
    unsigned guards = call->session->guards | call->kv->guards;

    call->kv->running = COMMAND_UNKNOWN; /* an error said now is no failure of a command that ran */
    if (UNLIKELY(call->id == COMMAND_UNKNOWN)) {
        if (call->argument_count > 0 && !kv_say_absent(call))
            say_unknown(call);
        return KV_REFUSED;
    }
    if (UNLIKELY(!command_arity_fits(dispatch[call->id].arity, call->argument_count))) {
        refuse_arity(call);
        return KV_REFUSED;
    }
    return LIKELY(guards == 0) ? KV_PASS : kv_guards_ask(call, guards);
}

/* A refused command was the one that CLIENT CACHING was said for, or spoils the transaction it is in. */
void kv_note_refused(const struct kv_call *call)
{
    kv_count(&call->kv->counts.rejected[call->id], 1);
    if (call->session->transaction != NULL)
        kv_transaction_spoil(call->session);
    else
        kv_tracking_end_caching(call->session);
}

static void run(const struct kv_call *call)
{
    enum kv_pass pass;

    if (UNLIKELY(call->kv->elsewhere != NULL) && call->kv->elsewhere->run(call))
        return;
    pass = may_run(call);
    if (LIKELY(pass == KV_PASS))
        kv_execute(call);
    else if (pass == KV_REFUSED)
        kv_note_refused(call);
}

/* Lets through what is no answer, such as what has become of a subscription: silence is about answers. */
struct push_filter {
    struct reply reply;
    struct reply *to;
    size_t left_count; /* of the present push */
};

static void say_pushes(struct reply *reply, const struct outcome *outcome)
{
    struct push_filter *filter = CONTAINER_OF(reply, struct push_filter, reply);

    if (outcome->kind == OUTCOME_push)
        filter->left_count = outcome->count + 1;
    if (filter->left_count == 0)
        return;
    filter->left_count--;
    reply_say(filter->to, outcome);
}

static void run_silently(struct kv_call *call, const struct command *command)
{
    struct reply *reply = call->reply;
    struct push_filter silent = {{say_pushes, NULL}, reply, 0};
    uint8_t silence = call->session->silence;

    call->reply = &silent.reply;
    call->is_silent = true;
    if (call->session->silence == SILENCE_NEXT)
        call->session->silence = SILENCE_NONE;
    /* CLIENT REPLY ON ends the silence and is the first to be answered. */
    if (command->id == COMMAND_client && command->argument_count == 3 &&
        kv_argument_is(call, 1, BYTES("reply")) && kv_argument_is(call, 2, BYTES("on")))
        call->reply = reply, call->is_silent = false;
    run(call);
    call->reply = reply;
    if (UNLIKELY(call->session->is_held))
        call->session->silence = silence; /* it will come again */
}

void kv_run(struct kv *kv, struct now now, struct session *session, const struct command *command,
            struct reply *reply)
{
    struct kv_call call = {
        .kv = kv,
        .now = now,
        .session = session,
        .arguments = command->arguments,
        .argument_count = command->argument_count,
        .id = command->id,
        .reply = reply,
    };

    counters_add(kv->counters, METRIC_commands, 1);
    if (LIKELY(!(command->quiet | session->silence)))
        run(&call);
    else
        run_silently(&call, command);
    if (UNLIKELY(kv->own_letters.first != NULL))
        kv_read_own_letters(kv);
}

void kv_prefetch(struct kv *kv, const struct session *session, const struct command *commands, size_t count)
{
    enum { BATCH = 64 }; /* more at a time than a core can keep in flight, less than its cache forgets */
    uint32_t space = kv_space_of(kv, session->database);
    nh_key keys[BATCH];
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const struct command *command = &commands[i];
        const struct command_row *row;
        int64_t last;

        if (command->id == COMMAND_UNKNOWN)
            continue;
        row = command_row(command->id);
        if (row->first_key == 0)
            continue;
        last = row->last_key < 0 ? (int64_t)command->argument_count + row->last_key : row->last_key;
        if (last >= (int64_t)command->argument_count)
            last = (int64_t)command->argument_count - 1;
        for (int64_t at = row->first_key; at <= last; at += row->key_step) {
            keys[found++] = (nh_key){command->arguments[at].data, command->arguments[at].size, space};
            if (found == BATCH) {
                nh_prefetch(kv->store, keys, found);
                return;
            }
        }
    }
    if (found > 0)
        nh_prefetch(kv->store, keys, found);
}
