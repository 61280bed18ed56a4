/* valkey_gate.c — calls of a slot that wait, in their order; and those without a slot, in any. */
#include "base/compiler.h"
#include "client/valkey/valkey_parts.h"
#include <stdlib.h>

static struct call *first_of(struct list *list) { return CONTAINER_OF(list->next, struct call, in_place); }

static void gate_timer_fired(struct timer *timer) { gate_kick(CONTAINER_OF(timer, struct gate, timer)); }

static void gate_destroy(struct gate *gate)
{
    while (!list_is_empty(&gate->flying))
        list_remove(gate->flying.next);
    timer_cancel(gate->valkey->loop, &gate->timer);
    gate->valkey->gates[gate->slot] = NULL;
    list_remove(&gate->in_gates);
    free(gate);
}

void gates_fini(struct valkey *valkey)
{
    for (struct list *node = valkey->gate_list.next, *next; node != &valkey->gate_list; node = next) {
        next = node->next;
        gate_destroy(CONTAINER_OF(node, struct gate, in_gates));
    }
}

/* A gate for `slot`, before which all are that are under way. */
static struct gate *gate_create(struct valkey *valkey, uint16_t slot)
{
    struct gate *gate = malloc(sizeof *gate);

    if (gate == NULL)
        return NULL;
    *gate = (struct gate){.valkey = valkey, .slot = slot};
    list_init(&gate->waiting);
    list_init(&gate->flying);
    timer_init(&gate->timer, gate_timer_fired);
    list_append(&valkey->gate_list, &gate->in_gates);
    valkey->gates[gate->slot] = gate;
    if (valkey->under_way[gate->slot] == 0)
        return gate;
    for (struct list *node = valkey->calls.next; node != &valkey->calls; node = node->next) {
        struct call *other = CONTAINER_OF(node, struct call, in_calls);
        if (other->place == CALL_UNDER_WAY && other->is_counted && other->slot == gate->slot)
            list_append(&gate->flying, &other->in_place);
    }
    return gate;
}

void gate_guard(struct valkey *valkey, uint16_t slot)
{
    /* Without memory for it, order is what may be lost. */
    if (valkey->under_way[slot] > 0 && valkey->gates[slot] == NULL)
        (void)gate_create(valkey, slot);
}

bool gate_hold(struct call *call)
{
    struct valkey *valkey = call->valkey;
    struct list *waiting = &valkey->loose, *after;

    call_leave_place(call);
    if (valkey->waiting_count >= valkey->options->in_flight_max ||
        valkey->waiting_bytes > valkey->options->queued_bytes_max) {
        valkey_text_set(&call->text, BYTES("too many calls wait for the tier's servers"));
        return false;
    }
    if (call->target == VALKEY_SLOT) {
        struct gate *gate = valkey->gates[call->slot];
        if (gate == NULL)
            gate = gate_create(valkey, call->slot);
        if (gate == NULL)
            return false;
        waiting = &gate->waiting;
    }
    for (after = waiting->previous; after != waiting; after = after->previous)
        if (CONTAINER_OF(after, struct call, in_place)->sequence < call->sequence)
            break;
    list_append(after->next, &call->in_place); /* before what is behind `after` */
    call->place = CALL_WAITING;
    valkey->waiting_count++;
    valkey->waiting_bytes += call_bytes(call);
    return true;
}

enum step { STEP_SENT, STEP_STAYS, STEP_ENDED };

/* Sends `call`, which waits, or ends it if that is of no use, or leaves it. */
static enum step let_go(struct call *call, int64_t *due_ms)
{
    struct server *server;
    struct bytes why;
    enum err err = ERR_CANCELLED;

    if (call->is_doubted && !call->is_overtaken && !call_has_moved(call) && !call_knows_map(call))
        return STEP_STAYS; /* it is kicked at the end of each round */
    if (call->is_doubted && (call->is_overtaken || !call_has_moved(call))) {
        call_end_as_told(call);
        return STEP_ENDED;
    }
    if (call->is_overtaken) {
        call_end(call, ERR_UNREACHABLE, text_bytes(&call->text));
        return STEP_ENDED;
    }
    if (call->not_before_ms > valkey_now_ms(call->valkey)) {
        if (*due_ms == 0 || call->not_before_ms < *due_ms)
            *due_ms = call->not_before_ms;
        return STEP_STAYS;
    }
    server = call_server(call);
    if (server != NULL)
        err = call_send(call, server);
    if (err == OK)
        return STEP_SENT;
    if (err != ERR_CANCELLED) {
        call_end(call, err, BYTES("too much is under way at the server"));
        return STEP_ENDED;
    }
    if (call_is_hopeless(call, server, &why)) {
        call_end(call, ERR_UNREACHABLE, why);
        return STEP_ENDED;
    }
    if (server == NULL)
        refresh_want(call->valkey);
    return STEP_STAYS;
}

/* The primary that `call` would be sent to: a replica has no part in the order. */
static const struct server *heads_for(const struct call *call)
{
    return call->ask_server != NULL ? call->ask_server : server_of_slot(call->valkey, call->slot);
}

void gate_kick(struct gate *gate)
{
    const struct server *together = NULL; /* whom those that have gone were sent to */
    bool anew = false;                    /* one has gone that may come back */
    int64_t due_ms = 0;

    if (gate->is_kicked || !list_is_empty(&gate->flying))
        return;
    gate->is_kicked = true;
    while (!list_is_empty(&gate->waiting)) {
        struct call *call = first_of(&gate->waiting);
        const struct server *to = heads_for(call);
        bool is_redirected = call->is_redirected;
        enum step step;
        if (together != NULL && to != together)
            break; /* it goes when they are back */
        step = let_go(call, &due_ms);
        if (step == STEP_STAYS)
            break;
        if (step == STEP_SENT) {
            together = to;
            anew |= is_redirected;
            list_append(&gate->flying, &call->in_place);
        }
    }
    gate->is_kicked = false;
    if (due_ms != 0)
        timer_set(gate->valkey->loop, &gate->timer, due_ms);
    if (list_is_empty(&gate->waiting) && (!anew || list_is_empty(&gate->flying)))
        gate_destroy(gate);
}

void gates_kick_all(struct valkey *valkey)
{
    /* Those that come back, or are made meanwhile, are at the end: each is met once. */
    struct list todo;
    list_init(&todo);
    while (!list_is_empty(&valkey->gate_list)) {
        struct list *node = valkey->gate_list.next;
        list_remove(node);
        list_append(&todo, node);
    }
    while (!list_is_empty(&todo)) {
        struct list *node = todo.next;
        list_remove(node);
        list_append(&valkey->gate_list, node);
        gate_kick(CONTAINER_OF(node, struct gate, in_gates));
    }
    loose_kick(valkey);
}

void loose_kick(struct valkey *valkey)
{
    struct list todo;
    int64_t due_ms = 0;

    list_init(&todo);
    while (!list_is_empty(&valkey->loose)) {
        struct list *node = valkey->loose.next;
        list_remove(node);
        list_append(&todo, node);
    }
    while (!list_is_empty(&todo)) {
        struct call *call = first_of(&todo);
        list_remove(&call->in_place);
        list_append(&valkey->loose, &call->in_place);
        (void)let_go(call, &due_ms);
    }
    if (due_ms != 0)
        timer_set(valkey->loop, &valkey->loose_timer, due_ms);
}
