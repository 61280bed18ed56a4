/* kv_config.h — the numbers that CONFIG shows and some of which it sets, in tables/config_names.def.
 *
 * The server writes all of them before it starts, and reads those that can be set when it needs them. Any
 * thread. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum kv_setting {
#define CONFIG_NUMBER(name, id, can_be_set, low, high, unit) KV_SETTING_##id,
#include "tables/config_names.def"
#undef CONFIG_NUMBER
    KV_SETTING_COUNT
};

struct kv_settings {
    _Atomic int64_t of[KV_SETTING_COUNT];
    bool is_protected;
    const char *bind; /* the addresses, separated by spaces; the server's */
};

static inline int64_t kv_setting(const struct kv_settings *settings, enum kv_setting setting)
{
    return atomic_load_explicit(&settings->of[setting], memory_order_relaxed);
}
static inline void kv_set_setting(struct kv_settings *settings, enum kv_setting setting, int64_t value)
{
    atomic_store_explicit(&settings->of[setting], value, memory_order_relaxed);
}
