/* service_manager.h — what a service manager, such as systemd, is told of this process (sd_notify(3)): that
 * it is ready, that it reads its configuration again, that it stops. */
#pragma once
#include "base/err.h"
#include "base/now.h"

/* Says `state` at `address`, which is what the environment has as NOTIFY_SOCKET: the path of a datagram
 * socket, or
 * `@` and an abstract name. Does not wait. OK, also for a null address: nobody wants to know. ERR_SYNTAX
 * for an address that is none, else why nobody heard it. */
enum err service_manager_tell(const char *address, const char *state);

/* The same: that reading the configuration again begins now. READY=1 is its end. */
enum err service_manager_tell_reloading(const char *address, struct now now);
