#include "admin_guard.h"
#include <arpa/inet.h>
#include <sys/socket.h>

static bool is_of_this_machine(int fd)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;

    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return false;
    if (peer.ss_family == AF_INET)
        return ntohl(((struct sockaddr_in *)&peer)->sin_addr.s_addr) >> 24 == 127;
    if (peer.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&peer)->sin6_addr);
    return peer.ss_family == AF_UNIX;
}

struct http_refusal admin_guard(const struct http_request *request, struct bytes token, int client_fd)
{
    bool is_local = token.size == 0;
    struct http_refusal refusal = http_guard(request, token, is_local);

    if (refusal.status == 0 && is_local && !is_of_this_machine(client_fd))
        refusal =
            (struct http_refusal){403, "this is for clients on the mock's own machine; others need an "
                                       "admin-token"};
    return refusal;
}
