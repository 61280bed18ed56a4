#include "word_order.h"
#include <assert.h>
#include <stdint.h>
#include <string.h>

/* Where in the order something is: behind these come single characters of their kind. */
enum { PUNCTUATION = 1, SYMBOLS = 0x100, DIGITS = 0x200000, LETTERS = 0x200100, SCRIPTS = 0x201000 };

/* What of ASCII is neither digit nor letter, in order. */
static const char punctuation[] = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/* What U+00C0 to U+017F are without their accents: a small letter; a capital for a letter that comes just
 * behind that one; '*' for the two signs among them. */
enum { LATIN_FIRST = 0xc0, LATIN_LAST = 0x17f };
static const char latin[] = "aaaaaaAceeeeiiiidnooooo*ouuuuyTSaaaaaaAceeeeiiiidnooooo*ouuuuyTy"
                            "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiIIIjjkkKlllllll"
                            "lllnnnnnnNNNooooooOOrrrrrrssssssssttttTTuuuuuuuuuuuuwwyyyzzzzzzs";
static_assert(sizeof latin - 1 == LATIN_LAST - LATIN_FIRST + 1, "one for each");

struct letter {
    uint32_t place;  /* in the order, accents and case aside */
    uint32_t accent; /* 0: plain */
    bool is_capital;
};

/* Takes one character off the front of `text`, which is not empty. */
static uint32_t take_code_point(struct bytes *text)
{
    unsigned char first = (unsigned char)text->data[0];
    size_t size = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code_point = size == 1 ? first : first & (0x7fU >> size);

    if (size > text->size)
        size = text->size;
    for (size_t i = 1; i < size; i++)
        code_point = code_point << 6 | ((unsigned char)text->data[i] & 0x3f);
    *text = bytes_after(*text, size);
    return code_point;
}

/* Capitals come just before their small letters, but for U+00C0 to U+00DE, which are 32 before theirs. */
static bool is_latin_capital(uint32_t c)
{
    bool is_odd_first = (c >= 0x139 && c <= 0x148) || c >= 0x179;

    if (c < 0x100)
        return c < 0xdf;
    return c != 0x138 && c != 0x149 && c != 0x17f && (c == 0x178 || (c % 2 == 0) != is_odd_first);
}

static struct letter take_letter(struct bytes *text)
{
    uint32_t c = take_code_point(text), small = c | 0x20;
    struct letter letter = {0};
    const char *at;

    if (c < 0x80 && small >= 'a' && small <= 'z') {
        letter.place = LETTERS + 2 * (small - 'a');
        letter.is_capital = c != small;
    } else if (c >= '0' && c <= '9') {
        letter.place = DIGITS + c;
    } else if (c < 0x80) {
        at = c != '\0' ? strchr(punctuation, (int)c) : NULL;
        letter.place = at != NULL ? PUNCTUATION + (uint32_t)(at - punctuation) : 0;
    } else if (c >= LATIN_FIRST && c <= LATIN_LAST && latin[c - LATIN_FIRST] != '*') {
        uint32_t plain = (unsigned char)latin[c - LATIN_FIRST];
        letter.is_capital = is_latin_capital(c);
        letter.accent = !letter.is_capital ? c : c < 0x100 ? c + 0x20 : c + 1;
        letter.place = LETTERS + 2 * ((plain | 0x20) - 'a') + (plain < 'a');
    } else if (c < LATIN_FIRST || (c >= 0x2000 && c < 0x2c00) || c >= 0x1f000) {
        letter.place = SYMBOLS + c;
    } else {
        letter.place = SCRIPTS + c;
    }
    return letter;
}

static int sign(uint32_t a, uint32_t b) { return (a > b) - (a < b); }

int word_compare(struct bytes a, struct bytes b)
{
    int accents = 0, cases = 0;

    while (a.size > 0 && b.size > 0) {
        struct letter x = take_letter(&a), y = take_letter(&b);
        if (x.place != y.place)
            return sign(x.place, y.place);
        if (accents == 0)
            accents = sign(x.accent, y.accent);
        if (cases == 0)
            cases = sign(x.is_capital, y.is_capital);
    }
    if (a.size > 0 || b.size > 0)
        return a.size > 0 ? 1 : -1;
    return accents != 0 ? accents : cases;
}
