/* kv_cluster.c — what a server that is no member of a cluster says to who asks for one. */
#include "engine/kv/kv_call.h"

static void say_disabled(const struct kv_call *call)
{
    kv_error(call, "ERR This instance has cluster support disabled");
}

void kv_cluster(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"info", 2, say_disabled},          {"myid", 2, say_disabled},
        {"nodes", 2, say_disabled},         {"slots", 2, say_disabled},
        {"shards", 2, say_disabled},        {"links", 2, say_disabled},
        {"keyslot", 3, say_disabled},       {"countkeysinslot", 3, say_disabled},
        {"getkeysinslot", 4, say_disabled}, {"meet", -4, say_disabled},
        {"forget", 3, say_disabled},        {"replicate", 3, say_disabled},
        {"replicas", 3, say_disabled},      {"slaves", 3, say_disabled},
        {"failover", -2, say_disabled},     {"reset", -2, say_disabled},
        {"addslots", -3, say_disabled},     {"delslots", -3, say_disabled},
        {"setslot", -4, say_disabled},      {"flushslots", 2, say_disabled},
        {"bumpepoch", 2, say_disabled},     {"saveconfig", 2, say_disabled},
        {"help", 2, say_disabled},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}

void kv_readonly(const struct kv_call *call) { say_disabled(call); }
void kv_readwrite(const struct kv_call *call) { say_disabled(call); }
void kv_asking(const struct kv_call *call) { say_disabled(call); }
