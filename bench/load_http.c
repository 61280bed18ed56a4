/* load_http — a closed loop of HTTP/1.1 GETs for one target: each of N keep-alive connections asks, reads
 * the whole answer and asks again. Answers must be 200 with a Content-Length and the same size each. */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 16384 };

static int64_t port, connection_count = 64, measure_ms = 2000, warm_up_ms = 200;
static const char *target = "/", *pids = "";

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t head_size;        /* of the answer, so far */
    int64_t body_left_bytes; /* once the head is complete; until then -1 */
    char head[HEAD_BYTES_MAX];
};

static char request[4096];
static size_t request_size;
static int64_t body_bytes = -1; /* of the first answer */

static void ask(struct connection *connection)
{
    connection->head_size = 0;
    connection->body_left_bytes = -1;
    connection->sent_ns = now_ns();
    write_all(connection->fd, request, request_size);
}

/* The Content-Length in the head, which ends with an empty line. */
static int64_t content_length(const char *head, const char *end)
{
    for (const char *line = head; line < end;
         line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1)
        if ((size_t)(end - line) > 15 && strncasecmp(line, "content-length:", 15) == 0)
            return strtoll(line + 15, NULL, 10);
    stop("an answer has no Content-Length: %.*s", (int)(end - head), head);
}

/* Reads once. True when the answer is complete. */
static bool receive(struct connection *connection)
{
    static char data[1 << 18];
    ssize_t got = read(connection->fd, data, sizeof data);
    size_t size = (size_t)got, old_size = connection->head_size, added;
    const char *end;

    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        stop("the server closed a connection");
    if (connection->body_left_bytes >= 0) {
        connection->body_left_bytes -= got;
    } else {
        added = size < HEAD_BYTES_MAX - old_size ? size : HEAD_BYTES_MAX - old_size;
        memcpy(connection->head + old_size, data, added);
        connection->head_size += added;
        end = memmem(connection->head, connection->head_size, "\r\n\r\n", 4);
        if (end == NULL) {
            if (connection->head_size == HEAD_BYTES_MAX)
                stop("the head of an answer is too large");
            return false;
        }
        end += 4;
        if (strncmp(connection->head, "HTTP/1.1 200", 12) != 0)
            stop("an answer is not 200: %.*s", (int)(end - connection->head), connection->head);
        connection->body_left_bytes = content_length(connection->head, end);
        if (body_bytes < 0)
            body_bytes = connection->body_left_bytes;
        if (connection->body_left_bytes != body_bytes)
            stop("an answer has %lld bytes and an earlier one %lld", (long long)connection->body_left_bytes,
                 (long long)body_bytes);
        connection->body_left_bytes -= (int64_t)(old_size + size) - (end - connection->head);
    }
    if (connection->body_left_bytes < 0)
        stop("an answer is longer than its Content-Length");
    return connection->body_left_bytes == 0;
}

int main(int argc, char **argv)
{
    const struct load_option options[] = {
        {"port", "of the server, on 127.0.0.1", &port, NULL},
        {"target", "what to GET (/)", NULL, &target},
        {"connections", "how many (64)", &connection_count, NULL},
        {"ms", "to measure for (2000)", &measure_ms, NULL},
        {"warm-up-ms", "to run before (200)", &warm_up_ms, NULL},
        {"pids", "whose CPU time to count, with commas", NULL, &pids},
    };
    static struct connection *connections;
    static struct run run;
    struct epoll_event events[256];
    char extra[64];
    uint64_t at_ns;
    int epoll, size;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (port == 0 || connection_count == 0)
        stop("need --port");
    size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lld\r\n\r\n", target,
                    (long long)port);
    if (size < 0 || (size_t)size >= sizeof request)
        stop("the target is too long");
    request_size = (size_t)size;

    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = allocate((size_t)connection_count * sizeof *connections);
    for (int64_t i = 0; i < connection_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        connections[i].fd = connect_to(port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event);
    }
    run_begin(&run, warm_up_ms, measure_ms, pids);
    for (int64_t i = 0; i < connection_count; i++)
        ask(&connections[i]);
    for (at_ns = now_ns(); run_goes_on(&run, at_ns); at_ns = now_ns()) {
        int count = epoll_wait(epoll, events, sizeof events / sizeof events[0], 2000);
        if (count == 0)
            stop("the server has been silent for two seconds");
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!receive(connection))
                continue;
            run_add(&run, now_ns() - connection->sent_ns, 1);
            ask(connection);
        }
    }
    snprintf(extra, sizeof extra, ",\"body_bytes\":%lld", (long long)body_bytes);
    run_report(&run, extra);
    return 0;
}
