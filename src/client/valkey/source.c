#include "client/valkey/source.h"
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/random_source.h"
#include <stdlib.h>

/*        ┌──────────── later ◄────────────┐
 *        ▼                                │ closed
 *   connecting ─► (RESP2: its receiver) ─► tracking ─► open
 *
 * `data` carries requests; `receiver`, in RESP2 alone, hears of changes. What becomes of either is told by
 * the callbacks of its struct end, whose `source` both share.
 *
 *   (1) state->generation is not 0 exactly from before the first request of `data` until either link ends.
 *   (2) coherent_ms is 0 while the generation is 0, and until a canary of this generation has come back.
 *   (3) The source is freed when it is destroyed and has no link any more: links speak to it until then.
 *
 * A data connection of RESP2 is told nothing when its receiver is gone (only CLIENT TRACKINGINFO would say
 * so), and a receiver nothing when the data connection is. Both are ours, and either loss is seen here:
 * a socket that is closed, or, if the peer is gone without a word, a canary's PING that stays out. */

enum {
    TEXT_BYTES_MAX = 160,
    TICK_MS_MIN = 10,     /* what the loop's timers can tell apart */
    PUSHES_PATIENCE = 4,  /* how many times as long a peer that only pushes is waited for */
    OWN_REQUESTS_MAX = 2, /* a canary, a change of role */
};

struct end {
    struct source *source;
    struct link *link; /* null: there is none */
};

struct source {
    const struct valkey_options *options;
    const struct source_callbacks *callbacks;
    void *owner;
    struct loop *loop;
    struct link_address address;
    struct source_state *state;
    uint32_t index;
    bool is_replica, is_open, is_tracked, is_destroyed, has_warned;
    uint32_t generation; /* as state->generation */
    uint32_t connection; /* how many there were */
    struct end data, receiver;
    int64_t receiver_id;          /* CLIENT ID; -1: the server did not say */
    struct link_request setup;    /* of `data`: READONLY, CLIENT TRACKING */
    struct link_request role;     /* of `data`: READONLY or READWRITE, when that has changed */
    struct link_request identity; /* of `receiver`: CLIENT ID */
    struct link_request subscription;
    /* canaries */
    struct buffer canary_command; /* empty: no key is known */
    struct link_request canary;   /* of `data` */
    struct link_request echo;     /* of `receiver`: the PING after it */
    bool canary_is_out, sounds_again;
    bool is_suspect; /* it was silent for too long when the last tick looked */
    struct timer tick_timer;
    /* coming back */
    struct timer retry_timer;
    struct random_source dice;
    uint32_t failure_count; /* in a row; a canary's reply ends the row */
    int64_t opened_ms;
    bool has_been_open, comes_back_at_once; /* of the connection that is ending */
    enum err why;                           /* of giving it up; OK: it is not given up */
    char text[TEXT_BYTES_MAX];
    size_t text_bytes;
};

static int64_t now_ms(const struct source *source) { return loop_now(source->loop).mono_ms; }

/* ---- generations ----------------------------------------------------------------------------------- */

static void begin_generation(struct source *source)
{
    source->generation = ++source->state->last_generation;
    if (source->generation == 0) /* 0 says that there is none */
        source->generation = ++source->state->last_generation;
    atomic_store(&source->state->generation, source->generation);
}

/* Nothing that was read through the connection holds any more, for any thread, from here on. */
static void end_generation(struct source *source)
{
    source->generation = 0;
    atomic_store(&source->state->generation, 0);
    atomic_store(&source->state->coherent_ms, 0);
}

static void tell_flushed(struct source *source, enum source_flush why)
{
    if (!source->is_destroyed)
        source->callbacks->flushed(source->owner, source, why);
}

/* What was read so far is forgotten; what has been told so far stays true. */
static void flush(struct source *source, enum source_flush why)
{
    if (source->generation == 0)
        return;
    begin_generation(source);
    tell_flushed(source, why);
}

/* ---- losing it ------------------------------------------------------------------------------------- */

/* What was read is forgotten, for every thread, before anybody hears of the loss. */
static void forget_all(struct source *source)
{
    end_generation(source);
    if (!source->is_open)
        return;
    source->is_open = false;
    tell_flushed(source, SOURCE_LOST);
}

static void note_why(struct source *source, enum err why, struct bytes text)
{
    if (source->why != OK)
        return;
    source->why = why;
    source->text_bytes = text.size < sizeof source->text ? text.size : sizeof source->text;
    if (source->text_bytes > 0)
        memcpy(source->text, text.data, source->text_bytes);
}

/* If one link is gone or has to go, both go. */
static void give_up(struct source *source, enum err why, struct bytes text)
{
    note_why(source, why, text);
    timer_cancel(source->loop, &source->tick_timer);
    forget_all(source);
    if (source->data.link != NULL)
        link_break(source->data.link, source->why, bytes_of(source->text, source->text_bytes));
    if (source->receiver.link != NULL)
        link_break(source->receiver.link, source->why, bytes_of(source->text, source->text_bytes));
}

static void link_ending(void *owner) { forget_all(((struct end *)owner)->source); }

static void free_source(struct source *source)
{
    buffer_fini(&source->canary_command);
    free(source);
}

static bool is_left_alone(const struct source *source)
{
    return source->failure_count >= source->options->breaker_failures;
}

/* Half of it and up to as much again by chance, so that a fleet does not come back in step. */
static int64_t backoff_ms(struct source *source)
{
    int64_t ms = source->options->backoff_min_ms;

    for (uint32_t i = 1; i < source->failure_count && ms < source->options->backoff_max_ms; i++)
        ms *= 2;
    if (ms > source->options->backoff_max_ms || is_left_alone(source))
        ms = source->options->backoff_max_ms;
    return ms / 2 + (int64_t)random_below(&source->dice, (uint64_t)(ms - ms / 2) + 1);
}

/* Both links are gone. */
static void connection_over(struct source *source)
{
    bool came_to_nothing = !source->has_been_open;
    int64_t wait_ms = 0;

    if (source->is_destroyed) {
        free_source(source);
        return;
    }
    if (source->has_been_open && now_ms(source) - source->opened_ms >= source->options->backoff_max_ms)
        source->failure_count = 0; /* it was good for a while, though no canary may have said so */
    if (!source->comes_back_at_once) {
        source->failure_count++;
        wait_ms = backoff_ms(source);
    }
    source->comes_back_at_once = source->has_been_open = false;
    timer_set(source->loop, &source->retry_timer, now_ms(source) + wait_ms);
    if (came_to_nothing)
        source->callbacks->failed(source->owner, source, source->why,
                                  bytes_of(source->text, source->text_bytes));
    else
        log_write_limited(source->options->log, LOG_WARNING, LOG_KIND_TIER,
                          "tier: connection to %s port %u lost: %.*s", source->address.host,
                          source->address.port, (int)source->text_bytes, source->text);
}

static void link_closed(void *owner, enum err why, struct bytes text)
{
    struct end *end = owner;
    struct source *source = end->source;

    end->link = NULL;
    give_up(source, why, text);
    if (source->data.link == NULL && source->receiver.link == NULL)
        connection_over(source);
}

static void request_failed(struct link_request *request, enum err why, bool was_sent)
{
    (void)request; /* of the source's own: `closed` says the same, later */
    (void)why;
    (void)was_sent;
}

/* ---- what the server tells ------------------------------------------------------------------------- */

/* An array of keys, or a null in any form that a server knows: then all keys. */
static void hear_invalidation(struct source *source, const struct resp_node *keys)
{
    const struct resp_node *key;

    if (keys->type == RESP_NULL || keys->type == RESP_NULL_ARRAY) {
        flush(source, SOURCE_FLUSHED_ALL);
        return;
    }
    if (keys->type != RESP_ARRAY) {
        give_up(source, ERR_SYNTAX, BYTES("an invalidation without keys"));
        return;
    }
    key = resp_first_member(keys);
    for (int64_t i = 0; i < keys->integer && source->generation != 0 && !source->is_destroyed;
         i++, key = resp_next(key)) {
        if (key->type == RESP_BULK || key->type == RESP_SIMPLE)
            source->callbacks->invalidated(source->owner, source, key->bytes);
        else
            give_up(source, ERR_SYNTAX, BYTES("an invalidation of what is no key"));
    }
}

static void link_pushed(void *owner, const struct resp_reply *push)
{
    struct source *source = ((struct end *)owner)->source;
    const struct resp_node *kind = resp_first_member(push->nodes);

    if (source->is_destroyed || push->nodes->integer < 1)
        return;
    if (push->nodes->integer == 2 && bytes_equal(kind->bytes, BYTES("invalidate")))
        hear_invalidation(source, resp_next(kind));
    else if (push->nodes->integer == 3 && bytes_equal(kind->bytes, BYTES("message")) &&
             bytes_equal(resp_next(kind)->bytes, BYTES("__redis__:invalidate")))
        hear_invalidation(source, resp_next(resp_next(kind)));
    else if (bytes_equal(kind->bytes, BYTES("tracking-redir-broken")))
        give_up(source, ERR_CLOSED, BYTES("the server has lost who hears of changes"));
    else if (source->callbacks->pushed != NULL)
        source->callbacks->pushed(source->owner, source, push);
}

/* ---- canaries -------------------------------------------------------------------------------------- */

static void sound(struct source *source)
{
    if (!source->is_open || source->canary_command.size == 0)
        return;
    if (source->canary_is_out) {
        source->sounds_again = true;
        return;
    }
    /* Where there is no room, the next tick tries again; coherent_ms stays where it is. */
    if (link_send(source->data.link, &source->canary, buffer_bytes(&source->canary_command), 1) == OK)
        source->canary_is_out = true;
}

static void canary_is_back(struct source *source)
{
    source->canary_is_out = false;
    source->failure_count = 0;
    if (source->sounds_again) {
        source->sounds_again = false;
        sound(source);
    }
}

static void be_coherent(struct source *source)
{
    if (source->generation != 0 && source->is_tracked)
        atomic_store(&source->state->coherent_ms, source->canary.sent_ms);
    canary_is_back(source);
}

/* Who sends us elsewhere for this once is moving the slot and has it as yet: what he has said, he has said
 * behind all pushes, as with any other answer. */
static bool is_proof(const struct resp_node *reply)
{
    return reply->type != RESP_ERROR || resp_is_error(reply, BYTES("ASK"));
}

static void canary_replied(struct link_request *request, const struct resp_reply *reply)
{
    struct source *source = CONTAINER_OF(request, struct source, canary);

    if (source->is_destroyed)
        return;
    if (!is_proof(reply->nodes)) {
        canary_is_back(source);
        source->callbacks->doubted(source->owner, source, reply->nodes->bytes);
    } else if (source->receiver.link == NULL) {
        be_coherent(source);
    } else if (link_send(source->receiver.link, &source->echo, BYTES("*1\r\n$4\r\nPING\r\n"), 1) != OK) {
        canary_is_back(source);
    }
}

static void canary_failed(struct link_request *request, enum err why, bool was_sent)
{
    (void)why;
    (void)was_sent;
    CONTAINER_OF(request, struct source, canary)->canary_is_out = false;
}

static void echo_replied(struct link_request *request, const struct resp_reply *reply)
{
    struct source *source = CONTAINER_OF(request, struct source, echo);

    if (source->is_destroyed)
        return;
    if (reply->nodes->type == RESP_ERROR)
        canary_is_back(source);
    else
        be_coherent(source);
}

static void echo_failed(struct link_request *request, enum err why, bool was_sent)
{
    (void)why;
    (void)was_sent;
    CONTAINER_OF(request, struct source, echo)->canary_is_out = false;
}

static bool is_silent(const struct source *source, const struct end *end)
{
    int64_t patience_ms = source->options->call_timeout_ms;

    /* Many pushes may lie before a reply: that takes longer, but not for ever. */
    return end->link != NULL && (link_silence_ms(end->link) >= patience_ms ||
                                 link_no_reply_ms(end->link) >= PUSHES_PATIENCE * patience_ms);
}

static void tick(struct timer *timer)
{
    struct source *source = CONTAINER_OF(timer, struct source, tick_timer);
    int64_t interval_ms = source->options->canary_interval_ms;

    if (!is_silent(source, &source->data) && !is_silent(source, &source->receiver)) {
        source->is_suspect = false;
    } else if (!source->is_suspect) {
        /* What it has said may lie there, unread, if this process stood still: that is looked at first. */
        source->is_suspect = true;
        timer_set(source->loop, timer, now_ms(source) + TICK_MS_MIN);
        return;
    } else {
        give_up(source, ERR_TIMEOUT, BYTES("no reply within the time that a call may take"));
        return;
    }
    if (!source->canary_is_out)
        sound(source);
    timer_set(source->loop, timer,
              now_ms(source) + (interval_ms > TICK_MS_MIN ? interval_ms : TICK_MS_MIN));
}

/* ---- coming ---------------------------------------------------------------------------------------- */

static void be_open(struct source *source)
{
    source->is_open = source->has_been_open = true;
    source->opened_ms = now_ms(source);
    source->connection++;
    source->callbacks->opened(source->owner, source);
    sound(source);
}

static void be_untracked(struct source *source, struct bytes text)
{
    source->is_tracked = false;
    if (!source->has_warned)
        log_write(source->options->log, LOG_WARNING,
                  "tier: %s port %u does not tell of changes, so nothing of it is kept near: %.*s",
                  source->address.host, source->address.port, BYTES_PRINTF(text));
    source->has_warned = true;
}

static void role_replied(struct link_request *request, const struct resp_reply *reply)
{
    (void)request; /* likewise: a server that does not know it needs none */
    (void)reply;
}

static void setup_replied(struct link_request *request, const struct resp_reply *reply)
{
    struct source *source = CONTAINER_OF(request, struct source, setup);

    if (source->is_destroyed || request->left_count > 0)
        return; /* READONLY: a server that is not of a cluster does not know it, and needs none */
    if (reply->nodes->type == RESP_ERROR)
        be_untracked(source, reply->nodes->bytes);
    else
        source->is_tracked = source->receiver.link == NULL || source->receiver_id >= 0;
    be_open(source);
}

/* Asks `data` to be tracked: its first requests, so the generation begins here. */
static void track(struct source *source)
{
    struct bytes words[6] = {BYTES("CLIENT"), BYTES("TRACKING"), BYTES("ON")};
    struct buffer commands = {0}, number = {0};
    size_t count = 3;
    uint32_t reply_count = 1;
    enum err err;

    if (source->is_replica) {
        resp_render_command(&commands, (struct bytes[]){BYTES("READONLY")}, 1);
        reply_count++;
    }
    if (source->receiver.link != NULL) {
        buffer_append_int64(&number, source->receiver_id);
        words[count++] = BYTES("REDIRECT");
        words[count++] = buffer_bytes(&number);
    }
    words[count++] = BYTES("OPTOUT");
    resp_render_command(&commands, words, count);
    begin_generation(source);
    err = commands.failed || number.failed
              ? ERR_NO_MEMORY
              : link_send(source->data.link, &source->setup, buffer_bytes(&commands), reply_count);
    if (err != OK)
        give_up(source, err, bytes_of_text(err_text(err)));
    buffer_fini(&commands);
    buffer_fini(&number);
}

static void subscription_replied(struct link_request *request, const struct resp_reply *reply)
{
    struct source *source = CONTAINER_OF(request, struct source, subscription);

    if (source->is_destroyed)
        return;
    if (reply->nodes->type == RESP_ERROR)
        source->receiver_id = -1; /* what CLIENT TRACKING will be refused for */
    track(source);
}

static void identity_replied(struct link_request *request, const struct resp_reply *reply)
{
    struct source *source = CONTAINER_OF(request, struct source, identity);

    source->receiver_id = reply->nodes->type == RESP_INTEGER ? reply->nodes->integer : -1;
}

static void receiver_opened(struct source *source)
{
    enum err err =
        link_send(source->receiver.link, &source->identity, BYTES("*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n"), 1);

    if (err == OK)
        err = link_subscribe(source->receiver.link, &source->subscription,
                             BYTES("*2\r\n$9\r\nSUBSCRIBE\r\n$20\r\n__redis__:invalidate\r\n"), 1);
    if (err != OK)
        give_up(source, err, bytes_of_text(err_text(err)));
}

static void link_opened(void *owner);

static const struct link_callbacks link_callbacks = {
    .opened = link_opened, .pushed = link_pushed, .ending = link_ending, .closed = link_closed};

static void open_end(struct source *source, struct end *end)
{
    enum err err =
        link_open(source->options, &source->address, source->loop, &link_callbacks, end, &end->link);

    if (err == OK)
        return;
    end->link = NULL;
    note_why(source, err, bytes_of_text(err_text(err)));
    if (end == &source->data)
        connection_over(source);
    else
        give_up(source, err, bytes_of_text(err_text(err)));
}

static void link_opened(void *owner)
{
    struct end *end = owner;
    struct source *source = end->source;

    if (source->is_destroyed)
        return;
    if (!timer_is_set(&source->tick_timer))
        timer_set(source->loop, &source->tick_timer, now_ms(source) + TICK_MS_MIN);
    if (end == &source->receiver)
        receiver_opened(source);
    else if (link_resp_version(end->link) == 2)
        open_end(source, &source->receiver);
    else
        track(source);
}

static void retry(struct timer *timer)
{
    struct source *source = CONTAINER_OF(timer, struct source, retry_timer);

    source->why = OK;
    source->text_bytes = 0;
    source->canary_is_out = source->sounds_again = source->is_suspect = false;
    open_end(source, &source->data);
}

enum err source_create(const struct valkey_options *options, const struct link_address *address,
                       bool is_replica, struct loop *loop, struct source_state *state, uint32_t index,
                       const struct source_callbacks *callbacks, void *owner, struct source **result)
{
    struct source *source = calloc(1, sizeof *source);

    if (source == NULL)
        return ERR_NO_MEMORY;
    source->options = options;
    source->callbacks = callbacks;
    source->owner = owner;
    source->loop = loop;
    source->address = *address;
    source->state = state;
    source->index = index;
    source->is_replica = is_replica;
    source->data.source = source->receiver.source = source;
    source->setup = (struct link_request){.replied = setup_replied, .failed = request_failed};
    source->identity = (struct link_request){.replied = identity_replied, .failed = request_failed};
    source->subscription = (struct link_request){.replied = subscription_replied, .failed = request_failed};
    source->role = (struct link_request){.replied = role_replied, .failed = request_failed};
    source->canary = (struct link_request){.replied = canary_replied, .failed = canary_failed};
    source->echo = (struct link_request){.replied = echo_replied, .failed = echo_failed};
    source->dice = random_source_of(options->seed, index, state->last_generation);
    timer_init(&source->tick_timer, tick);
    timer_init(&source->retry_timer, retry);
    timer_set(loop, &source->retry_timer,
              now_ms(source)); /* in the next turn: no callback comes from here */
    *result = source;
    return OK;
}

void source_destroy(struct source *source)
{
    source->is_destroyed = true;
    timer_cancel(source->loop, &source->tick_timer);
    timer_cancel(source->loop, &source->retry_timer);
    give_up(source, ERR_CANCELLED, bytes_of_text(err_text(ERR_CANCELLED)));
    if (source->data.link == NULL && source->receiver.link == NULL)
        free_source(source); /* else by the last link, by (3) */
}

/* ---- use ------------------------------------------------------------------------------------------- */

enum err source_send(struct source *source, struct link_request *request, struct bytes bytes,
                     uint32_t reply_count, bool is_untracked)
{
    if (!source->is_open)
        return ERR_CANCELLED;
    if (link_in_flight_count(source->data.link) + OWN_REQUESTS_MAX >= source->options->in_flight_max)
        return ERR_FULL; /* a canary must find room where nobody else does */
    if (!is_untracked || !source->is_tracked)
        return link_send(source->data.link, request, bytes, reply_count);
    return link_send_prefaced(source->data.link, request,
                              BYTES("*3\r\n$6\r\nCLIENT\r\n$7\r\nCACHING\r\n$2\r\nNO\r\n"), 1, bytes,
                              reply_count);
}

void source_forget(struct source *source, struct link_request *request)
{
    if (source->data.link != NULL)
        link_forget(source->data.link, request);
}

void source_set_canary(struct source *source, struct bytes key)
{
    buffer_clear(&source->canary_command);
    if (key.size > 0) /* EXISTS, which no type of value makes fail */
        resp_render_command(&source->canary_command, (struct bytes[]){BYTES("EXISTS"), key}, 2);
    if (source->canary_command.failed)
        buffer_fini(&source->canary_command);
    if (!source->canary_is_out)
        sound(source);
}

void source_sound(struct source *source) { sound(source); }

void source_reconnect(struct source *source)
{
    if (!source->is_open)
        return;
    /* Not again and again: one that has just come back comes as after any loss. */
    source->comes_back_at_once = now_ms(source) - source->opened_ms >= source->options->backoff_min_ms;
    give_up(source, ERR_CANCELLED, BYTES("a new connection is wanted"));
}

void source_change_role(struct source *source, bool is_replica)
{
    enum err err;

    if (source->is_replica == is_replica)
        return;
    source->is_replica = is_replica;
    if (!source->is_open) {
        if (source->data.link != NULL) /* what it is being told is of the old role */
            give_up(source, ERR_CANCELLED, BYTES("the server's role has changed"));
        return;
    }
    link_forget(source->data.link, &source->role);
    err = link_send(source->data.link, &source->role,
                    is_replica ? BYTES("*1\r\n$8\r\nREADONLY\r\n") : BYTES("*1\r\n$9\r\nREADWRITE\r\n"), 1);
    if (err != OK)
        give_up(source, err, BYTES("the server's role has changed"));
    else
        flush(source, SOURCE_CHANGED_ROLE);
}

bool source_is_open(const struct source *source) { return source->is_open; }
bool source_is_tracked(const struct source *source) { return source->is_open && source->is_tracked; }
bool source_is_left_alone(const struct source *source) { return !source->is_open && is_left_alone(source); }
uint32_t source_index(const struct source *source) { return source->index; }
uint32_t source_generation(const struct source *source) { return source->generation; }
uint32_t source_connection(const struct source *source) { return source->connection; }
bool source_has_receiver(const struct source *source) { return source->receiver.link != NULL; }
const struct link_address *source_address(const struct source *source) { return &source->address; }

const char *source_peer(const struct source *source)
{
    return source->data.link != NULL ? link_peer(source->data.link) : "";
}
