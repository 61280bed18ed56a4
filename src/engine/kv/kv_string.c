/* kv_string.c — GET, SET and the commands on numbers: Redis 7's answers. */
#include "base/number.h"
#include "engine/kv/kv_change.h"

/* Says the value of the key at argument `index`, or that there is none. */
static inline void reply_key(const struct kv_call *call, uint32_t index)
{
    nh_key key = kv_key(call, index);
    nh_value value;

    if (kv_peek(call, key, &value) != NH_OK)
        reply_kind(call->reply, OUTCOME_nothing);
    else if (LIKELY(value.size < KV_LENT_BYTES_MIN) ||
             !kv_lend(call, key, &value, &(struct outcome){.kind = OUTCOME_value}))
        kv_reply_value(call, &value);
}

void kv_get(const struct kv_call *call) { reply_key(call, 1); }

void kv_mget(const struct kv_call *call)
{
    reply_aggregate(call->reply, OUTCOME_array, call->argument_count - 1);
    for (uint32_t i = 1; i < call->argument_count; i++)
        reply_key(call, i);
}

/* ---- SET ----------------------------------------------------------------------------------------------
 */

enum condition { ALWAYS, IF_MISSING, IF_THERE };

struct set_options {
    nh_put_options put;
    enum condition condition;
    bool get; /* answer with what was there before */
};

/* Turns the number of EX, PX, EXAT or PXAT into a time to live. False if Redis calls it invalid: not
 * positive, or more than an int64 of milliseconds since 1970 can say. */
static bool ttl_of(int64_t time, bool is_seconds, bool is_absolute, int64_t now_wall_ms, int64_t *ttl_ms)
{
    if (time <= 0 || (is_seconds && time > INT64_MAX / 1000))
        return false;
    if (is_seconds)
        time *= 1000;
    if (!is_absolute) {
        if (time > INT64_MAX - now_wall_ms)
            return false;
        *ttl_ms = time;
    } else {
        *ttl_ms = time > now_wall_ms ? time - now_wall_ms : -1;
    }
    return true;
}

/* Reads the words behind SET key value. False if an error was said. */
static bool read_set_options(const struct kv_call *call, struct set_options *options)
{
    struct bytes unit = {0},
                 number = {0}; /* of the expiry, looked at once the syntax is known to be right */
    int64_t time;

    for (uint32_t i = 3; i < call->argument_count; i++) {
        struct bytes word = call->arguments[i];

        if (bytes_equal_nocase(word, BYTES("nx")) && options->condition != IF_THERE) {
            options->condition = IF_MISSING;
        } else if (bytes_equal_nocase(word, BYTES("xx")) && options->condition != IF_MISSING) {
            options->condition = IF_THERE;
        } else if (bytes_equal_nocase(word, BYTES("get"))) {
            options->get = true;
        } else if (bytes_equal_nocase(word, BYTES("keepttl")) && unit.size == 0) {
            options->put.keep_ttl = 1;
        } else if (i + 1 < call->argument_count && !options->put.keep_ttl &&
                   (unit.size == 0 ||
                    bytes_equal_nocase(unit, word)) && /* the same twice: the last counts */
                   (bytes_equal_nocase(word, BYTES("ex")) || bytes_equal_nocase(word, BYTES("px")) ||
                    bytes_equal_nocase(word, BYTES("exat")) || bytes_equal_nocase(word, BYTES("pxat")))) {
            unit = word;
            number = call->arguments[++i];
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    if (unit.size == 0)
        return true;
    if (!int64_parse(number, &time)) {
        kv_integer_error(call);
        return false;
    }
    if (!ttl_of(time, byte_to_lower(unit.data[0]) == 'e', unit.size == 4, call->now.wall_ms,
                &options->put.ttl_ms)) {
        kv_error(call, "ERR invalid expire time in '%s' command", command_row(call->id)->name);
        return false;
    }
    return true;
}

/* SET with GET and a condition: what was there decides, in one step, whether the value is put. */
static nh_result exchange_if(const struct kv_call *call, const struct set_options *options,
                             nh_value *before, int32_t *had_before)
{
    nh_store *store = call->kv->store;
    nh_key key = kv_key(call, 1);
    nh_bytes value = kv_nh_bytes(call->arguments[2]);
    int64_t now_ms = call->now.mono_ms;
    nh_result result;

    if (options->condition == ALWAYS)
        return nh_exchange(store, now_ms, key, value, &options->put, before, had_before);
    for (;;) { /* again only if another thread wrote the key between two steps: then it has got on */
        if (nh_borrow(store, now_ms, key, before) == NH_OK) {
            *had_before = 1;
            if (options->condition == IF_MISSING)
                return NH_EXISTS;
            result = nh_cas(store, now_ms, key, value, &options->put, before->version, NULL);
            if (result == NH_OK || (result != NH_MISSING && result != NH_CHANGED))
                return result;
            nh_release(store, before);
            *had_before = 0;
        } else {
            if (options->condition == IF_THERE)
                return NH_MISSING;
            result = nh_add(store, now_ms, key, value, &options->put, NULL);
            if (result != NH_EXISTS)
                return result;
        }
    }
}

static void tell_set(const struct kv_call *call, const struct set_options *options)
{
    kv_changed(call, kv_key(call, 1), KV_EVENT_set);
    if (options->put.ttl_ms != 0)
        kv_changed(call, kv_key(call, 1), KV_EVENT_expire);
}

static void set_and_get(const struct kv_call *call, const struct set_options *options)
{
    nh_value before;
    int32_t had_before = 0;
    nh_result result = exchange_if(call, options, &before, &had_before);

    (void)kv_count_read(call, kv_key(call, 1), had_before ? NH_OK : NH_MISSING);
    if (result == NH_OK)
        tell_set(call, options);
    if (result != NH_OK && result != NH_EXISTS && result != NH_MISSING) {
        kv_refused(call, result);
        if (had_before)
            nh_release(call->kv->store, &before);
    } else if (had_before) {
        kv_reply_value(call, &before);
    } else {
        reply_kind(call->reply, OUTCOME_nothing);
    }
}

void kv_set(const struct kv_call *call)
{
    struct set_options options = {.put = {.size = sizeof options.put}};
    nh_store *store = call->kv->store;
    nh_bytes value = kv_nh_bytes(call->arguments[2]);
    nh_result result = NH_INVALID;

    if (call->argument_count > 3 && !read_set_options(call, &options))
        return;
    if (options.get) {
        set_and_get(call, &options);
        return;
    }
    switch (options.condition) {
    case ALWAYS:
        result = nh_put(store, call->now.mono_ms, kv_key(call, 1), value, &options.put, NULL);
        break;
    case IF_MISSING:
        result = nh_add(store, call->now.mono_ms, kv_key(call, 1), value, &options.put, NULL);
        break;
    case IF_THERE:
        result = nh_replace(store, call->now.mono_ms, kv_key(call, 1), value, &options.put, NULL);
        break;
    }
    if (LIKELY(result == NH_OK)) {
        tell_set(call, &options);
        reply_kind(call->reply, OUTCOME_ok);
    } else if (result == NH_EXISTS || result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_nothing);
    else
        kv_refused(call, result);
}

void kv_mset(const struct kv_call *call)
{
    nh_result result;

    if (call->argument_count % 2 == 0) {
        kv_arity_error(call, "mset");
        return;
    }
    for (uint32_t i = 1; i < call->argument_count; i += 2) {
        result = nh_put(call->kv->store, call->now.mono_ms, kv_key(call, i),
                        kv_nh_bytes(call->arguments[i + 1]), NULL, NULL);
        if (result != NH_OK) {
            kv_refused(call, result);
            return;
        }
        kv_changed(call, kv_key(call, i), KV_EVENT_set);
    }
    reply_kind(call->reply, OUTCOME_ok);
}

/* ---- numbers ------------------------------------------------------------------------------------------
 */

/* memcached pads a number that has become shorter with spaces behind it. What is a number to memcached is
 * one here too, though Redis, which never meets one, would refuse it. */
static nh_result increment_padded(const struct kv_call *call, int64_t delta, int64_t *sum)
{
    nh_store *store = call->kv->store;
    char text[NUMBER_TEXT_BYTES];
    nh_result result;
    nh_value value;

    do {
        nh_put_options options = {.size = sizeof options, .keep_ttl = 1};
        struct bytes number;
        bool is_number;

        result = nh_borrow(store, call->now.mono_ms, kv_key(call, 1), &value);
        if (result != NH_OK)
            return NH_CHANGED; /* gone meanwhile */
        number = kv_bytes(value.bytes);
        while (number.size > 0 && number.data[number.size - 1] == ' ')
            number.size--;
        is_number = number.size < value.bytes.size && int64_parse(number, sum);
        options.flags = value.flags;
        nh_release(store, &value);
        if (!is_number)
            return NH_TYPE;
        if (__builtin_add_overflow(*sum, delta, sum))
            return NH_RANGE;
        result = nh_cas(store, call->now.mono_ms, kv_key(call, 1),
                        (nh_bytes){text, int64_format(text, *sum)}, &options, value.version, NULL);
    } while (result == NH_CHANGED);
    return result == NH_MISSING ? NH_CHANGED : result;
}

static void increment(const struct kv_call *call, int64_t delta)
{
    nh_result result;
    int64_t sum;

    do { /* again only if the padded number has become another value meanwhile */
        result = nh_increment(call->kv->store, call->now.mono_ms, kv_key(call, 1), delta,
                              NH_INCREMENT_SIGNED, &sum);
        if (result == NH_TYPE)
            result = increment_padded(call, delta, &sum);
    } while (result == NH_CHANGED);

    if (LIKELY(result == NH_OK)) {
        kv_changed(call, kv_key(call, 1), KV_EVENT_incrby); /* Redis's name for decrements, too */
        reply_integer(call->reply, sum);
    } else if (result == NH_TYPE)
        kv_integer_error(call);
    else if (result == NH_RANGE)
        reply_error(call->reply, BYTES("ERR increment or decrement would overflow"));
    else
        kv_refused(call, result);
}

void kv_incr(const struct kv_call *call) { increment(call, 1); }

void kv_decr(const struct kv_call *call) { increment(call, -1); }

void kv_incrby(const struct kv_call *call)
{
    int64_t delta;

    if (int64_parse(call->arguments[2], &delta))
        increment(call, delta);
    else
        kv_integer_error(call);
}

void kv_decrby(const struct kv_call *call)
{
    int64_t delta;

    if (!int64_parse(call->arguments[2], &delta))
        kv_integer_error(call);
    else if (delta == INT64_MIN)
        reply_error(call->reply, BYTES("ERR decrement would overflow"));
    else
        increment(call, -delta);
}
