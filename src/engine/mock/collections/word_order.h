/* word_order.h — words in the order in which people look for them; pure. */
#pragma once
#include "base/bytes.h"

/* Below, at or above 0: `a` comes before `b`, is the same, comes after. Both are UTF-8. Punctuation and
 * symbols come first, then digits, then letters: Latin ones by the alphabet whatever their accents and
 * case, which count only between words that are the same otherwise, plain and small before others; then
 * those of other scripts by their code points. That is how JavaScript's localeCompare orders words, but for
 * letters that stand for two, such as the ligature of a and e, and for scripts with an order of their own.
 */
int word_compare(struct bytes a, struct bytes b);
