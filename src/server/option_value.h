/* option_value.h — the value of one option: from text, as text, from field to field. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "server/option_row.h"
#include "server/place.h"

bool option_has_range(const struct option_row *row);   /* `low` and `high` mean something: it is a number */
bool option_has_default(const struct option_row *row); /* `fallback` is a value: a number or a choice */
bool option_is_path(const struct option_row *row);     /* it names files or folders */
bool option_is_list(const struct option_row *row);     /* what is set is added to what is there */

/* Sets the option of the server in `base`, a struct options, or of a role and what it has, in a struct
 * role_options, from `text`. Returns OK; ERR_SYNTAX or ERR_RANGE with what is wrong and what to write
 * instead, without a newline, appended to `why`; ERR_NO_MEMORY. */
enum err option_set(const struct option_row *row, void *base, struct bytes text, struct place where,
                    struct buffer *why);

/* The same of an upstream's option in a struct upstream_policy, or of a route's in a struct route_policy.
 */
enum err option_set_policy(const struct option_row *row, void *policy, struct bytes text,
                           struct place where, struct buffer *why);

/* What `row` is at if nobody says anything, in a field of zeroes. */
void option_set_default(const struct option_row *row, void *field);

/* Copies an option's value from field to field; a text that was there is freed. ERR_NO_MEMORY. */
enum err option_copy(const struct option_row *row, const void *from, void *to);

/* Whether two fields hold the same. */
bool option_is_same(const struct option_row *row, const void *a, const void *b);

/* Frees what a field owns. */
void option_release(const struct option_row *row, void *field);

/* What is in the field of a number or a choice. */
int64_t option_number(const struct option_row *row, const void *field);

/* Appends a value as an operator would write it ("64M", "5s", "auto"); nothing for text. */
void option_append_value(struct buffer *out, const struct option_row *row, int64_t value);

/* Appends what stands for the value in help: "SIZE", "auto|uring|epoll"; nothing for a flag. */
void option_append_placeholder(struct buffer *out, const struct option_row *row);
