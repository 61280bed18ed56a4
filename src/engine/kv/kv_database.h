/* kv_database.h — the 16 databases of SELECT, and the store's space that each of them is.
 *
 * SWAPDB lets two of them change places, so a session keeps the number that its client chose and the space
 * is looked up for every key (kv_key). It changes only while a command runs alone. */
#pragma once
#include "base/now.h"
#include "engine/kv/kv_call.h"

/* The database that a space is at present; KV_DATABASES if it is none. */
uint32_t kv_database_of(const struct kv_hub *hub, uint32_t space);

/* Reads the number of a database at argument `index`. False if an error was said. */
bool kv_read_database(const struct kv_call *call, uint32_t index, uint32_t *database);

/* What SWAPDB has done is kept in the store when that is saved, and taken from it when it was restored.
 * Nobody else may use the store meanwhile. */
void kv_databases_hand_over(const struct kv_hub *hub, nh_store *store, struct now now);
void kv_databases_take_over(struct kv_hub *hub, nh_store *store, struct now now);
