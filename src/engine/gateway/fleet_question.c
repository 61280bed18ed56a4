#include "fleet_question.h"
#include "base/hash.h"
#include "fetch_table.h"
#include "fleet_take_in.h"
#include "invalidate.h"
#include "page_set.h"
#include "variants.h"
#include <stdlib.h>

enum { WAIT_MS = 5, RETRIES_MAX = 2 };

enum step { STEP_LOG, STEP_WITNESS, STEP_ANSWER, STEP_PIECE, STEP_OVER };

struct question {
    struct fleet_worker *fleet;
    struct list in_worker, askers;
    enum step step;
    struct fleet_id id;
    struct cache_key key;
    const struct route *route; /* held */
    bool is_fenced, has_begun; /* the tier was asked already */
    uint64_t fence_number;     /* if is_fenced: see fleet_log_is_fenced */
    int64_t deadline_ms;
    struct timer timer; /* of STEP_LOG */
    struct tier_read read;
    struct fleet_stand stand;
    struct witness witness;
    struct buffer value; /* the answer, as it came */
    struct fleet_answer answer;
    int64_t expires_at_ms;
    struct buffer body;
    uint32_t piece;
    unsigned retry_count;
};

static int64_t now_of(const struct question *question)
{
    return loop_now(question->fleet->worker->loop).mono_ms;
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void question_free(struct question *question)
{
    list_remove(&question->in_worker);
    timer_cancel(question->fleet->worker->loop, &question->timer);
    fleet_stand_fini(&question->stand);
    buffer_fini(&question->value);
    buffer_fini(&question->body);
    route_release(question->route);
    free(question);
}

/* The question may not be touched afterwards. */
static void reply(struct question *question, struct fleet_reply reply)
{
    struct list askers;

    question->step = STEP_OVER;
    list_remove(&question->in_worker); /* nobody joins what is answered */
    list_init(&askers);
    while (!list_is_empty(&question->askers)) {
        struct list *node = question->askers.next;
        list_remove(node);
        list_append(&askers, node);
    }
    while (!list_is_empty(&askers)) {
        struct asker *asker = CONTAINER_OF(askers.next, struct asker, in_question);
        list_remove(&asker->in_question);
        asker->question = NULL;
        asker->told(asker, &reply);
    }
    question_free(question);
}

static void reply_verdict(struct question *question, enum fleet_verdict verdict)
{
    bool is_of_answer = question->witness.kind == WITNESS_ANSWER;

    reply(question,
          (struct fleet_reply){.verdict = verdict, .number = is_of_answer ? question->witness.number : 0});
}

static void reply_away(struct question *question, struct bytes key)
{
    fleet_note_away(question->fleet, valkey_slot(key), now_of(question));
    reply_verdict(question, FLEET_AWAY);
}

/* ---- what is there ------------------------------------------------------------------------------- */

static void ask_witness(struct question *question);

/* It is another by now, or gone. */
static void begin_again(struct question *question)
{
    if (question->retry_count++ == RETRIES_MAX) {
        reply_verdict(question, FLEET_NOTHING);
        return;
    }
    question->is_fenced = true;
    fleet_stand_fini(&question->stand);
    buffer_clear(&question->value);
    buffer_clear(&question->body);
    question->piece = 0;
    ask_witness(question);
}

static void take_in(struct question *question)
{
    struct bytes origin = origin_of_url(buffer_bytes(&question->route->upstream->base_url));
    struct gateway_worker *worker = question->fleet->worker;

    page_set_see_change(worker->gateway, now_of(question), cache_key_bytes(&question->key),
                        question->key.primary_size, buffer_bytes(&question->body));
    if (!fleet_take_in(worker, &question->id, &question->answer, buffer_bytes(&question->body),
                       question->expires_at_ms, origin, &question->stand)) {
        reply_verdict(question, FLEET_NOTHING);
        return;
    }
    counters_add(worker->counters, METRIC_fleet_hits, 1);
    reply(question, (struct fleet_reply){.verdict = FLEET_HAS,
                                         .number = question->witness.number,
                                         .is_soft = question->witness.is_soft,
                                         .was_brought = true});
}

static void read_key(struct question *question, const struct fleet_key *key, unsigned flags)
{
    tier_read(question->fleet->tier, &question->read, fleet_nh_key(question->fleet, key), flags, 0,
              question->deadline_ms);
}

static void ask_piece(struct question *question)
{
    struct fleet_key key;

    question->step = STEP_PIECE;
    fleet_key_write_chunk(&key, &question->id, question->answer.number, question->piece);
    read_key(question, &key, TIER_UNKEPT);
}

/* False if it is none. */
static bool take_piece(struct question *question, struct bytes piece)
{
    uint64_t left = question->answer.body_bytes - question->body.size;

    if (!fleet_piece_decode(&question->body, piece, left < FLEET_PIECE_BYTES ? left : FLEET_PIECE_BYTES))
        return false;
    question->piece++;
    return true;
}

static void on_piece(struct question *question, const struct tier_found *found)
{
    if (!found->is_there || !take_piece(question, found->value))
        begin_again(question);
    else if (question->body.size < question->answer.body_bytes)
        ask_piece(question);
    else
        take_in(question);
}

static void on_answer(struct question *question, const struct tier_found *found)
{
    struct fleet_answer *answer = &question->answer;

    if (found->is_there)
        buffer_append(&question->value, found->value);
    if (!found->is_there || question->value.failed || found->expires_at_ms == 0 ||
        !fleet_answer_decode(buffer_bytes(&question->value), answer) ||
        answer->number != question->witness.number) {
        begin_again(question);
        return;
    }
    question->expires_at_ms = found->expires_at_ms;
    if (!bytes_equal(answer->key, cache_key_bytes(&question->key))) { /* digests that meet */
        reply_verdict(question, FLEET_NOTHING);
        return;
    }
    /* However much it is, it may take no longer than a write may. */
    question->deadline_ms = now_of(question) + FLEET_WRITE_MS;
    if (!fleet_is_in_one(answer->body_bytes))
        ask_piece(question);
    else if (!take_piece(question, answer->piece))
        reply_verdict(question, FLEET_NOTHING);
    else
        take_in(question);
}

static void ask_answer(struct question *question)
{
    struct fleet_key key;

    question->step = STEP_ANSWER;
    fleet_key_write(&key, &question->id, FLEET_ANSWER);
    read_key(question, &key, TIER_UNKEPT);
}

/* ---- the witness --------------------------------------------------------------------------------- */

static void keep_note(const struct question *question)
{
    struct gateway *gateway = question->fleet->worker->gateway;
    const nh_put_options options = {.size = sizeof options, .ttl_ms = FLEET_NOTE_MS};
    struct buffer value = {0};
    struct cache_key marker;

    marker_of_primary(cache_key_primary(&question->key), &marker);
    stored_note_encode(&value, gateway->seed, &(struct stored_note){NOTE_NOT_SHAREABLE, 200});
    if (!value.failed)
        nh_put(gateway->store, now_of(question), gateway_key(gateway, cache_key_bytes(&marker)),
               (nh_bytes){value.data, value.size}, &options, NULL);
    buffer_fini(&value);
}

/* The store's marker is to be the fleet's, so that all nodes have the same keys. */
static enum fleet_verdict adopt(struct question *question)
{
    struct gateway *gateway = question->fleet->worker->gateway;
    struct fetch_shard *shard = shard_of(gateway, question->stand.hash);
    bool is_adopted;

    if (fleet_id_is_of_variant(&question->id))
        return FLEET_NOTHING;
    pthread_mutex_lock(&shard->store_lock);
    is_adopted = !shard_is_fenced(shard, question->stand.hash, question->stand.fence_count) &&
                 variants_adopt(gateway, now_of(question), cache_key_primary(&question->key),
                                question->witness.number, question->witness.names);
    pthread_mutex_unlock(&shard->store_lock);
    return is_adopted ? FLEET_VARIES : FLEET_NOTHING;
}

/* What there was of variants has been taken out: what is fetched now begins a generation of its own. */
static void forsake_variants(struct question *question)
{
    struct gateway *gateway = question->fleet->worker->gateway;
    struct fetch_shard *shard = shard_of(gateway, question->stand.hash);

    if (fleet_id_is_of_variant(&question->id))
        return;
    pthread_mutex_lock(&shard->store_lock);
    variants_forsake(gateway, now_of(question), cache_key_primary(&question->key));
    pthread_mutex_unlock(&shard->store_lock);
}

static void on_witness(struct question *question, const struct tier_found *found)
{
    struct gateway *gateway = question->fleet->worker->gateway;

    if (!found->is_there || !witness_read(&question->witness, found->value))
        question->witness = (struct witness){0};
    switch (question->witness.kind) {
    case WITNESS_NONE:
        forsake_variants(question);
        reply_verdict(question, FLEET_NOTHING);
        return;
    case WITNESS_NOT_SHAREABLE:
        keep_note(question);
        reply_verdict(question, FLEET_NOT_FOR_ALL);
        return;
    case WITNESS_VARIANTS: reply_verdict(question, adopt(question)); return;
    case WITNESS_ANSWER: break;
    }
    if (fleet_stored_number(gateway, now_of(question), cache_key_bytes(&question->key)) !=
        question->witness.number) {
        ask_answer(question);
        return;
    }
    counters_add(question->fleet->worker->counters, METRIC_fleet_confirmed, 1);
    reply(question, (struct fleet_reply){.verdict = FLEET_HAS,
                                         .number = question->witness.number,
                                         .is_soft = question->witness.is_soft});
}

static void on_read(struct tier_read *read, const struct tier_found *found)
{
    struct question *question = CONTAINER_OF(read, struct question, read);
    struct fleet_key witness;

    fleet_key_write(&witness, &question->id, FLEET_WITNESS);
    if (found->err != OK && found->err != ERR_TYPE) {
        reply_away(question, fleet_key_bytes(&witness));
        return;
    }
    fleet_note_back(question->fleet, valkey_slot(fleet_key_bytes(&witness)));
    switch (question->step) {
    case STEP_WITNESS: on_witness(question, found); return;
    case STEP_ANSWER: on_answer(question, found); return;
    case STEP_PIECE: on_piece(question, found); return;
    case STEP_LOG:
    case STEP_OVER: break;
    }
    UNREACHABLE();
}

static void ask_witness(struct question *question)
{
    struct fleet_key key;

    question->step = STEP_WITNESS;
    question->has_begun = true;
    fleet_stand_begin(&question->stand, question->fleet->worker->gateway,
                      cache_key_primary(&question->key));
    fleet_key_write(&key, &question->id, FLEET_WITNESS);
    counters_add(question->fleet->worker->counters, METRIC_fleet_questions, 1);
    read_key(question, &key, question->is_fenced ? TIER_FENCED : 0);
}

/* ---- the purges before it ------------------------------------------------------------------------ */

static void wait_for_purges(struct question *question)
{
    struct fleet_worker *fleet = question->fleet;
    int64_t now_ms = now_of(question);

    bool is_fenced = !question->is_fenced || fleet_log_is_fenced(fleet, question->fence_number);

    if (is_fenced && fleet_is_ready(fleet, now_ms) && !fleet_has_errand(fleet->fleet, question->id.url)) {
        ask_witness(question);
        return;
    }
    if (fleet_log_is_away(fleet, now_ms) || now_ms >= question->deadline_ms) {
        fleet_note_log_late(fleet, now_ms);
        reply_verdict(question, FLEET_AWAY);
        return;
    }
    if (!fleet_is_ready(fleet, now_ms))
        fleet_read_log(fleet);
    timer_set(fleet->worker->loop, &question->timer, now_ms + WAIT_MS);
}

void questions_look(struct fleet_worker *fleet)
{
    int64_t now_ms = loop_now(fleet->worker->loop).mono_ms;

    for (struct list *node = fleet->questions.next; node != &fleet->questions; node = node->next) {
        struct question *question = CONTAINER_OF(node, struct question, in_worker);
        if (question->step == STEP_LOG)
            timer_set(fleet->worker->loop, &question->timer, now_ms);
    }
}

static void on_timer(struct timer *timer) { wait_for_purges(CONTAINER_OF(timer, struct question, timer)); }

/* ---- asking -------------------------------------------------------------------------------------- */

static struct question *find(struct fleet_worker *fleet, const struct fleet_id *id,
                             const struct cache_key *key, bool is_fenced)
{
    for (struct list *node = fleet->questions.next; node != &fleet->questions; node = node->next) {
        struct question *question = CONTAINER_OF(node, struct question, in_worker);
        if (fleet_id_equal(&question->id, id) && !(is_fenced && question->has_begun) &&
            bytes_equal(cache_key_bytes(&question->key), cache_key_bytes(key)))
            return question;
    }
    return NULL;
}

void question_ask(struct fleet_worker *fleet, struct asker *asker, const struct fleet_id *id,
                  const struct cache_key *key, const struct route *route, bool is_fenced)
{
    struct question *question = find(fleet, id, key, is_fenced);
    struct fleet_key witness;

    list_init(&asker->in_question);
    asker->question = NULL;
    fleet_key_write(&witness, id, FLEET_WITNESS);
    if (question == NULL && fleet_is_away(fleet, valkey_slot(fleet_key_bytes(&witness)),
                                          loop_now(fleet->worker->loop).mono_ms)) {
        asker->told(asker, &(struct fleet_reply){.verdict = FLEET_AWAY});
        return;
    }
    if (question != NULL) {
        if (is_fenced) { /* it has not asked yet */
            question->is_fenced = true;
            question->fence_number = fleet->fence_begun + 1;
        }
        asker->question = question;
        list_append(&question->askers, &asker->in_question);
        return;
    }
    question = calloc(1, sizeof *question);
    if (question == NULL) {
        asker->told(asker, &(struct fleet_reply){.verdict = FLEET_AWAY});
        return;
    }
    question->fleet = fleet;
    question->id = *id;
    memcpy(question->key.text, key->text, key->size);
    question->key.size = key->size;
    question->key.primary_size = key->primary_size;
    question->route = route_hold(route);
    question->is_fenced = is_fenced;
    question->fence_number = fleet->fence_begun + 1;
    question->deadline_ms = now_of(question) + FLEET_ASK_MS;
    question->read.done = on_read;
    timer_init(&question->timer, on_timer);
    list_init(&question->askers);
    list_init(&question->in_worker);
    list_append(&fleet->questions, &question->in_worker);
    list_append(&question->askers, &asker->in_question);
    asker->question = question;
    wait_for_purges(question);
}

void question_leave(struct asker *asker)
{
    if (asker->question == NULL)
        return;
    list_remove(&asker->in_question);
    asker->question = NULL; /* it goes on: what it brings is for others */
}

void questions_destroy(struct fleet_worker *fleet)
{
    for (struct list *node = fleet->questions.next, *next; node != &fleet->questions; node = next) {
        struct question *question = CONTAINER_OF(node, struct question, in_worker);
        next = node->next;
        if (question->step != STEP_LOG)
            tier_read_end(fleet->tier, &question->read);
        question_free(question);
    }
}
