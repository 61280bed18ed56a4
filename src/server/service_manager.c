#include "server/service_manager.h"
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum err service_manager_tell(const char *address, const char *state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t size = address != NULL ? strlen(address) : 0;
    enum err err = OK;
    int fd;

    if (size == 0)
        return OK;
    if ((address[0] != '/' && address[0] != '@') || size >= sizeof name.sun_path)
        return ERR_SYNTAX;
    memcpy(name.sun_path, address, size);
    if (address[0] == '@')
        name.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&name,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0)
        err = err_from_errno(errno);
    close(fd);
    return err;
}

enum err service_manager_tell_reloading(const char *address, struct now now)
{
    char state[64];

    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now.mono_ms * 1000);
    return service_manager_tell(address, state);
}
