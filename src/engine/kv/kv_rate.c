/* kv_rate.c — NH.RATE: how much may pass in how long, exact however many ask at one moment.
 *
 * The state is a value of its own kind whose expiry is the moment at which nothing is left to remember, so
 * that it survives a warm restart, and costs no memory once it means nothing:
 *
 *   "bucket F"      full again F nanoseconds before the key expires (the generic cell rate algorithm)
 *   "window W P C"  the present window of W ms ends W ms before the key expires; P passed in the one
 *                   before, C in this one
 *
 * It is read, judged and put back at the version that was read; who comes between makes one try again. */
#include "engine/kv/kv_rate.h"
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include <assert.h>
#include <stdio.h>

enum { NS_PER_MS = 1000000, STATE_TEXT_BYTES = 96 };

#define LIMIT_MAX INT64_C(1000000000)
#define DURATION_MAX                                                                                       \
    (INT64_C(30) * 24 * 60 * 60 * 1000) /* ms; a product with LIMIT_MAX fits in 63 bits                    \
                                         */

/* What is remembered, as of the present moment. */
struct state {
    int64_t debt_ns;                       /* of a bucket: until it is full */
    int64_t elapsed_ms, previous, current; /* of a window */
};

/* ---- a bucket ---------------------------------------------------------------------------------- */

static int64_t divide_up(int64_t dividend, int64_t divisor)
{
    return dividend / divisor + (dividend % divisor != 0);
}

static struct kv_rate_verdict judge_bucket(const struct kv_rate *rate, struct state *state)
{
    int64_t capacity_ns = rate->limit * rate->token_ns;
    int64_t cost_ns = rate->cost <= rate->limit ? rate->cost * rate->token_ns : 0;
    struct kv_rate_verdict verdict = {.may_pass = true};

    if (rate->cost > rate->limit) {
        verdict.may_pass = false;
        verdict.retry_after_ms = -1;
    } else if (rate->cost > 0 && state->debt_ns > capacity_ns - cost_ns) {
        verdict.may_pass = false;
        verdict.retry_after_ms = divide_up(state->debt_ns + cost_ns - capacity_ns, NS_PER_MS);
    } else {
        state->debt_ns += cost_ns;
    }
    if (state->debt_ns < capacity_ns)
        verdict.remaining = (capacity_ns - state->debt_ns) / rate->token_ns;
    verdict.reset_ms = divide_up(state->debt_ns, NS_PER_MS);
    return verdict;
}

/* ---- a window ---------------------------------------------------------------------------------- */

/* What counts of the window before, as if it had passed evenly: rounded up, so never too little. */
static int64_t weigh(int64_t count, int64_t elapsed_ms, int64_t window_ms)
{
    return divide_up(count * (window_ms - elapsed_ms), window_ms);
}

/* How long into a window it takes until no more than `room` of `count` weighs still. */
static int64_t until_weight(int64_t count, int64_t room, int64_t window_ms)
{
    assert(room >= 0); /* so that a count beyond it is none of 0 */
    return count <= room ? 0 : window_ms - room * window_ms / count;
}

static int64_t window_retry_ms(const struct kv_rate *rate, const struct state *state)
{
    int64_t room = rate->limit - state->current - rate->cost;

    if (rate->cost > rate->limit)
        return -1;
    if (room >= 0)
        return until_weight(state->previous, room, rate->window_ms) - state->elapsed_ms;
    /* In the next window, where the present one is the one before. */
    return rate->window_ms - state->elapsed_ms +
           until_weight(state->current, rate->limit - rate->cost, rate->window_ms);
}

static struct kv_rate_verdict judge_window(const struct kv_rate *rate, struct state *state)
{
    int64_t before = weigh(state->previous, state->elapsed_ms, rate->window_ms);
    struct kv_rate_verdict verdict = {.may_pass = true};

    if (rate->cost > 0 && before + state->current > rate->limit - rate->cost) {
        verdict.may_pass = false;
        verdict.retry_after_ms = window_retry_ms(rate, state);
    } else {
        state->current += rate->cost;
    }
    if (before + state->current < rate->limit)
        verdict.remaining = rate->limit - before - state->current;
    if (state->current > 0)
        verdict.reset_ms = 2 * rate->window_ms - state->elapsed_ms;
    else if (state->previous > 0)
        verdict.reset_ms = rate->window_ms - state->elapsed_ms;
    return verdict;
}

/* ---- the state as a value ---------------------------------------------------------------------- */

static bool read_bucket(const struct kv_call *call, const nh_value *value, struct state *state)
{
    struct bytes text = kv_bytes(value->bytes);
    int64_t left_ms = value->expires_at_ms - call->now.mono_ms;
    uint64_t fraction_ns;

    if (!bytes_start_with(text, BYTES("bucket ")) ||
        !digits_parse(bytes_after(text, 7), NS_PER_MS - 1, &fraction_ns) || value->expires_at_ms == 0)
        return false;
    if (left_ms > DURATION_MAX)
        left_ms = DURATION_MAX; /* somebody gave the key another expiry */
    state->debt_ns = left_ms * NS_PER_MS - (int64_t)fraction_ns;
    if (state->debt_ns < 0)
        state->debt_ns = 0;
    return true;
}

/* Takes a number and the space behind it. */
static bool take_number(struct bytes *text, int64_t highest, int64_t *number)
{
    const char *space = text->size > 0 ? memchr(text->data, ' ', text->size) : NULL;
    uint64_t read;

    if (space == NULL ||
        !digits_parse(bytes_first(*text, (size_t)(space - text->data)), (uint64_t)highest, &read))
        return false;
    *number = (int64_t)read;
    *text = bytes_after(*text, (size_t)(space - text->data) + 1);
    return true;
}

static bool read_window(const struct kv_call *call, const struct kv_rate *rate, const nh_value *value,
                        struct state *state)
{
    struct bytes text = kv_bytes(value->bytes);
    int64_t window_ms;
    uint64_t current;

    if (!bytes_start_with(text, BYTES("window ")) || value->expires_at_ms == 0)
        return false;
    text = bytes_after(text, 7);
    if (!take_number(&text, DURATION_MAX, &window_ms) || window_ms == 0 ||
        !take_number(&text, LIMIT_MAX, &state->previous) || !digits_parse(text, LIMIT_MAX, &current))
        return false;
    state->current = (int64_t)current;
    state->elapsed_ms = call->now.mono_ms - (value->expires_at_ms - 2 * window_ms);
    if (state->elapsed_ms < 0)
        state->elapsed_ms = 0; /* another worker's clock is a moment ahead */
    if (window_ms != rate->window_ms) {
        /* Who has changed the window must not have given all a fresh start. */
        if (state->current < state->previous)
            state->current = state->previous;
        state->elapsed_ms = state->previous = 0;
    } else if (state->elapsed_ms >= window_ms) {
        state->elapsed_ms -= window_ms;
        state->previous = state->current;
        state->current = 0;
    }
    return true;
}

static nh_bytes write_state(const struct kv_rate *rate, const struct state *state, char *text,
                            int64_t *ttl_ms)
{
    int size;

    if (rate->window_ms > 0) {
        *ttl_ms = 2 * rate->window_ms - state->elapsed_ms;
        size = snprintf(text, STATE_TEXT_BYTES, "window %lld %lld %lld", (long long)rate->window_ms,
                        (long long)state->previous, (long long)state->current);
    } else {
        *ttl_ms = divide_up(state->debt_ns, NS_PER_MS);
        size = snprintf(text, STATE_TEXT_BYTES, "bucket %lld",
                        (long long)(*ttl_ms * NS_PER_MS - state->debt_ns));
    }
    return (nh_bytes){text, (size_t)size};
}

/* ---- the command ------------------------------------------------------------------------------- */

/* One try. NH_CHANGED, or NH_EXISTS, or NH_MISSING: another came between. NH_TYPE: the key holds something
 * else. */
static nh_result try_once(const struct kv_call *call, const struct kv_rate *rate,
                          struct kv_rate_verdict *verdict)
{
    nh_store *store = call->kv->store;
    nh_put_options options = {.size = sizeof options};
    struct state state = {0};
    char text[STATE_TEXT_BYTES];
    nh_value value;
    nh_bytes written;
    nh_result result = nh_borrow(store, call->now.mono_ms, kv_key(call, 1), &value);
    bool is_there = result == NH_OK, is_ours = true;

    if (!is_there && result != NH_MISSING)
        return result == NH_FULL ? NH_TYPE : result; /* only a value in pieces is refused so */
    if (is_there) {
        is_ours = rate->window_ms > 0 ? read_window(call, rate, &value, &state)
                                      : read_bucket(call, &value, &state);
        nh_release(store, &value);
    }
    if (!is_ours)
        return NH_TYPE;
    *verdict = rate->window_ms > 0 ? judge_window(rate, &state) : judge_bucket(rate, &state);
    if (!verdict->may_pass || rate->cost == 0)
        return NH_OK;
    written = write_state(rate, &state, text, &options.ttl_ms);
    if (is_there)
        return nh_cas(store, call->now.mono_ms, kv_key(call, 1), written, &options, value.version, NULL);
    return nh_add(store, call->now.mono_ms, kv_key(call, 1), written, &options, NULL);
}

/* Reads argument `index` as a whole number of `low` to `high`. False if an error was said. */
static bool read_number(const struct kv_call *call, uint32_t index, const char *what, int64_t low,
                        int64_t high, int64_t *number)
{
    if (int64_parse(call->arguments[index], number) && *number >= low && *number <= high)
        return true;
    kv_error(call, "ERR %s must be %lld to %lld", what, (long long)low, (long long)high);
    return false;
}

static bool read_bucket_rate(const struct kv_call *call, struct kv_rate *rate)
{
    uint64_t per_second; /* in thousandths */

    if (!read_number(call, 3, "the capacity", 1, LIMIT_MAX, &rate->limit))
        return false;
    if (!thousandths_parse(call->arguments[4], UINT64_C(1000000000), &per_second) || per_second == 0) {
        kv_error(call, "ERR the refill per second must be 0.001 to 1000000, with at most three decimals");
        return false;
    }
    /* Rounded up: rather a billionth too slow than ever more than was allowed. */
    rate->token_ns = divide_up(INT64_C(1000000000000), (int64_t)per_second);
    if (rate->token_ns > DURATION_MAX * NS_PER_MS / rate->limit) {
        kv_error(call, "ERR the bucket would take more than 30 days to fill");
        return false;
    }
    return true;
}

bool kv_rate_read(const struct kv_call *call, struct kv_rate *rate)
{
    bool is_read = false;

    rate->cost = 1;
    if (call->argument_count > 6)
        kv_syntax_error(call);
    else if (kv_argument_is(call, 2, BYTES("tokenbucket")))
        is_read = read_bucket_rate(call, rate);
    else if (kv_argument_is(call, 2, BYTES("window")))
        is_read = read_number(call, 3, "the limit", 1, LIMIT_MAX, &rate->limit) &&
                  read_number(call, 4, "the window", 1, DURATION_MAX, &rate->window_ms);
    else
        kv_syntax_error(call);
    if (is_read && call->argument_count == 6)
        is_read = read_number(call, 5, "the cost", 0, LIMIT_MAX, &rate->cost);
    return is_read;
}

static void say_integer(const struct kv_call *call, struct bytes name, int64_t integer)
{
    reply_value(call->reply, name);
    reply_integer(call->reply, integer);
}

void kv_rate_say(const struct kv_call *call, const struct kv_rate *rate,
                 const struct kv_rate_verdict *verdict)
{
    reply_aggregate(call->reply, OUTCOME_map, 5);
    reply_value(call->reply, BYTES("allowed"));
    reply_kind(call->reply, verdict->may_pass ? OUTCOME_yes : OUTCOME_no);
    say_integer(call, BYTES("limit"), rate->limit);
    say_integer(call, BYTES("remaining"), verdict->remaining);
    say_integer(call, BYTES("retry_after_ms"), verdict->retry_after_ms);
    say_integer(call, BYTES("reset_ms"), verdict->reset_ms);
}

void kv_nh_rate(const struct kv_call *call)
{
    struct kv_rate rate = {0};
    struct kv_rate_verdict verdict = {0};
    nh_result result;

    if (!kv_rate_read(call, &rate))
        return;
    do {
        result = try_once(call, &rate, &verdict);
    } while (result == NH_CHANGED || result == NH_EXISTS || result == NH_MISSING);
    if (result == NH_TYPE) {
        kv_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
        return;
    }
    if (result != NH_OK) {
        kv_refused(call, result);
        return;
    }
    if (verdict.may_pass && rate.cost > 0)
        kv_changed(call, kv_key(call, 1), KV_EVENT_set);
    kv_rate_say(call, &rate, &verdict);
}
