#include "fleet_turn.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "engine/gateway/policy/key_rule.h"
#include "fleet.h"
#include <stdio.h>

void fleet_turn_init(struct fleet_turn *turn, struct gateway_worker *worker,
                     void (*told)(struct fleet_turn *turn, bool is_ours, int64_t left_ms))
{
    *turn = (struct fleet_turn){.worker = worker, .told = told};
}

/* Null if there is no memory. */
static struct fleet_script *say(struct fleet_turn *turn, int64_t keep_ms, int64_t within_ms,
                                fleet_script_done *done)
{
    struct fleet_worker *fleet = turn->worker->fleet;
    struct fleet_key key;
    char token[17], keep[24];
    const struct bytes arguments[] = {
        bytes_of(token,
                 (size_t)snprintf(token, sizeof token, "%016llx", (unsigned long long)fleet->fleet->node)),
        bytes_of(keep, (size_t)snprintf(keep, sizeof keep, "%lld", (long long)keep_ms))};

    fleet_key_write(&key, &turn->id, FLEET_TURN);
    return fleet_script_run(fleet, fleet_script_turn, &key, 1, arguments, COUNT_OF(arguments),
                            loop_now(turn->worker->loop).mono_ms + within_ms, done, turn);
}

static void on_taken(void *owner, enum err err, int64_t left_ms)
{
    struct fleet_turn *turn = owner;

    turn->script = NULL;
    turn->is_held = err == OK && left_ms == 0;
    turn->told(turn, err != OK || left_ms == 0, left_ms);
}

/* Nodes can only leave to each other what they share: an upstream's name comes first, for one tier may be
 * that of several gateways. */
static bool is_shared(struct fleet_turn *turn, const struct http_request *request, struct bytes name)
{
    const struct route *route;
    struct buffer text = {0};
    bool is_shared;

    if (turn->worker->fleet == NULL || turn->worker->is_stopping)
        return false;
    route = plan_route(turn->worker->plan, request);
    if (route->upstream == NULL || key_selects(&route->policy))
        return false;
    buffer_append(&text, buffer_bytes(&route->upstream->base_url));
    buffer_append_byte(&text, '\n');
    buffer_append(&text, name);
    is_shared = !text.failed && fleet_id_of_turn(&turn->id, buffer_bytes(&text));
    buffer_fini(&text);
    return is_shared;
}

static bool is_away(const struct fleet_turn *turn)
{
    struct fleet_key key;

    fleet_key_write(&key, &turn->id, FLEET_TURN);
    return fleet_is_away(turn->worker->fleet, valkey_slot(fleet_key_bytes(&key)),
                         loop_now(turn->worker->loop).mono_ms);
}

void fleet_turn_take(struct fleet_turn *turn, const struct http_request *request, struct bytes name,
                     int64_t keep_ms)
{
    turn->is_held = false;
    if (is_shared(turn, request, name) && !is_away(turn))
        turn->script = say(turn, keep_ms, FLEET_ASK_MS, on_taken);
    if (turn->script == NULL)
        turn->told(turn, true, 0);
}

void fleet_turn_keep(struct fleet_turn *turn, int64_t keep_ms)
{
    if (turn->is_held)
        say(turn, keep_ms, FLEET_WRITE_MS, NULL);
}

void fleet_turn_give_back(struct fleet_turn *turn)
{
    if (turn->script != NULL) {
        fleet_script_forget(turn->script);
        turn->script = NULL;
        turn->is_held = true; /* it may be ours a moment later; what is said now comes after that */
    }
    fleet_turn_keep(turn, 0);
    turn->is_held = false;
}

void fleet_turn_fini(struct fleet_turn *turn)
{
    if (turn->script != NULL)
        fleet_script_forget(turn->script);
}
