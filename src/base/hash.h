/* hash.h — a keyed 64-bit hash, so that a stranger cannot choose keys that collide (XXH3, keyed). */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

/* A fresh seed from the kernel's random source. */
uint64_t hash_seed_random(void);

uint64_t hash_bytes(struct bytes bytes, uint64_t seed);

/* The same of what comes in pieces: what hash_bytes would say of all of it. */
struct hash_stream;                                    /* opaque: hash.c */
struct hash_stream *hash_stream_create(uint64_t seed); /* null if there is no memory */
void hash_stream_add(struct hash_stream *stream, struct bytes piece);
uint64_t hash_stream_value(const struct hash_stream *stream);
void hash_stream_destroy(struct hash_stream *stream); /* null is fine */
