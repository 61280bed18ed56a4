/* kv_nh.c — reading through: NH.GET, NH.SET, NH.FILL, NH.GIVEUP on the store's leases.
 *
 * Of many clients that miss one key, or find it stale, one is given a lease and computes the value; the
 * others serve what is stale, or ask again in a moment. Nothing here waits. */
#include "engine/kv/kv_nh.h"
#include "base/number.h"
#include "engine/kv/kv_change.h"

static void say_name(const struct kv_call *call, const char *name)
{
    reply_value(call->reply, bytes_of_text(name));
}

static void say_integer(const struct kv_call *call, const char *name, int64_t integer)
{
    say_name(call, name);
    reply_integer(call->reply, integer);
}

/* A number that may be more than RESP's integers say, as its decimal text; nil for 0. */
static void say_token(const struct kv_call *call, const char *name, uint64_t token)
{
    char text[NUMBER_TEXT_BYTES];

    say_name(call, name);
    if (token == 0)
        reply_kind(call->reply, OUTCOME_nothing);
    else
        reply_value(call->reply, bytes_of(text, uint64_format(text, token)));
}

/* ---- NH.GET ------------------------------------------------------------------------------------ */

struct get_options {
    nh_fetch_options fetch;
    bool wants_lease;
};

/* Reads the words behind NH.GET key. False if an error was said. */
static bool read_get_options(const struct kv_call *call, struct get_options *options)
{
    int64_t number;

    for (uint32_t i = 2; i < call->argument_count; i++) {
        bool has_next = i + 1 < call->argument_count;

        if (kv_argument_is(call, i, BYTES("lease"))) {
            options->wants_lease = true;
            if (!has_next || !int64_parse(call->arguments[i + 1], &number))
                continue; /* no word of this command is a number */
            if (number <= 0) {
                kv_error(call, "ERR a lease must last for 1 millisecond or more");
                return false;
            }
            options->fetch.lease_ms = number;
            i++;
        } else if (kv_argument_is(call, i, BYTES("early")) && has_next) {
            if (!int64_parse(call->arguments[++i], &number) || number < 0 || number > 100000) {
                kv_error(call, "ERR EARLY is a percentage, 0 to 100000");
                return false;
            }
            options->fetch.early_percent = (uint32_t)number;
        } else if (kv_argument_is(call, i, BYTES("fenced"))) {
            continue; /* what is here is always the newest: this is for keys that are elsewhere */
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    if (options->fetch.early_percent != 0 && !options->wants_lease) {
        kv_error(call, "ERR EARLY needs LEASE: who is asked to compute early must be able to fill");
        return false;
    }
    return true;
}

static int64_t time_left_ms(int64_t now_ms, int64_t at_ms)
{
    if (at_ms == 0)
        return -1;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

/* Says and releases `value`, if there is one. */
static void say_found(const struct kv_call *call, const char *state, nh_value *value, uint64_t lease)
{
    nh_value found = {0};

    reply_aggregate(call->reply, OUTCOME_map, 8);
    say_name(call, "state");
    say_name(call, state);
    say_name(call, "value");
    if (value != NULL) {
        found = *value;
        kv_reply_value(call, value);
    } else {
        reply_kind(call->reply, OUTCOME_nothing);
    }
    say_token(call, "lease", lease);
    say_integer(call, "ttl_ms", time_left_ms(call->now.mono_ms, found.expires_at_ms));
    say_integer(call, "soft_ttl_ms", time_left_ms(call->now.mono_ms, found.stale_at_ms));
    say_integer(call, "flags", found.flags);
    say_token(call, "version", found.version);
    say_name(call, "negative");
    reply_kind(call->reply, found.traits & NH_VALUE_NEGATIVE ? OUTCOME_yes : OUTCOME_no);
}

/* Without a lease: what is there. */
static void look(const struct kv_call *call)
{
    nh_value value;
    nh_result result = kv_borrow(call, kv_key(call, 1), &value);

    if (result == NH_OK)
        say_found(call, value.traits & NH_VALUE_STALE ? "stale" : "hit", &value, 0);
    else if (result == NH_MISSING)
        say_found(call, "missing", NULL, 0);
    else
        kv_refused(call, result);
}

void kv_nh_get(const struct kv_call *call)
{
    struct get_options options = {.fetch = {.size = sizeof options.fetch}};
    nh_fetch_state state;
    nh_result result;
    nh_value value;
    uint64_t lease = 0;

    if (!read_get_options(call, &options))
        return;
    if (!options.wants_lease) {
        look(call);
        return;
    }
    result = nh_fetch(call->kv->store, call->now.mono_ms, kv_key(call, 1), &options.fetch, &state, &lease,
                      &value);
    if (result != NH_OK) {
        kv_refused(call, result);
        return;
    }
    switch (state) {
    case NH_FETCH_HIT:
    case NH_FETCH_HIT_LEASE:
        counters_add(call->kv->counters, METRIC_get_hits, 1);
        say_found(call, "hit", &value, state == NH_FETCH_HIT_LEASE ? lease : 0);
        return;
    case NH_FETCH_STALE:
    case NH_FETCH_STALE_LEASE:
        counters_add(call->kv->counters, METRIC_get_hits, 1);
        say_found(call, "stale", &value, state == NH_FETCH_STALE_LEASE ? lease : 0);
        return;
    case NH_FETCH_MISS_WAIT:
        counters_add(call->kv->counters, METRIC_get_misses, 1);
        say_found(call, "wait", NULL, 0);
        return;
    case NH_FETCH_MISS_LEASE:
        counters_add(call->kv->counters, METRIC_get_misses, 1);
        say_found(call, "missing", NULL, lease);
        return;
    }
    UNREACHABLE();
}

/* ---- NH.SET and NH.FILL ------------------------------------------------------------------------ */

/* Reads argument `index` as a number of 0 to `highest`. False if an error was said. */
static bool read_number(const struct kv_call *call, uint32_t index, uint64_t highest, uint64_t *number)
{
    if (uint64_parse(call->arguments[index], number) && *number <= highest)
        return true;
    kv_integer_error(call);
    return false;
}

/* Reads argument `index` as a time from now. False if an error was said. */
static bool read_time(const struct kv_call *call, uint32_t index, bool is_seconds, int64_t *time_ms)
{
    int64_t time;

    if (!int64_parse(call->arguments[index], &time)) {
        kv_integer_error(call);
        return false;
    }
    if (time <= 0 || (is_seconds && __builtin_mul_overflow(time, 1000, &time)) ||
        time > INT64_MAX - call->now.wall_ms) {
        kv_error(call, "ERR invalid expire time in '%s' command", command_row(call->id)->name);
        return false;
    }
    *time_ms = time;
    return true;
}

/* Reads TAGS' count at `*index` and the names behind it, leaving `*index` at the last. False if an error
 * was said. */
static bool read_tags(const struct kv_call *call, uint32_t *index, struct kv_nh_set_options *options)
{
    uint64_t count;

    if (!read_number(call, *index, UINT32_MAX, &count))
        return false;
    if (count == 0 || count > NH_TAGS_MAX) {
        kv_error(call, "ERR a value has 1 to %u tags, or none without TAGS", NH_TAGS_MAX);
        return false;
    }
    if (count > call->argument_count - 1 - *index) {
        kv_syntax_error(call);
        return false;
    }
    for (uint64_t i = 0; i < count; i++)
        options->tags[i] = kv_nh_bytes(call->arguments[++*index]);
    options->put.tags = options->tags;
    options->put.tag_count = count;
    return true;
}

static bool set_condition(const struct kv_call *call, struct kv_nh_set_options *options,
                          enum kv_nh_condition condition)
{
    if (options->condition != KV_NH_ALWAYS && options->condition != condition) {
        kv_syntax_error(call);
        return false;
    }
    options->condition = condition;
    return true;
}

/* Reads one word from argument `*index` on, with what belongs to it. False if an error was said. */
static bool read_set_word(const struct kv_call *call, uint32_t *index, struct kv_nh_set_options *options)
{
    bool has_next = *index + 1 < call->argument_count, may_condition = call->id == COMMAND_nh_set;
    uint32_t at = *index;
    uint64_t number = 0;
    bool is_read = true;

    if (kv_argument_is(call, at, BYTES("negative"))) {
        options->put.negative = 1;
        return true;
    }
    if (kv_argument_is(call, at, BYTES("nx")) && may_condition)
        return set_condition(call, options, KV_NH_IF_MISSING);
    if (kv_argument_is(call, at, BYTES("xx")) && may_condition)
        return set_condition(call, options, KV_NH_IF_THERE);
    if (!has_next) {
        kv_syntax_error(call);
        return false;
    }
    *index = at + 1;
    if (kv_argument_is(call, at, BYTES("px")) || kv_argument_is(call, at, BYTES("ex"))) {
        if (options->put.ttl_ms != 0) {
            kv_syntax_error(call);
            return false;
        }
        return read_time(call, at + 1, kv_argument_is(call, at, BYTES("ex")), &options->put.ttl_ms);
    }
    if (kv_argument_is(call, at, BYTES("softttl")))
        return read_time(call, at + 1, false, &options->put.soft_ttl_ms);
    if (kv_argument_is(call, at, BYTES("tags")))
        return read_tags(call, index, options);
    if (kv_argument_is(call, at, BYTES("cost"))) {
        is_read = read_number(call, at + 1, UINT32_MAX, &number);
        options->put.cost_ms = (uint32_t)number;
    } else if (kv_argument_is(call, at, BYTES("flags"))) {
        is_read = read_number(call, at + 1, UINT32_MAX, &number);
        options->put.flags = (uint32_t)number;
    } else if (kv_argument_is(call, at, BYTES("ifversion")) && may_condition) {
        is_read = read_number(call, at + 1, UINT64_MAX, &options->version) &&
                  set_condition(call, options, KV_NH_IF_VERSION);
    } else {
        kv_syntax_error(call);
        return false;
    }
    return is_read;
}

bool kv_nh_read_set_options(const struct kv_call *call, uint32_t index, struct kv_nh_set_options *options)
{
    for (; index < call->argument_count; index++)
        if (!read_set_word(call, &index, options))
            return false;
    return true;
}

/* OK, or nil where a condition or the lease did not hold. */
static void say_written(const struct kv_call *call, const struct kv_nh_set_options *options,
                        nh_result result)
{
    switch (result) {
    case NH_OK:
        /* To a reader a negative entry is no key. */
        kv_changed(call, kv_key(call, 1), options->put.negative ? KV_EVENT_del : KV_EVENT_set);
        reply_kind(call->reply, OUTCOME_ok);
        return;
    case NH_EXISTS:
    case NH_MISSING:
    case NH_CHANGED: reply_kind(call->reply, OUTCOME_nothing); return;
    default: kv_refused(call, result); return;
    }
}

void kv_nh_set(const struct kv_call *call)
{
    struct kv_nh_set_options options = {.put = {.size = sizeof options.put}};
    nh_store *store = call->kv->store;
    nh_key key = kv_key(call, 1);
    nh_bytes value = kv_nh_bytes(call->arguments[2]);
    int64_t now_ms = call->now.mono_ms;
    nh_result result = NH_INVALID;

    if (!kv_nh_read_set_options(call, 3, &options))
        return;
    switch (options.condition) {
    case KV_NH_ALWAYS: result = nh_put(store, now_ms, key, value, &options.put, NULL); break;
    case KV_NH_IF_MISSING: result = nh_add(store, now_ms, key, value, &options.put, NULL); break;
    case KV_NH_IF_THERE: result = nh_replace(store, now_ms, key, value, &options.put, NULL); break;
    case KV_NH_IF_VERSION:
        result = nh_cas(store, now_ms, key, value, &options.put, options.version, NULL);
        break;
    }
    say_written(call, &options, result);
}

/* Reads argument 2 as a lease. False if an error was said: it was never given. */
static bool read_lease(const struct kv_call *call, uint64_t *lease)
{
    if (uint64_parse(call->arguments[2], lease) && *lease != 0)
        return true;
    kv_error(call, "ERR not a lease: give back the one that NH.GET gave");
    return false;
}

void kv_nh_fill(const struct kv_call *call)
{
    struct kv_nh_set_options options = {.put = {.size = sizeof options.put}};
    uint64_t lease;

    if (!read_lease(call, &lease) || !kv_nh_read_set_options(call, 4, &options))
        return;
    say_written(call, &options,
                nh_fill(call->kv->store, call->now.mono_ms, kv_key(call, 1), lease,
                        kv_nh_bytes(call->arguments[3]), &options.put, NULL));
}

void kv_nh_giveup(const struct kv_call *call)
{
    uint64_t lease;

    if (read_lease(call, &lease))
        reply_integer(call->reply, nh_give_up(call->kv->store, kv_key(call, 1), lease) == NH_OK);
}
