/* Numbers and strings. */
#include "generate_state.h"
#include <math.h>
#include <stdio.h>

/* ---- numbers ----------------------------------------------------------------------------------- */

struct range {
    long double low, high; /* both may be taken, unless they are exclusive */
    bool low_is_exclusive, high_is_exclusive, has_low, has_high;
    long double multiple_of;
};

static void narrow(struct range *range, const struct schema *schema)
{
    if (schema->lowest.is_set && (!range->has_low || schema->lowest.value > range->low ||
                                  (schema->lowest.value == range->low && schema->lowest.is_exclusive))) {
        range->has_low = true;
        range->low = schema->lowest.value;
        range->low_is_exclusive = schema->lowest.is_exclusive;
    }
    if (schema->highest.is_set &&
        (!range->has_high || schema->highest.value < range->high ||
         (schema->highest.value == range->high && schema->highest.is_exclusive))) {
        range->has_high = true;
        range->high = schema->highest.value;
        range->high_is_exclusive = schema->highest.is_exclusive;
    }
    if (schema->multiple_of > range->multiple_of)
        range->multiple_of = schema->multiple_of;
}

static struct range find_range(const struct wanted *wanted)
{
    const long double span = 1000;
    struct range range = {0};

    for (size_t i = 0; i < wanted->count; i++)
        narrow(&range, wanted->list[i]);
    if (!range.has_low)
        range.low = range.has_high && range.high < 0 ? range.high - span : 0;
    if (!range.has_high)
        range.high = range.low + (range.multiple_of * 10 > span ? range.multiple_of * 10 : span);
    if (!range.has_low && range.high < range.low)
        range.low = range.high - span;
    return range;
}

/* A whole number in [low, high]; false if there is none. */
static bool pick_whole(struct random_source *random, long double low, long double high, long double *whole)
{
    long double count = floorl(high) - ceill(low) + 1;

    if (!(count >= 1))
        return false;
    if (count > 0x1p62L)
        count = 0x1p62L;
    *whole = ceill(low) + (long double)random_index(random, (size_t)count);
    return true;
}

static bool is_within(const struct range *range, long double value)
{
    return (range->low_is_exclusive ? value > range->low : value >= range->low) &&
           (range->high_is_exclusive ? value < range->high : value <= range->high);
}

json_t *make_number(struct generator *generator, const struct wanted *wanted, unsigned kinds)
{
    struct range range = find_range(wanted);
    long double step = range.multiple_of, value, whole;

    if (!(kinds & KIND_FRACTION)) {
        if (step < 1)
            step = 1; /* a fraction of which whole numbers are multiples: the check sees to that */
        else if (step != floorl(step))
            step *= 2;
    }
    if (step > 0) {
        for (int i = 0; i < 20; i++) {
            if (!pick_whole(&generator->random, range.low / step, range.high / step, &whole))
                return NULL;
            value = whole * step;
            if (!is_within(&range, value))
                continue;
            if (value == floorl(value) && fabsl(value) < 0x1p63L && (!(kinds & KIND_FRACTION) || step >= 1))
                return json_integer((json_int_t)value);
            return json_real((double)value);
        }
        return NULL;
    }
    value = range.low + (range.high - range.low) * (long double)random_unit(&generator->random);
    if (is_within(&range,
                  roundl(value * 100) / 100)) /* as people write numbers, if that is precise enough */
        value = roundl(value * 100) / 100;
    if (!is_within(&range, (double)value))
        value = range.low_is_exclusive ? (range.low + range.high) / 2 : range.low;
    return isfinite((double)value) ? json_real((double)value) : NULL;
}

/* ---- strings ----------------------------------------------------------------------------------- */

static const char *const words[] = {
    "amber",  "birch",   "cedar",  "delta",   "ember",  "fable",  "grove",  "harbor",
    "island", "juniper", "kernel", "lantern", "meadow", "north",  "olive",  "pebble",
    "quartz", "river",   "spruce", "timber",  "umber",  "valley", "willow", "yarrow",
};

static const char *pick_word(struct random_source *random)
{
    return words[random_index(random, COUNT_OF(words))];
}

/* Words of at least `min` and at most `max` characters in all. */
static void append_words(struct random_source *random, size_t min, size_t max, struct buffer *text)
{
    size_t start = text->size, wanted = min;

    if (wanted < 5)
        wanted = max < 5 ? max : 5;
    do {
        if (text->size > start)
            buffer_append_byte(text, ' ');
        buffer_append(text, bytes_of_text(pick_word(random)));
    } while (!text->failed && text->size - start < wanted);
    if (text->size - start > max)
        text->size = start + max;
    if (text->size > start && text->data[text->size - 1] == ' ')
        text->data[text->size - 1] = 'x';
}

static int pick(struct random_source *random, int low, int high)
{
    return low + (int)random_index(random, (size_t)high - (size_t)low + 1);
}

/* Letters until the text has `min` characters. */
static void pad(struct random_source *random, size_t min, struct buffer *text)
{
    while (text->size < min && !text->failed)
        buffer_append_byte(text, (char)('a' + random_index(random, 26)));
}

static void append_base64(struct random_source *random, size_t min, struct buffer *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = min < 12 ? 12 : (min + 3) / 4 * 4;

    for (size_t i = 0; i < count; i++)
        buffer_append_byte(text, digits[random_index(random, 64)]);
}

static void append_format(struct random_source *random, enum format format, size_t min, struct buffer *text)
{
    uint64_t a = random_next(random), b = random_next(random);
    int year = pick(random, 2000, 2029), month = pick(random, 1, 12), day = pick(random, 1, 28);
    int hour = pick(random, 0, 23), minute = pick(random, 0, 59), second = pick(random, 0, 59);

    switch (format) {
    case FORMAT_DATE: buffer_append_format(text, "%04d-%02d-%02d", year, month, day); return;
    case FORMAT_DATE_TIME:
        buffer_append_format(text, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, day, hour, minute,
                             second);
        return;
    case FORMAT_TIME: buffer_append_format(text, "%02d:%02d:%02dZ", hour, minute, second); return;
    case FORMAT_DURATION: buffer_append_format(text, "P%dDT%dH%dM", day, hour, minute); return;
    case FORMAT_EMAIL:
        buffer_append(text, bytes_of_text(pick_word(random)));
        pad(random, min > 12 ? min - 12 : 0, text); /* example.com (RFC 2606) and @ */
        buffer_append_literal(text, "@example.com");
        return;
    case FORMAT_HOSTNAME:
        buffer_append(text, bytes_of_text(pick_word(random)));
        pad(random, min > 12 ? min - 12 : 0, text);
        buffer_append_literal(text, ".example.com");
        return;
    case FORMAT_IPV4: /* RFC 5737 */ buffer_append_format(text, "192.0.2.%d", pick(random, 1, 254)); return;
    case FORMAT_IPV6: /* RFC 3849 */
        buffer_append_format(text, "2001:db8::%x:%x", (unsigned)(a & 0xfff) + 1, (unsigned)(b & 0xfff) + 1);
        return;
    case FORMAT_URI:
    case FORMAT_URI_REFERENCE:
        buffer_append_format(text, "https://example.com/%s/", pick_word(random));
        buffer_append(text, bytes_of_text(pick_word(random)));
        pad(random, min, text);
        return;
    case FORMAT_UUID: /* RFC 9562 version 4 */
        buffer_append_format(text, "%08x-%04x-4%03x-%x%03x-%012llx", (unsigned)(a >> 32),
                             (unsigned)(a & 0xffff), (unsigned)(a >> 16 & 0xfff), (unsigned)(8 + (b >> 62)),
                             (unsigned)(b >> 48 & 0xfff), (unsigned long long)(b & 0xffffffffffff));
        return;
    case FORMAT_BYTE: append_base64(random, min, text); return;
    case FORMAT_JSON_POINTER: buffer_append_format(text, "/%s/%d", pick_word(random), day); return;
    case FORMAT_REGEX: buffer_append_format(text, "^%s[0-9]+$", pick_word(random)); return;
    case FORMAT_NONE:
    case FORMAT_INT32:
    case FORMAT_INT64: return; /* no strings */
    }
}

/* A text that `pattern` matches, of so many characters; empty if that was not found. */
static void append_matching(struct random_source *random, const struct pattern *pattern, size_t min,
                            size_t max, struct buffer *text)
{
    enum { TRIES_MAX = 30 };
    size_t stretch = 3;
    uint32_t steps = 0;

    for (int i = 0; i < TRIES_MAX; i++) {
        size_t length;
        buffer_clear(text);
        if (!generate_matching(random, pattern_text(pattern), stretch, text) || text->failed)
            continue;
        length = utf8_count(buffer_bytes(text));
        if (length >= min && length <= max &&
            pattern_match(pattern, buffer_bytes(text), &steps) == PATTERN_MATCHES)
            return;
        if (length < min)
            stretch = stretch * 2 < min + 8 ? stretch * 2 : min + 8;
        else if (length > max)
            stretch /= 2;
    }
    buffer_clear(text);
}

json_t *make_string(struct generator *generator, const struct wanted *wanted)
{
    enum { LENGTH_MAX = 64 << 10 }; /* longer ones are not made */
    const struct pattern *pattern = NULL;
    enum format format = FORMAT_NONE;
    size_t min = 0, max = SIZE_MAX;
    struct buffer text = {0};
    json_t *string = NULL;

    for (size_t i = 0; i < wanted->count; i++) {
        const struct schema *schema = wanted->list[i];
        if (schema->length_min > min)
            min = schema->length_min;
        if (schema->length_max < max)
            max = schema->length_max;
        if (schema->pattern != NULL)
            pattern = schema->pattern;
        if (schema->format != FORMAT_NONE)
            format = schema->format;
    }
    if (min > max || min > LENGTH_MAX)
        return NULL;
    if (format != FORMAT_NONE)
        append_format(&generator->random, format, min, &text);
    if (pattern != NULL) {
        uint32_t steps = 0;
        if (text.size == 0 || pattern_match(pattern, buffer_bytes(&text), &steps) != PATTERN_MATCHES)
            append_matching(&generator->random, pattern, min, max, &text);
    } else if (text.size == 0) {
        append_words(&generator->random, min, max, &text);
    }
    if (!text.failed)
        string = json_stringn(text.size > 0 ? text.data : "", text.size);
    buffer_fini(&text);
    return string;
}
