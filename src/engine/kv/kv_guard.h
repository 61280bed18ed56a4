/* kv_guard.h — what may stand between a command and its running: nothing, for nearly every one.
 *
 * A session has guards (session->guards), and so have all (hub->guards). Those that are set look at each
 * command in the order of Redis's processCommand, and the first that does not let it pass has answered. */
#pragma once
#include "engine/kv/kv_call.h"

enum kv_guard {
    KV_GUARDS_NONE = 0,
#define GUARD(id, order, help) KV_GUARD_##id = 1 << (order),
#include "tables/kv_guards.def"
#undef GUARD
};

enum kv_pass {
    KV_PASS,
    KV_REFUSED, /* an error was said */
    KV_KEPT,    /* it was answered, and is not to be run now */
};

/* What the guards of the session and of all say to a command that exists and has as many arguments as it
 * should. */
enum kv_pass kv_guards_ask(const struct kv_call *call, unsigned guards);

/* A function per row of tables/kv_guards.def. */
#define GUARD(id, order, help) enum kv_pass kv_guard_##id(const struct kv_call *call);
#include "tables/kv_guards.def"
#undef GUARD
