/* connect.c — one attempt after the other, over the addresses that a host has.
 *
 *   resolving ──► connecting ──► settled: the result is told in the next turn
 *       │           │  └─ failed, slow: the next address
 *       └───────────┴── out of time, out of addresses ──► settled */
#include "net/connect.h"
#include "net/resolve.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 16 /* of one host, that are tried */ };

struct connector {
    struct loop *loop;
    bool (*permits)(void *owner, const struct sockaddr *address);
    void (*done)(void *owner, enum err err, int fd);
    void *owner;
    uint16_t port;
    int64_t deadline_ms;
    struct resolution resolution;
    struct watch watch;
    struct timer timer; /* of the name or the attempt; once settled: to tell the result */
    struct {
        struct sockaddr_storage storage;
        socklen_t size;
    } addresses[ADDRESSES_MAX];
    size_t address_count, next; /* the one to be tried next */
    bool was_permitted;         /* at least one of them */
    bool is_settled;
    int fd;       /* -1: none */
    enum err err; /* of the last attempt; of all once settled */
};

static void try_next(struct connector *connector);

static void close_socket(struct connector *connector)
{
    if (connector->fd < 0)
        return;
    watch_set(&connector->watch, 0);
    close(connector->fd);
    connector->fd = -1;
}

/* `done` follows in the next turn, with the socket if there is one. */
static void settle(struct connector *connector, enum err err)
{
    connector->err = err;
    connector->is_settled = true;
    resolve_cancel(&connector->resolution);
    if (err != OK)
        close_socket(connector);
    timer_set(connector->loop, &connector->timer, 1); /* long ago */
}

static void tell(struct connector *connector)
{
    struct connector gone = *connector;

    free(connector);
    gone.done(gone.owner, gone.err, gone.fd);
}

static void timer_fired(struct timer *timer)
{
    struct connector *connector = CONTAINER_OF(timer, struct connector, timer);

    if (connector->is_settled) {
        tell(connector);
        return;
    }
    connector->err = ERR_TIMEOUT;
    close_socket(connector);
    if (connector->next < connector->address_count)
        try_next(connector);
    else
        settle(connector, ERR_TIMEOUT);
}

/* ---- attempts ----------------------------------------------------------------------------------- */

/* Both ends are one socket: nobody listens, and the port that the system chose for us is the one meant. */
static bool is_connected_to_itself(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_size = sizeof here, there_size = sizeof there;

    return getsockname(fd, (struct sockaddr *)&here, &here_size) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_size) == 0 && here_size == there_size &&
           memcmp(&here, &there, here_size) == 0;
}

/* What became of an attempt. */
static void attempted(struct connector *connector, int errno_value)
{
    if (errno_value == 0 && is_connected_to_itself(connector->fd))
        errno_value = ECONNREFUSED;
    if (errno_value == 0) {
        watch_set(&connector->watch, 0);
        settle(connector, OK);
        return;
    }
    /* EINVAL: a route says that nothing goes there (a blackhole; route(8)). */
    connector->err = errno_value == EAFNOSUPPORT || errno_value == EINVAL ? ERR_UNREACHABLE
                                                                          : err_from_errno(errno_value);
    close_socket(connector);
}

static void is_writable(struct watch *watch, int events)
{
    struct connector *connector = CONTAINER_OF(watch, struct connector, watch);
    int errno_value = 0;
    socklen_t size = sizeof errno_value;

    (void)events;
    if (getsockopt(connector->fd, SOL_SOCKET, SO_ERROR, &errno_value, &size) < 0)
        errno_value = errno;
    attempted(connector, errno_value);
    if (!connector->is_settled)
        try_next(connector);
    else if (connector->err == OK) {
        timer_cancel(connector->loop, &connector->timer);
        tell(connector);
    }
}

/* The time that is left is shared among the addresses that are. */
static int64_t attempt_deadline_ms(const struct connector *connector)
{
    int64_t now_ms = loop_now(connector->loop).mono_ms, left_ms = connector->deadline_ms - now_ms;
    size_t left_count = connector->address_count - connector->next;

    return now_ms + (left_ms > 0 ? left_ms / (int64_t)(left_count + 1) : 0);
}

/* Whether the attempt goes on; if not it has failed, or the connector is settled. */
static bool try_address(struct connector *connector, const struct sockaddr *address, socklen_t size)
{
    int on = 1;

    connector->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (connector->fd < 0) {
        attempted(connector, errno);
        if (connector->err == ERR_NO_DESCRIPTOR || connector->err == ERR_NO_MEMORY)
            settle(connector, connector->err);
        return false;
    }
    watch_init(connector->loop, &connector->watch, connector->fd, is_writable);
    (void)setsockopt(connector->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connector->fd, address, size) == 0) {
        attempted(connector, 0);
        return false;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
        attempted(connector, errno);
        return false;
    }
    timer_set(connector->loop, &connector->timer, attempt_deadline_ms(connector));
    watch_set(&connector->watch, WATCH_WRITABLE);
    return true;
}

static void try_next(struct connector *connector)
{
    while (connector->next < connector->address_count && !connector->is_settled) {
        size_t i = connector->next++;
        const struct sockaddr *address = (const struct sockaddr *)&connector->addresses[i].storage;

        if (connector->permits != NULL && !connector->permits(connector->owner, address))
            continue;
        connector->was_permitted = true;
        if (try_address(connector, address, connector->addresses[i].size))
            return;
    }
    if (!connector->is_settled)
        settle(connector, connector->was_permitted ? connector->err : ERR_FORBIDDEN);
}

/* ---- from a host to attempts -------------------------------------------------------------------- */

static void take_addresses(struct connector *connector, const struct addrinfo *info)
{
    for (; info != NULL && connector->address_count < ADDRESSES_MAX; info = info->ai_next) {
        struct sockaddr_storage *storage = &connector->addresses[connector->address_count].storage;

        if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
            continue;
        memcpy(storage, info->ai_addr, info->ai_addrlen);
        if (info->ai_family == AF_INET)
            ((struct sockaddr_in *)storage)->sin_port = htons(connector->port);
        else
            ((struct sockaddr_in6 *)storage)->sin6_port = htons(connector->port);
        connector->addresses[connector->address_count++].size = info->ai_addrlen;
    }
    if (connector->address_count == 0)
        settle(connector, ERR_NAME);
    else
        try_next(connector);
}

static void resolved(struct resolution *resolution, enum err err, const struct addrinfo *addresses)
{
    struct connector *connector = CONTAINER_OF(resolution, struct connector, resolution);

    if (err == OK)
        take_addresses(connector, addresses);
    else
        settle(connector, err);
}

enum err connect_begin(struct loop *loop, const struct connect_order *order, struct connector **result)
{
    struct connector *connector = calloc(1, sizeof *connector);
    struct addrinfo *numeric;
    enum err err;

    if (connector == NULL)
        return ERR_NO_MEMORY;
    *connector = (struct connector){
        .loop = loop,
        .permits = order->permits,
        .done = order->done,
        .owner = order->owner,
        .port = order->port,
        .deadline_ms = loop_now(loop).mono_ms + order->timeout_ms,
        .resolution.resolved = resolved,
        .fd = -1,
    };
    list_init(&connector->resolution.in_waiting);
    timer_init(&connector->timer, timer_fired);
    *result = connector;
    numeric = resolve_numeric(order->host);
    if (numeric != NULL) {
        take_addresses(connector, numeric);
        freeaddrinfo(numeric);
        return OK;
    }
    timer_set(loop, &connector->timer, connector->deadline_ms);
    err = resolve_begin(loop, &connector->resolution, order->host);
    if (err != OK)
        settle(connector, err);
    return OK;
}

void connect_cancel(struct connector *connector)
{
    timer_cancel(connector->loop, &connector->timer);
    resolve_cancel(&connector->resolution);
    close_socket(connector);
    free(connector);
}
