/* kv_monitor.h — MONITOR: sessions that are shown what all run. */
#pragma once
#include "engine/kv/kv_call.h"

/* Shows the command, which has run, to all monitors. */
void kv_monitor_show(const struct kv_call *call);

/* The session is a monitor no longer. */
void kv_monitor_end(struct kv *kv, struct session *session);
