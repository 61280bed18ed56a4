/* kv_object.c — OBJECT and MEMORY: what a value is made of. Redis 7's answers as far as there is something
 * to say: a value here is its bytes and no more. */
#include "base/number.h"
#include "engine/kv/kv_call.h"

enum {
    EMBEDDED_BYTES_MAX = 44, /* Redis keeps a string up to here with its object */
    RECORD_BYTES = 22,       /* what the store keeps of a plain value besides key and value, about */
};

/* Borrows the value of argument 2's key, or says that there is none. */
static bool find(const struct kv_call *call, nh_value *value)
{
    if (nh_borrow(call->kv->store, call->now.mono_ms, kv_key(call, 2), value) == NH_OK)
        return true;
    reply_kind(call->reply, OUTCOME_nothing);
    return false;
}

/* ---- OBJECT -------------------------------------------------------------------------------------------
 */

/* What Redis would have made of these bytes, given by SET. */
static void object_encoding(const struct kv_call *call)
{
    nh_value value;
    int64_t number;

    if (!find(call, &value))
        return;
    if (value.size == value.bytes.size && int64_parse(kv_bytes(value.bytes), &number))
        reply_value(call->reply, BYTES("int"));
    else
        reply_value(call->reply, value.size <= EMBEDDED_BYTES_MAX ? BYTES("embstr") : BYTES("raw"));
    nh_release(call->kv->store, &value);
}

static void object_refcount(const struct kv_call *call)
{
    nh_value value;

    if (!find(call, &value))
        return;
    reply_integer(call->reply, 1);
    nh_release(call->kv->store, &value);
}

/* Who leaves is decided by a whole segment's age and a count up to 3: nothing that could be told as the
 * figure of one key. */
static void object_freq(const struct kv_call *call)
{
    nh_value value;

    if (!find(call, &value))
        return;
    kv_error(call,
             "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
             "that when switching between policies at runtime LRU and LFU data will take some time to "
             "adjust.");
    nh_release(call->kv->store, &value);
}

static void object_idletime(const struct kv_call *call)
{
    nh_value value;

    if (!find(call, &value))
        return;
    kv_error(call, "ERR idle time is not tracked by this server");
    nh_release(call->kv->store, &value);
}

static void object_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. Not tracked here.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>. Not tracked here.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        "HELP",
        "    Print this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_object(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"encoding", 3, object_encoding}, {"refcount", 3, object_refcount}, {"freq", 3, object_freq},
        {"idletime", 3, object_idletime}, {"help", 2, object_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}

/* ---- MEMORY -------------------------------------------------------------------------------------------
 */

/* SAMPLES is for values of many parts: there are none. False if an error was said. */
static bool samples_are_understood(const struct kv_call *call)
{
    for (uint32_t i = 3; i < call->argument_count; i += 2) {
        int64_t samples;
        if (i + 1 >= call->argument_count || !kv_argument_is(call, i, BYTES("samples"))) {
            kv_syntax_error(call);
            return false;
        }
        if (!int64_parse(call->arguments[i + 1], &samples)) {
            kv_integer_error(call);
            return false;
        }
        if (samples < 0) {
            kv_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void memory_usage(const struct kv_call *call)
{
    nh_value value;

    if (!samples_are_understood(call) || !find(call, &value))
        return;
    reply_integer(call->reply, (int64_t)(call->arguments[2].size + value.size + RECORD_BYTES));
    nh_release(call->kv->store, &value);
}

static void memory_doctor(const struct kv_call *call)
{
    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_verbatim,
                                .bytes = BYTES("All values lie in one mapping of a fixed size: there is no "
                                               "fragmentation to treat.\n")});
}

static void memory_malloc_stats(const struct kv_call *call)
{
    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_verbatim,
                                .bytes = BYTES("Stats not supported for the current allocator")});
}

/* What is dead is freed as it is met; here a good deal of it at once. */
static void memory_purge(const struct kv_call *call)
{
    enum { ENTRIES = 1024 };

    nh_sweep(call->kv->store, call->now.mono_ms, ENTRIES);
    reply_kind(call->reply, OUTCOME_ok);
}

static void memory_stats(const struct kv_call *call)
{
    nh_stats stats = {.size = sizeof stats};
    struct {
        const char *name;
        uint64_t number;
    } rows[] = {
        {"total.allocated", 0}, {"startup.allocated", 0}, {"keys.count", 0},
        {"dataset.bytes", 0},   {"overhead.total", 0},    {"maxmemory", 0},
    };

    nh_stats_read(call->kv->store, &stats);
    rows[0].number = stats.memory_bytes;
    rows[2].number = stats.items;
    rows[3].number = stats.item_bytes;
    rows[4].number = stats.index_bytes;
    rows[5].number = stats.memory_bytes_max;
    reply_aggregate(call->reply, OUTCOME_map, COUNT_OF(rows));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        reply_value(call->reply, bytes_of_text(rows[i].name));
        reply_integer(call->reply, (int64_t)rows[i].number);
    }
}

static void memory_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Free some of what has expired.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. There is nothing to sample.",
        "HELP",
        "    Print this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_memory(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"usage", -3, memory_usage}, {"doctor", 2, memory_doctor}, {"malloc-stats", 2, memory_malloc_stats},
        {"purge", 2, memory_purge},  {"stats", 2, memory_stats},   {"help", 2, memory_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
