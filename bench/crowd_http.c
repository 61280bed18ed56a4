/* crowd_http — N clients that ask for one thing at the same moment, each once, on connections that stand
 * already.
 *
 * Prints how many were answered 200 and when: {"answers":N,"first_ms":…,"median_ms":…,"last_ms":…}, counted
 * from the first request's being sent. */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 16384 };

static int64_t port, client_count = 1000, patience_ms = 60000;
static const char *target = "/";

struct client {
    int fd;
    size_t size, whole; /* of the answer: so far; and all of it, once the head says so */
    uint64_t answered_ns;
    char text[ANSWER_BYTES_MAX];
};

/* Reads what is there. True when the answer is complete. */
static bool receive(struct client *client)
{
    ssize_t got = read(client->fd, client->text + client->size, sizeof client->text - 1 - client->size);
    const char *end, *length;

    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        stop("the server closed a connection, or its answer is too large");
    client->size += (size_t)got;
    client->text[client->size] = '\0';
    end = strstr(client->text, "\r\n\r\n");
    if (client->whole == 0 && end != NULL) {
        length = strcasestr(client->text, "\r\ncontent-length:");
        if (strncmp(client->text, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end)
            stop("an answer is not 200 with a Content-Length: %.*s", (int)(end - client->text),
                 client->text);
        client->whole = (size_t)(end - client->text) + 4 + strtoul(length + 17, NULL, 10);
    }
    return client->whole > 0 && client->size >= client->whole;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = ((const struct client *)a)->answered_ns,
             right = ((const struct client *)b)->answered_ns;
    return left < right ? -1 : left > right;
}

static double milliseconds(uint64_t ns) { return (double)ns / 1e6; }

int main(int argc, char **argv)
{
    const struct load_option options[] = {
        {"port", "of the server, on 127.0.0.1", &port, NULL},
        {"target", "what all GET (/)", NULL, &target},
        {"clients", "how many (1000)", &client_count, NULL},
        {"patience-ms", "how long the last may have to wait (60000)", &patience_ms, NULL},
    };
    struct client *clients;
    struct epoll_event events[256];
    struct rlimit limit;
    char request[4096];
    uint64_t begun_ns;
    int64_t left;
    int epoll, size;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (port == 0 || client_count == 0)
        stop("need --port");
    size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lld\r\n\r\n", target,
                    (long long)port);
    if (size < 0 || (size_t)size >= sizeof request)
        stop("the target is too long");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    epoll = epoll_create1(EPOLL_CLOEXEC);
    clients = allocate((size_t)client_count * sizeof *clients);
    for (int64_t i = 0; i < client_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        clients[i].fd = connect_to(port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    usleep(100000); /* so that the server has accepted them all */
    begun_ns = now_ns();
    for (int64_t i = 0; i < client_count; i++)
        write_all(clients[i].fd, request, (size_t)size);
    for (left = client_count; left > 0;) {
        int count = epoll_wait(epoll, events, sizeof events / sizeof events[0], (int)patience_ms);
        if (count == 0)
            stop("%lld clients got no answer", (long long)left);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (client->answered_ns != 0 || !receive(client))
                continue;
            client->answered_ns = now_ns() - begun_ns;
            left--;
        }
    }
    qsort(clients, (size_t)client_count, sizeof *clients, compare);
    printf("{\"answers\":%lld,\"first_ms\":%.1f,\"median_ms\":%.1f,\"last_ms\":%.1f}\n",
           (long long)client_count, milliseconds(clients[0].answered_ns),
           milliseconds(clients[client_count / 2].answered_ns),
           milliseconds(clients[client_count - 1].answered_ns));
    return 0;
}
