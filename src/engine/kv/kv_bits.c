/* kv_bits.c — bits of strings, the highest of the first byte being number 0: Redis 7's answers. */
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_edit.h"

static void offset_error(const struct kv_call *call)
{
    kv_error(call, "ERR bit offset is not an integer or out of range");
}

static bool offset_parse(struct bytes text, int64_t *offset)
{
    return int64_parse(text, offset) && *offset >= 0 && (uint64_t)*offset / 8 < KV_STRING_BYTES_MAX;
}

static unsigned bit_of(unsigned char byte, uint64_t offset) { return byte >> (7 - offset % 8) & 1; }

/* ---- one bit ------------------------------------------------------------------------------------------
 */

void kv_getbit(const struct kv_call *call)
{
    int64_t offset;
    unsigned bit = 0;
    nh_value value;
    nh_bytes piece;

    if (!offset_parse(call->arguments[2], &offset)) {
        offset_error(call);
        return;
    }
    if (kv_peek(call, kv_key(call, 1), &value) == NH_OK) {
        if (nh_value_piece(call->kv->store, &value, (uint64_t)offset / 8, &piece) == NH_OK)
            bit = bit_of(*(const unsigned char *)piece.data, (uint64_t)offset);
        nh_release(call->kv->store, &value);
    }
    reply_integer(call->reply, bit);
}

void kv_setbit(const struct kv_call *call)
{
    unsigned before = 0;
    int64_t offset, bit;
    struct kv_edit edit;
    nh_result result;

    if (!offset_parse(call->arguments[2], &offset)) {
        offset_error(call);
        return;
    }
    if (!int64_parse(call->arguments[3], &bit) || (bit != 0 && bit != 1)) {
        kv_error(call, "ERR bit is not an integer or out of range");
        return;
    }
    do {
        result = kv_edit_begin(call, kv_key(call, 1), (uint64_t)offset / 8 + 1, 0, &edit);
        if (result == NH_OK) {
            unsigned char *byte = (unsigned char *)edit.data + offset / 8;
            unsigned mask = 1u << (7 - offset % 8);
            before = bit_of(*byte, (uint64_t)offset);
            if (before == bit && edit.size == edit.size_before) { /* nothing has changed */
                kv_edit_drop(&edit);
                reply_integer(call->reply, before);
                return;
            }
            *byte = (unsigned char)(bit != 0 ? *byte | mask : *byte & ~mask);
            result = kv_edit_end(call, kv_key(call, 1), &edit);
        }
    } while (result == NH_CHANGED);
    if (result != NH_OK) {
        kv_edit_refused(call, result);
        return;
    }
    kv_changed(call, kv_key(call, 1), KV_EVENT_setbit);
    reply_integer(call->reply, before);
}

/* ---- ranges of bits -----------------------------------------------------------------------------------
 */

/* A value with a part of it, in bits. */
struct part {
    uint64_t first, count;
};

/* What Redis makes of the arguments for a range; `is_of_bits` says what the numbers count. False if it is
 * empty. */
static bool part_of(int64_t first, int64_t last, uint64_t value_bytes, bool is_of_bits, struct part *part)
{
    int64_t total = (int64_t)value_bytes * (is_of_bits ? 8 : 1);

    first = first >= 0 ? first : first + total > 0 ? first + total : 0;
    last = last >= 0 ? last : last + total > 0 ? last + total : 0;
    if (last >= total)
        last = total - 1;
    if (first > last)
        return false;
    part->first = (uint64_t)first * (is_of_bits ? 1 : 8);
    part->count = (uint64_t)(last - first + 1) * (is_of_bits ? 1 : 8);
    return true;
}

/* Reads BYTE or BIT at argument `index`, if it is there. False if an error was said. */
static bool read_unit(const struct kv_call *call, uint32_t index, bool *is_of_bits)
{
    *is_of_bits = false;
    if (call->argument_count <= index)
        return true;
    *is_of_bits = kv_argument_is(call, index, BYTES("bit"));
    if (*is_of_bits || kv_argument_is(call, index, BYTES("byte")))
        return true;
    kv_syntax_error(call);
    return false;
}

static bool read_integer(const struct kv_call *call, uint32_t index, int64_t *number)
{
    if (int64_parse(call->arguments[index], number))
        return true;
    kv_integer_error(call);
    return false;
}

/* How many of the bits are 1. */
static uint64_t count_ones(const unsigned char *bytes, struct part part)
{
    uint64_t ones = 0, at = part.first, end = part.first + part.count, word;

    for (; at < end && at % 8 != 0; at++)
        ones += bit_of(bytes[at / 8], at);
    for (; end - at >= 64; at += 64) {
        memcpy(&word, bytes + at / 8, sizeof word);
        ones += (uint64_t)__builtin_popcountll(word);
    }
    for (; at < end; at++)
        ones += bit_of(bytes[at / 8], at);
    return ones;
}

/* The first of the bits that is `bit`, or the number behind the last. */
static uint64_t find_bit(const unsigned char *bytes, struct part part, unsigned bit)
{
    const unsigned char dull = bit ? 0 : 0xff; /* a byte that has none */
    uint64_t at = part.first, end = part.first + part.count;

    while (at < end) {
        if (at % 8 == 0 && end - at >= 8 && bytes[at / 8] == dull)
            at += 8;
        else if (bit_of(bytes[at / 8], at) == bit)
            break;
        else
            at++;
    }
    return at;
}

/* Borrows the key's value in one run of bytes. False if it is missing (`*is_missing`) or an error was said.
 */
static bool borrow_bytes(const struct kv_call *call, nh_value *value, struct buffer *copy,
                         struct bytes *bytes, bool *is_missing)
{
    *is_missing = kv_borrow(call, kv_key(call, 1), value) != NH_OK;
    if (*is_missing)
        return false;
    *bytes = kv_value_bytes(call, value, copy);
    if (!copy->failed)
        return true;
    kv_refused(call, NH_NO_MEMORY);
    return false;
}

static void count_bits(const struct kv_call *call, struct bytes bytes)
{
    struct part part = {0, bytes.size * 8};
    bool is_of_bits, is_empty = false;
    int64_t first, last;

    if (call->argument_count == 3 || call->argument_count > 5) {
        kv_syntax_error(call);
        return;
    }
    if (call->argument_count > 3) {
        if (!read_integer(call, 2, &first) || !read_integer(call, 3, &last))
            return;
        is_empty = first < 0 && last < 0 && first > last;
        if (!is_empty && !read_unit(call, 4, &is_of_bits))
            return;
        is_empty = is_empty || !part_of(first, last, bytes.size, is_of_bits, &part);
    }
    reply_integer(call->reply, is_empty ? 0 : (int64_t)count_ones((const unsigned char *)bytes.data, part));
}

void kv_bitcount(const struct kv_call *call)
{
    struct buffer copy = {0};
    struct bytes bytes;
    bool is_missing;
    nh_value value;

    if (borrow_bytes(call, &value, &copy, &bytes, &is_missing))
        count_bits(call, bytes);
    if (is_missing) /* whatever else was asked */
        reply_integer(call->reply, 0);
    else
        nh_release(call->kv->store, &value);
    buffer_fini(&copy);
}

static void find_position(const struct kv_call *call, struct bytes bytes, unsigned bit)
{
    bool is_of_bits = false, has_end = call->argument_count > 4;
    int64_t first = 0, last = -1;
    uint64_t found, end;
    struct part part;

    if (call->argument_count > 6) {
        kv_syntax_error(call);
        return;
    }
    if (call->argument_count > 3 && !read_integer(call, 3, &first))
        return;
    if (call->argument_count > 5 && !read_unit(call, 5, &is_of_bits))
        return;
    if (has_end && !read_integer(call, 4, &last))
        return;
    if (!part_of(first, last, bytes.size, is_of_bits, &part)) {
        reply_integer(call->reply, -1);
        return;
    }
    found = find_bit((const unsigned char *)bytes.data, part, bit);
    end = part.first + part.count;
    /* Without an end the string counts as followed by zeros. */
    reply_integer(call->reply, found == end && (bit == 1 || has_end) ? -1 : (int64_t)found);
}

void kv_bitpos(const struct kv_call *call)
{
    struct buffer copy = {0};
    struct bytes bytes;
    bool is_missing;
    nh_value value;
    int64_t bit;

    if (!read_integer(call, 2, &bit))
        return;
    if (bit != 0 && bit != 1) {
        kv_error(call, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (borrow_bytes(call, &value, &copy, &bytes, &is_missing))
        find_position(call, bytes, (unsigned)bit);
    if (is_missing)
        reply_integer(call->reply, bit == 1 ? -1 : 0);
    else
        nh_release(call->kv->store, &value);
    buffer_fini(&copy);
}
