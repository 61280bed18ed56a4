/* kv_number.c — numbers that strings hold, whole and not: Redis 7's answers. */
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_edit.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
        kv_changed(call, kv_key(call, 1), KV_EVENT_incrby);
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

/* ---- INCRBYFLOAT --------------------------------------------------------------------------------------
 */

enum { FLOAT_TEXT_BYTES = 5 * 1024 }; /* of the longest number, and the longest that is read: Redis's */

/* Redis's string2ld: whatever strtold takes whole, but for space in front of it and "nan". */
static bool float_parse(struct bytes text, long double *number)
{
    char copy[FLOAT_TEXT_BYTES], *end;

    if (text.size == 0 || text.size >= sizeof copy || isspace((unsigned char)text.data[0]))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    errno = 0;
    *number = strtold(copy, &end);
    if (end != copy + text.size || isnan(*number))
        return false;
    return errno != ERANGE || !(isinf(*number) || fpclassify(*number) == FP_ZERO);
}

/* Seventeen digits behind the point, less the zeros at the end: digits enough for most decimal fractions to
 * come out as they were written. */
static size_t float_format(char text[FLOAT_TEXT_BYTES], long double number)
{
    size_t size = (size_t)snprintf(text, FLOAT_TEXT_BYTES, "%.17Lf", number);

    while (text[size - 1] == '0')
        size--;
    if (text[size - 1] == '.')
        size--;
    if (size == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        size = 1;
    }
    return size;
}

/* Writes the sum over the edit's value. NH_TYPE, NH_RANGE, NH_NO_MEMORY. */
static nh_result add_float(const struct kv_call *call, struct kv_edit *edit, char text[FLOAT_TEXT_BYTES],
                           size_t *text_bytes)
{
    long double sum = 0, more;

    if ((edit->is_there && !float_parse(bytes_of(edit->data, edit->size), &sum)) ||
        !float_parse(call->arguments[2], &more))
        return NH_TYPE;
    sum += more;
    if (isnan(sum) || isinf(sum))
        return NH_RANGE;
    *text_bytes = float_format(text, sum);
    return kv_edit_set(edit, bytes_of(text, *text_bytes));
}

void kv_incrbyfloat(const struct kv_call *call)
{
    char text[FLOAT_TEXT_BYTES];
    size_t text_bytes = 0;
    struct kv_edit edit;
    nh_result result;

    do {
        result = kv_edit_begin(call, kv_key(call, 1), 0, 0, &edit);
        if (result != NH_OK)
            break;
        result = add_float(call, &edit, text, &text_bytes);
        if (result == NH_OK)
            result = kv_edit_end(call, kv_key(call, 1), &edit);
        else
            kv_edit_drop(&edit);
    } while (result == NH_CHANGED);
    if (result == NH_OK) {
        kv_changed(call, kv_key(call, 1), KV_EVENT_incrbyfloat);
        reply_value(call->reply, bytes_of(text, text_bytes));
    } else if (result == NH_TYPE) {
        reply_error(call->reply, BYTES("ERR value is not a valid float"));
    } else if (result == NH_RANGE) {
        reply_error(call->reply, BYTES("ERR increment would produce NaN or Infinity"));
    } else {
        kv_refused(call, result);
    }
}
