#include "engine/kv/kv_database.h"
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include <assert.h>

static_assert(KV_DATABASES < UINT8_MAX, "a database's space is saved in a byte");

/* Beside the databases: a key that no client can name. */
static const nh_key saved_key = {"databases", 9, KV_DATABASES};

uint32_t kv_database_of(const struct kv_hub *hub, uint32_t space)
{
    uint32_t database = 0;

    while (database < KV_DATABASES &&
           atomic_load_explicit(&hub->spaces[database], memory_order_relaxed) != space)
        database++;
    return database;
}

void kv_databases_hand_over(const struct kv_hub *hub, nh_store *store, struct now now)
{
    unsigned char spaces[KV_DATABASES];
    bool is_swapped = false;

    for (uint32_t i = 0; i < KV_DATABASES; i++) {
        spaces[i] = (unsigned char)atomic_load_explicit(&hub->spaces[i], memory_order_relaxed);
        is_swapped |= spaces[i] != i;
    }
    if (is_swapped)
        nh_put(store, now.mono_ms, saved_key, (nh_bytes){spaces, sizeof spaces}, NULL, NULL);
}

void kv_databases_take_over(struct kv_hub *hub, nh_store *store, struct now now)
{
    unsigned char spaces[KV_DATABASES];
    unsigned seen = 0;
    size_t size;

    if (nh_get(store, now.mono_ms, saved_key, spaces, sizeof spaces, &size) != NH_OK)
        return;
    nh_delete(store, now.mono_ms, saved_key);
    for (uint32_t i = 0; i < KV_DATABASES && size == sizeof spaces; i++)
        if (spaces[i] < KV_DATABASES)
            seen |= 1u << spaces[i];
    if (seen != (1u << KV_DATABASES) - 1)
        return;
    for (uint32_t i = 0; i < KV_DATABASES; i++)
        atomic_store_explicit(&hub->spaces[i], spaces[i], memory_order_relaxed);
}

bool kv_read_database(const struct kv_call *call, uint32_t index, uint32_t *database)
{
    int64_t number;

    if (!int64_parse(call->arguments[index], &number)) {
        kv_integer_error(call);
        return false;
    }
    if (number < INT32_MIN || number > INT32_MAX) {
        kv_error(call, "ERR value is out of range, value must between %d and %d", INT32_MIN, INT32_MAX);
        return false;
    }
    if (number < 0 || number >= KV_DATABASES) {
        kv_error(call, "ERR DB index is out of range");
        return false;
    }
    *database = (uint32_t)number;
    return true;
}

/* Reads the number of argument `index`. False if an error was said. */
static bool read_index(const struct kv_call *call, uint32_t index, const char *error, int64_t *number)
{
    if (int64_parse(call->arguments[index], number) && *number >= INT32_MIN && *number <= INT32_MAX)
        return true;
    kv_error(call, "%s", error);
    return false;
}

void kv_swapdb(const struct kv_call *call)
{
    _Atomic uint32_t *spaces = call->kv->hub->spaces;
    int64_t first, second;
    uint32_t space;

    if (!read_index(call, 1, "ERR invalid first DB index", &first) ||
        !read_index(call, 2, "ERR invalid second DB index", &second))
        return;
    if (first < 0 || first >= KV_DATABASES || second < 0 || second >= KV_DATABASES) {
        kv_error(call, "ERR DB index is out of range");
        return;
    }
    space = spaces[first];
    spaces[first] = spaces[second];
    spaces[second] = space;
    if (first != second) { /* all keys of both are others now */
        kv_flushed(call, spaces[first]);
        kv_flushed(call, spaces[second]);
    }
    reply_kind(call->reply, OUTCOME_ok);
}
