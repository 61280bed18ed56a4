#include "base/line_sink.h"
#include "base/buffer.h"
#include "base/now.h"
#include "base/thread.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAST_WORDS_MS = 1000 };

struct line_sink {
    char *path;
    pthread_t thread;
    /* the thread's */
    int fd;
    int64_t end_ms; /* of its last words; 0 until it has heard of the end */
    pthread_mutex_t mutex;
    pthread_cond_t news;
    /* guarded by `mutex` */
    struct buffer waiting;
    bool is_to_reopen, is_ending;
};

static int open_path(const char *path)
{
    if (strcmp(path, "-") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640); /* it may be a FIFO */
}

static bool is_ending(struct line_sink *sink)
{
    bool is_ending;

    pthread_mutex_lock(&sink->mutex);
    is_ending = sink->is_ending;
    pthread_mutex_unlock(&sink->mutex);
    return is_ending;
}

/* A reader that takes a little now and then must not keep the end waiting. */
static bool is_too_late(struct line_sink *sink)
{
    int64_t now_ms;

    if (!is_ending(sink))
        return false;
    now_ms = clock_read(&clock_system).mono_ms;
    if (sink->end_ms == 0)
        sink->end_ms = now_ms + LAST_WORDS_MS;
    return now_ms >= sink->end_ms;
}

/* Waits until the file takes something. False: it is not worth waiting any longer. */
static bool await_room(struct line_sink *sink)
{
    struct pollfd file = {.fd = sink->fd, .events = POLLOUT};

    if (is_too_late(sink))
        return false;
    for (;;) {
        int ready = poll(&file, 1, LAST_WORDS_MS);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return ready > 0;
        if (is_ending(sink))
            return false;
    }
}

static bool is_regular(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* What cannot be written is lost: a full disk must not end what the lines are about. A pipe that has room
 * has room for PIPE_BUF bytes; to write more could take until its reader likes. */
static void write_all(struct line_sink *sink, struct bytes bytes)
{
    size_t most = is_regular(sink->fd) ? SIZE_MAX : PIPE_BUF;

    while (bytes.size > 0 && await_room(sink)) {
        ssize_t written = write(sink->fd, bytes.data, bytes.size < most ? bytes.size : most);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0)
            bytes = bytes_after(bytes, (size_t)written);
    }
}

static void reopen(struct line_sink *sink)
{
    int fd = open_path(sink->path);

    if (fd < 0)
        return;
    close(sink->fd);
    sink->fd = fd;
}

static void *run(void *argument)
{
    struct line_sink *sink = argument;
    bool is_to_reopen, is_ending = false;

    while (!is_ending) {
        struct buffer taken;

        pthread_mutex_lock(&sink->mutex);
        while (sink->waiting.size == 0 && !sink->is_to_reopen && !sink->is_ending)
            pthread_cond_wait(&sink->news, &sink->mutex);
        taken = sink->waiting;
        sink->waiting = (struct buffer){0};
        is_to_reopen = sink->is_to_reopen;
        sink->is_to_reopen = false;
        is_ending = sink->is_ending;
        pthread_mutex_unlock(&sink->mutex);

        write_all(sink, buffer_bytes(&taken));
        buffer_fini(&taken);
        if (is_to_reopen)
            reopen(sink);
    }
    return NULL;
}

static void destroy(struct line_sink *sink)
{
    close(sink->fd);
    pthread_cond_destroy(&sink->news);
    pthread_mutex_destroy(&sink->mutex);
    buffer_fini(&sink->waiting);
    free(sink->path);
    free(sink);
}

enum err line_sink_open(const char *path, struct line_sink **sink)
{
    struct line_sink *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->path = strdup(path);
    if (made->path == NULL) {
        free(made);
        return ERR_NO_MEMORY;
    }
    made->fd = open_path(path);
    if (made->fd < 0) {
        enum err err = err_from_errno(errno);
        free(made->path);
        free(made);
        return err;
    }
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->news, NULL);
    if (!thread_start(&made->thread, run, made)) {
        destroy(made);
        return ERR_SYSTEM;
    }
    *sink = made;
    return OK;
}

void line_sink_close(struct line_sink *sink)
{
    if (sink == NULL)
        return;
    pthread_mutex_lock(&sink->mutex);
    sink->is_ending = true;
    pthread_cond_signal(&sink->news);
    pthread_mutex_unlock(&sink->mutex);
    pthread_join(sink->thread, NULL);
    destroy(sink);
}

bool line_sink_append(struct line_sink *sink, struct bytes line)
{
    bool is_taken;

    pthread_mutex_lock(&sink->mutex);
    is_taken = sink->waiting.size + line.size <= LINE_SINK_BYTES_MAX;
    if (is_taken) {
        bool was_empty = sink->waiting.size == 0;
        buffer_append(&sink->waiting, line);
        if (sink->waiting.failed) {
            buffer_fini(&sink->waiting);
            sink->waiting = (struct buffer){0};
            is_taken = false;
        } else if (was_empty) {
            pthread_cond_signal(&sink->news);
        }
    }
    pthread_mutex_unlock(&sink->mutex);
    return is_taken;
}

void line_sink_reopen(struct line_sink *sink)
{
    pthread_mutex_lock(&sink->mutex);
    sink->is_to_reopen = true;
    pthread_cond_signal(&sink->news);
    pthread_mutex_unlock(&sink->mutex);
}
