/* fake_data.h — made-up data that looks real: people, words, moments. Appends text; the same source makes
 * the same text on every machine. */
#pragma once
#include "base/buffer.h"
#include "base/random_source.h"

void fake_first_name(struct buffer *out, struct random_source *source);
void fake_last_name(struct buffer *out, struct random_source *source);
void fake_name(struct buffer *out, struct random_source *source);
void fake_email(struct buffer *out, struct random_source *source);
void fake_uuid(struct buffer *out, struct random_source *source); /* RFC 9562 §5.4 */
void fake_hex(struct buffer *out, struct random_source *source, size_t digits);
void fake_lorem(struct buffer *out, struct random_source *source, size_t words);

/* A moment as ISO 8601 has it, in UTC: "2026-11-29", or "2026-11-29T20:15:00.000Z". */
void moment_append_date(struct buffer *out, int64_t wall_ms);
void moment_append(struct buffer *out, int64_t wall_ms);

/* Reads "2026-11-29", its first millisecond. False if it is no day of the years 1 to 9999. */
bool moment_parse_date(struct bytes text, int64_t *wall_ms);
