/* help.h — what `nuthatch --help` and `nuthatch COMMAND --help` say, from the tables. */
#pragma once
#include "server/options.h"

/* Appends the help of `verb`; of VERB_HELP: the overview. */
void help_append(struct buffer *out, enum verb verb, bool in_colour);

/* Writes the help to `stream`, in colour if it is a terminal and NO_COLOR is not set. False if it could not
 * be written. */
bool help_print(FILE *stream, enum verb verb);
