/* log.h — one line per event on a stream, for people: a UTC time, a level, words.
 *
 * In colour on a terminal, plain otherwise. Any thread. */
#pragma once
#include "base/compiler.h"
#include "base/now.h"
#include <stdbool.h>
#include <stdio.h>

struct log; /* opaque: log.c */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Kinds of event that a peer can cause at will: each is written at most once a second, with a count of
 * those that were left out. */
enum log_kind {
    LOG_KIND_REFUSED_INPUT, /* a protocol error of a client */
    LOG_KIND_DEADLINE,      /* a client was too slow */
    LOG_KIND_CAP,           /* a cap on connections or bytes was met */
    LOG_KIND_DESCRIPTORS,   /* no file descriptor left */
    LOG_KIND_ORIGIN,        /* an origin failed */
    LOG_KIND_MEMORY,        /* no memory left */
    LOG_KIND_TIER,          /* a server of the shared tier failed */
    LOG_KIND_COUNT
};

/* A log that writes lines of at least `level` to `stream`, which the caller keeps and closes. Null if
 * there is no memory. */
struct log *log_create(FILE *stream, enum log_level level, const struct clock *clock);
void log_destroy(struct log *log);

/* Writes one line. `log` may be null: then nothing is written. */
void log_write(struct log *log, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

/* Writes one line unless one of the same kind was written in the last second. */
void log_write_limited(struct log *log, enum log_level level, enum log_kind kind, const char *format, ...)
    PRINTF_LIKE(4, 5);
