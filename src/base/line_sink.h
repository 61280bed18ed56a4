/* line_sink.h — lines for a file, written by a thread of its own: who has something to say never waits for
 * a disk or for whoever reads a pipe. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include <stdbool.h>

struct line_sink; /* opaque: line_sink.c */

enum { LINE_SINK_BYTES_MAX = 4 * 1024 * 1024 }; /* that wait to be written */

/* Opens `path` to append to it, with mode 0640 if it is made; "-" is standard output. Errors as of open;
 * ERR_NO_MEMORY; ERR_SYSTEM: there is no thread to be had. */
enum err line_sink_open(const char *path, struct line_sink **sink);

/* Writes what waits, unless it cannot be written within a second, and closes the file. Null is fine. */
void line_sink_close(struct line_sink *sink);

/* Has `line`, its end included, written some time. False if too much is waiting already: it is lost. Any
 * thread. */
bool line_sink_append(struct line_sink *sink, struct bytes line);

/* Opens the path again, once what waits is written: the file was moved away. If that fails the old file
 * stays in use. Any thread. */
void line_sink_reopen(struct line_sink *sink);
