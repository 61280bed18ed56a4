/* valkey.c — the client as its owner sees it. */
#include "base/compiler.h"
#include "client/valkey/valkey_parts.h"
#include <stdlib.h>

static void end_posted(struct task *task);
static void loose_timer_fired(struct timer *timer);

enum err valkey_create(const struct valkey_options *options, struct loop *loop, struct counters *counters,
                       struct source_state *states, uint32_t first_state, uint32_t end_state,
                       const struct valkey_callbacks *callbacks, void *owner, struct valkey **result)
{
    struct valkey *valkey = calloc(1, sizeof *valkey);

    if (valkey == NULL)
        return ERR_NO_MEMORY;
    valkey->server_capacity = end_state - first_state;
    valkey->servers = calloc(valkey->server_capacity, sizeof *valkey->servers);
    if (valkey->servers == NULL) {
        free(valkey);
        return ERR_NO_MEMORY;
    }
    valkey->options = options;
    valkey->loop = loop;
    valkey->counters = counters;
    valkey->states = states;
    valkey->first_state = first_state;
    valkey->callbacks = callbacks;
    valkey->owner = owner;
    valkey->dice = random_source_of(options->seed, first_state, 0);
    valkey->end_task.run = end_posted;
    list_init(&valkey->calls);
    list_init(&valkey->loose);
    list_init(&valkey->ended);
    list_init(&valkey->refused);
    list_init(&valkey->gate_list);
    timer_init(&valkey->loose_timer, loose_timer_fired);
    slot_map_init(&valkey->map);
    refresh_begin(valkey);
    *result = valkey;
    return OK;
}

/* ---- stopping ---------------------------------------------------------------------------------------- */

void valkey_post_end(struct valkey *valkey)
{
    if (valkey->end_is_posted)
        return;
    valkey->end_is_posted = true;
    loop_post(valkey->loop, &valkey->end_task);
}

void valkey_stop_if_done(struct valkey *valkey)
{
    if (valkey->is_stopping && valkey->link_count == 0 && valkey->stopped != NULL)
        valkey_post_end(valkey); /* not from inside who has found that out */
}

void valkey_stop(struct valkey *valkey, void (*stopped)(void *owner))
{
    valkey->is_stopping = true;
    valkey->stopped = stopped;
    refresh_stop(valkey);
    timer_cancel(valkey->loop, &valkey->loose_timer);
    for (struct list *node = valkey->calls.next; node != &valkey->calls; node = node->next) {
        struct call *call = CONTAINER_OF(node, struct call, in_calls);
        if (call->place == CALL_UNDER_WAY) {
            source_forget(call->source, &call->request);
            call->may_have_run = true;
        }
        if (call->err == OK)
            call_end_later(call, ERR_CANCELLED, BYTES("this node stops"));
    }
    if (valkey->beside != NULL)
        valkey->beside->stop(valkey);
    servers_fini(valkey);
    valkey_stop_if_done(valkey);
}

void valkey_destroy(struct valkey *valkey)
{
    valkey->is_stopping = true;
    if (valkey->beside != NULL)
        valkey->beside->destroy(valkey);
    refresh_stop(valkey);
    while (!list_is_empty(&valkey->calls)) {
        struct call *call = CONTAINER_OF(valkey->calls.next, struct call, in_calls);
        if (call->place == CALL_UNDER_WAY) /* its link ends in a later turn, and would tell it */
            source_forget(call->source, &call->request);
        call_destroy(call);
    }
    while (!list_is_empty(&valkey->refused))
        list_remove(valkey->refused.next);
    gates_fini(valkey);
    servers_fini(valkey);
    timer_cancel(valkey->loop, &valkey->loose_timer);
    buffer_fini(&valkey->scratch);
    free(valkey->servers);
    free(valkey);
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static void take_all(struct list *from, struct list *to)
{
    list_init(to);
    while (!list_is_empty(from)) {
        struct list *node = from->next;
        list_remove(node);
        list_append(to, node);
    }
}

static void tell_refused(struct list *refused)
{
    while (!list_is_empty(refused)) {
        struct valkey_call *outer = CONTAINER_OF(refused->next, struct valkey_call, in_refused);
        struct valkey_answer answer = {.err = outer->refusal,
                                       .text = bytes_of_text(err_text(outer->refusal))};
        list_remove(&outer->in_refused);
        outer->refusal = OK;
        outer->done(outer, &answer);
    }
}

static void end_posted(struct task *task)
{
    struct valkey *valkey = CONTAINER_OF(task, struct valkey, end_task);
    struct list ended, refused;

    valkey->end_is_posted = false;
    take_all(&valkey->ended, &ended); /* those that end meanwhile are told in the next turn */
    take_all(&valkey->refused, &refused);
    while (!list_is_empty(&ended)) {
        struct call *call = CONTAINER_OF(ended.next, struct call, in_place);
        struct valkey_call *outer = call->outer;
        struct text text = call->text;
        struct valkey_answer answer = {
            .err = call->err, .may_have_run = call->may_have_run, .text = text_bytes(&text)};
        outer->inner = NULL;
        call_destroy(call);
        outer->done(outer, &answer);
    }
    tell_refused(&refused);
    if (valkey->is_stopping && valkey->link_count == 0 && list_is_empty(&valkey->ended) &&
        !valkey->end_is_posted && valkey->stopped != NULL) {
        void (*stopped)(void *) = valkey->stopped;
        valkey->stopped = NULL;
        stopped(valkey->owner);
    }
}

static void loose_timer_fired(struct timer *timer)
{
    loose_kick(CONTAINER_OF(timer, struct valkey, loose_timer));
}

/* Of what there may be no memory for: that is told all the same, and needs none. */
static void refuse(struct valkey *valkey, struct valkey_call *outer, enum err err)
{
    outer->refusal = err;
    list_init(&outer->in_refused);
    list_append(&valkey->refused, &outer->in_refused);
    valkey_post_end(valkey);
}

void valkey_ask(struct valkey *valkey, struct valkey_call *outer, const struct valkey_order *order)
{
    struct call *call;
    struct server *server;
    struct bytes why = {NULL, 0};
    enum err err = ERR_CANCELLED;

    outer->inner = NULL;
    outer->refusal = OK;
    valkey_count(valkey, METRIC_tier_calls);
    if (valkey->is_stopping) {
        refuse(valkey, outer, ERR_CANCELLED);
        return;
    }
    err = call_create(valkey, outer, order, &call);
    if (err != OK) {
        refuse(valkey, outer, err);
        return;
    }
    outer->inner = call;
    if (call->target == VALKEY_SLOT && valkey->gates[call->slot] != NULL) {
        if (!gate_hold(call))
            call_end_later(call, ERR_FULL, BYTES("too many calls wait for the tier's servers"));
        return;
    }
    server = call_server(call);
    err = server != NULL ? call_send(call, server) : ERR_CANCELLED;
    if (err == OK)
        return;
    if (err != ERR_CANCELLED) {
        call_end_later(call, err, BYTES("too much is under way at the server"));
    } else if (call_is_hopeless(call, server, &why)) {
        call_end_later(call, ERR_UNREACHABLE, why);
        refresh_want(valkey);
    } else if (!gate_hold(call)) {
        call_end_later(call, ERR_FULL, BYTES("too many calls wait for the tier's servers"));
    } else if (server == NULL) {
        refresh_want(valkey);
    }
}

void valkey_give_up(struct valkey *valkey, struct valkey_call *outer)
{
    struct call *call = outer->inner;
    struct gate *gate;

    if (outer->refusal != OK)
        list_remove(&outer->in_refused);
    outer->refusal = OK;
    if (call == NULL)
        return;
    outer->inner = NULL;
    if (call->place == CALL_UNDER_WAY)
        source_forget(call->source, &call->request);
    call_leave_place(call);
    if (call->ask_server != NULL)
        call->ask_server->call_count--;
    gate = call->target == VALKEY_SLOT ? valkey->gates[call->slot] : NULL;
    call_destroy(call);
    if (gate != NULL) /* in the next turn: nobody is told of anything from inside here */
        timer_set(valkey->loop, &gate->timer, valkey_now_ms(valkey));
}

/* ---- beside calls ------------------------------------------------------------------------------------ */

enum err valkey_open_link(struct valkey *valkey, int slot_or_any, const struct link_callbacks *callbacks,
                          void *owner, struct link **link)
{
    struct server *server =
        slot_or_any < 0 ? servers_any(valkey) : server_of_slot(valkey, (uint16_t)slot_or_any);

    if (server == NULL || server->is_refused)
        return ERR_UNREACHABLE;
    return link_open(valkey->options, &server->address, valkey->loop, callbacks, owner, link);
}

bool valkey_note_redirection(struct valkey *valkey, const struct resp_node *error)
{
    struct redirection redirection;

    if (error->type != RESP_ERROR)
        return false;
    redirection = redirection_read(error->bytes, "");
    if (redirection.kind == REDIRECTION_NONE || redirection.kind == REDIRECTION_UNREADABLE)
        return false;
    servers_note(valkey, &redirection);
    if (redirection.kind != REDIRECTION_ASK && redirection.kind != REDIRECTION_TRYAGAIN)
        refresh_want(valkey);
    return true;
}

bool valkey_is_cluster(const struct valkey *valkey) { return valkey->is_cluster; }

int64_t valkey_call_timeout_ms(const struct valkey *valkey) { return valkey->options->call_timeout_ms; }

size_t valkey_primary_count(const struct valkey *valkey)
{
    size_t count = 0;

    for (uint32_t i = 0; i < valkey->server_end; i++)
        count += valkey->servers[i] != NULL && valkey->servers[i]->slot_count > 0;
    return count;
}

struct source *valkey_source_of(const struct valkey *valkey, uint16_t slot)
{
    const struct server *server = server_of_slot(valkey, slot);
    return server != NULL && server_is_open(server) ? server->source : NULL;
}

bool valkey_can_reach(const struct valkey *valkey, uint16_t slot)
{
    return valkey_source_of(valkey, slot) != NULL;
}

size_t valkey_servers(const struct valkey *valkey, struct valkey_server_facts *facts, size_t capacity)
{
    size_t count = 0;

    for (uint32_t i = 0; i < valkey->server_end; i++) {
        const struct server *server = valkey->servers[i];
        if (server == NULL || (server->slot_count == 0 && server->primary == MAP_NOBODY))
            continue;
        if (count < capacity)
            facts[count] = (struct valkey_server_facts){.address = &server->address,
                                                        .source = server->source,
                                                        .number = server->number,
                                                        .is_primary = server->slot_count > 0,
                                                        .slot_count = server->slot_count,
                                                        .in_flight = server->call_count};
        count++;
    }
    return count;
}

size_t valkey_slot_ranges(const struct valkey *valkey, struct valkey_slot_range *ranges, size_t capacity)
{
    const uint16_t *owner = valkey->map.owner;
    size_t count = 0;

    for (uint32_t first = 0, next; first < VALKEY_SLOT_COUNT; first = next) {
        for (next = first + 1; next < VALKEY_SLOT_COUNT && owner[next] == owner[first]; next++)
            ;
        if (owner[first] == MAP_NOBODY)
            continue;
        if (count < capacity)
            ranges[count] = (struct valkey_slot_range){
                .first = (uint16_t)first, .last = (uint16_t)(next - 1), .server = owner[first]};
        count++;
    }
    return count;
}
