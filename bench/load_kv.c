/* load_kv — a closed loop of GETs and SETs over RESP or memcached's text protocol.
 *
 * Each of N connections sends `depth` requests in one write, waits for all their answers and begins again.
 * A request's latency runs from that write to the read that brought its answer. Keys are chosen uniformly;
 * with --fill all of them are set first, so that a GET that finds nothing is an error. */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { KEY_BYTES = 11, READ_BYTES = 1 << 18 };

static int64_t port, connection_count = 50, depth = 1, set_percent, key_count = 100000, value_bytes = 100,
                     measure_ms = 2000, warm_up_ms = 200, fill;
static const char *protocol = "resp", *pids = "";

struct connection {
    int fd;
    uint64_t sent_ns;
    int64_t waiting_count; /* answers still to come */
    uint8_t *is_set;       /* of the batch's requests, in order */
    char *unread;          /* the beginning of an answer that is not complete */
    size_t unread_size;
};

static char *value;
static uint64_t random_state = 88172645463325252;

static char *put(char *to, const char *text, size_t size)
{
    memcpy(to, text, size);
    return to + size;
}

static char *put_text(char *to, const char *text) { return put(to, text, strlen(text)); }

static char *put_key(char *to, uint32_t number)
{
    to[0] = 'k', to[1] = 'e', to[2] = 'y', to[3] = ':';
    for (int i = KEY_BYTES - 1; i >= 4; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + KEY_BYTES;
}

static bool is_resp(void) { return protocol[0] == 'r'; }

/* What comes before and after the key is the same each time. */
static char get_before[64], set_before[64], set_between[64];

static void make_templates(void)
{
    if (is_resp()) {
        snprintf(get_before, sizeof get_before, "*2\r\n$3\r\nGET\r\n$%d\r\n", KEY_BYTES);
        snprintf(set_before, sizeof set_before, "*3\r\n$3\r\nSET\r\n$%d\r\n", KEY_BYTES);
        snprintf(set_between, sizeof set_between, "\r\n$%lld\r\n", (long long)value_bytes);
    } else {
        snprintf(get_before, sizeof get_before, "get ");
        snprintf(set_before, sizeof set_before, "set ");
        snprintf(set_between, sizeof set_between, " 0 0 %lld\r\n", (long long)value_bytes);
    }
}

static char *put_get(char *to, uint32_t key)
{
    return put_text(put_key(put_text(to, get_before), key), "\r\n");
}

static char *put_set(char *to, uint32_t key)
{
    to = put_text(put_key(put_text(to, set_before), key), set_between);
    return put_text(put(to, value, (size_t)value_bytes), "\r\n");
}

/* The bytes of the answer at `data`, 0 if it is not all there. Stops on any answer but the right one. */
static size_t answer_bytes(const char *data, size_t size, bool is_set)
{
    static char head[64];
    static size_t head_size;
    const char *stored = is_resp() ? "+OK\r\n" : "STORED\r\n";
    size_t whole;

    if (is_set) {
        whole = strlen(stored);
        if (memcmp(data, stored, size < whole ? size : whole) != 0)
            stop("a SET was answered with \"%.*s\"", (int)(size < 80 ? size : 80), data);
        return size >= whole ? whole : 0;
    }
    if (head_size == 0)
        head_size = (size_t)snprintf(head, sizeof head,
                                     is_resp() ? "$%lld\r\n" : "VALUE key:", (long long)value_bytes);
    if (memcmp(data, head, size < head_size ? size : head_size) != 0)
        stop("a GET was answered with \"%.*s\"", (int)(size < 80 ? size : 80), data);
    whole = head_size + (size_t)value_bytes + 2;
    if (!is_resp()) /* VALUE key:0000001 0 100 CRLF value CRLF END CRLF */
        whole += KEY_BYTES - 4 + strlen(set_between) - 2 + strlen("END\r\n");
    if (size < whole)
        return 0;
    if (memcmp(data + whole - 2, "\r\n", 2) != 0)
        stop("a GET was answered with a value of another size");
    return whole;
}

static char *batch;

static void send_batch(struct connection *connection)
{
    char *end = batch;

    for (int64_t i = 0; i < depth; i++) {
        uint32_t key = random_below(&random_state, (uint32_t)key_count);
        connection->is_set[i] = random_below(&random_state, 100) < set_percent;
        end = connection->is_set[i] ? put_set(end, key) : put_get(end, key);
    }
    connection->waiting_count = depth;
    connection->sent_ns = now_ns();
    write_all(connection->fd, batch, (size_t)(end - batch));
}

/* Reads once and counts the answers in it. */
static void receive(struct connection *connection, struct run *run)
{
    static char data[2 * READ_BYTES];
    size_t size = connection->unread_size, used = 0, answer;
    ssize_t got;
    int64_t answer_count = 0;

    memcpy(data, connection->unread, size);
    got = read(connection->fd, data + size, READ_BYTES);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        stop("the server closed a connection");
    size += (size_t)got;
    while (connection->waiting_count > 0 && used < size) {
        answer =
            answer_bytes(data + used, size - used, connection->is_set[depth - connection->waiting_count]);
        if (answer == 0)
            break;
        used += answer;
        connection->waiting_count--;
        answer_count++;
    }
    if (connection->waiting_count == 0 && used < size)
        stop("more was answered than was asked");
    if (size - used > READ_BYTES)
        stop("an answer is too large");
    memcpy(connection->unread, data + used, size - used);
    connection->unread_size = size - used;
    if (answer_count > 0)
        run_add(run, now_ns() - connection->sent_ns, (uint64_t)answer_count);
}

/* Sets every key once, over one connection, a thousand at a time. */
static void fill_keys(void)
{
    size_t answer = is_resp() ? strlen("+OK\r\n") : strlen("STORED\r\n");
    char *requests = allocate(1000 * (size_t)(value_bytes + 128)), *end = requests,
         *answers = allocate(1000 * answer);
    int fd = connect_to(port);

    for (int64_t i = 0, pending = 0; i < key_count; i++) {
        end = put_set(end, (uint32_t)i);
        pending++;
        if (pending < 1000 && i + 1 < key_count)
            continue;
        write_all(fd, requests, (size_t)(end - requests));
        for (size_t size = 0; size < (size_t)pending * answer;) {
            ssize_t got = read(fd, answers + size, (size_t)pending * answer - size);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got <= 0)
                stop("the server closed the connection while it was filled");
            size += (size_t)got;
        }
        for (int64_t j = 0; j < pending; j++)
            answer_bytes(answers + (size_t)j * answer, answer, true);
        end = requests;
        pending = 0;
    }
    free(requests);
    free(answers);
    close(fd);
}

int main(int argc, char **argv)
{
    const struct load_option options[] = {
        {"port", "of the server, on 127.0.0.1", &port, NULL},
        {"protocol", "resp or memcached", NULL, &protocol},
        {"connections", "how many (50)", &connection_count, NULL},
        {"depth", "requests sent at once on each (1)", &depth, NULL},
        {"set-percent", "how many of 100 requests are SETs (0)", &set_percent, NULL},
        {"keys", "how many there are (100000)", &key_count, NULL},
        {"value-bytes", "of each value (100)", &value_bytes, NULL},
        {"ms", "to measure for (2000)", &measure_ms, NULL},
        {"warm-up-ms", "to run before (200)", &warm_up_ms, NULL},
        {"fill", "1: only set every key once", &fill, NULL},
        {"pids", "whose CPU time to count, with commas", NULL, &pids},
    };
    static struct connection *connections;
    static struct run run;
    struct epoll_event events[256];
    uint64_t at_ns;
    int epoll;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (port == 0 || (strcmp(protocol, "resp") != 0 && strcmp(protocol, "memcached") != 0) || depth == 0 ||
        connection_count == 0 || key_count == 0 || key_count > 10000000 || value_bytes > READ_BYTES / 2)
        stop("need --port, --protocol resp or memcached, and sensible sizes");
    value = allocate((size_t)value_bytes + 1);
    memset(value, 'v', (size_t)value_bytes);
    batch = allocate((size_t)depth * (size_t)(value_bytes + 128));
    make_templates();
    if (fill != 0) {
        fill_keys();
        return 0;
    }

    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = allocate((size_t)connection_count * sizeof *connections);
    for (int64_t i = 0; i < connection_count; i++) {
        struct connection *connection = &connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        connection->fd = connect_to(port);
        connection->is_set = allocate((size_t)depth);
        connection->unread = allocate(READ_BYTES);
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
    }
    run_begin(&run, warm_up_ms, measure_ms, pids);
    for (int64_t i = 0; i < connection_count; i++)
        send_batch(&connections[i]);
    for (at_ns = now_ns(); run_goes_on(&run, at_ns); at_ns = now_ns()) {
        int count = epoll_wait(epoll, events, sizeof events / sizeof events[0], 1000);
        if (count == 0)
            stop("the server has been silent for a second");
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            receive(connection, &run);
            if (connection->waiting_count == 0)
                send_batch(connection);
        }
    }
    run_report(&run, "");
    return 0;
}
