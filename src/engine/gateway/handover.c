/* handover.c — from a gateway to the next one on the same store: a record among the entries, put there only
 * while the store is being saved.
 *
 * Stored moments are on a clock of the gateway's own: the monotonic one of its first life, which the time
 * of day carries over the gap between two lives. Without the record nothing would say how old an entry is,
 * and all are dropped. */
#include "fleet.h"
#include "gateway_state.h"
#include "page_set.h"
#include "purge.h"

enum { LAYOUT = 10 }; /* of the entries, and of this record */

struct handover {
    uint64_t layout;
    uint64_t seed;
    int64_t stored_clock_ms; /* the same moment on */
    int64_t wall_ms;         /* both clocks */
    uint64_t birth;          /* of what would be stored next */
    uint64_t fleet_number;   /* of the last purge of the fleet that was done */
    uint64_t owes_purges;    /* to the tier: what they were is not said */
    uint64_t has_page_sets;  /* they are in a record of their own */
};

/* No request has this key: a primary one begins with the origin's URL. */
static nh_key handover_key(const struct gateway *gateway) { return gateway_key(gateway, BYTES("\n")); }

void gateway_hand_over(struct gateway *gateway, struct now now)
{
    struct handover handover = {.layout = LAYOUT,
                                .seed = gateway->seed,
                                .stored_clock_ms = now.mono_ms + gateway->stored_clock_offset_ms,
                                .wall_ms = now.wall_ms};

    gateway_sweep_all(gateway, now.mono_ms); /* the rules end here: they are carried out before */
    handover.birth = purge_rules_birth(&gateway->purge_rules);
    handover.has_page_sets = page_sets_hand_over(gateway, now.mono_ms);
    if (gateway->fleet != NULL) {
        handover.fleet_number = fleet_birth(gateway->fleet);
        handover.owes_purges = fleet_errand_count(gateway->fleet) > 0;
    }
    nh_put(gateway->store, now.mono_ms, handover_key(gateway), (nh_bytes){&handover, sizeof handover}, NULL,
           NULL);
}

static bool is_good(const struct handover *handover, struct now now, int64_t *offset_ms)
{
    int64_t gap_ms;

    return handover->layout == LAYOUT && !__builtin_sub_overflow(now.wall_ms, handover->wall_ms, &gap_ms) &&
           gap_ms >= 0 && !__builtin_add_overflow(handover->stored_clock_ms, gap_ms, offset_ms) &&
           !__builtin_sub_overflow(*offset_ms, now.mono_ms, offset_ms);
}

void gateway_take_over(struct gateway *gateway, struct now now)
{
    struct handover handover;
    int64_t offset_ms;
    size_t size = 0;

    if (nh_get(gateway->store, now.mono_ms, handover_key(gateway), &handover, sizeof handover, &size) !=
            NH_OK ||
        size != sizeof handover || !is_good(&handover, now, &offset_ms)) {
        nh_clear(gateway->store, gateway->space);
        return;
    }
    gateway->seed = handover.seed;
    gateway->stored_clock_offset_ms = offset_ms;
    purge_rules_start(&gateway->purge_rules, handover.birth);
    if (handover.has_page_sets)
        page_sets_take_over(gateway, now.mono_ms);
    if (gateway->fleet != NULL) {
        atomic_store(&gateway->fleet->number, handover.fleet_number);
        if (handover.owes_purges)
            fleet_owe_everything(gateway->fleet);
    }
    nh_delete(gateway->store, now.mono_ms, handover_key(gateway));
}
