/* read.h — values as Python has them. */
#pragma once
#include "binding.h"

/* The bytes of a value that is lent, which are then released in any case. A large one is copied without the
 * GIL. */
PyObject *value_to_bytes(struct cache *cache, nh_value *value);

/* Copies the bytes of a value that is lent, and stays so; needs no GIL. */
void value_copy(nh_store *store, const nh_value *value, char *to);

/* Seconds until `at_ms`; None for 0, which is never. */
PyObject *seconds_until(int64_t at_ms, int64_t now_ms);
