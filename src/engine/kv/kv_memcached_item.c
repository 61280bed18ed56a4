#include "base/number.h"
#include "engine/kv/kv_memcached.h"

void memcached_client_error(const struct kv_call *call, struct bytes why)
{
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_client_error, .bytes = why});
}

void memcached_refused(const struct kv_call *call, nh_result result)
{
    struct outcome outcome = {.kind = OUTCOME_server_error, .bytes = BYTES("out of memory storing object")};

    if (result == NH_TOO_LARGE)
        outcome.bytes = BYTES("object too large for cache");
    reply_say(call->reply, &outcome);
}

/* ---- numbers and times ------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static struct bytes without_spaces_before(struct bytes text)
{
    while (text.size > 0 && is_space(text.data[0]))
        text = bytes_after(text, 1);
    return text;
}

bool memcached_unsigned(struct bytes text, uint64_t highest, uint64_t *value)
{
    size_t size = 0;

    text = without_spaces_before(text);
    if (text.size > 0 && text.data[0] == '+')
        text = bytes_after(text, 1);
    while (size < text.size && !is_space(text.data[size]))
        size++;
    return digits_parse(bytes_first(text, size), highest, value);
}

bool memcached_signed(struct bytes text, int64_t *value)
{
    bool is_negative = text.size > 1 && text.data[0] == '-' && text.data[1] != '+';
    uint64_t magnitude;

    if (!memcached_unsigned(is_negative ? bytes_after(text, 1) : text, INT64_MAX, &magnitude))
        return false;
    *value = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

int64_t memcached_ttl_ms(const struct kv_call *call, int64_t exptime_s)
{
    const int64_t relative_max_s = 60 * 60 * 24 * 30, now_wall_ms = call->now.wall_ms;

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

/* What is left of a lent value's life, as nh_put_options wants it. */
static int64_t ttl_left_ms(const struct kv_call *call, const nh_value *value)
{
    return value->expires_at_ms == 0 ? 0 : value->expires_at_ms - call->now.mono_ms;
}

/* ---- more of a value --------------------------------------------------------------------------------- */

/* By hand, where nh_append would keep what a new item has not (that it is stale), or cannot look at the
 * version. */
static nh_result extend_lent(const struct kv_call *call, nh_key key, const nh_value *value, nh_bytes more,
                             bool at_end, nh_put_options *options, uint64_t *new_version)
{
    struct buffer copy = {0}, whole = {0};
    struct bytes old = kv_value_bytes(call, value, &copy), added = kv_bytes(more);
    nh_result result = NH_NO_MEMORY;

    options->flags = value->flags;
    options->ttl_ms = ttl_left_ms(call, value);
    buffer_append(&whole, at_end ? old : added);
    buffer_append(&whole, at_end ? added : old);
    if (!copy.failed && !whole.failed)
        result = nh_cas(call->kv->store, call->now.mono_ms, key, kv_nh_bytes(buffer_bytes(&whole)), options,
                        value->version, new_version);
    buffer_fini(&whole);
    buffer_fini(&copy);
    return result;
}

nh_result memcached_extend(const struct kv_call *call, nh_key key, nh_bytes more, bool at_end,
                           uint64_t version, nh_put_options *options, uint64_t *new_version)
{
    nh_store *store = call->kv->store;
    int64_t now_ms = call->now.mono_ms;
    nh_result result;
    nh_value value;

    do { /* again only if another thread wrote the key meanwhile */
        bool is_plain;
        uint64_t bytes_max = call->kv->memcached_value_bytes_max;

        if (nh_borrow(store, now_ms, key, &value) != NH_OK)
            return NH_MISSING;
        result = NH_OK;
        if (version != 0 && value.version != version)
            result = NH_CHANGED;
        else if (bytes_max != 0 && value.size + more.size > bytes_max)
            result = NH_TOO_LARGE;
        is_plain = version == 0 && options->version == 0 && !(value.traits & NH_VALUE_STALE);
        if (result == NH_OK && is_plain && value.note != NULL)
            __atomic_store_n(value.note, options->note, __ATOMIC_RELAXED);
        else if (result == NH_OK && !is_plain)
            result = extend_lent(call, key, &value, more, at_end, options, new_version);
        nh_release(store, &value);
        if (result == NH_OK && is_plain)
            return at_end ? nh_append(store, now_ms, key, more, new_version)
                          : nh_prepend(store, now_ms, key, more, new_version);
    } while (version == 0 && (result == NH_CHANGED || result == NH_MISSING));
    return result;
}

/* ---- numbers in values ------------------------------------------------------------------------------- */

/* The new number as text, at most NUMBER_TEXT_BYTES of it; false if the old value is none. */
static bool sum_up(struct memcached_sum *sum, struct bytes before, char *text, size_t *size)
{
    if (!memcached_unsigned(before, UINT64_MAX, &sum->number))
        return false;
    if (sum->is_decrement)
        sum->number = sum->number > sum->delta ? sum->number - sum->delta : 0;
    else
        sum->number += sum->delta;
    *size = uint64_format(text, sum->number);
    return true;
}

/* As memcached writes it: in place, where it fits, with all that is kept of the item; else as a new one. */
static nh_result write_sum(const struct kv_call *call, nh_key key, struct memcached_sum *sum,
                           const nh_value *before, nh_bytes text, bool is_in_place)
{
    nh_put_options options = {.size = sizeof options,
                              .flags = before->flags,
                              .note = memcached_note(call, 0),
                              .version = sum->version,
                              .ttl_ms = sum->has_ttl ? sum->ttl_ms : ttl_left_ms(call, before)};
    uint64_t version;
    nh_result result;

    if (is_in_place) {
        uint32_t note = memcached_note_of(before);
        options.note = note != 0 ? note : options.note;
        options.keep_ttl = !sum->has_ttl;
        options.soft_ttl_ms = before->stale_at_ms == 0 ? 0 : before->stale_at_ms - call->now.mono_ms;
        if (options.soft_ttl_ms == 0 && before->traits & NH_VALUE_STALE)
            options.soft_ttl_ms = -1;
    }
    result = nh_cas(call->kv->store, call->now.mono_ms, key, text, &options, before->version,
                    sum->wants_version ? &version : NULL);
    if (result == NH_OK) {
        sum->old_expires_at_ms = before->expires_at_ms;
        if (sum->wants_version)
            sum->version = version;
    }
    return result;
}

nh_result memcached_add_to(const struct kv_call *call, nh_key key, struct memcached_sum *sum)
{
    char text[NUMBER_TEXT_BYTES];
    nh_result result;
    nh_value before;

    do { /* again only if another thread wrote the key meanwhile */
        struct buffer padded = {0};
        nh_bytes number = {text, 0};
        bool is_in_place;

        if (nh_borrow(call->kv->store, call->now.mono_ms, key, &before) != NH_OK)
            return NH_MISSING;
        result = NH_TYPE;
        if (before.size > 0 && sum->if_version != 0 && before.version != sum->if_version)
            result = NH_CHANGED;
        else if (sum_up(sum, kv_bytes(before.bytes), text, &number.size))
            result = NH_OK;
        if (result != NH_OK) {
            nh_release(call->kv->store, &before);
            return result;
        }
        is_in_place = number.size <= before.size;
        if (number.size < before.size) {
            buffer_append(&padded, bytes_of(text, number.size));
            while (padded.size < before.size && !padded.failed)
                buffer_append_byte(&padded, ' ');
            number = kv_nh_bytes(buffer_bytes(&padded));
        }
        result = padded.failed ? NH_NO_MEMORY : write_sum(call, key, sum, &before, number, is_in_place);
        nh_release(call->kv->store, &before);
        buffer_fini(&padded);
    } while (result == NH_CHANGED && sum->if_version == 0);
    return result;
}
