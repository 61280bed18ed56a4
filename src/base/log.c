#include "base/log.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct log {
    FILE *stream;
    enum log_level level;
    const struct clock *clock;
    bool colour;
    pthread_mutex_t mutex; /* guards the fields below */
    struct {
        bool written;
        int64_t last_ms;
        unsigned left_out_count;
    } kinds[LOG_KIND_COUNT];
};

static const struct {
    const char *word, *colour;
} levels[] = {
    [LOG_DEBUG] = {"debug", "\033[2m"},
    [LOG_INFO] = {"info", "\033[36m"},
    [LOG_WARNING] = {"warning", "\033[33m"},
    [LOG_ERROR] = {"error", "\033[31m"},
};

struct log *log_create(FILE *stream, enum log_level level, const struct clock *clock)
{
    struct log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return NULL;
    log->stream = stream;
    log->level = level;
    log->clock = clock;
    log->colour = isatty(fileno(stream)) && getenv("NO_COLOR") == NULL;
    pthread_mutex_init(&log->mutex, NULL);
    return log;
}

void log_destroy(struct log *log)
{
    if (log == NULL)
        return;
    pthread_mutex_destroy(&log->mutex);
    free(log);
}

PRINTF_LIKE(4, 0)
static void write_line(struct log *log, enum log_level level, unsigned left_out_count, const char *format,
                       va_list arguments)
{
    int64_t wall_ms = clock_read(log->clock).wall_ms;
    time_t seconds = (time_t)(wall_ms / 1000);
    char line[1024];
    struct tm utc;
    int size;

    gmtime_r(&seconds, &utc);
    size = vsnprintf(line, sizeof line, format, arguments);
    if (size < 0)
        return;
    /* A peer's bytes may be among the words: nothing of theirs reaches the terminal as control. */
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    fprintf(log->stream, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s%-7s%s %s", utc.tm_year + 1900,
            utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(wall_ms % 1000),
            log->colour ? levels[level].colour : "", levels[level].word, log->colour ? "\033[0m" : "",
            line);
    if (left_out_count > 0)
        fprintf(log->stream, " (and %u more like it)", left_out_count);
    fputc('\n', log->stream);
    fflush(log->stream);
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    va_list arguments;

    if (log == NULL || level < log->level)
        return;
    va_start(arguments, format);
    pthread_mutex_lock(&log->mutex);
    write_line(log, level, 0, format, arguments);
    pthread_mutex_unlock(&log->mutex);
    va_end(arguments);
}

void log_write_limited(struct log *log, enum log_level level, enum log_kind kind, const char *format, ...)
{
    enum { BETWEEN_MS = 1000 };
    int64_t now_ms;
    va_list arguments;

    if (log == NULL || level < log->level)
        return;
    now_ms = clock_read(log->clock).mono_ms;
    pthread_mutex_lock(&log->mutex);
    if (log->kinds[kind].written && now_ms - log->kinds[kind].last_ms < BETWEEN_MS) {
        log->kinds[kind].left_out_count++;
    } else {
        va_start(arguments, format);
        write_line(log, level, log->kinds[kind].left_out_count, format, arguments);
        va_end(arguments);
        log->kinds[kind].written = true;
        log->kinds[kind].last_ms = now_ms;
        log->kinds[kind].left_out_count = 0;
    }
    pthread_mutex_unlock(&log->mutex);
}
