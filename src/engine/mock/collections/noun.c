#include "noun.h"

/* The ends of a word in singular and plural; the first row that fits is taken, a whole word if `is_word`.
 */
static const struct {
    struct bytes singular, plural;
    bool is_word;
} rows[] = {
    {BYTES_INIT("person"), BYTES_INIT("people"), false},
    {BYTES_INIT("child"), BYTES_INIT("children"), false},
    {BYTES_INIT("human"), BYTES_INIT("humans"), false},
    {BYTES_INIT("woman"), BYTES_INIT("women"), false},
    {BYTES_INIT("man"), BYTES_INIT("men"), true},
    {BYTES_INIT("mouse"), BYTES_INIT("mice"), true},
    {BYTES_INIT("goose"), BYTES_INIT("geese"), true},
    {BYTES_INIT("tooth"), BYTES_INIT("teeth"), true},
    {BYTES_INIT("foot"), BYTES_INIT("feet"), true},
    {BYTES_INIT("ox"), BYTES_INIT("oxen"), true},
    {BYTES_INIT("movie"), BYTES_INIT("movies"), false},
    {BYTES_INIT("cookie"), BYTES_INIT("cookies"), false},
    {BYTES_INIT("tie"), BYTES_INIT("ties"), true},
    {BYTES_INIT("knife"), BYTES_INIT("knives"), false},
    {BYTES_INIT("wife"), BYTES_INIT("wives"), false},
    {BYTES_INIT("life"), BYTES_INIT("lives"), true},
    {BYTES_INIT("leaf"), BYTES_INIT("leaves"), true},
    {BYTES_INIT("half"), BYTES_INIT("halves"), true},
    {BYTES_INIT("shelf"), BYTES_INIT("shelves"), false},
    {BYTES_INIT("wolf"), BYTES_INIT("wolves"), true},
    {BYTES_INIT("datum"), BYTES_INIT("data"), true},
    {BYTES_INIT("medium"), BYTES_INIT("media"), true},
    {BYTES_INIT("criterion"), BYTES_INIT("criteria"), true},
    {BYTES_INIT("index"), BYTES_INIT("indices"), true},
    {BYTES_INIT("matrix"), BYTES_INIT("matrices"), true},
    {BYTES_INIT("analysis"), BYTES_INIT("analyses"), true},
    {BYTES_INIT("basis"), BYTES_INIT("bases"), true},
    {BYTES_INIT("crisis"), BYTES_INIT("crises"), true},
    {BYTES_INIT("quiz"), BYTES_INIT("quizzes"), false},
    {BYTES_INIT("status"), BYTES_INIT("statuses"), false},
    {BYTES_INIT("alias"), BYTES_INIT("aliases"), false},
    {BYTES_INIT("address"), BYTES_INIT("addresses"), false},
    {BYTES_INIT("bus"), BYTES_INIT("buses"), true},
    {BYTES_INIT("hero"), BYTES_INIT("heroes"), false},
    {BYTES_INIT("potato"), BYTES_INIT("potatoes"), false},
    {BYTES_INIT("tomato"), BYTES_INIT("tomatoes"), false},
    {BYTES_INIT("use"), BYTES_INIT("uses"), false},
    {BYTES_INIT("series"), BYTES_INIT("series"), true},
    {BYTES_INIT("species"), BYTES_INIT("species"), true},
    {BYTES_INIT("news"), BYTES_INIT("news"), true},
    {BYTES_INIT("sheep"), BYTES_INIT("sheep"), false},
    {BYTES_INIT("fish"), BYTES_INIT("fish"), false},
    {BYTES_INIT("equipment"), BYTES_INIT("equipment"), true},
    {BYTES_INIT("information"), BYTES_INIT("information"), true},
};

/* The plural adds "es" to words with these ends. */
static const struct bytes hissing[] = {BYTES_INIT("ss"), BYTES_INIT("sh"), BYTES_INIT("ch"),
                                       BYTES_INIT("x"), BYTES_INIT("zz")};

/* How many bytes at the end of `word` are `end` in any case, if it may be the end of a longer word or all
 * of it; 0 if not. */
static size_t end_size(struct bytes word, struct bytes end, bool is_word)
{
    if ((is_word && word.size != end.size) || !bytes_end_with_nocase(word, end))
        return 0;
    return end.size;
}

/* Appends `end` to the front of `noun`, keeping as many of its letters, and their case, as are the same. */
static void append_end(struct buffer *out, struct bytes noun, size_t old_size, struct bytes end)
{
    struct bytes old = bytes_after(noun, noun.size - old_size);
    size_t same = 0;

    while (same < old.size && same < end.size && byte_to_lower(old.data[same]) == end.data[same])
        same++;
    buffer_append(out, bytes_first(noun, noun.size - old_size + same));
    buffer_append(out, bytes_after(end, same));
}

static bool is_vowel(char c) { return memchr("aeiou", byte_to_lower(c), 5) != NULL; }

void noun_append_singular(struct buffer *out, struct bytes noun)
{
    size_t size;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (end_size(noun, rows[i].singular, rows[i].is_word) > 0) {
            buffer_append(out, noun);
            return;
        }
        size = end_size(noun, rows[i].plural, rows[i].is_word);
        if (size > 0) {
            append_end(out, noun, size, rows[i].singular);
            return;
        }
    }
    if (noun.size > 3 && end_size(noun, BYTES("ies"), false) > 0) {
        append_end(out, noun, 3, BYTES("y"));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(hissing); i++) {
        struct bytes front = bytes_first(noun, noun.size >= 2 ? noun.size - 2 : 0);
        if (end_size(noun, BYTES("es"), false) > 0 && end_size(front, hissing[i], false) > 0) {
            buffer_append(out, front);
            return;
        }
    }
    if (noun.size > 1 && end_size(noun, BYTES("s"), false) > 0 && end_size(noun, BYTES("ss"), false) == 0 &&
        end_size(noun, BYTES("us"), false) == 0 && end_size(noun, BYTES("is"), false) == 0)
        noun.size--;
    buffer_append(out, noun);
}

void noun_append_plural(struct buffer *out, struct bytes noun)
{
    size_t size;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (end_size(noun, rows[i].plural, rows[i].is_word) > 0) {
            buffer_append(out, noun);
            return;
        }
        size = end_size(noun, rows[i].singular, rows[i].is_word);
        if (size > 0) {
            append_end(out, noun, size, rows[i].plural);
            return;
        }
    }
    for (size_t i = 0; i < COUNT_OF(hissing); i++)
        if (end_size(noun, hissing[i], false) > 0) {
            buffer_append(out, noun);
            buffer_append_literal(out, "es");
            return;
        }
    if (noun.size > 1 && byte_to_lower(noun.data[noun.size - 1]) == 'y' &&
        !is_vowel(noun.data[noun.size - 2])) {
        append_end(out, noun, 1, BYTES("ies"));
        return;
    }
    buffer_append(out, noun);
    if (end_size(noun, BYTES("s"), false) == 0)
        buffer_append_byte(out, 's');
}
