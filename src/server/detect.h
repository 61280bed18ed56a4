/* detect.h — which protocol a client of a cache port speaks, from its first bytes. Pure. */
#pragma once
#include "base/bytes.h"
#include "server/worker.h"

/* Returns WIRE_RESP, WIRE_MEMCACHED or WIRE_HTTP, or WIRE_DETECT if more bytes are needed to tell (never
 * once there are DETECT_BYTES_MAX of them). HTTP is told so that it can be refused: a web page must not
 * be able to make a browser run cache commands. */
enum { DETECT_BYTES_MAX = 32 };
enum wire detect_wire(struct bytes input);

/* True if a line begins an HTTP request or is its Host field. */
bool detect_http_line(struct bytes input);
