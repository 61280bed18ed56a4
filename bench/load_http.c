/* load_http — a closed loop of HTTP/1.1 requests: each of N keep-alive connections asks, reads the whole
 * answer and asks again, for one target or for a random one of many, "/bird/0", "/bird/1" and so on.
 * Answers to GET must be 200 with a Content-Length and the same size each; to POST, whose answers name what
 * they made, 200 or 201 of any size. */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 16384, SILENCE_MS_MAX = 10000 /* some write all they have for each POST */ };

static int64_t port, connection_count = 64, measure_ms = 2000, warm_up_ms = 200, target_count, fills;
static const char *target = "/", *posted = "", *pids = "";

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t head_size;        /* of the answer, so far */
    int64_t body_left_bytes; /* once the head is complete; until then -1 */
    char head[HEAD_BYTES_MAX];
};

static int64_t body_bytes = -1; /* of the first answer */
static int64_t filled_count;
static uint64_t random_state = 88172645463325252U;

/* Writes the request that is next; returns its size. */
static size_t next_request(char *request, size_t capacity)
{
    int64_t number = fills != 0         ? filled_count++
                     : target_count > 0 ? random_below(&random_state, (uint32_t)target_count)
                                        : 0;
    char tail[24] = "";
    int size;

    if (target_count > 0)
        snprintf(tail, sizeof tail, "/%lld", (long long)number);
    if (posted[0] != '\0')
        size = snprintf(request, capacity,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%lld\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        target, (long long)port, strlen(posted), posted);
    else
        size = snprintf(request, capacity, "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%lld\r\n\r\n", target,
                        tail, (long long)port);
    if (size < 0 || (size_t)size >= capacity)
        stop("the request is too long");
    return (size_t)size;
}

static void ask(struct connection *connection)
{
    char request[4096];
    size_t size = next_request(request, sizeof request);

    connection->head_size = 0;
    connection->body_left_bytes = -1;
    connection->sent_ns = now_ns();
    write_all(connection->fd, request, size);
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
        if (strncmp(connection->head, "HTTP/1.1 200", 12) != 0 &&
            (posted[0] == '\0' || strncmp(connection->head, "HTTP/1.1 201", 12) != 0))
            stop("an answer is not 200: %.*s", (int)(end - connection->head), connection->head);
        connection->body_left_bytes = content_length(connection->head, end);
        if (body_bytes < 0)
            body_bytes = connection->body_left_bytes;
        if (connection->body_left_bytes != body_bytes && posted[0] == '\0')
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
        {"targets", "how many: /0, /1 … behind the target, at random; 0: the target alone", &target_count,
         NULL},
        {"post", "what to POST, in JSON, instead of GET", NULL, &posted},
        {"fill", "1: GET each of the targets once, in order, and end", &fills, NULL},
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
    int64_t answered_count = 0;
    int epoll;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (port == 0 || connection_count == 0)
        stop("need --port");
    if (posted[0] != '\0' && target_count > 0)
        stop("--post needs one target");
    if (fills != 0 && target_count < connection_count)
        stop("--fill needs as many --targets as connections");

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
        int count = epoll_wait(epoll, events, sizeof events / sizeof events[0], SILENCE_MS_MAX);
        if (count == 0)
            stop("the server has been silent for %d seconds", SILENCE_MS_MAX / 1000);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!receive(connection))
                continue;
            run_add(&run, now_ns() - connection->sent_ns, 1);
            if (fills != 0 && ++answered_count == target_count)
                return 0;
            if (fills == 0 || filled_count < target_count)
                ask(connection);
        }
    }
    if (fills != 0)
        stop("filling took longer than --ms");
    snprintf(extra, sizeof extra, ",\"body_bytes\":%lld", (long long)body_bytes);
    run_report(&run, extra);
    return 0;
}
