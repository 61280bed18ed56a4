/* secret_names.h — which header fields, parameters and the like hold what must not be written down: by
 * their names alone. Pure. */
#pragma once
#include "base/bytes.h"

/* Authorization, Cookie, Set-Cookie, every name with a part such as token, password or api-key, and those
 * that are auth, key, sig, pass, pwd or jwt and nothing else; in any case. */
bool is_secret_name(struct bytes name);

/* What is written instead of the value. */
#define SECRET_PLACEHOLDER "[redacted]"
