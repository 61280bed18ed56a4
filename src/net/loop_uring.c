#include "net/loop_common.h"

enum err loop_uring_create(int wake_fd, struct loop **loop, const char **reason)
{
    (void)wake_fd;
    (void)loop;
    *reason = "not built in";
    return ERR_UNSUPPORTED;
}
