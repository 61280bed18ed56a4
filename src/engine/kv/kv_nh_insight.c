/* kv_nh_insight.c — NH.HOTKEYS and NH.MRC: what the store's insight has seen, if the server keeps any. */
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_database.h"
#include <stdlib.h>

enum { HOT_KEYS_MAX = 128, CURVE_POINTS_MAX = 512 };

static void refuse_without_insight(const struct kv_call *call)
{
    kv_error(call, "ERR the server keeps no insight: start it with --insight");
}

static bool has_insight(nh_store *store)
{
    nh_hot_key key;
    size_t count = 1;

    return nh_hot_keys_read(store, &key, &count) == NH_OK;
}

static void say_integer(const struct kv_call *call, struct bytes name, uint64_t integer)
{
    reply_value(call->reply, name);
    reply_integer(call->reply, (int64_t)integer);
}

static void say_hot_key(const struct kv_call *call, const nh_hot_key *key)
{
    size_t size = key->key_bytes < NH_HOT_KEY_BYTES_MAX ? key->key_bytes : NH_HOT_KEY_BYTES_MAX;

    reply_aggregate(call->reply, OUTCOME_map, 5);
    reply_value(call->reply, BYTES("key"));
    reply_value(call->reply, bytes_of(key->key, size));
    say_integer(call, BYTES("key_bytes"), key->key_bytes);
    say_integer(call, BYTES("db"), kv_database_of(call->kv->hub, key->space));
    say_integer(call, BYTES("reads"), key->reads);
    say_integer(call, BYTES("reads_over"), key->reads_over);
}

/* Of the databases only: what else is in the store is not a cache client's to know. */
static size_t keep_databases(const struct kv_call *call, nh_hot_key *keys, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (kv_database_of(call->kv->hub, keys[i].space) < KV_DATABASES)
            keys[kept++] = keys[i];
    return kept;
}

void kv_nh_hotkeys(const struct kv_call *call)
{
    uint64_t wanted = 10;
    size_t count = HOT_KEYS_MAX;
    nh_hot_key *keys;

    if (call->argument_count > 2) {
        kv_syntax_error(call);
        return;
    }
    if (call->argument_count == 2 && (!uint64_parse(call->arguments[1], &wanted) || wanted == 0)) {
        kv_integer_error(call);
        return;
    }
    keys = malloc(HOT_KEYS_MAX * sizeof *keys);
    if (keys == NULL) {
        kv_refused(call, NH_NO_MEMORY);
        return;
    }
    if (nh_hot_keys_read(call->kv->store, keys, &count) == NH_OK) {
        count = keep_databases(call, keys, count);
        if (count > wanted)
            count = wanted;
        reply_aggregate(call->reply, OUTCOME_array, count);
        for (size_t i = 0; i < count; i++)
            say_hot_key(call, &keys[i]);
    } else {
        refuse_without_insight(call);
    }
    free(keys);
}

/* Pairs of memory and miss ratio; none while nothing was read. */
void kv_nh_mrc(const struct kv_call *call)
{
    nh_curve_point points[CURVE_POINTS_MAX];
    size_t count = COUNT_OF(points);
    uint64_t database = call->session->database;

    if (call->argument_count > 2) {
        kv_syntax_error(call);
        return;
    }
    if (call->argument_count == 2 &&
        (!uint64_parse(call->arguments[1], &database) || database >= KV_DATABASES)) {
        kv_error(call, "ERR DB index is out of range");
        return;
    }
    if (!has_insight(call->kv->store)) {
        refuse_without_insight(call);
        return;
    }
    if (nh_curve_read(call->kv->store, kv_space_of(call->kv, (uint32_t)database), points, &count) != NH_OK)
        count = 0;
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (size_t i = 0; i < count; i++) {
        reply_aggregate(call->reply, OUTCOME_array, 2);
        reply_integer(call->reply, (int64_t)points[i].memory_bytes);
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_number, .number = points[i].miss_ratio});
    }
}
