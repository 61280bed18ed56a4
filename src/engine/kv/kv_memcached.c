/* kv_memcached.c — memcached's text commands over the same keys: memcached 1.6's answers. */
#include "engine/kv/kv_memcached.h"
#include "base/number.h"
#include "engine/kv/kv_version.h"

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Says a lent value, and releases it. */
static void say_item(const struct kv_call *call, enum outcome_kind kind, uint32_t index, nh_value *value)
{
    struct outcome outcome = {
        .kind = kind,
        .item = {.key = call->arguments[index], .version = value->version, .flags = value->flags}};
    struct buffer copy = {0};

    memcached_note_use(call, value);
    if (UNLIKELY(value->size >= LOAN_BYTES_MIN) && kv_lend(call, kv_key(call, index), value, &outcome))
        return;
    outcome.item.value = kv_value_bytes(call, value, &copy);
    if (LIKELY(!copy.failed))
        reply_say(call->reply, &outcome);
    nh_release(call->kv->store, value);
    buffer_fini(&copy);
}

/* Many keys: the memory of the next ones is on its way while one is said. */
static void prefetch(const struct kv_call *call, uint32_t first)
{
    enum { BATCH = 64, WORTH_IT = 2 };
    nh_key keys[BATCH];
    uint32_t count = call->argument_count - first < BATCH ? call->argument_count - first : BATCH;

    if (count < WORTH_IT)
        return;
    for (uint32_t i = 0; i < count; i++)
        keys[i] = kv_key(call, first + i);
    nh_prefetch(call->kv->store, keys, count);
}

static void get(const struct kv_call *call, enum outcome_kind kind)
{
    nh_value value;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        nh_key key = kv_key(call, i);
        if ((i - 1) % 64 == 0)
            prefetch(call, i);
        /* Only one who is told a version makes the store keep it. */
        if ((kind == OUTCOME_item ? kv_peek(call, key, &value) : kv_borrow(call, key, &value)) == NH_OK)
            say_item(call, kind, i, &value);
    }
    reply_kind(call->reply, OUTCOME_end);
}

void kv_memcached_get(const struct kv_call *call) { get(call, OUTCOME_item); }

void kv_memcached_gets(const struct kv_call *call) { get(call, OUTCOME_item_version); }

/* What a time to live makes of a key that is there. */
static void touched(const struct kv_call *call, nh_key key, int64_t ttl_ms)
{
    kv_changed(call, key, ttl_ms < 0 ? KV_EVENT_del : ttl_ms == 0 ? KV_EVENT_persist : KV_EVENT_expire);
}

static void get_and_touch(const struct kv_call *call, enum outcome_kind kind)
{
    int64_t exptime_s, ttl_ms;
    nh_value value;

    if (!memcached_signed(call->arguments[1], &exptime_s)) {
        memcached_client_error(call, BYTES("invalid exptime argument"));
        return;
    }
    ttl_ms = memcached_ttl_ms(call, exptime_s);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        nh_key key = kv_key(call, i);
        nh_result result = nh_get_and_touch(call->kv->store, call->now.mono_ms, key, ttl_ms, &value);

        if (kv_count_read(call, key, result) != NH_OK)
            continue;
        touched(call, key, ttl_ms);
        say_item(call, kind, i, &value);
    }
    reply_kind(call->reply, OUTCOME_end);
}

void kv_memcached_gat(const struct kv_call *call) { get_and_touch(call, OUTCOME_item); }

void kv_memcached_gats(const struct kv_call *call) { get_and_touch(call, OUTCOME_item_version); }

/* ---- storing: <name> <key> <flags> <exptime> <bytes> [<version>], and the data block ----------------- */

/* False if an error was said. */
static bool read_item_options(const struct kv_call *call, nh_put_options *options)
{
    uint64_t flags;
    int64_t exptime_s;

    *options = (nh_put_options){.size = sizeof *options, .note = memcached_note(call, 0)};
    if (!memcached_unsigned(call->arguments[2], UINT32_MAX, &flags) ||
        !memcached_signed(call->arguments[3], &exptime_s)) {
        memcached_client_error(call, MEMCACHED_BAD_FORMAT);
        return false;
    }
    options->flags = (uint32_t)flags;
    options->ttl_ms = memcached_ttl_ms(call, exptime_s);
    return true;
}

static void say_stored(const struct kv_call *call, nh_result result, enum kv_event event)
{
    if (LIKELY(result == NH_OK)) {
        kv_changed(call, kv_key(call, 1), event);
        reply_kind(call->reply, OUTCOME_stored);
    } else if (result == NH_EXISTS || result == NH_MISSING) {
        reply_kind(call->reply, OUTCOME_not_stored);
    } else {
        memcached_refused(call, result);
    }
}

/* A set that cannot be: what it was to replace is gone all the same, as it must not be taken for the new
 * value. */
static void drop_old(const struct kv_call *call)
{
    if (nh_delete(call->kv->store, call->now.mono_ms, kv_key(call, 1)) == NH_OK)
        kv_changed(call, kv_key(call, 1), KV_EVENT_del);
}

static void store(const struct kv_call *call,
                  nh_result (*put)(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                                   const nh_put_options *options, uint64_t *version))
{
    nh_put_options options;
    nh_result result = NH_TOO_LARGE;

    if (!read_item_options(call, &options))
        return;
    if (LIKELY(!memcached_is_too_large(call->arguments[5])))
        result = put(call->kv->store, call->now.mono_ms, kv_key(call, 1), kv_nh_bytes(call->arguments[5]),
                     &options, NULL);
    if (UNLIKELY(put == nh_put && result != NH_OK))
        drop_old(call);
    say_stored(call, result, KV_EVENT_set);
}

void kv_memcached_set(const struct kv_call *call) { store(call, nh_put); }

void kv_memcached_add(const struct kv_call *call) { store(call, nh_add); }

void kv_memcached_replace(const struct kv_call *call) { store(call, nh_replace); }

void kv_memcached_cas(const struct kv_call *call)
{
    nh_put_options options;
    uint64_t version;
    nh_result result = NH_TOO_LARGE;

    if (!memcached_unsigned(call->arguments[5], UINT64_MAX, &version)) {
        memcached_client_error(call, MEMCACHED_BAD_FORMAT);
        return;
    }
    if (!read_item_options(call, &options))
        return;
    if (LIKELY(!memcached_is_too_large(call->arguments[6])))
        result = nh_cas(call->kv->store, call->now.mono_ms, kv_key(call, 1),
                        kv_nh_bytes(call->arguments[6]), &options, version, NULL);
    if (result == NH_CHANGED)
        reply_kind(call->reply, OUTCOME_exists);
    else if (result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_not_found);
    else
        say_stored(call, result, KV_EVENT_set);
}

static void extend(const struct kv_call *call, bool at_end)
{
    nh_put_options options;
    nh_result result;

    if (!read_item_options(call, &options)) /* they must be well-formed, though they are not used */
        return;
    if (memcached_is_too_large(call->arguments[5])) {
        memcached_refused(call, NH_TOO_LARGE);
        return;
    }
    result =
        memcached_extend(call, kv_key(call, 1), kv_nh_bytes(call->arguments[5]), at_end, 0, &options, NULL);
    say_stored(call, result == NH_TOO_LARGE ? NH_MISSING : result, KV_EVENT_append);
}

void kv_memcached_append(const struct kv_call *call) { extend(call, true); }

void kv_memcached_prepend(const struct kv_call *call) { extend(call, false); }

/* ---- changing ---------------------------------------------------------------------------------------- */

void kv_memcached_delete(const struct kv_call *call)
{
    /* Once there was a time argument; 0 is still sent by old clients. */
    if (call->argument_count > 3) {
        reply_kind(call->reply, OUTCOME_unknown);
    } else if (call->argument_count == 3 && !bytes_equal(call->arguments[2], BYTES("0"))) {
        memcached_client_error(call, BYTES("bad command line format.  Usage: delete <key> [noreply]"));
    } else {
        nh_result result = nh_delete(call->kv->store, call->now.mono_ms, kv_key(call, 1));
        if (result == NH_OK)
            kv_changed(call, kv_key(call, 1), KV_EVENT_del);
        reply_kind(call->reply, result == NH_OK ? OUTCOME_deleted : OUTCOME_not_found);
    }
}

void kv_memcached_touch(const struct kv_call *call)
{
    int64_t exptime_s, ttl_ms;
    nh_result result;
    nh_value value;

    if (!memcached_signed(call->arguments[2], &exptime_s)) {
        memcached_client_error(call, BYTES("invalid exptime argument"));
        return;
    }
    ttl_ms = memcached_ttl_ms(call, exptime_s);
    if (nh_peek(call->kv->store, call->now.mono_ms, kv_key(call, 1), &value) == NH_OK) {
        memcached_note_use(call, &value);
        nh_release(call->kv->store, &value);
    }
    result = nh_touch(call->kv->store, call->now.mono_ms, kv_key(call, 1), ttl_ms);
    if (result == NH_OK)
        touched(call, kv_key(call, 1), ttl_ms);
    reply_kind(call->reply, result == NH_OK ? OUTCOME_touched : OUTCOME_not_found);
}

static void change(const struct kv_call *call, bool is_decrement)
{
    struct memcached_sum sum = {.is_decrement = is_decrement};
    nh_result result;

    if (!memcached_unsigned(call->arguments[2], UINT64_MAX, &sum.delta)) {
        memcached_client_error(call, BYTES("invalid numeric delta argument"));
        return;
    }
    result = memcached_add_to(call, kv_key(call, 1), &sum);
    if (result == NH_OK) {
        kv_changed(call, kv_key(call, 1), KV_EVENT_incrby); /* Redis has this name for decrements, too */
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_unsigned_integer, .unsigned_integer = sum.number});
    } else if (result == NH_MISSING) {
        reply_kind(call->reply, OUTCOME_not_found);
    } else if (result == NH_TYPE) {
        memcached_client_error(call, BYTES("cannot increment or decrement non-numeric value"));
    } else {
        memcached_refused(call, result);
    }
}

void kv_memcached_incr(const struct kv_call *call) { change(call, false); }

void kv_memcached_decr(const struct kv_call *call) { change(call, true); }

/* ---- the server -------------------------------------------------------------------------------------- */

void kv_memcached_version(const struct kv_call *call)
{
    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_version, .bytes = BYTES(KV_MEMCACHED_VERSION)});
}

void kv_memcached_verbosity(const struct kv_call *call)
{
    uint64_t level;

    if (call->argument_count < 2 || call->argument_count > 3)
        reply_kind(call->reply, OUTCOME_unknown);
    else if (memcached_unsigned(call->arguments[1], UINT32_MAX, &level))
        reply_kind(call->reply, OUTCOME_ok);
    else
        memcached_client_error(call, MEMCACHED_BAD_FORMAT);
}

void kv_memcached_shutdown(const struct kv_call *call)
{
    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_text, .bytes = BYTES("ERROR: shutdown not enabled")});
}

void kv_memcached_quit(const struct kv_call *call) { call->session->closing = true; }
