/* permitted.h — which addresses a server of the tier may name as those of others. Pure.
 *
 * A server that is not what it should be could have us connect to anything: to the metadata service of a
 * cloud, or to a port of this machine. So what a server names is connected to only within the ranges that
 * the operator allows; without any, only if it is of the same class as a seed's address is. */
#pragma once
#include "client/valkey/valkey_options.h"
#include <sys/socket.h>

enum address_class {
    ADDRESS_NEVER = 0, /* unspecified, link-local, multicast, reserved, metadata services; no IP at all */
    ADDRESS_LOOPBACK = 1,
    ADDRESS_PRIVATE = 2, /* RFC 1918, RFC 4193, RFC 6598 */
    ADDRESS_PUBLIC = 4,
};

enum address_class address_class_of(const struct sockaddr *address);

/* Whether what a server has named may be connected to. `classes`: a set of enum address_class, those of the
 * seeds; it counts only if options->allowed has no range. */
bool valkey_permits(const struct valkey_options *options, unsigned classes, const struct sockaddr *address);
