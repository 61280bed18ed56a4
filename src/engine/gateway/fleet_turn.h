/* fleet_turn.h — of all nodes of a fleet one does what all would do: a key in the tier, with a lifetime,
 * says whose turn it is. Who has it keeps it for longer before that ends; when he does not, it is the next
 * one's.
 *
 * Without a tier, and while that does not say, it is everybody's. On one worker's thread. */
#pragma once
#include "engine/gateway/fleet/fleet_key.h"
#include "gateway_state.h"

struct fleet_script;

/* Embedded by who takes turns. */
struct fleet_turn {
    struct gateway_worker *worker;
    struct fleet_id id;
    struct fleet_script *script; /* that takes it */
    bool is_held;                /* the tier has it as ours, unless its time is over */
    /* Once for each time that it is taken; may be from inside of that. If it is another node's: for how
     * long it is that yet, at least 1. */
    void (*told)(struct fleet_turn *turn, bool is_ours, int64_t left_ms);
};

void fleet_turn_init(struct fleet_turn *turn, struct gateway_worker *worker,
                     void (*told)(struct fleet_turn *turn, bool is_ours, int64_t left_ms));
/* Nothing is told any more. What is held is so until its time is over. */
void fleet_turn_fini(struct fleet_turn *turn);

/* Takes the turn to ask for `request`, which nodes that are configured alike call `name`, for `keep_ms`, at
 * least 1. Of what the fleet does not share it is always ours. Not while it is being taken. */
void fleet_turn_take(struct fleet_turn *turn, const struct http_request *request, struct bytes name,
                     int64_t keep_ms);

/* If it is ours: from now on for so long. */
void fleet_turn_keep(struct fleet_turn *turn, int64_t keep_ms);
/* If it is ours, or is being taken: the next one may have it, and nothing is told. While the loop runs. */
void fleet_turn_give_back(struct fleet_turn *turn);
