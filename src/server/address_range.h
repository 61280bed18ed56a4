/* address_range.h — networks of IP addresses as an operator writes them: 10.0.0.0/8, fd00::/8, 192.0.2.1.
 * Pure. */
#pragma once
#include "base/buffer.h"
#include "client/valkey/valkey_options.h"

/* Takes `text` apart; without a number of bits it is one address. False, with what is wrong and what to
 * write instead, without a newline, appended to `why`. */
bool address_range_parse(struct bytes text, struct valkey_range *range, struct buffer *why);
