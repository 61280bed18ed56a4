/* load_kv — a closed loop of GETs and SETs over RESP or memcached's text protocol.
 *
 * Each of N connections sends `depth` requests in one write, waits for all their answers and begins again.
 * A request's latency runs from that write to the read that brought its answer. Keys are chosen uniformly;
 * with --in-turn they are read one after the other, each once before the first comes again;
 * with --fill all of them are set first, so that a GET that finds nothing is an error. With --get-keys a
 * GET asks for several at once (MGET), and with --life a connection makes way for a new one now and then.
 */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { PREFIX_BYTES = 4, KEY_BYTES = 11, READ_BYTES = 1 << 21 };

static int64_t port, connection_count = 50, depth = 1, set_percent, key_count = 100000, value_bytes = 100,
                     measure_ms = 2000, warm_up_ms = 200, fill, get_keys = 1, life, in_turn;
static const char *protocol = "resp", *pids = "", *prefix = "key:";

struct connection {
    int fd;
    uint64_t sent_ns;
    int64_t waiting_count; /* answers still to come */
    int64_t batches_left;  /* until it closes; only with --life */
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
    put(to, prefix, PREFIX_BYTES);
    for (int i = KEY_BYTES - 1; i >= PREFIX_BYTES; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + KEY_BYTES;
}

static bool is_resp(void) { return protocol[0] == 'r'; }

/* What comes before and after the keys is the same each time, in questions and in answers. */
static char get_before[64], key_before[16], set_before[64], set_between[64];
static char found_before[64], item_before[64], item_tail[64], found_after[64];

static void make_templates(void)
{
    if (is_resp()) {
        if (get_keys == 1)
            snprintf(get_before, sizeof get_before, "*2\r\n$3\r\nGET");
        else
            snprintf(get_before, sizeof get_before, "*%lld\r\n$4\r\nMGET", (long long)get_keys + 1);
        snprintf(key_before, sizeof key_before, "\r\n$%d\r\n", KEY_BYTES);
        if (get_keys > 1)
            snprintf(found_before, sizeof found_before, "*%lld\r\n", (long long)get_keys);
        snprintf(item_before, sizeof item_before, "$%lld\r\n", (long long)value_bytes);
        snprintf(set_before, sizeof set_before, "*3\r\n$3\r\nSET\r\n$%d\r\n", KEY_BYTES);
        snprintf(set_between, sizeof set_between, "\r\n$%lld\r\n", (long long)value_bytes);
    } else {
        snprintf(get_before, sizeof get_before, "get");
        snprintf(key_before, sizeof key_before, " ");
        snprintf(item_before, sizeof item_before, "VALUE %s", prefix);
        /* The rest of the key, its flags and its size: as long each time. */
        snprintf(item_tail, sizeof item_tail, "0000000 0 %lld\r\n", (long long)value_bytes);
        snprintf(found_after, sizeof found_after, "END\r\n");
        snprintf(set_before, sizeof set_before, "set ");
        snprintf(set_between, sizeof set_between, " 0 0 %lld\r\n", (long long)value_bytes);
    }
}

static uint32_t key_to_get(void)
{
    static uint32_t next;

    return in_turn != 0 ? next++ % (uint32_t)key_count : random_below(&random_state, (uint32_t)key_count);
}

static char *put_get(char *to)
{
    to = put_text(to, get_before);
    for (int64_t i = 0; i < get_keys; i++)
        to = put_key(put_text(to, key_before), key_to_get());
    return put_text(to, "\r\n");
}

static char *put_set(char *to, uint32_t key)
{
    to = put_text(put_key(put_text(to, set_before), key), set_between);
    return put_text(put(to, value, (size_t)value_bytes), "\r\n");
}

/* Takes `text` from what is left of an answer: true if all of it is there. Stops if it is another. */
static bool take(const char **data, size_t *size, const char *text)
{
    size_t whole = strlen(text);

    if (memcmp(*data, text, *size < whole ? *size : whole) != 0)
        stop("expected \"%s\" and was answered with \"%.*s\"", text, (int)(*size < 80 ? *size : 80), *data);
    if (*size < whole)
        return false;
    *data += whole;
    *size -= whole;
    return true;
}

static bool skip(const char **data, size_t *size, size_t bytes)
{
    if (*size < bytes)
        return false;
    *data += bytes;
    *size -= bytes;
    return true;
}

/* The bytes of the answer at `begin`, 0 if it is not all there. Stops on any answer but the right one. */
static size_t answer_bytes(const char *begin, size_t size, bool is_set)
{
    const char *data = begin;

    if (is_set)
        return take(&data, &size, is_resp() ? "+OK\r\n" : "STORED\r\n") ? (size_t)(data - begin) : 0;
    if (!take(&data, &size, found_before))
        return 0;
    for (int64_t i = 0; i < get_keys; i++)
        if (!take(&data, &size, item_before) ||
            !skip(&data, &size, strlen(item_tail) + (size_t)value_bytes) || !take(&data, &size, "\r\n"))
            return 0;
    return take(&data, &size, found_after) ? (size_t)(data - begin) : 0;
}

static char *batch;

static void send_batch(struct connection *connection)
{
    char *end = batch;

    for (int64_t i = 0; i < depth; i++) {
        connection->is_set[i] = random_below(&random_state, 100) < set_percent;
        end = connection->is_set[i] ? put_set(end, random_below(&random_state, (uint32_t)key_count))
                                    : put_get(end);
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

static void open_connection(struct connection *connection, int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

    connection->fd = connect_to(port);
    connection->unread_size = 0;
    if (life > 0) /* so many batches on average, for each its own */
        connection->batches_left = 1 + random_below(&random_state, (uint32_t)(2 * life));
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

/* All answers are there: goes on, or makes way for a new connection. */
static void begin_again(struct connection *connection, int epoll)
{
    if (life > 0 && --connection->batches_left == 0) {
        close(connection->fd);
        open_connection(connection, epoll);
    }
    send_batch(connection);
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
        {"prefix", "of each key, 4 bytes (key:)", NULL, &prefix},
        {"in-turn", "1: GETs ask for one key after the other instead of any", &in_turn, NULL},
        {"value-bytes", "of each value (100)", &value_bytes, NULL},
        {"get-keys", "asked for by each GET (1)", &get_keys, NULL},
        {"life", "batches of a connection before it is closed and opened anew, about (0: it stays)", &life,
         NULL},
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
        connection_count == 0 || get_keys < 1 || get_keys > 1000 || key_count == 0 ||
        key_count > 10000000 || strlen(prefix) != PREFIX_BYTES || value_bytes > READ_BYTES / 2)
        stop("need --port, --protocol resp or memcached, a --prefix of 4 bytes and sensible sizes");
    value = allocate((size_t)value_bytes + 1);
    memset(value, 'v', (size_t)value_bytes);
    batch = allocate((size_t)depth * (size_t)(value_bytes + 128 + 32 * get_keys));
    make_templates();
    if (fill != 0) {
        fill_keys();
        return 0;
    }

    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = allocate((size_t)connection_count * sizeof *connections);
    for (int64_t i = 0; i < connection_count; i++) {
        struct connection *connection = &connections[i];
        open_connection(connection, epoll);
        connection->is_set = allocate((size_t)depth);
        connection->unread = allocate(READ_BYTES);
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
                begin_again(connection, epoll);
        }
    }
    run_report(&run, "");
    return 0;
}
