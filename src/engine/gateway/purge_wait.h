/* purge_wait.h — waits until the tier has what was purged here, so that every node will obey it. On the
 * worker's thread, if nothing else is said. */
#pragma once
#include "gateway.h"

struct fleet;
struct fleet_worker;
struct purge_wait;

/* `is_told`: the tier has it. Once, in a later turn. */
typedef void purge_wait_done(void *owner, bool is_told);

/* To be asked before what is to be waited for is purged. */
uint64_t purge_wait_since(const struct gateway_worker *worker);

/* For all that was purged since. Null: there is nothing to wait for, and `*is_told` says how it is: true
 * without a tier; false if there is no memory. Takes as long as the tier may for an answer, at most. */
struct purge_wait *purge_wait_begin(struct gateway_worker *worker, uint64_t since, purge_wait_done *done,
                                    void *owner, bool *is_told);

/* `done` is not wanted any more. */
void purge_wait_end(struct purge_wait *wait);

/* Something is done: who waited for it is told. Any thread, under the fleet's lock. */
void purge_waits_look(struct fleet *fleet);

/* The worker's; its loop has ended. */
void purge_waits_destroy(struct fleet_worker *fleet);
