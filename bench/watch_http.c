/* watch_http — N clients that watch one resource by Server-Sent Events, of an origin whose answers say when
 * they were made (slow_origin --stamps 1); some of them never read.
 *
 * Prints {"watching":N} once all that read have a state, and measures from when its stdin is closed. Then
 * it prints what they were sent: of each version the time from its making to the first and to the last of
 * them, and the server's CPU time per event. Who misses a version may do so for a newer one only; who goes
 * back, or lacks the newest five seconds after the end, is an error. */
#include "load.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINE_BYTES = 96, /* of a line's front: more of it is not looked at */
    READ_BYTES = 1 << 18,
    VERSIONS_MAX = 1 << 16,
    SLOW_BUFFER_BYTES = 4096,
    LATE_MS = 5000,
    PATIENCE_MS = 60000,
};

static int64_t port, watcher_count = 10000, slow_count = 0, measure_ms = 60000;
static const char *target = "/", *pids = "";

enum part { PART_HEAD, PART_CHUNK_SIZE, PART_CHUNK, PART_CHUNK_END };

struct watcher {
    int fd;
    enum part part; /* of the answer, which comes in chunks */
    bool is_chunked, has_status;
    uint64_t chunk_left, number; /* of the newest version it was sent; 0: none yet */
    size_t line_size;
    char line[LINE_BYTES + 1];
};

/* What the watchers were sent of one version. */
struct version {
    uint64_t made_ns, first_ns, last_ns, sent_count;
};

static struct version versions[VERSIONS_MAX];             /* by number */
static uint64_t newest_number, event_count, behind_count; /* those that have not `goal_number` yet */
static uint64_t goal_number = 1;
static bool is_measuring;

/* ---- what comes ------------------------------------------------------------------------------------ */

static void note_event(struct watcher *watcher, uint64_t number, uint64_t made_ns)
{
    uint64_t at_ns = now_ns();
    struct version *version;

    if (number >= VERSIONS_MAX)
        stop("more than %d versions", VERSIONS_MAX);
    if (number <= watcher->number)
        stop("a watcher was sent version %llu after %llu", (unsigned long long)number,
             (unsigned long long)watcher->number);
    if (watcher->number < goal_number && number >= goal_number)
        behind_count--;
    watcher->number = number;
    if (number > newest_number)
        newest_number = number;
    event_count += is_measuring;
    version = &versions[number];
    if (version->sent_count++ == 0)
        *version = (struct version){made_ns, at_ns, at_ns, 1};
    version->last_ns = at_ns;
}

static void end_line(struct watcher *watcher)
{
    unsigned long long number, made_ns;

    watcher->line[watcher->line_size] = '\0';
    if (watcher->part != PART_HEAD) {
        if (strncmp(watcher->line, "event: problem", 14) == 0)
            stop("a watcher was told of a problem");
        if (sscanf(watcher->line, "data: {\"number\":%llu,\"made_ns\":%llu,", &number, &made_ns) == 2)
            note_event(watcher, number, made_ns);
    } else if (!watcher->has_status) {
        if (strncmp(watcher->line, "HTTP/1.1 200", 12) != 0)
            stop("an answer is not 200: %s", watcher->line);
        watcher->has_status = true;
    } else if (strncasecmp(watcher->line, "transfer-encoding: chunked", 26) == 0) {
        watcher->is_chunked = true;
    } else if (watcher->line[0] == '\r' || watcher->line[0] == '\0') {
        if (!watcher->is_chunked)
            stop("an answer does not come in chunks");
        watcher->part = PART_CHUNK_SIZE;
    }
    watcher->line_size = 0;
}

/* Takes what there is of a line; returns how many bytes that was. */
static size_t take_line(struct watcher *watcher, const char *data, size_t size)
{
    const char *end = memchr(data, '\n', size);
    size_t count = end == NULL ? size : (size_t)(end - data), kept = LINE_BYTES - watcher->line_size;

    if (kept > count)
        kept = count;
    memcpy(watcher->line + watcher->line_size, data, kept);
    watcher->line_size += kept;
    if (end == NULL)
        return count;
    end_line(watcher);
    return count + 1;
}

static void take_size_digit(struct watcher *watcher, char c)
{
    if (c == '\n' && watcher->chunk_left == 0)
        stop("the server ended a stream");
    if (c == '\n')
        watcher->part = PART_CHUNK;
    else if (c >= '0' && c <= '9')
        watcher->chunk_left = watcher->chunk_left * 16 + (uint64_t)(c - '0');
    else if (c != '\r')
        watcher->chunk_left = watcher->chunk_left * 16 + (uint64_t)((c | 32) - 'a') + 10;
}

static void take(struct watcher *watcher, const char *data, size_t size)
{
    while (size > 0) {
        size_t count = 1;
        switch (watcher->part) {
        case PART_HEAD: count = take_line(watcher, data, size); break;
        case PART_CHUNK_SIZE: take_size_digit(watcher, *data); break;
        case PART_CHUNK:
            count = take_line(watcher, data, size < watcher->chunk_left ? size : watcher->chunk_left);
            watcher->chunk_left -= count;
            if (watcher->chunk_left == 0)
                watcher->part = PART_CHUNK_END;
            break;
        case PART_CHUNK_END:
            if (*data == '\n')
                watcher->part = PART_CHUNK_SIZE;
            break;
        }
        data += count;
        size -= count;
    }
}

static void receive(struct watcher *watcher)
{
    static char data[READ_BYTES];
    ssize_t got = read(watcher->fd, data, sizeof data);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        stop("the server closed a connection that reads");
    take(watcher, data, (size_t)got);
}

/* ---- figures --------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static double milliseconds(uint64_t ns) { return (double)ns / 1e6; }

/* Of the versions after `before`, up to the newest that all have or a newer one. */
static void report(uint64_t before, struct cpu_time cpu_before, double seconds)
{
    struct cpu_time cpu = cpu_time_of(pids);
    uint64_t *first_ns = allocate(VERSIONS_MAX * sizeof *first_ns),
             *last_ns = allocate(VERSIONS_MAX * sizeof *last_ns);
    uint64_t listeners = (uint64_t)(watcher_count - slow_count), missed_count = 0;
    size_t count = 0;

    for (uint64_t number = before + 1; number <= goal_number; number++) {
        const struct version *version = &versions[number];
        missed_count += listeners - version->sent_count;
        if (version->sent_count == 0)
            continue;
        first_ns[count] = version->first_ns - version->made_ns;
        last_ns[count++] = version->last_ns - version->made_ns;
    }
    if (count == 0 || event_count == 0)
        stop("there was no change");
    qsort(first_ns, count, sizeof *first_ns, compare);
    qsort(last_ns, count, sizeof *last_ns, compare);
    printf("{\"versions\":%zu,\"events\":%llu,\"missed\":%llu,\"seconds\":%.3f,\"first_ms\":%.1f,"
           "\"last_ms\":%.1f,\"worst_ms\":%.1f,\"user_us\":%.4f,\"system_us\":%.4f}\n",
           count, (unsigned long long)event_count, (unsigned long long)missed_count, seconds,
           milliseconds(first_ns[count / 2]), milliseconds(last_ns[count / 2]),
           milliseconds(last_ns[count - 1]), (cpu.user_s - cpu_before.user_s) * 1e6 / (double)event_count,
           (cpu.system_s - cpu_before.system_s) * 1e6 / (double)event_count);
    free(first_ns);
    free(last_ns);
}

/* ---- the run --------------------------------------------------------------------------------------- */

static void begin(struct watcher *watcher, bool is_slow, int epoll, const char *request, size_t size)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watcher};
    int buffer_bytes = SLOW_BUFFER_BYTES;

    watcher->fd = connect_to(port);
    if (is_slow)
        setsockopt(watcher->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    else
        epoll_ctl(epoll, EPOLL_CTL_ADD, watcher->fd, &event);
    write_all(watcher->fd, request, size);
}

/* Reads what comes until `until_ns`; with `is_enough`, until then at most: until that holds. */
static void listen_until(int epoll, uint64_t until_ns, bool (*is_enough)(void))
{
    static struct epoll_event events[1024];

    while (is_enough == NULL || !is_enough()) {
        uint64_t at_ns = now_ns();
        int count;
        if (at_ns >= until_ns)
            return;
        count = epoll_wait(epoll, events, sizeof events / sizeof events[0],
                           (int)((until_ns - at_ns) / 1000000) + 1);
        for (int i = 0; i < count; i++)
            receive(events[i].data.ptr);
    }
}

static bool have_all_the_goal(void) { return behind_count == 0; }

/* From now on the goal is the newest version that anybody has. */
static void aim_at_newest(const struct watcher *watchers)
{
    goal_number = newest_number;
    behind_count = 0;
    for (int64_t i = slow_count; i < watcher_count; i++)
        behind_count += watchers[i].number < goal_number;
}

static bool was_told_to_measure(void)
{
    char byte;

    return read(STDIN_FILENO, &byte, 1) == 0;
}

int main(int argc, char **argv)
{
    const struct load_option options[] = {
        {"port", "of the server, on 127.0.0.1", &port, NULL},
        {"target", "what all watch (/)", NULL, &target},
        {"watchers", "how many (10000)", &watcher_count, NULL},
        {"slow", "of them, that never read (0)", &slow_count, NULL},
        {"ms", "how long to measure (60000)", &measure_ms, NULL},
        {"pids", "of the server, 12,34: whose CPU time is told", NULL, &pids},
    };
    struct watcher *watchers;
    struct rlimit limit;
    struct cpu_time cpu_before;
    char request[4096];
    uint64_t before, begun_ns;
    int epoll, size;

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (port == 0 || watcher_count <= slow_count)
        stop("need --port, and --watchers of which some are not --slow");
    size = snprintf(request, sizeof request,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lld\r\nAccept: text/event-stream\r\n\r\n", target,
                    (long long)port);
    if (size < 0 || (size_t)size >= sizeof request)
        stop("the target is too long");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    epoll = epoll_create1(EPOLL_CLOEXEC);
    watchers = allocate((size_t)watcher_count * sizeof *watchers);
    behind_count = (uint64_t)(watcher_count - slow_count);
    for (int64_t i = 0; i < watcher_count; i++)
        begin(&watchers[i], i < slow_count, epoll, request, (size_t)size);
    listen_until(epoll, now_ns() + (uint64_t)PATIENCE_MS * 1000000, have_all_the_goal);
    if (behind_count > 0)
        stop("%llu watchers were sent nothing", (unsigned long long)behind_count);
    printf("{\"watching\":%lld}\n", (long long)watcher_count);
    fflush(stdout);
    /* No epoll watches a file, which stdin may be: so it is looked at between. */
    for (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK); !was_told_to_measure();)
        listen_until(epoll, now_ns() + 10 * 1000000, NULL);

    aim_at_newest(watchers); /* so that no delivery is cut in two */
    listen_until(epoll, now_ns() + (uint64_t)LATE_MS * 1000000, have_all_the_goal);
    before = newest_number;
    is_measuring = true;
    cpu_before = cpu_time_of(pids);
    begun_ns = now_ns();
    listen_until(epoll, begun_ns + (uint64_t)measure_ms * 1000000, NULL);
    aim_at_newest(watchers);
    listen_until(epoll, now_ns() + (uint64_t)LATE_MS * 1000000, have_all_the_goal);
    if (behind_count > 0)
        stop("%llu watchers lack what others have had for %d s", (unsigned long long)behind_count,
             LATE_MS / 1000);
    report(before, cpu_before, (double)(now_ns() - begun_ns) / 1e9);
    return 0;
}
