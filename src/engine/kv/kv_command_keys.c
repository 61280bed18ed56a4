/* kv_command_keys.c — COMMAND GETKEYS and GETKEYSANDFLAGS: which arguments of a command are its keys. */
#include "engine/kv/kv_command_keys.h"

enum {
    READ = KV_KEY_RO | KV_KEY_ACCESS,
    CHANGE = KV_KEY_RW | KV_KEY_ACCESS | KV_KEY_UPDATE,
    OVERWRITE = KV_KEY_OW | KV_KEY_UPDATE,
};

/* Whose keys are not READ, if they are read-only, or RW and update. */
static const struct {
    const char *name;
    unsigned flags;
} exceptions[] = {
    {"set", CHANGE | KV_KEY_VARIABLE},
    {"mset", OVERWRITE},
    {"msetnx", KV_KEY_OW | KV_KEY_INSERT},
    {"setnx", KV_KEY_OW | KV_KEY_INSERT},
    {"setex", OVERWRITE},
    {"psetex", OVERWRITE},
    {"append", KV_KEY_RW | KV_KEY_INSERT},
    {"incr", CHANGE},
    {"decr", CHANGE},
    {"incrby", CHANGE},
    {"decrby", CHANGE},
    {"incrbyfloat", CHANGE},
    {"getset", CHANGE},
    {"setbit", CHANGE},
    {"getex", CHANGE},
    {"bitop", CHANGE}, /* the first is overwritten, the others are read */
    {"getdel", KV_KEY_RW | KV_KEY_ACCESS | KV_KEY_DELETE},
    {"del", KV_KEY_RM | KV_KEY_DELETE},
    {"unlink", KV_KEY_RM | KV_KEY_DELETE},
    {"exists", KV_KEY_RO},
    {"type", KV_KEY_RO},
    {"touch", KV_KEY_RO},
    {"strlen", KV_KEY_RO},
    {"watch", KV_KEY_RO},
    {"rename", KV_KEY_RW | KV_KEY_ACCESS | KV_KEY_DELETE},
    {"renamenx", KV_KEY_RW | KV_KEY_ACCESS | KV_KEY_DELETE},
};

unsigned kv_key_flags(const struct command_row *row)
{
    if (row->dialect == DIALECT_resp)
        for (size_t i = 0; i < COUNT_OF(exceptions); i++)
            if (strcmp(exceptions[i].name, row->name) == 0)
                return exceptions[i].flags;
    if (row->flags & COMMAND_PUBSUB)
        return KV_KEY_NOT;
    return row->flags & COMMAND_WRITE ? KV_KEY_RW | KV_KEY_UPDATE : READ;
}

void kv_say_key_flags(const struct kv_call *call, unsigned flags)
{
    static const struct {
        unsigned flag;
        struct bytes word;
    } words[] = {
        {KV_KEY_RO, BYTES_INIT("RO")},
        {KV_KEY_RW, BYTES_INIT("RW")},
        {KV_KEY_OW, BYTES_INIT("OW")},
        {KV_KEY_RM, BYTES_INIT("RM")},
        {KV_KEY_ACCESS, BYTES_INIT("access")},
        {KV_KEY_UPDATE, BYTES_INIT("update")},
        {KV_KEY_INSERT, BYTES_INIT("insert")},
        {KV_KEY_DELETE, BYTES_INIT("delete")},
        {KV_KEY_VARIABLE, BYTES_INIT("variable_flags")},
        {KV_KEY_NOT, BYTES_INIT("not_key")},
    };

    reply_aggregate(call->reply, OUTCOME_set, (size_t)__builtin_popcount(flags));
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (flags & words[i].flag)
            reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = words[i].word});
}

/* ---- of the command that the arguments from the third on are ------------------------------------ */

struct keys {
    const struct command_row *row;
    uint32_t first, last, step; /* indices of call->arguments */
};

/* SET's flags depend on whether it returns the old value. */
static unsigned flags_of_this(const struct kv_call *call, const struct keys *keys)
{
    unsigned flags = kv_key_flags(keys->row);

    if (!(flags & KV_KEY_VARIABLE))
        return flags;
    for (uint32_t i = keys->first + 2; i < call->argument_count; i++)
        if (kv_argument_is(call, i, BYTES("get")))
            return CHANGE;
    return OVERWRITE;
}

/* False if an error was said. */
static bool find_keys(const struct kv_call *call, struct keys *keys)
{
    enum command_id id = command_find(DIALECT_resp, call->arguments[2]);
    uint32_t count = call->argument_count - 2;
    int64_t last;

    if (id == COMMAND_UNKNOWN) {
        kv_error(call, "ERR Invalid command specified");
        return false;
    }
    keys->row = command_row(id);
    if (keys->row->first_key == 0) {
        kv_error(call, "ERR The command has no key arguments");
        return false;
    }
    if (!command_arity_fits(keys->row->arity, count)) {
        kv_error(call, "ERR Invalid number of arguments specified for command");
        return false;
    }
    last = keys->row->last_key < 0 ? (int64_t)count + keys->row->last_key : keys->row->last_key;
    if (last >= count)
        last = (int64_t)count - 1;
    keys->step = keys->row->key_step > 0 ? (uint32_t)keys->row->key_step : 1;
    keys->first = (uint32_t)keys->row->first_key + 2;
    keys->last = (uint32_t)last + 2;
    if (keys->last < keys->first) {
        kv_error(call, "ERR Invalid arguments specified for command");
        return false;
    }
    return true;
}

static size_t count_of(const struct keys *keys) { return (keys->last - keys->first) / keys->step + 1; }

void kv_command_getkeys(const struct kv_call *call)
{
    struct keys keys;

    if (!find_keys(call, &keys))
        return;
    reply_aggregate(call->reply, OUTCOME_array, count_of(&keys));
    for (uint32_t i = keys.first; i <= keys.last; i += keys.step)
        reply_value(call->reply, call->arguments[i]);
}

void kv_command_getkeysandflags(const struct kv_call *call)
{
    struct keys keys;

    if (!find_keys(call, &keys))
        return;
    reply_aggregate(call->reply, OUTCOME_array, count_of(&keys));
    for (uint32_t i = keys.first; i <= keys.last; i += keys.step) {
        reply_aggregate(call->reply, OUTCOME_array, 2);
        reply_value(call->reply, call->arguments[i]);
        kv_say_key_flags(call, flags_of_this(call, &keys));
    }
}
