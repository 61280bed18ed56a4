/* plain_target.h — may a request's target go on to another server as it is? Pure. */
#pragma once
#include "base/bytes.h"

/* True if path and query have only visible ASCII, no '#', and no dot segment in whatever way it is written:
 * nobody on the way can then think that another resource is meant. */
bool target_is_plain(struct bytes path, struct bytes query);
