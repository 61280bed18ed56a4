/* kv_command_keys.h — where a command's keys are, and what it does to them, in Redis's words. */
#pragma once
#include "engine/kv/kv_call.h"

enum kv_key_flags {
    KV_KEY_RO = 1 << 0,     /* only read */
    KV_KEY_RW = 1 << 1,     /* changed, and what was there matters */
    KV_KEY_OW = 1 << 2,     /* written whatever was there */
    KV_KEY_RM = 1 << 3,     /* removed */
    KV_KEY_ACCESS = 1 << 4, /* its value is told */
    KV_KEY_UPDATE = 1 << 5,
    KV_KEY_INSERT = 1 << 6,
    KV_KEY_DELETE = 1 << 7,
    KV_KEY_VARIABLE = 1 << 8, /* it depends on the arguments */
    KV_KEY_NOT = 1 << 9,      /* it stands where a key does, and is none */
};

/* What commands of this row do to their keys; KV_KEY_VARIABLE is only of the row. */
unsigned kv_key_flags(const struct command_row *row);

/* Says the words of the flags, as a set. */
void kv_say_key_flags(const struct kv_call *call, unsigned flags);

void kv_command_getkeys(const struct kv_call *call);
void kv_command_getkeysandflags(const struct kv_call *call);
