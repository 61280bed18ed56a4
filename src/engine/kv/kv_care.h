/* kv_care.h — what has to be done around a command's running, for some commands at some times.
 *
 * A command's row has bits, and so has what goes on (hub->care, taken up at the begin of a batch): where
 * they meet in none, which is nearly always, the command is simply run. */
#pragma once
#include "engine/kv/kv.h"

enum kv_care {
    KV_CARE_ALONE = 1 << 0, /* all others are kept out: see kv_gate.h; always in force */
    KV_CARE_SLOW = 1 << 1,  /* time it: it is none that Redis calls fast */
    KV_CARE_FAST = 1 << 2,  /* time it: it is fast, or SET */
    KV_CARE_SHOWN = 1 << 3, /* who monitors sees it */
};

/* Works out hub->care anew, as a threshold or the number of monitors has changed. Any thread. */
void kv_care_update(struct kv_hub *hub);
