#include "net/listen.h"
#include "base/compiler.h"
#include "base/number.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG_COUNT = 4096, HOST_BYTES_MAX = 253 };

/* ---- addresses --------------------------------------------------------------------------------- */

/* Splits "host:port" and "[host]:port". */
static enum err split(struct bytes text, struct bytes *host, uint16_t *port)
{
    const char *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    uint64_t number;

    if (colon == NULL)
        return ERR_SYNTAX;
    *host = bytes_first(text, (size_t)(colon - text.data));
    text = bytes_after(text, host->size + 1);
    if (host->size >= 2 && host->data[0] == '[' && host->data[host->size - 1] == ']')
        *host = bytes_of(host->data + 1, host->size - 2);
    else if (memchr(host->data, ':', host->size) != NULL)
        return ERR_SYNTAX; /* IPv6 without brackets: where the port begins would be a guess */
    if (host->size == 0 || host->size > HOST_BYTES_MAX || memchr(host->data, '\0', host->size) != NULL ||
        text.size == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return ERR_SYNTAX;
    if (!digits_parse(text, UINT16_MAX, &number))
        return ERR_RANGE;
    *port = (uint16_t)number;
    return OK;
}

enum err address_parse(struct bytes text, struct address *address)
{
    static const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char name[HOST_BYTES_MAX + 1];
    struct addrinfo *found;
    struct bytes host;
    uint16_t port;
    enum err err = split(text, &host, &port);

    if (err != OK)
        return err;
    memcpy(name, host.data, host.size);
    name[host.size] = '\0';
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return ERR_MISSING;
    *address = (struct address){.size = found->ai_addrlen};
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    return OK;
}

void address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";

    switch (address->storage.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->storage)->sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", host, address_port(address));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, host,
                  sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", host, address_port(address));
        break;
    case AF_UNIX:
        snprintf(text, ADDRESS_TEXT_BYTES, "%s", ((const struct sockaddr_un *)&address->storage)->sun_path);
        break;
    default: text[0] = '\0';
    }
}

uint16_t address_port(const struct address *address)
{
    switch (address->storage.ss_family) {
    case AF_INET: return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    case AF_INET6: return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    default: return 0;
    }
}

bool address_is_loopback(const struct address *address)
{
    const struct in6_addr *six;

    switch (address->storage.ss_family) {
    case AF_INET:
        return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 ==
               IN_LOOPBACKNET;
    case AF_INET6:
        six = &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(six) ||
               (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET);
    case AF_UNIX: return true;
    default: return false;
    }
}

void address_of_self(int fd, char text[ADDRESS_TEXT_BYTES])
{
    struct address address = {.size = sizeof address.storage};

    text[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&address.storage, &address.size) != 0)
        return;
    address_format(&address, text);
    if (address.storage.ss_family == AF_UNIX)
        strcat(text, ":0"); /* NOLINT: the text has room for the longest path and this */
}

void address_of_peer(int fd, char text[ADDRESS_TEXT_BYTES])
{
    struct address address = {.size = sizeof address.storage};

    text[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&address.storage, &address.size) != 0)
        return;
    if (address.storage.ss_family == AF_UNIX)
        address_of_self(fd, text); /* a client of one has no name */
    else
        address_format(&address, text);
}

/* ---- listening --------------------------------------------------------------------------------- */

static bool is_listener_on(int fd, uint16_t port)
{
    struct address address = {.size = sizeof address.storage};
    socklen_t size = sizeof(int);
    int listening = 0;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening &&
           getsockname(fd, (struct sockaddr *)&address.storage, &address.size) == 0 &&
           address_port(&address) == port;
}

/* True if one of this process's own sockets listens on `port`. */
static bool is_ours(uint16_t port)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    bool found = false;

    if (directory == NULL)
        return true; /* nothing can be said: let bind decide */
    while (!found && (entry = readdir(directory)) != NULL) {
        uint64_t fd;
        found = digits_parse(bytes_of_text(entry->d_name), INT32_MAX, &fd) && is_listener_on((int)fd, port);
    }
    closedir(directory);
    return found;
}

static int open_bound(const struct address *address, bool shared)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, saved_errno;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 && /* accepted sockets inherit it */
        bind(fd, (const struct sockaddr *)&address->storage, address->size) == 0)
        return fd;
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return -1;
}

enum err listen_open(struct address *address, bool shared, int *result)
{
    struct address bound = {.size = sizeof bound.storage};
    enum err err;
    int fd;

    /* SO_REUSEPORT lets any process of ours join a port, also another nuthatch: a socket without it is
     * refused if anybody is there. */
    if (shared && address_port(address) != 0) {
        fd = open_bound(address, false);
        if (fd >= 0)
            close(fd);
        else if (errno != EADDRINUSE)
            return err_from_errno(errno);
        else if (!is_ours(address_port(address)))
            return ERR_ADDRESS_IN_USE;
    }
    fd = open_bound(address, shared);
    if (fd < 0)
        return err_from_errno(errno);
    if (listen(fd, BACKLOG_COUNT) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound.storage, &bound.size) < 0) {
        err = err_from_errno(errno);
        close(fd);
        return err;
    }
    *address = bound;
    *result = fd;
    return OK;
}
