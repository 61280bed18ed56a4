/* kv_call.h — what one kv_<id>() function is given, and the few words all families share. */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "engine/kv/kv.h"

/* One command on its way through the engine. */
struct kv_call {
    struct kv *kv;
    struct now now;
    struct session *session;
    const struct bytes *arguments; /* argument 0 is the name */
    uint32_t argument_count;       /* as many as the row's arity asks for */
    enum command_id id;
    bool is_silent; /* `reply` says nothing */
    struct reply *reply;
};

/* A function per row of tables/commands.def. */
#define COMMAND(dialect, id, name, arity, flags, first_key, last_key, key_step, group, since, summary)     \
    void kv_##id(const struct kv_call *call);
#include "tables/commands.def"
#undef COMMAND

/* The store's space of the session's database. */
static inline uint32_t kv_space(const struct kv_call *call)
{
    return kv_space_of(call->kv, call->session->database);
}

static inline nh_key kv_key(const struct kv_call *call, uint32_t index)
{
    return (nh_key){call->arguments[index].data, call->arguments[index].size, kv_space(call)};
}

static inline nh_bytes kv_nh_bytes(struct bytes bytes) { return (nh_bytes){bytes.data, bytes.size}; }

static inline struct bytes kv_bytes(nh_bytes bytes) { return bytes_of(bytes.data, bytes.size); }

/* Tells that a key was asked for and is not there. */
void kv_tell_miss(const struct kv_call *call, nh_key key);

/* A hit or a miss of this worker. */
static inline nh_result kv_count_read(const struct kv_call *call, nh_key key, nh_result result)
{
    counters_add(call->kv->counters, result == NH_OK ? METRIC_get_hits : METRIC_get_misses, 1);
    if (UNLIKELY(result == NH_MISSING) &&
        UNLIKELY(atomic_load_explicit(&call->kv->hub->listener_count, memory_order_relaxed) != 0))
        kv_tell_miss(call, key);
    return result;
}

/* nh_borrow and nh_peek, counted; a use of the key unless CLIENT NO-TOUCH was said. */
static inline nh_result kv_borrow(const struct kv_call *call, nh_key key, nh_value *value)
{
    return kv_count_read(call, key,
                         (UNLIKELY(call->session->is_unnoticed) ? nh_borrow_unnoticed : nh_borrow)(
                             call->kv->store, call->now.mono_ms, key, value));
}
static inline nh_result kv_peek(const struct kv_call *call, nh_key key, nh_value *value)
{
    return kv_count_read(call, key,
                         (UNLIKELY(call->session->is_unnoticed) ? nh_peek_unnoticed : nh_peek)(
                             call->kv->store, call->now.mono_ms, key, value));
}

/* Accounts for a command that a guard, or something before it, has refused. */
void kv_note_refused(const struct kv_call *call);

/* Runs a command that exists, has its arguments and has passed the guards. */
void kv_execute(const struct kv_call *call);

/* All of a lent value in one run of bytes. One that lies in pieces is copied to `copy`, a buffer that the
 * caller has emptied and will fini; without memory for that the bytes are null and `copy->failed`. */
struct bytes kv_value_bytes(const struct kv_call *call, const nh_value *value, struct buffer *copy);

/* Says a lent value, and releases it. */
void kv_reply_value(const struct kv_call *call, nh_value *value);

/* Says `outcome`, a value or an item, with the value of `key`, lent rather than copied if it is large and
 * the reply can. True: `value`, a loan for a moment that the caller has of the key, is released. False:
 * nothing was said and the caller still has it. */
bool kv_lend(const struct kv_call *call, nh_key key, nh_value *value, const struct outcome *outcome);

/* An error with its code. */
void kv_error(const struct kv_call *call, const char *format, ...) PRINTF_LIKE(2, 3);

/* What RESP says of a write that the store refused. */
void kv_refused(const struct kv_call *call, nh_result result);

/* Redis's "ERR syntax error" and "ERR value is not an integer or out of range". */
void kv_syntax_error(const struct kv_call *call);
void kv_integer_error(const struct kv_call *call);

/* "ERR wrong number of arguments for '<name>' command". */
void kv_arity_error(const struct kv_call *call, const char *name);

/* The command's name as Redis's errors tell it, terminated: "get", or "client|id" of a subcommand. */
enum { KV_FULL_NAME_BYTES = 96 };
void kv_full_name(const struct kv_call *call, char name[KV_FULL_NAME_BYTES]);

/* A subcommand of CLIENT or COMMAND; arity counts the container's name too. */
struct kv_subcommand {
    const char *name; /* lower case */
    int arity;
    void (*run)(const struct kv_call *call);
};

/* Runs the one that argument 1 names, or says Redis's error. */
void kv_run_subcommand(const struct kv_call *call, const struct kv_subcommand *rows, size_t count);

/* Says `count` lines as an array of simple strings: a HELP subcommand's answer. */
void kv_help(const struct kv_call *call, const char *const *lines, size_t count);

/* True if argument `index` is `word` in any case. */
static inline bool kv_argument_is(const struct kv_call *call, uint32_t index, struct bytes word)
{
    return bytes_equal_nocase(call->arguments[index], word);
}

/* Names of a connection (CLIENT SETNAME, SETINFO): printable ASCII without spaces. Copies `name` to
 * `destination` of SESSION_NAME_BYTES_MAX + 1 bytes; false, with the destination as it was, if `name` holds
 * another byte or is too long. */
bool kv_copy_name(char *destination, struct bytes name);
