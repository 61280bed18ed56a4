/* kv_move.c — values that go from one key to another, or from one database to another: Redis 7's answers.
 * All run alone: others see a value where it was or where it is, and never none. */
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_database.h"

static bool is_there(const struct kv_call *call, nh_key key)
{
    nh_value value;

    if (nh_peek(call->kv->store, call->now.mono_ms, key, &value) != NH_OK)
        return false;
    nh_release(call->kv->store, &value);
    return true;
}

static bool is_same(nh_key one, nh_key other)
{
    return one.space == other.space &&
           bytes_equal(bytes_of(one.data, one.size), bytes_of(other.data, other.size));
}

/* Moves what `from` holds, with all that is kept of it, to `to`. As nh_copy. */
static nh_result move_value(const struct kv_call *call, nh_key from, nh_key to)
{
    nh_result result = nh_copy(call->kv->store, call->now.mono_ms, from, to, NULL);

    if (result == NH_OK)
        nh_delete(call->kv->store, call->now.mono_ms, from);
    return result;
}

/* ---- within a database --------------------------------------------------------------------------------
 */

static void no_such_key(const struct kv_call *call) { kv_error(call, "ERR no such key"); }

/* True if it was done; else the answer is given. */
static bool rename_key(const struct kv_call *call)
{
    nh_result result = move_value(call, kv_key(call, 1), kv_key(call, 2));

    if (result == NH_OK) {
        kv_changed(call, kv_key(call, 1), KV_EVENT_rename_from);
        kv_changed(call, kv_key(call, 2), KV_EVENT_rename_to);
    } else if (result == NH_MISSING) {
        no_such_key(call);
    } else {
        kv_refused(call, result);
    }
    return result == NH_OK;
}

void kv_rename(const struct kv_call *call)
{
    bool is_to_itself = is_same(kv_key(call, 1), kv_key(call, 2));

    if (is_to_itself && !is_there(call, kv_key(call, 1)))
        no_such_key(call);
    else if (is_to_itself || rename_key(call))
        reply_kind(call->reply, OUTCOME_ok);
}

void kv_renamenx(const struct kv_call *call)
{
    if (!is_there(call, kv_key(call, 1)))
        no_such_key(call);
    else if (is_there(call, kv_key(call, 2)))
        reply_integer(call->reply, 0);
    else if (rename_key(call))
        reply_integer(call->reply, 1);
}

/* ---- between databases --------------------------------------------------------------------------------
 */

/* Reads what stands behind COPY source destination. False if an error was said. */
static bool read_copy_options(const struct kv_call *call, uint32_t *database, bool *replaces)
{
    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("replace"))) {
            *replaces = true;
        } else if (kv_argument_is(call, i, BYTES("db")) && i + 1 < call->argument_count) {
            if (!kv_read_database(call, ++i, database))
                return false;
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Says 1 if the value was put, and 0 if there was none. */
static void reply_moved(const struct kv_call *call, nh_result result)
{
    if (result == NH_OK || result == NH_MISSING)
        reply_integer(call->reply, result == NH_OK);
    else
        kv_refused(call, result);
}

static void same_object_error(const struct kv_call *call)
{
    kv_error(call, "ERR source and destination objects are the same");
}

void kv_copy(const struct kv_call *call)
{
    nh_key from = kv_key(call, 1), to = kv_key(call, 2);
    uint32_t database = call->session->database;
    bool replaces = false;
    nh_result result;
    nh_value value;

    if (!read_copy_options(call, &database, &replaces))
        return;
    to.space = kv_space_of(call->kv, database);
    if (is_same(from, to)) {
        same_object_error(call);
        return;
    }
    if (kv_peek(call, from, &value) != NH_OK) { /* which is told as a read is */
        reply_integer(call->reply, 0);
        return;
    }
    nh_release(call->kv->store, &value);
    if (!replaces && is_there(call, to)) {
        reply_integer(call->reply, 0);
        return;
    }
    result = nh_copy(call->kv->store, call->now.mono_ms, from, to, NULL);
    if (result == NH_OK)
        kv_changed(call, to, KV_EVENT_copy_to);
    reply_moved(call, result);
}

void kv_move(const struct kv_call *call)
{
    nh_key from = kv_key(call, 1), to = from;
    nh_result result;
    uint32_t database;

    if (!kv_read_database(call, 2, &database))
        return;
    to.space = kv_space_of(call->kv, database);
    if (from.space == to.space) {
        same_object_error(call);
        return;
    }
    if (is_there(call, to)) {
        reply_integer(call->reply, 0);
        return;
    }
    result = move_value(call, from, to);
    if (result == NH_OK) {
        kv_changed(call, from, KV_EVENT_move_from);
        kv_changed(call, to, KV_EVENT_move_to);
    }
    reply_moved(call, result);
}
