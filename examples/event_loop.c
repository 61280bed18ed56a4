/* event_loop.c — a cache in a server of one thread: epoll, one look at the clock for each turn, values sent
 * from where they lie in the store, and what has expired freed by a timer.
 *
 *     cc event_loop.c $(pkg-config --cflags --libs nuthatch) -o event_loop && ./event_loop 7000
 *     printf 'put bird 60000 nuthatch\nget bird\n' | nc -q1 127.0.0.1 7000
 *
 * A line in, a line out: `put KEY TTL_MS VALUE` says `ok`; `get KEY` says `value SIZE`, and the value in a
 * line of its own, or `missing`; `count` says how many there are. Without a port it takes one that is free.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <nuthatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX     64
#define LINE_BYTES_MAX (64 * 1024)
#define SWEEP_EVERY_MS 50
#define SWEEP_ENTRIES  1000 /* at a time, so that no turn takes long */

static volatile sig_atomic_t is_ended;

/* A client sends a line and gets its answer before its next line is looked at. */
struct client {
    LIST_ENTRY(client) place; /* among all clients */
    int fd;
    size_t line_bytes; /* of `line` that have come */
    char line[LINE_BYTES_MAX];

    /* The answer: words of ours, a lent value, a line feed. The value stays lent until all of it has gone.
     */
    char head[64];
    nh_value value;
    bool has_value;
    size_t answer_bytes, sent_bytes; /* answer_bytes is 0 if there is no answer to be sent */
};

LIST_HEAD(clients, client);

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void end(int signal)
{
    (void)signal;
    is_ended = 1;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- what a line asks for ----------------------------------------------------------------------- */

static void answer(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void answer(struct client *client, const char *format, ...)
{
    va_list words;

    va_start(words, format);
    vsnprintf(client->head, sizeof client->head, format, words);
    va_end(words);
    client->answer_bytes = strlen(client->head);
}

static void on_put(nh_store *store, int64_t at_ms, struct client *client, char *words)
{
    char *key = strsep(&words, " "), *ttl = strsep(&words, " ");
    nh_put_options options = {.size = sizeof options};
    nh_result result;

    if (key == NULL || ttl == NULL || words == NULL) {
        answer(client, "put KEY TTL_MS VALUE\n");
        return;
    }
    options.ttl_ms = strtoll(ttl, NULL, 10);
    result = nh_put(store, at_ms, (nh_key){key, strlen(key), 0}, (nh_bytes){words, strlen(words)}, &options,
                    NULL);
    answer(client, "%s\n", result == NH_OK ? "ok" : nh_result_text(result));
}

static void on_get(nh_store *store, int64_t at_ms, struct client *client, const char *key)
{
    nh_result result = nh_borrow(store, at_ms, (nh_key){key, strlen(key), 0}, &client->value);

    if (result != NH_OK) {
        answer(client, "%s\n", result == NH_MISSING ? "missing" : nh_result_text(result));
        return;
    }
    client->has_value = true;
    answer(client, "value %" PRIu64 "\n", client->value.size);
    client->answer_bytes += client->value.size + 1;
}

static void on_line(nh_store *store, int64_t at_ms, struct client *client, char *line)
{
    char *words = line, *verb = strsep(&words, " ");

    if (strcmp(verb, "put") == 0)
        on_put(store, at_ms, client, words);
    else if (strcmp(verb, "get") == 0 && words != NULL)
        on_get(store, at_ms, client, words);
    else if (strcmp(verb, "count") == 0)
        answer(client, "%" PRIu64 "\n", nh_count(store, NH_SPACE_ALL));
    else
        answer(client, "put, get or count\n");
}

/* ---- bytes in and out --------------------------------------------------------------------------- */

static void close_client(nh_store *store, struct client *client)
{
    if (client->has_value)
        nh_release(store, &client->value);
    LIST_REMOVE(client, place);
    close(client->fd); /* which takes it out of epoll, too */
    free(client);
}

/* What is left of an answer, in as many parts as go into one call. */
static int parts_left(nh_store *store, const struct client *client, struct iovec *parts)
{
    size_t head_bytes = strlen(client->head), at = client->sent_bytes;
    uint64_t value_bytes = client->has_value ? client->value.size : 0;
    nh_bytes piece;
    int count = 0;

    if (at < head_bytes) {
        parts[count++] = (struct iovec){(char *)client->head + at, head_bytes - at};
        at = head_bytes;
    }
    /* A large value lies in pieces: this one now, the next when it has gone. */
    if (at - head_bytes < value_bytes) {
        if (nh_value_piece(store, &client->value, at - head_bytes, &piece) != NH_OK)
            return 0;
        parts[count++] = (struct iovec){(void *)piece.data, piece.size};
        at += piece.size;
    }
    if (client->has_value && at - head_bytes == value_bytes)
        parts[count++] = (struct iovec){"\n", 1};
    return count;
}

/* Sends what the client takes. False if it is to be closed. */
static bool send_answer(nh_store *store, struct client *client)
{
    while (client->sent_bytes < client->answer_bytes) {
        struct iovec parts[3];
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)parts_left(store, client, parts)};
        ssize_t sent =
            message.msg_iovlen > 0 ? sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        if (sent <= 0)
            return sent < 0; /* not now, or an error that epoll tells of */
        client->sent_bytes += (size_t)sent;
    }
    if (client->has_value)
        nh_release(store, &client->value);
    client->has_value = false;
    client->answer_bytes = client->sent_bytes = 0;
    return true;
}

/* Answers the lines that have come, one after the other. False if the client is to be closed. */
static bool answer_lines(nh_store *store, int64_t at_ms, struct client *client)
{
    char *line = client->line, *end_of_line;

    while (client->answer_bytes == 0 &&
           (end_of_line = memchr(line, '\n', client->line_bytes - (size_t)(line - client->line))) != NULL) {
        *end_of_line = '\0';
        on_line(store, at_ms, client, line);
        line = end_of_line + 1;
        if (!send_answer(store, client))
            return false;
    }
    client->line_bytes -= (size_t)(line - client->line);
    memmove(client->line, line, client->line_bytes);
    return client->answer_bytes > 0 || client->line_bytes < sizeof client->line;
}

static bool on_client(nh_store *store, int64_t at_ms, struct client *client, uint32_t events)
{
    bool is_waiting = client->answer_bytes > 0;
    ssize_t got;

    if (events & EPOLLERR || (is_waiting && !send_answer(store, client)))
        return false;
    if (is_waiting && client->answer_bytes == 0 && !answer_lines(store, at_ms, client))
        return false;
    while (client->answer_bytes == 0) {
        got = recv(client->fd, client->line + client->line_bytes, sizeof client->line - client->line_bytes,
                   MSG_DONTWAIT);
        if (got <= 0)
            return got < 0; /* nothing more for now, or an error that epoll tells of */
        client->line_bytes += (size_t)got;
        if (!answer_lines(store, at_ms, client))
            return false;
    }
    return true;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void watch(int epoll_fd, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void accept_client(int epoll_fd, int listener_fd, struct clients *clients)
{
    struct client *client = calloc(1, sizeof *client);
    int fd = accept(listener_fd, NULL, NULL);

    if (fd < 0 || client == NULL) {
        if (fd >= 0)
            close(fd);
        free(client);
        return;
    }
    client->fd = fd;
    LIST_INSERT_HEAD(clients, client, place);
    /* Edge-triggered: both directions at once, and nothing to be changed while an answer waits. */
    watch(epoll_fd, fd, EPOLLIN | EPOLLOUT | EPOLLET, client);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 100) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        fail("listen");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct itimerspec often = {.it_interval.tv_nsec = SWEEP_EVERY_MS * 1000000, .it_value.tv_nsec = 1};
    int epoll_fd = epoll_create1(0), timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int listener_fd = listen_on(argc > 1 ? (uint16_t)atoi(argv[1]) : 0);
    nh_options options = {.size = sizeof options, .memory_bytes = 64 << 20};
    struct clients clients = LIST_HEAD_INITIALIZER(clients);
    struct epoll_event events[EVENTS_MAX];
    uint64_t turns;
    nh_store *store;

    if (epoll_fd < 0 || timer_fd < 0 || timerfd_settime(timer_fd, 0, &often, NULL) < 0)
        fail("epoll, timerfd");
    if (nh_create(&options, &store) != NH_OK)
        fail("nh_create");
    signal(SIGTERM, end);
    signal(SIGINT, end);
    watch(epoll_fd, listener_fd, EPOLLIN, &listener_fd);
    watch(epoll_fd, timer_fd, EPOLLIN, &timer_fd);

    while (!is_ended) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        int64_t at_ms = now_ms(); /* for all that happens in this turn */
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &listener_fd)
                accept_client(epoll_fd, listener_fd, &clients);
            else if (what == &timer_fd && read(timer_fd, &turns, sizeof turns) > 0)
                nh_sweep(store, at_ms, SWEEP_ENTRIES);
            else if (what != &timer_fd && !on_client(store, at_ms, what, events[i].events))
                close_client(store, what);
        }
    }
    while (!LIST_EMPTY(&clients))
        close_client(store, LIST_FIRST(&clients)); /* nothing may be lent when the store goes */
    nh_destroy(store);
    return 0;
}
