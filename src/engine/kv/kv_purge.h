/* kv_purge.h — what NH.PURGE asks for, for who runs it and for who judges whether a user may. Pure. */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

/* Whether the last argument is the word SOFT: behind at least one tag, beginning or key, it is never one
 * itself. */
static inline bool kv_purge_is_soft(const struct bytes *arguments, uint32_t argument_count)
{
    return argument_count > 3 && bytes_equal_nocase(arguments[argument_count - 1], BYTES("soft"));
}
