#include "server/console.h"
#include "base/thread.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 256, BACKGROUND_LOOK_MS = 1000 };

struct console {
    void (*typed)(void *context, struct bytes line);
    void *context;
    pthread_t thread;
    int end_fd; /* readable when the thread is to end */
    char line[LINE_BYTES_MAX];
    size_t line_bytes;
    bool is_too_long;
};

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_after(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t' ||
                             text.data[text.size - 1] == '\r'))
        text.size--;
    return text;
}

static void take(struct console *console, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '\n') {
            if (console->line_bytes < sizeof console->line)
                console->line[console->line_bytes++] = bytes[i];
            else
                console->is_too_long = true;
            continue;
        }
        if (!console->is_too_long)
            console->typed(console->context, trim(bytes_of(console->line, console->line_bytes)));
        console->line_bytes = 0;
        console->is_too_long = false;
    }
}

/* A terminal that is not ours to control stops nobody. */
static bool is_in_background(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO);
    return foreground >= 0 && foreground != getpgrp();
}

/* Waits; true if the thread is to end. `for_input`: or there is something to read. */
static bool wait_for_end(const struct console *console, bool for_input, short *events)
{
    struct pollfd fds[] = {{.fd = console->end_fd, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    int count = poll(fds, for_input ? 2 : 1, for_input ? -1 : BACKGROUND_LOOK_MS);

    *events = for_input ? fds[1].revents : 0;
    return (count < 0 && errno != EINTR) || (count > 0 && fds[0].revents != 0);
}

/* With every signal blocked, SIGTTIN among them: reading in the background is then an error, EIO, should
 * the process have been put there since it was last looked. */
static void *run(void *context)
{
    struct console *console = context;
    short events;

    while (!wait_for_end(console, true, &events)) {
        char bytes[LINE_BYTES_MAX];
        ssize_t size;
        if (events == 0)
            continue;
        if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            break; /* the terminal is gone */
        if (is_in_background()) {
            if (wait_for_end(console, false, &events))
                break;
            continue;
        }
        size = read(STDIN_FILENO, bytes, sizeof bytes);
        if (size > 0)
            take(console, bytes, (size_t)size);
        else if (size == 0 || (errno != EINTR && errno != EAGAIN && !is_in_background()))
            break; /* its end was typed */
    }
    return NULL;
}

struct console *console_begin(void (*typed)(void *context, struct bytes line), void *context)
{
    struct console *made;

    if (!isatty(STDIN_FILENO))
        return NULL;
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->typed = typed;
    made->context = context;
    made->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->end_fd >= 0 && thread_start(&made->thread, run, made))
        return made;
    if (made->end_fd >= 0)
        close(made->end_fd);
    free(made);
    return NULL;
}

void console_end(struct console *console)
{
    if (console == NULL)
        return;
    eventfd_write(console->end_fd, 1);
    pthread_join(console->thread, NULL);
    close(console->end_fd);
    free(console);
}
