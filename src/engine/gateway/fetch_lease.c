#include "fetch_lease.h"
#include "base/hash.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "engine/gateway/fleet/fleet_value.h"
#include "fetch_state.h"
#include "fleet_publish.h"
#include <stdio.h>
#include <stdlib.h>

enum { RENEW_MS = FLEET_LEASE_MS / 3 };

enum lease_state { LEASE_TAKING, LEASE_WAITING, LEASE_HELD, LEASE_LEFT };

struct lease {
    struct fleet_worker *fleet;
    struct list in_worker;
    struct fetch *fetch; /* null once it has been left */
    struct http_request *request;
    struct fleet_id id;
    uint64_t number; /* that the fetch was begun in view of */
    uint64_t birth;
    char token[17];
    enum lease_state state;
    struct fleet_script *script; /* to take it, or to keep it */
    struct tier_read watch;
    bool is_watching;
    bool has_taken, has_looked; /* the tier has said whether it is ours; what is there */
    bool is_ours, is_seen, has_changed;
    int64_t waits_until_ms; /* if the route limits that; 0: it has not had to wait */
    struct timer timer;     /* to renew; to stop waiting */
};

static struct bytes token_of(const struct lease *lease)
{
    return bytes_of(lease->token, sizeof lease->token - 1);
}

/* ---- its end ------------------------------------------------------------------------------------- */

static void stop_watching(struct lease *lease)
{
    if (lease->is_watching)
        tier_read_end(lease->fleet->tier, &lease->watch);
    lease->is_watching = false;
}

static void lease_free(struct lease *lease)
{
    stop_watching(lease);
    timer_cancel(lease->fleet->worker->loop, &lease->timer);
    list_remove(&lease->in_worker);
    free(lease->request);
    free(lease);
}

/* On the tier; if that cannot be told, it ends there by itself. */
static void release(struct lease *lease, bool is_not_for_all)
{
    struct fleet_key keys[3];
    char ttl[16];
    const struct bytes arguments[] = {
        token_of(lease), is_not_for_all ? BYTES("n") : BYTES(""),
        bytes_of(ttl, (size_t)snprintf(ttl, sizeof ttl, "%d", FLEET_NOTE_MS))};

    fleet_key_write(&keys[0], &lease->id, FLEET_LEASE);
    fleet_key_write(&keys[1], &lease->id, FLEET_NAMES);
    fleet_key_write(&keys[2], &lease->id, FLEET_WITNESS);
    tier_forget(lease->fleet->fleet->tier, fleet_key_bytes(&keys[2]));
    fleet_script_run(lease->fleet, fleet_script_release, keys, 3, arguments, COUNT_OF(arguments),
                     loop_now(lease->fleet->worker->loop).mono_ms + FLEET_WRITE_MS, NULL, NULL);
}

/* Its fetch goes on, or ends, without it. What is still asked of the tier is waited for. */
static void leave(struct lease *lease, bool gives_back, bool is_not_for_all)
{
    if (lease->fetch != NULL)
        lease->fetch->lease = NULL;
    lease->fetch = NULL;
    stop_watching(lease);
    timer_cancel(lease->fleet->worker->loop, &lease->timer);
    if (lease->state == LEASE_HELD && gives_back)
        release(lease, is_not_for_all);
    if (lease->state == LEASE_TAKING && !lease->has_taken && lease->script != NULL) {
        lease->state = LEASE_LEFT; /* it may be ours a moment later */
        return;
    }
    if (lease->state == LEASE_TAKING && lease->is_ours && gives_back)
        release(lease, is_not_for_all);
    if (lease->script != NULL)
        fleet_script_forget(lease->script);
    lease_free(lease);
}

void fetch_lease_give_back(struct fetch *fetch, bool is_not_for_all)
{
    if (fetch->lease == NULL)
        return;
    if (fetch->worker == NULL) { /* its loop has ended: leases_destroy has it */
        fetch->lease->fetch = NULL;
        fetch->lease = NULL;
        return;
    }
    leave(fetch->lease, true, is_not_for_all);
}

void leases_destroy(struct fleet_worker *fleet)
{
    for (struct list *node = fleet->leases.next, *next; node != &fleet->leases; node = next) {
        struct lease *lease = CONTAINER_OF(node, struct lease, in_worker);
        next = node->next;
        lease_free(lease);
    }
}

/* ---- the fetch goes on --------------------------------------------------------------------------- */

static void send_now(struct lease *lease)
{
    struct fetch *fetch = lease->fetch;
    enum err err = fetch_start(fetch, lease->request);

    if (err != OK)
        fetch_finish(fetch, FETCH_FAILED, err);
}

static void send_without(struct lease *lease)
{
    struct fetch *fetch = lease->fetch;
    struct http_request *request = lease->request;
    enum err err;

    lease->request = NULL;
    leave(lease, false, false);
    err = fetch_start(fetch, request);
    free(request);
    if (err != OK)
        fetch_finish(fetch, FETCH_FAILED, err);
}

/* Its readers look again; with that the lease is given back. */
static void look_again(struct lease *lease) { fetch_finish(lease->fetch, FETCH_AGAIN, OK); }

static void wait(struct lease *lease)
{
    struct gateway_worker *worker = lease->fleet->worker;
    int64_t limit_ms = lease->fetch->route->policy.coalesce_timeout_ms;

    if (lease->waits_until_ms == 0) {
        lease->waits_until_ms = loop_now(worker->loop).mono_ms + limit_ms;
        counters_add(worker->counters, METRIC_fleet_waits, 1);
    }
    lease->state = LEASE_WAITING;
    if (limit_ms > 0)
        timer_set(worker->loop, &lease->timer, lease->waits_until_ms);
}

/* The tier has said both, in this order on one connection: whose it is, and what is there. */
static void go_on(struct lease *lease)
{
    struct gateway_worker *worker = lease->fleet->worker;
    int64_t now_ms = loop_now(worker->loop).mono_ms;

    if (!lease->has_taken || !lease->has_looked)
        return;
    if (lease->has_changed) {
        look_again(lease);
        return;
    }
    if (!lease->is_ours) {
        if (lease->is_seen)
            wait(lease);
        else
            send_without(lease); /* nobody would tell us of the other's answer */
        return;
    }
    lease->state = LEASE_HELD;
    lease->birth = fleet_birth(lease->fleet->fleet);
    counters_add(worker->counters, METRIC_fleet_leases, 1);
    timer_set(worker->loop, &lease->timer, now_ms + RENEW_MS);
    send_now(lease);
}

/* ---- what the tier says -------------------------------------------------------------------------- */

static void on_taken(void *owner, enum err err, int64_t is_ours)
{
    struct lease *lease = owner;

    lease->script = NULL;
    lease->has_taken = true;
    lease->is_ours = err == OK && is_ours == 1;
    if (lease->state == LEASE_LEFT) {
        if (lease->is_ours)
            release(lease, false);
        lease_free(lease);
    } else if (err != OK) {
        if (err != ERR_CANCELLED)
            release(lease, false); /* it may be ours all the same */
        send_without(lease);
    } else {
        go_on(lease);
    }
}

/* Whether it is another thing than what the fetch was begun in view of. */
static bool is_new(const struct lease *lease, const struct tier_found *found)
{
    struct witness witness = {0};

    if (found->is_there && !witness_read(&witness, found->value))
        return false;
    switch (witness.kind) {
    case WITNESS_NONE: return lease->number != 0;
    case WITNESS_ANSWER: return witness.number != lease->number;
    case WITNESS_VARIANTS:
    case WITNESS_NOT_SHAREABLE: return true;
    }
    UNREACHABLE();
}

static void on_looked(struct tier_read *read, const struct tier_found *found)
{
    struct lease *lease = CONTAINER_OF(read, struct lease, watch);

    lease->has_looked = true;
    lease->is_seen = found->err == OK;
    if (lease->is_seen)
        lease->has_changed |= is_new(lease, found);
    else
        stop_watching(lease);
    go_on(lease);
}

static bool ask(struct lease *lease);

static void on_changed(struct tier_read *read)
{
    struct lease *lease = CONTAINER_OF(read, struct lease, watch);
    struct fetch *fetch = lease->fetch;

    lease->is_watching = false;
    lease->has_changed = true;
    switch (lease->state) {
    case LEASE_TAKING: return; /* seen in go_on */
    case LEASE_WAITING:        /* or nothing has, and it is known no longer: see tier.h */
        timer_cancel(lease->fleet->worker->loop, &lease->timer);
        if (!ask(lease))
            send_without(lease);
        return;
    case LEASE_HELD:
        fetch_lock(fetch);
        fetch_leave_table(fetch);
        fetch_unlock(fetch);
        return;
    case LEASE_LEFT: return;
    }
}

static void on_renewed(void *owner, enum err err, int64_t is_ours)
{
    struct lease *lease = owner;

    lease->script = NULL;
    if (err == OK && is_ours != 1)
        leave(lease, false, false); /* what comes is this node's alone */
}

static void renew(struct lease *lease)
{
    struct fleet_key key;
    char ttl[16];
    const struct bytes arguments[] = {
        token_of(lease), bytes_of(ttl, (size_t)snprintf(ttl, sizeof ttl, "%d", FLEET_LEASE_MS))};
    int64_t now_ms = loop_now(lease->fleet->worker->loop).mono_ms;

    timer_set(lease->fleet->worker->loop, &lease->timer, now_ms + RENEW_MS);
    if (lease->script != NULL)
        return;
    fleet_key_write(&key, &lease->id, FLEET_LEASE);
    lease->script = fleet_script_run(lease->fleet, fleet_script_renew, &key, 1, arguments,
                                     COUNT_OF(arguments), now_ms + RENEW_MS, on_renewed, lease);
}

static bool has_readers(struct fetch *fetch)
{
    bool has;

    fetch_lock(fetch);
    has = !list_is_empty(&fetch->readers);
    fetch_unlock(fetch);
    return has;
}

static void on_timer(struct timer *timer)
{
    struct lease *lease = CONTAINER_OF(timer, struct lease, timer);

    if (lease->state == LEASE_HELD)
        renew(lease);
    else if (has_readers(lease->fetch))
        send_without(lease);
    else
        look_again(lease);
}

/* ---- taking -------------------------------------------------------------------------------------- */

/* Asks whose it is, and then what is there. False if there is no memory. */
static bool ask(struct lease *lease)
{
    struct fleet_worker *fleet = lease->fleet;
    int64_t deadline_ms = loop_now(fleet->worker->loop).mono_ms + FLEET_ASK_MS;
    struct fleet_key keys[3];
    char ttl[16];
    const struct bytes arguments[] = {
        token_of(lease), bytes_of(ttl, (size_t)snprintf(ttl, sizeof ttl, "%d", FLEET_LEASE_MS))};

    fleet_key_write(&keys[0], &lease->id, FLEET_LEASE);
    fleet_key_write(&keys[1], &lease->id, FLEET_NAMES);
    fleet_key_write(&keys[2], &lease->id, FLEET_WITNESS);
    lease->script = fleet_script_run(fleet, fleet_script_take, keys, 2, arguments, COUNT_OF(arguments),
                                     deadline_ms, on_taken, lease);
    if (lease->script == NULL)
        return false;
    lease->state = LEASE_TAKING;
    lease->has_taken = lease->has_looked = lease->is_seen = lease->has_changed = false;
    lease->watch = (struct tier_read){.done = on_looked, .changed = on_changed};
    lease->is_watching = true;
    tier_read(fleet->tier, &lease->watch, fleet_nh_key(fleet, &keys[2]), TIER_FENCED | TIER_WATCHED, 0,
              deadline_ms);
    return true;
}

bool fetch_lease_take(struct fetch *fetch, const struct http_request *request, uint64_t number)
{
    struct fleet_worker *fleet = fetch->worker->fleet;
    int64_t now_ms = loop_now(fetch->worker->loop).mono_ms;
    struct lease *lease;
    struct fleet_key key;
    struct fleet_id id;

    if (fleet == NULL || fetch->key.size == 0 || request->body_bytes != HTTP_BODY_NONE ||
        !fleet_takes(fetch->worker, buffer_bytes(&fetch->key), fetch->primary_size, &id))
        return false;
    fleet_key_write(&key, &id, FLEET_LEASE);
    if (fleet_is_away(fleet, valkey_slot(fleet_key_bytes(&key)), now_ms))
        return false;
    lease = calloc(1, sizeof *lease);
    if (lease == NULL)
        return false;
    lease->request = http_request_copy(request);
    snprintf(lease->token, sizeof lease->token, "%016llx", (unsigned long long)hash_seed_random());
    lease->fleet = fleet;
    lease->id = id;
    lease->number = number;
    timer_init(&lease->timer, on_timer);
    list_init(&lease->in_worker);
    if (lease->request == NULL || !ask(lease)) {
        free(lease->request);
        free(lease);
        return false;
    }
    list_append(&fleet->leases, &lease->in_worker);
    lease->fetch = fetch;
    fetch->lease = lease;
    return true;
}

/* ---- the answer ---------------------------------------------------------------------------------- */

struct stored_shared fetch_lease_share(const struct fetch *fetch)
{
    struct fleet_id id;
    uint64_t number;

    if (fetch->traits.has_authorization || fetch->traits.has_cookie || fetch->page_set != 0 ||
        fetch->body_bytes > FLEET_BODY_BYTES_MAX ||
        !fleet_takes(fetch->worker, buffer_bytes(&fetch->key), fetch->primary_size, &id))
        return (struct stored_shared){0};
    number = hash_seed_random() | 2;
    number = fetch->lease != NULL && fetch->lease->state == LEASE_HELD ? number | 1 : number & ~UINT64_C(1);
    return (struct stored_shared){number, id.url, {id.variant[0], id.variant[1]}};
}

void fetch_lease_publish(struct fetch *fetch, const struct stored_response *response, int64_t keep_ms)
{
    struct lease *lease = fetch->lease;
    struct buffer body = {0};
    int64_t now_ms = loop_now(fetch->worker->loop).mono_ms;
    struct publication_order order = {
        .key = buffer_bytes(&fetch->key),
        .primary_size = fetch->primary_size,
        .names = bytes_of(fetch->head.vary.text, fetch->head.vary.size),
        .response = response,
        .resided_ms = now_ms - fetch->head.received.mono_ms,
        .keep_ms = keep_ms,
    };
    bool is_under_way;

    if (lease == NULL || lease->state != LEASE_HELD)
        return;
    order.lease = lease->id;
    order.token = token_of(lease);
    order.birth = lease->birth;
    fetch_copy_body(fetch, &body);
    order.body = buffer_bytes(&body);
    is_under_way = !body.failed && publish(lease->fleet, &order);
    buffer_fini(&body);
    leave(lease, !is_under_way, false);
}
