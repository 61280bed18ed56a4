/* idle_http — holds N keep-alive connections that have each been answered one GET and then say nothing.
 *
 * Prints {"held":N} once all are idle, waits until its stdin is closed, and prints {"open":N}: how many the
 * server has kept. */
#include "load.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int64_t port, connection_count = 10000;
static const char *target = "/";

/* Asks once and reads the whole answer, which must be a 200 with a Content-Length. */
static void ask(int fd)
{
    static char text[1 << 16];
    char *end, *length;
    size_t size = 0, whole = 0;
    int request_size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lld\r\n\r\n",
                                target, (long long)port);

    write_all(fd, text, (size_t)request_size);
    while (whole == 0 || size < whole) {
        ssize_t got;
        if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000) == 0)
            stop("no answer within five seconds");
        got = read(fd, text + size, sizeof text - 1 - size);
        if (got <= 0)
            stop("the server closed a connection, or its answer is too large");
        size += (size_t)got;
        text[size] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (whole > 0 || end == NULL)
            continue;
        length = strcasestr(text, "\r\ncontent-length:");
        if (strncmp(text, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end)
            stop("an answer is not 200 with a Content-Length: %.*s", (int)(end - text), text);
        whole = (size_t)(end - text) + 4 + strtoul(length + 17, NULL, 10);
    }
}

int main(int argc, char **argv)
{
    const struct load_option options[] = {
        {"port", "of the server, on 127.0.0.1", &port, NULL},
        {"target", "what to GET once on each connection (/)", NULL, &target},
        {"connections", "how many (10000)", &connection_count, NULL},
    };
    static int *fds;
    struct rlimit limit;
    int64_t open_count = 0;
    char byte;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (port == 0)
        stop("need --port");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    fds = allocate((size_t)connection_count * sizeof *fds);
    for (int64_t i = 0; i < connection_count; i++) {
        fds[i] = connect_to(port);
        ask(fds[i]);
    }
    printf("{\"held\":%lld}\n", (long long)connection_count);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    for (int64_t i = 0; i < connection_count; i++)
        open_count += recv(fds[i], &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
    printf("{\"open\":%lld}\n", (long long)open_count);
    return 0;
}
