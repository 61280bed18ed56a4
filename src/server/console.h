/* console.h — what somebody types at the terminal that a server runs at, a line at a time.
 *
 * A thread of its own waits for it. Only a terminal is ever read, and only while the process is in its
 * foreground: as a background job it is not stopped for wanting to read. */
#pragma once
#include "base/bytes.h"

struct console; /* opaque: console.c */

/* Begins to call `typed` on the console's thread with each line, without its end and the white space around
 * it. Null if standard input is no terminal, or there is no thread to be had. */
struct console *console_begin(void (*typed)(void *context, struct bytes line), void *context);

/* `typed` is not called any more. May be given null. */
void console_end(struct console *console);
