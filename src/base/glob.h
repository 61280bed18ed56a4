/* glob.h — Redis's patterns: `*` any bytes, `?` one byte, `[a-z]` `[^a-z]` one of a set, `\x` x itself. */
#pragma once
#include "base/bytes.h"

/* True if `pattern` fits all of `text`. Time at most the product of their sizes, whatever they hold; no
 * recursion, no memory. A set without its end goes to the end of the pattern, as in Redis. */
bool glob_fits(struct bytes pattern, struct bytes text);
/* The same without regard to the case of ASCII letters. */
bool glob_fits_nocase(struct bytes pattern, struct bytes text);
