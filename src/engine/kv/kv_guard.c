#include "engine/kv/kv_guard.h"

static const struct {
    unsigned bit;
    enum kv_pass (*ask)(const struct kv_call *call);
} guards_in_order[] = {
#define GUARD(id, order, help) {KV_GUARD_##id, kv_guard_##id},
#include "tables/kv_guards.def"
#undef GUARD
    {0, NULL},
};

enum kv_pass kv_guards_ask(const struct kv_call *call, unsigned guards)
{
    enum kv_pass pass = KV_PASS;

    for (size_t i = 0; guards_in_order[i].ask != NULL && pass == KV_PASS; i++)
        if (guards & guards_in_order[i].bit)
            pass = guards_in_order[i].ask(call);
    return pass;
}
