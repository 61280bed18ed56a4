/* kv_lcs.c — LCS: what two strings have in common, as Redis 7 answers it.
 *
 * By the textbook: a table of the lengths of the longest common subsequences of all beginnings, and from
 * its end a way back to its start, whose diagonal steps are what is common. */
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_edit.h"
#include <stdlib.h>

struct asked {
    bool wants_length, wants_ranges, wants_match_lengths;
    int64_t match_bytes_min;
};

/* False if an error was said. */
static bool read_words(const struct kv_call *call, struct asked *asked)
{
    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("idx"))) {
            asked->wants_ranges = true;
        } else if (kv_argument_is(call, i, BYTES("len"))) {
            asked->wants_length = true;
        } else if (kv_argument_is(call, i, BYTES("withmatchlen"))) {
            asked->wants_match_lengths = true;
        } else if (kv_argument_is(call, i, BYTES("minmatchlen")) && i + 1 < call->argument_count) {
            if (!int64_parse(call->arguments[++i], &asked->match_bytes_min)) {
                kv_integer_error(call);
                return false;
            }
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    if (asked->wants_length && asked->wants_ranges) {
        kv_error(call, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

/* ---- the table -------------------------------------------------------------------------------------- */

struct table {
    struct bytes a, b;
    uint32_t *lengths; /* of a's first i bytes and b's first j, at i * (b.size + 1) + j */
};

static uint32_t length_at(const struct table *table, size_t i, size_t j)
{
    return table->lengths[i * (table->b.size + 1) + j];
}

/* False if an error was said. */
static bool make_table(const struct kv_call *call, struct table *table)
{
    uint64_t bytes_max = (uint64_t)kv_setting(&call->kv->hub->settings, KV_SETTING_value_bytes_max);
    size_t columns = table->b.size + 1;
    uint64_t cells;

    if (bytes_max == 0 || bytes_max > KV_STRING_BYTES_MAX)
        bytes_max = KV_STRING_BYTES_MAX;
    if (__builtin_mul_overflow((uint64_t)table->a.size + 1, (uint64_t)columns, &cells) ||
        cells > bytes_max / sizeof *table->lengths) {
        kv_error(call, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        return false;
    }
    table->lengths = malloc(cells * sizeof *table->lengths);
    if (table->lengths == NULL) {
        kv_error(call, "ERR Insufficient memory, failed allocating transient memory for LCS");
        return false;
    }
    memset(table->lengths, 0, columns * sizeof *table->lengths);
    for (size_t i = 1; i <= table->a.size; i++) {
        const uint32_t *above = table->lengths + (i - 1) * columns;
        uint32_t *row = table->lengths + i * columns;
        row[0] = 0;
        for (size_t j = 1; j < columns; j++)
            row[j] = table->a.data[i - 1] == table->b.data[j - 1] ? above[j - 1] + 1
                     : above[j] > row[j - 1]                      ? above[j]
                                                                  : row[j - 1];
    }
    return true;
}

/* ---- the way back ----------------------------------------------------------------------------------- */

/* A run of bytes that both strings have, and where it begins in each. */
struct match {
    size_t in_a, in_b, size;
};

/* Appends what matches, from the end to the beginning, as struct match. */
static void find_matches(const struct table *table, struct buffer *matches)
{
    size_t i = table->a.size, j = table->b.size;
    struct match match = {.size = 0};

    while (i > 0 && j > 0) {
        bool is_common = table->a.data[i - 1] == table->b.data[j - 1];
        if (is_common)
            match = (struct match){--i, --j, match.size + 1};
        else if (length_at(table, i - 1, j) > length_at(table, i, j - 1))
            i--;
        else
            j--;
        if (match.size > 0 && (!is_common || i == 0 || j == 0)) {
            buffer_append(matches, bytes_of(&match, sizeof match));
            match.size = 0;
        }
    }
}

static void say_bounds(const struct kv_call *call, size_t first, size_t size)
{
    reply_aggregate(call->reply, OUTCOME_array, 2);
    reply_integer(call->reply, (int64_t)first);
    reply_integer(call->reply, (int64_t)(first + size - 1));
}

static void say_ranges(const struct kv_call *call, const struct asked *asked, const struct match *matches,
                       size_t match_count, uint32_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < match_count; i++)
        count += (int64_t)matches[i].size >= asked->match_bytes_min;
    reply_aggregate(call->reply, OUTCOME_map, 2);
    reply_value(call->reply, BYTES("matches"));
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (size_t i = 0; i < match_count; i++) {
        if ((int64_t)matches[i].size < asked->match_bytes_min)
            continue;
        reply_aggregate(call->reply, OUTCOME_array, asked->wants_match_lengths ? 3 : 2);
        say_bounds(call, matches[i].in_a, matches[i].size);
        say_bounds(call, matches[i].in_b, matches[i].size);
        if (asked->wants_match_lengths)
            reply_integer(call->reply, (int64_t)matches[i].size);
    }
    reply_value(call->reply, BYTES("len"));
    reply_integer(call->reply, length);
}

static void say_common(const struct kv_call *call, struct bytes a, const struct match *matches,
                       size_t match_count)
{
    struct buffer text = {0};

    for (size_t i = match_count; i-- > 0;)
        buffer_append(&text, bytes_of(a.data + matches[i].in_a, matches[i].size));
    if (text.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_value(call->reply, buffer_bytes(&text));
    buffer_fini(&text);
}

static void answer(const struct kv_call *call, const struct asked *asked, const struct table *table)
{
    uint32_t length = length_at(table, table->a.size, table->b.size);
    struct buffer found = {0};
    const struct match *matches;
    size_t match_count;

    if (asked->wants_length) {
        reply_integer(call->reply, length);
        return;
    }
    find_matches(table, &found);
    matches = (const struct match *)(const void *)found.data;
    match_count = found.size / sizeof *matches;
    if (found.failed)
        kv_refused(call, NH_NO_MEMORY);
    else if (asked->wants_ranges)
        say_ranges(call, asked, matches, match_count, length);
    else
        say_common(call, table->a, matches, match_count);
    buffer_fini(&found);
}

/* ---- LCS -------------------------------------------------------------------------------------------- */

/* A key's value in one run of bytes: empty if it is missing. False if an error was said. */
static bool borrow_text(const struct kv_call *call, uint32_t index, nh_value *value, struct buffer *copy,
                        struct bytes *text)
{
    nh_result result = kv_borrow(call, kv_key(call, index), value);

    *text = BYTES("");
    if (result == NH_MISSING) {
        value->pin = NULL;
        return true;
    }
    if (result == NH_OK)
        *text = kv_value_bytes(call, value, copy);
    else
        value->pin = NULL;
    if (result == NH_OK && !copy->failed)
        return true;
    kv_refused(call, result == NH_OK ? NH_NO_MEMORY : result);
    return false;
}

void kv_lcs(const struct kv_call *call)
{
    nh_value values[2] = {{.pin = NULL}, {.pin = NULL}};
    struct buffer copies[2] = {{0}, {0}};
    struct asked asked = {0};
    struct table table = {.lengths = NULL};

    if (borrow_text(call, 1, &values[0], &copies[0], &table.a) &&
        borrow_text(call, 2, &values[1], &copies[1], &table.b) && read_words(call, &asked) &&
        make_table(call, &table))
        answer(call, &asked, &table);
    free(table.lengths);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        nh_release(call->kv->store, &values[i]);
        buffer_fini(&copies[i]);
    }
}
