/* lru_map.h — the neighbour in the tables: what a capable programmer writes in an afternoon. A hash table
 * in shards, each with a mutex, chains of malloc'ed nodes, and a list in the order of use; no expiry. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lru_map;

/* A map that holds about `memory_bytes`, counting what malloc gave. Any thread may use it. */
struct lru_map *lru_map_create(uint64_t memory_bytes);
void lru_map_destroy(struct lru_map *map);

/* Copies the value into `buffer`, at most `capacity` bytes, and makes it the last used. False if missing.
 */
bool lru_map_get(struct lru_map *map, const void *key, size_t key_bytes, void *buffer, size_t capacity,
                 size_t *value_bytes);
void lru_map_put(struct lru_map *map, const void *key, size_t key_bytes, const void *value,
                 size_t value_bytes);
