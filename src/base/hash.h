/* hash.h — a keyed 64-bit hash, so that a stranger cannot choose keys that collide (XXH3, keyed). */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

/* A fresh seed from the kernel's random source. */
uint64_t hash_seed_random(void);

uint64_t hash_bytes(struct bytes bytes, uint64_t seed);
