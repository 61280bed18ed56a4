/* kv_memcached.c — memcached's text commands over the same keys: memcached 1.6's answers. */
#include "base/buffer.h"
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include <unistd.h>

static void say_client_error(const struct kv_call *call, struct bytes why)
{
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_client_error, .bytes = why});
}

#define BAD_FORMAT BYTES("bad command line format")

/* memcached's numbers: leading zeros are fine. */
static bool signed_parse(struct bytes text, int64_t *value)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude;

    if (!digits_parse(is_negative ? bytes_after(text, 1) : text, INT64_MAX, &magnitude))
        return false;
    *value = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

/* memcached's "exptime" (0 never, negative at once, up to 30 days relative, else a unix time) as
 * nh_put_options wants a time to live. */
static int64_t ttl_of_exptime(int64_t exptime_s, int64_t now_wall_ms)
{
    const int64_t relative_max_s = 60 * 60 * 24 * 30;

    if (exptime_s == 0)
        return 0;
    if (exptime_s < 0)
        return -1;
    if (exptime_s <= relative_max_s)
        return exptime_s * 1000;
    if (exptime_s > INT64_MAX / 1000)
        return 0; /* later than any clock */
    return exptime_s * 1000 > now_wall_ms ? exptime_s * 1000 - now_wall_ms : -1;
}

/* What memcached says of a write that the store refused. */
static void say_refused(const struct kv_call *call, nh_result result)
{
    struct outcome outcome = {.kind = OUTCOME_server_error, .bytes = BYTES("out of memory storing object")};

    if (result == NH_TOO_LARGE)
        outcome.bytes = BYTES("object too large for cache");
    reply_say(call->reply, &outcome);
}

/* ---- reading ------------------------------------------------------------------------------------------
 */

static void get(const struct kv_call *call, enum outcome_kind kind)
{
    struct buffer copy = {0};
    nh_value value;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        nh_key key = kv_key(call, i);
        struct outcome outcome = {.kind = kind, .item = {.key = call->arguments[i]}};
        /* Only one who is told a version makes the store keep it. */
        if ((kind == OUTCOME_item ? kv_peek(call, key, &value) : kv_borrow(call, key, &value)) != NH_OK)
            continue;
        if (UNLIKELY(value.size >= KV_LENT_BYTES_MIN) && kv_lend(call, key, &value, &outcome))
            continue;
        outcome.item.value = kv_value_bytes(call, &value, &copy);
        outcome.item.version = value.version;
        outcome.item.flags = value.flags;
        if (LIKELY(!copy.failed))
            reply_say(call->reply, &outcome);
        nh_release(call->kv->store, &value);
        buffer_clear(&copy);
    }
    buffer_fini(&copy);
    reply_kind(call->reply, OUTCOME_end);
}

void kv_memcached_get(const struct kv_call *call) { get(call, OUTCOME_item); }

void kv_memcached_gets(const struct kv_call *call) { get(call, OUTCOME_item_version); }

/* ---- storing: <name> <key> <flags> <exptime> <bytes> [<version>], and the data block -------------------
 */

/* False if an error was said. */
static bool read_item_options(const struct kv_call *call, nh_put_options *options)
{
    uint64_t flags;
    int64_t exptime_s;

    *options = (nh_put_options){.size = sizeof *options};
    if (!digits_parse(call->arguments[2], UINT32_MAX, &flags) ||
        !signed_parse(call->arguments[3], &exptime_s)) {
        say_client_error(call, BAD_FORMAT);
        return false;
    }
    options->flags = (uint32_t)flags;
    options->ttl_ms = ttl_of_exptime(exptime_s, call->now.wall_ms);
    return true;
}

static void say_stored(const struct kv_call *call, nh_result result)
{
    if (LIKELY(result == NH_OK))
        reply_kind(call->reply, OUTCOME_stored);
    else if (result == NH_EXISTS || result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_not_stored);
    else
        say_refused(call, result);
}

static void store(const struct kv_call *call,
                  nh_result (*put)(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                                   const nh_put_options *options, uint64_t *version))
{
    nh_put_options options;

    if (read_item_options(call, &options))
        say_stored(call, put(call->kv->store, call->now.mono_ms, kv_key(call, 1),
                             kv_nh_bytes(call->arguments[5]), &options, NULL));
}

void kv_memcached_set(const struct kv_call *call) { store(call, nh_put); }

void kv_memcached_add(const struct kv_call *call) { store(call, nh_add); }

void kv_memcached_replace(const struct kv_call *call) { store(call, nh_replace); }

void kv_memcached_cas(const struct kv_call *call)
{
    nh_put_options options;
    uint64_t version;
    nh_result result;

    if (!digits_parse(call->arguments[5], UINT64_MAX, &version)) {
        say_client_error(call, BAD_FORMAT);
        return;
    }
    if (!read_item_options(call, &options))
        return;
    result = nh_cas(call->kv->store, call->now.mono_ms, kv_key(call, 1), kv_nh_bytes(call->arguments[6]),
                    &options, version, NULL);
    if (result == NH_CHANGED)
        reply_kind(call->reply, OUTCOME_exists);
    else if (result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_not_found);
    else
        say_stored(call, result);
}

static void extend(const struct kv_call *call, bool at_end)
{
    nh_bytes more = kv_nh_bytes(call->arguments[5]);
    nh_put_options ignored;

    if (!read_item_options(call, &ignored)) /* they must be well-formed, though they are not used */
        return;
    say_stored(call, at_end ? nh_append(call->kv->store, call->now.mono_ms, kv_key(call, 1), more, NULL)
                            : nh_prepend(call->kv->store, call->now.mono_ms, kv_key(call, 1), more, NULL));
}

void kv_memcached_append(const struct kv_call *call) { extend(call, true); }

void kv_memcached_prepend(const struct kv_call *call) { extend(call, false); }

/* ---- changing -----------------------------------------------------------------------------------------
 */

void kv_memcached_delete(const struct kv_call *call)
{
    /* Once there was a time argument; 0 is still sent by old clients. */
    if (call->argument_count > 3) {
        reply_kind(call->reply, OUTCOME_unknown);
    } else if (call->argument_count == 3 && !bytes_equal(call->arguments[2], BYTES("0"))) {
        say_client_error(call, BYTES("bad command line format.  Usage: delete <key> [noreply]"));
    } else {
        nh_result result = nh_delete(call->kv->store, call->now.mono_ms, kv_key(call, 1));
        reply_kind(call->reply, result == NH_OK ? OUTCOME_deleted : OUTCOME_not_found);
    }
}

void kv_memcached_touch(const struct kv_call *call)
{
    nh_result result;
    int64_t exptime_s;

    if (!signed_parse(call->arguments[2], &exptime_s)) {
        say_client_error(call, BYTES("invalid exptime argument"));
        return;
    }
    result = nh_touch(call->kv->store, call->now.mono_ms, kv_key(call, 1),
                      ttl_of_exptime(exptime_s, call->now.wall_ms));
    reply_kind(call->reply, result == NH_OK ? OUTCOME_touched : OUTCOME_not_found);
}

/* What memcached takes for a number: digits, spaces allowed around them, at most 20 bytes. */
static bool counter_parse(struct bytes text, uint64_t *value)
{
    if (text.size > NUMBER_TEXT_BYTES)
        return false;
    while (text.size > 0 && text.data[0] == ' ')
        text = bytes_after(text, 1);
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return digits_parse(text, UINT64_MAX, value);
}

/* As memcached, a number that becomes shorter keeps its length with spaces behind it, which nh_increment
 * does not do. */
static nh_result count(const struct kv_call *call, uint64_t delta, bool is_decrement, uint64_t *number)
{
    nh_store *store = call->kv->store;
    char text[NUMBER_TEXT_BYTES];
    nh_result result;
    nh_value value;

    do { /* again only if another thread wrote the key meanwhile */
        nh_put_options options = {.size = sizeof options, .keep_ttl = 1};
        size_t size, before_size;

        if (nh_borrow(store, call->now.mono_ms, kv_key(call, 1), &value) != NH_OK)
            return NH_MISSING;
        before_size = value.bytes.size;
        options.flags = value.flags;
        result = counter_parse(kv_bytes(value.bytes), number) ? NH_OK : NH_TYPE;
        nh_release(store, &value);
        if (result != NH_OK)
            return result;
        if (is_decrement)
            *number = *number > delta ? *number - delta : 0;
        else
            *number += delta;
        size = uint64_format(text, *number);
        for (; size < before_size; size++)
            text[size] = ' ';
        result = nh_cas(store, call->now.mono_ms, kv_key(call, 1), (nh_bytes){text, size}, &options,
                        value.version, NULL);
    } while (result == NH_CHANGED);
    return result;
}

static void change(const struct kv_call *call, bool is_decrement)
{
    uint64_t delta, number;
    nh_result result;

    if (!digits_parse(call->arguments[2], UINT64_MAX, &delta)) {
        say_client_error(call, BYTES("invalid numeric delta argument"));
        return;
    }
    result = count(call, delta, is_decrement, &number);
    if (result == NH_OK)
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_unsigned_integer, .unsigned_integer = number});
    else if (result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_not_found);
    else if (result == NH_TYPE)
        say_client_error(call, BYTES("cannot increment or decrement non-numeric value"));
    else
        say_refused(call, result);
}

void kv_memcached_incr(const struct kv_call *call) { change(call, false); }

void kv_memcached_decr(const struct kv_call *call) { change(call, true); }

/* ---- the server ---------------------------------------------------------------------------------------
 */

void kv_memcached_flush_all(const struct kv_call *call)
{
    int64_t delay_s = 0;

    if (call->argument_count > 2) {
        reply_kind(call->reply, OUTCOME_unknown);
        return;
    }
    if (call->argument_count == 2 && !signed_parse(call->arguments[1], &delay_s)) {
        say_client_error(call, BYTES("invalid exptime argument"));
        return;
    }
    if (delay_s > 0) {
        say_client_error(call, BYTES("flush_all with a delay is not supported"));
        return;
    }
    nh_clear(call->kv->store, call->session->space);
    reply_kind(call->reply, OUTCOME_ok);
}

void kv_memcached_version(const struct kv_call *call)
{
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_version, .bytes = BYTES(NUTHATCH_VERSION)});
}

void kv_memcached_verbosity(const struct kv_call *call)
{
    uint64_t level;

    if (digits_parse(call->arguments[1], UINT32_MAX, &level))
        reply_kind(call->reply, OUTCOME_ok);
    else
        say_client_error(call, BAD_FORMAT);
}

void kv_memcached_quit(const struct kv_call *call) { call->session->closing = true; }

static void stat_text(const struct kv_call *call, const char *name, const char *text)
{
    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_stat,
                                .item = {.key = bytes_of_text(name), .value = bytes_of_text(text)}});
}

static void stat_number(const struct kv_call *call, const char *name, uint64_t number)
{
    char text[NUMBER_TEXT_BYTES];
    size_t size = uint64_format(text, number);

    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_stat,
                                .item = {.key = bytes_of_text(name), .value = bytes_of(text, size)}});
}

static void stats_general(const struct kv_call *call, const struct kv_facts *facts, const nh_stats *stats)
{
    const uint64_t *metrics = facts->metrics;

    stat_number(call, "pid", (uint64_t)getpid());
    stat_number(call, "uptime", (uint64_t)(call->now.mono_ms - facts->started_mono_ms) / 1000);
    stat_number(call, "time", (uint64_t)call->now.wall_ms / 1000);
    stat_text(call, "version", NUTHATCH_VERSION);
    stat_number(call, "pointer_size", 8 * sizeof(void *));
    stat_number(call, "max_connections", facts->connections_max);
    stat_number(call, "curr_connections", facts->connections_now);
    stat_number(call, "total_connections", metrics[METRIC_connections_accepted]);
    stat_number(call, "rejected_connections", metrics[METRIC_connections_refused]);
    stat_number(call, "cmd_get", metrics[METRIC_get_hits] + metrics[METRIC_get_misses]);
    stat_number(call, "cmd_set", stats->puts);
    stat_number(call, "get_hits", metrics[METRIC_get_hits]);
    stat_number(call, "get_misses", metrics[METRIC_get_misses]);
    stat_number(call, "delete_hits", stats->deletes);
    stat_number(call, "bytes_read", metrics[METRIC_bytes_received]);
    stat_number(call, "bytes_written", metrics[METRIC_bytes_sent]);
    stat_number(call, "limit_maxbytes", stats->memory_bytes_max);
    stat_number(call, "threads", facts->thread_count);
    stat_number(call, "bytes", stats->memory_bytes);
    stat_number(call, "curr_items", nh_count(call->kv->store, call->session->space));
    stat_number(call, "total_items", stats->puts);
    stat_number(call, "evictions", stats->evicted);
    stat_number(call, "expired", stats->expired);
}

static void stats_settings(const struct kv_call *call, const struct kv_facts *facts, const nh_stats *stats)
{
    stat_number(call, "maxbytes", stats->memory_bytes_max);
    stat_number(call, "maxconns", facts->connections_max);
    stat_number(call, "tcpport", (uint64_t)facts->tcp_port);
    stat_number(call, "udpport", 0);
    stat_text(call, "evictions", "on");
    stat_number(call, "num_threads", facts->thread_count);
    stat_text(call, "cas_enabled", "yes");
    stat_text(call, "flush_enabled", "yes");
}

void kv_memcached_stats(const struct kv_call *call)
{
    nh_stats stats = {.size = sizeof stats};
    struct kv_facts facts = {0};

    if (call->argument_count > 2) {
        reply_kind(call->reply, OUTCOME_unknown);
        return;
    }
    call->kv->read_facts(call->kv->facts_context, &facts);
    nh_stats_read(call->kv->store, &stats);
    if (call->argument_count == 1) {
        stats_general(call, &facts, &stats);
    } else if (bytes_equal(call->arguments[1], BYTES("settings"))) {
        stats_settings(call, &facts, &stats);
    } else if (!bytes_equal(call->arguments[1], BYTES("items")) &&
               !bytes_equal(call->arguments[1], BYTES("slabs"))) { /* there are no slabs to tell about */
        reply_kind(call->reply, OUTCOME_unknown);
        return;
    }
    reply_kind(call->reply, OUTCOME_end);
}
