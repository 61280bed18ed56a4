#include "engine/kv/tier/kv_tier_link.h"
#include <stdlib.h>

enum { LOOK_EVERY_MS = 1000 };

struct kv_tier_own {
    struct kv_tier *tier;
    struct link *link; /* null once it is lost */
    struct list in_tier;
    int slot;
    struct source *source; /* that the slot had when it was opened, and its connection: see look */
    uint32_t connection;
    bool is_open, is_released;
    bool is_failing;                 /* who fails it frees it, if it is released meanwhile */
    struct kv_tier_request *request; /* null: nothing is asked */
    struct buffer bytes;             /* of it, until it is sent */
    uint32_t reply_count;
    void (*replied)(struct kv_tier_request *request, const struct resp_reply *reply);
    struct link_request sent;
    bool is_sent;
    char error[256]; /* the first that was said before the last reply */
    size_t error_bytes;
};

static void destroy(struct kv_tier_own *own)
{
    own->tier->link_count--;
    list_remove(&own->in_tier);
    buffer_fini(&own->bytes);
    free(own);
}

/* The request is answered with an error, if there is one. */
static void fail(struct kv_tier_own *own, enum err why, bool was_sent, struct bytes text)
{
    struct kv_tier_request *request = own->request;
    struct reply *reply;

    if (request == NULL)
        return;
    own->request = NULL;
    own->is_failing = true;
    if (request->cancel != NULL)
        request->cancel(request);
    request->cancel = NULL;
    own->is_failing = false;
    kv_tier_request_forget(request);
    reply = kv_tier_request_reply(request);
    if (reply != NULL)
        kv_tier_say_failure(reply, why, was_sent && request->writes, text);
    kv_tier_request_end(request);
}

static void destroy_if_done(struct kv_tier_own *own)
{
    if (own->link == NULL && own->is_released)
        destroy(own);
}

static void on_replied(struct link_request *sent, const struct resp_reply *reply)
{
    struct kv_tier_own *own = CONTAINER_OF(sent, struct kv_tier_own, sent);
    struct kv_tier_request *request = own->request;

    if (sent->left_count > 0 && reply->nodes->type == RESP_ERROR && own->error_bytes == 0) {
        size_t size = reply->nodes->bytes.size;
        own->error_bytes = size < sizeof own->error ? size : sizeof own->error;
        if (size > 0)
            memcpy(own->error, reply->nodes->bytes.data, own->error_bytes);
    }
    if (sent->left_count > 0 || request == NULL)
        return;
    own->request = NULL;
    own->is_sent = false;
    request->cancel = NULL;
    own->replied(request, reply);
}

static void on_failed(struct link_request *sent, enum err why, bool was_sent)
{
    struct kv_tier_own *own = CONTAINER_OF(sent, struct kv_tier_own, sent);

    own->is_sent = false;
    fail(own, why, was_sent, (struct bytes){NULL, 0});
}

static void send_now(struct kv_tier_own *own)
{
    enum err err;

    own->sent = (struct link_request){.replied = on_replied, .failed = on_failed};
    err = link_send(own->link, &own->sent, buffer_bytes(&own->bytes), own->reply_count);
    buffer_clear(&own->bytes);
    own->is_sent = err == OK;
    if (err != OK)
        fail(own, err, false, (struct bytes){NULL, 0});
}

static void on_opened(void *owner)
{
    struct kv_tier_own *own = owner;

    own->is_open = true;
    if (own->request != NULL)
        send_now(own);
}

static void on_pushed(void *owner, const struct resp_reply *push)
{
    (void)owner; /* it subscribes to nothing */
    (void)push;
}

static void on_closed(void *owner, enum err why, struct bytes text)
{
    struct kv_tier_own *own = owner;

    own->link = NULL;
    own->is_open = false;
    fail(own, why, false, text);
    destroy_if_done(own);
}

static const struct link_callbacks callbacks = {
    .opened = on_opened, .pushed = on_pushed, .closed = on_closed};

struct kv_tier_own *kv_tier_own_open(struct kv_tier *tier, int slot, const char **why)
{
    struct kv_tier_own *own;
    enum err err;

    if (tier->link_count >= KV_TIER_LINKS_MAX) {
        *why = "ERR too many commands that block, or transactions with WATCH, are under way to the shared "
               "tier";
        return NULL;
    }
    own = calloc(1, sizeof *own);
    if (own == NULL) {
        *why = "OOM there is no memory to ask the shared tier";
        return NULL;
    }
    own->tier = tier;
    own->slot = slot;
    own->source = slot < 0 ? NULL : valkey_source_of(tier->valkey, (uint16_t)slot);
    own->connection = own->source == NULL ? 0 : source_connection(own->source);
    err = valkey_open_link(tier->valkey, slot, &callbacks, own, &own->link);
    if (err != OK) {
        *why = err == ERR_NO_MEMORY
                   ? "OOM there is no memory to ask the shared tier"
                   : "CLUSTERDOWN The shared tier cannot answer now (no server is known): try again later";
        free(own);
        return NULL;
    }
    tier->link_count++;
    list_append(&tier->own_links, &own->in_tier);
    if (!timer_is_set(&tier->look))
        timer_set(tier->loop, &tier->look, loop_now(tier->loop).mono_ms + LOOK_EVERY_MS);
    return own;
}

void kv_tier_own_ask(struct kv_tier_own *own, struct kv_tier_request *request, struct bytes bytes,
                     uint32_t reply_count,
                     void (*replied)(struct kv_tier_request *request, const struct resp_reply *reply))
{
    own->request = request;
    own->reply_count = reply_count;
    own->replied = replied;
    own->error_bytes = 0;
    buffer_clear(&own->bytes);
    buffer_append(&own->bytes, bytes);
    if (own->bytes.failed)
        fail(own, ERR_NO_MEMORY, false, (struct bytes){NULL, 0});
    else if (own->link == NULL)
        fail(own, ERR_UNREACHABLE, false, (struct bytes){NULL, 0});
    else if (own->is_open)
        send_now(own);
    destroy_if_done(own);
}

bool kv_tier_own_is_lost(const struct kv_tier_own *own) { return own->link == NULL; }
struct bytes kv_tier_own_error(const struct kv_tier_own *own)
{
    return bytes_of(own->error, own->error_bytes);
}
int kv_tier_own_slot(const struct kv_tier_own *own) { return own->slot; }

void kv_tier_own_close(struct kv_tier_own *own)
{
    own->request = NULL;
    own->is_released = true;
    if (own->link == NULL) {
        if (!own->is_failing)
            destroy(own);
        return;
    }
    if (own->is_sent)
        link_forget(own->link, &own->sent);
    own->is_sent = false;
    link_close(own->link);
}

/* A server that is cut off says nothing, and who blocks waits for ever. The tracked connection to it is
 * watched (source.h): if it is lost, or the slot has another, so is this one. */
static void look(struct kv_tier_own *own)
{
    struct source *source;

    if (own->slot < 0 || own->link == NULL || own->is_released)
        return;
    source = valkey_source_of(own->tier->valkey, (uint16_t)own->slot);
    if (source != NULL && own->source == source && source_connection(source) == own->connection)
        return;
    if (source != NULL && own->source == NULL) { /* it was not open when this one was begun */
        own->source = source;
        own->connection = source_connection(source);
        return;
    }
    link_close(own->link);
}

void kv_tier_links_look(struct kv_tier *tier)
{
    struct list *node = tier->own_links.next, *next;

    for (; node != &tier->own_links; node = next) {
        next = node->next;
        look(CONTAINER_OF(node, struct kv_tier_own, in_tier));
    }
    if (!list_is_empty(&tier->own_links))
        timer_set(tier->loop, &tier->look, loop_now(tier->loop).mono_ms + LOOK_EVERY_MS);
}

bool kv_tier_hold(const struct kv_call *call)
{
    enum { AT_MOST_MS = 1000 };

    if (call->session->late_count == 0)
        return false;
    call->session->is_held = true;
    call->session->held_until_ms = call->now.mono_ms + AT_MOST_MS;
    return true;
}

bool kv_tier_await_server(const struct kv_call *call, struct bytes key)
{
    enum { OFFERED_AGAIN_AFTER_MS = 20 };
    struct session *session = call->session;
    const struct valkey *valkey = kv_tier_of(call->kv)->valkey;

    if (valkey_can_reach(valkey, valkey_slot(key))) {
        session->awaits_since_ms = 0;
        return false;
    }
    if (session->awaits_since_ms == 0)
        session->awaits_since_ms = call->now.mono_ms;
    if (call->now.mono_ms - session->awaits_since_ms >= valkey_call_timeout_ms(valkey)) {
        session->awaits_since_ms = 0;
        return false;
    }
    session->is_held = true;
    session->held_until_ms = call->now.mono_ms + OFFERED_AGAIN_AFTER_MS;
    return true;
}

/* ---- commands that block ------------------------------------------------------------------------------
 */

static void cancel_block(struct kv_tier_request *request)
{
    kv_tier_own_close(request->part);
    request->part = NULL;
}

static void go_block(struct kv_tier_request *request);

static void unblocked(struct kv_tier_request *request, const struct resp_reply *reply)
{
    enum { ATTEMPTS_MAX = 5 };
    bool is_redirected =
        reply->nodes->type == RESP_ERROR && valkey_note_redirection(request->tier->valkey, reply->nodes);
    struct reply *to;

    kv_tier_own_close(request->part);
    request->part = NULL;
    if (is_redirected && ++request->attempt_count < ATTEMPTS_MAX) {
        go_block(request);
        return;
    }
    kv_tier_request_forget(request);
    to = kv_tier_request_reply(request);
    if (to != NULL && is_redirected)
        reply_error(to, BYTES("TRYAGAIN The keys are moving to another server of the shared tier"));
    else if (to != NULL)
        kv_tier_say(request, reply->nodes, to);
    kv_tier_request_end(request);
}

static void failed_to_open(struct kv_tier_request *request, const char *why)
{
    kv_tier_request_fail(request, "%s", why);
}

static void go_block(struct kv_tier_request *request)
{
    struct buffer bytes = {0};
    const char *why = NULL;
    int slot = -1;

    if (!kv_tier_find_keys(request)) {
        kv_tier_request_fail(request, "ERR where the keys of this command are cannot be told");
        return;
    }
    if (request->key_count > 0)
        slot = valkey_slot(request->arguments[request->keys[0]]);
    if (valkey_is_cluster(request->tier->valkey) && !kv_tier_is_of_one_slot(request)) {
        kv_tier_request_fail(request, "CROSSSLOT Keys in request don't hash to the same slot");
        return;
    }
    kv_tier_request_forget(request);
    if (slot >= 0)
        kv_tier_note_written(request->tier, request->session, (uint16_t)slot);
    request->part = kv_tier_own_open(request->tier, slot, &why);
    if (request->part == NULL) {
        failed_to_open(request, why);
        return;
    }
    request->cancel = cancel_block;
    resp_render_command(&bytes, request->arguments, request->argument_count);
    if (bytes.failed) {
        cancel_block(request);
        request->cancel = NULL;
        failed_to_open(request, "OOM there is no memory to ask the shared tier");
    } else {
        kv_tier_own_ask(request->part, request, buffer_bytes(&bytes), 1, unblocked);
    }
    buffer_fini(&bytes);
}

void kv_tier_block(const struct kv_call *call)
{
    struct kv_tier_request *request;
    uint32_t key;
    bool writes;

    if (kv_tier_hold(call))
        return;
    if (kv_tier_keys_of(kv_tier_of(call->kv), call->id, call->arguments, call->argument_count, &key, 1,
                        &writes) > 0 &&
        kv_tier_await_server(call, call->arguments[key]))
        return;
    request = kv_tier_request_create(call, LATE_ALONE | LATE_BLOCKS, true);
    if (request != NULL)
        go_block(request);
}
