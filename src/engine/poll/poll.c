/* poll.c — one resource, from the moment it is due to the moment it is due again. */
#include "base/compiler.h"
#include "base/hash.h"
#include "poll_state.h"

enum { FIRST_WITHIN_MS = 5000 /* what begins together is spread over so long */ };

static int64_t now_of(const struct poll *poll) { return loop_now(poll->polls->loop).mono_ms; }

void poll_wait(struct poll *poll, int64_t due_mono_ms)
{
    if (due_mono_ms <= now_of(poll))
        due_mono_ms = now_of(poll) + 1;
    pthread_mutex_lock(&poll->polls->lock);
    poll->due_mono_ms = due_mono_ms;
    poll->figures.interval_ms = poll->pace.interval_ms;
    pthread_mutex_unlock(&poll->polls->lock);
    timer_set(poll->polls->loop, &poll->timer, due_mono_ms);
}

void poll_begin(struct poll *poll)
{
    int64_t within_ms = poll->pace.interval_ms < FIRST_WITHIN_MS ? poll->pace.interval_ms : FIRST_WITHIN_MS;

    poll->wait_ms = poll->pace.interval_ms;
    poll_wait(poll, now_of(poll) + random_between(&poll->polls->random, 1, within_ms));
}

/* ---- one after the other ------------------------------------------------------------------------- */

static void take_turn(struct poll *poll);

static void run_lane(struct polls *polls, struct poll_lane *lane)
{
    if (polls->is_stopping || polls->is_choosing ||
        lane->is_running) /* one that ended at once: the loop below goes on */
        return;
    lane->is_running = true;
    while (lane->busy_count < POLLS_AT_ONCE && !list_is_empty(&lane->waiting)) {
        struct poll *poll = CONTAINER_OF(lane->waiting.next, struct poll, in_lane);
        list_remove(&poll->in_lane);
        lane->busy_count++;
        take_turn(poll);
    }
    lane->is_running = false;
}

void polls_run_lanes(struct polls *polls)
{
    for (size_t i = 0; i < POLL_LANES; i++)
        run_lane(polls, &polls->lanes[i]);
}

static void enter_lane(struct poll *poll)
{
    const struct route *route = plan_route(poll->polls->gateway->plan, poll->request);
    uint64_t hash = route->upstream == NULL
                        ? 0
                        : hash_bytes(buffer_bytes(&route->upstream->base_url), poll->polls->seed);

    poll->stage = POLL_WAITS;
    poll->lane = &poll->polls->lanes[hash % POLL_LANES];
    list_append(&poll->lane->waiting, &poll->in_lane);
    run_lane(poll->polls, poll->lane);
}

/* It sleeps. */
static void leave_lane(struct poll *poll)
{
    struct poll_lane *lane = poll->lane;

    if (poll->stage == POLL_SLEEPS)
        return;
    if (poll->stage == POLL_WAITS)
        list_remove(&poll->in_lane);
    else
        lane->busy_count--;
    poll->stage = POLL_SLEEPS;
    poll->lane = NULL;
    run_lane(poll->polls, lane);
}

/* ---- what comes back ----------------------------------------------------------------------------- */

static void count(struct poll *poll, uint64_t *figure, enum metric metric, int status)
{
    pthread_mutex_lock(&poll->polls->lock);
    ++*figure;
    if (figure != &poll->figures.seen)
        poll->figures.polls++;
    if (status != 0)
        poll->figures.status = status;
    pthread_mutex_unlock(&poll->polls->lock);
    counters_add(poll->polls->counters, metric, 1);
    if (figure != &poll->figures.seen)
        counters_add(poll->polls->counters, METRIC_poll_polls, 1);
}

/* Whether the answer has another body than the one before; it is noted. The first is no change. */
static enum poll_outcome outcome_of(struct poll *poll, const struct inquiry_answer *answer)
{
    uint64_t number = answer->terms->body_number;
    bool is_other = poll->has_body && !(number != 0 && number == poll->body_number) &&
                    answer->body_hash != poll->body_hash;

    poll->body_number = number;
    poll->body_hash = answer->body_hash;
    poll->has_body = true;
    return is_other ? POLL_CHANGED : POLL_UNCHANGED;
}

/* An answer that a client would be content with, be it that there is nothing. */
static bool is_good(const struct inquiry_answer *answer)
{
    return answer->err == OK && answer->terms->is_told && !answer->terms->is_stale &&
           answer->status < 500 && answer->status != 429;
}

/* Nothing of the answer is kept: nobody has anything of asking for it. */
static void warn(struct poll *poll, const struct inquiry_answer *answer)
{
    if (poll->has_warned)
        return;
    poll->has_warned = true;
    log_write(
        poll->polls->gateway->gateway->log, LOG_WARNING,
        "poll of %.*s: the answer (status %d) is not kept, so that clients wait for the origin all the "
        "same. It %s; else take it out of `poll`",
        BYTES_PRINTF(bytes_first(buffer_bytes(&poll->identity), poll->url_bytes)), answer->status,
        answer->terms->unkept_because);
}

/* It is due `wait_ms` after the answer, which is so old. */
static void sleep_after(struct poll *poll, int64_t ago_ms, int64_t wait_ms)
{
    int64_t keep_ms = wait_ms - ago_ms > 0 ? wait_ms - ago_ms : 0;

    poll->wait_ms = wait_ms;
    keep_ms += wait_ms / 2 > POLL_TURN_MS ? wait_ms / 2 : POLL_TURN_MS;
    fleet_turn_keep(&poll->turn, keep_ms);
    poll_wait(poll, now_of(poll) - ago_ms + wait_ms);
    leave_lane(poll);
}

static void on_asked(struct poll *poll, const struct inquiry_answer *answer)
{
    struct now now = loop_now(poll->polls->loop);
    struct poll_said said = {.fresh_ms = -1};
    enum poll_outcome outcome = POLL_FAILED;
    int64_t ago_ms = 0;

    poll_said_read(&said, answer->fields, now.wall_ms);
    if (is_good(answer)) {
        ago_ms = answer->terms->confirmed_ago_ms;
        said.fresh_ms = answer->terms->fresh_ms + ago_ms;
        outcome = answer->terms->unkept_because != NULL ? POLL_UNCHANGED : outcome_of(poll, answer);
        if (answer->terms->unkept_because != NULL) {
            count(poll, &poll->figures.unkept, METRIC_poll_unkept, answer->status);
            warn(poll, answer);
        } else if (ago_ms > now.mono_ms - poll->begun_ms) /* somebody had been quicker */
            count(poll, &poll->figures.seen, METRIC_poll_seen, answer->status);
        else if (outcome == POLL_CHANGED)
            count(poll, &poll->figures.changes, METRIC_poll_changes, answer->status);
        else
            count(poll, &poll->figures.unchanged, METRIC_poll_unchanged, answer->status);
    } else {
        count(poll, &poll->figures.failures, METRIC_poll_failures, answer->status);
        /* The origin may answer to another node. */
        if (answer->err != OK || !answer->terms->is_told || answer->terms->is_stale)
            fleet_turn_give_back(&poll->turn);
    }
    sleep_after(poll, ago_ms,
                poll_pace_next(&poll->pace, outcome, &said, random_unit(&poll->polls->random)));
}

/* A look at what another node has brought: it is here then, too. */
static void on_looked(struct poll *poll, const struct inquiry_answer *answer)
{
    int64_t left_ms = poll->anothers_left_ms;

    if (is_good(answer)) {
        poll_pace_learn(&poll->pace, outcome_of(poll, answer));
        count(poll, &poll->figures.seen, METRIC_poll_seen, answer->status);
    }
    poll->wait_ms = poll->pace.interval_ms;
    poll_wait(poll, now_of(poll) + left_ms + random_between(&poll->polls->random, 1, 1 + left_ms / 16));
    leave_lane(poll);
}

static void on_answer(void *owner, const struct inquiry_answer *answer)
{
    struct poll *poll = owner;

    poll->inquiry = NULL;
    if (poll->stage == POLL_LOOKS)
        on_looked(poll, answer);
    else
        on_asked(poll, answer);
}

/* ---- asking -------------------------------------------------------------------------------------- */

static void on_turn(struct fleet_turn *turn, bool is_ours, int64_t left_ms)
{
    struct poll *poll = CONTAINER_OF(turn, struct poll, turn);
    struct polls *polls = poll->polls;

    pthread_mutex_lock(&polls->lock);
    poll->figures.is_anothers = !is_ours;
    pthread_mutex_unlock(&polls->lock);
    poll->stage = is_ours ? POLL_ASKS : POLL_LOOKS;
    poll->anothers_left_ms = left_ms;
    poll->begun_ms = now_of(poll);
    poll->inquiry =
        inquiry_begin(polls->gateway, &(struct inquiry_order){.request = poll->request,
                                                              .urgency = URGENCY_REVALIDATION,
                                                              .confirmed_within_ms =
                                                                  is_ours ? poll->wait_ms / 2 : INT64_MAX,
                                                              .asks_nobody = !is_ours,
                                                              .wants_no_body = true,
                                                              .wants_hash = true,
                                                              .timeout_ms = POLL_MS,
                                                              .done = on_answer,
                                                              .owner = poll});
    if (poll->inquiry == NULL)
        sleep_after(poll, 0, poll->pace.interval_ms);
}

static void take_turn(struct poll *poll)
{
    int64_t more_ms = poll->wait_ms / 2 > POLL_TURN_MS ? poll->wait_ms / 2 : POLL_TURN_MS;

    poll->stage = POLL_TAKES_TURN;
    fleet_turn_take(&poll->turn, poll->request, buffer_bytes(&poll->identity), poll->wait_ms + more_ms);
}

static void on_due(struct timer *timer) { enter_lane(CONTAINER_OF(timer, struct poll, timer)); }

void poll_init(struct poll *poll, struct polls *polls)
{
    poll->polls = polls;
    list_init(&poll->in_lane);
    timer_init(&poll->timer, on_due);
    fleet_turn_init(&poll->turn, polls->gateway, on_turn);
}

void poll_rest(struct poll *poll)
{
    timer_cancel(poll->polls->loop, &poll->timer);
    fleet_turn_give_back(&poll->turn);
    if (poll->inquiry != NULL)
        inquiry_cancel(poll->inquiry);
    poll->inquiry = NULL;
    leave_lane(poll);
}
