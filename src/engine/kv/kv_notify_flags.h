/* kv_notify_flags.h — which keyspace notifications are asked for: Redis's letters as bits. Pure. */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

/* A bit for each letter of Redis's notify-keyspace-events. */
#define KV_NOTIFY_LETTERS "g$lshzxetdnKEm"

/* The bit of a letter; 0 if it is none. */
uint32_t kv_notify_flag(char letter);

/* Reads letters, `A` for all classes but n and m. False, with `*flags` as it was, if one is none. */
bool kv_notify_parse(struct bytes text, uint32_t *flags);

/* Writes the letters as Redis's CONFIG GET tells them; returns how many bytes. */
enum { KV_NOTIFY_TEXT_BYTES = sizeof KV_NOTIFY_LETTERS };
size_t kv_notify_format(uint32_t flags, char text[KV_NOTIFY_TEXT_BYTES]);
