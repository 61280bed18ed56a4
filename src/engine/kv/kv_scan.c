/* kv_scan.c — keys found by looking through all of them: Redis 7's answers.
 *
 * The store keeps the keys of all spaces in one table. SCAN's cursor is a place in it: by the store's
 * promise a key that is there from the first call to the last is told, and it is told once if the table has
 * not grown meanwhile. A call looks at a bounded part of the table, however few of the keys in it fit, so
 * that no client waits for another's SCAN. */
#include "base/buffer.h"
#include "base/glob.h"
#include "base/hash.h"
#include "base/number.h"
#include "engine/kv/kv_call.h"

enum {
    KEYS_PER_POSITION = 5, /* about, in a table that is well filled */
    POSITIONS_MIN = 16,    /* that one SCAN looks at */
    POSITIONS_MAX = 65536,
    EFFORT = 64, /* how many times the positions of COUNT keys it looks at, while it has not found those */
};

/* Keys that were found. */
struct found {
    struct buffer keys; /* of each its size, as a size_t, and its bytes */
    size_t count;
};

static void note(struct found *found, nh_key key)
{
    buffer_append(&found->keys, bytes_of((const char *)&key.size, sizeof key.size));
    buffer_append(&found->keys, bytes_of(key.data, key.size));
    found->count++;
}

static void reply_found(const struct kv_call *call, const struct found *found)
{
    struct bytes rest = buffer_bytes(&found->keys);
    size_t size;

    reply_aggregate(call->reply, OUTCOME_array, found->count);
    for (size_t i = 0; i < found->count; i++) {
        memcpy(&size, rest.data, sizeof size);
        reply_value(call->reply, bytes_of(rest.data + sizeof size, size));
        rest = bytes_after(rest, sizeof size + size);
    }
}

/* Goes on to the next key that is there, for any client to see. As nh_cursor_next. */
static nh_result next_key(const struct kv_call *call, nh_cursor *cursor, nh_key *key)
{
    nh_result result;
    nh_value value;

    do
        result = nh_cursor_next(cursor, call->now.mono_ms, key, &value);
    while (result == NH_OK && value.traits & NH_VALUE_NEGATIVE);
    return result;
}

/* ---- KEYS ---------------------------------------------------------------------------------------------
 */

void kv_keys(const struct kv_call *call)
{
    struct bytes pattern = call->arguments[1];
    struct found found = {.count = 0};
    nh_cursor *cursor;
    nh_result result;
    nh_key key;

    if (nh_cursor_create(call->kv->store, 0, &cursor) != NH_OK) {
        kv_refused(call, NH_NO_MEMORY);
        return;
    }
    nh_cursor_narrow(cursor, kv_space(call), UINT64_MAX);
    while ((result = next_key(call, cursor, &key)) == NH_OK)
        if (glob_fits(pattern, bytes_of(key.data, key.size)))
            note(&found, key);
    nh_cursor_destroy(cursor);
    if (found.keys.failed || result == NH_NO_MEMORY)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_found(call, &found);
    buffer_fini(&found.keys);
}

/* ---- SCAN ---------------------------------------------------------------------------------------------
 */

struct scan {
    uint64_t position;
    int64_t key_count; /* COUNT: about how many to look at */
    struct bytes pattern;
    bool has_pattern;
    bool is_of_others; /* TYPE names one that no key here has */
};

/* As strtoul reads a cursor for Redis: a sign may be there, digits may be none. */
static bool read_cursor(struct bytes text, uint64_t *position)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';

    *position = 0;
    if (text.size > 1 && (is_negative || text.data[0] == '+'))
        text = bytes_after(text, 1);
    if (text.size > 0 && !digits_parse(text, UINT64_MAX, position))
        return false;
    if (is_negative)
        *position = 0 - *position;
    return true;
}

/* False if an error was said. */
static bool read_scan(const struct kv_call *call, struct scan *scan)
{
    if (!read_cursor(call->arguments[1], &scan->position)) {
        kv_error(call, "ERR invalid cursor");
        return false;
    }
    for (uint32_t i = 2; i < call->argument_count; i += 2) {
        bool has_value = i + 1 < call->argument_count;
        if (has_value && kv_argument_is(call, i, BYTES("count"))) {
            if (!int64_parse(call->arguments[i + 1], &scan->key_count)) {
                kv_integer_error(call);
                return false;
            }
            if (scan->key_count < 1) {
                kv_syntax_error(call);
                return false;
            }
        } else if (has_value && kv_argument_is(call, i, BYTES("match"))) {
            scan->pattern = call->arguments[i + 1];
            scan->has_pattern = true;
        } else if (has_value && kv_argument_is(call, i, BYTES("type"))) {
            scan->is_of_others = !kv_argument_is(call, i + 1, BYTES("string"));
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Looks at the table from the scan's position on, which moves. NH_OK; NH_NO_MEMORY. */
static nh_result look(const struct kv_call *call, struct scan *scan, nh_cursor *cursor, struct found *found)
{
    int64_t wanted = scan->key_count / KEYS_PER_POSITION;
    uint64_t step = wanted < POSITIONS_MIN   ? POSITIONS_MIN
                    : wanted < POSITIONS_MAX ? (uint64_t)wanted
                                             : POSITIONS_MAX;
    int64_t seen = 0;
    nh_result result;
    nh_key key;

    for (unsigned steps = 0; steps < EFFORT && seen < scan->key_count; steps++) {
        if (scan->position > UINT64_MAX - step) { /* a position that nobody gave */
            scan->position = 0;
            return NH_OK;
        }
        nh_cursor_narrow(cursor, kv_space(call), scan->position + step);
        while ((result = next_key(call, cursor, &key)) == NH_OK) {
            seen++;
            if (!scan->is_of_others &&
                (!scan->has_pattern || glob_fits(scan->pattern, bytes_of(key.data, key.size))))
                note(found, key);
        }
        if (result == NH_NO_MEMORY)
            return result;
        scan->position = nh_cursor_position(cursor);
        if (scan->position == 0)
            break;
    }
    return NH_OK;
}

void kv_scan(const struct kv_call *call)
{
    struct scan scan = {.key_count = 10};
    struct found found = {.count = 0};
    char text[NUMBER_TEXT_BYTES];
    nh_cursor *cursor;
    nh_result result;

    if (!read_scan(call, &scan))
        return;
    result = nh_cursor_create(call->kv->store, scan.position, &cursor);
    if (result == NH_OK) {
        result = look(call, &scan, cursor, &found);
        nh_cursor_destroy(cursor);
    }
    if (found.keys.failed || result != NH_OK) {
        kv_refused(call, NH_NO_MEMORY);
    } else {
        reply_aggregate(call->reply, OUTCOME_array, 2);
        reply_value(call->reply, bytes_of(text, uint64_format(text, scan.position)));
        reply_found(call, &found);
    }
    buffer_fini(&found.keys);
}

/* ---- RANDOMKEY ----------------------------------------------------------------------------------------
 */

enum {
    CANDIDATES = 16,       /* keys to choose among, if so many are near */
    STEP_POSITIONS = 4096, /* how near */
};

/* One of the keys that were seen, each as likely as the others. */
struct choice {
    struct buffer key;
    uint64_t random;
    unsigned count; /* of keys seen */
};

static void consider(struct choice *choice, nh_key key)
{
    choice->random = choice->random * 6364136223846793005u + 1442695040888963407u;
    if ((choice->random >> 32) % ++choice->count != 0)
        return;
    buffer_clear(&choice->key);
    buffer_append(&choice->key, bytes_of(key.data, key.size));
}

/* Considers keys from `position` on, until there are enough, or some and the next are far. */
static void look_near(const struct kv_call *call, uint64_t position, struct choice *choice)
{
    nh_cursor *cursor;
    nh_key key;

    if (nh_cursor_create(call->kv->store, position, &cursor) != NH_OK)
        return;
    do {
        position += STEP_POSITIONS;
        nh_cursor_narrow(cursor, kv_space(call), position);
        while (choice->count < CANDIDATES && next_key(call, cursor, &key) == NH_OK)
            consider(choice, key);
    } while (choice->count == 0 && nh_cursor_position(cursor) != 0);
    nh_cursor_destroy(cursor);
}

/* Not all keys are equally likely, but every one is possible. */
void kv_randomkey(const struct kv_call *call)
{
    enum { POSITION_BYTES = 64 };
    struct choice choice = {.random = hash_seed_random()};
    nh_stats stats = {.size = sizeof stats};
    uint64_t position = 0;

    if (nh_count(call->kv->store, kv_space(call)) > 0) {
        if (nh_stats_read(call->kv->store, &stats) == NH_OK && stats.index_bytes >= POSITION_BYTES)
            position = choice.random % (stats.index_bytes / POSITION_BYTES);
        look_near(call, position, &choice);
        if (choice.count < CANDIDATES) /* near the end */
            look_near(call, 0, &choice);
    }
    if (choice.count == 0)
        reply_kind(call->reply, OUTCOME_nothing);
    else if (choice.key.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_value(call->reply, buffer_bytes(&choice.key));
    buffer_fini(&choice.key);
}
