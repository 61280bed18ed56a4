/* slow_origin — an HTTP/1.1 server that takes its time, for any number of requests at once.
 *
 * GET /CACHE-CONTROL/anything is answered after --delay-ms with that Cache-Control ("_" stands for a
 * space), an ETag and --body-bytes; GET /count at once with how many others there were since it was asked
 * last. With --stamps 1 no answer is like another: it is JSON that begins with its number and the time of
 * its making, on the clock that all programs here share (now_ns), and its ETag is that number. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 8192, BODY_BYTES_MIN = 128, BODY_BYTES_MAX = 65536 };

static int64_t port, delay_ms = 1000, body_bytes = 1024, has_stamps = 0;

/* A client's connection; while an answer is due, in the queue of those, which is in the order they are due
 * in. */
struct connection {
    struct connection *next;
    int fd;
    bool is_waiting, is_closed;
    uint64_t due_ns;
    size_t size;
    char head[HEAD_BYTES_MAX];
};

static struct connection *first_due, **last_due = &first_due;
static uint64_t request_count, answer_number;
static int epoll;

/* What does not fit or nobody takes any more is dropped: the answers are far smaller than a socket's
 * buffer. */
static void send_answer(const struct connection *connection, const char *cache_control, uint64_t tag,
                        const char *body, size_t size)
{
    static char text[HEAD_BYTES_MAX + BODY_BYTES_MAX];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 200 OK\r\nCache-Control: %s\r\nETag: \"%llu\"\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                          cache_control, (unsigned long long)tag, size, (int)size, body);
    if (send(connection->fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        shutdown(connection->fd, SHUT_RDWR);
}

static void answer(struct connection *connection)
{
    static char body[BODY_BYTES_MAX];
    char cache_control[256] = "no-store", front[BODY_BYTES_MIN];
    size_t size = (size_t)body_bytes;

    sscanf(connection->head, "GET /%255[^/ ]", cache_control);
    for (char *at = cache_control; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    memset(body, 'x', size);
    if (has_stamps) {
        int length = snprintf(front, sizeof front, "{\"number\":%llu,\"made_ns\":%llu,\"rest\":\"",
                              (unsigned long long)++answer_number, (unsigned long long)now_ns());
        memcpy(body, front, (size_t)length);
        memcpy(body + size - 2, "\"}", 2);
    }
    connection->size = 0;
    send_answer(connection, cache_control, has_stamps ? answer_number : 1, body, size);
}

static void close_connection(struct connection *connection)
{
    if (connection->is_waiting) { /* goes when its answer is due */
        epoll_ctl(epoll, EPOLL_CTL_DEL, connection->fd, NULL);
        connection->is_closed = true;
        return;
    }
    close(connection->fd);
    free(connection);
}

static void receive(struct connection *connection)
{
    ssize_t got =
        read(connection->fd, connection->head + connection->size, HEAD_BYTES_MAX - 1 - connection->size);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close_connection(connection);
        return;
    }
    connection->size += (size_t)got;
    connection->head[connection->size] = '\0';
    if (connection->is_waiting || strstr(connection->head, "\r\n\r\n") == NULL)
        return;
    if (strncmp(connection->head, "GET /count ", 11) == 0) {
        char body[32];
        int size = snprintf(body, sizeof body, "%llu", (unsigned long long)request_count);
        request_count = 0;
        connection->size = 0;
        send_answer(connection, "no-store", 1, body, (size_t)size);
        return;
    }
    request_count++;
    connection->is_waiting = true;
    connection->due_ns = now_ns() + (uint64_t)delay_ms * 1000000;
    connection->next = NULL;
    *last_due = connection;
    last_due = &connection->next;
}

/* Answers all that are due; returns for how many milliseconds nothing is. */
static int answer_those_due(void)
{
    uint64_t at_ns = now_ns();

    while (first_due != NULL && first_due->due_ns <= at_ns) {
        struct connection *connection = first_due;
        first_due = connection->next;
        if (first_due == NULL)
            last_due = &first_due;
        connection->is_waiting = false;
        if (connection->is_closed)
            close_connection(connection);
        else
            answer(connection);
    }
    return first_due != NULL ? (int)((first_due->due_ns - at_ns) / 1000000) + 1 : -1;
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = allocate(sizeof *connection);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = connection};
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connection->fd = fd;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv)
{
    const struct load_option options[] = {
        {"port", "to listen on, on 127.0.0.1", &port, NULL},
        {"delay-ms", "before each answer (1000)", &delay_ms, NULL},
        {"body-bytes", "of each answer, 128 to 65536 (1024)", &body_bytes, NULL},
        {"stamps", "1: each answer has a number and a time (0)", &has_stamps, NULL},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[256], of_listener = {.events = EPOLLIN};
    struct rlimit limit;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (body_bytes < BODY_BYTES_MIN || body_bytes > BODY_BYTES_MAX)
        stop("--body-bytes is %d to %d", BODY_BYTES_MIN, BODY_BYTES_MAX);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    address.sin_port = htons((uint16_t)port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
        stop("cannot listen on port %lld: %s", (long long)port, strerror(errno));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &of_listener);
    for (;;) {
        int count = epoll_wait(epoll, events, sizeof events / sizeof events[0], answer_those_due());
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(listener);
            else
                receive(events[i].data.ptr);
        }
    }
}
