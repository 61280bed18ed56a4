/* pattern.h — regular expressions as ECMAScript writes them, matched within bounds (PCRE2).
 *
 * Immutable once compiled: any thread. A match that would take too long is given up, whatever the pattern.
 */
#pragma once
#include "base/buffer.h"
#include "base/err.h"

struct pattern;

/* Compiles `text`, valid UTF-8. Returns OK with `*pattern`, which pattern_destroy gives back; ERR_SYNTAX
 * with what is wrong appended to `message`; ERR_NO_MEMORY. */
enum err pattern_compile(const char *text, struct pattern **pattern, struct buffer *message);
void pattern_destroy(struct pattern *pattern); /* also null */

enum pattern_result { PATTERN_MATCHES, PATTERN_DIFFERS, PATTERN_GIVEN_UP };

/* Whether the pattern is found anywhere in `subject`, valid UTF-8. Adds to `*steps` what that cost. */
enum pattern_result pattern_match(const struct pattern *pattern, struct bytes subject, uint32_t *steps);

/* As it was written. */
const char *pattern_text(const struct pattern *pattern);
