/* option_read.h — values out of text: one function for each `read` of tables/option_types.def. */
#pragma once
#include "server/option_value.h"

/* What is to be read, and what of: the option, of which role, where it stands. */
struct option_text {
    const struct option_row *row;
    const struct role_options *role; /* null: not a role's */
    struct bytes text;
    struct place where;
    struct buffer *why; /* what is wrong and what to write instead, without a newline */
};

/* Each writes to `field`, which is as the option's type keeps it. Returns OK; ERR_SYNTAX or ERR_RANGE with
 * `why`; ERR_NO_MEMORY. On error the field is as it was. */
enum err option_read_integer(const struct option_text *from, void *field);
enum err option_read_size(const struct option_text *from, void *field);
enum err option_read_duration(const struct option_text *from, void *field);
enum err option_read_choice(const struct option_text *from, void *field);
enum err option_read_events(const struct option_text *from, void *field);
enum err option_read_flag(const struct option_text *from, void *field); /* sets it, whatever the text is */
enum err option_read_origin(const struct option_text *from, void *field);
enum err option_read_file(const struct option_text *from, void *field);
enum err option_read_files(const struct option_text *from, void *field);
enum err option_read_folder(const struct option_text *from, void *field);
enum err option_read_text(const struct option_text *from, void *field);
enum err option_read_texts(const struct option_text *from, void *field);
enum err option_read_secret(const struct option_text *from, void *field);
enum err option_read_listen(const struct option_text *from, void *field);
enum err option_read_items(const struct option_text *from, void *field);
enum err option_read_tier(const struct option_text *from, void *field);
enum err option_read_rates(const struct option_text *from, void *field);
enum err option_read_ranges(const struct option_text *from, void *field);

bool option_text_is_visible(struct bytes text); /* ASCII that is no space, one byte at least */

/* Whether it is what an origin may be: an http or https URL with a host, and nothing behind its path. */
bool option_is_http_url(struct bytes text);

/* ---- the words of choices ---------------------------------------------------------------------- */

void option_choice_append(struct buffer *out, enum option_type type, int64_t value);
void option_choices_append(struct buffer *out, enum option_type type); /* all of them: "auto|uring|epoll" */
