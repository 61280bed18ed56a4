#include "engine/kv/kv_redact.h"
#include "engine/kv/kv_category.h"

/* HELLO 3 AUTH name password. */
static bool is_secret_of_hello(const struct kv_call *call, uint32_t index)
{
    return index >= 3 && (kv_argument_is(call, index - 1, BYTES("auth")) ||
                          (index >= 4 && kv_argument_is(call, index - 2, BYTES("auth"))));
}

static bool is_secret_of_config(const struct kv_call *call, uint32_t index)
{
    static const struct bytes names[] = {
        BYTES_INIT("requirepass"),
        BYTES_INIT("masterauth"),
        BYTES_INIT("masteruser"),
        BYTES_INIT("tls-key-file-pass"),
        BYTES_INIT("tls-client-key-file-pass"),
    };

    if (index < 2)
        return false;
    if (!kv_argument_is(call, 1, BYTES("set")))
        return kv_subcommand_find(BYTES("config"), call->arguments[1]) == 0;
    for (size_t i = 0; i < COUNT_OF(names) && index % 2 == 1; i++)
        if (kv_argument_is(call, index - 1, names[i]))
            return true;
    return false;
}

bool kv_is_secret(const struct kv_call *call, uint32_t index)
{
    switch (call->id) {
    case COMMAND_auth: return index > 0;
    case COMMAND_hello: return is_secret_of_hello(call, index);
    case COMMAND_config: return is_secret_of_config(call, index);
    case COMMAND_acl: /* the rules of a user hold his passwords */
        return index >= 2 && (kv_argument_is(call, 1, BYTES("setuser")) ||
                              kv_subcommand_find(BYTES("acl"), call->arguments[1]) == 0);
    default: return false;
    }
}
