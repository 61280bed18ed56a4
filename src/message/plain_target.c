#include "message/plain_target.h"
#include "base/compiler.h"
#include "base/words.h"

/* The character at `*at`, percent-decoded if it is one that a dot segment can hide behind; moves on. */
static char next_character(struct bytes path, size_t *at)
{
    char c = path.data[(*at)++];

    if (c == '%' && path.size - *at >= 2) {
        char high = path.data[*at], low = byte_to_lower(path.data[*at + 1]);
        char decoded = high == '2' && low == 'e'   ? '.'
                       : high == '2' && low == 'f' ? '/'
                       : high == '5' && low == 'c' ? '/'
                                                   : '\0';
        if (decoded != '\0') {
            *at += 2;
            return decoded;
        }
    }
    return c == '\\' ? '/' : c;
}

/* The last eight bytes of `text`; where there are fewer, letters stand for those that are missing. */
static uint64_t last_word(struct bytes text)
{
    uint64_t word = WORD_OF('a');

    if (text.size >= 8)
        return word_load(text.data + text.size - 8);
    for (size_t i = 0; i < text.size; i++)
        word = word << 8 | (unsigned char)text.data[i];
    return word;
}

static uint64_t is_odd(uint64_t word)
{
    return (word & WORD_HIGH_BITS) | word_has_below(word, ' ' + 1) | word_has(word, 0x7f) |
           word_has(word, '#');
}

/* Only visible ASCII but '#'. */
static bool is_visible(struct bytes text)
{
    uint64_t odd = is_odd(last_word(text));

    for (size_t i = 0; i + 8 <= text.size; i += 8)
        odd |= is_odd(word_load(text.data + i));
    return odd == 0;
}

static uint64_t is_special(uint64_t word)
{
    return word_has(word, '.') | word_has(word, '%') | word_has(word, '\\') | word_has(word, '?');
}

/* Most paths: nothing in them is, or could be read as, a dot or a query. */
static bool has_no_specials(struct bytes path)
{
    uint64_t special = is_special(last_word(path));

    for (size_t i = 0; i + 8 <= path.size; i += 8)
        special |= is_special(word_load(path.data + i));
    return special == 0;
}

bool target_is_plain(struct bytes path, struct bytes query)
{
    size_t at = 0, dots = 0, others = 0;

    if (!is_visible(path) || !is_visible(query))
        return false;
    if (LIKELY(has_no_specials(path)))
        return true;
    while (at < path.size) {
        char c = next_character(path, &at);
        if (c == '?')
            return false;
        if (c == '/') {
            if (others == 0 && (dots == 1 || dots == 2))
                return false;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others > 0 || (dots != 1 && dots != 2);
}
