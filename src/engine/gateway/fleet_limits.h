/* fleet_limits.h — the limits of an upstream that all nodes of a fleet share: asking the tier for turns.
 * quota/fleet_share.h has the rules. On the worker's thread. */
#pragma once
#include "fleet.h"

/* After quota_ask has said `verdict`: asks the tier if the ticket's share of the limits needs more. Nobody
 * waits for it but who has been told to. */
void fleet_limits_ask(struct fleet_worker *fleet, struct upstream *upstream,
                      const struct quota_ticket *ticket, enum quota_verdict verdict);

/* To begin with; from then on the node is counted. */
void fleet_limits_init(struct fleet_worker *fleet);

/* What is under way is given up. */
void fleet_limits_destroy(struct fleet_worker *fleet);
