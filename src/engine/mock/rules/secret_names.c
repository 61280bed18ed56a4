#include "secret_names.h"
#include "base/compiler.h"

static bool contains_nocase(struct bytes text, struct bytes part)
{
    for (size_t i = 0; i + part.size <= text.size; i++)
        if (bytes_equal_nocase(bytes_of(text.data + i, part.size), part))
            return true;
    return false;
}

bool is_secret_name(struct bytes name)
{
    static const struct bytes parts[] = {
        BYTES_INIT("authorization"), BYTES_INIT("cookie"),    BYTES_INIT("token"),
        BYTES_INIT("secret"),        BYTES_INIT("password"),  BYTES_INIT("passwd"),
        BYTES_INIT("api-key"),       BYTES_INIT("api_key"),   BYTES_INIT("apikey"),
        BYTES_INIT("session"),       BYTES_INIT("signature"), BYTES_INIT("credential"),
        BYTES_INIT("access-key"),    BYTES_INIT("access_key")};

    static const struct bytes wholes[] = {BYTES_INIT("auth"), BYTES_INIT("key"), BYTES_INIT("sig"),
                                          BYTES_INIT("pass"), BYTES_INIT("pwd"), BYTES_INIT("jwt")};

    for (size_t i = 0; i < COUNT_OF(wholes); i++)
        if (bytes_equal_nocase(name, wholes[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (contains_nocase(name, parts[i]))
            return true;
    return false;
}
