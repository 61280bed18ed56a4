#include "server/demo_client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GIVE_UP_S = 10 };

static double now_milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int demo_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval give_up = {.tv_sec = GIVE_UP_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &give_up, sizeof give_up);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &give_up, sizeof give_up);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool send_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        bytes = bytes_after(bytes, (size_t)sent);
    }
    return true;
}

/* The value of the field `name` ("Age: ") in an answer's head, or null. */
static const char *field_value(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) == 0)
            return line + strlen(name);
    }
    return NULL;
}

/* True once `answer`, which is terminated, holds a head and the Content-Length that it promises. */
static bool is_whole(const char *answer, size_t size)
{
    const char *body = strstr(answer, "\r\n\r\n");
    const char *length;

    if (body == NULL)
        return false;
    body += 4;
    length = field_value(answer, "Content-Length: ");
    if (length != NULL && length < body)
        return size - (size_t)(body - answer) >= strtoul(length, NULL, 10);
    return size >= 5 && memcmp(answer + size - 5, "0\r\n\r\n", 5) == 0; /* chunked */
}

/* Reads once more into `answer`, which stays terminated beyond its size. */
static bool receive_more(int fd, struct buffer *answer)
{
    enum { PIECE_BYTES = 16 * 1024 };
    char *end = buffer_reserve(answer, PIECE_BYTES + 1);
    ssize_t got;

    if (end == NULL)
        return false;
    do /* a ring that this thread has made may still interrupt it while the kernel tidies up */
        got = recv(fd, end, PIECE_BYTES, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return false;
    end[got] = '\0';
    buffer_commit(answer, (size_t)got);
    return true;
}

static struct bytes request_text(char *text, size_t size, const char *path)
{
    int length = snprintf(text, size, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    return bytes_of(text, (size_t)length);
}

bool demo_get(int fd, const char *path, struct demo_answer *answer)
{
    char request[256];
    struct buffer received = {0};
    double began = now_milliseconds();
    bool ok = send_all(fd, request_text(request, sizeof request, path));
    const char *value;

    while (ok && (received.size == 0 || !is_whole(received.data, received.size)))
        ok = receive_more(fd, &received);
    *answer = (struct demo_answer){.age_s = -1, .milliseconds = now_milliseconds() - began};
    if (ok) {
        answer->status = atoi(received.data + sizeof "HTTP/1.1" - 1);
        if ((value = field_value(received.data, "Age: ")) != NULL)
            answer->age_s = strtol(value, NULL, 10);
        if ((value = field_value(received.data, "Cache-Status: ")) != NULL)
            snprintf(answer->cache_status, sizeof answer->cache_status, "%.*s", (int)strcspn(value, "\r"),
                     value);
    }
    buffer_fini(&received);
    return ok;
}

size_t demo_crowd(uint16_t port, const char *path, size_t count, double *milliseconds)
{
    struct pollfd *clients = calloc(count, sizeof *clients);
    struct buffer *answers = calloc(count, sizeof *answers);
    char text[256];
    struct bytes request = request_text(text, sizeof text, path);
    size_t waiting = 0, good = 0;
    double began;

    if (clients == NULL || answers == NULL)
        goto free_clients;
    for (size_t i = 0; i < count; i++) {
        clients[i] = (struct pollfd){.fd = demo_connect(port), .events = POLLIN};
        if (clients[i].fd >= 0)
            waiting++;
    }
    began = now_milliseconds();
    for (size_t i = 0; i < count; i++)
        if (clients[i].fd >= 0)
            send_all(clients[i].fd, request);
    while (waiting > 0) {
        int ready = poll(clients, count, GIVE_UP_S * 1000);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            break;
        for (size_t i = 0; i < count; i++) {
            bool ok;
            if (clients[i].fd < 0 || clients[i].revents == 0)
                continue;
            ok = receive_more(clients[i].fd, &answers[i]);
            if (ok && !is_whole(answers[i].data, answers[i].size))
                continue;
            if (ok && strncmp(answers[i].data, "HTTP/1.1 200 ", 13) == 0)
                good++;
            close(clients[i].fd);
            clients[i].fd = -1; /* poll skips it from now on */
            waiting--;
        }
    }
    *milliseconds = now_milliseconds() - began;
    for (size_t i = 0; i < count; i++) {
        if (clients[i].fd >= 0)
            close(clients[i].fd);
        buffer_fini(&answers[i]);
    }
free_clients:
    free(clients);
    free(answers);
    return good;
}

bool demo_talk(int fd, const char *request, const char *ending, struct buffer *answer)
{
    size_t ending_size = strlen(ending);
    bool ok = fd >= 0 && send_all(fd, bytes_of_text(request));

    while (ok && (answer->size < ending_size ||
                  memcmp(answer->data + answer->size - ending_size, ending, ending_size) != 0))
        ok = receive_more(fd, answer);
    return ok;
}
